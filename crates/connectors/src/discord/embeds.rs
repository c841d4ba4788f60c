//! The setting `embeds`: embeds whose texts are templates.

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::expression::{Escape, ExpressionError};
use serde_json::{Map, Value};

use crate::chat::{Place, Rule, Rules, Structure, length};

/// Most embeds of one message.
const EMBEDS_MAX: usize = 10;
/// Most fields of an embed.
const FIELDS_MAX: usize = 25;
/// Most text in all embeds of a message.
const TEXT_MAX: usize = 6_000;

/// The embeds of a destination.
pub(super) struct Embeds(Structure);

impl Embeds {
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let Some(source) = settings.text("embeds") else { return Ok(None) };
        let compile = || {
            let mut value = Structure::parse(source)?;
            // The usual designers give a whole message.
            if let Some(embeds) = value.get_mut("embeds") {
                value = embeds.take();
            }
            check(&value)?;
            Structure::compile(&value, RULES)
        };
        compile().map(|embeds| Some(Self(embeds))).map_err(|message| SettingsError::new("embeds", message))
    }

    /// The embeds for an event, as many of them as Discord takes; `null` if none is left.
    pub(super) fn about(&self, item: &Item<'_>) -> Result<Value, ExpressionError> {
        let Value::Array(embeds) = self.0.render(item.value())? else { return Ok(Value::Null) };
        let mut room = TEXT_MAX;
        let fits = |embed: &Value| {
            let does = text_of(embed) <= room;
            room = room.saturating_sub(text_of(embed));
            does
        };
        let embeds: Vec<_> = embeds.into_iter().take_while(fits).collect();
        Ok(if embeds.is_empty() { Value::Null } else { embeds.into() })
    }
}

const RULES: Rules = Rules { of: rule, is_whole };

/// What each text is escaped as, and how long it may be.
fn rule(place: Place<'_>) -> Rule {
    let (escape, length_max) = match (place.around.1, place.member) {
        (_, "url" | "icon_url" | "proxy_url") => (Escape::Url, 2_048),
        ("fields", "value") => (Escape::Markdown, 1_024),
        ("fields", _) | ("", "title") => (Escape::Markdown, 256),
        ("", "description") => (Escape::Markdown, 4_096),
        // Neither an author's name nor a footer is read as Markdown.
        ("author", _) => (Escape::Line, 256),
        _ => (Escape::Line, 2_048),
    };
    Rule { escape, length_max }
}

/// Whether Discord takes an embed, or a part of one, of which something came out empty.
fn is_whole(within: &str, object: &Map<String, Value>) -> bool {
    let has = |name: &str| object.contains_key(name);
    match within {
        "fields" => has("name") && has("value"),
        "footer" => has("text"),
        "author" => has("name"),
        "image" | "thumbnail" | "video" => has("url"),
        _ => ["title", "description", "fields", "author", "image", "thumbnail", "footer"].into_iter().any(has),
    }
}

/// What can be said of the embeds before there is an event. A message continues "setting `embeds` …".
fn check(embeds: &Value) -> Result<(), String> {
    let Some(embeds) = embeds.as_array().filter(|embeds| !embeds.is_empty()) else {
        return Err("is not a list of embeds, nor an object with one under `embeds`".to_owned());
    };
    if embeds.len() > EMBEDS_MAX {
        return Err(format!("has {} embeds; Discord takes {EMBEDS_MAX}", embeds.len()));
    }
    for (embed, number) in embeds.iter().zip(1..) {
        let fields = embed["fields"].as_array().map_or(0, Vec::len);
        if !embed.is_object() || fields > FIELDS_MAX {
            return Err(format!("has in place {number} no object, or one with more than {FIELDS_MAX} fields"));
        }
    }
    Ok(())
}

/// How much of an embed counts towards the limit of all.
fn text_of(embed: &Value) -> usize {
    let of = |text: &Value| text.as_str().map_or(0, length);
    let fields = embed["fields"].as_array().into_iter().flatten();
    of(&embed["title"])
        + of(&embed["description"])
        + of(&embed["footer"]["text"])
        + of(&embed["author"]["name"])
        + fields.map(|field| of(&field["name"]) + of(&field["value"])).sum::<usize>()
}
