//! Folding over records in memory: whatever the order, the same people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::identity::graph::SHARERS_MAX;
use domain::identity::{Fact, Identifier, Moment, Profile, Stamped, Touch, Trace, Worth};
use domain::{AppspaceId, EventId, SubjectId, Timestamp};
use proptest::prelude::*;

use super::draft::{Draft, Folded, LINKS_PER_IDENTIFIER_MAX, Records, Wanted};

const START: Timestamp = Timestamp::from_secs(1_772_634_728);

/// A store for drafts.
#[derive(Default)]
struct Shelf {
    records: Records,
    steps: i64,
}

fn id(text: &str) -> Identifier {
    text.parse().unwrap()
}

fn appspace() -> AppspaceId {
    AppspaceId::mint(START, 1)
}

/// The fact with this number, told so many seconds after the start: these are one, and an install happened.
fn fact(number: u64, seconds: i64, identifiers: &[&str]) -> (EventId, Fact) {
    let at = START + Duration::from_secs(seconds.unsigned_abs());
    let moment = Moment { at, tie: number };
    let mut identifiers: Vec<_> = identifiers.iter().map(|text| id(text)).collect();
    identifiers.sort();
    identifiers.dedup();
    let value = Touch { worth: Worth::Certain, campaign: Some(format!("campaign {number}")), ..Touch::default() };
    let touch = Some(Stamped { at, tie: number, value });
    let trace = Trace {
        first_seen: Some(at),
        last_seen: Some(at),
        first_touch: touch.clone(),
        last_touch: touch,
        installed_at: Some(at),
        ..Trace::default()
    };
    (EventId::mint(at, u128::from(number)), Fact { identifiers, moment, trace })
}

impl Shelf {
    fn look_up(&self, draft: &mut Draft, wanted: Wanted) {
        let mut subjects = wanted.subjects;
        for identifier in wanted.identifiers {
            let found = self.records.identifiers.get(&identifier).cloned();
            subjects.insert(draft.subject_with(&identifier, found.as_ref()));
            draft.learn(identifier, found);
        }
        for id in draft.unknown_subjects(&subjects) {
            draft.learn_subject(id, self.records.subjects.get(&id).cloned());
        }
    }

    /// Folds facts in one step.
    fn fold(&mut self, facts: &[(EventId, Fact)]) -> Folded {
        self.steps += 1;
        let now = START + Duration::from_hours(1) + Duration::from_millis(self.steps.unsigned_abs());
        let mut draft = Draft::new(appspace(), true);
        for (event, fact) in facts {
            while let Err(wanted) = draft.tell(*event, fact, now) {
                assert_ne!(wanted, Wanted::default());
                self.look_up(&mut draft, wanted);
            }
        }
        self.keep(draft)
    }

    fn cut(&mut self, identifier: &Identifier, at: Timestamp) -> Folded {
        let mut draft = Draft::new(appspace(), true);
        let wanted = draft.unknown([identifier]);
        self.look_up(&mut draft, wanted);
        while let Err(wanted) = draft.cut(identifier, at) {
            self.look_up(&mut draft, wanted);
        }
        self.keep(draft)
    }

    /// Forgets whoever has this identifier, as a store does.
    fn erase(&mut self, identifier: &str) {
        let subject = self.records.identifiers[&id(identifier)].subject;
        let gone = self.records.subjects.remove(&subject).unwrap();
        gone.absorbed.iter().for_each(|id| drop(self.records.subjects.remove(id)));
        self.records.identifiers.retain(|identifier, _| !gone.identifiers.contains(identifier));
        for record in self.records.identifiers.values_mut() {
            record.links.retain(|other, _| !gone.identifiers.contains(other));
        }
    }

    fn keep(&mut self, draft: Draft) -> Folded {
        let folded = draft.finish();
        let identifiers = folded.identifiers.iter().map(|record| (record.identifier.clone(), record.clone()));
        self.records.identifiers.extend(identifiers);
        self.records.subjects.extend(folded.subjects.iter().map(|record| (record.id, record.clone())));
        self.is_whole();
        folded
    }

