//! A delivery engine to test: the house, the real dispatcher and `webhook` connector, and a transport that answers from
//! a script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::attempt::Attempt;
use domain::connector::{Call, Reply};
use domain::delivery::State;
use domain::destination::RateLimit;
use domain::verdict::FailureReason;
use domain::{Destination, DestinationId, EventId, Timestamp};
use pipeline::dispatcher::{Dispatcher, DispatcherOptions};
use pipeline::transport::{Transport, TransportError};
use pipeline::{Clock, Plugins};
use storage::memory::MemoryStore;
use storage::{DeliverySummary, Store};

use crate::house::{House, START, click, plugins};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A house with a dispatcher.
pub(crate) struct Engine {
    pub(crate) house: House,
    pub(crate) wires: Arc<Wires>,
    pub(crate) dispatcher: Dispatcher,
}

/// What the world answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16),
    Headed(u16, &'static str, String),
    /// 200 with this body.
    Says(serde_json::Value),
    /// A status with this body.
    Refuses(u16, serde_json::Value),
    Fails(FailureReason),
    /// The connection breaks after the call was sent.
    Breaks,
    /// Nothing until the deadline.
    Hangs,
    /// This machine has no connection to spare.
    IsShort,
    /// The status, after a while.
    Slowly(u16, Duration),
    /// 200 with this body, after a while.
    SlowlySays(Duration, serde_json::Value),
}

/// A call that went out.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) lane: DestinationId,
    pub(crate) event: EventId,
    /// Since [`START`].
    pub(crate) at: Duration,
    /// How many calls went out for the same event to the same lane before.
    pub(crate) before: usize,
    pub(crate) body: Bytes,
    pub(crate) url: String,
    /// The header `authorization`.
    pub(crate) authorization: Option<String>,
}

impl Sent {
    /// The tokens of the items of a batch, in order.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let items = body["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|token| token.as_str().unwrap().to_owned()).collect()
    }

    /// Whether it is the call for a token.
    pub(crate) fn is_for_token(&self) -> bool {
        self.url.ends_with("/token")
    }
}

type Script = Box<dyn Fn(&Sent) -> Answer + Send + Sync>;

/// The transport of the tests.
pub(crate) struct Wires {
    clock: Arc<Clock>,
    script: Script,
    sent: Mutex<Vec<Sent>>,
    /// Calls under way, and the most there have been at once.
    busy: Mutex<(usize, usize)>,
}

impl Engine {
    /// An engine whose world answers from a script.
    pub(crate) async fn new(script: impl Fn(&Sent) -> Answer + Send + Sync + 'static) -> Self {
        Self::over(Arc::new(MemoryStore::new()), plugins(), script).await
    }

    pub(crate) async fn over(
        store: Arc<dyn Store>,
        plugins: Plugins,
        script: impl Fn(&Sent) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::at(store, plugins, START, script).await
    }

    /// The same at a later time, as another process.
    pub(crate) async fn at(
        store: Arc<dyn Store>,
        plugins: Plugins,
        start: Timestamp,
        script: impl Fn(&Sent) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let house = House::at(store, plugins, start).await;
        let wires = Arc::new(Wires {
            clock: Arc::clone(&house.clock),
            script: Box::new(script),
            sent: Mutex::default(),
            busy: Mutex::default(),
        });
        let dispatcher = dispatcher(&house, &wires, DispatcherOptions::default());
        Self { house, wires, dispatcher }
    }

    /// Ends the dispatcher and starts another one over the same store, as a restart does.
    pub(crate) async fn restart(&mut self, options: DispatcherOptions) {
        self.dispatcher.stop(15 * SECOND).await;
        self.dispatcher = dispatcher(&self.house, &self.wires, options);
    }

    /// Stores a destination for clicks, named and changed as told.
    pub(crate) async fn destination(&self, name: &str, change: impl FnOnce(&mut Destination)) -> DestinationId {
        let mut destination = self.house.destination(name, &["link.clicked"]);
        change(&mut destination);
        self.house.put(destination).await
    }

    /// Lets clicks come in.
    pub(crate) async fn clicks(&self, numbers: std::ops::Range<u32>) -> Vec<EventId> {
        let mut events = Vec::new();
        for number in numbers {
            events.push(self.house.send(&click(number)).await.unwrap().id);
        }
        events
    }

    /// Lets paused time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Deliveries in a state.
    pub(crate) async fn count(&self, destination: DestinationId, state: State) -> usize {
        let all = self.house.deliveries(destination).await;
        all.iter().filter(|summary| summary.delivery.standing.state == state).count()
    }

