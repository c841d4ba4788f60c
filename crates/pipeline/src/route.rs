//! Routing: which destinations of an appspace an event is owed to.
//!
//! The table is keyed by what a subscription can say, so the cost of an event depends on how many destinations match,
//! not on how many there are.

use std::collections::HashMap;
use std::sync::Arc;

use domain::event::EventType;
use domain::subscription::Pattern;
use domain::verdict::FailureReason;
use domain::volume::Unwanted;
use domain::{Event, Reading, catalogue};
use storage::NewDelivery;

use crate::registry::LiveDestination;

/// The destinations of one appspace by what they subscribe to.
#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<Box<str>, Vec<Arc<LiveDestination>>>,
    prefix: HashMap<Box<str>, Vec<Arc<LiveDestination>>>,
    every: Vec<Arc<LiveDestination>>,
}

impl Routes {
    /// The table of these destinations.
    pub fn new<'a>(destinations: impl IntoIterator<Item = &'a Arc<LiveDestination>>) -> Self {
        let mut routes = Self::default();
        for live in destinations {
            for pattern in live.destination.events.patterns() {
                let list = match pattern {
                    Pattern::Every => &mut routes.every,
                    Pattern::Prefix(prefix) => routes.prefix.entry(prefix.clone()).or_default(),
                    Pattern::Exact(exact) => routes.exact.entry(exact.as_str().into()).or_default(),
                };
                list.push(Arc::clone(live));
            }
        }
        routes
    }

    /// The destinations subscribed to a type, each once, in the order of their ids.
    pub fn subscribed(&self, event_type: &EventType) -> Vec<&Arc<LiveDestination>> {
        let mut found = Vec::new();
        let text = event_type.as_str();
        for name in [Some(text), catalogue::alias(text)].into_iter().flatten() {
            found.extend(self.exact.get(name).into_iter().flatten());
            if !self.prefix.is_empty() {
                for (dot, _) in name.match_indices('.') {
                    found.extend(self.prefix.get(&name[..=dot]).into_iter().flatten());
                }
            }
        }
        if Pattern::Every.matches(event_type) {
            found.extend(&self.every);
        }
        if found.len() > 1 {
            found.sort_by_key(|live| live.destination.id);
            found.dedup_by_key(|live| live.destination.id);
        }
        found
    }

    /// The deliveries an event causes. A filter that fails owes a delivery that is dead at once: never "no match".
    pub fn deliveries(&self, event: &Event, source_name: &str) -> Vec<NewDelivery> {
        let reading = Reading::new(source_name.to_owned());
        let mut deliveries = Vec::new();
        for live in self.subscribed(&event.event_type) {
            match decide(live, event, &reading) {
                Decision::Owed => deliveries.push(NewDelivery::to(live.destination.id)),
                Decision::Filtered | Decision::Unwanted(_) => {}
                Decision::Failed(message) => deliveries.push(NewDelivery {
                    destination: live.destination.id,
                    stillborn: Some((FailureReason::FilterError, message)),
                }),
            }
        }
        deliveries
    }
}

/// Whether one destination that is subscribed wants an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Owed,
    /// Its filter said no.
    Filtered,
    /// Its filter failed, with this message.
    Failed(String),
    /// Its filter said yes, and its volume leaves it out.
    Unwanted(Unwanted),
}

/// Applies the filter and the volume of a destination, as far as the event alone can say. What is read of the event is
/// read once for all destinations.
pub fn decide(live: &LiveDestination, event: &Event, reading: &Reading) -> Decision {
    match live.filter.as_ref().map(|filter| filter.evaluate(reading.value(event))) {
        None | Some(Ok(true)) => {}
        Some(Ok(false)) => return Decision::Filtered,
        Some(Err(error)) => return Decision::Failed(error.to_string()),
    }
    let unwanted = live.destination.volume.judge(event, || reading.data(event));
    unwanted.map_or(Decision::Owed, Decision::Unwanted)
}