    /// What must hold after every step.
    fn is_whole(&self) {
        for record in self.records.identifiers.values() {
            let subject = &self.records.subjects[&record.subject];
            assert!(subject.identifiers.contains(&record.identifier), "{record:?} {subject:?}");
            for (other, moment) in &record.links {
                assert_eq!(self.records.identifiers[other].links.get(&record.identifier), Some(moment));
            }
        }
        for subject in self.records.subjects.values() {
            assert_eq!(subject.identifiers.is_empty(), subject.merged_into.is_some(), "{subject:?}");
            assert!(subject.identifiers.iter().all(|one| self.records.identifiers[one].subject == subject.id));
        }
        let absorbed: Vec<&SubjectId> = self.records.subjects.values().flat_map(|subject| &subject.absorbed).collect();
        assert_eq!(absorbed.len(), BTreeSet::from_iter(&absorbed).len(), "a subject is absorbed once");
    }

    fn profile_of(&self, identifier: &str) -> Profile {
        self.records.profile(self.records.identifiers[&id(identifier)].subject).unwrap()
    }

    /// Who is who, and what is known of them, but for their ids.
    fn people(&self) -> BTreeMap<BTreeSet<Identifier>, Trace> {
        let profiles = self.records.subjects.keys().filter_map(|id| self.records.profile(*id));
        profiles.map(|profile| (profile.identifiers, profile.trace)).collect()
    }

    /// `user:1 install:i | click:c`.
    fn line(&self) -> String {
        let people = self.people();
        let line = |set: &BTreeSet<Identifier>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        people.keys().map(line).collect::<Vec<_>>().join(" | ")
    }
}

