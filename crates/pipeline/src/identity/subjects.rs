//! Which subject goes on when identifiers are put together or taken apart.

use std::cmp::Reverse;

use domain::identity::{Identifier, IdentifierKind};
use domain::{SubjectId, Timestamp};
use storage::SubjectRecord;

/// A subject as far as it matters to who keeps the id.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) id: SubjectId,
    /// Where this identifier goes the id goes: the user, else an address, else what the subject began with.
    pub(crate) anchor: Identifier,
    created_at: Timestamp,
}

impl Holder {
    /// `None` of a subject that holds nothing.
    pub(crate) fn of(record: &SubjectRecord) -> Option<Self> {
        let best = record.identifiers.first()?;
        let keeps_born = !best.kind().is_person() && record.identifiers.contains(&record.born);
        let anchor = if keeps_born { &record.born } else { best };
        Some(Self { id: record.id, anchor: anchor.clone(), created_at: record.created_at })
    }
}

/// Of subjects that turn out to be one, the one that goes on: the one with a user, else with an address, else the oldest.
pub(crate) fn survivor(holders: &[&Holder]) -> Option<SubjectId> {
    let rank = |holder: &&&Holder| {
        let kind = holder.anchor.kind();
        let has = |wanted: IdentifierKind| Reverse(kind == wanted);
        (has(IdentifierKind::User), has(IdentifierKind::Email), holder.created_at, holder.id)
    };
    holders.iter().min_by_key(rank).map(|holder| holder.id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::AppspaceId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_772_634_728);

    fn holder(identifiers: &str, age_secs: i64) -> Holder {
        let identifiers: BTreeSet<Identifier> = identifiers.split(' ').map(|text| text.parse().unwrap()).collect();
        let appspace = AppspaceId::mint(NOW, 1);
        let born = identifiers.last().unwrap().clone();
        Holder::of(&SubjectRecord {
            id: SubjectId::born(appspace, &born, 0),
            appspace,
            born,
            created_at: Timestamp::from_secs(1_000 - age_secs),
            identifiers,
            absorbed: BTreeSet::new(),
            lost: BTreeSet::new(),
            merged_into: None,
        })
        .unwrap()
    }

    #[test]
    fn the_one_with_a_user_goes_on_then_the_one_with_an_address_then_the_oldest() {
        let (user, email) = (holder("user:1 click:a", 1), holder("email:a@b.c click:b", 2));
        let (old, older) = (holder("install:i", 3), holder("click:c", 4));
        assert_eq!(survivor(&[&older, &email, &user, &old]), Some(user.id));
        assert_eq!(survivor(&[&older, &email, &old]), Some(email.id));
        assert_eq!(survivor(&[&old, &older]), Some(older.id));
        assert_eq!(survivor(&[]), None);
    }

    #[test]
    fn an_id_stays_with_the_person_or_with_what_it_began_with() {
        assert_eq!(holder("user:1 email:a@b.c click:a", 0).anchor.to_string(), "user:1");
        assert_eq!(holder("email:a@b.c install:i", 0).anchor.to_string(), "email:a@b.c");
        assert_eq!(holder("install:i click:a", 0).anchor.to_string(), "click:a");
    }
}
