//! The classic mistakes: the wrong key made of the right secret, the right key over the wrong bytes, the right signature
//! in the wrong dress. Every combination is tried, the most ordinary first.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use ring::hmac;
use serde::Serialize as _;
use serde_json::Value;

use super::super::claim::{Tag, base64_tag, hex_tag};
use super::super::{PREFIX, SIGNATURES_MAX, Scheme, VERSION};
use super::values;
use crate::secret::Secret;

/// The largest body that is re-rendered in search of a mistake, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A signature found in a header, with what is odd about how it is written.
pub(super) struct Claim {
    tag: Tag,
    header: &'static str,
    is_hex: bool,
    is_prefixed: bool,
}

const HEADERS: [&str; 2] = ["x-webhook-signature", "webhook-signature"];

/// Every signature in the headers that could be an HMAC-SHA256.
pub(super) fn claims(headers: &HeaderMap) -> Vec<Claim> {
    let entries = HEADERS.iter().flat_map(|header| {
        values(headers, header)
            .flat_map(|value| value.split_whitespace().take(SIGNATURES_MAX))
            .map(move |entry| (*header, entry))
    });
    let claim = |(header, entry): (&'static str, &str)| {
        let (bare, is_prefixed) = match entry.strip_prefix(PREFIX).or_else(|| entry.strip_prefix(VERSION)) {
            Some(bare) => (bare, true),
            None => (entry, false),
        };
        let hex = hex_tag(bare);
        let tag = hex.or_else(|| base64_tag(bare))?;
        Some(Claim { tag, header, is_hex: hex.is_some(), is_prefixed })
    };
    entries.filter_map(claim).collect()
}

/// What is wrong with signature headers that hold no HMAC-SHA256 at all.
pub(super) fn unreadable(headers: &HeaderMap) -> Vec<String> {
    let finding = |header: &str, value: &str| {
        let bare = value.strip_prefix(PREFIX).unwrap_or(value);
        let is_hex = bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let what = match bare.len() {
            0 => "is empty".to_owned(),
            40 if is_hex => "has 40 hex digits, which looks like SHA-1; sign with HMAC-SHA256".to_owned(),
            128 if is_hex => "has 128 hex digits, which looks like SHA-512; sign with HMAC-SHA256".to_owned(),
            count if is_hex => format!("has {count} hex digits; HMAC-SHA256 has 64"),
            _ => "is neither 64 hex digits nor the base64 of 32 bytes".to_owned(),
        };
        format!("`{header}` {what}")
    };
    HEADERS.iter().flat_map(|header| values(headers, header).map(|value| finding(header, value))).collect()
}

/// The mistakes that together explain one of the claims, or nothing.
pub(super) fn explain(claims: &[Claim], headers: &HeaderMap, body: &[u8], secret: &Secret) -> Vec<String> {
    let keys = keys(secret);
    let prefixes = prefixes(headers);
    for (body, body_mistake) in bodies(body) {
        for (prefix, form, prefix_mistake) in &prefixes {
            let signed = [prefix.as_slice(), &body].concat();
            for (key, key_form, key_mistake) in &keys {
                let matches = |claim: &&Claim| hmac::verify(key, &signed, &claim.tag).is_ok();
                let Some(claim) = claims.iter().find(matches) else { continue };
                let key_mistake = (*key_form != Some(form.is_standard()))
                    .then(|| format!("the key is {key_mistake}; `{}` uses {}", form.name(), form.expected_key()));
                let mistakes = [body_mistake, *prefix_mistake].into_iter().flatten().map(str::to_owned);
                return mistakes.chain(key_mistake).chain(dress(claim, *form)).collect();
            }
        }
    }
    Vec::new()
}

/// What is signed, apart from mistakes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Body,
    Timestamped,
    Standard,
}

impl Form {
    const fn is_standard(self) -> bool {
        matches!(self, Self::Standard)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Body => Scheme::BodyHex.name(),
            Self::Timestamped => Scheme::Timestamped.name(),
            Self::Standard => Scheme::StandardWebhooks.name(),
        }
    }

    const fn expected_key(self) -> &'static str {
        match self {
            Self::Body | Self::Timestamped => "the whole secret, `whsec_` included, as text",
            Self::Standard => "the bytes whose base64 stands after `whsec_`",
        }
    }
}

