//! The deal of a person: one at most, told by our key among the deals that the person has. A list knows at once what search learns
//! later, so deals are not searched for.

use domain::Verdict;
use domain::connector::Progress;
use serde_json::{Map, Value};

use super::answer::Record;
use super::bound::{Bound, GONE, Seen};
use super::calls::Entity;
use super::case::{Around, Case, Need};
use super::wanted::Wanted;

impl Case {
    /// What comes next about the deal; `None` if there is nothing more to do, or nothing can be done now.
    pub(super) fn next_of_deal(
        &mut self,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Need>, Verdict> {
        let Some(person) = self.person.own.id() else { return Ok(None) };
        let wanted = around.account.wanted_deal(around.schema, around.person)?;
        let Some(wanted) = wanted.filter(|_| !self.deal.is_done) else { return Ok(None) };
        let is_alone = self.deal.olds.is_empty();
        let is_known = self.deal.is_sought || (is_alone && self.deal.own.id().is_some());
        // Whoever was made a moment ago has none.
        let is_nobodys = is_alone && self.person.is_new && self.deal.own == Bound::No;
        if !is_known && !is_nobodys {
            return Ok(Some(Need::ListDeals(person)));
        }
        match self.deal.own.clone() {
            Bound::Id { id, seen } => Ok(self.next_of_known_deal(id, &seen, &wanted, around, progress)),
            Bound::Maybe { since, .. } if self.is_too_early(since, around) => Ok(None),
            Bound::No | Bound::Maybe { .. } => {
                let unheard = self.deal.olds.iter().find_map(|(_, bound)| match bound {
                    Bound::Maybe { since, .. } => Some(*since),
                    Bound::No | Bound::Id { .. } => None,
                });
                if unheard.is_some_and(|since| self.is_too_early(since, around)) {
                    return Ok(None);
                }
                self.forget_old_deals(progress);
                let mut first = Map::new();
                first.insert("title".to_owned(), around.account.title(around.person)?.into());
                first.insert("person_id".to_owned(), person.into());
                let places = [("pipeline_id", around.schema.pipeline()), ("stage_id", around.schema.stage())];
                first.extend(places.into_iter().filter_map(|(name, id)| Some((name.to_owned(), Value::from(id?)))));
                Ok(Some(Need::Create(Entity::Deal, wanted.created(first))))
            }
        }
    }

    fn next_of_known_deal(
        &mut self,
        id: u64,
        seen: &Seen,
        wanted: &Wanted,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Option<Need> {
        let Some(record) = &self.deal.record else {
            if self.deal.is_alone() && !self.is_asked_again && seen.written == wanted.fingerprint() {
                self.deal.is_done = true;
                return None;
            }
            return Some(Need::Read(Entity::Deal, vec![id]));
        };
        if let Some(other) = self.deal.to_merge.first() {
            return Some(Need::Merge(Entity::Deal, *other, id));
        }
        let record = record.clone();
        self.forget_old_deals(progress);
        // What is archived cannot be written any more.
        let body = if record.is("is_archived") { Map::new() } else { wanted.changes(&record, seen) };
        if body.is_empty() {
            self.done(
                Entity::Deal,
                id,
                Seen { written: wanted.fingerprint(), ..Seen::default() },
                around.account,
                progress,
            );
            return None;
        }
        Some(Need::Update(Entity::Deal, id, body.into()))
    }

    pub(super) fn deal_written(
        &mut self,
        id: u64,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Result<(), Verdict> {
        let wanted = around.account.wanted_deal(around.schema, around.person)?;
        let written = wanted.map(|wanted| wanted.fingerprint()).unwrap_or_default();
        self.done(Entity::Deal, id, Seen { written, ..Seen::default() }, around.account, progress);
        Ok(())
    }

    /// The deals that the person has.
    pub(super) fn deals_listed(&mut self, records: Vec<Record>, around: &Around<'_>) {
        self.deal.is_sought = true;
        let code = around.schema.key(around.account, Entity::Deal);
        let is_it = |record: &Record| !record.is("is_deleted") && self.is_key(record.custom_text(code));
        let mut found: Vec<_> = records.into_iter().filter(is_it).collect();
        let (own, key) = (self.deal.own.id(), self.key.clone());
        found.sort_by_key(|record| (Some(record.id) != own, record.custom_text(code) != key, record.id));
        let mut found = found.into_iter();
        let Some(record) = found.next() else { return };
        // One that is kept and not in the list was archived, or given to somebody else, and stays the person's.
        if own.is_some_and(|id| id != record.id) {
            return;
        }
        self.deal.own = match &self.deal.own {
            own @ Bound::Id { .. } => own.clone(),
            Bound::No | Bound::Maybe { .. } => Bound::Id { id: record.id, seen: Seen::default() },
        };
        self.deal.to_merge.extend(found.map(|record| record.id));
        self.deal.record = Some(record);
    }

    /// Nothing is left of the deals of subjects that turned out to be this one.
    fn forget_old_deals(&mut self, progress: &mut Progress) {
        for (old, _) in std::mem::take(&mut self.deal.olds) {
            progress.bind(old, GONE);
        }
    }
}
