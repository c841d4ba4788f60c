//! The sources and destinations of a file.

use domain::connector::{Field, FieldKind, Manifest};
use domain::destination::{BatchWish, CONCURRENCY_DEFAULT, RateLimit};
use domain::hint::hint;
use domain::retry::{RetryPolicy, RetryPolicyError, format_wait, parse_wait};
use domain::secret::{MASK, Secret};
use domain::signature::Scheme;
use domain::subscription::Subscriptions;
use domain::{Settings, Volume};
use pipeline::Plugins;
use pipeline::reconcile::{DestinationSpec, SourceSpec};
use serde::Deserialize;

use super::problem::{Problem, Problems};
use super::section::{Section, display};
use super::show::{Line, Origin};
use super::value::{Kind, Value};

const SOURCE_KEYS: &[&str] = &["name", "kind", "scheme", "secrets", "settings"];
const DESTINATION_KEYS: &[&str] =
    &["name", "connector", "events", "when", "retry", "concurrency", "rate", "batch", "volume", "breaker", "settings"];
const BATCH_KEYS: &[&str] = &["items", "wait"];
const VOLUME_KEYS: &[&str] = &["sample", "threshold", "digest", "first_per_subject_per_day"];

/// Reads every `[[source]]`.
pub(crate) fn sources(
    value: &Value,
    plugins: Plugins,
    problems: &mut Problems,
    shown: &mut Vec<Line>,
) -> Vec<SourceSpec> {
    let mut sources: Vec<SourceSpec> = Vec::new();
    for (path, element) in elements(value, "source", problems) {
        let Some(mut section) = Section::open(element, path, SOURCE_KEYS, problems) else { continue };
        let source = source(&mut section, plugins);
        if let Some(source) = &source
            && sources.iter().any(|other| other.name == source.name)
        {
            section.fail(Some("name"), format!("there is another source named `{}`; names are unique", source.name));
        }
        shown.extend(section.into_shown());
        sources.extend(source);
    }
    sources
}

