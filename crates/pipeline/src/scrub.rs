//! Scrubbing: a text that was made with secrets, as it may be shown or kept.
//!
//! A connector does not send a setting as it was written: it puts it into JSON, into a query, into the base64 of a login,
//! and many a vendor repeats in its answer what it was sent. So each secret is looked for in every form in which it can
//! stand in a request, and a run of base64 that holds one goes as a whole.

use std::cmp::Reverse;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use domain::Settings;
use domain::connector::{Field, FieldKind, Shown, Token};
use domain::secret::MASK;
use serde_json::Value;
use url::Url;

/// Headers whose value is a credential whatever it looks like.
const CREDENTIAL_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];
/// The shortest secret that is also looked for in the middle of words, and in base64, in bytes.
const SECRET_BYTES_MIN: usize = 4;
/// The shortest beginning of a secret that is known again where a text was cut off in the middle of it, in bytes.
const BEGINNING_BYTES_MIN: usize = 6;
/// The shortest part of a secret URL that counts as secret by itself, in bytes.
const PART_BYTES_MIN: usize = 6;
/// What vendors write into the paths of secret URLs that is no secret.
const VENDOR_WORDS: [&str; 13] = [
    "automations",
    "direct",
    "environment",
    "invoke",
    "manual",
    "powerautomate",
    "services",
    "triggers",
    "v1.0",
    "webhook",
    "webhooks",
    "webhookb2",
    "workflows",
];
/// What ends a text that was cut off.
const ELLIPSIS: char = '…';

/// What must not be seen, in all its forms.
#[derive(Default)]
pub struct Scrubber {
    /// The longest first, so that none leaves a part of another behind.
    needles: Vec<Needle>,
}

/// One form of a secret.
struct Needle {
    text: String,
    mask: String,
    shape: Shape,
}

/// Where a form of a secret can stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Anywhere,
    /// Too short to mean anything in the middle of a word.
    Word,
    /// In a run of base64, which goes as a whole.
    Base64,
}

impl Scrubber {
    /// For everything secret among the settings of a destination.
    pub fn new(fields: &[Field], settings: &Settings) -> Self {
        let mut scrubber = Self::default();
        for (name, value) in &settings.0 {
            // A member that no field describes counts as secret.
            let kind = fields.iter().find(|field| field.name == name).map_or(FieldKind::Secret, |field| field.kind);
            match (kind, value) {
                (FieldKind::Secret, Value::String(text)) => scrubber.hide(text, MASK),
                (FieldKind::SecretUrl, Value::String(url)) => scrubber.hide_url(url),
                (FieldKind::Map, Value::Object(map)) => {
                    map.values().filter_map(Value::as_str).for_each(|text| scrubber.hide_credential(text));
                }
                (FieldKind::Url, Value::String(url)) => scrubber.hide_login_and_query(url),
                _ => {}
            }
        }
        scrubber.put_in_order();
        scrubber
    }

    /// For a token that was fetched.
    pub fn of_token(token: &Token) -> Self {
        let mut scrubber = Self::default();
        scrubber.hide(token.secret.expose(), MASK);
        scrubber.put_in_order();
        scrubber
    }

    /// A text without the secrets, and without the beginning of one where the text was cut off or most of it is there.
    pub fn text(&self, text: &str) -> String {
        let mut scrubbed = text.to_owned();
        for needle in &self.needles {
            // Nearly always there is nothing to be found, and then nothing is to be copied.
            if scrubbed.contains(needle.beginning()) {
                scrubbed = needle.put_out(&scrubbed);
            }
        }
        scrubbed
    }

    /// A call without the secrets.
    pub fn shown(&self, call: Shown) -> Shown {
        let header = |(name, value): (String, String)| {
            let is_credential = CREDENTIAL_HEADERS.iter().any(|credential| name.eq_ignore_ascii_case(credential));
            let value = if is_credential { credential(&value) } else { self.text(&value) };
            (name, value)
        };
        Shown {
            method: call.method,
            url: self.text(&call.url),
            headers: call.headers.into_iter().map(header).collect(),
            body: self.text(&call.body),
        }
    }

