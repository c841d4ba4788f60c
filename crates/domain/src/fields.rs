//! The many spellings of the same field, read once, so that no connector does.
//!
//! Tolinku's reference, its user guide and its articles name the same thing differently, and other platforms follow one
//! or the other. [`Fields::of`] is the table: on the left the one name used from here on, on the right every spelling,
//! the first that holds something wins. Reading is tolerant: a number where a text is expected is its digits (what names
//! somebody is read by [`identifier::said`]), an empty text is nothing, and whatever else does not fit is nothing rather than
//! an error.

use std::borrow::Cow;

use serde_json::Value;

use crate::identity::{Identifier, IdentifierKind, identifier};
use crate::time::Timestamp;

type Text<'d> = Option<Cow<'d, str>>;

/// What an event's `data` says, under one name per thing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields<'d> {
    // The link.
    pub link_id: Text<'d>,
    /// Without slashes: `go`.
    pub prefix: Text<'d>,
    pub token: Text<'d>,
    /// The path in the app, with a leading slash: as given, or made of prefix and token.
    pub route: Text<'d>,
    pub url: Text<'d>,
    /// As given, or the host of the URL.
    pub hostname: Text<'d>,

    // Where it came from.
    pub campaign: Text<'d>,
    pub channel: Text<'d>,
    pub medium: Text<'d>,
    pub term: Text<'d>,
    pub content: Text<'d>,
    pub referrer: Text<'d>,

    // Who and with what.
    pub ip: Text<'d>,
    pub user_agent: Text<'d>,
    pub country: Text<'d>,
    pub region: Text<'d>,
    pub platform: Text<'d>,
    pub device_type: Text<'d>,
    pub os: Text<'d>,
    pub os_version: Text<'d>,
    pub browser: Text<'d>,
    pub app_version: Text<'d>,
    pub user_id: Text<'d>,
    pub email: Text<'d>,
    pub name: Text<'d>,
    pub phone: Text<'d>,
    /// An id that an app or site made for somebody who is not signed in.
    pub anonymous_id: Text<'d>,
    pub install_id: Text<'d>,
    pub click_id: Text<'d>,

    // What ad platforms call a click, and whether the person agreed to being counted by them.
    pub gclid: Text<'d>,
    pub gbraid: Text<'d>,
    pub wbraid: Text<'d>,
    pub fbclid: Text<'d>,
    /// The value of Meta's cookie `_fbc`, and of `_fbp`.
    pub fbc: Text<'d>,
    pub fbp: Text<'d>,
    pub consent: Option<bool>,

    // How an install was matched to a click.
    pub match_method: Text<'d>,
    /// 0 to 1. A match by token is certain, also where nobody says so.
    pub match_confidence: Option<f64>,
    pub original_click_at: Option<Timestamp>,
    pub is_deferred: Option<bool>,

    // Referrals.
    pub referral_code: Text<'d>,
    pub referral_url: Text<'d>,
    pub referrer_id: Text<'d>,
    pub referred_user_id: Text<'d>,
    pub milestone: Text<'d>,

    // Money.
    pub revenue: Option<f64>,
    pub currency: Text<'d>,
    pub transaction_id: Text<'d>,
    pub cart_id: Text<'d>,
    pub coupon_code: Text<'d>,
}

/// The person or device that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// `user`, `email`, `install` or `click`.
    pub kind: &'static str,
    pub value: String,
}

impl std::fmt::Display for Subject {
    /// As a key: `user:42`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

/// What says what an event is worth.
const REVENUE: &[&str] = &["revenue", "value"];

impl<'d> Fields<'d> {
    /// Reads the `data` of an event. What is no object has no fields.
    pub fn of(data: &'d Value) -> Self {
        let text = |spellings: &[&str]| first(data, spellings, as_text);
        let name = |spellings: &[&str]| first(data, spellings, identifier::said);
        let mut fields = Self {
            link_id: text(&["link_id"]),
            prefix: text(&["prefix"]).map(without_slashes),
            token: text(&["token", "link_token"]),
            route: text(&["route", "deep_link_path"]),
            url: text(&["url"]),
            hostname: text(&["hostname"]),

            campaign: text(&["campaign", "utm_campaign"]),
            channel: text(&["channel", "source", "utm_source"]),
            medium: text(&["medium", "utm_medium"]),
            term: text(&["term", "utm_term"]),
            content: text(&["content", "utm_content"]),
            referrer: text(&["referrer", "referer"]),

            ip: text(&["ip", "ip_address"]),
            user_agent: text(&["user_agent"]),
            country: text(&["country", "ip_country"]),
            region: text(&["region", "ip_region"]),
            platform: text(&["platform"]),
            device_type: text(&["device_type", "device"]),
            os: text(&["os", "os_name"]),
            os_version: text(&["os_version"]),
            browser: text(&["browser"]),
            app_version: text(&["app_version"]),
            user_id: name(&["user_id", "external_user_id"]),
            email: name(&["email", "user_email"]),
            name: text(&["name", "user_name"]),
            phone: text(&["phone", "phone_number"]),
            anonymous_id: name(&["anonymous_id", "visitor_id", "device_id"]),
            install_id: name(&["install_id", "installation_id"]),
            click_id: name(&["click_id"]),

            gclid: text(&["gclid"]),
            gbraid: text(&["gbraid"]),
            wbraid: text(&["wbraid"]),
            fbclid: text(&["fbclid"]),
            fbc: text(&["fbc", "_fbc"]),
            fbp: text(&["fbp", "_fbp"]),
            consent: first(data, &["consent", "ad_consent", "marketing_consent"], as_consent),

            match_method: text(&["match_method", "method"]),
            match_confidence: first(data, &["match_confidence"], as_number),
            original_click_at: first(data, &["original_click_at"], as_time),
            is_deferred: first(data, &["is_deferred"], Value::as_bool),

            referral_code: name(&["referral_code", "referrer_token"]),
            referral_url: text(&["referral_url"]),
            referrer_id: name(&["referrer_id", "referrer_token"]),
            referred_user_id: name(&["referred_user_id"]),
            milestone: text(&["milestone"]),

            revenue: first(data, REVENUE, as_number),
            currency: text(&["currency"]),
            transaction_id: text(&["transaction_id"]),
            cart_id: text(&["cart_id"]),
            coupon_code: text(&["coupon_code"]),
        };
        fields.derive();
        fields
    }

