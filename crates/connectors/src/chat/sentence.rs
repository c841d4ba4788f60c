//! What happened, in a sentence that can be read aloud, and a few facts below it.

use domain::catalogue;
use domain::connector::Item;
use domain::fields::Fields;
use serde_json::Value;

use crate::common::on_one_line;

/// Most characters of one value in a sentence.
const VALUE_CHARS_MAX: usize = 150;

/// A piece of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    /// Words of ours, without anything that is markup anywhere.
    Plain(&'static str),
    /// What somebody else has written.
    Value(String),
    /// The same, and it is what the sentence is about.
    Strong(String),
}

/// An event told to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sentence {
    pub(crate) headline: Vec<Span>,
    /// Names and values.
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// Tells an event.
pub(crate) fn sentence(item: &Item<'_>) -> Sentence {
    let fields = item.fields();
    let event_type = item.event.event_type.as_str();
    let mut words = Words { fields: &fields, spans: Vec::new() };
    match event_type {
        "link.clicked" => words.clicked(),
        "link.opened" => words.opened(),
        "install.tracked" | "link.deferred_install" | "deferred_link.claimed" => words.say("New install").origin(),
        "link.conversion" => words.say("Conversion").money(" worth ").origin(),
        "referral.created" => words.referral_created(),
        "referral.completed" => words.referral_completed(),
        "ecommerce.purchase" => words.say("Purchase").money(" of ").origin(),
        "ecommerce.refund" => words.say("Refund").money(" of "),
        "ecommerce.cart_abandoned" => words.say("Cart abandoned").money(", worth ").origin(),
        "ecommerce.add_to_cart" => words.say("Added to a cart").money(", worth "),
        "ecommerce.begin_checkout" => words.say("Checkout begun").money(", worth "),
        "ecommerce.add_to_wishlist" => words.say("Added to a wish list"),
        "ecommerce.fraud_flagged" => words.say("Possible fraud").money(" over "),
        catalogue::TEST => words.say("Test event from ").strong(item.source()).say(": messages arrive here"),
        _ if item.event.event_type.is_operational() => words.operational(event_type, item.data()),
        _ => words.say("Event ").strong(event_type).origin(),
    };
    let facts = if item.event.event_type.is_operational() { Vec::new() } else { facts(&fields) };
    Sentence { headline: words.spans, facts }
}

/// A sentence in the making.
struct Words<'f> {
    fields: &'f Fields<'f>,
    spans: Vec<Span>,
}

