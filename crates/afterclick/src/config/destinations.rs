//! Every `[[destination]]` of a file.

use std::collections::{BTreeMap, BTreeSet};

use domain::connector::Manifest;
use domain::destination::{BatchWish, CONCURRENCY_DEFAULT, RateLimit};
use domain::hint::hint;
use domain::retry::{RetryPolicy, RetryPolicyError, format_wait, parse_wait};
use domain::subscription::Subscriptions;
use domain::{Privacy, Volume};
use pipeline::Plugins;
use pipeline::reconcile::DestinationSpec;
use serde::Deserialize;

use super::problem::Problems;
use super::section::{Section, display, elements};
use super::settings::settings;
use super::show::Line;
use super::value::Value;

const KEYS: &[&str] = &[
    "name",
    "connector",
    "events",
    "when",
    "retry",
    "concurrency",
    "rate",
    "batch",
    "volume",
    "privacy",
    "breaker",
    "settings",
];
const BATCH_KEYS: &[&str] = &["items", "wait"];
const PRIVACY_KEYS: &[&str] = &["drop", "hash", "truncate"];
const VOLUME_KEYS: &[&str] = &["sample", "threshold", "digest", "first_per_subject_per_day"];

/// Reads every `[[destination]]`.
pub(crate) fn read(
    value: &Value,
    plugins: Plugins,
    problems: &mut Problems,
    shown: &mut Vec<Line>,
) -> Vec<DestinationSpec> {
    let mut destinations: Vec<DestinationSpec> = Vec::new();
    for (path, element) in elements(value, "destination", problems) {
        let Some(mut section) = Section::open(element, path, KEYS, problems) else { continue };
        let destination = destination(&mut section, plugins);
        if let Some(destination) = &destination
            && destinations.iter().any(|other| other.name == destination.name)
        {
            let message = format!("there is another destination named `{}`; names are unique", destination.name);
            section.fail(Some("name"), message);
        }
        shown.extend(section.into_shown());
        destinations.extend(destination);
    }
    destinations
}

fn destination(section: &mut Section<'_>, plugins: Plugins) -> Option<DestinationSpec> {
    let name = section.required("name", "it is what logs, API and command line call it");
    let connector: Option<String> = section.required("connector", "`afterclick connectors` lists what there is");
    let manifest = connector.and_then(|connector| manifest(section, plugins, &connector));
    let default_events = manifest.map_or_else(Subscriptions::every, Manifest::default_events);
    let shown_events = display(&serde_json::json!(default_events));
    let events = section.read("events", default_events, &shown_events);
    let when = section.read("when", None, "every event of these types");
    let retry = section.read("retry", RetryPolicy::Standard, "standard");
    let concurrency = section.read("concurrency", CONCURRENCY_DEFAULT, &CONCURRENCY_DEFAULT.to_string());
    let default_rate = manifest.and_then(|manifest| manifest.rate).map(|rate| rate.per_second.to_string());
    let rate: Option<Option<RateLimit>> = section.read("rate", None, default_rate.as_deref().unwrap_or("unlimited"));
    let breaker = section.read("breaker", true, "true");

    let manifest = manifest?;
    let batch = batch(section, manifest);
    let volume = volume(section, manifest);
    let privacy = privacy(section);
    let settings = settings(section, manifest.name, manifest.fields);
    Some(DestinationSpec {
        name: name?,
        connector: manifest.name.to_owned(),
        events: events?,
        when: when?,
        retry: retry?,
        concurrency: concurrency?,
        rate: rate?,
        batch: batch?,
        volume: volume?,
        privacy: privacy?,
        breaker: breaker?,
        settings: settings?,
    })
}

fn manifest(section: &mut Section<'_>, plugins: Plugins, connector: &str) -> Option<&'static Manifest> {
    let found = plugins.connector(connector).map(domain::Connector::manifest);
    if found.is_none() {
        let names: Vec<_> = plugins.connectors.iter().map(|connector| connector.manifest().name).collect();
        section.fail(Some("connector"), format!("`{connector}` is not a connector; {}", hint(connector, &names)));
    }
    found
}

/// `batch = { items = 50, wait = "2s" }`.
fn batch(section: &mut Section<'_>, manifest: &Manifest) -> Option<BatchWish> {
    let limits = manifest.batch;
    let default_wait = format_wait(limits.linger());
    let wish = section.nested("batch", BATCH_KEYS, |batch| {
        let items = batch.read("items", None, &limits.items.to_string());
        let wait: Option<Option<Wait>> = batch.read("wait", None, &default_wait);
        Some(BatchWish { items: items?, linger_ms: wait?.map(|wait| wait.ms) })
    })?;
    accepted(section, "batch", wish.check(limits)).then_some(wish)
}

/// `volume = { sample = 0.1, threshold = 100, digest = "30s", first_per_subject_per_day = true }`.
fn volume(section: &mut Section<'_>, manifest: &Manifest) -> Option<Volume> {
    let wish = section.nested("volume", VOLUME_KEYS, |volume| {
        let sample = volume.read("sample", None, "every event");
        let threshold = volume.read("threshold", None, "any value");
        let digest: Option<Option<Wait>> = volume.read("digest", None, "none, each event by itself");
        let first = volume.read("first_per_subject_per_day", false, "false");
        Some(Volume {
            sample: sample?,
            threshold: threshold?,
            digest_ms: digest?.map(|wait| wait.ms),
            first_per_subject_per_day: first?,
        })
    })?;
    accepted(section, "volume", wish.check(manifest)).then_some(wish)
}

/// `privacy = { drop = ["user_agent"], hash = ["email"], truncate = { ip = 24 } }`.
fn privacy(section: &mut Section<'_>) -> Option<Privacy> {
    let wish = section.nested("privacy", PRIVACY_KEYS, |privacy| {
        let drop = privacy.read("drop", BTreeSet::new(), "none");
        let hash = privacy.read("hash", BTreeSet::new(), "none");
        let truncate = privacy.read("truncate", BTreeMap::new(), "none");
        Some(Privacy { drop: drop?, hash: hash?, truncate: truncate? })
    })?;
    accepted(section, "privacy", wish.check()).then_some(wish)
}

/// Tells what is wrong with a table as a whole.
fn accepted(section: &mut Section<'_>, key: &str, checked: Result<(), impl std::fmt::Display>) -> bool {
    match checked {
        Ok(()) => true,
        Err(message) => {
            let name = section.name_of(key);
            section.fail(Some(key), format!("`{name}` {message}"));
            false
        }
    }
}

/// `"2s"`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Wait {
    ms: u64,
}

impl TryFrom<String> for Wait {
    type Error = RetryPolicyError;

    fn try_from(text: String) -> Result<Self, RetryPolicyError> {
        Ok(Self { ms: u64::try_from(parse_wait(&text)?.as_millis()).unwrap_or(u64::MAX) })
    }
}