    fn hide(&mut self, secret: &str, mask: &str) {
        if secret.is_empty() {
            return;
        }
        let is_short = secret.len() < SECRET_BYTES_MIN;
        let shape = if is_short { Shape::Word } else { Shape::Anywhere };
        let json = Value::from(secret).to_string();
        let json = &json[1..json.len() - 1];
        let forms = [
            secret.to_owned(),
            json.to_owned(),
            json.replace('/', r"\/"),
            json.replace('&', r"\u0026").replace('<', r"\u003c").replace('>', r"\u003e"),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            percent_encoded(secret, |byte| format!("%{byte:02X}")),
            percent_encoded(secret, |byte| format!("%{byte:02x}")),
        ];
        self.needles.extend(forms.into_iter().map(|text| Needle { text, mask: mask.to_owned(), shape }));
        if !is_short {
            let cores = in_base64(secret.as_bytes());
            self.needles.extend(cores.map(|text| Needle { text, mask: MASK.to_owned(), shape: Shape::Base64 }));
        }
    }

    /// The value of a header or the like. What follows the scheme of a login is secret by itself.
    fn hide_credential(&mut self, text: &str) {
        self.hide(text, MASK);
        if let Some((_, credential)) = text.split_once(' ').filter(|(_, rest)| rest.len() >= PART_BYTES_MIN) {
            self.hide(credential, MASK);
        }
    }

    /// A URL that is itself the credential: where it leads may be seen, what follows the host may not, in whatever way
    /// the connector takes it apart and puts it together again.
    fn hide_url(&mut self, text: &str) {
        let Ok(url) = Url::parse(text) else { return self.hide(text, MASK) };
        let mask = format!("{}/{MASK}", url.origin().ascii_serialization());
        self.hide(text, &mask);
        self.hide(url.as_str(), &mask);
        let segments = url.path_segments().into_iter().flatten();
        let parts = [url.path(), url.query().unwrap_or_default()].into_iter().chain(segments);
        let is_secret = |part: &&str| part.len() >= PART_BYTES_MIN && !VENDOR_WORDS.contains(part);
        for part in parts.filter(is_secret) {
            let mask = if part.starts_with('/') { format!("/{MASK}") } else { MASK.to_owned() };
            self.hide(part, &mask);
        }
        self.hide_login_and_query(text);
    }

    /// What follows a `?` and what stands before an `@`.
    fn hide_login_and_query(&mut self, text: &str) {
        if let Some((_, query)) = text.split_once('?') {
            self.hide(query, MASK);
        }
        let Ok(url) = Url::parse(text) else { return };
        for (_, value) in url.query_pairs().filter(|(_, value)| value.len() >= PART_BYTES_MIN) {
            self.hide(&value, MASK);
        }
        if let Some(password) = url.password() {
            let login = format!("{}:{password}", url.username());
            self.hide(&login, MASK);
            self.hide(password, MASK);
        }
    }

    fn put_in_order(&mut self) {
        let by_length = |needle: &Needle| (Reverse(needle.text.len()), needle.text.clone());
        self.needles.sort_by_cached_key(by_length);
        self.needles.dedup_by(|a, b| a.text == b.text);
    }
}

impl Needle {
    /// What every trace of it begins with.
    fn beginning(&self) -> &str {
        match self.shape {
            Shape::Word => &self.text,
            Shape::Anywhere | Shape::Base64 => &self.text[..self.text.floor_char_boundary(BEGINNING_BYTES_MIN)],
        }
    }

    /// A text without it.
    fn put_out(&self, text: &str) -> String {
        let mut scrubbed = String::with_capacity(text.len());
        let mut rest = text;
        // What has been copied already is looked back at by its length in `text`.
        while let Some(at) = rest.find(self.beginning()) {
            let from = text.len() - rest.len() + at;
            let Some((start, end)) = self.extent(text, from) else {
                let next = from + text[from..].chars().next().map_or(1, char::len_utf8);
                scrubbed.push_str(&text[text.len() - rest.len()..next]);
                rest = &text[next..];
                continue;
            };
            let start = start.max(text.len() - rest.len());
            scrubbed.push_str(&text[text.len() - rest.len()..start]);
            scrubbed.push_str(&self.mask);
            rest = &text[end..];
        }
        scrubbed + rest
    }

