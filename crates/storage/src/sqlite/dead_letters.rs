//! Dead letters: what will not be tried again by itself, in the order in which it died.

use std::ops::ControlFlow;

use domain::Timestamp;
use domain::verdict::FailureReason;
use rusqlite::{Connection, Row, params};

use super::deliveries;
use super::failure::TxResult;
use super::log::{Gather, Span};
use super::names::{self, Kind};
use super::numbers::{AppspaceNo, DeliveryNo, DestinationNo, below_of, cursor_of};
use super::rows::{self, reason_at};
use super::shared::Shared;
use super::transaction::Tx;
use crate::{DeadLetterQuery, DeliverySummary, Page, PageRequest};

/// A query with the numbers of what it names.
struct Meant {
    appspace: AppspaceNo,
    destination: Option<DestinationNo>,
    reason: Option<FailureReason>,
    span: Span,
}

/// Dead letters that fit, the latest to die first.
pub(super) fn list(
    conn: &Connection,
    shared: &Shared,
    query: &DeadLetterQuery,
    page: &PageRequest,
) -> rusqlite::Result<Page<DeliverySummary>> {
    let mut gather = Gather::new(page);
    let Some(meant) = Meant::by(conn, query)? else { return Ok(gather.finish()) };
    let mut find = conn.prepare_cached(
        "SELECT no, delivery_no, destination_no, reason, died_at FROM dead WHERE appspace_no = ?1 AND no < ?2 \
         ORDER BY no DESC",
    )?;
    let mut found = find.query(params![meant.appspace, below_of(page.cursor)])?;
    while let Some(row) = found.next()? {
        let no = DeliveryNo(row.get(1)?);
        let delivery = if meant.fits(row)? { rows::delivery(conn, no)? } else { None };
        let item = delivery.map(|(_, delivery)| deliveries::summary(conn, shared, delivery, no)).transpose()?;
        if gather.look(cursor_of(row.get(0)?), item).is_break() {
            break;
        }
    }
    Ok(gather.finish())
}

/// How many fit.
pub(super) fn count(conn: &Connection, query: &DeadLetterQuery) -> rusqlite::Result<u64> {
    let mut count = 0;
    visit(conn, query, |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

/// Retries up to `limit` that fit, the first to die first.
pub(super) fn redrive(tx: &mut Tx<'_>, query: &DeadLetterQuery, now: Timestamp, limit: usize) -> TxResult<usize> {
    let mut nos = Vec::new();
    if limit > 0 {
        visit(tx.conn, query, |no, destination| {
            // What a deleted destination has left is about to be cancelled.
            if deliveries::is_in_catalog(tx, destination) {
                nos.push(no);
            }
            if nos.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    for &no in &nos {
        if let Some(row) = rows::delivery_row(tx.conn, no)? {
            deliveries::retry(tx, &row, now)?;
        }
    }
    Ok(nos.len())
}

/// Visits those that fit, the first to die first.
fn visit(
    conn: &Connection,
    query: &DeadLetterQuery,
    mut visit: impl FnMut(DeliveryNo, DestinationNo) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let Some(meant) = Meant::by(conn, query)? else { return Ok(()) };
    let mut find = conn.prepare_cached(
        "SELECT no, delivery_no, destination_no, reason, died_at FROM dead WHERE appspace_no = ?1 ORDER BY no",
    )?;
    let mut found = find.query([meant.appspace])?;
    while let Some(row) = found.next()? {
        if meant.fits(row)? && visit(DeliveryNo(row.get(1)?), row.get(2)?).is_break() {
            break;
        }
    }
    Ok(())
}

impl Meant {
    /// `None` if the query names something that was never stored.
    fn by(conn: &Connection, query: &DeadLetterQuery) -> rusqlite::Result<Option<Self>> {
        let appspace = names::find(conn, Kind::Appspace, &query.appspace.to_bytes())?;
        let destination = query.destination.map(|id| names::find(conn, Kind::Destination, &id.to_bytes()));
        let destination = destination.transpose()?;
        let (Some(appspace), false) = (appspace, destination == Some(None)) else { return Ok(None) };
        let span = Span { from: query.from, to: query.to };
        Ok(Some(Self { appspace, destination: destination.flatten(), reason: query.reason, span }))
    }

    fn fits(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let destination: DestinationNo = row.get(2)?;
        let (reason, died_at) = (reason_at(row, 3)?, Timestamp::from_millis(row.get(4)?));
        Ok(self.destination.is_none_or(|meant| meant == destination)
            && self.reason.is_none_or(|meant| reason == Some(meant))
            && self.span.holds(died_at))
    }
}
