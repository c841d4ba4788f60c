//! Who somebody is: facts wait until they are folded, records come back, and devices go with their events.

use std::collections::{BTreeMap, BTreeSet};

use domain::identity::{Identifier, Moment, Money, Stamped, Trace};
use domain::{AppspaceId, DeliveryId, DestinationId, Event, EventId, SubjectId};

use super::erasure::erasure;
use super::kit::{Kit, at, change, first_step};
use crate::{
    DELIVERIES_PER_EVENT_MAX, Erased, Erasure, FACT_BYTES_PER_CALL_MAX, Fold, IdentifierRecord, MEMOS_PER_CALL_MAX,
    Memo, NewEvent, Result, SUBJECTS_PER_CALL_MAX, StoreError, SubjectRecord, binding_key,
};

pub(super) fn id(text: &str) -> Identifier {
    text.parse().expect("an identifier")
}

pub(super) fn all(texts: &[&str]) -> Vec<Identifier> {
    texts.iter().map(|text| id(text)).collect()
}

/// A fold of nothing.
pub(super) fn nothing(appspace: AppspaceId) -> Fold {
    Fold { appspace, events: Vec::new(), identifiers: Vec::new(), subjects: Vec::new(), news: Vec::new() }
}

/// One subject of these identifiers, each linked to the first one.
pub(super) fn one_subject(appspace: AppspaceId, identifiers: &[Identifier]) -> (SubjectRecord, Vec<IdentifierRecord>) {
    let subject = SubjectId::born(appspace, &identifiers[0], 0);
    let moment = Moment { at: at(0), tie: u64::MAX };
    let records = identifiers.iter().map(|identifier| {
        let is_first = *identifier == identifiers[0];
        let links = identifiers.iter().filter(|other| (**other == identifiers[0]) != is_first);
        IdentifierRecord {
            identifier: identifier.clone(),
            subject,
            links: links.map(|other| (other.clone(), moment)).collect(),
            cut_at: None,
            trace: Trace { first_seen: Some(at(0)), ..Trace::default() },
        }
    });
    let records = records.collect();
    let record = SubjectRecord {
        id: subject,
        appspace,
        born: identifiers[0].clone(),
        created_at: at(0),
        identifiers: identifiers.iter().cloned().collect(),
        absorbed: BTreeSet::new(),
        lost: BTreeSet::new(),
        merged_into: None,
    };
    (record, records)
}

/// A fold by which these events belong to the first of the identifiers of one subject.
pub(super) fn fold_of(kit: &Kit, texts: &[&str], events: &[&NewEvent]) -> Fold {
    let (subject, identifiers) = one_subject(kit.app, &all(texts));
    let events = events.iter().map(|new| (new.event.id, Some(id(texts[0])))).collect();
    Fold { events, identifiers, subjects: vec![subject], ..nothing(kit.app) }
}

pub(super) async fn fold(kit: &Kit, fold: Fold) {
    kit.store().fold(fold).await.expect("fold");
}

/// Stores an event with facts in it.
pub(super) async fn tell(kit: &mut Kit, secs: i64) -> NewEvent {
    let new = NewEvent { has_facts: true, ..kit.event(secs, &[]) };
    kit.append(vec![new.clone()]).await;
    new
}

pub(super) async fn unfolded(kit: &Kit, limit: usize) -> Vec<EventId> {
    kit.store().unfolded(None, limit).await.expect("events").iter().map(|event| event.id).collect()
}

async fn unfolded_after(kit: &Kit, after: EventId) -> Vec<EventId> {
    kit.store().unfolded(Some(after), 10).await.expect("events").iter().map(|event| event.id).collect()
}

pub(super) async fn events_of(kit: &Kit, texts: &[&str], after: Option<EventId>, limit: usize) -> Vec<EventId> {
    let found = kit.store().events_of(kit.app, &all(texts), after, limit).await.expect("events");
    found.iter().map(|event| event.id).collect()
}

pub(super) async fn records(kit: &Kit, texts: &[&str]) -> Vec<Option<IdentifierRecord>> {
    kit.store().identifiers(kit.app, &all(texts)).await.expect("identifiers")
}

