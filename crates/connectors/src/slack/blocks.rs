//! The setting `blocks`: Block Kit whose texts are templates.

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::expression::{Escape, ExpressionError};
use serde_json::{Map, Value};

use crate::chat::{Place, Rule, Rules, Structure};

/// Most blocks of one message.
const BLOCKS_MAX: usize = 50;
/// Most fields of a section.
const FIELDS_MAX: usize = 10;
/// Most elements of a context.
const ELEMENTS_MAX: usize = 10;

/// The blocks of a destination.
pub(super) struct Blocks(Structure);

impl Blocks {
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let Some(source) = settings.text("blocks") else { return Ok(None) };
        let compile = || {
            let mut value = Structure::parse(source)?;
            // Block Kit Builder gives an object.
            if let Some(blocks) = value.get_mut("blocks") {
                value = blocks.take();
            }
            check(&value)?;
            make_verbatim(&mut value);
            Structure::compile(&value, RULES)
        };
        compile().map(|blocks| Some(Self(blocks))).map_err(|message| SettingsError::new("blocks", message))
    }

    /// The blocks for an event; `null` if none is left.
    pub(super) fn about(&self, item: &Item<'_>) -> Result<Value, ExpressionError> {
        let mut blocks = self.0.render(item.value())?;
        entities_for_backslashes(&mut blocks);
        Ok(blocks)
    }
}

const RULES: Rules = Rules { of: rule, is_whole };

/// What each text is escaped as, and how long it may be.
fn rule(place: Place<'_>) -> Rule {
    let length_max = match (place.around, place.kind, place.member) {
        (_, "markdown", "text") => 12_000,
        (("header", "text"), ..) => 150,
        (("button", "text"), ..) => 75,
        (("section", "fields") | ("image", "title"), ..) | (_, "image", "alt_text") | (_, "button", "value") => 2_000,
        (_, _, "block_id" | "action_id") => 255,
        _ => 3_000,
    };
    let escape = match (place.kind, place.member) {
        (_, "url" | "image_url" | "title_url" | "thumbnail_url" | "video_url") => Escape::Url,
        ("mrkdwn", "text") => Escape::Slack,
        ("markdown", "text") => Escape::Markdown,
        _ => Escape::Line,
    };
    Rule { escape, length_max }
}

/// Whether Slack takes a block, or a part of one, of which something came out empty.
fn is_whole(_: &str, object: &Map<String, Value>) -> bool {
    let has = |name: &str| object.contains_key(name);
    match object.get("type").and_then(Value::as_str).unwrap_or_default() {
        "mrkdwn" | "plain_text" | "markdown" | "header" | "text" | "button" => has("text"),
        "section" => has("text") || has("fields"),
        "context" | "actions" | "rich_text" => has("elements"),
        "image" => has("alt_text") && (has("image_url") || has("slack_file")),
        _ => true,
    }
}

/// What can be said of the blocks before there is an event. A message continues "setting `blocks` …".
fn check(blocks: &Value) -> Result<(), String> {
    let Some(blocks) = blocks.as_array().filter(|blocks| !blocks.is_empty()) else {
        return Err("is not a list of blocks, nor an object with one under `blocks`".to_owned());
    };
    if blocks.len() > BLOCKS_MAX {
        return Err(format!("has {} blocks; Slack takes {BLOCKS_MAX}", blocks.len()));
    }
    for (number, block) in blocks.iter().enumerate() {
        let number = number + 1;
        let count = |name: &str| block[name].as_array().map_or(0, Vec::len);
        match block["type"].as_str() {
            None => return Err(format!("has no `type` in block {number}")),
            Some("header") if block["text"]["type"] != "plain_text" => {
                return Err(format!("has a header in block {number} whose text is not `plain_text`"));
            }
            Some("section") if count("fields") > FIELDS_MAX => {
                return Err(format!("has {} fields in block {number}; Slack takes {FIELDS_MAX}", count("fields")));
            }
            Some("context") if count("elements") > ELEMENTS_MAX => {
                return Err(format!(
                    "has {} elements in block {number}; Slack takes {ELEMENTS_MAX}",
                    count("elements")
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Without `verbatim`, Slack looks for links, channels and mentions in text of type `mrkdwn` that has none marked up.
fn make_verbatim(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(make_verbatim),
        Value::Object(members) => {
            if members.get("type").and_then(Value::as_str) == Some("mrkdwn") {
                members.entry("verbatim").or_insert(Value::Bool(true));
            }
            members.values_mut().for_each(make_verbatim);
        }
        _ => {}
    }
}

/// In a `markdown` block an angle bracket is safest as an entity, because Slack's own mentions are made of them.
fn entities_for_backslashes(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(entities_for_backslashes),
        Value::Object(members) if members.get("type").and_then(Value::as_str) == Some("markdown") => {
            if let Some(Value::String(text)) = members.get_mut("text") {
                *text = text.replace("\\<", "&lt;").replace("\\>", "&gt;");
            }
        }
        _ => {}
    }
}