    /// From where to where a text is to be masked that has the beginning of this at `from`.
    fn extent(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let same = text[from..].bytes().zip(self.text.bytes()).take_while(|(a, b)| a == b).count();
        let end = text.floor_char_boundary(from + same);
        let is_cut_off = || text[end..].is_empty() || text[end..].starts_with(ELLIPSIS);
        let is_nearly_all = same * 4 >= self.text.len() * 3;
        if !is_nearly_all && !is_cut_off() {
            return None;
        }
        match self.shape {
            Shape::Anywhere => Some((from, end)),
            Shape::Word => {
                let is_inside = |c: char| c.is_alphanumeric();
                let is_word = !text[..from].ends_with(is_inside) && !text[end..].starts_with(is_inside);
                is_word.then_some((from, end))
            }
            Shape::Base64 => {
                let start = text[..from].rfind(|c| !is_base64(c)).map_or(0, |at| text.ceil_char_boundary(at + 1));
                let run = text[end..].find(|c| !is_base64(c)).map_or(text.len(), |length| end + length);
                Some((start, text.len() - text[run..].trim_start_matches('=').len()))
            }
        }
    }
}

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

/// The characters of base64 that a secret alone decides, for each place where it can begin, in both alphabets.
fn in_base64(secret: &[u8]) -> impl Iterator<Item = String> {
    let shifts = [(0, 0), (1, 2), (2, 3)];
    let encoded = shifts.map(|(before, undecided)| {
        let bytes = [&[0; 2][..before], secret].concat();
        let decided = bytes.len() * 8 / 6;
        [BASE64_STANDARD_NO_PAD.encode(&bytes), BASE64_URL_SAFE_NO_PAD.encode(&bytes)]
            .map(|text| text[undecided..decided].to_owned())
    });
    encoded.into_iter().flatten()
}

/// The value of a credential header: its scheme may be seen.
fn credential(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            format!("{scheme} {MASK}")
        }
        _ => MASK.to_owned(),
    }
}