pub(super) async fn subject(kit: &Kit, of: SubjectId) -> Option<SubjectRecord> {
    kit.store().subjects(kit.app, &[of]).await.expect("subjects").remove(0)
}

#[track_caller]
fn expect_limit<T: std::fmt::Debug>(result: &Result<T>) {
    assert!(matches!(result, Err(StoreError::Limit(_))), "{result:?}");
}

pub(super) async fn a_replay_has_events_read_that_nobody_has_read(mut kit: Kit) {
    let to = kit.destination("a").await;
    let replay = kit.replay(to).await;
    // Of these, as of all that were stored before there was a list, none is on it.
    let [old, nobody, read] = [kit.event(0, &[]), kit.event(1, &[]), kit.event(2, &[])];
    kit.append(vec![old.clone(), nobody.clone(), read.clone()]).await;
    fold(&kit, fold_of(&kit, &["user:1"], &[&read])).await;
    let owed = [&old, &nobody, &read].map(|new| new.event.id);
    let step =
        crate::ReplayStep { unread: vec![owed[0], owed[2], EventId::mint(at(9), 9)], ..first_step(replay, 10, &owed) };
    kit.store().advance_replay(step.clone()).await.expect("a step");
    for _ in 0..2 {
        assert_eq!(unfolded(&kit, 9).await, [old.event.id]);
        assert!(!kit.store().are_folded(&[old.event.id]).await.expect("an answer"));
        kit.reopen().await;
    }
    // A step that was made already changes nothing.
    fold(&kit, Fold { events: vec![(old.event.id, None)], ..nothing(kit.app) }).await;
    kit.store().advance_replay(step).await.expect("a step");
    assert_eq!(unfolded(&kit, 9).await, []);
}

pub(super) async fn an_event_with_facts_waits_until_it_is_folded(mut kit: Kit) {
    let plain = kit.event(0, &[]);
    kit.append(vec![plain.clone()]).await;
    let told = [tell(&mut kit, 1).await, tell(&mut kit, 2).await, tell(&mut kit, 0).await];
    let theirs = NewEvent { has_facts: true, ..kit.event(3, &[]) };
    let theirs = change(&theirs, |event| Event { appspace: kit.other, ..event });
    let theirs = NewEvent { has_facts: true, ..theirs };
    // What is known already is not told again.
    let again = NewEvent { has_facts: true, ..kit.again(&told[0], 4) };
    kit.append(vec![theirs.clone(), again]).await;
    let [a, b, c] = told.each_ref().map(|new| new.event.id);
    let missing = EventId::mint(at(9), 9);
    for _ in 0..2 {
        assert_eq!(unfolded(&kit, 10).await, [a, b, c, theirs.event.id]);
        assert_eq!(unfolded(&kit, 2).await, [a, b]);
        assert_eq!(unfolded_after(&kit, a).await, [b, c, theirs.event.id]);
        assert_eq!(unfolded_after(&kit, theirs.event.id).await, []);
        assert_eq!(unfolded(&kit, 0).await, []);
        assert!(!kit.store().are_folded(&[plain.event.id, b]).await.expect("an answer"));
        assert!(kit.store().are_folded(&[plain.event.id, missing]).await.expect("an answer"));
        assert!(kit.store().are_folded(&[]).await.expect("an answer"));
        kit.reopen().await;
    }
    // A fold of one appspace leaves alone what belongs to another one.
    let events = vec![(a, Some(id("user:1"))), (c, None), (theirs.event.id, None), (missing, Some(id("user:1")))];
    fold(&kit, Fold { events, ..nothing(kit.app) }).await;
    for _ in 0..2 {
        assert_eq!(unfolded(&kit, 10).await, [b, theirs.event.id]);
        assert!(kit.store().are_folded(&[a, c]).await.expect("an answer"));
        assert_eq!(events_of(&kit, &["user:1"], None, 10).await, [a]);
        kit.reopen().await;
    }
}

