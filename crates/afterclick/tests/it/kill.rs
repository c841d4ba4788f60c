//! The promise itself: what was answered with 2xx is there after a crash, byte for byte, and arrives.
//!
//! The real program, real signals, real sockets; the disk is the one that `target` is on.

use std::sync::Arc;
use std::time::Duration;

use bench::hang_up::{HangUp, hang_up};
use bench::ledger::{Ledger, Stored};
use bench::load::{self, Load, Pace};
use bench::requests::{Requests, SECRET, reserve};
use bench::server::{Plan, Server};
use bench::sink::{Answer, Sink, Watch};

const KILLS: usize = 20;
const REQUESTS_PER_LIFE: usize = 2_000;
const CONNECTIONS: usize = 16;
/// Attempts on the wire at once to the only destination.
const CONCURRENCY: usize = 8;
const ARRIVES_WITHIN: Duration = Duration::from_mins(1);

#[test]
fn nothing_acknowledged_is_lost_by_twenty_kills_under_load() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sink = Sink::start(Answer::Fine).unwrap();
    let plan = plan(&scratch, &sink);
    let first = reserve(KILLS * REQUESTS_PER_LIFE);
    let watch = sink.watch(first, KILLS * REQUESTS_PER_LIFE, 1);
    let mut ledger = Ledger::default();
    let mut chance = Chance(0x5eed);

    for life in 0..KILLS {
        let server = Server::start(&plan).unwrap();
        let numbers = first + (life * REQUESTS_PER_LIFE) as u64;
        let requests =
            Arc::new(Requests::numbered(numbers, REQUESTS_PER_LIFE, |_| ("/webhooks/tolinku", "link.clicked")));
        let load = Load { connections: CONNECTIONS, window: ARRIVES_WITHIN, pace: Pace::Closed, keep_answers: true };
        let running = load::start(server.address(), requests.clone(), &load).unwrap();
        // Somewhere in the middle of taking in and delivering.
        let arrived = sink.arrived().load(std::sync::atomic::Ordering::Relaxed);
        sink.wait_for(arrived + chance.up_to(300), ARRIVES_WITHIN).unwrap();
        server.kill().unwrap();
        ledger.record(&requests, &running.wait().unwrap()).unwrap();
    }

    let server = Server::start(&plan).unwrap();
    let stored = Stored::read(&server.client().unwrap()).unwrap();
    assert!(ledger.len() > KILLS, "the load never got going: {} events in {KILLS} lives", ledger.len());
    ledger.check(&stored).unwrap();
    wait_until_all_arrived(&sink, &watch, first, &stored);
    let again: usize =
        (0..KILLS * REQUESTS_PER_LIFE).map(|index| watch.arrivals(0, index).saturating_sub(1) as usize).sum();
    // An attempt is in flight until its outcome is on disk; those are the ones that a kill may have made twice.
    // An attempt is in flight until its outcome is on disk.
    assert!(again <= KILLS * CONCURRENCY, "{again} deliveries arrived again after {KILLS} kills");
    server.stop().unwrap();
}

#[test]
fn a_sender_that_hangs_up_has_its_event_stored_and_sent_or_neither() {
    const SENDERS: usize = 600;
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sink = Sink::start(Answer::Fine).unwrap();
    let plan = plan(&scratch, &sink);
    let server = Server::start(&plan).unwrap();
    let requests = Arc::new(Requests::to_path("/webhooks/tolinku", SENDERS));
    let watch = sink.watch(requests.first_sequence(), SENDERS, 1);
    let chance = std::cell::RefCell::new(Chance(0xbad));

    let how = |_| {
        let mut chance = chance.borrow_mut();
        // One in four stops in the middle of its request; the others leave at some moment after the last byte.
        let bytes_max = if chance.up_to(4) == 1 { chance.up_to(600) } else { u64::MAX };
        let (lingers, reset) = (chance.up_to(400), chance.up_to(2) == 1);
        HangUp {
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            lingers: usize::try_from(lingers).unwrap(),
            reset,
        }
    };
    hang_up(server.address(), &requests, how).unwrap();
    let load = Load { connections: 1, window: ARRIVES_WITHIN, pace: Pace::Closed, keep_answers: false };
    let last = Arc::new(Requests::to_path("/webhooks/tolinku", 1));
    load::run(server.address(), last, &load).unwrap().ensure_all_accepted().unwrap();
    // A stop finishes or drops every request that was read: after it, what those senders caused is settled.
    server.stop().unwrap();

    let server = Server::start(&plan).unwrap();
    let stored = Stored::read(&server.client().unwrap()).unwrap();
    let from_leavers = (0..SENDERS).filter(|index| stored.contains(requests.sequence(*index))).count();
    assert!(from_leavers > 0 && from_leavers < SENDERS, "{from_leavers} of {SENDERS} stored; the test tests nothing");
    wait_until_all_arrived(&sink, &watch, requests.first_sequence(), &stored);
    server.stop().unwrap();
    for index in 0..SENDERS {
        let owed = u32::from(stored.contains(requests.sequence(index)));
        assert_eq!(watch.arrivals(0, index), owed, "sender {index}: stored {owed} times");
    }
}

/// A server whose only destination is the sink, tried again at once if need be.
fn plan(scratch: &tempfile::TempDir, sink: &Sink) -> Plan {
    let config = format!(
        "[[source]]\nname = \"tolinku\"\nkind = \"tolinku\"\nsecrets = [\"{SECRET}\"]\n\
         [[destination]]\nname = \"sink\"\nconnector = \"webhook\"\nevents = [\"*\"]\nconcurrency = {CONCURRENCY}\n\
         settings.url = \"{}\"\nsettings.secret = \"{SECRET}\"\n",
        sink.url(0)
    );
    Plan::new(env!("CARGO_BIN_EXE_afterclick").as_ref(), &scratch.path().join("data"), &config)
}

/// Everything that is stored must arrive; what is not stored must not be waited for.
fn wait_until_all_arrived(sink: &Sink, watch: &Watch, first: u64, stored: &Stored) {
    let missing = || {
        stored.sequences().filter(|number| *number >= first).filter(|number| {
            usize::try_from(number - first).is_ok_and(|index| index < watch.len() && watch.arrivals(0, index) == 0)
        })
    };
    sink.wait_until(|| missing().next().is_none(), ARRIVES_WITHIN).unwrap_or_else(|error| {
        panic!("{error}: {} stored events never arrived", missing().count());
    });
}

/// Numbers that look random and are the same in every run.
struct Chance(u64);

impl Chance {
    /// A number from 1 to `most`.
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most + 1
    }
}
