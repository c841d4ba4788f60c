//! Erasure: a person leaves the store, and every page of its files.
//!
//! What SQLite deletes it overwrites, since `secure_delete` is on for the connection that writes; see [`super::shred`] for what that
//! leaves. The WAL still holds the pages
//! as they were, so an erasure is over only when the WAL has been moved and cut off.

use domain::DestinationId;
use rusqlite::{Connection, params};

use super::checkpoint;
use super::deliveries;
use super::facts;
use super::failure::TxResult;
use super::numbers::{DeliveryNo, EventNo};
use super::records::Records;
use super::rows;
use super::shred;
use super::transaction::Tx;
use crate::{Erased, Erasure, IdentifierRecord};

pub(super) fn erase(tx: &mut Tx<'_>, erasure: &Erasure) -> TxResult<Erased> {
    let appspace = tx.state.names.appspace(tx.conn, erasure.appspace)?;
    let mut erased = Erased::default();
    let shared = tx.state.shared.clone();
    let records = Records::new(tx.conn, &shared, appspace);
    let events = facts::events_of(tx.conn, &records.nos(&erasure.identifiers)?, EventNo(0), usize::MAX)?;
    let mut touched = Vec::new();
    for &no in &events {
        facts::remove(tx.conn, no)?;
        erase_event(tx, no, erasure, &mut erased, &mut touched)?;
    }
    erased.events = events.len();
    let events: Vec<i64> = events.into_iter().map(|no| no.0).collect();
    shred::EVENTS.shred(tx.conn, &events)?;
    shred::DELIVERIES.shred(tx.conn, &touched)?;
    shred::ATTEMPTS.shred(tx.conn, &touched)?;
    for identifier in &erasure.identifiers {
        let record = records.identifier(identifier)?;
        records.remove_identifier(identifier)?;
        if let Some(record) = record {
            erased.identifiers += 1;
            unlink(&records, &record)?;
        }
    }
    for &id in &erasure.subjects {
        erased.subjects += usize::from(records.remove_subject(id)?);
    }
    // Should the process stop before the WAL is emptied, the next start does it.
    tx.conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('erasure', 1)", [])?;
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

/// Puts the tombstone in the place of a body, and removes what was said about its deliveries.
fn erase_event(
    tx: &mut Tx<'_>,
    no: EventNo,
    erasure: &Erasure,
    erased: &mut Erased,
    touched: &mut Vec<i64>,
) -> TxResult<()> {
    let mut bury = tx.conn.prepare_cached("UPDATE events SET body = ?2 WHERE no = ?1")?;
    bury.execute(params![no.0, &erasure.tombstone[..]])?;
    let mut find = tx.conn.prepare_cached("SELECT no FROM deliveries WHERE no BETWEEN ?1 AND ?2")?;
    let range = params![no.first_delivery().0, no.last_delivery().0];
    let nos: Vec<DeliveryNo> = find.query_map(range, |row| row.get(0).map(DeliveryNo))?.collect::<Result<_, _>>()?;
    for no in nos {
        if let Some(row) = rows::delivery_row(tx.conn, no)?.filter(|row| row.standing.state.keeps_event()) {
            deliveries::cancel(tx, &row, erasure.now)?;
            *erased.cancelled.entry(destination_id(tx, no)?).or_default() += 1;
        }
        touched.push(no.0);
        let attempts = rows::attempts(tx.conn, no)?;
        erased.attempts += attempts.iter().filter(|it| it.error.is_some() || it.reply.is_some()).count();
        for sql in [
            "UPDATE attempts SET error = NULL, reply = NULL WHERE delivery_no = ?1",
            "UPDATE deliveries SET note = NULL, tried_reply = NULL WHERE no = ?1",
        ] {
            tx.conn.prepare_cached(sql)?.execute([no.0])?;
        }
    }
    Ok(())
}

fn destination_id(tx: &Tx<'_>, no: DeliveryNo) -> rusqlite::Result<DestinationId> {
    let sql = "SELECT n.value FROM deliveries d JOIN names n ON n.no = d.destination_no WHERE d.no = ?1";
    tx.conn.prepare_cached(sql)?.query_row([no.0], |row| row.get(0).map(DestinationId::from_bytes))
}
