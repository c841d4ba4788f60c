//! What a connector would say to its vendor, and what it makes of the answers.

use domain::connector::{Batch, Call, Item, Progress, Reply, Step, Token};
use domain::event::{DedupeKey, TimeMark};
use domain::identity::{Fact, Profile, ReferralCreated};
use domain::{
    AppspaceId, Connector, DeliveryId, Event, EventId, Reading, Secret, Settings, SourceId, Timestamp, Verdict,
    catalogue,
};
use serde_json::{Map, Value, json};

use super::fixture::{Answer, Fixture};

const NOW: Timestamp = Timestamp::from_millis(1_772_634_728_441);

/// What people look at first, in this order.
const TYPES: [&str; 4] = ["link.clicked", "link.deferred_install", "install.tracked", "link.conversion"];

/// The request for a sample event, and the type of that event.
pub(crate) fn sample(connector: &dyn Connector, settings: &Settings) -> Option<(&'static str, Call)> {
    let wanted = connector.manifest().default_events();
    let types = TYPES.into_iter().chain(catalogue::ALL.iter().map(|kind| kind.event_type));
    let types = types.filter(|name| name.parse().is_ok_and(|event_type| wanted.matches(&event_type)));
    // A mail needs an address, an ad a click, and not every sample has one.
    types.flat_map(|name| [(name, plain(name)), (name, of_a_person(name))]).find_map(|(name, event)| {
        match begin(connector, settings, &event) {
            Step::Send(call) | Step::SendOnce { call, .. } => Some((name, call)),
            _ => None,
        }
    })
}

/// What becomes of an event when the vendor answers like this; `None` if it asks on.
pub(crate) fn judged(connector: &dyn Connector, fixture: &Fixture, answer: &Answer) -> Option<Judgement> {
    let event_type = answer.event.as_deref().unwrap_or("link.conversion");
    // Whoever keeps records of people has nothing to say of an event that names nobody.
    let event = if connector.manifest().keeps_people() { of_a_person(event_type) } else { plain(event_type) };
    let outlet = connector.open(fixture.settings(answer)).ok()?;
    let reply = Reply {
        status: answer.status,
        code: answer.code.clone(),
        headers: answer.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        body: answer.text().into(),
        received_at: NOW,
    };
    with_batch(&event, |batch| {
        let mut progress = Progress::default();
        if !matches!(outlet.prepare(batch, &mut progress), Step::Send(_) | Step::SendOnce { .. }) {
            return None;
        }
        progress.replies = 1;
        match outlet.advance(batch, &mut progress, &reply) {
            Step::Settle(verdicts) => verdicts.into_iter().next().map(Judgement::Verdict),
            Step::Split { alone } => Some(Judgement::Split(alone)),
            Step::Reauthorize { message } => Some(Judgement::Reauthorize(message)),
            Step::Send(_) | Step::SendOnce { .. } => None,
        }
    })
}

/// What a connector makes of an answer.
pub(crate) enum Judgement {
    Verdict(Verdict),
    /// Of a batch each half is tried; of a single event this becomes.
    Split(Verdict),
    /// The token is fetched anew once, then the destination is paused with this message.
    Reauthorize(String),
}

fn begin(connector: &dyn Connector, settings: &Settings, event: &Event) -> Step {
    let outlet = connector.open(settings).expect("the kit opens the default settings of every fixture");
    with_batch(event, |batch| outlet.preview(batch))
}

fn with_batch<T>(event: &Event, look: impl FnOnce(&Batch<'_>) -> T) -> T {
    let reading = Reading::new("tolinku".to_owned());
    let fact = Fact::of(event, reading.data(event), ReferralCreated::Shown);
    let reading = Reading::new("tolinku".to_owned()).about(fact.and_then(|fact| Profile::of(event.appspace, fact)));
    let delivery = DeliveryId { event: event.id, ordinal: 0 };
    let items = [Item { event, delivery, attempt: 1, reading: &reading }];
    let token = Token { secret: Secret::from("TOKEN"), valid_for: None, extra: Some("token-host.example".to_owned()) };
    look(&Batch { items: &items, now: NOW, token: Some(&token), digest: None })
}

fn plain(event_type: &str) -> Event {
    event(event_type, catalogue::sample(event_type, NOW, 1).expect("a type of the catalogue"))
}

/// Everything that any sample of the type says, and who it was.
fn of_a_person(event_type: &str) -> Event {
    let mut data = Map::new();
    for sample in catalogue::find(event_type).map_or(&[][..], |kind| kind.samples) {
        let sample: Map<String, Value> = serde_json::from_str(sample).expect("samples are objects");
        data.extend(sample);
    }
    for (name, value) in [("user_id", "user_789"), ("email", "ada@example.org"), ("click_id", "clk_1")] {
        data.entry(name).or_insert_with(|| value.into());
    }
    data.entry("consent").or_insert(Value::Bool(true));
    event(event_type, json!({ "event": event_type, "timestamp": NOW.to_string(), "data": data }).to_string().into())
}

fn event(event_type: &str, body: Vec<u8>) -> Event {
    let appspace = AppspaceId::mint(NOW, 1);
    Event {
        id: EventId::mint(NOW, 42),
        appspace,
        source: SourceId::API,
        event_type: event_type.parse().expect("a type of the catalogue"),
        occurred_at: NOW,
        received_at: NOW,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, appspace, &body),
        body: body.into(),
    }
}
