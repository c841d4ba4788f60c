//! Facts: which events are still to be read for them, and to whom those of the others belong.

use std::collections::BTreeSet;

use domain::SubjectId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::failure::unreadable_record;
use super::memos;
use super::numbers::{EventNo, sql_limit};
use super::records::{IdentifierNo, Records};
use super::transaction::Tx;
use crate::subjects::is_forgettable;

/// Takes an event off the list, and notes to whom its fact belongs.
pub(super) fn belong(conn: &Connection, no: EventNo, to: Option<IdentifierNo>) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM unfolded WHERE event_no = ?1")?.execute([no.0])?;
    if owner(conn, no)? == to {
        return Ok(());
    }
    remove(conn, no)?;
    if let Some(identifier) = to {
        let mut insert = conn.prepare_cached("INSERT INTO facts (event_no, identifier_no) VALUES (?1, ?2)")?;
        insert.execute(params![no.0, identifier])?;
        let sql = "INSERT INTO identifier_events (identifier_no, event_no) VALUES (?1, ?2)";
        conn.prepare_cached(sql)?.execute(params![identifier, no.0])?;
    }
    Ok(())
}

/// The first events from `first` on that are still to be read.
pub(super) fn unfolded(conn: &Connection, first: EventNo, limit: usize) -> rusqlite::Result<Vec<EventNo>> {
    let sql = "SELECT event_no FROM unfolded WHERE event_no >= ?1 ORDER BY event_no LIMIT ?2";
    let mut find = conn.prepare_cached(sql)?;
    find.query_map(params![first.0, sql_limit(limit)], |row| row.get(0).map(EventNo))?.collect()
}

/// Puts an event on the list that was stored before there was one. One of which is known whose it is stays off it.
pub(super) fn read_again(conn: &Connection, no: EventNo) -> rusqlite::Result<()> {
    if owner(conn, no)?.is_none() {
        conn.prepare_cached("INSERT OR IGNORE INTO unfolded (event_no) VALUES (?1)")?.execute([no.0])?;
    }
    Ok(())
}

pub(super) fn is_unfolded(conn: &Connection, no: EventNo) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM unfolded WHERE event_no = ?1")?.exists([no.0])
}

/// The first `limit` events from `first` on whose facts belong to any of these.
pub(super) fn events_of(
    conn: &Connection,
    identifiers: &[IdentifierNo],
    first: EventNo,
    limit: usize,
) -> rusqlite::Result<BTreeSet<EventNo>> {
    let sql = "SELECT event_no FROM identifier_events WHERE identifier_no = ?1 AND event_no >= ?2 \
               ORDER BY event_no LIMIT ?3";
    let mut find = conn.prepare_cached(sql)?;
    let mut found = BTreeSet::new();
    for identifier in identifiers {
        for no in find.query_map(params![identifier, first.0, sql_limit(limit)], |row| row.get(0).map(EventNo))? {
            found.insert(no?);
        }
        while found.len() > limit {
            found.pop_last();
        }
    }
    Ok(found)
}

/// Forgets whose fact an event held that retention removes. Devices go with the last of their events: else they would be
/// kept for ever, and nobody would ever ask for them. One of which a destination has a record stays as a person does: whoever turns
/// out to be behind it gets that record and no second one. What cannot be read stays, and keeps nothing else from going.
pub(super) fn forget(tx: &Tx<'_>, no: EventNo) -> rusqlite::Result<()> {
    let Some(identifier) = remove(tx.conn, no)? else { return Ok(()) };
    forget_device(tx, identifier).or_else(|error| unreadable_record(&error).map(drop).ok_or(error))
}

fn forget_device(tx: &Tx<'_>, identifier: IdentifierNo) -> rusqlite::Result<()> {
    if is_spoken_of(tx.conn, identifier)? {
        return Ok(());
    }
    let Some((records, record)) = Records::of_no(tx.conn, &tx.state.shared, identifier)? else {
        // It had a number for the sake of its events alone.
        return tx.conn.prepare_cached("DELETE FROM identifiers WHERE no = ?1")?.execute([identifier]).map(drop);
    };
    let Some(subject) = records.subject(record.subject)? else { return Ok(()) };
    if !is_forgettable(&subject, [&record]) {
        return Ok(());
    }
    let mut others = Vec::new();
    for other in subject.identifiers.iter().filter(|other| **other != record.identifier) {
        if let Some(no) = records.find_no(other)?
            && is_spoken_of(tx.conn, no)?
        {
            return Ok(());
        }
        others.extend(records.identifier(other)?);
    }
    if !is_forgettable(&subject, &others) {
        return Ok(());
    }
    let gone: BTreeSet<SubjectId> = subject.absorbed.iter().copied().chain([subject.id]).collect();
    for id in &gone {
        if memos::is_bound(tx.conn, *id)? {
            return Ok(());
        }
    }
    for id in gone {
        records.remove_subject(id)?;
    }
    subject.identifiers.iter().try_for_each(|identifier| records.remove_identifier(identifier).map(drop))
}

/// Whether there are events whose facts belong to an identifier.
fn is_spoken_of(conn: &Connection, identifier: IdentifierNo) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM identifier_events WHERE identifier_no = ?1")?.exists([identifier])
}

fn owner(conn: &Connection, no: EventNo) -> rusqlite::Result<Option<IdentifierNo>> {
    let mut find = conn.prepare_cached("SELECT identifier_no FROM facts WHERE event_no = ?1")?;
    find.query_row([no.0], |row| row.get(0)).optional()
}

/// Removes what says to whom an event's fact belongs; returns to whom it belonged.
pub(super) fn remove(conn: &Connection, no: EventNo) -> rusqlite::Result<Option<IdentifierNo>> {
    let Some(identifier) = owner(conn, no)? else { return Ok(None) };
    conn.prepare_cached("DELETE FROM facts WHERE event_no = ?1")?.execute([no.0])?;
    let sql = "DELETE FROM identifier_events WHERE identifier_no = ?1 AND event_no = ?2";
    conn.prepare_cached(sql)?.execute(params![identifier, no.0])?;
    Ok(Some(identifier))
}