    /// Whether an event says what it is worth and not as a number: `"5 EUR"`.
    pub fn has_unreadable_revenue(data: &Value) -> bool {
        let is_said = |value: &&Value| !matches!(value, Value::Null) && value.as_str() != Some("");
        let mut said = REVENUE.iter().filter_map(|name| data.get(name)).filter(is_said).peekable();
        said.peek().is_some() && said.all(|value| as_number(value).is_none())
    }

    /// What an event has that names one person or one device, in this order: `user_id`, `email` in lower case,
    /// `install_id`, `click_id`. The token of a link is shared by everybody who taps it, so it is never among them, and
    /// neither is what applications write where they know of nobody, like `null`.
    pub fn subject(&self) -> Option<Subject> {
        let of = |kind: IdentifierKind, text: &Text<'d>| {
            let text = text.as_deref()?.trim();
            let value = if kind == IdentifierKind::Email { text.to_lowercase() } else { text.to_owned() };
            let names_nobody = |id: Identifier| !id.names_somebody();
            let is_somebody = !value.is_empty() && !Identifier::new(kind, &value).is_some_and(names_nobody);
            is_somebody.then_some(Subject { kind: kind.code(), value })
        };
        of(IdentifierKind::User, &self.user_id)
            .or_else(|| of(IdentifierKind::Email, &self.email))
            .or_else(|| of(IdentifierKind::Install, &self.install_id))
            .or_else(|| of(IdentifierKind::Click, &self.click_id))
    }

    /// What follows from what was said.
    fn derive(&mut self) {
        if self.route.is_none() {
            self.route = match (&self.prefix, &self.token) {
                (Some(prefix), Some(token)) => Some(format!("/{prefix}/{token}").into()),
                (Some(prefix), None) => Some(format!("/{prefix}").into()),
                (None, _) => None,
            };
        }
        self.route = self.route.take().map(with_leading_slash);
        if self.hostname.is_none() {
            self.hostname = self.url.as_deref().and_then(host).map(|host| host.to_owned().into());
        }
        if self.match_confidence.is_none() && self.match_method.as_deref() == Some("token") {
            self.match_confidence = Some(1.0);
        }
    }
}

fn first<'d, T>(data: &'d Value, spellings: &[&str], read: fn(&'d Value) -> Option<T>) -> Option<T> {
    spellings.iter().find_map(|name| data.get(name).and_then(read))
}

fn as_text(value: &Value) -> Text<'_> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

fn as_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        _ => value.as_f64(),
    };
    number.filter(|number| number.is_finite())
}

/// `true`, `"granted"` and the like; whatever else is said is a no.
fn as_consent(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(consent) => Some(*consent),
        Value::String(text) => Some(["true", "granted", "yes", "1"].contains(&text.to_lowercase().as_str())),
        Value::Number(number) => Some(number.as_i64() == Some(1)),
        _ => None,
    }
}

fn as_time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn without_slashes(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => text.trim_matches('/').into(),
        Cow::Owned(text) => text.trim_matches('/').to_owned().into(),
    }
}

fn with_leading_slash(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.starts_with('/') { text } else { format!("/{text}").into() }
}

