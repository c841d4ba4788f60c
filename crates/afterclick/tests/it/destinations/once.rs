//! A mail is sent once or not known to be, and a batch is stored once: whatever kills the server at whatever moment.

use std::net::TcpListener;

use bench::client::Client;
use bench::server::{ADMIN_KEY, Plan, Server};
use serde_json::{Value, json};
use vendors::mail_api::MailApi;
use vendors::smtp::Smtp;
use vendors::{Fault, Faults, Simulator, Vendor as _, clickhouse as look_alike};

use super::fleet::section;
use super::tally::Tally;
use super::traffic::{self, Event};
use crate::support::{DEADLINE, until};

const LIVES: usize = 8;
const EVENTS_PER_LIFE: usize = 60;
/// Mails on their way at once.
const CONCURRENCY: usize = 4;
/// Far longer than anybody waits here.
const FOR_EVER: Fault = Fault::Slow { hold: std::time::Duration::from_mins(10) };

const TO_ALL: &str = "events = [\"*\"]\nrate = 1000\nconcurrency = 4";
const LETTER: [(&str, &str); 3] =
    [("from", "hello@acme.example"), ("subject", "Welcome"), ("text", "Hello {{ data.mark }}")];

fn by_smtp(port: u16) -> String {
    let port = port.to_string();
    let server = [("provider", "smtp"), ("host", "127.0.0.1"), ("port", &*port), ("tls", "none")];
    section("mail", "email", TO_ALL, &[&server[..], &LETTER].concat())
}

fn by_postmark(url: &str) -> String {
    let server = [("provider", "postmark"), ("api_url", url), ("api_key", "postmark-token")];
    section("mail", "email", TO_ALL, &[&server[..], &LETTER].concat())
}

fn plan(scratch: &tempfile::TempDir, config: &str) -> Plan {
    Plan::new(env!("CARGO_BIN_EXE_afterclick").as_ref(), &scratch.path().join("data"), config)
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn publish(client: &Client, events: &[Event]) {
    client.post("/v1/events", &events.iter().map(|event| event.envelope.clone()).collect()).unwrap();
}

/// The deliveries, once none is open.
fn settled(client: &Client) -> Vec<Value> {
    until("every delivery to be over", || {
        let deliveries = client.list("/v1/deliveries?limit=200").unwrap();
        let is_over = |delivery: &Value| matches!(delivery["state"].as_str(), Some("delivered" | "dead"));
        deliveries.iter().all(is_over).then_some(deliveries)
    })
}

/// Kills the server while a mail is on its way, and looks at what becomes of it under the configuration `after`. What
/// `is_on_the_way` returns is held until the server is gone.
fn kill_on_the_way<T>(before: &str, is_on_the_way: impl FnOnce() -> T, after: &str) -> Value {
    let scratch = scratch();
    let server = Server::start(&plan(&scratch, before)).unwrap();
    publish(&server.client().unwrap(), &traffic::mixed(1));
    let way = is_on_the_way();
    server.kill().unwrap();
    drop(way);
    let server = Server::start(&plan(&scratch, after)).unwrap();
    let mut deliveries = settled(&server.client().unwrap());
    server.stop().unwrap();
    assert_eq!(deliveries.len(), 1);
    deliveries.remove(0)
}

fn wait_for_mail<V: Send + 'static>(simulator: &Simulator<V>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(runtime.block_on(simulator.until(DEADLINE, |book| !book.stored.is_empty())), "no mail came");
}

#[track_caller]
fn is_unknown(delivery: &Value) {
    assert_eq!((&delivery["state"], &delivery["reason"]), (&"dead".into(), &"unknown_outcome".into()), "{delivery}");
}

#[test]
fn a_mail_whose_answer_was_never_read_is_not_sent_again() {
    let smtp = Smtp::new().start(Faults::script([Some(FOR_EVER)]));
    let config = by_smtp(smtp.address().port());
    is_unknown(&kill_on_the_way(&config, || wait_for_mail(&smtp), &config));
    assert_eq!(smtp.mails().len(), 1);

    let api = MailApi::without_limit().start(Faults::script([Some(FOR_EVER)]));
    let config = by_postmark(&api.url());
    is_unknown(&kill_on_the_way(&config, || wait_for_mail(&api), &config));
    assert_eq!(api.book(|book| book.stored.len()), 1);
}