pub(super) async fn what_is_folded_comes_back_after_a_restart(mut kit: Kit) {
    let (mut person, mut records_in) = one_subject(kit.app, &all(&["user:1", "email:é@b.c", "install:i"]));
    let money = Money { amount: 0.1 + 0.7, currency: Some("EUR".to_owned()) };
    records_in[0].trace.money = Some(Stamped { at: at(1), tie: u64::MAX, value: money });
    records_in[0].trace.traits =
        BTreeMap::from([("plan \"x\"".to_owned(), Stamped { at: at(1), tie: 1, value: true.into() })]);
    records_in[1].cut_at = Some(at(7));
    let old = SubjectId::born(kit.app, &id("install:i"), 0);
    person.absorbed.insert(old);
    let merged = SubjectRecord {
        id: old,
        identifiers: BTreeSet::new(),
        absorbed: BTreeSet::new(),
        lost: BTreeSet::new(),
        merged_into: Some(person.id),
        ..person.clone()
    };
    let subjects = vec![person.clone(), merged.clone()];
    fold(&kit, Fold { identifiers: records_in.clone(), subjects, ..nothing(kit.app) }).await;
    for _ in 0..2 {
        let expected: Vec<_> = [2, 1, 0].map(|n: usize| Some(records_in[n].clone())).into();
        assert_eq!(records(&kit, &["install:i", "email:é@b.c", "user:1"]).await, expected);
        assert_eq!(records(&kit, &["user:2", "email:1", "install:i"]).await, [None, None, expected[0].clone()]);
        let asked = [old, SubjectId::born(kit.app, &id("user:9"), 0), person.id, old];
        let found = kit.store().subjects(kit.app, &asked).await.expect("subjects");
        assert_eq!(found, [Some(merged.clone()), None, Some(person.clone()), Some(merged.clone())]);
        assert_eq!(records(&kit, &[]).await, []);
        kit.reopen().await;
    }
    // What is written again is replaced.
    records_in[0].links.clear();
    person.identifiers.pop_first();
    let again = Fold { identifiers: vec![records_in[0].clone()], subjects: vec![person.clone()], ..nothing(kit.app) };
    fold(&kit, again).await;
    assert_eq!(records(&kit, &["user:1"]).await, [Some(records_in[0].clone())]);
    assert_eq!(subject(&kit, person.id).await, Some(person));
}

pub(super) async fn a_fold_and_its_news_are_one_step(mut kit: Kit) {
    let a = kit.destination("a").await;
    let told = tell(&mut kit, 1).await;
    let news = NewEvent { has_facts: true, ..kit.event(2, &[a]) };
    let refused = kit.event(3, &vec![a; DELIVERIES_PER_EVENT_MAX + 1]);
    let both = Fold { news: vec![news.clone(), refused], ..fold_of(&kit, &["user:1"], &[&told]) };
    expect_limit(&kit.store().fold(both).await);
    assert_eq!(unfolded(&kit, 9).await, [told.event.id]);
    assert_eq!(records(&kit, &["user:1"]).await, [None]);
    assert!(!kit.has(&news).await);
    fold(&kit, Fold { news: vec![news.clone()], ..fold_of(&kit, &["user:1"], &[&told]) }).await;
    for _ in 0..2 {
        assert_eq!(kit.due(a, 9).await, [DeliveryId { event: news.event.id, ordinal: 0 }]);
        assert_eq!(unfolded(&kit, 9).await, [news.event.id]);
        assert!(records(&kit, &["user:1"]).await[0].is_some());
        kit.reopen().await;
    }
    // What they say may belong to somebody from the first.
    let own = NewEvent { has_facts: true, ..kit.event(20, &[]) };
    let events = vec![(own.event.id, Some(id("user:1")))];
    fold(&kit, Fold { events, news: vec![own.clone()], ..nothing(kit.app) }).await;
    assert_eq!(unfolded(&kit, 9).await, [news.event.id]);
    assert_eq!(events_of(&kit, &["user:1"], None, 9).await, [told.event.id, own.event.id]);
}

