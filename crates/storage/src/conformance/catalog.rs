//! Appspaces, sources, destinations and keys come back as they were put, and a deleted destination stays deleted.

use std::time::Duration;

use domain::delivery::State;
use domain::destination::{Pause, RateLimit};
use domain::key::{Key, KeyHash, Scope};
use domain::replay::ReplayState;
use domain::retry::RetryPolicy;
use domain::signature::Scheme;
use domain::source::{Managed, SourceSecret};
use domain::verdict::{FailureReason, PauseReason};
use domain::{AppspaceId, DeliveryId, Destination, KeyId, Secret, Settings, Source, SourceId, Verdict};
use serde_json::json;

use super::kit::{Kit, at, expect_illegal, expect_missing, reject};
use crate::{Appended, CatalogSnapshot, Result, Settled, StoreError};

fn settings(value: serde_json::Value) -> Settings {
    serde_json::from_value(value).expect("an object")
}

fn new_source(kit: &mut Kit, appspace: AppspaceId, name: &str) -> Source {
    let secret = |text: &str, expires_at| SourceSecret { secret: text.into(), created_at: at(1), expires_at };
    Source {
        id: SourceId::mint(at(0), u128::from(kit.number())),
        appspace,
        name: name.parse().expect("a name"),
        kind: "generic".to_owned(),
        scheme: Scheme::Timestamped,
        secrets: vec![secret("whsec_old \u{1f511}", Some(at(9))), secret("whsec_new", None)],
        settings: settings(json!({ "z": "/type", "a": { "deep": [1, 2.5, null, true] } })),
        managed: Managed::File,
        created_at: at(1),
        updated_at: at(2),
    }
}

fn rich_destination(kit: &mut Kit, name: &str) -> Destination {
    let plain = kit.new_destination(name);
    Destination {
        events: serde_json::from_value(json!(["link.*", "test"])).expect("patterns"),
        when: Some("data.x > 1".to_owned()),
        retry: RetryPolicy::Custom(vec![Duration::from_secs(1), Duration::from_mins(1)]),
        rate: RateLimit::new(0.25),
        breaker: false,
        settings: settings(
            json!({ "url": "https://x.example/", "secret": "whsec_s", "headers": { "B": "1", "A": "2" } }),
        ),
        paused: Some(Pause { reason: PauseReason::Gone, message: "410".to_owned(), since: at(3) }),
        managed: Managed::File,
        updated_at: at(4),
        ..plain
    }
}

fn new_key(kit: &mut Kit, appspace: Option<AppspaceId>) -> Key {
    let n = kit.number();
    Key {
        id: KeyId::mint(at(0), u128::from(n)),
        appspace,
        scope: if appspace.is_some() { Scope::Publish } else { Scope::Admin },
        label: "the app".to_owned(),
        hash: KeyHash::of(&n.to_string()),
        tail: "abcd".to_owned(),
        created_at: at(0),
        expires_at: appspace.map(|_| at(100)),
    }
}

async fn load(kit: &Kit) -> CatalogSnapshot {
    let mut all = kit.store().load_catalog().await.expect("load the catalog");
    all.appspaces.sort_by_key(|appspace| appspace.id);
    all.sources.sort_by_key(|source| source.id);
    all.destinations.sort_by_key(|destination| destination.id);
    all.keys.sort_by_key(|key| key.id);
    all
}

#[track_caller]
fn expect_taken<T>(result: Result<T>, noun: &str, name: &str) {
    match result {
        Err(StoreError::NameTaken { noun: n, name: taken }) => assert_eq!((n, &*taken), (noun, name)),
        Err(error) => panic!("expected a taken name, got `{error}`"),
        Ok(_) => panic!("expected a taken name"),
    }
}

pub(super) async fn the_catalog_comes_back_as_it_was_put(mut kit: Kit) {
    let (app, other) = (kit.app, kit.other);
    let sources = [new_source(&mut kit, app, "a"), new_source(&mut kit, other, "a")];
    let destinations = [rich_destination(&mut kit, "a"), kit.new_destination("b")];
    let keys = [new_key(&mut kit, Some(app)), new_key(&mut kit, None)];
    for source in &sources {
        kit.store().put_source(source.clone()).await.expect("put a source");
    }
    for destination in &destinations {
        kit.store().put_destination(destination.clone(), Vec::new()).await.expect("put a destination");
    }
    for key in &keys {
        kit.store().put_key(key.clone()).await.expect("put a key");
    }
    for _ in 0..2 {
        let all = load(&kit).await;
        assert_eq!(all.appspaces.iter().map(|appspace| appspace.id).collect::<Vec<_>>(), [app, other]);
        assert_eq!(
            (&all.sources[..], &all.destinations[..], &all.keys[..]),
            (&sources[..], &destinations[..], &keys[..])
        );
        // `Settings` are equal whatever the order of their members; people notice when theirs changes.
        assert!(all.destinations[0].settings.0.keys().eq(destinations[0].settings.0.keys()));
        kit.reopen().await;
    }
}