/// The host of an absolute URL.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_and_port = authority.rsplit('@').next()?;
    let host = match host_and_port.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host_and_port,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::catalogue;

    /// `name` is what `data` says, by whatever spelling.
    fn check<'d>(data: &'d Value, read: fn(Fields<'d>) -> Text<'d>, expect: &str) {
        assert_eq!(read(Fields::of(data)).as_deref(), Some(expect), "{data}");
    }

    #[test]
    fn every_spelling_is_read() {
        for (data, read, expect) in [
            (json!({"campaign": "a"}), (|f| f.campaign) as fn(Fields<'_>) -> Text<'_>, "a"),
            (json!({"utm_campaign": "a"}), |f| f.campaign, "a"),
            (json!({"source": "instagram"}), |f| f.channel, "instagram"),
            (json!({"channel": "email", "source": "x"}), |f| f.channel, "email"),
            (json!({"ip_country": "US"}), |f| f.country, "US"),
            (json!({"ip_region": "CA"}), |f| f.region, "CA"),
            (json!({"device": "iPhone"}), |f| f.device_type, "iPhone"),
            (json!({"user_email": "a@b.c"}), |f| f.email, "a@b.c"),
            (json!({"method": "signals"}), |f| f.match_method, "signals"),
            (json!({"referrer_token": "user-abc123"}), |f| f.referral_code, "user-abc123"),
            (json!({"referrer_token": "user-abc123"}), |f| f.referrer_id, "user-abc123"),
            (json!({"referer": "https://x"}), |f| f.referrer, "https://x"),
            (json!({"user_id": 42}), |f| f.user_id, "42"),
            (json!({"user_id": 42.5, "external_user_id": 42.0}), |f| f.user_id, "42"),
        ] {
            check(&data, read, expect);
        }
    }

    #[test]
    fn a_route_is_made_of_prefix_and_token_with_or_without_slash() {
        check(&json!({"prefix": "go", "token": "x"}), |f| f.route, "/go/x");
        check(&json!({"prefix": "/promo/", "token": "x"}), |f| f.route, "/promo/x");
        check(&json!({"prefix": "/promo"}), |f| f.prefix, "promo");
        check(&json!({"prefix": "/promo"}), |f| f.route, "/promo");
        check(&json!({"deep_link_path": "merchant/abc"}), |f| f.route, "/merchant/abc");
        check(&json!({"route": "/a", "prefix": "go"}), |f| f.route, "/a");
    }

    #[test]
    fn a_subject_is_the_best_name_for_one_person_and_never_a_links_token() {
        for (data, expect) in [
            (json!({"user_id": 42, "email": "a@b.c", "install_id": "i"}), Some("user:42")),
            (json!({"email": " Ada@Example.ORG ", "install_id": "i"}), Some("email:ada@example.org")),
            (json!({"install_id": "i", "click_id": "c"}), Some("install:i")),
            (json!({"click_id": "c"}), Some("click:c")),
            (json!({"token": "summer-promo", "referrer_id": "user_1"}), None),
            (json!({"user_id": "null", "email": "none", "install_id": "0000-00", "click_id": "c"}), Some("click:c")),
            (json!({"user_id": " ", "install_id": "undefined"}), None),
        ] {
            assert_eq!(Fields::of(&data).subject().map(|subject| subject.to_string()).as_deref(), expect, "{data}");
        }
    }

    #[test]
    fn a_hostname_is_read_from_the_url() {
        check(&json!({"url": "https://u@links.example.com:8443/a?b"}), |f| f.hostname, "links.example.com");
        check(&json!({"url": "https://x", "hostname": "y"}), |f| f.hostname, "y");
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "these numbers are read, not computed")]
    fn numbers_are_read_from_digits_too_and_a_token_match_is_certain() {
        assert_eq!(Fields::of(&json!({"revenue": "49.99"})).revenue.unwrap(), 49.99);
        assert_eq!(Fields::of(&json!({"revenue": 7})).revenue.unwrap(), 7.0);
        assert_eq!(Fields::of(&json!({"revenue": "NaN"})).revenue, None);
        assert_eq!(Fields::of(&json!({"method": "token"})).match_confidence.unwrap(), 1.0);
        assert_eq!(Fields::of(&json!({"method": "signals"})).match_confidence, None);
    }

    #[test]
    fn what_does_not_fit_is_nothing() {
        for data in [json!({}), json!([]), json!("x"), json!({"campaign": "", "token": null, "revenue": [], "url": {}})]
        {
            assert_eq!(Fields::of(&data), Fields::default(), "{data}");
        }
    }

    #[test]
    fn the_samples_of_the_catalogue_are_understood() {
        let sample =
            |event_type| serde_json::from_str::<Value>(catalogue::find(event_type).unwrap().samples[0]).unwrap();
        let install = sample("link.deferred_install");
        let fields = Fields::of(&install);
        assert_eq!((fields.match_confidence, fields.campaign.as_deref()), (Some(0.92), Some("spring-sale")));
        assert_eq!(fields.original_click_at, Some("2026-03-04T14:32:08.441Z".parse().unwrap()));
        let claimed = sample("deferred_link.claimed");
        let fields = Fields::of(&claimed);
        assert_eq!((fields.match_confidence, fields.route.as_deref()), (Some(1.0), Some("/merchant/abc123")));
    }

    proptest! {
        #[test]
        fn no_data_panics(name in "prefix|token|url|route|hostname|revenue|method", text in ".{0,40}") {
            let data = json!({name: text});
            let _ = Fields::of(&data);
        }
    }
}