pub(super) async fn a_fold_that_is_made_again_ends_the_same(mut kit: Kit) {
    let told = [tell(&mut kit, 1).await, tell(&mut kit, 2).await];
    for _ in 0..3 {
        fold(&kit, fold_of(&kit, &["user:1", "install:i"], &[&told[0], &told[1]])).await;
        assert_eq!(events_of(&kit, &["user:1"], None, 9).await, [told[0].event.id, told[1].event.id]);
        assert_eq!(unfolded(&kit, 9).await, []);
    }
    // An event has one owner: the last one that was said.
    let moved = vec![(told[0].event.id, Some(id("install:i"))), (told[1].event.id, None)];
    fold(&kit, Fold { events: moved, ..nothing(kit.app) }).await;
    assert_eq!(events_of(&kit, &["user:1"], None, 9).await, []);
    assert_eq!(events_of(&kit, &["install:i"], None, 9).await, [told[0].event.id]);
}

pub(super) async fn events_are_found_by_whose_they_are(mut kit: Kit) {
    let mut told = Vec::new();
    for secs in 0..12 {
        told.push(tell(&mut kit, secs).await.event.id);
    }
    let owners = ["user:1", "install:i", "user:2"];
    let events = told.iter().zip(owners.iter().cycle()).map(|(&event, owner)| (event, Some(id(owner)))).collect();
    fold(&kit, Fold { events, ..nothing(kit.app) }).await;
    let of_both: Vec<EventId> =
        told.iter().zip(owners.iter().cycle()).filter(|(_, owner)| **owner != "user:2").map(|(&id, _)| id).collect();
    for limit in [1, 3, 8, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let some = events_of(&kit, &["install:i", "user:1", "user:1", "click:x"], after, limit).await;
            assert!(some.len() <= limit);
            let Some(last) = some.last() else { break };
            after = Some(*last);
            found.extend(some);
        }
        assert_eq!(found, of_both, "{limit} at a time");
    }
    assert_eq!(events_of(&kit, &["user:1"], None, 0).await, []);
    assert_eq!(events_of(&kit, &[], None, 9).await, []);
    kit.reopen().await;
    // Retention may have removed the event that the last answer ended with.
    assert_eq!(kit.prune(4, 100).await, 4);
    assert_eq!(events_of(&kit, &["install:i", "user:1"], Some(told[3]), 100).await, of_both[3..]);
    assert_eq!(events_of(&kit, &["install:i", "user:1"], None, 100).await, of_both[3..]);
}

pub(super) async fn an_answer_holds_no_more_than_memory_has_room_for(mut kit: Kit) {
    let mut events = Vec::new();
    for secs in 0..3 {
        let body = vec![b'x'; FACT_BYTES_PER_CALL_MAX / 2 + usize::try_from(secs).expect("small")];
        let new = change(&kit.event(secs, &[]), |event| Event { body: body.into(), ..event });
        events.push(NewEvent { has_facts: true, ..new });
    }
    let larger = vec![b'y'; FACT_BYTES_PER_CALL_MAX + 1].into();
    let larger = change(&kit.event(3, &[]), |event| Event { body: larger, ..event });
    events.push(NewEvent { has_facts: true, ..larger });
    kit.append(events.clone()).await;
    let mut answers = Vec::new();
    loop {
        let some = unfolded(&kit, 9).await;
        if some.is_empty() {
            break;
        }
        answers.push(some.len());
        fold(&kit, Fold { events: some.into_iter().map(|id| (id, None)).collect(), ..nothing(kit.app) }).await;
    }
    assert_eq!(answers, [1, 1, 1, 1]);
}

pub(super) async fn retention_waits_for_the_fold(mut kit: Kit) {
    let told = tell(&mut kit, 1).await;
    let plain = kit.event(2, &[]);
    kit.append(vec![plain.clone()]).await;
    assert_eq!(kit.prune(100, 10).await, 1);
    assert!(kit.has(&told).await && !kit.has(&plain).await);
    fold(&kit, fold_of(&kit, &["user:1"], &[&told])).await;
    assert_eq!(kit.prune(100, 10).await, 1);
    assert_eq!(events_of(&kit, &["user:1"], None, 9).await, []);
    assert_eq!(unfolded(&kit, 9).await, []);
}

