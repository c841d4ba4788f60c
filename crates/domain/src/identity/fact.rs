//! Facts: what one event says about somebody.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::graph::Moment;
use super::identifier::{Identifier, IdentifierKind};
use super::trace::{Money, Stamped, TRAITS_MAX, Touch, Trace, Worth, is_counted};
use crate::event::Event;
use crate::fields::Fields;
use crate::time::Timestamp;

/// The type of the event that a call to identify is kept as.
pub const IDENTIFIED: &str = "afterclick.identified";
/// The type of the event that tells destinations what became known of a subject late.
pub const SUBJECT_UPDATED: &str = "afterclick.subject.updated";
/// Longest text that is kept of what an event says, in bytes; the rest is cut off.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// How far back from its receipt an event's own time is believed when it comes to people (ten years): a clock that was never set
/// says 1970 or 2000, and what it says would be the first of everything for ever.
pub const AGE_BELIEVED_MAX: Duration = Duration::from_hours(24 * 365 * 10);
/// How long before an install or a claim the click can have been that led to it (a year, longer than platforms attribute).
pub const CLICK_AGE_MAX: Duration = Duration::from_hours(24 * 365);
/// Below this confidence a match of an install to a click counts as likely, not as certain.
pub const CONFIDENCE_CERTAIN: f64 = 0.8;

/// What a source means by `referral.created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReferralCreated {
    /// It shows: who names somebody who signed up means a sign-up, who names only a code and whose it is means a code.
    #[default]
    Shown,
    /// A code was generated, for somebody to hand out. Nobody has been referred yet.
    Code,
    /// Somebody signed up through a referral.
    SignUp,
}

impl ReferralCreated {
    /// The words of the setting `referral_created`, in the order of [`ReferralCreated::ALL`].
    pub const CODES: &'static [&'static str] = &["shown", "code", "sign_up"];
    const ALL: [Self; 3] = [Self::Shown, Self::Code, Self::SignUp];

    /// What the setting says.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::CODES.iter().zip(Self::ALL).find(|(known, _)| **known == code).map(|(_, meaning)| meaning)
    }
}

/// What one event says about somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Whom it names, best first, each once. The first one is the one that the trace belongs to.
    pub identifiers: Vec<Identifier>,
    pub moment: Moment,
    pub trace: Trace,
}

impl Fact {
    /// Reads an event whose `data` this is. `None` if it names nobody.
    pub fn of(event: &Event, data: &Value, meaning: ReferralCreated) -> Option<Self> {
        let fields = Fields::of(data);
        let kind = Happening::of(event.event_type.as_str(), data, &fields, meaning);
        let identifiers = identifiers(data, &fields, kind);
        if identifiers.is_empty() {
            return None;
        }
        let at = time(event);
        let moment = Moment { at, tie: event.dedupe_key.fingerprint() };
        let trace = trace(kind, data, &fields, moment);
        Some(Self { identifiers, moment, trace })
    }

    /// Whether a body may name somebody, before it is parsed. Never `false` for one of which [`Fact::of`] reads a fact.
    pub fn may_be_in(body: &[u8]) -> bool {
        let ends_with_spelling =
            |end: usize| SPELLINGS.iter().any(|spelling| body[..end].ends_with(spelling.as_bytes()));
        // A member can be spelt with escapes; nobody does it, and whoever does shall not be overlooked.
        memchr::memchr(b'\\', body).is_some_and(|at| memchr::memmem::find(&body[at..], b"\\u").is_some())
            || memchr::memchr_iter(b':', body).any(|colon| {
                let before = body[..colon].trim_ascii_end();
                before.ends_with(b"\"") && ends_with_spelling(before.len() - 1)
            })
    }
}

/// The endings of the members that hold an identifier: `user_id` stands for `referred_user_id` too.
const SPELLINGS: [&str; 9] = [
    "user_id",
    "email",
    "install_id",
    "installation_id",
    "click_id",
    "anonymous_id",
    "visitor_id",
    "device_id",
    "referral_code",
];

/// What happened, as far as it matters to who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    Click,
    Open,
    Install,
    Claim,
    /// A referral code was generated; nobody has been referred yet.
    CodeGenerated,
    /// Somebody signed up through a referral.
    Referral,
    Completion,
    Conversion,
    Identified,
    Other,
}