/// As in a path: everything but the unreserved characters is written by `escaped`.
fn percent_encoded(text: &str, escaped: impl Fn(u8) -> String) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let encode = |byte: u8| if is_unreserved(byte) { char::from(byte).to_string() } else { escaped(byte) };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        Field::required("url", FieldKind::Url, ""),
        Field::required("hook", FieldKind::SecretUrl, ""),
        Field::required("password", FieldKind::Secret, ""),
        Field::optional("headers", FieldKind::Map, ""),
        Field::optional("text", FieldKind::Text, ""),
    ];
    const PASSWORD: &str = "hid\"den/+ &pass<word>é";

    fn scrubber() -> Scrubber {
        let settings = json!({
            "url": "https://me:hidden-login@db.example.com/path?token=hidden-token",
            "hook": "https://hooks.example.com/services/HIDDENTEAM/HIDDENBOT/hiddenKEY?sig=hidden%2Fsig",
            "password": PASSWORD,
            "headers": { "X-Team": "hidden-team" },
            "text": "seen",
            "undeclared": "hidden-undeclared",
        });
        Scrubber::new(FIELDS, &serde_json::from_value(settings).unwrap())
    }

    fn check(text: &str, expect: &str) {
        assert_eq!(scrubber().text(text), expect, "{text}");
    }

    #[test]
    fn a_secret_is_found_in_every_form_in_which_it_can_stand() {
        check(PASSWORD, MASK);
        check(&json!({ "p": PASSWORD }).to_string(), r#"{"p":"••••"}"#);
        check(
            &format!("a={}&b", url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect::<String>()),
            "a=••••&b",
        );
        check(&format!("/x/{}/y", percent_encoded(PASSWORD, |byte| format!("%{byte:02X}"))), "/x/••••/y");
        check("hidden-team, hidden-undeclared, seen", "••••, ••••, seen");
    }

    #[test]
    fn base64_that_holds_a_secret_anywhere_is_masked_as_a_whole() {
        for login in [format!("u:{PASSWORD}"), format!("user:{PASSWORD}!"), format!("longer-user:{PASSWORD}")] {
            check(&format!("AUTH {} end", BASE64_STANDARD.encode(&login)), "AUTH •••• end");
            check(&format!("t={}.x", BASE64_URL_SAFE_NO_PAD.encode(&login)), "t=••••.x");
        }
        let innocent = BASE64_STANDARD.encode("nothing to hide in here");
        check(&innocent, &innocent);
    }

    #[test]
    fn of_a_secret_url_only_the_host_is_seen_however_it_was_put_together() {
        for url in [
            "https://hooks.example.com/services/HIDDENTEAM/HIDDENBOT/hiddenKEY?sig=hidden%2Fsig",
            "https://hooks.example.com/services/HIDDENTEAM/HIDDENBOT/hiddenKEY?sig=hidden%2Fsig&wait=true",
            "https://hooks.example.com/services/HIDDENTEAM/HIDDENBOT/hiddenKEY/slack?wait=true",
            "https://hooks.example.com/v2/HIDDENTEAM/x?s=hidden/sig",
            "https://me:hidden-login@db.example.com/path?token=hidden-token&x=1",
        ] {
            let scrubbed = scrubber().text(url);
            assert!(!scrubbed.to_lowercase().contains("hidden"), "{scrubbed}");
            assert!(scrubbed.contains("example.com/"), "{scrubbed}");
        }
    }

    #[test]
    fn a_credential_header_keeps_its_scheme_and_nothing_else() {
        let call = Shown {
            method: "POST",
            url: "https://example.com/".to_owned(),
            headers: vec![
                ("Authorization".to_owned(), "Basic dTpw".to_owned()),
                ("authorization".to_owned(), "raw-token".to_owned()),
                ("X-Note".to_owned(), "seen".to_owned()),
            ],
            body: format!("password={PASSWORD}"),
        };
        let shown = scrubber().shown(call);
        let values: Vec<_> = shown.headers.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["Basic ••••", "••••", "seen"]);
        assert_eq!(shown.body, "password=••••");
    }

    #[test]
    fn a_vendor_that_repeats_what_it_was_sent_gives_nothing_away_however_it_writes_json() {
        let fields = &[Field::required("key", FieldKind::Secret, "")];
        let settings = serde_json::from_value(json!({ "key": "hidden/a&b" })).unwrap();
        let scrubber = Scrubber::new(fields, &settings);
        for said in ["hidden/a&b", r"hidden\/a&b", r"hidden/a\u0026b", "hidden%2Fa%26b", "hidden%2fa%26b"] {
            assert_eq!(scrubber.text(&format!("{{\"error\":\"bad key {said}\"}}")), r#"{"error":"bad key ••••"}"#);
        }
    }

    #[test]
    fn what_is_left_of_a_secret_where_a_text_was_cut_off_is_masked_too() {
        check("no such key: hidden-undecl", "no such key: ••••");
        check("no such key: hidden-undecl…; make a new one", "no such key: ••••…; make a new one");
        check("hidden-undecided", "hidden-undecided");
        check(r#"{"key": "hidden-undeclare"}"#, r#"{"key": "••••"}"#);
        let login = BASE64_STANDARD.encode(format!("user:{PASSWORD}"));
        check(&format!("you sent Basic {}…", &login[..20]), "you sent Basic ••••…");
    }

    #[test]
    fn a_short_secret_is_a_word_and_does_not_tear_others_apart() {
        let fields = &[Field::required("headers", FieldKind::Map, "")];
        let settings = serde_json::from_value(json!({ "headers": { "X-Tenant": "eu" } })).unwrap();
        let scrubber = Scrubber::new(fields, &settings);
        assert_eq!(scrubber.text("x-tenant: eu, in the museum"), "x-tenant: ••••, in the museum");
    }

    #[test]
    fn a_token_and_the_parts_of_a_secret_are_secret_by_themselves() {
        let token = Token { secret: "hidden-token-1".into(), valid_for: None, extra: None };
        assert_eq!(Scrubber::of_token(&token).text("bad token hidden-token-1"), "bad token ••••");
        check("hidden-token is wrong, HIDDENBOT too", "•••• is wrong, •••• too");
        let fields = &[Field::required("headers", FieldKind::Map, "")];
        let settings =
            serde_json::from_value(json!({ "headers": { "Authorization": "Bearer hidden-bearer" } })).unwrap();
        assert_eq!(Scrubber::new(fields, &settings).text("no hidden-bearer here"), "no •••• here");
    }
}
