//! Every destination that the storm blows at: its section of the file, the faults of its vendor, and what may be asked of it.

mod ads;
mod clouds;
mod digests;
mod mail;
mod people;
mod receivers;
mod relay;
mod stores;
mod warehouses;
mod wire;

use std::fmt::Write as _;
use std::time::Duration;

use peers::{Aws, ClickHouse, Kafka, Nats, Postgres};
use serde_json::json;
use vendors::{Fault, Faults, Simulator};

use super::tally::Tally;
use super::traffic::Event;

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
    promise: Promise,
    pub(super) config: String,
    wants: fn(&Event) -> bool,
    /// What the vendor knows a repetition of although it knows none of others.
    knows: fn(&Event) -> bool,
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
    let counterfeit =
        events[1_200..].iter_mut().find(|event| event.kind == "ecommerce.purchase").expect("many purchases");
    counterfeit.envelope["data"]["currency"] = json!("QQQ");
    let counterfeit = counterfeit.mark.clone();
    let nobody = events.iter().filter(|event| event.is_install()).nth(42).expect("many installs").mark.clone();

    let mut members = vec![
        receivers::webhook(seed + 1),
        receivers::segment(seed + 2).poisoned(&essay, "too_large"),
        receivers::mixpanel(seed + 3),
        receivers::amplitude(seed + 4),
        people::slack(seed + 5),
        people::discord(seed + 6),
        people::teams(seed + 7),
        people::zapier(seed + 8),
        mail::resend(seed + 9),
        mail::postmark(seed + 10),
        mail::send_grid(seed + 11),
        mail::smtp(seed + 12, &nobody),
        warehouses::clickhouse_look_alike(seed + 13),
        warehouses::bigquery(seed + 20),
        receivers::braze(seed + 21),
        receivers::iterable(seed + 22),
        receivers::ga4(seed + 23),
        ads::meta(seed + 24).poisoned(&counterfeit, "ISO 4217"),
        ads::google(seed + 25).poisoned(&counterfeit, "ISO 4217"),
        clouds::snowflake(seed + 26).poisoned(&fortune, "NUMBER(18, 4)"),
        clouds::redshift(seed + 27).poisoned(&fortune, "overflow"),
        digests::slack(seed + 28),
        digests::mail(seed + 29),
        mail::team(seed + 30),
    ];
    members.extend(real_servers(seed, &fortune));
    members
}

/// Those of which there are real servers, started side by side because each takes its time.
fn real_servers(seed: u64, fortune: &str) -> Vec<Member> {
    std::thread::scope(|scope| {
        let (old, new) = (scope.spawn(ClickHouse::start), scope.spawn(ClickHouse::start_current));
        let (postgres, aws) = (scope.spawn(Postgres::start), scope.spawn(Aws::start));
        let (nats, kafka) = (scope.spawn(Nats::start), scope.spawn(Kafka::start));
        let old = old.join().unwrap().map(|peer| warehouses::clickhouse("clickhouse-18", " FINAL", peer, seed + 14));
        let new = new.join().unwrap().map(|peer| warehouses::clickhouse("clickhouse-26", "", peer, seed + 15));
        let mut members: Vec<_> = [old, new].into_iter().flatten().map(|it| it.poisoned(fortune, "refused")).collect();
        members.extend(postgres.join().unwrap().map(|peer| warehouses::postgres(peer, seed + 16)));
        members.extend(aws.join().unwrap().map(|peer| stores::s3(peer, seed + 17)));
        members.extend(nats.join().unwrap().map(|peer| stores::nats(peer, seed + 18)));
        members.extend(kafka.join().unwrap().map(|peer| stores::kafka(peer, seed + 19)));
        members
    })
}

impl Member {
    /// A destination that is owed everything, exactly once.
    fn new(name: &'static str, config: String, look: impl Fn() -> Tally + 'static) -> Self {
        Self {
            name,
            promise: Promise::Once,
            config,
            wants: |_| true,
            knows: |_| false,
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

    fn knows(self, knows: fn(&Event) -> bool) -> Self {
        Self { knows, ..self }
    }

    fn poisoned(self, mark: &str, says: &'static str) -> Self {
        Self { poison: Some((mark.to_owned(), says)), ..self }
    }

    fn provisioned(self) -> Self {
        Self { needs_provision: true, ..self }
    }

    /// What holds for this event.
    pub(super) fn promise(&self, event: &Event) -> Promise {
        if (self.knows)(event) { Promise::Once } else { self.promise }
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

/// A value as TOML writes it: a text, unless it is written as a value already: a list, a table, a switch, a number, a text in quotes.
fn toml(value: &str) -> String {
    let is_table = value.starts_with('{') && !value.starts_with("{{");
    let is_word = ["true", "false"].contains(&value) || value.parse::<u32>().is_ok();
    let is_bare = is_table || is_word || value.starts_with(['[', '\'']);
    if is_bare { value.to_owned() } else { format!("'''{value}'''") }
}

const ALL: &str = "events = [\"*\"]\nrate = 2000";
const ALL_IN_BATCHES: &str = "events = [\"*\"]\nrate = 2000\nbatch = { items = 20, wait = \"100ms\" }";
/// What people are bothered with.
const FEW: &str = "events = [\"*\"]\nwhen = \"data.loud\"\nrate = 2000";

/// About a fifth of the requests of a vendor that sees few: because it takes batches, or because few events go there.
fn seldom(seed: u64) -> Faults {
    without_waits(seed).with(Fault::RateLimit { retry_after_s: 1 }, 30)
}

/// The same for one whose rate limits mean a wait that is longer than this test.
fn without_waits(seed: u64) -> Faults {
    Faults::seeded(seed)
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