pub(super) async fn devices_go_with_the_last_of_their_events_and_people_stay(mut kit: Kit) {
    let mut told = Vec::new();
    for secs in 0..8 {
        told.push(tell(&mut kit, secs).await);
    }
    let (mut click, click_records) = one_subject(kit.app, &all(&["click:alone"]));
    let absorbed = SubjectId::born(kit.app, &id("click:other"), 0);
    click.absorbed.insert(absorbed);
    let other =
        SubjectRecord { id: absorbed, merged_into: Some(click.id), ..one_subject(kit.app, &all(&["click:other"])).0 };
    let other = SubjectRecord { identifiers: BTreeSet::new(), ..other };
    let events = [0, 1].map(|n: usize| (told[n].event.id, Some(id("click:alone")))).to_vec();
    let subjects = vec![click.clone(), other];
    fold(&kit, Fold { events, identifiers: click_records, subjects, ..nothing(kit.app) }).await;
    fold(&kit, fold_of(&kit, &["install:i", "click:i"], &[&told[2]])).await;
    fold(&kit, Fold { events: vec![(told[3].event.id, Some(id("click:i")))], ..nothing(kit.app) }).await;
    fold(&kit, fold_of(&kit, &["user:1", "click:u"], &[&told[4]])).await;
    let mut linked = fold_of(&kit, &["referral:r"], &[&told[5]]);
    linked.identifiers[0].links.insert(id("user:1"), Moment { at: at(0), tie: 0 });
    fold(&kit, linked).await;
    fold(&kit, Fold { events: vec![(told[6].event.id, Some(id("anonymous:x")))], ..nothing(kit.app) }).await;
    let of = |text: &str| SubjectId::born(kit.app, &id(text), 0);
    let kept = async |text: &str| records(&kit, &[text]).await[0].is_some();

    assert_eq!(kit.prune(1, 10).await, 1);
    assert!(kept("click:alone").await, "one of its events is left");
    assert_eq!(kit.prune(3, 10).await, 2);
    assert!(!kept("click:alone").await);
    assert_eq!((subject(&kit, click.id).await, subject(&kit, absorbed).await), (None, None));
    assert!(kept("install:i").await && kept("click:i").await, "an event of its click is left");
    assert_eq!(kit.prune(4, 10).await, 1);
    assert!(!kept("install:i").await && !kept("click:i").await);
    assert_eq!(subject(&kit, of("install:i")).await, None);
    assert_eq!(kit.prune(7, 1).await, 3);
    assert!(kept("user:1").await && kept("click:u").await, "a person stays");
    assert!(kept("referral:r").await, "somebody else is linked to it");
    assert!(subject(&kit, of("user:1")).await.is_some());
}

pub(super) async fn a_device_of_which_a_destination_has_a_record_stays(mut kit: Kit) {
    let (a, b) = (kit.destination("a").await, kit.destination("b").await);
    let mut told = Vec::new();
    for secs in 0..4 {
        told.push(tell(&mut kit, secs).await);
    }
    let app = kit.app;
    let of = |text: &str| SubjectId::born(app, &id(text), 0);
    let old = of("click:old");
    for (text, new) in ["install:own", "install:absorbing", "install:plain", "install:other"].into_iter().zip(&told) {
        let mut fold_in = fold_of(&kit, &[text, &text.replace("install", "click")], &[new]);
        if text == "install:absorbing" {
            fold_in.subjects[0].absorbed.insert(old);
        }
        fold(&kit, fold_in).await;
    }
    let bound =
        |subject: SubjectId| Memo::Put { key: binding_key(&subject.to_string()), value: "77".into(), expires_at: None };
    // The other store remembers something that is no record.
    let sent = Memo::Put { key: "sent:1".to_owned(), value: "1".into(), expires_at: None };
    kit.store().remember(a, vec![bound(of("install:own")), sent], at(4)).await.expect("a memo");
    kit.store().remember(b, vec![bound(old), bound(of("user:9"))], at(4)).await.expect("memos");
    assert_eq!(kit.prune(100, 10).await, 4);
    for _ in 0..2 {
        for (text, stays) in [("own", true), ("absorbing", true), ("plain", false), ("other", false)] {
            let of_both = [format!("install:{text}"), format!("click:{text}")];
            let found = records(&kit, &[&of_both[0], &of_both[1]]).await;
            assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [stays; 2], "{text}");
            assert_eq!(subject(&kit, of(&of_both[0])).await.is_some(), stays, "{text}");
        }
        kit.reopen().await;
    }
}

