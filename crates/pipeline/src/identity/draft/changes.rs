//! What became known of whom.

use std::collections::BTreeSet;

use domain::identity::{Identifier, Profile};
use domain::{EventId, SubjectId};
use storage::{IdentifierRecord, SubjectRecord};

use super::{Change, Draft};

impl Draft {
    /// What a sales team sees otherwise than before.
    pub(super) fn changes(&self) -> Vec<Change> {
        let touched = |record: &&IdentifierRecord| self.found.identifiers.get(&record.identifier) != Some(record);
        let regrouped = |record: &&SubjectRecord| self.found.subjects.get(&record.id) != Some(record);
        let of_identifiers = self.now.identifiers.values().filter(touched).map(|record| record.subject);
        let subjects: BTreeSet<SubjectId> =
            self.now.subjects.values().filter(regrouped).map(|record| record.id).chain(of_identifiers).collect();
        let change = |id: SubjectId| {
            let profile = self.now.profile(id).filter(may_have_record)?;
            let before = self.found.profile(id);
            let changed = differences(before.as_ref(), &profile);
            let before = before.map(|before| before.trace).unwrap_or_default();
            let of_subject =
                |best: &Identifier| self.now.identifiers.get(best).is_some_and(|record| record.subject == id);
            let carriers = self.read.iter().filter(|(_, best)| best.as_ref().is_some_and(of_subject));
            let carriers: Vec<EventId> = carriers.map(|(event, _)| *event).collect();
            let because = carriers.last().or(self.causes.get(&id)).copied();
            (!changed.is_empty()).then_some(Change { profile, before, because, carriers, changed })
        };
        subjects.into_iter().filter_map(change).collect()
    }
}

/// Whether a CRM may have a record of a subject as far as it shows in the subject itself: more is known than clicks, or it has been
/// more than a device. This keeps the many that only click from being looked up.
fn may_have_record(profile: &Profile) -> bool {
    let has_been_more = !profile.lost.is_empty() || !profile.absorbed.is_empty();
    profile.trace.is_telling() || profile.is_known() || has_been_more
}

/// The members of a profile that are not as they were.
fn differences(before: Option<&Profile>, now: &Profile) -> Vec<String> {
    let value = |profile: &Profile| profile.value().as_object().cloned().unwrap_or_default();
    let (old, new) = (before.map(value).unwrap_or_default(), value(now));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned();
    let is_merged = before.map_or(!now.absorbed.is_empty(), |before| before.absorbed != now.absorbed);
    differ.chain(is_merged.then(|| "absorbed".to_owned())).collect()
}
