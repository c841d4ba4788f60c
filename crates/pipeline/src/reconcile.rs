//! Reconciling the catalog with a configuration file.
//!
//! The file owns the objects it names in the appspace `default`, and nothing else: an object that somebody made through
//! the API is never taken over, and what has left the file is removed only when pruning is asked for. [`plan`] compares
//! and decides, without changing anything; [`apply`] does what the plan says, step by step. A step that fails leaves the
//! ones before it in place, and the next run goes on from there.

use domain::connector::{Field, FieldKind, SettingsError};
use domain::destination::{BatchWish, RateLimit};
use domain::retry::RetryPolicy;
use domain::signature::Scheme;
use domain::source::{Managed, SourceSecret};
use domain::subscription::Subscriptions;
use domain::{
    Appspace, Destination, DestinationId, Name, Privacy, Secret, Settings, Source, SourceId, Timestamp, Volume,
};
use serde::{Deserialize, Serialize};

use crate::registry::{LiveDestination, LiveSource, Registry, RegistryError};
use crate::transport::guard::Guard;

/// A source as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    pub name: Name,
    pub kind: String,
    pub scheme: Scheme,
    pub secrets: Vec<Secret>,
    pub settings: Settings,
}

/// A destination as the file describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationSpec {
    pub name: Name,
    pub connector: String,
    pub events: Subscriptions,
    pub when: Option<String>,
    pub retry: RetryPolicy,
    pub concurrency: u16,
    pub rate: Option<RateLimit>,
    pub batch: BatchWish,
    pub volume: Volume,
    pub privacy: Privacy,
    pub breaker: bool,
    pub settings: Settings,
}

/// Everything that a file says about the catalog.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    pub sources: Vec<SourceSpec>,
    pub destinations: Vec<DestinationSpec>,
    /// Whether objects that came from the file and are no longer in it are removed.
    pub prune: bool,
}

/// What is to be done, in the order of doing it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// One object of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub action: Action,
    pub name: Name,
    /// The members that differ; `secrets` and members of `settings` by name only, never with a value.
    pub changes: Vec<String>,
    pub object: Object,
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Update,
    Delete,
    Unchanged,
}

/// The object of a step, as it shall be; of a deletion, as it was.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    Source(Box<Source>),
    Destination(Box<Destination>),
}

impl Object {
    /// `source` or `destination`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::Destination(_) => "destination",
        }
    }
}

