//! Every destination that the storm blows at: its section of the file, the faults of its vendor, and what may be asked of it.

use std::fmt::Write as _;
use std::time::Duration;

use peers::ClickHouse;
use serde_json::json;
use vendors::discord::Discord;
use vendors::mail_api::MailApi;
use vendors::segment::Segment;
use vendors::slack::Slack;
use vendors::smtp::Smtp;
use vendors::teams::Teams;
use vendors::{Answer, Book, Fault, Faults, Request, Simulator, Vendor, clickhouse as look_alike};

use super::relay::Relay;
use super::tally::{Tally, count_marks};
use super::traffic::Event;
use crate::support::DESTINATION_SECRET;

/// What holds for every event that a destination is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// There is a key by which the vendor knows a repetition.
    Once,
    /// A repetition cannot be told apart, and does little harm.
    AtLeastOnce,
    /// A repetition cannot be told apart and would be a second message to a person: what nobody knows the outcome of is
    /// a dead letter.
    AtMostOnce,
}

/// A destination of the storm.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) promise: Promise,
    pub(super) config: String,
    wants: fn(&Event) -> bool,
    /// The mark that can never be taken, and what the dead letter says of it.
    pub(super) poison: Option<(String, &'static str)>,
    pub(super) needs_provision: bool,
    pub(super) look: Box<dyn Fn() -> Tally>,
}

/// Starts every vendor, and plants what some of them cannot take among the events.
pub(super) fn start(seed: u64, events: &mut [Event]) -> Vec<Member> {
    let essay = &mut events[700];
    essay.envelope["data"]["essay"] = json!("x".repeat(40_000));
    let essay = essay.mark.clone();
    let fortune = &mut events[1_500];
    fortune.envelope["data"]["revenue"] = json!(1e30);
    let fortune = fortune.mark.clone();
    let nobody = events.iter().filter(|event| event.is_install()).nth(42).expect("many installs").mark.clone();

    let mut members = vec![
        webhook(seed + 1),
        segment(seed + 2).poisoned(&essay, "too_large"),
        slack(seed + 3),
        clickhouse_look_alike(seed + 4),
        discord(seed + 7),
        teams(seed + 8),
        resend(seed + 10),
        postmark(seed + 11),
        send_grid(seed + 12),
        smtp(seed + 13, &nobody),
    ];
    let old = ClickHouse::start().map(|peer| clickhouse("clickhouse-18", " FINAL", peer, seed + 5));
    let current = ClickHouse::start_current().map(|peer| clickhouse("clickhouse-26", " FINAL", peer, seed + 6));
    members.extend(old.into_iter().chain(current).map(|member| member.poisoned(&fortune, "refused")));
    members
}

impl Member {
    /// A destination that is owed everything, exactly once.
    fn new(name: &'static str, config: String, look: impl Fn() -> Tally + 'static) -> Self {
        Self {
            name,
            promise: Promise::Once,
            config,
            wants: |_| true,
            poison: None,
            needs_provision: false,
            look: Box::new(look),
        }
    }

    /// One whose vendor is a simulator with a book.
    fn simulated<V: Send + 'static>(name: &'static str, config: String, simulator: Simulator<V>) -> Self {
        Self::new(name, config, move || Tally::of(&simulator))
    }

    fn promises(self, promise: Promise) -> Self {
        Self { promise, ..self }
    }

    fn gets(self, wants: fn(&Event) -> bool) -> Self {
        Self { wants, ..self }
    }

    fn poisoned(self, mark: &str, says: &'static str) -> Self {
        Self { poison: Some((mark.to_owned(), says)), ..self }
    }

    fn provisioned(self) -> Self {
        Self { needs_provision: true, ..self }
    }

    /// Whether it is owed this event.
    pub(super) fn wants(&self, event: &Event) -> bool {
        (self.wants)(event)
    }
}

/// Short waits, and enough of them for a third of all tries to fail.
pub(super) const RETRY: &str = r#"["50ms", "100ms", "200ms", "400ms", "500ms", "500ms", "500ms", "500ms", "500ms", "500ms", "1s", "1s", "1s", "2s"]"#;

