//! Batches: what a connector is given.

use std::time::Duration;

use serde_json::Value;

use super::Token;
use crate::event::Event;
use crate::expression::EventValue;
use crate::fields::Fields;
use crate::id::DeliveryId;
use crate::identity::Profile;
use crate::reading::Reading;
use crate::time::Timestamp;

/// One or more deliveries to one destination, never more than its limits allow.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub items: &'a [Item<'a>],
    /// The time to sign with.
    pub now: Timestamp,
    /// What [`super::Outlet::authorize`] brought.
    pub token: Option<&'a Token>,
    /// Set if the destination wants one message about everything that happened in an interval of this length.
    pub digest: Option<Duration>,
}

impl Batch<'_> {
    /// A name for this very set of events in this order, 64 hexadecimal digits: the same on every retry of the same
    /// batch, another one for any other batch.
    pub fn fingerprint(&self) -> String {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for item in self.items {
            context.update(&item.event.id.to_bytes());
        }
        hex::encode(context.finish())
    }
}

/// One delivery of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    pub event: &'a Event,
    pub delivery: DeliveryId,
    /// 1 for the first try.
    pub attempt: u32,
    /// The event as read: parsed once and not before somebody asks.
    pub reading: &'a Reading,
}

impl<'a> Item<'a> {
    /// What the event says: the `data` object of its body or, for a sender whose envelope has none, the whole body.
    pub fn data(&self) -> &'a Value {
        self.reading.data(self.event)
    }

    /// The same under one name per thing.
    pub fn fields(&self) -> Fields<'a> {
        Fields::of(self.data())
    }

    /// The same for filters and templates.
    pub fn value(&self) -> &'a EventValue {
        self.reading.value(self.event)
    }

    /// What is known of the person that the event is about; only for destinations that ask for it, see
    /// [`super::Manifest::keeps_people`], and only if the event names somebody.
    pub fn profile(&self) -> Option<&'a Profile> {
        self.reading.profile()
    }

    /// The name of the source.
    pub fn source(&self) -> &'a str {
        self.reading.source()
    }
}
