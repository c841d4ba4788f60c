//! Lanes beside each other: order, limits, isolation.

use std::sync::Arc;

use domain::delivery::State;
use domain::retry::RetryPolicy;
use pipeline::dispatcher::DispatcherOptions;
use storage::memory::MemoryStore;

use crate::engine::{Answer, Engine, SECOND, Sent, per_second};
use crate::house::{click, plugins};
use crate::sulky::Sulky;

#[tokio::test(start_paused = true)]
async fn a_hanging_destination_delays_no_other() {
    let engine = Engine::new(|sent| if sent.body.len() % 2 == 0 { Answer::Hangs } else { Answer::Status(200) }).await;
    // The script cannot see names, so the hanging ones get the clicks with an even number of bytes.
    let slow =
        engine.destination("slow", |destination| destination.when = Some("data.token == 't10'".to_owned())).await;
    let fast =
        engine.destination("fast", |destination| destination.when = Some("data.token != 't10'".to_owned())).await;
    assert_eq!((click(10).len() % 2, click(1).len() % 2), (0, 1));
    engine.house.send(&click(10)).await.unwrap();
    for number in 1..10 {
        engine.house.send(&click(number)).await.unwrap();
        engine.pass(SECOND / 10).await;
        assert_eq!(engine.count(fast, State::Delivered).await, number as usize);
    }
    assert_eq!(engine.wires.times_ms(slow), [0]);
    assert_eq!(engine.wires.times_ms(fast), [0, 100, 200, 300, 400, 500, 600, 700, 800]);
}

