//! The storm: thousands of mixed events to every kind of destination at once, with vendors that misbehave and a server that is
//! killed in the middle.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use bench::client::Client;
use bench::server::{Plan, Server};
use serde_json::{Value, json};

use super::fleet::{self, Member, Promise};
use super::tally::Tally;
use super::traffic::{self, Event};

const EVENTS: usize = 3_000;
/// Without a change of the backlog for so long, it will never be empty.
const STALLS_AFTER: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often provisioning is asked for.
const PROVISIONS_MAX: usize = 30;
/// How often the server is killed.
const KILLS: usize = 2;
/// A destination where nobody answers.
const DOWN: &str = "down";

#[test]
fn thousands_of_events_through_faults_and_kills_arrive_once_and_none_is_lost() {
    let seed = std::env::var("AFTERCLICK_STORM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x0005_eed5);
    eprintln!("storm: AFTERCLICK_STORM_SEED={seed}");
    let mut events = traffic::mixed(EVENTS);
    let fleet = fleet::start(seed, &mut events);
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let plan = plan(scratch.path(), &fleet);

    provision(&plan, &fleet);
    let server = publish_through_kills(&plan, &events);
    let client = server.client().unwrap();
    let delivered = wait_until_delivered(&client);
    let outcomes: Vec<_> = fleet.iter().map(|member| Outcome::of(&client, member)).collect();
    let findings = match delivered {
        Ok(()) => judge(&client, &outcomes, &events),
        Err(stalled) => vec![stalled],
    };
    // Only seen where the test fails.
    eprintln!("{}", table(&client, &outcomes, &events));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    server.stop().unwrap();
}

fn plan(scratch: &Path, fleet: &[Member]) -> Plan {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = [("url", &*format!("http://{nobody}/")), ("secret", crate::support::DESTINATION_SECRET)];
    let mut config =
        fleet::section(DOWN, "webhook", "events = [\"*\"]", &settings).replace(fleet::RETRY, "\"standard\"");
    config.extend(fleet.iter().map(|member| format!("\n{}", member.config)));
    Plan::new(env!("CARGO_BIN_EXE_afterclick").as_ref(), &scratch.join("data"), &config)
}

/// Has the tables made that some of them need. The vendors misbehave already, so it may have to be asked for again.
fn provision(plan: &Plan, fleet: &[Member]) {
    let server = Server::start(plan).unwrap();
    let client = server.client().unwrap();
    for member in fleet.iter().filter(|member| member.needs_provision) {
        let path = format!("/v1/destinations/{}/provision", member.name);
        let provision = |_| client.post(&path, &json!({ "dry_run": false })).ok().filter(is_all_done);
        assert!((0..PROVISIONS_MAX).find_map(provision).is_some(), "{} is not provisioned", member.name);
    }
    server.stop().unwrap();
}

fn is_all_done(provisioned: &Value) -> bool {
    provisioned["plan"].as_array().is_some_and(|plan| plan.iter().all(|made| made["state"] == "done"))
}

/// Publishes everything; the server is killed when half is published and once more when all is. Returns the third one.
fn publish_through_kills(plan: &Plan, events: &[Event]) -> Server {
    let (servers, taken) = channel();
    let (progress, published) = channel();
    let start = |servers: &Sender<Client>| {
        let server = Server::start(plan).unwrap();
        // Nobody takes it if everything is published.
        let _ = servers.send(server.client().unwrap());
        server
    };
    std::thread::scope(|scope| {
        let mut server = start(&servers);
        scope.spawn(move || traffic::publish(events, &taken, |count| progress.send(count).expect("somebody counts")));
        for until in (1..=KILLS).map(|kill| events.len() * kill / KILLS) {
            let _ = published.iter().find(|count| *count >= until).expect("the publisher goes on");
            server.kill().unwrap();
            server = start(&servers);
        }
        server
    })
}

/// Waits until nothing is owed to anybody but the one who is down.
fn wait_until_delivered(client: &Client) -> Result<(), String> {
    let (mut left, mut changed) = (f64::MAX, Instant::now());
    loop {
        let all = client.metric("afterclick_backlog{").unwrap();
        let now = all - client.metric(&format!("afterclick_backlog{{destination=\"default/{DOWN}\"")).unwrap();
        if now < 0.5 {
            return Ok(());
        }
        if (now - left).abs() > 0.5 {
            (left, changed) = (now, Instant::now());
        } else if changed.elapsed() > STALLS_AFTER {
            return Err(format!("{now} deliveries are left and nothing moves"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What became of what a destination was owed, on both sides.
struct Outcome<'a> {
    member: &'a Member,
    tally: Tally,
    dead: Vec<DeadLetter>,
}

impl<'a> Outcome<'a> {
    fn of(client: &Client, member: &'a Member) -> Self {
        Self { member, tally: (member.look)(), dead: dead_letters(client, member.name) }
    }
}

/// What is not as it should be, for a person.
fn judge(client: &Client, outcomes: &[Outcome<'_>], events: &[Event]) -> Vec<String> {
    let mut findings: Vec<_> = outcomes.iter().flat_map(|outcome| judge_one(outcome, events)).collect();
    let down = client.list(&format!("/v1/deliveries?destination={DOWN}&limit=200")).unwrap();
    let waiting = down.iter().filter(|delivery| matches!(delivery["state"].as_str(), Some("pending" | "held"))).count();
    if (waiting, down.len()) != (events.len(), events.len()) {
        findings.push(format!("{DOWN}: {waiting} of {} deliveries are waiting for it", events.len()));
    }
    findings
}

fn judge_one(outcome: &Outcome<'_>, events: &[Event]) -> Vec<String> {
    let Outcome { member, tally, dead } = outcome;
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(format!("{}: {what}", member.name));
    if let Some(counted) = &tally.counted {
        let owed = events.iter().filter(|event| member.wants(event)).count();
        find_miscounts(counted, owed, dead, &mut find);
        find_flaws(tally, &mut find);
        return findings;
    }
    for event in events.iter().filter(|event| member.wants(event)) {
        let (mark, times) = (&event.mark, tally.of_mark(&event.mark));
        let died = dead.iter().find(|letter| letter.mark == *mark);
        // A kill may meet the poison too, and then nobody knows that it is one.
        let is_unknown = |letter: &&DeadLetter| letter.delivery["reason"] == "unknown_outcome";
        let poison =
            member.poison.as_ref().filter(|(poison, _)| poison == mark && !died.as_ref().is_some_and(is_unknown));
        if let Some((_, says)) = poison {
            match died {
                Some(letter) if letter.says(says) => {}
                Some(letter) => find(format!("the poison is dead without `{says}`: {}", letter.delivery)),
                None => find(format!("the poison {mark} is not dead; it is there {times} times")),
            }
            continue;
        }
        match (member.promise(event), times, died) {
            (Promise::Once | Promise::AtMostOnce, 1, None) | (Promise::AtLeastOnce, 1.., None) => {}
            (Promise::AtMostOnce, 0 | 1, Some(letter)) if is_unknown(&letter) => {}
            (_, _, Some(letter)) => find(format!("{mark} is there {times} times and dead: {}", letter.delivery)),
            (_, _, None) => find(format!("{mark} ({}) is there {times} times", event.kind)),
        }
    }
    find_flaws(tally, &mut find);
    findings.truncate(FINDINGS_MAX);
    findings
}

/// Each event is counted once over all messages. The vendor knows no repetition, so each kill may make one message come twice.
fn find_miscounts(counted: &[usize], owed: usize, dead: &[DeadLetter], mut find: impl FnMut(String)) {
    let mut counted = counted.to_vec();
    counted.sort_unstable_by(|a, b| b.cmp(a));
    let (sum, twice) = (counted.iter().sum::<usize>(), counted.iter().take(KILLS).sum::<usize>());
    if !(owed..=owed + twice).contains(&sum) {
        find(format!("{owed} events are counted as {sum}: {counted:?}"));
    }
    for letter in dead {
        find(format!("{} is dead: {}", letter.mark, letter.delivery));
    }
}

fn find_flaws(tally: &Tally, mut find: impl FnMut(String)) {
    tally.lost.iter().for_each(|lost| find(format!("swallowed {lost}")));
    tally.flagged.iter().for_each(|flagged| find(format!("flagged {flagged}")));
    if tally.faults == 0 {
        find(format!("no fault was met in {} requests; the test tests nothing", tally.requests));
    }
}

/// So many of a destination are enough to see what is the matter.
const FINDINGS_MAX: usize = 5;

struct DeadLetter {
    mark: String,
    delivery: Value,
}

impl DeadLetter {
    fn says(&self, text: &str) -> bool {
        self.delivery.to_string().contains(text)
    }
}

fn dead_letters(client: &Client, destination: &str) -> Vec<DeadLetter> {
    let letters = client.list(&format!("/v1/dead-letters?destination={destination}&limit=200")).unwrap();
    let of = |delivery: Value| {
        let event = delivery["event"].as_str().unwrap_or_default();
        let body = client.text(&format!("/v1/events/{event}/body")).unwrap();
        let mark = traffic::marks_in(&body).into_iter().next().unwrap_or_default().to_owned();
        DeadLetter { mark, delivery }
    };
    letters.into_iter().map(of).collect()
}

/// A line of counts per destination.
fn table(client: &Client, outcomes: &[Outcome<'_>], events: &[Event]) -> String {
    let mut table = format!(
        "{:<14}{:>6}{:>8}{:>8}{:>8}{:>8}{:>10}{:>8}\n",
        "", "owed", "none", "once", "more", "dead", "requests", "faults"
    );
    for Outcome { member, tally, dead } in outcomes {
        let owed: Vec<_> = events.iter().filter(|event| member.wants(event)).collect();
        let count =
            |wanted: &dyn Fn(usize) -> bool| owed.iter().filter(|event| wanted(tally.of_mark(&event.mark))).count();
        let (none, once, more) = (count(&|times| times == 0), count(&|times| times == 1), count(&|times| times > 1));
        let dead = dead.len();
        writeln!(
            table,
            "{:<14}{:>6}{none:>8}{once:>8}{more:>8}{dead:>8}{:>10}{:>8}  {}",
            member.name,
            owed.len(),
            tally.requests,
            tally.faults,
            why_closed(client, member.name)
        )
        .expect("writing to a string");
    }
    table
}

/// What keeps a destination from being sent anything; nothing, if nothing does.
fn why_closed(client: &Client, name: &str) -> String {
    let destination = client.get(&format!("/v1/destinations/{name}")).unwrap();
    let reasons = [&destination["paused"], &destination["lane"]["closed_because"]];
    reasons.iter().filter(|reason| !reason.is_null()).map(ToString::to_string).collect()
}
