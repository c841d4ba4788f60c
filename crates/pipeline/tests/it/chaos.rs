//! Everything at once: thousands of deliveries to vendors that refuse, split, wait, pause, hang and lose their answers,
//! while people intervene and the process crashes again and again. What must hold afterwards is what a person was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::delivery::State;
use domain::retry::RetryPolicy;
use domain::verdict::FailureReason;
use domain::{DestinationId, Timestamp};
use serde_json::json;
use storage::memory::MemoryStore;
use storage::{DeliveryQuery, DeliverySummary, PageRequest, Store};

use crate::bulk::with_bulk;
use crate::engine::{Answer, Engine, SECOND, Sent};
use crate::house::START;

const EVENTS: u32 = 1_000;
/// Processes that are killed before the last one, which is left alone.
const CRASHES: u32 = 12;
const CONCURRENCY: u16 = 4;
const ITEMS: usize = 10;

/// How a lane is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Judges item by item.
    Plain,
    /// Takes a batch that it knows for a repetition.
    Sealed,
    /// Messages to people.
    Once,
}

/// The vendors of all lanes, who remember what they have taken.
struct World {
    dice: u64,
    calm: bool,
    kinds: BTreeMap<DestinationId, Kind>,
    /// How often each item was taken, by lane.
    taken: BTreeMap<DestinationId, BTreeMap<String, u32>>,
    /// The batches that were taken.
    batches: BTreeMap<DestinationId, BTreeSet<Vec<String>>>,
    /// Items whose answer was lost.
    unanswered: usize,
    /// Deliveries that a person called off.
    called_off: usize,
}

/// What must become of an item, by its number.
fn fate(token: &str) -> State {
    match token[1..].parse::<u32>().unwrap() % 50 {
        7 | 13 => State::Dead,
        21 => State::Skipped,
        _ => State::Delivered,
    }
}

impl World {
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn answer(&mut self, sent: &Sent) -> Answer {
        let (kind, tokens) = (self.kinds[&sent.lane], sent.tokens());
        if !self.calm {
            match self.roll(24) {
                0 => return Answer::Status(503),
                1 => return Answer::Status(429),
                2 => return Answer::Breaks,
                3 => return Answer::Hangs,
                4 => return Answer::Fails(FailureReason::Connect),
                5 if self.roll(8) == 0 => return Answer::Refuses(403, json!({ "pause": "pay the bill" })),
                6 => return Answer::IsShort,
                _ => {}
            }
        }
        let is_whole = |fate: State| tokens.iter().all(|token| self::fate(token) == fate);
        match kind {
            // It says nothing about single items, so what it cannot bear must be found.
            Kind::Sealed | Kind::Once if !is_whole(State::Delivered) => {
                return Answer::Refuses(400, json!({ "split": true }));
            }
            Kind::Plain if self.roll(6) == 0 && tokens.len() > 1 => {
                return Answer::Refuses(413, json!({ "split": true }));
            }
            _ => {}
        }
        let mut verdicts = serde_json::Map::new();
        let mut taken = Vec::new();
        for token in &tokens {
            match fate(token) {
                State::Dead => drop(verdicts.insert(token.clone(), json!("reject"))),
                State::Skipped => drop(verdicts.insert(token.clone(), json!("skip"))),
                _ if kind == Kind::Plain && !self.calm && self.roll(10) == 0 => {
                    verdicts.insert(token.clone(), json!(if self.roll(2) == 0 { "retry" } else { "wait" }));
                }
                _ => taken.push(token.clone()),
            }
        }
        let is_new = self.batches.entry(sent.lane).or_default().insert(tokens.clone());
        if is_new || kind != Kind::Sealed {
            for token in &taken {
                *self.taken.entry(sent.lane).or_default().entry(token.clone()).or_default() += 1;
            }
        }
        let verdicts = json!({ "verdicts": verdicts });
        if self.calm {
            return Answer::Says(verdicts);
        }
        match self.roll(12) {
            0 => {
                self.unanswered += taken.len();
                Answer::Breaks
            }
            1 => {
                self.unanswered += taken.len();
                Answer::Hangs
            }
            _ => Answer::SlowlySays(Duration::from_millis(self.roll(3_000)), verdicts),
        }
    }
}

/// One process from its start to its end, which is sudden: everything it had in hand or on its way is gone.
fn process(
    store: &Arc<dyn Store>,
    world: &Arc<Mutex<World>>,
    start: Timestamp,
    life: Duration,
    arrivals: std::ops::Range<u32>,
) -> Timestamp {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (store, world) = (Arc::clone(store), Arc::clone(world));
    runtime.block_on(async move {
        let vendors = Arc::clone(&world);
        let answer = move |sent: &Sent| vendors.lock().unwrap().answer(sent);
        let engine = Engine::at(store, with_bulk(), start, answer).await;
        if world.lock().unwrap().kinds.is_empty() {
            let lanes = lanes(&engine).await;
            world.lock().unwrap().kinds.extend(lanes);
        }
        let steps = 10;
        let each = u32::try_from(arrivals.len()).unwrap() / steps;
        for step in 0..steps {
            let first = arrivals.start + step * each;
            engine.clicks(first..first + each).await;
            engine.pass(life / steps).await;
            people(&engine, &world).await;
        }
        engine.house.clock.now()
    })
}

