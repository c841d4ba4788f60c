//! A destination under test: a connector of the list over the real transports, driven through whole exchanges as the engine
//! does, without the engine's schedule.

use std::sync::Arc;
use std::time::Duration;

use domain::connector::{Batch, Call, Item, Means, Progress, Reply, Step, Token};
use domain::event::{DedupeKey, TimeMark};
use domain::{AppspaceId, Connector, DeliveryId, DestinationId, Event, EventId, Outlet, Reading, Settings, SourceId};
use domain::{Timestamp, Verdict, catalogue};
use pipeline::Clock;
use pipeline::transport::{Guard, Transport, Transports};
use serde_json::{Value, json};

const CALL_MAX: Duration = Duration::from_secs(30);

/// 2026-03-04T14:32:08.441Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_772_634_728_441);

pub(crate) struct Carrier {
    connector: &'static dyn Connector,
    settings: Settings,
    outlet: Box<dyn Outlet>,
    transports: Arc<Transports>,
    lane: DestinationId,
}

impl Carrier {
    pub(crate) fn new(connector: &str, settings: &Value) -> Self {
        let connector = connectors::by_name(connector).unwrap();
        let settings: Settings = serde_json::from_value(settings.clone()).unwrap();
        connector.manifest().check(&settings).unwrap();
        let guard = Guard::new(true, Vec::new());
        Self {
            connector,
            outlet: connector.open(&settings).unwrap(),
            settings,
            transports: Transports::start(guard, Arc::new(Clock::system()), &[]).unwrap(),
            lane: DestinationId::mint(NOW, 1),
        }
    }

    /// The same with some settings changed.
    pub(crate) fn with(&self, changed: &Value) -> Self {
        let mut settings = self.settings.clone();
        settings.0.extend(changed.as_object().unwrap().clone());
        Self::new(self.connector.manifest().name, &json!(settings))
    }

    /// Brings a batch through one exchange; what is split is tried in halves.
    pub(crate) async fn deliver(&self, events: &[Event]) -> Vec<Verdict> {
        self.try_to_deliver(events, 1).await
    }

    /// The same as a later attempt.
    pub(crate) async fn try_to_deliver(&self, events: &[Event], attempt: u32) -> Vec<Verdict> {
        let token = match self.token().await {
            Some(Err(refusal)) => return vec![refusal; events.len()],
            token => token.and_then(Result::ok),
        };
        let readings: Vec<_> = events.iter().map(|_| Reading::new("tolinku".to_owned())).collect();
        let items: Vec<_> = events
            .iter()
            .zip(&readings)
            .map(|(event, reading)| Item {
                event,
                delivery: DeliveryId { event: event.id, ordinal: 0 },
                attempt,
                reading,
            })
            .collect();
        self.exchange(&items, token.as_ref()).await
    }

    async fn exchange(&self, items: &[Item<'_>], token: Option<&Token>) -> Vec<Verdict> {
        let batch = Batch { items, now: NOW, token, digest: None };
        let mut progress = Progress::default();
        let mut step = self.outlet.prepare(&batch, &mut progress);
        loop {
            match step {
                Step::Send(call) => {
                    let reply = self.call(call).await;
                    progress.replies += 1;
                    step = self.outlet.advance(&batch, &mut progress, &reply);
                }
                Step::Settle(verdicts) => return verdicts,
                Step::Split { alone } if items.len() == 1 => return vec![alone],
                Step::Split { .. } => {
                    let (left, right) = items.split_at(items.len() / 2);
                    let mut verdicts = Box::pin(self.exchange(left, token)).await;
                    verdicts.extend(Box::pin(self.exchange(right, token)).await);
                    return verdicts;
                }
                // The token of an exchange is always a fresh one here, so that it was refused is final.
                Step::Reauthorize { message } => return vec![Verdict::unauthorized(message); items.len()],
                step @ Step::SendOnce { .. } => panic!("{step:?}"),
            }
        }
    }

    /// Makes what the destination needs and says what that was.
    pub(crate) async fn provision(&self) -> Result<Vec<String>, String> {
        let token = self.token().await.and_then(Result::ok);
        let means = Means { now: NOW, token: token.as_ref() };
        let mut replies = Vec::new();
        for call in self.outlet.survey(&means).expect("this connector provisions") {
            replies.push(self.call(call).await);
        }
        let mut reasons = Vec::new();
        for action in self.outlet.plan(&means, &replies)? {
            self.outlet.is_done(&self.call(action.call).await)?;
            reasons.push(action.reason);
        }
        Ok(reasons)
    }

    async fn token(&self) -> Option<Result<Token, Verdict>> {
        let reply = self.call(Call::Http(self.outlet.authorize(NOW)?)).await;
        Some(self.outlet.token(&reply))
    }

    async fn call(&self, call: Call) -> Reply {
        self.transports.exchange(self.lane, call, CALL_MAX).await.unwrap()
    }
}

/// Conversions with these revenues.
pub(crate) fn conversions(revenues: &[Value]) -> Vec<Event> {
    let event = |(n, revenue)| event(n, &json!({"link_id": "lnk_1", "campaign": "a", "revenue": revenue}));
    (1..).zip(revenues).map(event).collect()
}

/// The catalogue's sample of every type.
pub(crate) fn samples() -> Vec<Event> {
    let types = catalogue::ALL.iter().map(|kind| kind.event_type);
    (1..).zip(types).map(|(n, name)| made_of(n, name, catalogue::sample(name, NOW, 1).unwrap())).collect()
}

/// A conversion that says this.
pub(crate) fn event(n: u128, data: &Value) -> Event {
    let body = json!({"event": "link.conversion", "timestamp": NOW.to_string(), "data": data});
    made_of(n, "link.conversion", body.to_string())
}

fn made_of(n: u128, event_type: &str, body: impl Into<bytes::Bytes>) -> Event {
    let appspace = AppspaceId::mint(NOW, 1);
    let body = body.into();
    Event {
        id: EventId::mint(NOW, n),
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

/// What a verdict is and what it says.
pub(crate) fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Pause { reason, message } => format!("pause {}: {message}", reason.code()),
        Verdict::Reject { reason, message } => {
            format!("reject {}: {}", reason.code(), message.clone().unwrap_or_default())
        }
        Verdict::Retry { reason, message, .. } => {
            format!("retry {}: {}", reason.code(), message.clone().unwrap_or_default())
        }
        verdict => format!("{verdict:?}"),
    }
}

pub(crate) fn all_delivered(verdicts: &[Verdict]) {
    let others: Vec<_> = verdicts.iter().filter(|it| **it != Verdict::Delivered).map(in_words).collect();
    assert!(others.is_empty(), "{others:#?}");
}
