//! The log can be listed, filtered and paged, and the quarantine is bounded.

use bytes::Bytes;
use domain::{AppspaceId, Event, EventId, SourceId};

use super::kit::{Kit, STEPS_MAX, at, change, expect_missing, whole};
use crate::{EventQuery, PageRequest, QUARANTINE_MAX, Quarantined};

pub(super) async fn events_are_found_by_source_type_and_time(mut kit: Kit) {
    let source = SourceId::mint(at(0), 5);
    let mut ids = Vec::new();
    for n in 0..4 {
        let new = kit.event(i64::from(n) * 10, &[]);
        let source = if n % 2 == 0 { source } else { new.event.source };
        let event_type = if n < 2 { new.event.event_type.clone() } else { "test".parse().expect("a type") };
        let new = change(&new, |event| Event { source, event_type, ..event });
        ids.push(new.event.id);
        kit.append(vec![new]).await;
    }
    let all = kit.all_events();
    let check = async |kit: &Kit, query: EventQuery, expected: &[usize]| {
        let expected: Vec<EventId> = expected.iter().map(|&n| ids[n]).collect();
        assert_eq!(kit.list_events(&query).await, expected, "{query:?}");
    };
    for _ in 0..2 {
        check(&kit, all.clone(), &[3, 2, 1, 0]).await;
        check(&kit, EventQuery { source: Some(source), ..all.clone() }, &[2, 0]).await;
        check(&kit, EventQuery { source: Some(SourceId::AFTERCLICK), ..all.clone() }, &[]).await;
        check(&kit, EventQuery { event_type: "test".parse().ok(), ..all.clone() }, &[3, 2]).await;
        check(&kit, EventQuery { event_type: "link.clicked".parse().ok(), ..all.clone() }, &[1, 0]).await;
        check(&kit, EventQuery { event_type: "never.seen".parse().ok(), ..all.clone() }, &[]).await;
        check(&kit, EventQuery { from: Some(at(10)), ..all.clone() }, &[3, 2, 1]).await;
        check(&kit, EventQuery { to: Some(at(10)), ..all.clone() }, &[0]).await;
        let both = EventQuery { from: Some(at(10)), to: Some(at(30)), source: Some(source), ..all.clone() };
        check(&kit, both, &[2]).await;
        kit.tidy(100).await;
        kit.reopen().await;
    }
}

pub(super) async fn an_event_that_is_not_there_is_not_found(mut kit: Kit) {
    let id = kit.event(0, &[]).event.id;
    expect_missing(kit.store().event(kit.app, id).await, "event");
}

pub(super) async fn paging_through_events_meets_each_once(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 3_000, a).await;
    let mut request = Some(PageRequest::first(170));
    let mut met = Vec::new();
    for _ in 0..STEPS_MAX {
        let Some(next) = request else { break };
        let page = kit.store().events(kit.all_events(), next.clone()).await.expect("a page");
        request = next.after(&page);
        met.extend(page.items.into_iter().map(|record| record.event.id));
        // Newcomers belong before the first page, and what is put in order meanwhile stays where it is.
        kit.owe(5_000, 1, a).await;
        kit.store().tidy(at(5_000)).await.expect("tidy");
    }
    assert!(met.into_iter().eq(owed.into_iter().rev().map(|id| id.event)));
}

// ---------------------------------------------------------------------------------------------------------------------

fn entry(appspace: AppspaceId, source: SourceId, n: u16) -> Quarantined {
    let body = Bytes::from(vec![n.to_le_bytes()[0], 0, 0xff]);
    let mut body_hash = [0; 32];
    body_hash[30..].copy_from_slice(&n.to_be_bytes());
    Quarantined { appspace, source, received_at: at(i64::from(n)), reason: format!("reason {n}"), body_hash, body }
}

async fn list(kit: &Kit, source: SourceId) -> Vec<Quarantined> {
    whole(9, |page| kit.store().quarantined(kit.app, source, page)).await
}

pub(super) async fn an_unreadable_body_is_kept_once_per_source(mut kit: Kit) {
    let (a, b) = (SourceId::mint(at(0), 1), SourceId::mint(at(0), 2));
    let mut news = Vec::new();
    for (source, n) in [(a, 1), (a, 1), (b, 1), (a, 2), (a, 2)] {
        news.push(kit.store().quarantine(entry(kit.app, source, n)).await.expect("quarantine"));
    }
    assert_eq!(news, [true, false, true, true, false]);
    kit.reopen().await;
    assert!(!kit.store().quarantine(entry(kit.app, a, 1)).await.expect("quarantine"));
    assert_eq!(list(&kit, a).await, [entry(kit.app, a, 2), entry(kit.app, a, 1)]);
    assert_eq!(list(&kit, b).await, [entry(kit.app, b, 1)]);
    let theirs = kit.store().quarantined(kit.other, a, PageRequest::first(10)).await.expect("a page");
    assert_eq!(theirs.items, []);
}

pub(super) async fn the_oldest_unreadable_bodies_make_room(mut kit: Kit) {
    let (a, b) = (SourceId::mint(at(0), 1), SourceId::mint(at(0), 2));
    kit.store().quarantine(entry(kit.app, b, 1)).await.expect("quarantine");
    let count = u16::try_from(QUARANTINE_MAX).expect("a few") + 5;
    for n in 0..count {
        assert!(kit.store().quarantine(entry(kit.app, a, n)).await.expect("quarantine"));
    }
    kit.reopen().await;
    let kept: Vec<_> = (5..count).rev().map(|n| entry(kit.app, a, n)).collect();
    assert_eq!(list(&kit, a).await, kept);
    assert_eq!(list(&kit, b).await.len(), 1);
}

pub(super) async fn retention_empties_the_quarantine_too(mut kit: Kit) {
    let (a, b) = (SourceId::mint(at(0), 1), SourceId::mint(at(0), 2));
    for n in 0..20 {
        for source in [a, b] {
            kit.store().quarantine(entry(kit.app, source, n)).await.expect("quarantine");
        }
    }
    let event = kit.event(30, &[]);
    kit.append(vec![event.clone()]).await;
    let first = kit.store().prune(at(12), 7).await.expect("prune");
    assert_eq!((first.events, first.quarantined, first.done), (0, 7, false));
    kit.prune(12, 7).await;
    kit.reopen().await;
    for source in [a, b] {
        let kept: Vec<_> = (12..20).rev().map(|n| entry(kit.app, source, n)).collect();
        assert_eq!(list(&kit, source).await, kept);
    }
    assert!(kit.has(&event).await);
    // What was removed is new again.
    assert!(kit.store().quarantine(entry(kit.app, a, 1)).await.expect("quarantine"));
    assert_eq!(kit.prune(31, 7).await, 1);
    assert_eq!((list(&kit, a).await, list(&kit, b).await), (vec![], vec![]));
}
