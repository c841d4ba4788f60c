//! Deliveries to test with.

use std::sync::Arc;

use domain::delivery::{Class, Standing};
use domain::event::{DedupeKey, Event, TimeMark};
use domain::{AppspaceId, DeliveryId, DestinationId, EventId, SourceId, Timestamp};
use storage::{Fence, Owned};

/// When they were made.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_772_634_728);

/// A fresh delivery of the event with this number, whose body has so many bytes.
pub(crate) fn owned(number: u128, body_bytes: usize) -> Owned {
    let (id, appspace) = (EventId::mint(NOW, number), AppspaceId::mint(NOW, 1));
    let event = Event {
        id,
        appspace,
        source: SourceId::API,
        event_type: "install.tracked".parse().expect("an ordinary type"),
        occurred_at: NOW,
        received_at: NOW,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, appspace, b"{}"),
        body: vec![b' '; body_bytes].into(),
    };
    Owned {
        id: DeliveryId { event: id, ordinal: 0 },
        destination: DestinationId::mint(NOW, 1),
        fence: Fence(1),
        event: Arc::new(event),
        standing: Standing::new(Class::Fresh, NOW),
        created_at: NOW,
        replay: None,
    }
}
