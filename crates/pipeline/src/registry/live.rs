//! Sources and destinations with everything compiled that an event needs of them.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use domain::connector::{FieldKind, Manifest};
use domain::destination::{CONCURRENCY_MAX, RateLimit};
use domain::expression::Filter;
use domain::signature::Verifier;
use domain::source::{Dialect, SOURCE_SECRETS_MAX};
use domain::{Connector, Destination, Outlet, Settings, Source, Timestamp};
use serde_json::Value;

use super::{Plugins, RegistryError};
use crate::scrub::Scrubber;

/// A destination ready to be routed to and sent to.
pub struct LiveDestination {
    pub destination: Destination,
    pub connector: &'static dyn Connector,
    /// The connector with the settings of this destination.
    pub outlet: Box<dyn Outlet>,
    pub filter: Option<Filter>,
    /// Whether it is told what is known of the person that an event is about.
    pub wants_people: bool,
    /// For what is shown or kept of what was said to it and what it answered.
    pub scrubber: Scrubber,
}

/// A source ready to verify and read.
pub struct LiveSource {
    pub source: Source,
    pub dialect: &'static dyn Dialect,
    pub verifier: Verifier,
    /// Signature failures since the last success.
    pub failures: AtomicU32,
    /// When the last operational event about failures was made, in milliseconds.
    pub failing_told_at: AtomicI64,
    /// Index of the secret that matched last plus one, and when; 0 for never.
    pub matched: AtomicU32,
    pub matched_at: AtomicI64,
}

impl LiveDestination {
    /// Checks a destination and compiles what it needs.
    pub fn compile(plugins: Plugins, destination: Destination) -> Result<Self, RegistryError> {
        let Some(connector) = plugins.connector(&destination.connector) else {
            let known = list(plugins.connectors.iter().map(|connector| connector.manifest().name));
            return Err(RegistryError::UnknownConnector(destination.connector, known));
        };
        if !(1..=CONCURRENCY_MAX).contains(&destination.concurrency) {
            return Err(RegistryError::Concurrency);
        }
        if destination.rate.is_some_and(|rate| RateLimit::new(rate.per_second).is_none()) {
            return Err(RegistryError::Rate);
        }
        connector.manifest().check(&destination.settings)?;
        let outlet = connector.open(&destination.settings)?;
        destination.batch.check(connector.manifest().batch).map_err(RegistryError::Batch)?;
        destination.volume.check(connector.manifest()).map_err(RegistryError::Volume)?;
        destination.privacy.check().map_err(RegistryError::Privacy)?;
        if destination.volume.digest_ms.is_some() && !destination.batch.is_default() {
            let message = "has no effect beside a `digest`, which holds everything of its interval; leave one out";
            return Err(RegistryError::Batch(message.to_owned()));
        }
        let filter = destination.when.as_deref().map(Filter::compile).transpose()?;
        let scrubber = Scrubber::new(connector.manifest().fields, &destination.settings);
        let manifest = connector.manifest();
        let wants_people = manifest.keeps_people() || mentions_person(manifest, &destination.settings);
        Ok(Self { destination, connector, outlet, filter, wants_people, scrubber })
    }

    /// How many batches may be under way at once. Where a vendor keeps records of people it is one, whatever the destination
    /// says: the state that is written last must be the newest one.
    pub fn concurrency(&self) -> usize {
        if self.connector.manifest().keeps_people() { 1 } else { usize::from(self.destination.concurrency) }
    }
}

impl LiveSource {
    /// Checks a source and compiles what it needs.
    pub fn compile(plugins: Plugins, source: Source) -> Result<Self, RegistryError> {
        let dialects = plugins.dialects;
        let Some(dialect) = dialects.iter().find(|dialect| dialect.manifest().name == source.kind).copied() else {
            let known = list(dialects.iter().map(|dialect| dialect.manifest().name));
            return Err(RegistryError::UnknownKind(source.kind, known));
        };
        if !(1..=SOURCE_SECRETS_MAX).contains(&source.secrets.len()) {
            return Err(RegistryError::SecretCount);
        }
        dialect.manifest().check(&source.settings)?;
        dialect.validate(&source.settings)?;
        let secrets = source.secrets.iter().map(|secret| (&secret.secret, secret.expires_at));
        let verifier = Verifier::new(source.scheme, dialect.signing(source.scheme, &source.settings), secrets)?;
        Ok(Self {
            source,
            dialect,
            verifier,
            failures: AtomicU32::new(0),
            failing_told_at: AtomicI64::new(0),
            matched: AtomicU32::new(0),
            matched_at: AtomicI64::new(0),
        })
    }

    /// Remembers that the secret at `index` matched.
    pub fn note_match(&self, index: usize, now: Timestamp) {
        self.failures.store(0, Ordering::Relaxed);
        self.matched.store(u32::try_from(index).unwrap_or(u32::MAX - 1) + 1, Ordering::Relaxed);
        self.matched_at.store(now.as_millis(), Ordering::Relaxed);
    }

    /// Which secret matched last, and when, since the start of this process.
    pub fn last_match(&self) -> Option<(usize, Timestamp)> {
        let index = self.matched.load(Ordering::Relaxed).checked_sub(1)?;
        Some((index as usize, Timestamp::from_millis(self.matched_at.load(Ordering::Relaxed))))
    }
}

impl fmt::Debug for LiveDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveDestination({})", self.destination.name)
    }
}

impl fmt::Debug for LiveSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveSource({})", self.source.name)
    }
}

/// Whether a template among the settings may name the person. One that says the word without meaning it costs a look.
fn mentions_person(manifest: &Manifest, settings: &Settings) -> bool {
    let is_template = |name: &str| {
        manifest.field(name).is_some_and(|field| matches!(field.kind, FieldKind::Template | FieldKind::Mapping))
    };
    settings.0.iter().any(|(name, value)| is_template(name) && says_person(value))
}

fn says_person(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("person"),
        Value::Array(values) => values.iter().any(says_person),
        Value::Object(members) => members.values().any(says_person),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