/// Why a file cannot be applied. Nothing has been changed when a plan fails.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(
        "the {noun} name `{name}` is taken by one that was made through the API; delete that one or rename this one"
    )]
    NameTaken { noun: &'static str, name: Name },
    #[error("there are two {noun}s named `{name}`; names are unique")]
    Repeated { noun: &'static str, name: Name },
    #[error("{noun} `{name}`: {error}")]
    Refused { noun: &'static str, name: Name, error: RegistryError },
}

/// Compares the file with the catalog. Everything in it is checked as if it were saved, so that what can be known to
/// fail fails before the first change.
pub fn plan(registry: &Registry, guard: &Guard, desired: Desired) -> Result<Plan, ReconcileError> {
    let appspace = registry.default_appspace();
    let sources: Vec<Source> = registry.sources(appspace.id).iter().map(|live| live.source.clone()).collect();
    let destinations: Vec<Destination> =
        registry.destinations(appspace.id).iter().map(|live| live.destination.clone()).collect();
    let mint = Mint { registry, appspace, now: registry.clock().now() };
    let plan = compare(&mint, &sources, &destinations, desired)?;
    for step in &plan.steps {
        check(registry, guard, step)?;
    }
    Ok(plan)
}

/// Does what a plan says.
pub async fn apply(registry: &Registry, plan: &Plan) -> Result<(), ReconcileError> {
    for step in &plan.steps {
        let done = match (step.action, &step.object) {
            (Action::Unchanged, _) => Ok(()),
            (Action::Delete, Object::Source(source)) => registry.delete_source(source.id).await,
            (Action::Delete, Object::Destination(destination)) => registry.delete_destination(destination.id).await,
            (_, Object::Source(source)) => registry.put_source((**source).clone()).await.map(|_| ()),
            (_, Object::Destination(destination)) => {
                registry.put_destination((**destination).clone()).await.map(|_| ())
            }
        };
        done.map_err(|error| refused(step, error))?;
    }
    Ok(())
}

/// Checks one step as saving it would.
fn check(registry: &Registry, guard: &Guard, step: &Step) -> Result<(), ReconcileError> {
    if matches!(step.action, Action::Delete | Action::Unchanged) {
        return Ok(());
    }
    let checked = match &step.object {
        Object::Source(source) => LiveSource::compile(registry.plugins(), (**source).clone()).map(|_| ()),
        Object::Destination(destination) => LiveDestination::compile(registry.plugins(), (**destination).clone())
            .and_then(|live| check_addresses(guard, &live)),
    };
    checked.map_err(|error| refused(step, error))
}

/// Judges every URL and every server among the settings of a destination: for saving it.
pub fn check_addresses(guard: &Guard, live: &LiveDestination) -> Result<(), RegistryError> {
    let is_url = |field: &&Field| matches!(field.kind, FieldKind::Url | FieldKind::SecretUrl);
    let refused = |field: &str, error| SettingsError::new(field, format!("is refused: {error}"));
    for field in live.connector.manifest().fields.iter().filter(is_url) {
        if let Some(url) = live.destination.settings.text(field.name) {
            guard.check_url(url).map_err(|error| refused(field.name, error))?;
        }
    }
    for (field, server) in live.outlet.servers() {
        guard.check_server(&server.host, server.port).map_err(|error| refused(field, error))?;
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------------------------

/// What a new object needs beyond its description.
struct Mint<'r> {
    registry: &'r Registry,
    appspace: Appspace,
    now: Timestamp,
}

fn compare(
    mint: &Mint<'_>,
    sources: &[Source],
    destinations: &[Destination],
    desired: Desired,
) -> Result<Plan, ReconcileError> {
    unique("source", desired.sources.iter().map(|spec| &spec.name))?;
    unique("destination", desired.destinations.iter().map(|spec| &spec.name))?;
    let mut steps = Vec::new();
    let mut gone = Vec::new();
    for source in sources {
        if desired.prune && source.managed == Managed::File && !desired.sources.iter().any(|s| s.name == source.name) {
            gone.push(delete(&source.name, Object::Source(Box::new(source.clone()))));
        }
    }
    for destination in destinations {
        let named = desired.destinations.iter().any(|spec| spec.name == destination.name);
        if desired.prune && destination.managed == Managed::File && !named {
            gone.push(delete(&destination.name, Object::Destination(Box::new(destination.clone()))));
        }
    }
    for spec in desired.sources {
        let current = sources.iter().find(|source| source.name == spec.name);
        if current.is_some_and(|source| source.managed == Managed::Api) {
            return Err(ReconcileError::NameTaken { noun: "source", name: spec.name });
        }
        steps.push(source_step(mint, current, spec));
    }
    for spec in desired.destinations {
        let current = destinations.iter().find(|destination| destination.name == spec.name);
        if current.is_some_and(|destination| destination.managed == Managed::Api) {
            return Err(ReconcileError::NameTaken { noun: "destination", name: spec.name });
        }
        steps.push(destination_step(mint, current, spec));
    }
    steps.extend(gone);
    Ok(Plan { steps })
}

fn source_step(mint: &Mint<'_>, current: Option<&Source>, spec: SourceSpec) -> Step {
    let kept = |secret: &Secret| {
        current
            .and_then(|source| source.secrets.iter().find(|kept| kept.secret == *secret && kept.expires_at.is_none()))
    };
    let secrets = spec.secrets.iter().map(|secret| match kept(secret) {
        Some(kept) => kept.clone(),
        None => SourceSecret { secret: secret.clone(), created_at: mint.now, expires_at: None },
    });
    let wanted = Source {
        id: current.map_or_else(|| SourceId::mint(mint.now, mint.registry.clock().random()), |source| source.id),
        appspace: mint.appspace.id,
        name: spec.name,
        kind: spec.kind,
        scheme: spec.scheme,
        secrets: secrets.collect(),
        settings: spec.settings,
        managed: Managed::File,
        created_at: current.map_or(mint.now, |source| source.created_at),
        updated_at: mint.now,
    };
    let mut changes = Vec::new();
    if let Some(current) = current {
        note(&mut changes, "kind", current.kind != wanted.kind);
        note(&mut changes, "scheme", current.scheme != wanted.scheme);
        note(&mut changes, "secrets", current.secrets != wanted.secrets);
        note_settings(&mut changes, &current.settings, &wanted.settings);
    }
    step(current.is_some(), changes, wanted.name.clone(), Object::Source(Box::new(wanted)))
}

fn destination_step(mint: &Mint<'_>, current: Option<&Destination>, spec: DestinationSpec) -> Step {
    let wanted = Destination {
        id: current.map_or_else(|| DestinationId::mint(mint.now, mint.registry.clock().random()), |current| current.id),
        appspace: mint.appspace.id,
        name: spec.name,
        connector: spec.connector,
        events: spec.events,
        when: spec.when,
        retry: spec.retry,
        concurrency: spec.concurrency,
        rate: spec.rate,
        batch: spec.batch,
        volume: spec.volume,
        privacy: spec.privacy,
        breaker: spec.breaker,
        settings: spec.settings,
        // Pausing is an act of a person or a verdict, not of the file.
        paused: current.and_then(|current| current.paused.clone()),
        managed: Managed::File,
        created_at: current.map_or(mint.now, |current| current.created_at),
        updated_at: mint.now,
    };
    let mut changes = Vec::new();
    if let Some(current) = current {
        note(&mut changes, "connector", current.connector != wanted.connector);
        note(&mut changes, "events", current.events != wanted.events);
        note(&mut changes, "when", current.when != wanted.when);
        note(&mut changes, "retry", current.retry != wanted.retry);
        note(&mut changes, "concurrency", current.concurrency != wanted.concurrency);
        note(&mut changes, "rate", current.rate != wanted.rate);
        note_wishes(&mut changes, current, &wanted);
        note(&mut changes, "breaker", current.breaker != wanted.breaker);
        note_settings(&mut changes, &current.settings, &wanted.settings);
    }
    step(current.is_some(), changes, wanted.name.clone(), Object::Destination(Box::new(wanted)))
}

fn step(exists: bool, changes: Vec<String>, name: Name, object: Object) -> Step {
    let action = match (exists, changes.is_empty()) {
        (false, _) => Action::Create,
        (true, true) => Action::Unchanged,
        (true, false) => Action::Update,
    };
    Step { action, name, changes, object }
}

fn delete(name: &Name, object: Object) -> Step {
    Step { action: Action::Delete, name: name.clone(), changes: Vec::new(), object }
}

fn note(changes: &mut Vec<String>, member: &str, differs: bool) {
    if differs {
        changes.push(member.to_owned());
    }
}

fn note_wishes(changes: &mut Vec<String>, current: &Destination, wanted: &Destination) {
    let ((was, is), (had, has)) = ((&current.batch, &wanted.batch), (&current.volume, &wanted.volume));
    note(changes, "batch.items", was.items != is.items);
    note(changes, "batch.wait", was.linger_ms != is.linger_ms);
    note(changes, "volume.sample", had.sample != has.sample);
    note(changes, "volume.threshold", had.threshold != has.threshold);
    note(changes, "volume.digest", had.digest_ms != has.digest_ms);
    let (had, has) = (had.first_per_subject_per_day, has.first_per_subject_per_day);
    note(changes, "volume.first_per_subject_per_day", had != has);
    note(changes, "privacy", current.privacy != wanted.privacy);
}

fn note_settings(changes: &mut Vec<String>, current: &Settings, wanted: &Settings) {
    let names = wanted.0.keys().chain(current.0.keys().filter(|name| !wanted.0.contains_key(*name)));
    for name in names {
        note(changes, &format!("settings.{name}"), current.0.get(name) != wanted.0.get(name));
    }
}

fn unique<'a>(noun: &'static str, names: impl Iterator<Item = &'a Name>) -> Result<(), ReconcileError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ReconcileError::Repeated { noun, name: name.clone() });
        }
    }
    Ok(())
}

fn refused(step: &Step, error: RegistryError) -> ReconcileError {
    ReconcileError::Refused { noun: step.object.kind(), name: step.name.clone(), error }
}
