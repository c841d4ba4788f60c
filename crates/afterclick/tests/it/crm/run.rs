//! A day as it is lived: the accounts are made ready, everything is sent, and when nothing is owed any more, all is judged.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bench::client::Client;
use bench::server::{Plan, Server};
use domain::signature::Scheme;
use serde_json::{Value, json};

use super::accounts::Account;
use super::arrivals::Post;
use super::day::Day;
use super::{judge, sender};

/// Without a change of the backlog for so long, it will never be empty.
const STALLS_AFTER: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often provisioning is asked for.
const PROVISIONS_MAX: usize = 30;
/// So many flaws of an account are enough to see what is the matter.
const FLAWS_MAX: usize = 5;

/// Sends everything to a server that is killed whenever so many have been sent. Returns what is not as it should be, for a person.
pub(super) fn live(day: &Day, posts: &[Post], accounts: &[Account], kills: &[usize]) -> String {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let plan = plan(scratch.path(), accounts);
    provision(&plan, accounts);
    let started = Instant::now();
    let server = sender::send(&plan, posts, kills);
    eprintln!("crm: {} posts are sent after {:?}", posts.len(), started.elapsed());
    let silence = wait_for_silence(&server);
    eprintln!("crm: silence after {:?}", started.elapsed());
    let found = look(day, accounts, &server, silence);
    server.stop().unwrap();
    found
}

/// The same without kills, where everybody has written what is known after each post.
pub(super) fn live_step_by_step(day: &Day, posts: &[Post], accounts: &[Account]) -> String {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let plan = plan(scratch.path(), accounts);
    provision(&plan, accounts);
    let server = Server::start(&plan).unwrap();
    let silence = posts.iter().try_for_each(|post| {
        sender::send_to(server.address(), std::slice::from_ref(post));
        wait_for_silence(&server)
    });
    let found = look(day, accounts, &server, silence);
    server.stop().unwrap();
    found
}

fn plan(scratch: &Path, accounts: &[Account]) -> Plan {
    let mut config = crate::support::source(sender::SOURCE, Scheme::BodyHex);
    config.extend(accounts.iter().flat_map(|account| ["\n", &account.config]));
    Plan::new(env!("CARGO_BIN_EXE_afterclick").as_ref(), &scratch.join("data"), &config)
}

fn look(day: &Day, accounts: &[Account], server: &Server, silence: Result<(), String>) -> String {
    let client = server.client().unwrap();
    let mut found = judge::judge(day, accounts, server.address()).tell();
    found.extend(silence.err().map(|stalled| format!("\n{stalled}\n")));
    for account in accounts {
        found.push_str(&look_at(&client, account));
    }
    found
}

/// Has the fields made. The vendors misbehave already, so it may have to be asked for again.
fn provision(plan: &Plan, accounts: &[Account]) {
    let server = Server::start(plan).unwrap();
    let client = server.client().unwrap();
    for account in accounts {
        let path = format!("/v1/destinations/{}/provision", account.name);
        let done =
            |made: &Value| made["plan"].as_array().is_some_and(|plan| plan.iter().all(|made| made["state"] == "done"));
        let mut last = String::new();
        let is_done = (0..PROVISIONS_MAX).any(|_| match client.post(&path, &json!({ "dry_run": false })) {
            Ok(made) => {
                last = made.to_string();
                done(&made)
            }
            Err(error) => {
                last = format!("{error:#}");
                false
            }
        });
        assert!(is_done, "{} is not provisioned: {last}", account.name);
    }
    server.stop().unwrap();
}

/// Waits until everything that came in has been read for who it is about, and nothing is owed to anybody.
fn wait_for_silence(server: &Server) -> Result<(), String> {
    let client = server.client().unwrap();
    let (mut left, mut changed) = (f64::MAX, Instant::now());
    loop {
        // Answered when everything before it has been folded. It says nothing new after the first time.
        let nobody = json!({ "anonymous_id": "nobody-of-this-day" });
        let is_folded = sender::identify(server.address(), &nobody).status == 200;
        let now = client.metric("afterclick_backlog{").unwrap();
        if now < 0.5 && is_folded && is_all_settled(&client) {
            return Ok(());
        }
        if (now - left).abs() > 0.5 {
            (left, changed) = (now, Instant::now());
        } else if changed.elapsed() > STALLS_AFTER {
            return Err(format!("{now} deliveries are left and nothing moves; everything is folded: {is_folded}"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether nothing is owed; the metric is a moment old.
fn is_all_settled(client: &Client) -> bool {
    let all = client.list("/v1/deliveries?limit=200").unwrap();
    all.iter().all(|delivery| !matches!(delivery["state"].as_str(), Some("pending" | "leased" | "held")))
}

/// What is wrong with an account as a whole.
fn look_at(client: &Client, account: &Account) -> String {
    let (mut found, name) = (String::new(), account.name);
    let mut find = |what: String| writeln!(found, "\n{name}: {what}").expect("writing to a string");
    let (trouble, records) = ((account.trouble)(), (account.records)().len());
    eprintln!("crm: {name}: {} requests, {} with faults, {records} records", trouble.requests, trouble.faults);
    if trouble.faults == 0 && account.is_rough {
        find(format!("no fault was met in {} requests; the test tests nothing", trouble.requests));
    }
    trouble.flaws.into_iter().take(FLAWS_MAX).for_each(&mut find);
    dead_letters(client, name).into_values().for_each(&mut find);
    let destination = client.get(&format!("/v1/destinations/{name}")).unwrap();
    let reasons = [&destination["paused"], &destination["lane"]["closed_because"]];
    reasons.into_iter().filter(|why| !why.is_null()).for_each(|why| find(format!("closed: {why}")));
    found
}

/// Of each kind of dead letter how many there are, and the first of them.
fn dead_letters(client: &Client, name: &str) -> BTreeMap<String, String> {
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for letter in client.list(&format!("/v1/dead-letters?destination={name}&limit=200")).unwrap() {
        let error = letter["last_attempt"]["error"].to_string();
        // Without what differs from one to the next.
        let kind =
            error.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.len() > 2).collect::<Vec<_>>().join(" ");
        kinds.entry(kind).or_default().push(letter);
    }
    let tell = |(kind, letters): (String, Vec<Value>)| {
        let text = format!("{} dead letters, the first of them {:#}", letters.len(), letters[0]);
        (kind, text)
    };
    kinds.into_iter().map(tell).collect()
}
