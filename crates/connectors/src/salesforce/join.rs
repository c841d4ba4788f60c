//! What is done about records that were written: those of subjects that turned out to be one person become one, and a lead
//! whose person converted is converted, where that is wanted.

use domain::Verdict;
use domain::connector::{Batch, HttpCall, Reply};
use domain::verdict::FailureReason;
use serde::Deserialize;
use serde_json::{Value, json};

use super::blame::{Blame, Deed};
use super::bound::{Bound, Ledger};
use super::case::{Asked, Need, Turn, What, Whom};
use super::reply::{self, Failure, ItemError, Outcome, Refusal, is_id};
use super::settings::{CONTACT, Org};
use super::soap::{self, Merge};
use super::write::Asking;
use crate::crm::Person;

/// Most requests to merge of one call.
const MERGES_MAX: usize = 200;
/// Most leads of one call to convert.
const CONVERSIONS_MAX: usize = 100;

impl Org {
    /// Looks for what may be there of absorbed subjects, then merges what is there; who has nothing of the kind is done.
    pub(super) fn join(&self, turn: &mut Turn<'_>) -> Option<Asking> {
        let Turn { batch, people, ledger, exchange } = turn;
        let (mut unheard_of, mut merges, mut whom) = (Vec::new(), Vec::new(), Vec::new());
        for place in exchange.who(|need| *need == Need::Join) {
            let Some(person) = people.people.get(place) else { continue };
            let absorbed: Vec<String> = person.profile.absorbed.iter().map(ToString::to_string).collect();
            let maybe = absorbed.iter().filter(|subject| matches!(ledger.of(subject), Bound::Maybe { .. }));
            let before = unheard_of.len();
            unheard_of.extend(maybe.map(|subject| (place, subject.clone())));
            if unheard_of.len() > before {
                continue;
            }
            let own = ledger.of(&person.key());
            let there: Vec<_> = absorbed.into_iter().filter(|subject| ledger.has(subject)).collect();
            // A record of both already needs no more than to be forgotten as the other's.
            let (same, there): (Vec<_>, Vec<_>) =
                there.into_iter().partition(|subject| ledger.of(subject).record() == own.record());
            for subject in same {
                ledger.forget(&subject);
            }
            if there.is_empty() {
                let need = self.finish(person, ledger);
                exchange.needs(place, need);
                continue;
            }
            match self.merges(ledger, person, &there) {
                Ok(ours) => {
                    merges.extend(ours);
                    whom.extend(there.into_iter().map(|subject| Whom::about(place, vec![subject])));
                }
                Err(verdict) => {
                    // Nobody is told again with every event; whoever reads it merges them.
                    for subject in there {
                        ledger.forget(&subject);
                    }
                    exchange.over(place, verdict);
                }
            }
        }
        if !unheard_of.is_empty() {
            return self.find(batch, unheard_of);
        }
        merges.truncate(MERGES_MAX);
        whom.truncate(MERGES_MAX);
        (!merges.is_empty()).then(|| (What::Merge, whom, self.merge(batch, &merges)))
    }

    /// The requests that make one record of several, the person's own being the one that stays.
    fn merges(&self, ledger: &Ledger<'_>, person: &Person<'_>, subjects: &[String]) -> Result<Vec<Merge>, Verdict> {
        let own = ledger.of(&person.key());
        let Some(master) = own.record() else {
            return Err(Verdict::retry(FailureReason::Unprocessable));
        };
        let object = self.object_of(&own);
        let merge = |subject: &String| {
            let other = ledger.of(subject);
            let (other_object, other) = (self.object_of(&other), other.record().unwrap_or_default());
            if other_object != object {
                return Err(unlike(&format!("{object} `{master}`"), &format!("{other_object} `{other}`")));
            }
            Ok(Merge { object, master: master.to_owned(), victim: other.to_owned() })
        };
        subjects.iter().map(merge).collect()
    }

