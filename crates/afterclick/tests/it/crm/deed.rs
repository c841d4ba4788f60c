//! Deeds: what somebody does, and the event that a sender makes of it.

use domain::Timestamp;
use serde_json::{Map, Value, json};

use super::chance::Chance;

/// A moment of the day, in milliseconds since 1970.
pub(super) type Millis = i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Click,
    Open,
    Install,
    Claim,
    /// A code is made for somebody to hand out.
    Code,
    /// Somebody signs up with a code.
    Referral,
    Completion,
    Conversion,
    Purchase,
    /// The app's own event: somebody signs in.
    SignIn,
    Cart,
}

/// What names somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    User,
    /// Of an event about a referral: the one who was referred.
    Referred,
    Email,
    Install,
    Click,
    Anonymous,
    Code,
}

pub(super) type Name = (By, String);

/// Where a link led somebody from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Trail {
    pub(super) campaign: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) token: Option<String>,
    pub(super) prefix: Option<String>,
}

/// What somebody does.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    /// The one whose deed it is, by number; nobody's if it names nobody.
    pub(super) who: Option<usize>,
    pub(super) at: Millis,
    pub(super) kind: Kind,
    pub(super) names: Vec<Name>,
    pub(super) trail: Option<Trail>,
    pub(super) platform: Option<&'static str>,
    pub(super) confidence: Option<f64>,
    pub(super) clicked_at: Option<Millis>,
    pub(super) referrer: Option<String>,
    pub(super) money: Option<(f64, &'static str)>,
    /// What the person is called, and the telephone number.
    pub(super) called: Option<String>,
    pub(super) phone: Option<String>,
}

impl Deed {
    pub(super) fn new(who: usize, kind: Kind, at: Millis, names: &[&Name]) -> Self {
        Self {
            who: Some(who),
            at,
            kind,
            names: names.iter().copied().cloned().collect(),
            trail: None,
            platform: None,
            confidence: None,
            clicked_at: None,
            referrer: None,
            money: None,
            called: None,
            phone: None,
        }
    }

    pub(super) fn led(mut self, trail: &Trail, platform: Option<&'static str>) -> Self {
        (self.trail, self.platform) = (Some(trail.clone()), platform);
        self
    }

    pub(super) fn referred_by(mut self, referrer: &str) -> Self {
        self.referrer = Some(referrer.to_owned());
        self
    }

    pub(super) fn worth(mut self, amount: f64, currency: &'static str) -> Self {
        self.money = Some((amount, currency));
        self
    }

    pub(super) fn called(mut self, name: &str) -> Self {
        self.called = Some(name.to_owned());
        self
    }

    /// The code that it holds.
    pub(super) fn code(&self) -> Option<&str> {
        self.names.iter().find(|(by, _)| *by == By::Code).map(|(_, code)| &**code)
    }

    /// The envelope, in one of the spellings that senders have.
    pub(super) fn envelope(&self, chance: &mut Chance) -> Map<String, Value> {
        let event = match self.kind {
            Kind::Click => "link.clicked",
            Kind::Open => "link.opened",
            Kind::Install => "install.tracked",
            Kind::Claim => *chance.pick(&["deferred_link.claimed", "link.deferred_install"]),
            Kind::Code | Kind::Referral => "referral.created",
            Kind::Completion => "referral.completed",
            Kind::Conversion => "link.conversion",
            Kind::Purchase => "ecommerce.purchase",
            Kind::SignIn => "app.signed_in",
            Kind::Cart => "ecommerce.add_to_cart",
        };
        let timestamp =
            if chance.percent(20) { json!(self.at) } else { json!(Timestamp::from_millis(self.at).to_string()) };
        let members = [("event", json!(event)), ("timestamp", timestamp), ("data", self.data(chance))];
        members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }

    fn data(&self, chance: &mut Chance) -> Value {
        let mut data = Map::new();
        let mut put = |chance: &mut Chance, spellings: &[&str], value: Option<Value>| {
            if let Some(value) = value {
                data.insert((*chance.pick(spellings)).to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        for (by, name) in &self.names {
            put(chance, spellings(*by), Some(spelled(*by, name)));
        }
        if let Some(trail) = &self.trail {
            put(chance, &["campaign", "utm_campaign"], text(&trail.campaign));
            put(chance, &["channel", "source", "utm_source"], text(&trail.channel));
            put(chance, &["token", "link_token"], text(&trail.token));
            let slash = if chance.percent(50) { "/" } else { "" };
            put(chance, &["prefix"], trail.prefix.as_ref().map(|prefix| json!(format!("{slash}{prefix}"))));
        }
        put(chance, &["platform"], self.platform.map(Value::from));
        put(chance, &["match_confidence"], self.confidence.map(Value::from));
        put(chance, &["original_click_at"], self.clicked_at.map(|at| json!(Timestamp::from_millis(at).to_string())));
        // Whoever sends the token of a referrer in a code's place sends no code.
        let referrer: &[&str] =
            if self.kind == Kind::Referral { &["referrer_id", "referrer_token"] } else { &["referrer_id"] };
        put(chance, referrer, text(&self.referrer));
        put(chance, &["revenue", "value"], self.money.map(|(amount, _)| json!(amount)));
        put(chance, &["currency"], self.money.map(|(_, currency)| json!(currency)));
        put(chance, &["name", "user_name"], text(&self.called));
        put(chance, &["phone", "phone_number"], text(&self.phone));
        put(chance, &["ip"], Some(json!("192.0.2.7")));
        if self.kind == Kind::Code {
            put(chance, &["referral_url"], Some(json!("https://links.example.com/r/x")));
        }
        Value::Object(data)
    }
}

fn spellings(by: By) -> &'static [&'static str] {
    match by {
        By::User => &["user_id", "external_user_id"],
        By::Referred => &["referred_user_id"],
        By::Email => &["email", "user_email"],
        By::Install => &["install_id", "installation_id"],
        By::Click => &["click_id"],
        By::Anonymous => &["anonymous_id", "visitor_id", "device_id"],
        By::Code => &["referral_code"],
    }
}

/// A user's id that is a number is sent as one by some.
fn spelled(by: By, name: &str) -> Value {
    match name.parse::<u32>() {
        Ok(number) if by == By::User && number % 2 == 0 => json!(number),
        _ => json!(name),
    }
}
