//! The accounts at the CRMs: their sections of the file, the faults of their vendors, and how their records are read.

mod hubspot;
mod pipedrive;
mod salesforce;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use vendors::{Fault, Faults, Simulator, Vendor};

use super::truth::{Field, Fields, Strategy};

/// A CRM of the day.
pub(super) struct Account {
    pub(super) name: &'static str,
    pub(super) strategy: Strategy,
    pub(super) config: String,
    pub(super) keeps: Keeps,
    /// Whether a text may stand in a field of which nothing is known, of a person of whom this is.
    pub(super) stands_in: fn(Field, &str, &Fields) -> bool,
    pub(super) records: Box<dyn Fn() -> Vec<Kept>>,
    pub(super) trouble: Box<dyn Fn() -> Trouble>,
    /// Whether faults are to be met.
    pub(super) is_rough: bool,
}

/// What a CRM keeps of a person: what each is called there, and the longest text that it takes.
pub(super) type Keeps = &'static [(Field, &'static str, usize)];

/// A record that is alive.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: String,
    /// The subject that it is of.
    pub(super) key: String,
    pub(super) fields: Fields,
}

/// What the vendor met and found.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) requests: usize,
    pub(super) faults: usize,
    /// Swallowed, or kept although something is wrong.
    pub(super) flaws: Vec<String>,
}

/// How the vendors behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    Calm,
    /// Sessions end early too.
    Rough(u64),
}

/// Starts every vendor: HubSpot, Salesforce and Pipedrive, each with the people that it should have.
pub(super) fn start(weather: Weather, strategies: [Strategy; 3]) -> Vec<Account> {
    let [hubspot, salesforce, pipedrive] = strategies;
    vec![
        hubspot::account(weather, hubspot),
        salesforce::account(weather, salesforce),
        pipedrive::account(weather, pipedrive),
    ]
}

/// What one CRM has for itself.
struct Crm<V> {
    name: &'static str,
    /// Those of the destination besides `host`, as they stand in the file.
    settings: &'static [(&'static str, &'static str)],
    keeps: Keeps,
    stands_in: fn(Field, &str, &Fields) -> bool,
    records: fn(&V) -> Vec<Kept>,
}

impl<V: Vendor> Crm<V> {
    fn account(self, vendor: V, weather: Weather, faults: Faults, strategy: Strategy) -> Account {
        let simulator = Arc::new(vendor.start(faults));
        let met = Arc::clone(&simulator);
        Account {
            name: self.name,
            strategy,
            config: section(self.name, strategy, &simulator.url(), self.settings),
            keeps: self.keeps,
            stands_in: self.stands_in,
            records: Box::new(move || simulator.vendor(|vendor| (self.records)(vendor))),
            trouble: Box::new(move || trouble(&met)),
            is_rough: weather != Weather::Calm,
        }
    }
}

impl Kept {
    /// With what `read` finds of each that is kept, by its name there.
    fn of(id: String, key: String, keeps: Keeps, read: impl Fn(Field, &str) -> Option<String>) -> Self {
        let value = |&(field, name, _): &(Field, &str, usize)| {
            let text = read(field, name)?;
            Some((field, if is_moment(field) { moment(&text) } else { text }))
        };
        Self { id, key, fields: keeps.iter().filter_map(value).collect() }
    }
}

/// Short waits, and enough of them.
const RETRY: &str = r#"["50ms", "100ms", "200ms", "400ms", "500ms", "500ms", "500ms", "500ms", "500ms", "500ms", "1s", "1s", "1s", "2s", "2s", "2s"]"#;

fn section(name: &str, strategy: Strategy, host: &str, settings: &[(&str, &str)]) -> String {
    let code = match strategy {
        Strategy::Stub => "stub",
        Strategy::Registration => "registration",
        Strategy::Referral => "referral",
    };
    let lines = settings.iter().map(|(key, value)| format!("settings.{key} = {value}\n"));
    format!(
        "[[destination]]\nname = \"{name}\"\nconnector = \"{name}\"\nretry = {RETRY}\nrate = 2000\n\
         batch = {{ items = 50, wait = \"100ms\" }}\nsettings.match = \"{code}\"\nsettings.host = \"{host}\"\n{}",
        lines.collect::<String>()
    )
}

impl Weather {
    /// The faults of a vendor: about a sixth of the requests of one that needs one call for many people, fewer of one that needs
    /// several for each.
    fn faults(self, number: u64, share: u64) -> Faults {
        let Self::Rough(seed) = self else { return Faults::none() };
        Faults::seeded(seed + number)
            .with(Fault::ServerError(503), 30 / share)
            .with(Fault::ServerError(500), 15 / share)
            .with(Fault::DropBefore, 30 / share)
            .with(Fault::DropAfter, 40 / share)
            .with(Fault::LateSuccess { hold: Duration::from_millis(200) }, 15 / share)
            .with(Fault::PartialFailure, 30 / share)
            .with(Fault::RateLimit { retry_after_s: 1 }, 3)
    }
}

fn trouble<V: Send + 'static>(simulator: &Simulator<V>) -> Trouble {
    simulator.book(|book| Trouble {
        requests: book.received.len(),
        faults: book.faults_met(),
        flaws: [&book.lost, &book.flagged]
            .into_iter()
            .flatten()
            // Two who turned out to be one.
            .filter(|entry| entry.reason != "merged")
            .map(|entry| format!("{}: {}", entry.key, entry.reason))
            .collect(),
    })
}

/// A moment as a CRM writes it, in milliseconds since 1970; as it is if it is none.
fn moment(text: &str) -> String {
    text.parse::<domain::Timestamp>().map_or_else(|_| text.to_owned(), |at| at.as_millis().to_string())
}

/// A value as a text; nothing if there is none.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

const fn is_moment(field: Field) -> bool {
    matches!(field, Field::InstallDate | Field::ReferralDate | Field::ConversionDate)
}