    pub(super) fn object_of(&self, bound: &Bound) -> &'static str {
        if matches!(bound, Bound::Converted { .. }) { CONTACT } else { self.object.name() }
    }

    fn merge(&self, batch: &Batch<'_>, merges: &[Merge]) -> HttpCall {
        let mut url = self.base(batch.token);
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(["services", "Soap", "u", &self.version]);
        }
        soap::merge(url, batch.token, merges)
    }

    pub(super) fn merged(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { ledger, exchange, .. } = turn;
        let outcomes = soap::outcomes(self, reply, asked.whom.len())?;
        let blame = Blame::of(Deed::Merge, &outcomes);
        for (whom, outcome) in asked.whom.iter().zip(outcomes) {
            match Failure::of(self, &outcome, blame) {
                // The person's own record was just written, so what is deleted is the other one.
                None | Some(Failure::Deleted(_)) => {
                    whom.about.iter().for_each(|subject| ledger.forget(subject));
                }
                // Somebody has converted the other one, and is told once.
                Some(Failure::IsConverted) => {
                    let Some((case, subject)) = exchange.cases.get(whom.case).zip(whom.about.first()) else { continue };
                    let [own, other] = [&case.key, subject].map(|of| ledger.of(of));
                    let [own, other] = [&own, &other].map(|bound| bound.record().unwrap_or_default());
                    let verdict = unlike(&format!("Lead `{own}`"), &format!("the converted lead `{other}`"));
                    ledger.forget(subject);
                    exchange.over(whom.case, verdict);
                }
                Some(failure) => exchange.over(whom.case, failure.verdict()),
            }
        }
        Ok(())
    }

    /// What is left to do about somebody whose record is written and is the only one.
    fn finish(&self, person: &Person<'_>, ledger: &Ledger<'_>) -> Need {
        let is_due = self.converts_to.is_some() && person.profile.trace.converted_at.is_some();
        match ledger.of(&person.key()) {
            Bound::Record(_) if is_due => Need::Convert,
            _ => Need::Over { verdict: Verdict::Delivered },
        }
    }

    /// Converts leads as Salesforce means it: by an operation of its own, once, and never by writing a status.
    pub(super) fn convert(&self, turn: &mut Turn<'_>) -> Option<Asking> {
        let Turn { batch, ledger, exchange, .. } = turn;
        let (mut inputs, mut whom) = (Vec::new(), Vec::new());
        for place in exchange.who(|need| *need == Need::Convert).into_iter().take(CONVERSIONS_MAX) {
            match ledger.of(&exchange.cases[place].key) {
                Bound::Record(id) => {
                    inputs.push(json!({"leadId": id, "convertedStatus": self.converts_to, "createOpportunity": false}));
                    whom.push(Whom::about(place, vec![id]));
                }
                _ => exchange.over(place, Verdict::Delivered),
            }
        }
        let call = self.post(batch.token, &["actions", "standard", "convertLead"], &json!({"inputs": inputs}));
        (!inputs.is_empty()).then_some((What::Convert, whom, call))
    }

    pub(super) fn converted(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { ledger, exchange, .. } = turn;
        let results = conversions(self, reply, asked.whom.len())?;
        let outcomes: Vec<_> = results.iter().map(Conversion::outcome).collect();
        let blame = Blame::of(Deed::Conversion, &outcomes);
        for ((whom, result), outcome) in asked.whom.iter().zip(results).zip(outcomes) {
            let (Some(case), Some(lead)) = (exchange.cases.get_mut(whom.case), whom.about.first()) else { continue };
            case.need = match Failure::of(self, &outcome, blame) {
                None => {
                    if let Some(contact) = result.output_values["contactId"].as_str().filter(|id| is_id(id)) {
                        let bound = Bound::Converted { lead: lead.clone(), contact: contact.to_owned() };
                        ledger.note(&case.key, &bound);
                    }
                    Need::Over { verdict: Verdict::Delivered }
                }
                // The answer to an earlier call was lost, or somebody was faster. The contact is found by the next event.
                Some(Failure::IsConverted) => Need::Over { verdict: Verdict::Delivered },
                Some(failure) => Need::Over { verdict: failure.verdict() },
            };
        }
        Ok(())
    }
}

/// The verdict on two records of one person that cannot be made one.
fn unlike(own: &str, other: &str) -> Verdict {
    Verdict::reject(
        FailureReason::Refused,
        format!(
            "{own} and {other} are the same person, and Salesforce merges no lead with a contact; have somebody of the sales team \
             convert the lead into the contact"
        ),
    )
}

/// What became of one lead that was to be converted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conversion {
    is_success: bool,
    #[serde(default)]
    errors: Option<Vec<ItemError>>,
    #[serde(default)]
    output_values: Value,
}

impl Conversion {
    fn outcome(&self) -> Outcome {
        Outcome::of(self.is_success, self.errors.clone().unwrap_or_default())
    }
}

/// An action that fails for some of its inputs is answered with 400, and with a result for each.
fn conversions(org: &Org, reply: &Reply, count: usize) -> Result<Vec<Conversion>, Refusal> {
    match serde_json::from_slice::<Vec<Conversion>>(&reply.body) {
        Ok(results) if matches!(reply.status, 200 | 201 | 400) && results.len() == count => Ok(results),
        Ok(results) if reply.is_success() => Err(reply::miscounted(results.len(), count)),
        _ => Err(reply::refusal(org, reply)),
    }
}