impl Words<'_> {
    fn say(&mut self, plain: &'static str) -> &mut Self {
        self.spans.push(Span::Plain(plain));
        self
    }

    fn value(&mut self, text: &str) -> &mut Self {
        self.spans.push(Span::Value(shown(text)));
        self
    }

    fn strong(&mut self, text: &str) -> &mut Self {
        self.spans.push(Span::Strong(shown(text)));
        self
    }

    /// ` from *spring-sale* (email)`, or what else is known of where it came from.
    fn origin(&mut self) -> &mut Self {
        let fields = self.fields;
        match (&fields.campaign, &fields.channel, fields.route.as_ref().or(fields.url.as_ref())) {
            (Some(campaign), Some(channel), _) => self.say(" from ").strong(campaign).say(" (").value(channel).say(")"),
            (Some(origin), None, _) | (None, Some(origin), _) => self.say(" from ").strong(origin),
            (None, None, Some(link)) => self.say(" through ").strong(link),
            (None, None, None) => self,
        }
    }

    /// ` worth *49.99 USD*`, if it is about money.
    fn money(&mut self, before: &'static str) -> &mut Self {
        let fields = self.fields;
        match fields.revenue {
            Some(revenue) => self.say(before).strong(&money(revenue, fields.currency.as_deref())),
            None => self,
        }
    }

    fn clicked(&mut self) -> &mut Self {
        let fields = self.fields;
        match (&fields.campaign, fields.route.as_ref().or(fields.url.as_ref()).or(fields.link_id.as_ref())) {
            (Some(campaign), _) => {
                self.say("A link of ").strong(campaign);
                if let Some(channel) = &fields.channel {
                    self.say(" (").value(channel).say(")");
                }
                self.say(" was clicked")
            }
            (None, Some(link)) => self.say("The link ").strong(link).say(" was clicked"),
            (None, None) => self.say("A link was clicked"),
        }
    }

    fn opened(&mut self) -> &mut Self {
        match &self.fields.route {
            Some(route) => self.say("The app was opened on ").strong(route),
            None => self.say("The app was opened by a link"),
        }
    }

    fn referral_created(&mut self) -> &mut Self {
        let fields = self.fields;
        match (&fields.referrer_id, &fields.referral_code) {
            (Some(referrer), Some(code)) if referrer != code => {
                self.strong(referrer).say(" has a referral code to share: ").strong(code)
            }
            (_, Some(code)) => self.say("New referral code ").strong(code),
            (Some(referrer), None) => self.strong(referrer).say(" has a referral code to share"),
            (None, None) => self.say("New referral code"),
        }
    }

    fn referral_completed(&mut self) -> &mut Self {
        let fields = self.fields;
        self.say("Referral completed");
        match (&fields.referred_user_id, &fields.referrer_id) {
            (Some(referred), Some(referrer)) => {
                self.say(": ").strong(referred).say(" was brought by ").strong(referrer);
            }
            (Some(user), None) => {
                self.say(" by ").strong(user);
            }
            (None, _) => {
                if let Some(code) = &fields.referral_code {
                    self.say(" with the code ").strong(code);
                }
            }
        }
        match &fields.milestone {
            Some(milestone) => self.say(" (").value(milestone).say(")"),
            None => self,
        }
    }

    /// What Afterclick says about itself.
    fn operational(&mut self, event_type: &str, data: &Value) -> &mut Self {
        let destination = text(data, "/destination/name");
        match event_type {
            "afterclick.destination.paused" => {
                self.say("Destination ").strong(&destination).say(" is paused and its deliveries are held");
                match data.pointer("/message").and_then(Value::as_str) {
                    Some(message) => self.say(": ").value(message),
                    None => self,
                }
            }
            "afterclick.destination.recovered" => {
                self.say("Destination ").strong(&destination).say(" takes deliveries again")
            }
            "afterclick.delivery.dead" => self
                .say("A delivery of ")
                .value(&text(data, "/event/type"))
                .say(" to ")
                .strong(&destination)
                .say(" is a dead letter after ")
                .value(&text(data, "/attempts"))
                .say(" tries: ")
                .value(&text(data, "/reason")),
            "afterclick.source.failing" => self
                .say("Source ")
                .strong(&text(data, "/source/name"))
                .say(" refuses one request after another because of their signatures: ")
                .value(&text(data, "/code")),
            other => self.say("Event ").strong(other),
        }
    }
}

fn facts(fields: &Fields<'_>) -> Vec<(&'static str, String)> {
    let both = |first: &Option<std::borrow::Cow<'_, str>>, second: &Option<std::borrow::Cow<'_, str>>| {
        let known: Vec<_> = [first, second].into_iter().flatten().map(|text| shown(text)).collect();
        (!known.is_empty()).then(|| known.join(", "))
    };
    let matched = match (&fields.match_method, fields.match_confidence) {
        (Some(method), Some(confidence)) => Some(format!("{}, {:.0} % sure", shown(method), confidence * 100.0)),
        (None, Some(confidence)) => Some(format!("{:.0} % sure", confidence * 100.0)),
        (Some(method), None) => Some(shown(method)),
        (None, None) => None,
    };
    let facts = [
        ("Platform", both(&fields.platform, &fields.os_version)),
        ("Country", both(&fields.country, &fields.region)),
        ("App version", both(&fields.app_version, &None)),
        ("Match", matched),
        ("User", both(&fields.user_id, &None)),
        ("Order", both(&fields.transaction_id, &None)),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// `49.99 USD`, `5000 JPY`.
pub(super) fn money(amount: f64, currency: Option<&str>) -> String {
    let amount = if amount.fract() == 0.0 { format!("{amount:.0}") } else { format!("{amount:.2}") };
    match currency {
        Some(currency) => format!("{amount} {}", on_one_line(currency, 8)),
        None => amount,
    }
}

fn text(data: &Value, pointer: &str) -> String {
    match data.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "unknown".to_owned(),
    }
}

/// A value as it stands in a sentence: on one line and not longer than people read.
pub(super) fn shown(text: &str) -> String {
    on_one_line(text, VALUE_CHARS_MAX)
}