pub(super) async fn what_is_put_again_is_replaced(mut kit: Kit) {
    let app = kit.app;
    let source = new_source(&mut kit, app, "a");
    let destination = kit.new_destination("a");
    let key = new_key(&mut kit, Some(app));
    let changed_source =
        Source { name: "b".parse().expect("a name"), secrets: Vec::new(), updated_at: at(9), ..source.clone() };
    let changed_destination = Destination { paused: None, id: destination.id, ..rich_destination(&mut kit, "b") };
    let changed_key = Key { expires_at: Some(at(1)), ..key.clone() };
    for source in [source, changed_source.clone()] {
        kit.store().put_source(source).await.expect("put a source");
    }
    for destination in [destination, changed_destination.clone()] {
        kit.store().put_destination(destination, Vec::new()).await.expect("put a destination");
    }
    for key in [key, changed_key.clone()] {
        kit.store().put_key(key).await.expect("put a key");
    }
    kit.reopen().await;
    let all = load(&kit).await;
    assert_eq!(
        (all.sources, all.destinations, all.keys),
        (vec![changed_source], vec![changed_destination], vec![changed_key])
    );
}

pub(super) async fn a_name_is_unique_among_its_kind_in_its_appspace(mut kit: Kit) {
    let (app, other) = (kit.app, kit.other);
    let source = new_source(&mut kit, app, "x");
    let destination = kit.new_destination("x");
    kit.store().put_source(source.clone()).await.expect("put a source");
    kit.store().put_destination(destination.clone(), Vec::new()).await.expect("another kind may have the name");
    let theirs = new_source(&mut kit, other, "x");
    kit.store().put_source(theirs).await.expect("another appspace may have the name");
    let theirs = Destination { appspace: other, ..kit.new_destination("x") };
    kit.store().put_destination(theirs, Vec::new()).await.expect("another appspace may have the name");

    for _ in 0..2 {
        let second = new_source(&mut kit, app, "x");
        expect_taken(kit.store().put_source(second).await, "source", "x");
        let second = kit.new_destination("x");
        expect_taken(kit.store().put_destination(second, Vec::new()).await, "destination", "x");
        let mut appspaces = kit.store().load_catalog().await.expect("load").appspaces;
        appspaces[0].name = appspaces[1].name.clone();
        let name = appspaces[0].name.to_string();
        expect_taken(kit.store().put_appspace(appspaces[0].clone()).await, "appspace", &name);
        kit.reopen().await;
    }
    // A name is free again after a change or a deletion.
    let renamed = Destination { name: "y".parse().expect("a name"), ..destination };
    kit.store().put_destination(renamed, Vec::new()).await.expect("rename");
    let second = kit.new_destination("x");
    kit.store().put_destination(second, Vec::new()).await.expect("the name is free");
    kit.store().delete_source(source.id).await.expect("delete");
    let second = new_source(&mut kit, app, "x");
    kit.store().put_source(second).await.expect("the name is free");
}

pub(super) async fn what_is_deleted_is_gone_and_cannot_be_deleted_again(mut kit: Kit) {
    let app = kit.app;
    let (source, key) = (new_source(&mut kit, app, "a"), new_key(&mut kit, None));
    let destination = kit.destination("a").await;
    kit.store().put_source(source.clone()).await.expect("put a source");
    kit.store().put_key(key.clone()).await.expect("put a key");
    kit.store().delete_source(source.id).await.expect("delete a source");
    kit.store().delete_key(key.id).await.expect("delete a key");
    kit.store().delete_destination(destination, at(1)).await.expect("delete a destination");
    for _ in 0..2 {
        let all = load(&kit).await;
        assert_eq!((all.sources.len(), all.destinations.len(), all.keys.len()), (0, 0, 0));
        expect_missing(kit.store().delete_source(source.id).await, "source");
        expect_missing(kit.store().delete_key(key.id).await, "key");
        expect_missing(kit.store().delete_destination(destination, at(2)).await, "destination");
        kit.reopen().await;
    }
}

pub(super) async fn a_deleted_destination_cannot_come_back(mut kit: Kit) {
    let destination = kit.new_destination("a");
    kit.store().put_destination(destination.clone(), Vec::new()).await.expect("put");
    kit.store().delete_destination(destination.id, at(1)).await.expect("delete");
    let news = kit.event(2, &[]);
    for _ in 0..2 {
        expect_missing(kit.store().put_destination(destination.clone(), vec![news.clone()]).await, "destination");
        assert!(!kit.has(&news).await);
        kit.reopen().await;
    }
    let another = kit.destination("a").await;
    assert_eq!(load(&kit).await.destinations[0].id, another);
}