/// Reads every `[[destination]]`.
pub(crate) fn destinations(
    value: &Value,
    plugins: Plugins,
    problems: &mut Problems,
    shown: &mut Vec<Line>,
) -> Vec<DestinationSpec> {
    let mut destinations: Vec<DestinationSpec> = Vec::new();
    for (path, element) in elements(value, "destination", problems) {
        let Some(mut section) = Section::open(element, path, DESTINATION_KEYS, problems) else { continue };
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

fn source(section: &mut Section<'_>, plugins: Plugins) -> Option<SourceSpec> {
    let name = section.required("name", "it is the last part of the path: `/webhooks/<name>`");
    let kind: Option<String> = section.required("kind", "write `tolinku`, or `generic` for any other sender of JSON");
    let scheme = section.read("scheme", Scheme::default(), Scheme::default().name());
    let secrets = secrets(section);

    let kind = kind?;
    let known: Vec<_> = plugins.dialects.iter().map(|dialect| dialect.manifest()).collect();
    let Some(manifest) = known.iter().find(|manifest| manifest.name == kind) else {
        let names: Vec<_> = known.iter().map(|manifest| manifest.name).collect();
        section.fail(Some("kind"), format!("`{kind}` is not a kind of source; {}", hint(&kind, &names)));
        return None;
    };
    let settings = settings(section, manifest.name, manifest.fields);
    Some(SourceSpec { name: name?, kind, scheme: scheme?, secrets: secrets?, settings: settings? })
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

/// The secrets of a source: a list of texts, shown only by their ends.
fn secrets(section: &mut Section<'_>) -> Option<Vec<Secret>> {
    let Some(value) = section.value("secrets").cloned() else {
        let name = section.name_of("secrets");
        section.fail(None, format!("`{name}` is missing; write `secrets = [\"${{TOLINKU_WEBHOOK_SECRET}}\"]`"));
        return None;
    };
    let Kind::List(items) = &value.kind else {
        let name = section.name_of("secrets");
        section.fail(Some("secrets"), format!("`{name}` must be a list of texts, not {}", value.noun()));
        return None;
    };
    let texts: Option<Vec<&Value>> =
        items.iter().map(|item| matches!(item.kind, Kind::Text(_)).then_some(item)).collect();
    let Some(texts) = texts else {
        let name = section.name_of("secrets");
        section.fail(Some("secrets"), format!("`{name}` must hold texts only"));
        return None;
    };
    let shown: Vec<String> = texts.iter().map(|text| masked(text)).collect();
    section.show("secrets", shown.join(", "), Origin::Line(value.line));
    Some(texts.iter().map(|text| Secret::new(display(&text.to_json()))).collect())
}

/// The settings of a connector or kind, checked against its fields so that a typing error is found with its line.
fn settings(section: &mut Section<'_>, owner: &str, fields: &'static [Field]) -> Option<Settings> {
    let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
    let entries = match section.value("settings").cloned() {
        None => std::collections::BTreeMap::new(),
        Some(Value { kind: Kind::Table(entries), .. }) => entries,
        Some(other) => {
            let name = section.name_of("settings");
            section.fail(Some("settings"), format!("`{name}` must be a table, not {}", other.noun()));
            return None;
        }
    };
    let mut fits = true;
    for (key, value) in &entries {
        let path = section.name_of(&format!("settings.{key}"));
        let Some(field) = fields.iter().find(|field| field.name == key) else {
            section.fail_at(
                value.line,
                format!("unknown key `{path}`; `{owner}` has no such setting, {}", hint(key, &known)),
            );
            fits = false;
            continue;
        };
        section.show(&format!("settings.{key}"), shown(field.kind, value), Origin::Line(value.line));
        if let Err(message) = field.kind.check(&value.to_json()) {
            section.fail_at(value.line, format!("`{path}` {message}"));
            fits = false;
        }
    }
    for field in fields {
        if entries.contains_key(field.name) {
            continue;
        }
        if !field.required {
            let default = field.default.unwrap_or("none");
            section.show(&format!("settings.{}", field.name), default.to_owned(), Origin::Default);
            continue;
        }
        let path = section.name_of(&format!("settings.{}", field.name));
        section.fail(Some("settings"), format!("`{path}` is missing; {}", field.help));
        fits = false;
    }
    fits.then(|| Settings(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()))
}

/// A setting as it may be shown.
fn shown(kind: FieldKind, value: &Value) -> String {
    match kind {
        FieldKind::Secret | FieldKind::SecretUrl => masked(value),
        // The values of a map may be credentials: `Authorization` is one of them.
        FieldKind::Map => match value.to_json_as_written() {
            serde_json::Value::Object(entries) => {
                entries.keys().map(|key| format!("{key}: {MASK}")).collect::<Vec<_>>().join(", ")
            }
            _ => MASK.to_owned(),
        },
        FieldKind::Url => {
            let url = display(&value.to_json());
            let url = url.split(['?', '#']).next().unwrap_or_default();
            // A user and password before the host are a secret too.
            match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split('/').next()?, rest))) {
                Some((scheme, authority, rest)) if authority.contains('@') => {
                    let user_bytes = authority.rfind('@').unwrap_or(0) + 1;
                    format!("{scheme}://{MASK}@{}", &rest[user_bytes..])
                }
                _ => url.to_owned(),
            }
        }
        // What comes from the environment may be a credential, whatever it is a part of.
        FieldKind::Mapping | FieldKind::Template => display(&value.to_json_as_written()),
        FieldKind::Text
        | FieldKind::Choice { .. }
        | FieldKind::Switch
        | FieldKind::Integer { .. }
        | FieldKind::List => display(&value.to_json()),
    }
}

/// A secret as it may be shown: the variable it comes from and its end.
fn masked(value: &Value) -> String {
    let tail = Secret::new(display(&value.to_json())).masked();
    match &value.written {
        Some(written) if written.starts_with("${") && written.ends_with('}') && written.matches("${").count() == 1 => {
            format!("{tail} from {written}")
        }
        _ => tail,
    }
}

/// The elements of `[[noun]]`, each with its path.
fn elements<'v>(value: &'v Value, noun: &str, problems: &mut Problems) -> Vec<(String, &'v Value)> {
    let Kind::List(items) = &value.kind else {
        problems
            .push(Problem::new(Some(value.line), format!("`{noun}` is a list; write `[[{noun}]]`, with two brackets")));
        return Vec::new();
    };
    let path = |(index, element): (usize, &'v Value)| {
        let name = match &element.kind {
            Kind::Table(entries) => entries.get("name").map(|name| display(&name.to_json())),
            _ => None,
        };
        (format!("{noun}.{}", name.unwrap_or_else(|| (index + 1).to_string())), element)
    };
    items.iter().enumerate().map(path).collect()
}