/// A right signature in a header or an encoding where no scheme expects it.
fn dress(claim: &Claim, form: Form) -> Vec<String> {
    let mut mistakes = Vec::new();
    let expected_header = HEADERS[usize::from(form.is_standard())];
    if claim.header != expected_header {
        mistakes.push(format!(
            "a signature of `{}` stands in `{}`; it belongs in `{expected_header}`",
            form.name(),
            claim.header
        ));
    }
    match form {
        Form::Standard if claim.is_hex => {
            mistakes.push("the signature is hex; `standard-webhooks` wants `v1,` and base64".to_owned());
        }
        Form::Standard if !claim.is_prefixed => {
            mistakes.push("`v1,` is missing before the signature".to_owned());
        }
        Form::Body | Form::Timestamped if !claim.is_hex => {
            mistakes.push(format!("the signature is base64; `{}` wants hex", form.name()));
        }
        Form::Timestamped if claim.is_prefixed => {
            mistakes.push("the signature has a prefix; `timestamped` wants the hex digits alone".to_owned());
        }
        _ => {}
    }
    if mistakes.is_empty() && form != Form::Body {
        // Key, bytes and dress are right, and still no scheme took it: a header beside the signature is malformed.
        mistakes.push(format!(
            "the signature fits `{}`, but another header of it is missing, repeated or malformed",
            form.name()
        ));
    }
    mistakes
}

/// The keys that programs make of a secret: the key, whether it is right for `standard-webhooks` (or for the others, or
/// for nobody), and how to call it.
fn keys(secret: &Secret) -> Vec<(hmac::Key, Option<bool>, &'static str)> {
    let text = secret.expose();
    let bare = text.strip_prefix("whsec_").unwrap_or(text);
    let mut keys = vec![(text.as_bytes().to_vec(), Some(false), "the whole secret as text")];
    if let Ok(bytes) = BASE64.decode(bare) {
        keys.push((bytes, Some(true), "the base64 after `whsec_`, decoded"));
    }
    if let Ok(bytes) = hex::decode(bare) {
        keys.push((bytes, None, "the secret decoded from hex"));
    }
    if bare != text {
        keys.push((bare.as_bytes().to_vec(), None, "the text after `whsec_`, not decoded"));
    }
    keys.push((format!("{text}\n").into_bytes(), None, "the secret with a line break at its end"));
    keys.push((text.trim().as_bytes().to_vec(), None, "the secret without the blanks around it"));
    keys.push((Vec::new(), None, "empty"));
    keys.into_iter().map(|(bytes, form, name)| (hmac::Key::new(hmac::HMAC_SHA256, &bytes), form, name)).collect()
}

/// What programs put before the body: the bytes, the form it belongs to, and the mistake if it is one.
fn prefixes(headers: &HeaderMap) -> Vec<(Vec<u8>, Form, Option<&'static str>)> {
    let timestamps: Vec<_> =
        ["x-webhook-timestamp", "webhook-timestamp"].iter().flat_map(|name| values(headers, name)).take(4).collect();
    let ids: Vec<_> = values(headers, "webhook-id").take(2).collect();
    let mut prefixes = vec![(Vec::new(), Form::Body, None)];
    for timestamp in timestamps {
        prefixes.push((format!("{timestamp}.").into_bytes(), Form::Timestamped, None));
        for id in &ids {
            prefixes.push((format!("{id}.{timestamp}.").into_bytes(), Form::Standard, None));
        }
        let without_dot = "the timestamp was put before the body without the dot between them";
        prefixes.push((timestamp.as_bytes().to_vec(), Form::Timestamped, Some(without_dot)));
    }
    prefixes
}

/// What programs sign in place of the body: the bytes, and the mistake if they are not the body itself.
fn bodies(body: &[u8]) -> Vec<(Vec<u8>, Option<&'static str>)> {
    let mut bodies = vec![(body.to_vec(), None)];
    let mut add = |bytes: Vec<u8>, mistake| bodies.push((bytes, Some(mistake)));
    if body.len() > BODY_BYTES_MAX {
        return bodies;
    }
    add([body, b"\n"].concat(), "the body was signed with a line break at its end that did not arrive");
    add(body.trim_ascii_end().to_vec(), "the body was signed without the line break or blanks at its end that arrived");
    if let Ok(text) = std::str::from_utf8(body) {
        add(text.replace("\r\n", "\n").into_bytes(), "the body was signed with other line ends than it arrived with");
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        const RENDERED: &str =
            "the body was parsed and written again before it was signed; sign the very bytes that are sent";
        let compact = value.to_string();
        add(ascii(&compact).into_bytes(), RENDERED);
        add(compact.into_bytes(), RENDERED);
        let python = rendered(&value, PythonDefault);
        add(ascii(&python).into_bytes(), RENDERED);
        add(python.into_bytes(), RENDERED);
        add(serde_json::to_vec_pretty(&value).unwrap_or_default(), RENDERED);
    }
    add(Vec::new(), "an empty body was signed; read the body before it is parsed or consumed");
    bodies
}

fn rendered(value: &Value, formatter: impl serde_json::ser::Formatter) -> String {
    let mut bytes = Vec::new();
    // Writing a value to memory cannot fail; an empty text would simply match nothing.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter));
    String::from_utf8(bytes).unwrap_or_default()
}

/// Python's default separators: `, ` and `: `.
struct PythonDefault;

impl serde_json::ser::Formatter for PythonDefault {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Everything beyond ASCII as `\uXXXX`, as Python writes it.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}