proptest! {
    #[test]
    fn any_order_repetition_and_batching_of_the_same_events_makes_the_same_people(
        events in prop::collection::vec(
            (prop::collection::vec("(user|email|install|click|click|anonymous|referral):[abcd]", 1..4), 0_i64..6),
            1..16,
        ),
        order in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(1_usize..5, 24),
    ) {
        let facts: Vec<_> = events
            .iter()
            .zip(0..)
            .map(|((names, seconds), number)| {
                fact(number, *seconds, &names.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        let mut one = Shelf::default();
        one.fold(&facts);
        let mut other: Vec<_> = facts.iter().rev().cloned().chain(facts.iter().cloned()).collect();
        let middle = order.index(other.len());
        other.rotate_left(middle);
        let (mut shelf, mut rest) = (Shelf::default(), &other[..]);
        for size in sizes {
            let (batch, left) = rest.split_at(size.min(rest.len()));
            shelf.fold(batch);
            rest = left;
        }
        shelf.fold(rest);
        prop_assert_eq!(one.people(), shelf.people());
    }
}

/// What a person or the clock does between events.
#[derive(Debug, Clone)]
enum Deed {
    Cut(String),
    Erase(String),
    /// Retention, once the events of all devices are over.
    Forget,
}

const NAMES: &str = "(user|email|install|click|anonymous|referral):[abc]";

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![NAMES.prop_map(Deed::Cut), NAMES.prop_map(Deed::Erase), Just(Deed::Forget)]
}

impl Shelf {
    fn live(&mut self, deed: &Deed, at: Timestamp) {
        match deed {
            Deed::Cut(name) => drop(self.cut(&id(name), at)),
            Deed::Erase(name) if self.records.identifiers.contains_key(&id(name)) => self.erase(name),
            Deed::Erase(_) => {}
            Deed::Forget => self.forget_devices(),
        }
        self.is_whole();
    }

    /// Forgets everybody who is no person and linked to nobody else, as a store does.
    fn forget_devices(&mut self) {
        let alone = |profile: &BTreeSet<Identifier>| {
            let records = profile.iter().map(|one| &self.records.identifiers[one]);
            !profile.iter().any(|one| one.kind().is_person())
                && records.flat_map(|record| record.links.keys()).all(|other| profile.contains(other))
        };
        let gone: Vec<String> =
            self.people().keys().filter(|set| alone(set)).map(|set| set.first().unwrap().to_string()).collect();
        for one in gone {
            self.erase(&one);
        }
    }
}

proptest! {
    #[test]
    fn between_unlinks_erasures_and_retention_the_order_of_events_changes_nothing(
        days in prop::collection::vec(
            (prop::collection::vec((prop::collection::vec(NAMES, 1..4), 0_i64..40), 0..6), deed()),
            1..6,
        ),
        turn in any::<prop::sample::Index>(),
        size in 1_usize..4,
    ) {
        let (mut one, mut other, mut number) = (Shelf::default(), Shelf::default(), 0);
        for ((told, deed), day) in days.iter().zip(1..) {
            let facts: Vec<_> = told
                .iter()
                .map(|(names, seconds)| {
                    number += 1;
                    fact(number, *seconds, &names.iter().map(String::as_str).collect::<Vec<_>>())
                })
                .collect();
            one.fold(&facts);
            let mut mixed: Vec<_> = facts.iter().rev().cloned().chain(facts.iter().cloned()).collect();
            if !mixed.is_empty() {
                let middle = turn.index(mixed.len());
                mixed.rotate_left(middle);
            }
            mixed.chunks(size).for_each(|some| drop(other.fold(some)));
            prop_assert_eq!(one.people(), other.people());
            let at = START + Duration::from_secs(10 * day);
            one.live(deed, at);
            other.live(deed, at);
            prop_assert_eq!(one.people(), other.people());
        }
    }
}

#[test]
fn a_device_becomes_a_person_and_keeps_its_id() {
    let mut shelf = Shelf::default();
    shelf.fold(&[fact(1, 1, &["click:c", "install:i"])]);
    let device = shelf.profile_of("install:i").subject;
    let folded = shelf.fold(&[fact(2, 2, &["user:1", "install:i"])]);
    assert_eq!((shelf.line().as_str(), shelf.profile_of("user:1").subject), ("user:1 install:i click:c", device));
    let [change] = &folded.changes[..] else { panic!("{:?}", folded.changes) };
    assert!(change.changed.contains(&"user_id".to_owned()), "{:?}", change.changed);
}

#[test]
fn of_two_that_turn_out_to_be_one_the_known_one_goes_on_and_remembers_the_other_one() {
    let mut shelf = Shelf::default();
    shelf.fold(&[fact(1, 1, &["click:a"]), fact(2, 1, &["click:b"]), fact(3, 2, &["click:b", "install:i"])]);
    shelf.fold(&[fact(4, 3, &["user:1"])]);
    let (a, b, user) =
        (shelf.profile_of("click:a").subject, shelf.profile_of("click:b").subject, shelf.profile_of("user:1").subject);
    shelf.fold(&[fact(5, 4, &["click:a", "install:i"])]);
    let device = shelf.profile_of("install:i");
    assert_eq!(device.absorbed.len(), 1);
    shelf.fold(&[fact(6, 5, &["user:1", "install:i"])]);
    let all = shelf.profile_of("click:a");
    assert_eq!((all.subject, all.absorbed), (user, BTreeSet::from([a, b])));
    assert_eq!(shelf.records.subjects[&device.subject].merged_into, Some(user));
}

#[test]
fn an_older_link_takes_a_device_from_one_person_to_the_other_and_both_are_news() {
    let mut shelf = Shelf::default();
    shelf.fold(&[fact(1, 10, &["user:1", "install:i"]), fact(2, 11, &["user:2"])]);
    let (one, two) = (shelf.profile_of("user:1").subject, shelf.profile_of("user:2").subject);
    shelf.fold(&[fact(3, 12, &["install:i"])]);
    let (event, told) = fact(4, 5, &["user:2", "install:i"]);
    let folded = shelf.fold(&[(event, told)]);
    assert_eq!(shelf.line(), "user:1 | user:2 install:i");
    assert_eq!((shelf.profile_of("user:1").subject, shelf.profile_of("install:i").subject), (one, two));
    // The event is about the second one; the first one has to be told apart from it.
    let carriers: BTreeMap<SubjectId, Vec<EventId>> =
        folded.changes.iter().map(|change| (change.profile.subject, change.carriers.clone())).collect();
    assert_eq!(carriers.get(&two), Some(&vec![event]));
    assert!(folded.changes.iter().all(|change| change.because == Some(event)));
}

#[test]
fn what_is_cut_stays_apart_until_it_is_said_anew() {
    let mut shelf = Shelf::default();
    let facts = [fact(1, 1, &["user:1", "install:i"]), fact(2, 2, &["click:c", "install:i"])];
    shelf.fold(&facts);
    let person = shelf.profile_of("user:1").subject;
    shelf.cut(&id("install:i"), START + Duration::from_secs(10));
    assert_eq!(shelf.line(), "user:1 | install:i | click:c");
    assert_eq!(shelf.profile_of("user:1").subject, person);
    assert_ne!(shelf.profile_of("install:i").subject, person);
    shelf.fold(&facts);
    shelf.fold(&[fact(3, 9, &["user:1", "install:i"])]);
    assert_eq!(shelf.line(), "user:1 | install:i | click:c", "what was told before is not told again");
    shelf.fold(&[fact(4, 11, &["user:1", "install:i"])]);
    assert_eq!(shelf.line(), "user:1 install:i | click:c");
    assert_eq!(shelf.profile_of("install:i").subject, person);
}

#[test]
fn what_is_cut_twice_gets_an_id_of_its_own_each_time() {
    let mut shelf = Shelf::default();
    let mut ids = BTreeSet::new();
    for round in 0..3_i64 {
        shelf.fold(&[fact(round.unsigned_abs(), 10 * round + 1, &["user:1", "install:i"])]);
        shelf.cut(&id("install:i"), START + Duration::from_secs(10 * round.unsigned_abs() + 5));
        ids.insert(shelf.profile_of("install:i").subject);
    }
    assert_eq!(ids.len(), 3);
}

#[test]
fn who_turned_out_to_be_somebody_goes_along_with_what_it_began_with() {
    let mut shelf = Shelf::default();
    shelf.fold(&[fact(1, 1, &["install:i"]), fact(2, 2, &["user:1"]), fact(3, 3, &["user:2"])]);
    let device = shelf.profile_of("install:i").subject;
    shelf.fold(&[fact(4, 20, &["user:1", "install:i"])]);
    assert_eq!(shelf.profile_of("user:1").absorbed, BTreeSet::from([device]));
    // The device was the second one's all the time: a record of it must not become part of the first one's.
    shelf.fold(&[fact(5, 10, &["user:2", "install:i"])]);
    assert_eq!(shelf.profile_of("user:1").absorbed, BTreeSet::new());
    assert_eq!(shelf.profile_of("user:2").absorbed, BTreeSet::from([device]));
    shelf.cut(&id("install:i"), START + Duration::from_secs(30));
    let alone = shelf.profile_of("install:i");
    assert_eq!(alone.absorbed, BTreeSet::from([device]));
    assert_eq!(shelf.records.subjects[&device].merged_into, Some(alone.subject));
    assert_eq!(shelf.profile_of("user:2").absorbed, BTreeSet::new());
}

#[test]
fn who_led_to_somebody_by_way_of_one_that_goes_still_leads_there() {
    let mut shelf = Shelf::default();
    shelf.fold(&[fact(1, 1, &["click:c"]), fact(2, 2, &["install:i"]), fact(3, 3, &["user:1"])]);
    let (click, device) = (shelf.profile_of("click:c").subject, shelf.profile_of("install:i").subject);
    shelf.fold(&[fact(4, 20, &["click:c", "install:i"])]);
    shelf.fold(&[fact(5, 21, &["user:1", "install:i"]), fact(6, 22, &["user:1", "click:c"])]);
    let user = shelf.profile_of("user:1");
    assert_eq!(user.absorbed, BTreeSet::from([click, device]));
    let cut = if shelf.records.subjects[&device].merged_into == Some(user.subject) { "install:i" } else { "click:c" };
    let (gone, stays) = if cut == "install:i" { (device, click) } else { (click, device) };
    assert_eq!(shelf.records.subjects[&stays].merged_into, Some(gone));
    shelf.cut(&id(cut), START + Duration::from_secs(30));
    assert_eq!(shelf.records.subjects[&stays].merged_into, Some(user.subject));
    assert_eq!(shelf.records.subjects[&gone].merged_into, Some(shelf.profile_of(cut).subject));
}

#[test]
fn a_device_that_is_forgotten_and_comes_back_is_not_whom_it_was_once() {
    let mut shelf = Shelf::default();
    shelf.fold(&[fact(1, 10, &["install:i"])]);
    shelf.fold(&[fact(2, 20, &["user:1", "install:i"])]);
    let first = shelf.profile_of("user:1");
    // The id began with the device and stays with the user.
    shelf.fold(&[fact(3, 15, &["user:2", "install:i"])]);
    assert_eq!(shelf.profile_of("user:1").subject, first.subject);
    shelf.erase("user:2");
    shelf.fold(&[fact(4, 40, &["install:i"])]);
    assert_eq!(shelf.line(), "user:1 | install:i");
    assert_eq!(shelf.profile_of("user:1").subject, first.subject);
    assert_ne!(shelf.profile_of("install:i").subject, first.subject);
}

#[test]
fn what_many_share_is_cut_from_all_of_them() {
    let mut shelf = Shelf::default();
    for number in 0..=u64::try_from(SHARERS_MAX).unwrap() {
        shelf.fold(&[fact(number, 10, &[format!("user:{number}").as_str(), "install:tablet"])]);
    }
    shelf.cut(&id("install:tablet"), START + Duration::from_secs(20));
    shelf.fold(&[fact(100, 30, &["user:3", "install:phone"])]);
    assert_eq!(shelf.profile_of("install:tablet").identifiers, BTreeSet::from([id("install:tablet")]));
}

#[test]
fn what_many_share_names_nobody() {
    let mut shelf = Shelf::default();
    for person in 0..=SHARERS_MAX as u64 {
        assert_eq!(shelf.people().len() as u64, person);
        shelf.fold(&[fact(person, 100 - person.cast_signed(), &[&format!("user:{person}"), "install:tablet"])]);
    }
    assert_eq!(shelf.profile_of("install:tablet").identifiers.len(), 1, "it is of nobody now");
    let before = shelf.records.identifiers[&id("install:tablet")].clone();
    let folded = shelf.fold(&[fact(99, 1, &["user:x", "install:tablet"])]);
    assert_eq!((folded.refused, &before), (1, &shelf.records.identifiers[&id("install:tablet")]));
}

#[test]
fn one_person_with_very_many_clicks_keeps_the_first_ones_and_costs_no_more_from_then_on() {
    let mut shelf = Shelf::default();
    let clicks: Vec<String> = (0..LINKS_PER_IDENTIFIER_MAX + 5).map(|number| format!("click:{number}")).collect();
    let facts: Vec<_> =
        clicks.iter().zip(0..).map(|(click, number)| fact(number, number.cast_signed(), &["user:1", click])).collect();
    let refused: u64 = facts.chunks(50).map(|some| shelf.fold(some).refused).sum();
    assert_eq!(refused, 5);
    let profile = shelf.profile_of("user:1");
    assert_eq!(profile.identifiers.len(), LINKS_PER_IDENTIFIER_MAX + 1);
    // The clicks themselves count all the same: they name the user.
    assert_eq!(profile.trace.last_touch.unwrap().value.campaign.unwrap(), "campaign 504");
}

#[test]
fn a_crowd_that_cannot_be_looked_through_is_decided_among_those_who_are_named() {
    let mut shelf = Shelf::default();
    let (mut number, mut facts) = (0, Vec::new());
    // Each person has many clicks and shares a device with the next one, so everybody is linked to everybody.
    for person in 0..8 {
        for click in 0..300 {
            number += 1;
            facts.push(fact(number, 1, &[&format!("user:{person}"), &format!("click:{person}-{click}")]));
        }
        for device in [person, person + 1] {
            number += 1;
            facts.push(fact(number, 2, &[&format!("user:{person}"), &format!("install:{device}")]));
        }
    }
    for some in facts.chunks(800) {
        shelf.fold(some);
    }
    let folded = shelf.fold(&[fact(9_999, 3, &["user:4", "email:a@b.c"])]);
    assert_eq!(folded.refused, 0);
    assert!(shelf.profile_of("user:4").identifiers.contains(&id("email:a@b.c")));
    assert_eq!(shelf.people().len(), 8);
}

#[test]
fn only_clicks_are_no_news() {
    let mut shelf = Shelf::default();
    let (event, mut told) = fact(1, 1, &["click:c"]);
    told.trace.installed_at = None;
    assert_eq!(shelf.fold(&[(event, told)]).changes, []);
}

#[test]
fn what_is_said_again_is_no_news_and_writes_nothing() {
    let mut shelf = Shelf::default();
    let facts = [fact(1, 1, &["user:1", "install:i"])];
    assert_eq!(shelf.fold(&facts).changes.len(), 1);
    let again = shelf.fold(&facts);
    assert_eq!((again.changes.len(), again.identifiers.len(), again.subjects.len()), (0, 0, 0));
}
