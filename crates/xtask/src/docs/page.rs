//! One page of Markdown about one connector.

use std::fmt::Write as _;

use domain::connector::{Call, Category, Field, FieldKind, Manifest, Shown};
use domain::{Connector, Settings};
use serde_json::Value;

use super::answers;
use super::exchange::sample;
use super::fixture::Fixture;

/// Longest line of a request that is shown, in characters.
const LINE_CHARS_MAX: usize = 160;
/// Most lines of a request that are shown.
const LINES_MAX: usize = 80;

/// The list of all pages.
pub(crate) fn index(connectors: &[&dyn Connector]) -> String {
    let mut text = String::from(
        "<!-- Written by `cargo xtask docs`; edit the manifests. -->\n\n# Connectors\n\nWho Afterclick delivers to. \
         `afterclick connectors` prints the same list, `afterclick connectors show NAME` the settings.\n",
    );
    for category in CATEGORIES {
        let of_category = connectors.iter().map(|connector| connector.manifest());
        let of_category: Vec<_> = of_category.filter(|manifest| manifest.category == category).collect();
        if of_category.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\n## {}\n\n| connector | what reaches it | by default |\n| --- | --- | --- |\n",
            title(category)
        );
        for manifest in of_category {
            let Manifest { name, title, summary, .. } = manifest;
            let _ = writeln!(text, "| [{title}]({name}.md) | {} | {} |", cell(summary), patterns(manifest));
        }
    }
    text
}

/// The page of one.
pub(crate) fn of(connector: &dyn Connector, fixture: &Fixture) -> String {
    let manifest = connector.manifest();
    let Manifest { name, title, summary, notes, .. } = manifest;
    let mut text = format!(
        "<!-- Written by `cargo xtask docs` from the manifest and the fixture of `{name}`; edit those. -->\n\n# {title}\n\n\
         {summary}\n\n{}\n{}\n## Settings\n\n{}\n",
        example(manifest, &fixture.default),
        facts(manifest),
        settings(manifest.fields),
    );
    if !notes.is_empty() {
        let _ = write!(text, "## Notes\n\n{}\n\n", notes.trim());
    }
    if let Some((event_type, call)) = sample(connector, &fixture.default) {
        let _ = write!(text, "## What is sent\n\nFor a sample of `{event_type}`:\n\n{}\n", request(&call));
    }
    text.push_str(&answers::table(connector, fixture));
    text
}

/// A `[[destination]]` that is complete.
fn example(manifest: &Manifest, default: &Settings) -> String {
    let name = manifest.name;
    let mut toml = format!("```toml\n[[destination]]\nname = \"{name}\"\nconnector = \"{name}\"\n");
    for (key, value) in &default.0 {
        let value = if manifest.is_secret(key) && value.is_string() {
            format!("\"${{{}_{}}}\"", name.to_uppercase().replace('-', "_"), key.to_uppercase())
        } else {
            as_toml(value)
        };
        let _ = writeln!(toml, "settings.{key} = {value}");
    }
    toml + "```\n"
}

/// `1 request`, `2.5 requests`.
fn requests(number: f64) -> String {
    let number = number.to_string();
    let ending = if number == "1" { "" } else { "s" };
    format!("{number} request{ending}")
}

fn facts(manifest: &Manifest) -> String {
    let mut rows = vec![("events by default", patterns(manifest)), ("in one request", manifest.portions())];
    if let Some(rate) = manifest.rate {
        let per_day = rate.per_day.map(|per_day| format!(", {per_day} a day")).unwrap_or_default();
        let requests = requests(rate.per_second);
        rows.push(("rate", format!("at most {requests} a second{per_day}; `rate` may ask for less")));
    }
    if let Some(by) = manifest.recognises {
        rows.push(("a repetition", format!("is recognised by {by}")));
    }
    if manifest.provisions {
        rows.push(("makes", "what it needs: `afterclick destinations provision NAME`".to_owned()));
    }
    rows.push(("look first", "`afterclick destinations preview NAME` shows the exact request".to_owned()));
    let rows: String =
        rows.into_iter().fold(String::new(), |rows, (fact, text)| rows + &format!("| {fact} | {text} |\n"));
    format!("| | |\n| --- | --- |\n{rows}")
}

fn settings(fields: &[Field]) -> String {
    let mut text = "| setting | is | default | |\n| --- | --- | --- | --- |\n".to_owned();
    for field in fields {
        let default = match field.default {
            _ if field.required => "required".to_owned(),
            Some(default) => format!("`{default}`"),
            None => "none".to_owned(),
        };
        let secret = if matches!(field.kind, FieldKind::Secret | FieldKind::SecretUrl) { ", never shown" } else { "" };
        let (is, help) = (cell(&field.kind.describe()), cell(field.help));
        let _ = writeln!(text, "| `{}` | {is}{secret} | {} | {help} |", field.name, cell(&default));
    }
    text
}

fn request(call: &Call) -> String {
    let Shown { method, url, headers, body } = call.shown();
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}"));
    let mut lines: Vec<String> = std::iter::once(format!("{method} {url}")).chain(headers).collect();
    if body.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        lines.extend([String::new(), format!("({} bytes that are not text)", body.len())]);
    } else {
        lines.push(String::new());
        lines.extend(readable(&body).lines().map(str::to_owned));
    }
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        lines.push("…".to_owned());
    }
    let lines: Vec<_> = lines.iter().map(|line| cut(line.trim_end(), LINE_CHARS_MAX)).collect();
    // A page does not change because the version did.
    let version = env!("CARGO_PKG_VERSION");
    let text = lines.join("\n").replace(&format!("Afterclick/{version}"), "Afterclick/VERSION");
    let text = text.replace(&format!("\"version\": \"{version}\""), "\"version\": \"VERSION\"");
    format!("```http\n{}\n```\n", text.trim_end())
}

fn patterns(manifest: &Manifest) -> String {
    manifest.events.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

/// A text that does not break out of a cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

pub(super) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        text.to_owned()
    } else {
        text.chars().take(chars_max - 1).chain(['…']).collect()
    }
}

/// JSON is spread out, rows of JSON and everything else are left as they are.
fn readable(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        _ => body.to_owned(),
    }
}

fn as_toml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members =
                members.iter().map(|(key, value)| format!("{} = {}", Value::from(key.as_str()), as_toml(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(as_toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// In the order of the index.
const CATEGORIES: [Category; 12] = [
    Category::Webhook,
    Category::Automation,
    Category::Chat,
    Category::CustomerData,
    Category::Email,
    Category::Warehouse,
    Category::Storage,
    Category::Analytics,
    Category::Engagement,
    Category::Ads,
    Category::Bus,
    Category::Crm,
];

const fn title(category: Category) -> &'static str {
    match category {
        Category::Webhook => "Your own code",
        Category::Automation => "Automation",
        Category::Chat => "Chat",
        Category::CustomerData => "Customer data",
        Category::Email => "E-mail",
        Category::Warehouse => "Warehouses and databases",
        Category::Storage => "Files",
        Category::Analytics => "Analytics",
        Category::Engagement => "Engagement",
        Category::Ads => "Advertising",
        Category::Bus => "Message brokers",
        Category::Crm => "Customer relations",
    }
}
