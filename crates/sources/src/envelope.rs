//! What every sender's file needs: a body held against the limits, and members read from it without copying it.

use std::borrow::Cow;
use std::fmt;

use domain::Timestamp;
use domain::event::{EventType, JSON_DEPTH_MAX};
use domain::source::Unreadable;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Longest id of a sender, in bytes. A longer one is not read; the body then identifies the event.
const SENDER_ID_BYTES_MAX: usize = 256;
/// A number at or beyond this is milliseconds, a smaller one seconds: the year 5138, or March 1973.
const MILLIS_FROM: f64 = 1e11;

/// The body as text, if it is a JSON object by the look of it and nests no deeper than it may.
pub(crate) fn object(body: &[u8]) -> Result<&str, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotJson("it is not UTF-8".to_owned()))?;
    // A text with few brackets cannot nest deep, and counting them all is faster than following them.
    let brackets = body.iter().filter(|&&byte| matches!(byte, b'[' | b'{')).count();
    if brackets > JSON_DEPTH_MAX && depth(body) > JSON_DEPTH_MAX {
        return Err(Unreadable::TooDeep);
    }
    match text.trim_start_matches([' ', '\t', '\r', '\n']).as_bytes().first() {
        Some(b'{') => Ok(text),
        _ => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Err(Unreadable::NotAnObject),
            Err(error) => Err(not_json(&error)),
        },
    }
}

/// How deep brackets nest outside of strings.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

pub(crate) fn not_json(error: &serde_json::Error) -> Unreadable {
    Unreadable::NotJson(error.to_string())
}

/// The event type that stands at `pointer`. Our own types cannot be sent by anybody else.
pub(crate) fn event_type(value: Option<&RawValue>, pointer: &str) -> Result<EventType, Unreadable> {
    let value = value.ok_or_else(|| Unreadable::NoType(format!("there is nothing at `{pointer}`")))?;
    let text = text(value).ok_or_else(|| Unreadable::NoType(format!("what is at `{pointer}` is not a text")))?;
    let event_type: EventType = text.parse()?;
    if event_type.is_operational() { Err(Unreadable::ReservedType(event_type)) } else { Ok(event_type) }
}

/// A time: RFC 3339, or seconds or milliseconds since 1970 as a number or digits. Anything else counts as none.
pub(crate) fn time(value: &RawValue) -> Option<Timestamp> {
    let text = text(value).unwrap_or(Cow::Borrowed(value.get()));
    let timestamp = match text.parse::<f64>() {
        Ok(number) => unix_time(number)?,
        Err(_) => text.parse().ok()?,
    };
    (Timestamp::default()..=Timestamp::MAX).contains(&timestamp).then_some(timestamp)
}

#[expect(clippy::cast_possible_truncation, reason = "a cast from float saturates, and what is out of range is refused")]
fn unix_time(number: f64) -> Option<Timestamp> {
    let millis = if number < MILLIS_FROM { number * 1_000.0 } else { number };
    millis.is_finite().then(|| Timestamp::from_millis(millis.round() as i64))
}

/// The sender's own id: a text or a number.
pub(crate) fn sender_id(value: &RawValue) -> Option<String> {
    let raw = value.get();
    let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let id = if is_number { Cow::Borrowed(raw) } else { text(value)? };
    (1..=SENDER_ID_BYTES_MAX).contains(&id.len()).then(|| id.into_owned())
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let raw = value.get();
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The value at a JSON pointer, borrowed from the text. The way to it is read in full: a member name that occurs twice on
/// the way is an error, because two readers could take different ones.
pub(crate) fn lookup<'j>(json: &'j str, pointer: &str) -> Result<Option<&'j RawValue>, serde_json::Error> {
    let (mut text, mut found) = (json, None);
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let mut deserializer = serde_json::Deserializer::from_str(text);
        found = deserializer.deserialize_any(Step(&token))?;
        deserializer.end()?;
        match found {
            Some(value) => text = value.get(),
            None => break,
        }
    }
    Ok(found)
}

/// One step of a pointer: the member of an object or the item of an array.
struct Step<'t>(&'t str);

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(matches) = map.next_key_seed(Matches(self.0))? {
            if !matches {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom(format_args!("duplicate field `{}`", self.0)));
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let wanted: Option<usize> = self.0.parse().ok();
        let mut found = None;
        let mut index = 0;
        while let Some(item) = items.next_element::<&RawValue>()? {
            if Some(index) == wanted {
                found = Some(item);
            }
            index += 1;
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Compares a member name without keeping it.
struct Matches<'t>(&'t str);

impl<'de> DeserializeSeed<'de> for Matches<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Matches<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}