/// Somebody pays the bill, cannot wait for a retry, and calls something off.
async fn people(engine: &Engine, world: &Mutex<World>) {
    for live in engine.house.registry.all_destinations() {
        engine.house.registry.resume_destination(live.destination.id).await.unwrap();
    }
    let (store, appspace, now) = (&engine.house.store, engine.house.appspace(), engine.house.clock.now());
    let lanes: Vec<DestinationId> = world.lock().unwrap().kinds.keys().copied().collect();
    for lane in lanes {
        let waits = |summary: &DeliverySummary| {
            summary.delivery.standing.state == State::Pending && summary.delivery.standing.attempts > 0
        };
        let Some(waiting) = engine.house.deliveries(lane).await.into_iter().find(waits) else { continue };
        let dice = world.lock().unwrap().roll(8);
        match dice {
            0 => {
                store.cancel(appspace, waiting.delivery.id, now).await.unwrap();
                world.lock().unwrap().called_off += 1;
            }
            1..4 => drop(store.retry(appspace, waiting.delivery.id, now).await.unwrap()),
            _ => {}
        }
    }
}

async fn lanes(engine: &Engine) -> Vec<(DestinationId, Kind)> {
    let mut lanes = Vec::new();
    for (name, connector, kind, once) in [
        ("plain", "bulk", Kind::Plain, false),
        ("sealed", "sealed", Kind::Sealed, false),
        ("once", "single", Kind::Once, true),
    ] {
        let lane = engine
            .destination(name, |destination| {
                destination.connector = String::from(connector);
                destination.settings = serde_json::from_value(json!({ "once": once })).unwrap();
                destination.concurrency = CONCURRENCY;
                // So long that nothing dies of it.
                destination.retry = RetryPolicy::Custom(vec![20 * SECOND; 500]);
            })
            .await;
        lanes.push((lane, kind));
    }
    lanes
}

#[test]
fn whatever_breaks_every_delivery_ends_as_it_must_and_nothing_is_lost() {
    for seed in 1..=4 {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let world = Arc::new(Mutex::new(World {
            dice: seed,
            calm: false,
            kinds: BTreeMap::new(),
            taken: BTreeMap::new(),
            batches: BTreeMap::new(),
            unanswered: 0,
            called_off: 0,
        }));
        let (mut now, each) = (START, EVENTS / CRASHES / 10 * 10);
        for round in 0..CRASHES {
            let life = Duration::from_millis(20_000 + world.lock().unwrap().roll(400_000));
            now = process(&store, &world, now, life, round * each..(round + 1) * each);
        }
        world.lock().unwrap().calm = true;
        process(&store, &world, now, 20_000 * SECOND, CRASHES * each..CRASHES * each + 10);
        check(&store, &world.lock().unwrap(), seed);
    }
}

fn check(store: &Arc<dyn Store>, world: &World, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (&lane, &kind) in &world.kinds {
        let all = runtime.block_on(deliveries(store, lane));
        assert_eq!(all.len(), (EVENTS / CRASHES / 10 * 10 * CRASHES + 10) as usize);
        let nothing = BTreeMap::new();
        let taken = world.taken.get(&lane).unwrap_or(&nothing);
        for (summary, token) in &all {
            let standing = summary.delivery.standing;
            let times = taken.get(token).copied().unwrap_or_default();
            let about = format!("seed {seed}, {kind:?}, {token}: {standing:?}, taken {times} times");
            match (kind, fate(token)) {
                _ if standing.state == State::Cancelled => {}
                (Kind::Once, _) if standing.reason == Some(FailureReason::UnknownOutcome) => {
                    assert!(times <= 1, "{about}");
                }
                // What is refused alone is dead, also where an item could have been skipped.
                (Kind::Sealed | Kind::Once, State::Skipped) => assert_eq!(standing.state, State::Dead, "{about}"),
                (Kind::Once, State::Delivered) => {
                    assert_eq!((standing.state, times), (State::Delivered, 1), "{about}");
                }
                (_, fate) => {
                    assert_eq!(standing.state, fate, "{about}");
                    assert_eq!(times > 0, fate == State::Delivered, "{about}");
                }
            }
        }
        let repeated = taken.values().map(|times| *times as usize - 1).sum::<usize>();
        let most = match kind {
            Kind::Plain => world.unanswered + CRASHES as usize * usize::from(CONCURRENCY) * ITEMS,
            // A batch from which a person takes an item is another one, and its vendor cannot know it again.
            Kind::Sealed => world.called_off * (ITEMS - 1),
            Kind::Once => 0,
        };
        assert!(repeated <= most, "seed {seed}, {kind:?}: {repeated} were repeated");
        let seals = runtime.block_on(store.recall_all(lane, "batch:", None, 1_000, Timestamp::MAX)).unwrap();
        assert!(seals.is_empty(), "seed {seed}: {} seals are left", seals.len());
    }
}

/// All deliveries of a lane, each with the token of its event.
async fn deliveries(store: &Arc<dyn Store>, lane: DestinationId) -> Vec<(DeliverySummary, String)> {
    let appspace = store.load_catalog().await.unwrap().appspaces[0].id;
    let query = DeliveryQuery {
        appspace,
        destination: Some(lane),
        event: None,
        state: None,
        event_type: Some("link.clicked".parse().unwrap()),
        replay: None,
    };
    let (mut request, mut all) = (Some(PageRequest::first(200)), Vec::new());
    while let Some(page) = request {
        let found = store.deliveries(query.clone(), page.clone()).await.unwrap();
        request = page.after(&found);
        for summary in found.items {
            let event = store.event(appspace, summary.delivery.id.event).await.unwrap().event;
            let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
            all.push((summary, body["data"]["token"].as_str().unwrap().to_owned()));
        }
    }
    all
}
