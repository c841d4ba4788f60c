//! What ad platforms share: nobody is told of who did not agree, people are named by hashes only, and what is too old
//! is left out before it costs a whole request.

use std::time::Duration;

use domain::connector::Item;
use domain::fields::Fields;
use domain::{Settings, Timestamp, Verdict};
use serde_json::Value;

use crate::tracking;

/// The choices of the setting `consent`.
pub(crate) const CONSENT: &[&str] = &["required", "assumed"];
/// Its help.
pub(crate) const CONSENT_HELP: &str = "whether an event must say that the person agreed (`consent` is true); with \
    `assumed` only a no counts, and that everybody agreed is your responsibility";

/// Shortest and longest telephone number with its country, in digits.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// Whose events may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Those of people who agreed.
    Required,
    /// Those of people who did not refuse.
    Assumed,
}

impl Consent {
    pub(crate) fn read(settings: &Settings) -> Self {
        if settings.text("consent") == Some("assumed") { Self::Assumed } else { Self::Required }
    }

    /// Skips the events of those who did not agree.
    pub(crate) fn check(self, fields: &Fields<'_>) -> Result<(), Verdict> {
        match (fields.consent, self) {
            (Some(true), _) | (None, Self::Assumed) => Ok(()),
            (Some(false), _) => Err(Verdict::skip("the person has not agreed to being counted by ad platforms")),
            (None, Self::Required) => Err(Verdict::skip(
                "the event does not say that the person agreed to being counted by ad platforms; send `consent` \
                 with it",
            )),
        }
    }
}

/// Skips what is no conversion, whoever subscribed to it: ads are not made better by a count of clicks.
pub(crate) fn conversion(item: &Item<'_>) -> Result<(), Verdict> {
    if item.event.event_type.as_str() == "link.clicked" {
        return Err(Verdict::skip("a click is no conversion; take `link.clicked` out of the destination's `events`"));
    }
    Ok(())
}

/// When it happened, if that is not too long ago. A clock that is ahead of ours must not cost a whole request.
pub(crate) fn recent(item: &Item<'_>, now: Timestamp, days_max: u64) -> Result<Timestamp, Verdict> {
    let at = tracking::time(item)?;
    if now.since(at) > Duration::from_hours(24 * days_max) {
        return Err(Verdict::skip(format!("it is older than the {days_max} days that the platform looks back")));
    }
    Ok(at.min(now))
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(crate) fn hashed(text: &str) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()))
}

/// An address as platforms hash it, if it is one.
pub(crate) fn email(fields: &Fields<'_>) -> Option<String> {
    let email = fields.email.as_deref()?.trim().to_lowercase();
    let (local, domain) = email.rsplit_once('@')?;
    let is_word = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    (is_word(local) && is_word(domain) && domain.contains('.')).then_some(email)
}

/// The digits of a telephone number with its country; a number without its country matches somebody else's.
pub(crate) fn phone(fields: &Fields<'_>) -> Option<String> {
    let phone = fields.phone.as_deref()?.trim();
    let rest = phone.strip_prefix('+').or_else(|| phone.strip_prefix("00"))?;
    if !rest.chars().all(|c| c.is_ascii_digit() || " -./()".contains(c)) {
        return None;
    }
    // The zero in `+49 (0) 30` is dialled inside the country only.
    let digits: String = rest.replace("(0)", "").chars().filter(char::is_ascii_digit).collect();
    (PHONE_DIGITS.contains(&digits.len()) && !digits.starts_with('0')).then_some(digits)
}

/// A parameter of the URL that was followed: click ids stand there if nobody has read them yet.
pub(crate) fn in_url(fields: &Fields<'_>, name: &str) -> Option<String> {
    let url = url::Url::parse(fields.url.as_deref()?).ok()?;
    let value = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    value.filter(|value| is_click_id(value))
}

/// Whether a text may be the id that a platform gave to a click.
pub(crate) fn is_click_id(text: &str) -> bool {
    (1..=CLICK_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The first of these members of `data` that holds a text.
pub(crate) fn text<'i>(item: &Item<'i>, names: &[&str]) -> Option<&'i str> {
    names.iter().find_map(|name| item.data().get(name).and_then(Value::as_str)).filter(|text| !text.is_empty())
}

/// Longest id of a click, in bytes.
const CLICK_ID_BYTES_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_telephone_number_is_its_digits_with_the_country() {
        for (phone, expect) in [
            ("+1 (650) 555-1212", Some("16505551212")),
            ("+49 (0) 30 / 1234567", Some("49301234567")),
            ("0049 30 1234567", Some("49301234567")),
            ("030 1234567", None),
            ("+1234", None),
            ("+49 30 call me", None),
            ("+0123456789", None),
        ] {
            let data = json!({"phone": phone});
            assert_eq!(super::phone(&Fields::of(&data)).as_deref(), expect, "{phone}");
        }
    }

    /// The digests of Meta's documentation.
    #[test]
    fn what_is_hashed_is_hashed_as_the_platforms_do() {
        let data = json!({"email": " John_Smith@Gmail.com ", "phone": "+1 (650)555-1212"});
        let fields = Fields::of(&data);
        let email = hashed(&email(&fields).unwrap());
        assert_eq!(email, "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f");
        let phone = hashed(&phone(&fields).unwrap());
        assert_eq!(phone, "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176");
    }

    #[test]
    fn what_is_no_address_is_not_hashed() {
        for text in ["ada", "ada@", "@x.org", "a b@x.org", "ada@localhost", "a@x\r\n.org"] {
            let data = json!({"email": text});
            assert_eq!(email(&Fields::of(&data)), None, "{text}");
        }
    }

    #[test]
    fn a_click_id_is_found_in_the_url() {
        let data = json!({"url": "https://x.example/a?utm_source=fb&fbclid=IwAR0abc#x"});
        assert_eq!(in_url(&Fields::of(&data), "fbclid").as_deref(), Some("IwAR0abc"));
        assert_eq!(in_url(&Fields::of(&data), "gclid"), None);
        let hostile = json!({"url": "https://x.example/?fbclid=a%0d%0ab"});
        assert_eq!(in_url(&Fields::of(&hostile), "fbclid"), None);
    }
}
