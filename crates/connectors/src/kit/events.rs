//! Events to hold connectors against.

use domain::event::{DedupeKey, TimeMark};
use domain::{AppspaceId, Event, EventId, SourceId, catalogue};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::NOW;

/// How much an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// What such an event cannot be without.
    Required,
    /// Every field of every sample, and who it was.
    Full,
    /// The same with text that wants to break out of wherever it is put.
    Hostile,
}

impl Variant {
    pub(crate) const ALL: [Self; 3] = [Self::Required, Self::Full, Self::Hostile];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Required => "required fields",
            Self::Full => "all fields",
            Self::Hostile => "hostile text",
        }
    }
}

/// What hostile text is made of: mentions, markup, headers, templates, quotes, SQL, and what terminals and databases
/// stumble over.
const HOSTILE: &str = "<!channel> <@U1> @everyone </script><b>&amp;\r\nBcc: x@example.net {{ 7*7 }} '); DROP TABLE x; -- \
                       \" \\ *b* [l](http://x) \u{0}\u{202e}\u{1F517}";

/// The fields that an event of each type has in any case, as far as the documents say; the others may have none.
const REQUIRED: &[(&str, &[&str])] = &[
    ("link.clicked", &["link_id", "url"]),
    ("link.opened", &["link_id", "route"]),
    ("link.deferred_install", &["link_id", "platform"]),
    ("deferred_link.claimed", &["deep_link_path"]),
    ("install.tracked", &["platform"]),
    ("link.conversion", &["link_id"]),
    ("referral.created", &["referral_code"]),
    ("referral.completed", &["referral_code"]),
    ("ecommerce.purchase", &["transaction_id", "revenue", "currency"]),
];

/// The catalogue's sample of a type.
pub(crate) fn event(event_type: &str) -> Event {
    of(event_type, catalogue::sample(event_type, NOW, 1).unwrap())
}

/// An event of a type that says as much as the variant.
pub(crate) fn event_with(event_type: &str, variant: Variant) -> Event {
    let mut all = Map::new();
    for sample in catalogue::find(event_type).unwrap().samples {
        let sample: Map<String, Value> = serde_json::from_str(sample).unwrap();
        sample.into_iter().for_each(|(name, value)| {
            all.entry(name).or_insert(value);
        });
    }
    let data = match variant {
        Variant::Required => {
            let names = REQUIRED.iter().find(|(name, _)| *name == event_type).map_or(&[][..], |(_, names)| names);
            all.retain(|name, _| names.contains(&name.as_str()));
            all
        }
        Variant::Full => with_a_person(all),
        Variant::Hostile => with_a_person(all).into_iter().map(|(name, value)| (name, hostile(value))).collect(),
    };
    saying(event_type, &data.into())
}

/// An event of a type that says this.
pub(crate) fn saying(event_type: &str, data: &Value) -> Event {
    of(event_type, json!({"event": event_type, "timestamp": NOW.to_string(), "data": data}).to_string())
}

/// The same event under another id.
pub(crate) fn numbered(event: Event, number: u128) -> Event {
    Event { id: EventId::mint(NOW, number), ..event }
}

fn of(event_type: &str, body: impl Into<bytes::Bytes>) -> Event {
    let appspace = AppspaceId::mint(NOW, 1);
    let body = body.into();
    Event {
        id: EventId::mint(NOW, 42),
        appspace,
        source: SourceId::API,
        event_type: event_type.parse().unwrap(),
        occurred_at: NOW,
        received_at: NOW,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, appspace, &body),
        body,
    }
}

fn with_a_person(mut data: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in [
        ("user_id", "user_789"),
        ("email", "Ada.Lovelace@Example.org"),
        ("name", "Ada Lovelace"),
        ("install_id", "ins_1"),
        ("click_id", "clk_1"),
        ("gclid", "gclid-1"),
        ("fbclid", "fbclid-1"),
    ] {
        data.entry(name).or_insert_with(|| value.into());
    }
    data.entry("consent").or_insert(Value::Bool(true));
    data
}

fn hostile(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(format!("{text} {HOSTILE}")),
        Value::Array(values) => values.into_iter().map(hostile).collect(),
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, hostile(value))).collect(),
        other => other,
    }
}

/// An event of any type and content.
pub(crate) fn any() -> impl Strategy<Value = Event> {
    let types: Vec<_> = catalogue::ALL.iter().map(|kind| kind.event_type).chain(["custom.thing"]).collect();
    let names = "campaign|channel|url|email|user_id|revenue|currency|consent|platform|token|referral_code|[a-z]{1,9}";
    let data = proptest::collection::btree_map(names, any_json(), 0..12);
    (proptest::sample::select(types), data).prop_map(|(event_type, data)| saying(event_type, &json!(data)))
}

/// Any small JSON value.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        proptest::prelude::any::<bool>().prop_map(Value::from),
        proptest::prelude::any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        Just(Value::from(HOSTILE)),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z_]{1,8}", inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}