/// A `[[destination]]`.
pub(super) fn section(name: &str, connector: &str, more: &str, settings: &[(&str, &str)]) -> String {
    let mut section =
        format!("[[destination]]\nname = \"{name}\"\nconnector = \"{connector}\"\nretry = {RETRY}\n{more}\n");
    for (key, value) in settings {
        writeln!(section, "settings.{key} = {}", toml(value)).expect("writing to a string");
    }
    section
}

/// A value as TOML writes it: a text, unless it reads as a list, a table, a switch or a number.
fn toml(value: &str) -> String {
    let is_bare = value.starts_with(['[', '{']) || ["true", "false"].contains(&value) || value.parse::<u32>().is_ok();
    if is_bare { value.to_owned() } else { format!("'''{value}'''") }
}

const ALL: &str = "events = [\"*\"]\nrate = 2000";
const ALL_IN_BATCHES: &str = "events = [\"*\"]\nrate = 2000\nbatch = { items = 20, wait = \"100ms\" }";
/// What people are bothered with.
const FEW: &str = "events = [\"*\"]\nwhen = \"data.loud\"\nrate = 2000";
const MESSAGE: &str = "*{{ type }}* {{ data.campaign }} {{ data.mark }}";
const WELCOMES: &str = "events = [\"install.tracked\"]\nrate = 2000";

/// About a fifth of the requests of a vendor that takes one event at a time. Waits that it asks for are rare, because
/// each holds the whole lane for a second.
fn singly(seed: u64) -> Faults {
    Faults::seeded(seed)
        .with(Fault::RateLimit { retry_after_s: 1 }, 1)
        .with(Fault::ServerError(503), 60)
        .with(Fault::ServerError(500), 30)
        .with(Fault::DropBefore, 40)
        .with(Fault::DropAfter, 40)
        .with(Fault::LateSuccess { hold: Duration::from_millis(300) }, 5)
        .with(Fault::Slow { hold: Duration::from_millis(20) }, 30)
}

/// The same for one that sees few requests: because it takes batches, or because few events go there.
fn seldom(seed: u64) -> Faults {
    Faults::seeded(seed)
        .with(Fault::RateLimit { retry_after_s: 1 }, 30)
        .with(Fault::ServerError(503), 40)
        .with(Fault::ServerError(500), 20)
        .with(Fault::DropBefore, 40)
        .with(Fault::DropAfter, 40)
        .with(Fault::LateSuccess { hold: Duration::from_millis(300) }, 20)
}

/// With the pages of a captive portal, where a success has something in it that they lack.
fn with_pages(faults: Faults) -> Faults {
    faults.with(Fault::Garbage, 30)
}

fn webhook(seed: u64) -> Member {
    let simulator = Receiver.start(singly(seed));
    let config = section("webhook", "webhook", ALL, &[("url", &simulator.url()), ("secret", DESTINATION_SECRET)]);
    Member::simulated("webhook", config, simulator)
}

/// Somebody who takes webhooks and goes by their `webhook-id`, as receivers are told to.
struct Receiver;

impl Vendor for Receiver {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        let key = request.header("webhook-id").unwrap_or_default().to_owned();
        book.store_once(key, request.json().unwrap_or_default(), request.at, Duration::MAX);
        Answer::empty(204)
    }
}

fn segment(seed: u64) -> Member {
    let simulator = Segment::new().start(with_pages(seldom(seed)));
    let settings = [("write_key", "write-key"), ("host", &*simulator.url())];
    Member::simulated("segment", section("segment", "segment", ALL_IN_BATCHES, &settings), simulator)
}

fn slack(seed: u64) -> Member {
    let simulator = Slack::without_limit().start(with_pages(seldom(seed)));
    let settings = [("url", &*simulator.hook_url()), ("host_check", "false"), ("text", MESSAGE)];
    let config = section("slack", "slack", FEW, &settings);
    Member::simulated("slack", config, simulator).gets(Event::is_loud).promises(Promise::AtLeastOnce)
}

fn discord(seed: u64) -> Member {
    let simulator = Discord::without_limit().start(with_pages(seldom(seed)).with(Fault::PartialFailure, 20));
    let settings = [("url", &*simulator.hook_url()), ("host_check", "false"), ("text", MESSAGE)];
    let config = section("discord", "discord", FEW, &settings);
    Member::simulated("discord", config, simulator).gets(Event::is_loud).promises(Promise::AtLeastOnce)
}

