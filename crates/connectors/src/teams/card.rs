//! Adaptive cards: ours, and the setting `card`.

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::expression::{Escape, ExpressionError};
use serde_json::{Map, Value, json};

use crate::chat::{Place, Rule, Rules, Sentence, Structure, Tongue, cut};

/// Largest message, in bytes. What is larger vanishes behind a 202.
const MESSAGE_BYTES_MAX: usize = 28 * 1024;
/// Longest line, so that one fits whatever its characters are.
const LINE_MAX: usize = 4_000;
/// Longest text in a card.
const TEXT_MAX: usize = 10_000;
/// What our cards are written in.
const VERSION: &str = "1.4";
/// What Teams shows.
const VERSIONS: &[&str] = &["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];

/// A message of lines of Markdown, each in a block of its own because not every client breaks lines inside of one; as
/// many of them as fit.
pub(super) fn of_lines(lines: impl IntoIterator<Item = String>) -> String {
    let mut bytes = message(&card(&[])).to_string().len();
    let mut body: Vec<Value> = Vec::new();
    for line in lines {
        let mut block = text_block(&cut(line, LINE_MAX, Escape::Markdown));
        if !body.is_empty() {
            block["spacing"] = "Small".into();
        }
        bytes += block.to_string().len() + ",".len();
        if bytes > MESSAGE_BYTES_MAX {
            break;
        }
        body.push(block);
    }
    message(&card(&body)).to_string()
}

/// A message about an event.
pub(super) fn of_sentence(sentence: &Sentence, tongue: Tongue) -> String {
    let mut body = vec![text_block(&tongue.write(&sentence.headline))];
    let escaped = |text: &str| tongue.escape.apply(text);
    let facts: Vec<_> =
        sentence.facts.iter().map(|(name, value)| json!({"title": name, "value": escaped(value)})).collect();
    if !facts.is_empty() {
        body.push(json!({"type": "FactSet", "facts": facts}));
    }
    message(&card(&body)).to_string()
}

/// A message with a card; `None` if there is no card or if Teams would not take it.
pub(super) fn if_it_fits(card: &Value) -> Option<String> {
    let message = message(card.is_object().then_some(card)?).to_string();
    (message.len() <= MESSAGE_BYTES_MAX).then_some(message)
}

fn text_block(text: &str) -> Value {
    json!({"type": "TextBlock", "text": text, "wrap": true})
}

fn card(body: &[Value]) -> Value {
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": VERSION,
        "body": body,
    })
}

fn message(card: &Value) -> Value {
    let attachment =
        json!({"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card});
    json!({"type": "message", "attachments": [attachment]})
}

/// The card of a destination.
pub(super) struct Card(Structure);

impl Card {
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let Some(source) = settings.text("card") else { return Ok(None) };
        let compile = || {
            let mut value = Structure::parse(source)?;
            // A whole message, as Microsoft's documentation gives it.
            if let Some(card) = value.pointer_mut("/attachments/0/content") {
                value = card.take();
            }
            check(&value)?;
            Structure::compile(&value, RULES)
        };
        compile().map(|card| Some(Self(card))).map_err(|message| SettingsError::new("card", message))
    }

    /// The card for an event; `null` if nothing is left of it.
    pub(super) fn about(&self, item: &Item<'_>) -> Result<Value, ExpressionError> {
        self.0.render(item.value())
    }
}

const RULES: Rules = Rules { of: rule, is_whole };

/// What each text is escaped as, and how long it may be.
fn rule(place: Place<'_>) -> Rule {
    let escape = match (place.around, place.kind, place.member) {
        (.., "url" | "iconUrl") => Escape::Url,
        (_, "TextBlock", "text") | (("FactSet", "facts"), _, "title" | "value") => Escape::Markdown,
        _ => Escape::Line,
    };
    Rule { escape, length_max: if escape == Escape::Url { 2_048 } else { TEXT_MAX } }
}

/// Whether a card, or a part of one, can be shown without what came out empty.
fn is_whole(within: &str, object: &Map<String, Value>) -> bool {
    let has = |name: &str| object.contains_key(name);
    match (within, object.get("type").and_then(Value::as_str).unwrap_or_default()) {
        ("facts", _) => has("title") && has("value"),
        (_, "TextBlock" | "TextRun") => has("text"),
        (_, "FactSet") => has("facts"),
        (_, "Image" | "Action.OpenUrl") => has("url"),
        (_, "Container" | "Column") => has("items"),
        (_, "ColumnSet") => has("columns"),
        (_, "RichTextBlock") => has("inlines"),
        (_, "ActionSet") => has("actions"),
        (_, "AdaptiveCard") => has("body"),
        _ => true,
    }
}

/// What can be said of a card before there is an event. A message continues "setting `card` …".
fn check(card: &Value) -> Result<(), String> {
    if card["type"] != "AdaptiveCard" {
        return Err("is not a card: its `type` must be `AdaptiveCard`".to_owned());
    }
    if !card["version"].as_str().is_some_and(|version| VERSIONS.contains(&version)) {
        return Err(format!("has no `version` that Teams shows; write `\"version\": \"{VERSION}\"`"));
    }
    if card["body"].as_array().is_none_or(Vec::is_empty) {
        return Err("has nothing under `body`".to_owned());
    }
    Ok(())
}