pub(super) async fn each_appspace_has_subjects_of_its_own(mut kit: Kit) {
    let told = tell(&mut kit, 1).await;
    let ours = fold_of(&kit, &["user:1"], &[&told]);
    let (app, other) = (kit.app, kit.other);
    fold(&kit, ours.clone()).await;
    let user = [id("user:1")];
    let of = ours.subjects[0].id;
    assert_eq!(kit.store().identifiers(other, &user).await.expect("identifiers"), [None]);
    assert_eq!(kit.store().subjects(other, &[of]).await.expect("subjects"), [None]);
    assert_eq!(kit.store().events_of(other, &user, None, 9).await.expect("events"), []);
    assert_eq!(kit.erase(&erasure(other, 2, &[of], &user)).await, Erased::default());

    let mut theirs = ours.clone();
    theirs.appspace = other;
    theirs.identifiers[0].cut_at = Some(at(5));
    theirs.subjects[0].appspace = other;
    fold(&kit, theirs.clone()).await;
    let erased = kit.erase(&erasure(app, 3, &[of], &user)).await;
    assert_eq!((erased.subjects, erased.identifiers, erased.events), (1, 1, 1));
    assert_eq!(kit.store().identifiers(other, &user).await.expect("records"), [Some(theirs.identifiers[0].clone())]);
    assert_eq!(kit.store().subjects(other, &[of]).await.expect("records"), [Some(theirs.subjects[0].clone())]);
}

pub(super) async fn what_names_too_much_is_refused_whole(mut kit: Kit) {
    let told = tell(&mut kit, 1).await;
    let many: Vec<Identifier> = (0..=SUBJECTS_PER_CALL_MAX).map(|n| id(&format!("click:{n}"))).collect();
    let subjects: Vec<SubjectId> = many.iter().map(|of| SubjectId::born(kit.app, of, 0)).collect();
    let store = kit.store();
    expect_limit(&store.identifiers(kit.app, &many).await);
    expect_limit(&store.subjects(kit.app, &subjects).await);
    expect_limit(&store.events_of(kit.app, &many, None, 9).await);
    expect_limit(&store.are_folded(&vec![told.event.id; SUBJECTS_PER_CALL_MAX + 1]).await);
    expect_limit(&store.erase(erasure(kit.app, 2, &subjects, &[])).await);
    expect_limit(&store.erase(erasure(kit.app, 2, &[], &many)).await);
    let memos = vec![(DestinationId::mint(at(0), 1), "key".to_owned()); MEMOS_PER_CALL_MAX + 1];
    expect_limit(&store.erase(Erasure { memos, ..erasure(kit.app, 2, &[], &[]) }).await);
    let (record, records_in) = one_subject(kit.app, &all(&["click:0"]));
    let ours = fold_of(&kit, &["click:0"], &[&told]);
    for fold in [
        Fold { identifiers: vec![records_in[0].clone(); SUBJECTS_PER_CALL_MAX + 1], ..ours.clone() },
        Fold { subjects: vec![record.clone(); SUBJECTS_PER_CALL_MAX + 1], ..ours.clone() },
        Fold { events: vec![(told.event.id, None); SUBJECTS_PER_CALL_MAX + 1], ..ours.clone() },
    ] {
        expect_limit(&store.fold(fold).await);
        assert_eq!(unfolded(&kit, 9).await, [told.event.id]);
        assert_eq!(records(&kit, &["click:0"]).await, [None]);
    }
    assert_eq!(store.identifiers(kit.app, &many[1..]).await.expect("as many as may be").len(), SUBJECTS_PER_CALL_MAX);
}
