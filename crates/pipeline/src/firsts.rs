//! Firsts: for a destination that wants only the first event of a type about a subject on each day.
//!
//! The first one takes the place of the day, on disk, before it is sent; whatever comes later finds it taken. The day is
//! that of the event's arrival, so a retry after midnight is still the first one of its own day.

use std::time::Duration;

use bytes::Bytes;
use domain::connector::Item;
use domain::{DeliveryId, DestinationId, Event, Privacy, Verdict};
use storage::{Memo, StoreError};
use tokio::time::Instant;

use crate::budget::day;
use crate::engine::Engine;
use crate::memory::{Patience, hashed};
use crate::view::View;

/// How long a place is kept: its day, and until the longest schedule is over.
const KEPT_FOR: Duration = Duration::from_hours(3 * 24);

/// Which items are not the first of their day, and the verdict over each of those. An event that is about nobody is always
/// the first.
pub(crate) async fn judge(
    engine: &Engine,
    of: DestinationId,
    items: &[Item<'_>],
    deadline: Instant,
) -> Result<Vec<Option<Verdict>>, StoreError> {
    let places: Vec<Option<Memo>> = items.iter().map(|item| place(item, engine)).collect();
    let claims: Vec<Memo> = places.iter().flatten().cloned().collect();
    let mut found = engine.remember(of, claims, Patience::Until(deadline)).await?.into_iter();
    let verdict = |(item, place): (&Item<'_>, &Option<Memo>)| {
        let first = place.as_ref().and_then(|_| found.next().flatten())?;
        let first = String::from_utf8_lossy(&first).into_owned();
        (first != item.event.id.to_string()).then(|| {
            Verdict::skip(format!(
                "the event `{first}` of the same type and about the same subject came first on {}",
                day(item.event.received_at)
            ))
        })
    };
    Ok(items.iter().zip(&places).map(verdict).collect())
}

/// Claims the place of an event.
fn place(item: &Item<'_>, engine: &Engine) -> Option<Memo> {
    let value = Bytes::from(item.event.id.to_string());
    Some(Memo::PutIfAbsent { key: key_of(item)?, value, expires_at: Some(engine.clock.now() + KEPT_FOR) })
}

/// Where the place lies that an event may have taken. What a destination may not see of its subject counts all the same.
pub(crate) fn key(event: &Event) -> Option<String> {
    let view = View::of(&Privacy::default(), event, String::new(), None);
    key_of(&view.item(DeliveryId { event: event.id, ordinal: 0 }, 1))
}

fn key_of(item: &Item<'_>) -> Option<String> {
    let (event, subject) = (item.event, item.fields().subject()?);
    Some(hashed(&format!("first:{}:", day(event.received_at)), &format!("{} {subject}", event.event_type)))
}
