//! Records of which more must be known before they are written: leads that were converted, whose contact is written instead,
//! and leads of which nobody has heard whether they were made. Both are looked up by their key, and never searched for.

use std::time::Duration;

use domain::connector::{Batch, Reply};
use domain::verdict::FailureReason;
use domain::{Timestamp, Verdict};
use serde_json::{Value, json};

use super::bound::Bound;
use super::case::{Asked, Need, Turn, What, Whom};
use super::reply::{self, Answer, Refusal, is_id};
use super::settings::{CONTACT, Object, Org};
use super::write::Asking;

/// Most requests inside of one.
const REQUESTS_MAX: usize = 25;
const CONVERTED_CONTACT: &str = "ConvertedContactId";

impl Org {
    /// Looks at contacts: one that is read whole shows which fields there are, and that we may see them.
    pub(super) fn follow(&self, turn: &mut Turn<'_>) -> Option<Asking> {
        let Turn { batch, ledger, exchange, .. } = turn;
        let (mut requests, mut whom) = (Vec::new(), Vec::new());
        for place in exchange.who(|need| matches!(need, Need::Follow { .. })) {
            let Need::Follow { lead, contact } = &exchange.cases[place].need else { continue };
            if requests.len() + 2 > REQUESTS_MAX {
                break;
            }
            let contact = contact.clone().unwrap_or_else(|| {
                let bound = ledger.of(lead);
                let id = bound.record().filter(|id| self.is_own(id));
                requests.push(self.look_at_lead(&format!("lead{place}"), lead, id));
                format!("@{{lead{place}.{CONVERTED_CONTACT}}}")
            });
            // A reference is no part of a path to encode.
            let path = format!("{}/{contact}", self.path(&["sobjects", CONTACT], &[]));
            requests.push(json!({"method": "GET", "url": path, "referenceId": format!("contact{place}")}));
            whom.push(Whom::itself(place));
        }
        (!requests.is_empty()).then(|| (What::Follow, whom, self.composite(batch.token, &requests, false)))
    }

    pub(super) fn followed(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { ledger, exchange, .. } = turn;
        let answers = reply::answers(self, reply)?;
        for whom in &asked.whom {
            let place = whom.case;
            let Some(case) = exchange.cases.get(place) else { continue };
            let Need::Follow { lead, contact } = &case.need else { continue };
            let looked_up = match contact {
                Some(_) => Ok(None),
                None => self.contact_of(answer(&answers, &format!("lead{place}")), lead).map(Some),
            };
            let known = answer(&answers, &format!("contact{place}"));
            let need = match looked_up.and_then(|pair| Ok((pair, self.contact(known)?))) {
                Ok((pair, (id, only))) => {
                    if let Some((lead_id, contact_id)) = pair {
                        let (key, lead) = (case.key.clone(), lead.clone());
                        ledger.hand_over(&lead, &key);
                        ledger.note(&key, &Bound::Converted { lead: lead_id, contact: contact_id });
                    }
                    Need::Update { id, object: CONTACT.to_owned(), only: Some(only), of: None }
                }
                Err(verdict) => Need::Over { verdict },
            };
            exchange.needs(place, need);
        }
        Ok(())
    }

    /// Looks for records of subjects by their keys.
    pub(super) fn find(&self, batch: &Batch<'_>, subjects: Vec<(usize, String)>) -> Option<Asking> {
        let subjects: Vec<_> = subjects.into_iter().take(REQUESTS_MAX).collect();
        let requests: Vec<_> = subjects
            .iter()
            .enumerate()
            .map(|(n, (_, key))| self.look_at_lead(&format!("found{n}"), key, None))
            .collect();
        let whom = subjects.into_iter().map(|(case, subject)| Whom::about(case, vec![subject])).collect();
        (!requests.is_empty()).then(|| (What::Find, whom, self.composite(batch.token, &requests, false)))
    }