fn teams(seed: u64) -> Member {
    let simulator = Teams::without_limit().start(seldom(seed));
    let settings = [("url", &*simulator.hook_url()), ("host_check", "false"), ("text", MESSAGE)];
    let config = section("teams", "teams", FEW, &settings);
    Member::simulated("teams", config, simulator).gets(Event::is_loud).promises(Promise::AtLeastOnce)
}

fn clickhouse_look_alike(seed: u64) -> Member {
    let server = look_alike::ClickHouse::new(look_alike::Release::Current);
    let simulator = server.start(seldom(seed).with(Fault::PartialFailure, 20));
    let config = section("clickhouse", "clickhouse", ALL_IN_BATCHES, &[("url", &simulator.url())]);
    let look = move || {
        let rows = simulator.rows_final("deep_link_events");
        Tally { times: count_marks(rows.iter().map(ToString::to_string)), ..Tally::of(&simulator) }
    };
    Member::new("clickhouse", config, look).provisioned()
}

/// A real server behind bad luck.
fn clickhouse(name: &'static str, merged: &'static str, peer: ClickHouse, seed: u64) -> Member {
    let port = peer.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port");
    let simulator = Relay { port }.start(seldom(seed));
    let settings = [
        ("url", &*simulator.url()),
        ("database", ClickHouse::DATABASE),
        ("user", ClickHouse::USER),
        ("password", ClickHouse::PASSWORD),
    ];
    let config = section(name, "clickhouse", ALL_IN_BATCHES, &settings);
    let look = move || {
        let rows = peer.query(&format!("SELECT raw FROM deep_link_events{merged} FORMAT TSVRaw")).unwrap();
        Tally { times: count_marks(rows.lines()), ..Tally::of(&simulator) }
    };
    Member::new(name, config, look).provisioned()
}

/// The words of every welcome mail.
const WELCOME: [(&str, &str); 3] = [
    ("from", "Acme <hello@acme.example>"),
    ("subject", "Welcome, {{ data.campaign }}"),
    ("text", "Hello {{ data.mark }}"),
];

/// It knows a mail by its idempotency key.
fn resend(seed: u64) -> Member {
    let simulator = MailApi::without_limit().start(with_pages(seldom(seed)));
    let url = simulator.url();
    let settings = [("provider", "resend"), ("api_url", &*url), ("api_key", "re_afterclick")];
    let config = section("resend", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    Member::simulated("resend", config, simulator).gets(Event::is_install)
}

/// These know nothing of the kind.
fn postmark(seed: u64) -> Member {
    let simulator = MailApi::without_limit().start(with_pages(seldom(seed)));
    let url = simulator.url();
    let settings = [("provider", "postmark"), ("api_url", &*url), ("api_key", "postmark-token")];
    let config = section("postmark", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    Member::simulated("postmark", config, simulator).gets(Event::is_install).promises(Promise::AtMostOnce)
}

fn send_grid(seed: u64) -> Member {
    let simulator = MailApi::without_limit().start(with_pages(seldom(seed)));
    let url = simulator.url();
    let settings = [("provider", "sendgrid"), ("api_url", &*url), ("api_key", "SG.afterclick")];
    let config = section("sendgrid", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    Member::simulated("sendgrid", config, simulator).gets(Event::is_install).promises(Promise::AtMostOnce)
}

fn smtp(seed: u64, nobody: &str) -> Member {
    let mut server = Smtp::new();
    server.refused = vec![(format!("{nobody}@example.org"), "550 5.1.1 no such user here".to_owned())];
    let simulator = server.start(with_pages(seldom(seed)));
    let port = simulator.address().port().to_string();
    let settings = [("provider", "smtp"), ("host", "127.0.0.1"), ("port", &*port), ("tls", "none")];
    let config = section("smtp", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    let member = Member::simulated("smtp", config, simulator).gets(Event::is_install).promises(Promise::AtMostOnce);
    member.poisoned(nobody, "no such user here")
}