impl Happening {
    /// What an event of this type and with this data is.
    pub fn of(event_type: &str, data: &Value, fields: &Fields<'_>, meaning: ReferralCreated) -> Self {
        match event_type {
            "link.clicked" => Self::Click,
            "link.opened" => Self::Open,
            "install.tracked" => Self::Install,
            "deferred_link.claimed" | "link.deferred_install" => Self::Claim,
            "referral.created" if is_sign_up(data, fields, meaning) => Self::Referral,
            "referral.created" => Self::CodeGenerated,
            "referral.completed" => Self::Completion,
            "link.conversion" | "ecommerce.purchase" => Self::Conversion,
            IDENTIFIED => Self::Identified,
            _ => Self::Other,
        }
    }
}

/// Tolinku's reference sends `referral.created` with a code, whose it is and its address when a code was generated; its
/// article on CRMs, with the referrer's token and where the person came from, when somebody signed up.
fn is_sign_up(data: &Value, fields: &Fields<'_>, meaning: ReferralCreated) -> bool {
    match meaning {
        ReferralCreated::Code => false,
        ReferralCreated::SignUp => true,
        ReferralCreated::Shown if is_of_referrer(fields) => false,
        ReferralCreated::Shown => {
            let somebody = [
                &fields.referred_user_id,
                &fields.user_id,
                &fields.email,
                &fields.install_id,
                &fields.click_id,
                &fields.anonymous_id,
            ];
            data.get("referrer_token").is_some() || somebody.into_iter().any(Option::is_some)
        }
    }
}

/// Whether an event about a referral names nobody but who refers: then its address and its device are the referrer's too.
fn is_of_referrer(fields: &Fields<'_>) -> bool {
    fields.referred_user_id.is_none() && fields.user_id.is_some() && fields.user_id == fields.referrer_id
}

/// Whom an event names. The token of a link is shared by everybody who taps it and a referrer is somebody else, so neither is
/// among them.
fn identifiers(data: &Value, fields: &Fields<'_>, kind: Happening) -> Vec<Identifier> {
    let is_about_referral = matches!(kind, Happening::Referral | Happening::Completion | Happening::CodeGenerated);
    // Where a referral names both, the one who was referred is meant.
    let user = match &fields.referred_user_id {
        Some(referred) if is_about_referral => Some(referred),
        _ if kind == Happening::CodeGenerated || is_about_referral && is_of_referrer(fields) => None,
        _ => fields.user_id.as_ref(),
    };
    // The other spelling of the code is the referrer's own token, which everybody has in common whom they refer.
    let code = fields.referral_code.as_ref().filter(|_| data.get("referral_code").is_some_and(|code| !code.is_null()));
    let all = [
        (IdentifierKind::User, user),
        (IdentifierKind::Email, fields.email.as_ref()),
        (IdentifierKind::Install, fields.install_id.as_ref()),
        (IdentifierKind::Click, fields.click_id.as_ref()),
        (IdentifierKind::Anonymous, fields.anonymous_id.as_ref()),
        (IdentifierKind::Referral, code),
    ];
    // Whoever hands a code out must not be taken for those who use it.
    let is_code_alone = kind == Happening::CodeGenerated || is_about_referral && is_of_referrer(fields);
    let is_meant = |kind| !is_code_alone || matches!(kind, IdentifierKind::User | IdentifierKind::Referral);
    let all = all.into_iter().filter(|(kind, _)| is_meant(*kind));
    all.filter_map(|(kind, text)| Identifier::new(kind, text?)).filter(Identifier::names_somebody).collect()
}

/// When it happened, as far as the sender's clock can be believed. One that runs ahead must not make a fact the last word for ever,
/// nor one that was never set the first.
fn time(event: &Event) -> Timestamp {
    let is_believed = event.received_at.since(event.occurred_at) <= AGE_BELIEVED_MAX;
    if is_believed { event.occurred_at.min(event.received_at) } else { event.received_at }
}

