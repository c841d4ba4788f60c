//! Storing events and the deliveries they cause.

use std::sync::Arc;

use domain::delivery::{Class, Standing};
use domain::event::{DedupeKey, Event};
use rusqlite::params;

use super::failure::TxResult;
use super::kept::Kept;
use super::ledger::{self, NewRow};
use super::numbers::{AppspaceNo, EventNo};
use super::rows;
use super::tail::TailEvent;
use super::transaction::{Change, Tx};
use crate::{Appended, DELIVERIES_PER_EVENT_MAX, NewDelivery, NewEvent, OnKnown, StoreError};

/// Stores what is new and counts what is known. Refuses before it writes anything.
pub(super) fn append(tx: &mut Tx<'_>, events: &[NewEvent], on_known: OnKnown) -> TxResult<Vec<Appended>> {
    check(tx, events, on_known)?;
    events.iter().map(|new| append_one(tx, new)).collect()
}

/// Refuses a call that cannot be stored as it is.
pub(super) fn check(tx: &mut Tx<'_>, events: &[NewEvent], on_known: OnKnown) -> TxResult<()> {
    if events.iter().any(|new| new.deliveries.len() > DELIVERIES_PER_EVENT_MAX) {
        return Err(too_many_deliveries().into());
    }
    match (on_known, events.first()) {
        (OnKnown::MustBeIdentical { next }, Some(first)) if !is_same_call(tx, events, &first.event, next)? => {
            Err(StoreError::IdempotencyMismatch.into())
        }
        _ => Ok(()),
    }
}

pub(super) fn too_many_deliveries() -> StoreError {
    StoreError::Limit(format!("an event has at most {DELIVERIES_PER_EVENT_MAX} deliveries"))
}

/// Whether a call is either new or the one that was made before under the same idempotency key.
fn is_same_call(tx: &mut Tx<'_>, events: &[NewEvent], first: &Event, next: DedupeKey) -> rusqlite::Result<bool> {
    let appspace = tx.state.names.appspace(tx.conn, first.appspace)?;
    if tx.state.dedupe.find(tx.conn, appspace, first, next)?.is_some() {
        return Ok(false);
    }
    let (mut new, mut same) = (0, 0);
    for NewEvent { event, .. } in events {
        match tx.state.dedupe.find(tx.conn, appspace, event, event.dedupe_key)? {
            None => new += 1,
            Some(no) if has_body(tx, no, &event.body)? => same += 1,
            Some(_) => return Ok(false),
        }
    }
    Ok(new == events.len() || same == events.len())
}

fn has_body(tx: &Tx<'_>, no: EventNo, body: &[u8]) -> rusqlite::Result<bool> {
    let mut find = tx.conn.prepare_cached("SELECT body FROM events WHERE no = ?1")?;
    find.query_row([no.0], |row| Ok(row.get_ref(0)?.as_blob()? == body))
}

fn append_one(tx: &mut Tx<'_>, new: &NewEvent) -> TxResult<Appended> {
    let event = &new.event;
    let appspace = tx.state.names.appspace(tx.conn, event.appspace)?;
    if let Some(first) = tx.state.dedupe.find(tx.conn, appspace, event, event.dedupe_key)? {
        return Ok(count_duplicate(tx, first)?);
    }
    let no = insert_event(tx, appspace, event)?;
    if new.has_facts {
        tx.await_fold(no)?;
    }
    let mut ordinal = 0;
    for delivery in &new.deliveries {
        // A destination that was deleted meanwhile is left out.
        if let Some(destination) = tx.state.names.destination(delivery.destination) {
            let (standing, note, event) = first_standing(tx, event, delivery);
            let created_at = new.event.received_at;
            let event_id = new.event.id;
            let no = no.delivery(ordinal);
            let row = NewRow { no, event_id, appspace, destination, standing, created_at, replay: None, note, event };
            ledger::insert(tx, row)?;
            ordinal += 1;
        }
    }
    Ok(Appended::Stored { id: event.id, deliveries: ordinal })
}

fn insert_event(tx: &mut Tx<'_>, appspace: AppspaceNo, event: &Event) -> rusqlite::Result<EventNo> {
    let source = tx.state.names.source(tx.conn, event.source)?;
    let event_type = tx.state.names.event_type(tx.conn, &event.event_type)?;
    let no = tx.next_event_no();
    tx.insert_event(params![
        no.0,
        event.id.to_bytes(),
        appspace,
        source,
        event_type,
        event.occurred_at.as_millis(),
        event.received_at.as_millis(),
        rows::time_mark_code(event.time_mark),
        event.dedupe_key.0,
        &event.body[..],
    ])?;
    tx.state.dedupe.note(appspace, event, no);
    let fingerprint = event.dedupe_key.fingerprint();
    let received_at = event.received_at;
    tx.change(Change::Logged(TailEvent { no, appspace, event_type, source, received_at, fingerprint }));
    Ok(no)
}

/// How a delivery begins: pending, or dead because its filter failed.
fn first_standing<'a>(
    tx: &Tx<'_>,
    event: &Arc<Event>,
    new: &'a NewDelivery,
) -> (Standing, Option<&'a str>, Option<Kept>) {
    let now = event.received_at;
    match &new.stillborn {
        None => (Standing::new(Class::Fresh, now), None, tx.state.shared.budget.keep(event)),
        Some((reason, note)) => (Standing::stillborn(*reason, now), Some(note), None),
    }
}

fn count_duplicate(tx: &Tx<'_>, first: EventNo) -> rusqlite::Result<Appended> {
    let mut count = tx.conn.prepare_cached(
        "INSERT INTO event_duplicates (event_no, count) VALUES (?1, 1) \
         ON CONFLICT (event_no) DO UPDATE SET count = count + 1 RETURNING count",
    )?;
    let duplicates = count.query_row([first.0], |row| row.get::<_, i64>(0))?;
    let mut find = tx.conn.prepare_cached("SELECT id FROM events WHERE no = ?1")?;
    let id = find.query_row([first.0], |row| row.get(0).map(domain::EventId::from_bytes))?;
    Ok(Appended::Duplicate { id, duplicates: duplicates.cast_unsigned() })
}
