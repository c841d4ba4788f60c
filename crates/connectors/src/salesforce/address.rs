//! An address of a person that turned out to be somebody else's. It is taken out of the record once, and only if it is the one
//! that we gave: whatever the sales team has typed in since stays.

use domain::connector::Reply;
use serde_json::{Map, Value, json};

use super::blame::{Blame, Deed};
use super::bound::{Ledger, Ours};
use super::calls::record;
use super::case::{Asked, Need, Turn, What, Whom};
use super::fields::EMAIL;
use super::reply::{self, Failure, Refusal};
use super::settings::Org;
use super::write::Asking;
use crate::crm::{Person, Record, mark};

/// Most records of one call.
const RECORDS_MAX: usize = 200;

impl Org {
    /// What is needed of somebody whose record was just written, with these fields only if they are named.
    pub(super) fn after_writing(
        &self,
        whom: &Whom,
        key: &str,
        person: &Person<'_>,
        ledger: &mut Ledger<'_>,
        only: Option<&[String]>,
    ) -> Need {
        let is_kept = |only: &[String]| only.iter().any(|name| name == EMAIL);
        ledger.note_ours(key, &whom.ours);
        // Not if it is only that this destination is not told of addresses.
        let is_lost = Record::of(person.profile).email == Some("") && whom.ours.email.is_some();
        if !is_lost || self.properties.names().any(|name| name == EMAIL) || !only.is_none_or(is_kept) {
            return Need::Join;
        }
        let bound = ledger.of(key);
        bound
            .record()
            .map_or(Need::Join, |id| Need::Look { id: id.to_owned(), object: self.object_of(&bound).to_owned() })
    }

    /// Reads the addresses of records of one object.
    pub(super) fn look(&self, turn: &mut Turn<'_>) -> Option<Asking> {
        let Turn { batch, exchange, .. } = turn;
        let (mut of, mut ids, mut whom) = (None, Vec::new(), Vec::new());
        for (place, case) in exchange.cases.iter().enumerate() {
            let Need::Look { id, object } = &case.need else { continue };
            if *of.get_or_insert(object) == object && ids.len() < RECORDS_MAX {
                ids.push(id);
                whom.push(Whom::itself(place));
            }
        }
        let path = ["composite", "sobjects", of?.as_str()];
        let call = self.post(batch.token, &path, &json!({"ids": ids, "fields": ["Id", EMAIL]}));
        Some((What::Look, whom, call))
    }

    pub(super) fn looked(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { ledger, exchange, .. } = turn;
        let found = reply::list(self, reply, asked.whom.len())?;
        for (whom, found) in asked.whom.iter().zip(found) {
            let Some(case) = exchange.cases.get_mut(whom.case) else { continue };
            let Need::Look { id, object } = case.need.clone() else { continue };
            let is_ours = found[EMAIL].as_str().is_some_and(|email| ledger.ours(&case.key).email == Some(mark(email)));
            case.need = if is_ours {
                Need::Clear { id, object }
            } else {
                ledger.note_ours(&case.key, &Ours { email: None, ..ledger.ours(&case.key) });
                Need::Join
            };
        }
        Ok(())
    }

    /// Takes the addresses out.
    pub(super) fn clear(&self, turn: &mut Turn<'_>) -> Option<Asking> {
        let Turn { batch, exchange, .. } = turn;
        let (mut records, mut whom) = (Vec::new(), Vec::new());
        for (place, case) in exchange.cases.iter().enumerate() {
            let Need::Clear { id, object } = &case.need else { continue };
            if records.len() < RECORDS_MAX {
                let nothing = Map::from_iter([(EMAIL.to_owned(), Value::Null)]);
                records.push(record(object, "id", id, nothing));
                whom.push(Whom::itself(place));
            }
        }
        let call = self.records(batch.token, &["composite", "sobjects"], &records);
        (!records.is_empty()).then_some((What::Clear, whom, call))
    }

    pub(super) fn cleared(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { ledger, exchange, .. } = turn;
        let outcomes = reply::outcomes(self, reply, asked.whom.len())?;
        let blame = Blame::of(Deed::Known, &outcomes);
        for (whom, outcome) in asked.whom.iter().zip(outcomes) {
            let Some(case) = exchange.cases.get_mut(whom.case) else { continue };
            case.need = match Failure::of(self, &outcome, blame) {
                None => {
                    ledger.note_ours(&case.key, &Ours { email: None, ..ledger.ours(&case.key) });
                    Need::Join
                }
                // Whatever became of the record, the next event deals with it.
                Some(Failure::Deleted(_) | Failure::IsConverted) => Need::Join,
                Some(failure) => Need::Over { verdict: failure.verdict() },
            };
        }
        Ok(())
    }
}
