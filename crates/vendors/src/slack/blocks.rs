//! The limits of Block Kit, and what in a message calls people.

use serde_json::Value;

use crate::look::list;

/// Slack's word for what is wrong with a message.
pub(super) fn check(message: &Value) -> Result<(), &'static str> {
    if !message.is_object() {
        return Err("invalid_payload");
    }
    let has_text = message["text"].as_str().is_some_and(|text| !text.trim().is_empty());
    let attachments = message["attachments"].as_array().map_or(0, Vec::len);
    if attachments > ATTACHMENTS_MAX {
        return Err("too_many_attachments");
    }
    let blocks = match &message["blocks"] {
        Value::Null => &[],
        Value::Array(blocks) => blocks.as_slice(),
        _ => return Err("invalid_blocks"),
    };
    if !has_text && attachments == 0 && blocks.is_empty() {
        return Err("no_text");
    }
    if blocks.len() > BLOCKS_MAX || !blocks.iter().all(is_valid) {
        return Err("invalid_blocks");
    }
    Ok(())
}

fn is_valid(block: &Value) -> bool {
    let content = match block["type"].as_str() {
        Some("section") => {
            let fields = list(&block["fields"]);
            let texts = fields.iter().all(|field| is_text(field, 2000)) && fields.len() <= FIELDS_MAX;
            texts && if fields.is_empty() { is_text(&block["text"], 3000) } else { is_optional_text(&block["text"]) }
        }
        Some("header") => block["text"]["type"] == "plain_text" && is_text(&block["text"], 150),
        Some("context") => {
            let elements = list(&block["elements"]);
            (1..=ELEMENTS_MAX).contains(&elements.len())
                && elements.iter().all(|element| element["type"] == "image" || is_text(element, 3000))
        }
        Some("actions") => block["elements"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_button)),
        Some("markdown") => (1..=12_000).contains(&length(&block["text"])),
        Some("image") => (1..=3000).contains(&length(&block["image_url"])) && length(&block["alt_text"]) > 0,
        Some("divider" | "rich_text" | "table" | "video" | "file") => true,
        _ => false,
    };
    content && length(&block["block_id"]) <= ID_CHARS_MAX
}

fn is_button(element: &Value) -> bool {
    element["type"] != "button"
        || (is_text(&element["text"], 75)
            && element["text"]["type"] == "plain_text"
            && length(&element["value"]) <= 2000
            && length(&element["url"]) <= 3000
            && length(&element["action_id"]) <= ID_CHARS_MAX)
}

/// A text object that is not empty and no longer than so many characters.
fn is_text(text: &Value, chars_max: usize) -> bool {
    matches!(text["type"].as_str(), Some("mrkdwn" | "plain_text")) && (1..=chars_max).contains(&length(&text["text"]))
}

fn is_optional_text(text: &Value) -> bool {
    text.is_null() || is_text(text, 3000)
}

fn length(text: &Value) -> usize {
    text.as_str().map_or(0, |text| text.chars().count())
}

/// What of a message calls people: unescaped mentions wherever Slack reads mrkdwn.
pub(super) fn mentions(message: &Value) -> Vec<&'static str> {
    let mut texts = vec![message["text"].as_str().unwrap_or_default()];
    collect_mrkdwn(&message["blocks"], &mut texts);
    collect_mrkdwn(&message["attachments"], &mut texts);
    MENTIONS.iter().filter(|mention| texts.iter().any(|text| text.contains(**mention))).copied().collect()
}

fn collect_mrkdwn<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_mrkdwn(value, texts)),
        Value::Object(object) => {
            let reads_mrkdwn = matches!(object.get("type").and_then(Value::as_str), Some("mrkdwn" | "markdown") | None);
            if let Some(text) = object.get("text").and_then(Value::as_str).filter(|_| reads_mrkdwn) {
                texts.push(text);
            }
            object.values().for_each(|value| collect_mrkdwn(value, texts));
        }
        _ => {}
    }
}

const MENTIONS: &[&str] = &["<!channel", "<!here", "<!everyone", "<!subteam", "<@U", "<@W"];
const BLOCKS_MAX: usize = 50;
const FIELDS_MAX: usize = 10;
const ELEMENTS_MAX: usize = 10;
const ATTACHMENTS_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;