pub(super) async fn a_change_and_its_operational_events_are_one_step(mut kit: Kit) {
    let watcher = kit.destination("watcher").await;
    let destination = kit.new_destination("a");
    let news = kit.event(1, &[watcher]);
    kit.store().put_destination(destination, vec![news.clone()]).await.expect("put");
    let refused = kit.new_destination("a");
    let other_news = kit.event(2, &[watcher]);
    expect_taken(kit.store().put_destination(refused, vec![other_news.clone()]).await, "destination", "a");
    kit.reopen().await;
    assert!(kit.has(&news).await && !kit.has(&other_news).await);
    assert_eq!(kit.due(watcher, 9).await, [DeliveryId { event: news.event.id, ordinal: 0 }]);
}

pub(super) async fn a_source_that_is_gone_leaves_its_events(mut kit: Kit) {
    let app = kit.app;
    let source = new_source(&mut kit, app, "a");
    kit.store().put_source(source.clone()).await.expect("put");
    let of_source = |new| super::kit::change(&new, |event| domain::Event { source: source.id, ..event });
    let before = of_source(kit.event(0, &[]));
    kit.append(vec![before.clone()]).await;
    kit.store().delete_source(source.id).await.expect("delete");
    let after = of_source(kit.event(1, &[]));
    assert_eq!(kit.append(vec![after.clone()]).await, [Appended::Stored { id: after.event.id, deliveries: 0 }]);
    kit.reopen().await;
    assert!(kit.has(&before).await && kit.has(&after).await);
}

pub(super) async fn a_deleted_destination_is_owed_nothing_and_its_log_stays(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let delivered = kit.settled(0, 1, a, &Verdict::Delivered).await[0];
    let dead = kit.settled(10, 1, a, &reject(FailureReason::Dns)).await[0];
    let open = kit.owe(20, 700, a).await;
    let elsewhere = kit.owe(1_000, 1, b).await;
    let replay = kit.replay(a).await;
    let in_hand = kit.claim(a, 2_000, 3).await;

    kit.store().delete_destination(a, at(2_001)).await.expect("delete");
    assert_eq!(kit.due(a, 3_000).await, []);
    assert_eq!(kit.settle(&in_hand[0], 2_002, &Verdict::Delivered).await, Settled::Stale);
    kit.store().release(vec![(in_hand[1].id, in_hand[1].fence)]).await.expect("release");
    assert_eq!(kit.store().replay(kit.app, replay).await.expect("the replay").state, ReplayState::Failed);
    // Half of the work is done before a restart, the rest after it.
    kit.store().tidy(at(2_003)).await.expect("tidy");
    kit.reopen().await;
    kit.tidy(2_004).await;

    for id in open.iter().chain([&dead]) {
        let (delivery, _) = kit.delivery(*id).await;
        assert_eq!((delivery.standing.state, delivery.leased), (State::Cancelled, false));
        assert!(delivery.ended_at >= Some(at(2_001)), "{:?}", delivery.ended_at);
    }
    assert_eq!(kit.state(delivered).await, State::Delivered);
    assert_eq!((kit.due(a, 3_000).await, kit.due(b, 3_000).await), (vec![], elsewhere));
    assert_eq!(kit.list_dead(&kit.all_dead()).await, []);
    expect_illegal(kit.store().retry(kit.app, dead, at(3_000)).await, State::Cancelled);
    assert_eq!(kit.store().redrive(kit.all_dead(), at(3_000), 10).await.expect("redrive"), 0);
    assert!(kit.store().lanes().await.expect("lanes").iter().all(|lane| lane.destination != a));
}

pub(super) async fn a_large_catalog_loads_whole(mut kit: Kit) {
    let mut expected = Vec::new();
    for n in 0..300 {
        expected.push(kit.destination(&format!("d{n}")).await);
    }
    kit.reopen().await;
    let loaded: Vec<_> = load(&kit).await.destinations.iter().map(|destination| destination.id).collect();
    assert_eq!(loaded, expected);
}

/// A secret is compared as text here, so that a store that seals it wrongly is caught.
pub(super) async fn secrets_survive_a_restart(mut kit: Kit) {
    let app = kit.app;
    let source = new_source(&mut kit, app, "a");
    kit.store().put_source(source.clone()).await.expect("put");
    kit.reopen().await;
    let loaded = load(&kit).await.sources.remove(0);
    let texts = |source: &Source| -> Vec<String> {
        source.secrets.iter().map(|live| Secret::expose(&live.secret).to_owned()).collect()
    };
    assert_eq!(texts(&loaded), texts(&source));
}
