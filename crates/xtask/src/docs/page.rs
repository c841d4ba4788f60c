//! One page of Markdown about one connector.

use std::fmt::Write as _;

use domain::connector::{Call, Category, Field, FieldKind, Manifest, Shown};
use domain::retry::format_wait;
use domain::{Connector, Settings, Verdict};
use serde_json::Value;

use super::exchange::{Judgement, judged, sample};
use super::fixture::{Answer, Fixture};

/// Longest line of a request that is shown, in characters.
const LINE_CHARS_MAX: usize = 160;
/// Most lines of a request that are shown.
const LINES_MAX: usize = 80;
/// Longest answer that is shown, in characters.
const ANSWER_CHARS_MAX: usize = 90;

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
    text.push_str(&answers(connector, fixture));
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

fn facts(manifest: &Manifest) -> String {
    let mut rows = vec![("events by default", patterns(manifest)), ("in one request", manifest.portions())];
    if let Some(rate) = manifest.rate {
        let per_day = rate.per_day.map(|per_day| format!(", {per_day} a day")).unwrap_or_default();
        rows.push(("rate", format!("at most {} requests a second{per_day}; `rate` may ask for less", rate.per_second)));
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

/// What is said and done about each answer, those first that want a person; answers that mean the same in one row.
fn answers(connector: &dyn Connector, fixture: &Fixture) -> String {
    let mut rows: Vec<(u8, String, Vec<String>)> = Vec::new();
    for answer in &fixture.replies {
        let Some(judgement) = judged(connector, fixture, answer) else { continue };
        let (order, then) = consequence(&judgement);
        let answered = answered(answer);
        match rows.iter_mut().find(|(_, known, _)| *known == then) {
            Some((_, _, answers)) if answers.contains(&answered) => {}
            Some((_, _, answers)) => answers.push(answered),
            None => rows.push((order, then, vec![answered])),
        }
    }
    rows.sort_by_key(|(order, ..)| *order);
    if rows.is_empty() {
        return String::new();
    }
    let mut text =
        "## What its answers mean\n\nThese answers are what the tests hold the connector to. Deliveries of a paused \
                    destination are held, not lost.\n\n| it answers | then |\n| --- | --- |\n"
            .to_owned();
    for (_, then, answers) in rows {
        let _ = writeln!(text, "| {} | {} |", answers.join("<br>"), cell(&then));
    }
    text
}

fn answered(answer: &Answer) -> String {
    let status = if answer.status == 0 { String::new() } else { format!("`{}`", answer.status) };
    let code = answer.code.as_ref().map(|code| format!(" `{code}`")).unwrap_or_default();
    let headers =
        answer.headers.iter().fold(String::new(), |text, (name, value)| text + &format!(" `{name}: {value}`"));
    let body = answer.text().replace(['`', '\n', '\r'], " ");
    let body = if body.is_empty() { String::new() } else { format!(" `{}`", cut(&body, ANSWER_CHARS_MAX)) };
    let text = cell(format!("{status}{code}{headers}{body}").trim());
    if text.is_empty() { "no error".to_owned() } else { text }
}

fn consequence(judgement: &Judgement) -> (u8, String) {
    match judgement {
        Judgement::Verdict(verdict) => of_verdict(verdict),
        Judgement::Reauthorize(message) => {
            (1, format!("a new token is fetched once; if that is refused too, the destination is paused: {message}"))
        }
        Judgement::Split(alone) => {
            let (order, then) = of_verdict(alone);
            (order, format!("a batch is halved until the event is found to which this applies: {then}"))
        }
    }
}

fn of_verdict(verdict: &Verdict) -> (u8, String) {
    let told = |message: &Option<String>| message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    match verdict {
        Verdict::Pause { reason, message } => {
            (0, format!("**the destination is paused** ({}): {message}", reason.code()))
        }
        Verdict::Reject { reason, message } => (2, format!("dead letter ({}){}", reason.code(), told(message))),
        Verdict::Skip { message } => (3, format!("skipped: {message}")),
        Verdict::Wait { after, message } => {
            (4, format!("nothing is sent for {}, no try is spent{}", format_wait(*after), told(message)))
        }
        Verdict::Retry { after, reason, message } => {
            let after = after.map(|after| format!(", not before {}", format_wait(after))).unwrap_or_default();
            (5, format!("tried again ({}){after}{}", reason.code(), told(message)))
        }
        Verdict::Delivered => (6, "delivered".to_owned()),
    }
}

fn patterns(manifest: &Manifest) -> String {
    manifest.events.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

/// A text that does not break out of a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn cut(text: &str, chars_max: usize) -> String {
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
