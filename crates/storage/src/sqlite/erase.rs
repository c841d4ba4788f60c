//! Erasure: a person leaves the store, and every page of its files.
//!
//! In pieces: some events at a time, then the records that they were found by. So nobody waits long, and whoever was interrupted
//! goes on where it stopped. The places around are overwritten when nothing of the person is left: to move rows that still
//! say something would leave new copies.
//!
//! What SQLite deletes it overwrites, since `secure_delete` is on for the connection that writes; see [`super::shred`] for what that
//! leaves. The WAL still holds the pages
//! as they were, so an erasure is over only when the WAL has been moved and cut off.

use std::collections::BTreeSet;

use domain::DestinationId;
use rusqlite::{Connection, params};

use super::checkpoint;
use super::chores;
use super::deliveries;
use super::facts;
use super::failure::TxResult;
use super::memos;
use super::numbers::{DeliveryNo, EventNo};
use super::records::Records;
use super::rows;
use super::shred;
use super::transaction::Tx;
use crate::subjects::Piece;
use crate::{Erased, Erasure, IdentifierRecord};

/// Most events whose neighbours are written anew in one step.
const WIPED_TOGETHER_MAX: usize = 32;

pub(super) fn erase(tx: &mut Tx<'_>, erasure: &Erasure) -> TxResult<Erased> {
    let appspace = tx.state.names.appspace(tx.conn, erasure.appspace)?;
    let shared = tx.state.shared.clone();
    let records = Records::new(tx.conn, &shared, appspace);
    // Should the process stop before the WAL is emptied, the next start does it.
    tx.conn.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('erasure', 1)")?.execute([])?;
    let piece = Piece::of(erasure);
    let events = facts::events_of(tx.conn, &records.nos(&erasure.identifiers)?, EventNo(0), piece.events())?;
    if events.is_empty() { erase_records(tx, &records, erasure) } else { erase_events(tx, events, piece, erasure) }
}

/// Empties as many of these events as one piece takes.
fn erase_events(tx: &mut Tx<'_>, events: BTreeSet<EventNo>, mut piece: Piece, erasure: &Erasure) -> TxResult<Erased> {
    let mut erased = Erased { more: true, ..Erased::default() };
    for no in events {
        facts::remove(tx.conn, no)?;
        let deliveries = erase_event(tx, no, erasure, &mut erased)?;
        chores::add(tx, chores::Kind::Wipe, no.0)?;
        erased.events += 1;
        if piece.is_full_after(deliveries) {
            break;
        }
    }
    Ok(erased)
}

/// The last piece: who was known, and as whom.
fn erase_records(tx: &Tx<'_>, records: &Records<'_>, erasure: &Erasure) -> TxResult<Erased> {
    let mut erased = Erased { memos: memos::forget_all(tx, &erasure.memos)?, ..Erased::default() };
    for identifier in &erasure.identifiers {
        let record = records.identifier(identifier)?;
        records.remove_identifier(identifier)?;
        if let Some(record) = record {
            erased.identifiers += 1;
            unlink(records, &record)?;
        }
    }
    for &id in &erasure.subjects {
        erased.subjects += usize::from(records.remove_subject(id)?);
    }
    Ok(erased)
}

/// Empties the WAL at a start, if an erasure may have left something there.
pub(super) fn finish(conn: &Connection) -> rusqlite::Result<()> {
    if conn.prepare("SELECT 1 FROM meta WHERE key = 'erasure'")?.exists([])? && checkpoint::truncate(conn)? {
        conn.execute("DELETE FROM meta WHERE key = 'erasure'", [])?;
    }
    Ok(())
}

/// Each link is kept at both ends; the other one still names who is erased.
fn unlink(records: &Records<'_>, erased: &IdentifierRecord) -> rusqlite::Result<()> {
    for other in erased.links.keys() {
        if let Some(mut other) = records.identifier(other)? {
            other.links.remove(&erased.identifier);
            records.put_identifier(&other)?;
        }
    }
    Ok(())
}

/// Puts the tombstone in the place of a body, and removes what was said about its deliveries; returns how many these are.
fn erase_event(tx: &mut Tx<'_>, no: EventNo, erasure: &Erasure, erased: &mut Erased) -> TxResult<usize> {
    let mut bury = tx.conn.prepare_cached("UPDATE events SET body = ?2 WHERE no = ?1")?;
    bury.execute(params![no.0, &erasure.tombstone[..]])?;
    let nos = deliveries_of(tx.conn, no)?;
    for &no in &nos {
        if let Some(row) = rows::delivery_row(tx.conn, no)?.filter(|row| row.standing.state.keeps_event()) {
            deliveries::cancel(tx, &row, erasure.now)?;
            *erased.cancelled.entry(destination_id(tx, no)?).or_default() += 1;
        }
        let attempts = rows::attempts(tx.conn, no)?;
        erased.attempts += attempts.iter().filter(|it| it.error.is_some() || it.reply.is_some()).count();
        for sql in [
            "UPDATE attempts SET error = NULL, reply = NULL WHERE delivery_no = ?1",
            "UPDATE deliveries SET note = NULL, tried_reply = NULL WHERE no = ?1",
        ] {
            tx.conn.prepare_cached(sql)?.execute([no.0])?;
        }
    }
    Ok(nos.len())
}

/// Overwrites the places around events that were emptied, for some of them; returns whether there may be more.
pub(super) fn wipe(tx: &mut Tx<'_>) -> rusqlite::Result<bool> {
    let events = chores::some_of(tx, chores::Kind::Wipe, WIPED_TOGETHER_MAX)?;
    let mut deliveries = Vec::new();
    for &no in &events {
        deliveries.extend(deliveries_of(tx.conn, EventNo(no))?.into_iter().map(|no| no.0));
        chores::remove(tx, chores::Kind::Wipe, no)?;
    }
    shred::EVENTS.shred(tx.conn, &events)?;
    shred::DELIVERIES.shred(tx.conn, &deliveries)?;
    shred::ATTEMPTS.shred(tx.conn, &deliveries)?;
    Ok(!events.is_empty())
}

/// Whether there is anything left for [`wipe`].
pub(super) fn is_to_be_wiped(tx: &Tx<'_>) -> rusqlite::Result<bool> {
    Ok(!chores::some_of(tx, chores::Kind::Wipe, 1)?.is_empty())
}

fn deliveries_of(conn: &Connection, no: EventNo) -> rusqlite::Result<Vec<DeliveryNo>> {
    let mut find = conn.prepare_cached("SELECT no FROM deliveries WHERE no BETWEEN ?1 AND ?2")?;
    let range = params![no.first_delivery().0, no.last_delivery().0];
    find.query_map(range, |row| row.get(0).map(DeliveryNo))?.collect()
}

fn destination_id(tx: &Tx<'_>, no: DeliveryNo) -> rusqlite::Result<DestinationId> {
    let sql = "SELECT n.value FROM deliveries d JOIN names n ON n.no = d.destination_no WHERE d.no = ?1";
    tx.conn.prepare_cached(sql)?.query_row([no.0], |row| row.get(0).map(DestinationId::from_bytes))
}