/// A text as far as it is kept.
fn kept(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

fn trace(kind: Happening, data: &Value, fields: &Fields<'_>, moment: Moment) -> Trace {
    let Moment { at, tie } = moment;
    let when = |happened: bool| happened.then_some(at);
    let text =
        |text: &Option<Cow<'_, str>>| text.as_deref().map(|text| Stamped { at, tie, value: kept(text).to_owned() });
    let touch = touch(kind, fields, moment);
    let money = fields.revenue.filter(|_| matches!(kind, Happening::Conversion | Happening::Completion));
    Trace {
        first_seen: Some(at),
        last_seen: Some(at),
        first_touch: touch.clone(),
        last_touch: touch,
        platform: text(&fields.platform),
        clicked_at: when(kind == Happening::Click),
        installed_at: when(kind == Happening::Install),
        claimed_at: when(kind == Happening::Claim),
        referred_at: when(kind == Happening::Referral),
        completed_at: when(kind == Happening::Completion),
        converted_at: when(matches!(kind, Happening::Completion | Happening::Conversion)),
        referrer: text(&fields.referrer_id),
        referral_code: text(&fields.referral_code),
        milestone: text(&fields.milestone),
        money: money.map(|amount| {
            let currency = fields.currency.as_deref().map(kept).map(str::to_owned);
            Stamped { at, tie, value: Money { amount, currency } }
        }),
        traits: traits(kind, data, fields, moment),
        ..Trace::default()
    }
}

/// Where an event says that somebody was led from, if it says anything of the kind.
fn touch(kind: Happening, fields: &Fields<'_>, moment: Moment) -> Option<Stamped<Touch>> {
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(kept).map(str::to_owned);
    let led = [&fields.campaign, &fields.channel, &fields.medium, &fields.token, &fields.prefix, &fields.route];
    let worth = match kind {
        Happening::CodeGenerated | Happening::Identified => return None,
        _ if led.iter().all(|field| field.is_none()) => match kind {
            Happening::Click | Happening::Open | Happening::Install | Happening::Claim => Worth::Device,
            _ => return None,
        },
        Happening::Conversion | Happening::Completion | Happening::Other => Worth::Attributed,
        _ if fields.match_confidence.is_some_and(|confidence| confidence < CONFIDENCE_CERTAIN) => Worth::Likely,
        _ => Worth::Certain,
    };
    // A claim tells of a click that was earlier.
    let is_click = |click: &Timestamp| *click < moment.at && moment.at.since(*click) <= CLICK_AGE_MAX;
    let at = fields.original_click_at.filter(is_click).unwrap_or(moment.at);
    let value = Touch {
        worth,
        campaign: text(&fields.campaign),
        channel: text(&fields.channel),
        medium: text(&fields.medium),
        platform: text(&fields.platform),
        token: text(&fields.token),
        prefix: text(&fields.prefix),
        route: text(&fields.route),
    };
    Some(Stamped { at, tie: moment.tie, value })
}

/// What was said of the person: `name` and `phone` by any event, and whatever a call to identify gives under `traits`.
fn traits(
    kind: Happening,
    data: &Value,
    fields: &Fields<'_>,
    Moment { at, tie }: Moment,
) -> BTreeMap<String, Stamped<Value>> {
    // The one who generated a code is not the one who will use it.
    let is_about_referral = matches!(kind, Happening::Referral | Happening::Completion);
    if kind == Happening::CodeGenerated || is_about_referral && is_of_referrer(fields) {
        return BTreeMap::new();
    }
    let known = [("email", &fields.email), ("name", &fields.name), ("phone", &fields.phone)];
    let known = known.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.trim())));
    // An empty text is what applications say where they know nothing, and takes nothing away.
    let known = known.filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, Value::from(kept(text))));
    let given = data.get("traits").and_then(Value::as_object).filter(|_| kind == Happening::Identified);
    let given = given.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
    let is_said =
        |value: &Value| value.as_str().map_or(value.is_number() || value.is_boolean(), |text| !text.trim().is_empty());
    let given = given.filter(|(_, value)| is_said(value));
    let stamped = |(name, value)| (name, Stamped { at, tie, value });
    // Of two with the same name the one beside the traits counts.
    let known: BTreeMap<_, _> = known.collect();
    let (counted, of_person): (BTreeMap<_, _>, BTreeMap<_, _>) = given.partition(|(name, _)| is_counted(name));
    counted.into_iter().take(TRAITS_MAX).chain(of_person).chain(known).map(stamped).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::event::{DedupeKey, TimeMark};
    use crate::id::{AppspaceId, EventId, SourceId};
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_secs(1_772_634_728);

    fn event(event_type: &str, data: &Value) -> Event {
        let appspace = AppspaceId::mint(NOW, 1);
        let body = json!({"event": event_type, "timestamp": NOW.to_string(), "data": data}).to_string();
        Event {
            id: EventId::mint(NOW, 1),
            appspace,
            source: SourceId::API,
            event_type: event_type.parse().unwrap(),
            occurred_at: NOW,
            received_at: NOW,
            time_mark: TimeMark::Sender,
            dedupe_key: DedupeKey::of_body(SourceId::API, appspace, body.as_bytes()),
            body: body.into(),
        }
    }

    fn read(event_type: &str, data: &Value) -> Option<Fact> {
        Fact::of(&event(event_type, data), data, ReferralCreated::Shown)
    }

    fn named(event_type: &str, data: &Value) -> String {
        let fact = read(event_type, data);
        fact.map_or(String::new(), |fact| {
            fact.identifiers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn an_event_names_people_and_devices_and_never_a_link_or_a_referrer() {
        for (event_type, data, expect) in [
            (
                "install.tracked",
                json!({"token": "summer-promo", "prefix": "go", "campaign": "a", "ip": "192.0.2.1"}),
                "",
            ),
            ("install.tracked", json!({"install_id": "i", "click_id": "c"}), "install:i click:c"),
            ("link.clicked", json!({"user_id": 42, "user_email": "A@b.C"}), "user:42 email:a@b.c"),
            (
                "referral.completed",
                json!({"referral_code": "r", "referrer_id": "user_1", "referred_user_id": "user_2"}),
                "user:user_2 referral:r",
            ),
            (
                "referral.created",
                json!({"referral_code": "r", "referrer_id": "u", "user_id": "u", "email": "u@b.c", "install_id": "i"}),
                "referral:r",
            ),
            ("referral.completed", json!({"referral_code": "r", "referrer_id": "u", "user_id": "u"}), "referral:r"),
            (
                "link.clicked",
                json!({"user_id": "null", "email": "none", "click_id": "0", "install_id": "i"}),
                "install:i",
            ),
            ("referral.created", json!({"referrer_token": "user-abc123", "campaign": "a"}), ""),
            ("link.clicked", json!({"user_id": 42.0, "install_id": 1e300, "click_id": 7e2}), "user:42 click:700"),
            ("referral.completed", json!({"referral_code": "r", "referrer_id": 7, "user_id": 7.0}), "referral:r"),
        ] {
            assert_eq!(named(event_type, &data), expect, "{event_type} {data}");
        }
    }

    #[test]
    fn what_referral_created_means_shows_or_is_said() {
        let code = json!({"referral_code": "r", "referrer_id": "u", "referral_url": "https://x"});
        let sign_up = json!({"referral_code": "r", "referrer_id": "u", "install_id": "i"});
        let referred_at = |data: &Value, meaning| {
            Fact::of(&event("referral.created", data), data, meaning).unwrap().trace.referred_at
        };
        assert_eq!(referred_at(&code, ReferralCreated::Shown), None);
        assert_eq!(referred_at(&sign_up, ReferralCreated::Shown), Some(NOW));
        assert_eq!(referred_at(&code, ReferralCreated::SignUp), Some(NOW));
        assert_eq!(referred_at(&sign_up, ReferralCreated::Code), None);
        // Whoever generated a code is not the one whom it will refer.
        let own = json!({"referral_code": "r", "user_id": "u", "name": "Ada"});
        let fact = Fact::of(&event("referral.created", &own), &own, ReferralCreated::Code).unwrap();
        assert_eq!((fact.identifiers.len(), fact.trace.traits.len()), (1, 0));
        let own = json!({"referral_code": "r", "email": "a@b.c", "install_id": "i", "click_id": "c"});
        let fact = Fact::of(&event("referral.created", &own), &own, ReferralCreated::Code).unwrap();
        assert_eq!(fact.identifiers, ["referral:r".parse().unwrap()]);
    }

    #[test]
    fn who_somebody_is_said_to_be_is_no_trait_too_many_and_no_text_is_longer_than_is_kept() {
        let traits: serde_json::Map<_, _> =
            (0..TRAITS_MAX).map(|number| (format!("a{number:02}"), json!(number))).collect();
        let data = json!({"user_id": "1", "email": "a@b.c", "name": "é".repeat(TEXT_BYTES_MAX), "traits": traits});
        let trace = read(IDENTIFIED, &data).unwrap().trace;
        assert_eq!((trace.traits.len(), &trace.traits["email"].value), (TRAITS_MAX + 2, &json!("a@b.c")));
        assert_eq!(trace.traits["name"].value, json!("é".repeat(TEXT_BYTES_MAX / 2)));
    }

    #[test]
    fn a_touch_is_worth_what_its_event_can_know() {
        let worth =
            |event_type, data: Value| read(event_type, &data).unwrap().trace.first_touch.map(|touch| touch.value.worth);
        assert_eq!(worth("link.clicked", json!({"click_id": "c", "campaign": "a"})), Some(Worth::Certain));
        let likely = json!({"install_id": "c", "campaign": "a", "match_confidence": 0.4});
        assert_eq!(worth("link.deferred_install", likely), Some(Worth::Likely));
        assert_eq!(worth("install.tracked", json!({"install_id": "c", "platform": "ios"})), Some(Worth::Device));
        assert_eq!(worth("ecommerce.purchase", json!({"user_id": "c", "campaign": "a"})), Some(Worth::Attributed));
        assert_eq!(worth("ecommerce.purchase", json!({"user_id": "c"})), None);
    }

    #[test]
    fn a_claim_tells_of_the_click_before_it() {
        let data = json!({"install_id": "i", "campaign": "a", "original_click_at": "2026-03-04T14:00:00.000Z"});
        let touch = read("link.deferred_install", &data).unwrap().trace.first_touch.unwrap();
        assert_eq!(touch.at, "2026-03-04T14:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_clock_that_was_never_set_says_neither_what_was_first_nor_what_was_last() {
        let told = |occurred_at: Timestamp, original: &str| {
            let data = json!({"install_id": "i", "campaign": "a", "original_click_at": original});
            let event = Event { occurred_at, ..event("install.tracked", &data) };
            let fact = Fact::of(&event, &data, ReferralCreated::Shown).unwrap();
            let touch = fact.trace.first_touch.unwrap();
            (fact.moment.at, fact.trace.installed_at.unwrap(), touch.at)
        };
        for odd in ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9000-01-01T00:00:00Z"] {
            let at = odd.parse().unwrap();
            assert_eq!(told(at, odd), (NOW, NOW, NOW), "{odd}");
            assert_eq!(told(NOW, odd), (NOW, NOW, NOW), "{odd}");
        }
        let (late, click) = (NOW - AGE_BELIEVED_MAX, NOW - CLICK_AGE_MAX);
        assert_eq!(told(late, "").0, late, "what comes very late is believed");
        assert_eq!(told(NOW, &click.to_string()), (NOW, NOW, click));
        assert_eq!(told(NOW, &(click - Duration::from_millis(1)).to_string()).2, NOW);
    }

    #[test]
    fn a_blank_trait_says_nothing() {
        let data = json!({"user_id": "1", "name": " ", "traits": {"name": "", "plan": " ", "score": 0, "on": false}});
        let traits = read(IDENTIFIED, &data).unwrap().trace.traits;
        assert_eq!(traits.keys().collect::<Vec<_>>(), ["on", "score"]);
    }

    proptest! {
        #[test]
        fn no_body_with_a_fact_in_it_is_passed_over(
            name in "user_id|external_user_id|email|user_email|install_id|installation_id|click_id|anonymous_id|visitor_id\
                     |device_id|referral_code|referred_user_id|link_id|x",
            value in "[a-z\"\\\\]{0,4}",
            pretty in any::<bool>(),
        ) {
            let data = json!({name: value, "platform": "ios"});
            let body = json!({"event": "referral.completed", "data": data});
            let body = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
            if read("referral.completed", &data).is_some() {
                prop_assert!(Fact::may_be_in(body.as_bytes()), "{}", body);
            }
        }
    }
}