    /// The one delivery to a destination, with its attempts.
    pub(crate) async fn only(&self, destination: DestinationId) -> (DeliverySummary, Vec<Attempt>) {
        let [summary] = <[DeliverySummary; 1]>::try_from(self.house.deliveries(destination).await).unwrap();
        let (_, attempts) = self.house.store.delivery(self.house.appspace(), summary.delivery.id).await.unwrap();
        (summary, attempts)
    }

    /// Types of the operational events so far, oldest first.
    pub(crate) async fn told(&self) -> Vec<String> {
        let mut events = self.house.events().await;
        events.reverse();
        let types = events.iter().map(|event| event.event_type.to_string());
        types.filter(|event_type| event_type.starts_with("afterclick.")).collect()
    }
}

fn dispatcher(house: &House, wires: &Arc<Wires>, options: DispatcherOptions) -> Dispatcher {
    Dispatcher::start(
        Arc::clone(&house.store),
        Arc::clone(&house.registry),
        Arc::clone(&house.clock),
        Arc::clone(&house.metrics),
        Arc::clone(&house.identity),
        Arc::clone(wires) as Arc<dyn Transport>,
        options,
    )
}

impl Wires {
    /// Everything sent to a lane.
    pub(crate) fn to(&self, lane: DestinationId) -> Vec<Sent> {
        self.sent.lock().unwrap().iter().filter(|sent| sent.lane == lane).cloned().collect()
    }

    /// When something was sent to a lane, in whole milliseconds.
    pub(crate) fn times_ms(&self, lane: DestinationId) -> Vec<u128> {
        self.to(lane).iter().map(|sent| sent.at.as_millis()).collect()
    }

    /// The most calls that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.busy.lock().unwrap().1
    }

    fn note(&self, lane: DestinationId, call: Call) -> Sent {
        let Call::Http(call) = call else { panic!("only HTTP is spoken here") };
        let header = |wanted: &str| {
            call.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone())
        };
        let event = header("webhook-id").map_or(EventId::mint(START, 0), |id| id.parse().unwrap());
        let authorization = header("authorization");
        let mut sent = self.sent.lock().unwrap();
        let before = sent.iter().filter(|sent| sent.lane == lane && sent.event == event).count();
        let at = self.clock.now().since(START);
        let this = Sent { lane, event, at, before, body: call.body, url: call.url, authorization };
        sent.push(this.clone());
        this
    }
}

#[async_trait]
impl Transport for Wires {
    async fn exchange(&self, lane: DestinationId, call: Call, deadline: Duration) -> Result<Reply, TransportError> {
        let sent = self.note(lane, call);
        let _busy = Busy::enter(&self.busy);
        let reply = |status, headers| {
            Ok(Reply { status, code: None, headers, body: Bytes::new(), received_at: self.clock.now() })
        };
        let says = |status, body: serde_json::Value| {
            let (body, received_at) = (body.to_string().into(), self.clock.now());
            Ok(Reply { status, code: None, headers: Vec::new(), body, received_at })
        };
        match (self.script)(&sent) {
            Answer::Status(status) => reply(status, Vec::new()),
            Answer::Says(body) => says(200, body),
            Answer::Refuses(status, body) => says(status, body),
            Answer::Headed(status, name, value) => reply(status, vec![(name.to_owned(), value)]),
            Answer::Fails(reason) => Err(TransportError::new(reason, "as the script says")),
            Answer::Breaks => {
                let error = TransportError::new(FailureReason::Broken, "the connection broke");
                Err(TransportError { may_have_arrived: true, ..error })
            }
            Answer::IsShort => {
                let error = TransportError::new(FailureReason::Connect, "none to spare");
                Err(TransportError { is_ours: true, ..error })
            }
            Answer::Hangs => {
                tokio::time::sleep(deadline).await;
                let error = TransportError::new(FailureReason::Timeout, "no answer came");
                Err(TransportError { may_have_arrived: true, ..error })
            }
            Answer::SlowlySays(time, body) => {
                tokio::time::sleep(time).await;
                says(200, body)
            }
            Answer::Slowly(status, time) => {
                tokio::time::sleep(time).await;
                reply(status, Vec::new())
            }
        }
    }
}

/// Counts a call as under way, also when it is dropped.
struct Busy<'a>(&'a Mutex<(usize, usize)>);

impl<'a> Busy<'a> {
    fn enter(busy: &'a Mutex<(usize, usize)>) -> Self {
        let mut counts = busy.lock().unwrap();
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().0 -= 1;
    }
}

/// A rate limit.
pub(crate) fn per_second(rate: f64) -> Option<RateLimit> {
    RateLimit::new(rate)
}

/// The time on the simulated clock.
pub(crate) fn after_start(time: Duration) -> Timestamp {
    START + time
}