    pub(super) fn found(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { batch, ledger, exchange, .. } = turn;
        let answers = reply::answers(self, reply)?;
        for (n, whom) in asked.whom.iter().enumerate() {
            let Some(subject) = whom.about.first() else { continue };
            let found = answer(&answers, &format!("found{n}"));
            match found {
                Some(Answer { status: 404, .. }) => match self.still_comes(batch.now, &ledger.of(subject)) {
                    Some(after) => exchange.over(whom.case, Verdict::Retry {
                        after: Some(after),
                        reason: FailureReason::Broken,
                        message: Some(
                            "the answer to the call that made another record of this person was lost, and Salesforce may be at \
                             it still; it is looked for once more"
                                .to_owned(),
                        ),
                    }),
                    None => ledger.forget(subject),
                },
                Some(Answer { status: 200, body }) if text(body, "Id").is_some_and(is_id) => {
                    let id = text(body, "Id").unwrap_or_default().to_owned();
                    let bound = match text(body, CONVERTED_CONTACT).filter(|id| is_id(id)) {
                        Some(contact) => Bound::Converted { lead: id, contact: contact.to_owned() },
                        None => Bound::Record(id),
                    };
                    ledger.note(subject, &bound);
                }
                other => exchange.over(whom.case, self.of_answer(other)),
            }
        }
        Ok(())
    }

    /// For how long it is too early to believe that a record was not made which was to be made at some time.
    fn still_comes(&self, now: Timestamp, bound: &Bound) -> Option<Duration> {
        let &Bound::Maybe { since } = bound else { return None };
        // A clock that was set back must not make anybody wait for years.
        let age = now.since(since).max(since.since(now));
        Some(self.lost_answer.saturating_sub(age)).filter(|left| !left.is_zero())
    }

    /// By its id if that is known, else by the subject that is its key.
    fn look_at_lead(&self, name: &str, subject: &str, id: Option<&str>) -> Value {
        let fields: &[&str] = match self.object {
            Object::Lead => &["Id", "IsConverted", CONVERTED_CONTACT],
            Object::Contact => &["Id"],
        };
        let known_by = id.map_or(vec![&*self.key_field, subject], |id| vec![id]);
        let path = self.path(&[&["sobjects", self.object.name()], &known_by[..]].concat(), fields);
        json!({"method": "GET", "url": path, "referenceId": name})
    }

    /// The ids of a converted lead and of its contact.
    fn contact_of(&self, lead: Option<&Answer>, key: &str) -> Result<(String, String), Verdict> {
        match lead {
            Some(Answer { status: 200, body }) => {
                let [id, contact] = ["Id", CONVERTED_CONTACT].map(|name| text(body, name).filter(|id| is_id(id)));
                match (id, contact) {
                    (Some(id), Some(contact)) => Ok((id.to_owned(), contact.to_owned())),
                    _ => Err(Verdict::reject(
                        FailureReason::Refused,
                        format!(
                            "the lead of `{key}` was converted, and its contact is not to be seen by the integration user"
                        ),
                    )),
                }
            }
            other => Err(self.of_answer(other)),
        }
    }

    /// The id and the names of the fields of a contact.
    fn contact(&self, contact: Option<&Answer>) -> Result<(String, Vec<String>), Verdict> {
        match contact {
            Some(Answer { status: 200, body }) if text(body, "Id").is_some_and(is_id) => {
                let names = body.as_object().into_iter().flatten().map(|(name, _)| name.clone());
                let names = names.filter(|name| name != "Id" && name != "attributes").collect();
                Ok((text(body, "Id").unwrap_or_default().to_owned(), names))
            }
            Some(Answer { status: 404, .. }) => Err(Verdict::reject(
                FailureReason::Refused,
                "the lead of this person was converted, and somebody has deleted the contact, or the integration user may not see \
                 it",
            )),
            other => Err(self.of_answer(other)),
        }
    }

    /// The verdict on an answer inside of another one that is not what was hoped for.
    fn of_answer(&self, answer: Option<&Answer>) -> Verdict {
        match answer {
            Some(answer) => reply::refused(self, answer),
            None => Verdict::Retry {
                after: None,
                reason: FailureReason::ServerError,
                message: Some("Salesforce left out a part of its answer".to_owned()),
            },
        }
    }
}

fn answer<'a>(answers: &'a [(String, Answer)], name: &str) -> Option<&'a Answer> {
    answers.iter().find(|(known, _)| known == name).map(|(_, answer)| answer)
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}