#[test]
fn a_mail_that_was_noted_and_perhaps_not_sent_is_left_to_a_person() {
    // Somebody who picks up and says nothing: the mail is in the ledger and cannot have been sent.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let smtp = Smtp::new().start(Faults::none());
    let before = by_smtp(silent.local_addr().unwrap().port());
    let after = by_smtp(smtp.address().port());
    is_unknown(&kill_on_the_way(&before, || silent.accept().unwrap(), &after));
    assert!(smtp.mails().is_empty(), "nobody but a person sends it now");
}

#[test]
fn nobody_gets_a_mail_twice_whenever_the_server_is_killed() {
    let scratch = scratch();
    let smtp = Smtp::new().start(Faults::none());
    let plan = plan(&scratch, &by_smtp(smtp.address().port()));
    let events = traffic::mixed(LIVES * EVENTS_PER_LIFE);
    for life in 0..LIVES {
        let server = Server::start(&plan).unwrap();
        let client = Client::new(server.address(), ADMIN_KEY).unwrap();
        publish(&client, &events[life * EVENTS_PER_LIFE..][..EVENTS_PER_LIFE]);
        // Each life ends at another point of its work.
        let wanted = smtp.mails().len() + 1 + life * 5;
        until("some mails", || (smtp.mails().len() >= wanted).then_some(()));
        server.kill().unwrap();
    }
    let server = Server::start(&plan).unwrap();
    let deliveries = settled(&server.client().unwrap());
    server.stop().unwrap();

    let tally = Tally::of(&smtp);
    let twice: Vec<_> = tally.times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let unknown = deliveries.iter().filter(|delivery| delivery["state"] == "dead").inspect(|it| is_unknown(it)).count();
    let delivered = deliveries.len() - unknown;
    assert_eq!(deliveries.len(), events.len());
    assert!(unknown <= LIVES * CONCURRENCY, "{unknown} of unknown outcome");
    assert!(tally.times.len() >= delivered, "{} came, {delivered} are said to be delivered", tally.times.len());
}

#[test]
fn a_batch_keeps_its_name_and_its_rows_whenever_the_server_is_killed() {
    let scratch = scratch();
    // The answer to every third insert is lost: without its token the repetition would be stored again.
    let faults = Faults::seeded(3).with(Fault::DropAfter, 330);
    let clickhouse = look_alike::ClickHouse::new(look_alike::Release::Current).start(Faults::none());
    let more = "events = [\"*\"]\nbatch = { items = 10, wait = \"20ms\" }";
    let plan = plan(&scratch, &section("warehouse", "clickhouse", more, &[("url", &clickhouse.url())]));
    let server = Server::start(&plan).unwrap();
    let provisioned =
        server.client().unwrap().post("/v1/destinations/warehouse/provision", &json!({ "dry_run": false })).unwrap();
    assert_eq!(provisioned["plan"][0]["state"], "done");
    server.stop().unwrap();
    clickhouse.set_faults(faults);

    let events = traffic::mixed(LIVES * EVENTS_PER_LIFE);
    for (life, events) in events.chunks(EVENTS_PER_LIFE).enumerate() {
        let server = Server::start(&plan).unwrap();
        publish(&server.client().unwrap(), events);
        let wanted = clickhouse.book(|book| book.received.len()) + 1 + life % 4;
        until("some inserts", || clickhouse.book(|book| (book.received.len() >= wanted).then_some(())));
        server.kill().unwrap();
    }
    let server = Server::start(&plan).unwrap();
    let deliveries = settled(&server.client().unwrap());
    server.stop().unwrap();
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    let tally = Tally::of(&clickhouse);
    let wrong: Vec<_> = events.iter().filter(|event| tally.of_mark(&event.mark) != 1).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(clickhouse.book(|book| !book.duplicates.is_empty()), "no insert came twice; the test tests nothing");
}
