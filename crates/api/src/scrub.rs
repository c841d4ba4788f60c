//! Scrubbing: a text that was made with secrets, as it may be shown.
//!
//! A connector does not send a setting as it was written: it puts it into JSON, into a query, into the base64 of a login.
//! So each secret is looked for in every form in which it can stand in a request, and a run of base64 that holds one
//! goes as a whole.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use domain::Settings;
use domain::connector::{Field, FieldKind, Shown};
use domain::secret::MASK;
use serde_json::Value;
use url::Url;

/// Headers whose value is a credential whatever it looks like.
const CREDENTIAL_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];
/// The shortest run of base64 that is looked into, in characters.
const BASE64_CHARS_MIN: usize = 8;
/// The shortest part of a secret URL that counts as secret by itself, in characters.
const PART_CHARS_MIN: usize = 6;

/// What must not be seen, in all its forms.
pub(crate) struct Scrubber {
    /// The secrets as they are: what is looked for in decoded base64.
    secrets: Vec<String>,
    /// Each form to look for and what to put in its place, the longest first, so that none leaves a part of another behind.
    needles: Vec<(String, String)>,
}

impl Scrubber {
    /// For everything secret among the settings of a destination.
    pub(crate) fn new(fields: &[Field], settings: &Settings) -> Self {
        let mut scrubber = Self { secrets: Vec::new(), needles: Vec::new() };
        for (name, value) in &settings.0 {
            // A member that no field describes counts as secret.
            let kind = fields.iter().find(|field| field.name == name).map_or(FieldKind::Secret, |field| field.kind);
            match (kind, value) {
                (FieldKind::Secret, Value::String(text)) => scrubber.hide(text, MASK),
                (FieldKind::SecretUrl, Value::String(url)) => scrubber.hide_url(url),
                (FieldKind::Map, Value::Object(map)) => {
                    map.values().filter_map(Value::as_str).for_each(|text| scrubber.hide(text, MASK));
                }
                (FieldKind::Url, Value::String(url)) => scrubber.hide_login_and_query(url),
                _ => {}
            }
        }
        scrubber.needles.sort_by_key(|(needle, _)| std::cmp::Reverse(needle.len()));
        scrubber.needles.dedup_by(|a, b| a.0 == b.0);
        scrubber
    }

    /// A text without the secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        let put_out = |text: String, (needle, mask): &(String, String)| text.replace(needle.as_str(), mask);
        self.without_encoded(&self.needles.iter().fold(text.to_owned(), put_out))
    }

    /// A call without the secrets.
    pub(crate) fn shown(&self, call: Shown) -> Shown {
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
        self.secrets.push(secret.to_owned());
        let json = Value::from(secret).to_string();
        let forms = [
            secret.to_owned(),
            json[1..json.len() - 1].to_owned(),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            percent_encoded(secret),
        ];
        self.needles.extend(forms.into_iter().map(|form| (form, mask.to_owned())));
    }

    /// A URL that is itself the credential: where it leads may be seen, what follows the host may not, in whatever way
    /// the connector takes it apart and puts it together again.
    fn hide_url(&mut self, text: &str) {
        let Ok(url) = Url::parse(text) else { return self.hide(text, MASK) };
        let mask = format!("{}/{MASK}", url.origin().ascii_serialization());
        self.hide(text, &mask);
        self.hide(url.as_str(), &mask);
        let segments = url.path_segments().into_iter().flatten();
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        let parts = [url.path(), url.query().unwrap_or_default()].into_iter().chain(segments);
        for part in parts.map(str::to_owned).chain(values).filter(|part| may_be_secret(part)) {
            let mask = if part.starts_with('/') { format!("/{MASK}") } else { MASK.to_owned() };
            self.hide(&part, &mask);
        }
        self.hide_login_and_query(text);
    }

    /// What follows a `?` and what stands before an `@`.
    fn hide_login_and_query(&mut self, text: &str) {
        if let Some((_, query)) = text.split_once('?') {
            self.hide(query, MASK);
        }
        let Ok(url) = Url::parse(text) else { return };
        if let Some(password) = url.password() {
            let login = format!("{}:{password}", url.username());
            self.hide(&login, MASK);
            self.hide(password, MASK);
        }
    }

    /// Runs of base64 that hold a secret are masked, wherever in them it stands.
    fn without_encoded(&self, text: &str) -> String {
        if self.secrets.is_empty() {
            return text.to_owned();
        }
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
        let mut scrubbed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_base64) {
            let (before, from) = rest.split_at(start);
            let (run, after) = from.split_at(from.find(|c| !is_base64(c)).unwrap_or(from.len()));
            scrubbed.push_str(before);
            if run.len() >= BASE64_CHARS_MIN && self.is_in_base64(run) {
                scrubbed.push_str(MASK);
                rest = after.trim_start_matches('=');
            } else {
                scrubbed.push_str(run);
                rest = after;
            }
        }
        scrubbed + rest
    }

    fn is_in_base64(&self, run: &str) -> bool {
        [&STANDARD, &URL_SAFE].into_iter().filter_map(|engine| engine.decode(run).ok()).any(|decoded| {
            let holds = |secret: &String| decoded.windows(secret.len()).any(|window| window == secret.as_bytes());
            self.secrets.iter().any(holds)
        })
    }
}

/// Whether a part of a secret URL is more than a word of the vendor's, like `services`.
fn may_be_secret(part: &str) -> bool {
    part.chars().count() >= PART_CHARS_MIN && !part.chars().all(|c| c.is_ascii_lowercase())
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The value of a credential header: its scheme may be seen.
fn credential(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            format!("{scheme} {MASK}")
        }
        _ => MASK.to_owned(),
    }
}

/// As in a path: everything but the unreserved characters is encoded.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing into memory cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
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
        check(&format!("/x/{}/y", percent_encoded(PASSWORD)), "/x/••••/y");
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
}