#[tokio::test(start_paused = true)]
async fn hanging_destinations_do_not_use_up_the_wires_of_the_others() {
    let engine =
        Engine::new(|sent| if sent.body.ends_with(b"\"t0\"}}") { Answer::Hangs } else { Answer::Status(200) }).await;
    for number in 0..100 {
        engine
            .destination(&format!("slow-{number}"), |destination| {
                destination.when = Some("data.token == 't0'".to_owned());
            })
            .await;
    }
    let fast = engine.destination("fast", |destination| destination.when = Some("data.token != 't0'".to_owned())).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    engine.clicks(1..101).await;
    engine.pass(SECOND / 100).await;
    assert_eq!(engine.count(fast, State::Delivered).await, 100);
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_never_exceeded_and_always_used() {
    let engine = Engine::new(|_| Answer::Slowly(200, SECOND)).await;
    let orders = engine.destination("orders", |destination| destination.concurrency = 3).await;
    engine.clicks(0..20).await;
    engine.pass(7 * SECOND + SECOND / 2).await;
    assert_eq!(engine.wires.most_at_once(), 3);
    assert_eq!(engine.count(orders, State::Delivered).await, 20, "20 of 1 s in threes take 7 s");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_exactly() {
    let engine = Engine::new(|_| Answer::Status(200)).await;
    let four = engine.destination("four", |destination| destination.rate = per_second(4.0)).await;
    let tenth = engine.destination("tenth", |destination| destination.rate = per_second(0.1)).await;
    engine.clicks(0..10).await;
    engine.pass(100 * SECOND).await;
    assert_eq!(engine.wires.times_ms(four), [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000, 2_250]);
    let tens: Vec<u128> = (0..10).map(|n| n * 10_000).collect();
    assert_eq!(engine.wires.times_ms(tenth), tens);
}

#[tokio::test(start_paused = true)]
async fn a_high_rate_is_reached_and_not_exceeded() {
    let engine = Engine::new(|_| Answer::Status(200)).await;
    let orders = engine.destination("orders", |destination| destination.rate = per_second(1_500.0)).await;
    engine.clicks(0..3_000).await;
    engine.pass(3 * SECOND).await;
    let times = engine.wires.times_ms(orders);
    assert_eq!(times.len(), 3_000);
    let took = times.last().unwrap() - times[0];
    assert!((1_980..=2_020).contains(&took), "{took} ms");
    let most = times.iter().map(|&from| times.iter().filter(|&&at| (from..from + 1_000).contains(&at)).count()).max();
    assert!(most.unwrap() <= 1_500 + 16, "{most:?} within a second");
}

#[tokio::test(start_paused = true)]
async fn first_tries_go_before_retries() {
    let engine =
        Engine::new(|sent| if sent.at < SECOND { Answer::Status(500) } else { Answer::Slowly(200, SECOND) }).await;
    let orders = engine
        .destination("orders", |destination| {
            destination.concurrency = 1;
            destination.breaker = false;
            destination.retry = RetryPolicy::Custom(vec![60 * SECOND]);
        })
        .await;
    engine.clicks(0..20).await;
    engine.pass(59 * SECOND + SECOND / 2).await;
    // Twenty retries fall due at 60 s; ten first tries come in just before.
    engine.clicks(20..30).await;
    engine.pass(60 * SECOND).await;
    let order: Vec<usize> = engine.wires.to(orders)[20..].iter().map(|sent| sent.before).collect();
    let last_first = order.iter().rposition(|&before| before == 0).unwrap();
    // One place in five belongs to a retry, so that they do not starve.
    assert!(last_first <= 12, "{order:?}");
    assert_eq!(engine.count(orders, State::Delivered).await, 30);
}

#[tokio::test(start_paused = true)]
async fn lanes_that_wait_cost_no_task() {
    let engine = Engine::new(|sent| Answer::Status(if sent.before == 0 { 503 } else { 200 })).await;
    let mut lanes = Vec::new();
    for number in 0..500 {
        lanes.push(engine.destination(&format!("d{number}"), |_| {}).await);
    }
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    assert_eq!(tasks(), 2, "the dispatcher and the rescuer; no lane that waits for the time of its retry has a task");
    engine.pass(60 * SECOND).await;
    for lane in lanes {
        assert_eq!(engine.count(lane, State::Delivered).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shortage_on_this_machine_spends_no_attempt() {
    let engine = Engine::new(|sent| if sent.at < 10 * SECOND { Answer::IsShort } else { Answer::Status(200) }).await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(11 * SECOND).await;
    assert!((10..=25).contains(&engine.wires.to(orders).len()), "it is tried again, but not in a hot loop");
    let (summary, attempts) = engine.only(orders).await;
    assert_eq!((summary.delivery.standing.state, attempts.len()), (State::Delivered, 1));
}

#[tokio::test(start_paused = true)]
async fn a_restart_sends_no_herd() {
    let mut engine = Engine::new(|_| Answer::Slowly(200, SECOND / 10)).await;
    engine.dispatcher.stop(SECOND).await;
    let mut lanes = Vec::new();
    for number in 0..200 {
        lanes.push(engine.destination(&format!("d{number}"), |_| {}).await);
    }
    engine.clicks(0..20).await;
    assert_eq!(engine.wires.most_at_once(), 0);
    engine.restart(DispatcherOptions { wires_max: 300, ..DispatcherOptions::default() }).await;
    engine.pass(10 * SECOND).await;
    assert!(engine.wires.most_at_once() <= 300, "{}", engine.wires.most_at_once());
    for lane in lanes {
        assert_eq!(engine.count(lane, State::Delivered).await, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_deleted_in_mid_flight_ends_its_lane() {
    let engine = Engine::new(|_| Answer::Slowly(200, 5 * SECOND)).await;
    let orders = engine.destination("orders", |destination| destination.concurrency = 2).await;
    let other = engine.destination("other", |_| {}).await;
    engine.clicks(0..10).await;
    engine.pass(SECOND).await;
    engine.house.registry.delete_destination(orders).await.unwrap();
    while engine.house.store.tidy(engine.house.clock.now()).await.unwrap() {}
    engine.pass(60 * SECOND).await;
    assert_eq!(engine.wires.to(orders).len(), 2, "nothing is begun after the deletion");
    assert_eq!(engine.count(orders, State::Cancelled).await, 10);
    assert_eq!(engine.count(other, State::Delivered).await, 10);
}

#[tokio::test(start_paused = true)]
async fn outcomes_share_commits_and_none_waits_long_for_others() {
    let store = Arc::new(Sulky::new(MemoryStore::new()));
    let script = |sent: &Sent| {
        let wave = 1 + sent.body[sent.body.len() - 4] % 4;
        if sent.body.ends_with(b"\"t0\"}}") { Answer::Hangs } else { Answer::Slowly(200, SECOND / 1_000 * wave.into()) }
    };
    let engine = Engine::over(Arc::clone(&store) as _, plugins(), script).await;
    let fast = engine.destination("fast", |destination| destination.concurrency = 32).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    engine.clicks(1..2).await;
    engine.pass(SECOND / 100).await;
    assert_eq!(engine.count(fast, State::Delivered).await, 1, "the one on the wire takes ten seconds");
    engine.clicks(2..102).await;
    engine.pass(SECOND / 20).await;
    assert_eq!(engine.count(fast, State::Delivered).await, 101);
    let settled = store.settled();
    assert_eq!(settled.iter().sum::<usize>(), 101);
    assert!(settled.len() <= 4, "one commit for each wave: {settled:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_a_crash_may_repeat_is_free_when_its_outcome_is_stored_and_that_is_at_once() {
    let engine = Engine::new(|_| Answer::Slowly(200, SECOND)).await;
    let orders = engine.destination("orders", |destination| destination.concurrency = 2).await;
    engine.clicks(0..10).await;
    engine.pass(5 * SECOND + SECOND / 1_000).await;
    assert_eq!(engine.count(orders, State::Delivered).await, 10, "no outcome waits for another");
    assert_eq!(engine.wires.times_ms(orders), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4].map(|secs: u128| secs * 1_000));
}
