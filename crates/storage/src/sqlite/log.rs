//! Walking the log: the tail in memory first, then the runs on disk, or the other way round.
//!
//! A walk first copies what it needs of the tail together with the list of folds, in one moment. Whatever is folded
//! afterwards is in the copy, so nothing is seen twice and nothing is missed.

use std::ops::ControlFlow;

use domain::Timestamp;
use rusqlite::{Connection, Row, params};

use super::blocks::{self, EventRef};
use super::numbers::{AppspaceNo, DeliveryNo, DestinationNo, EventNo, sql_limit};
use super::rows::malformed;
use super::shared::Shared;
use super::tail::{Fold, TailEvent};
use crate::page::PAGE_LIMIT_MAX;
use crate::{Page, PageRequest};

/// Most rows looked at for one page.
pub(super) const SCAN_ROWS_MAX: usize = 5_000;

/// A stretch of time: `from..to`, each end open if it is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
}

impl Span {
    pub(super) fn holds(self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }

    fn touches(self, fold: &Fold) -> bool {
        self.from.is_none_or(|from| fold.max_received_at >= from) && self.to.is_none_or(|to| fold.min_received_at < to)
    }
}

/// Visits events of an appspace with numbers below `below`, newest first. Those outside `span` may be left out.
pub(super) fn events_below(
    conn: &Connection,
    shared: &Shared,
    appspace: AppspaceNo,
    below: EventNo,
    span: Span,
    mut visit: impl FnMut(EventRef) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let (tail, folds) = tail_events(shared, appspace, span, |no| no < below);
    if visit_all(tail.into_iter().rev(), &mut visit)?.is_break() {
        return Ok(());
    }
    let mut find = conn.prepare_cached(
        "SELECT first_no, block FROM event_runs WHERE fold_no = ?1 AND appspace_no = ?2 AND first_no < ?3 \
         ORDER BY first_no DESC",
    )?;
    for fold in folds.iter().rev() {
        let mut rows = find.query(params![fold.no, appspace, below.0])?;
        while let Some(row) = rows.next()? {
            let events = events_at(row)?.into_iter().rev().filter(|event| event.no < below);
            if visit_all(events, &mut visit)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Visits events of an appspace from number `first` on, oldest first. Those outside `span` may be left out.
pub(super) fn events_from(
    conn: &Connection,
    shared: &Shared,
    appspace: AppspaceNo,
    first: EventNo,
    span: Span,
    mut visit: impl FnMut(EventRef) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let (tail, folds) = tail_events(shared, appspace, span, |no| no >= first);
    let mut find = conn.prepare_cached(
        "SELECT first_no, block FROM event_runs WHERE fold_no = ?1 AND appspace_no = ?2 AND first_no >= \
             (SELECT coalesce(max(first_no), 0) FROM event_runs \
              WHERE fold_no = ?1 AND appspace_no = ?2 AND first_no <= ?3) \
         ORDER BY first_no",
    )?;
    for fold in folds.iter().filter(|fold| fold.last >= first) {
        let mut rows = find.query(params![fold.no, appspace, first.0])?;
        while let Some(row) = rows.next()? {
            let events = events_at(row)?.into_iter().filter(|event| event.no >= first);
            if visit_all(events, &mut visit)?.is_break() {
                return Ok(());
            }
        }
    }
    visit_all(tail, visit).map(drop)
}

/// Visits deliveries to a destination with numbers below `below`, newest event first.
pub(super) fn deliveries_below(
    conn: &Connection,
    shared: &Shared,
    destination: DestinationNo,
    below: DeliveryNo,
    mut visit: impl FnMut(DeliveryNo) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let (tail, folds) = {
        let tail = shared.tail();
        let to_it = tail.deliveries.range(..below).rev().filter(|(_, to)| **to == destination).map(|(&no, _)| no);
        (to_it.take(SCAN_ROWS_MAX + 1).collect::<Vec<_>>(), tail.folds.clone())
    };
    if visit_all(tail, &mut visit)?.is_break() {
        return Ok(());
    }
    let mut find = conn.prepare_cached(
        "SELECT first_no, block FROM delivery_runs WHERE fold_no = ?1 AND destination_no = ?2 AND first_no < ?3 \
         ORDER BY first_no DESC",
    )?;
    for fold in folds.iter().rev() {
        let mut late = late_deliveries(conn, fold, destination, below)?.into_iter().peekable();
        let mut rows = find.query(params![fold.no, destination, below.0])?;
        while let Some(row) = rows.next()? {
            for no in deliveries_at(row)?.into_iter().rev().filter(|&no| no < below) {
                while let Some(newer) = late.next_if(|&late| late > no) {
                    if visit(newer)?.is_break() {
                        return Ok(());
                    }
                }
                if visit(no)?.is_break() {
                    return Ok(());
                }
            }
        }
        if visit_all(late, &mut visit)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

fn visit_all<T>(
    all: impl IntoIterator<Item = T>,
    mut visit: impl FnMut(T) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<ControlFlow<()>> {
    for one in all {
        if visit(one)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn events_at(row: &Row<'_>) -> rusqlite::Result<Vec<EventRef>> {
    let block = row.get_ref(1)?.as_blob()?;
    blocks::events(EventNo(row.get(0)?), block).ok_or_else(|| malformed(1, "block"))
}

fn deliveries_at(row: &Row<'_>) -> rusqlite::Result<Vec<DeliveryNo>> {
    let block = row.get_ref(1)?.as_blob()?;
    blocks::deliveries(DeliveryNo(row.get(0)?), block).ok_or_else(|| malformed(1, "block"))
}

/// Deliveries that were made after the fold of their events, newest event first; no more than a page looks at.
fn late_deliveries(
    conn: &Connection,
    fold: &Fold,
    destination: DestinationNo,
    below: DeliveryNo,
) -> rusqlite::Result<Vec<DeliveryNo>> {
    let mut find = conn.prepare_cached(
        "SELECT delivery_no FROM late_deliveries WHERE fold_no = ?1 AND destination_no = ?2 AND delivery_no < ?3 \
         ORDER BY delivery_no DESC LIMIT ?4",
    )?;
    let range = params![fold.no, destination, below.0, sql_limit(SCAN_ROWS_MAX + 1)];
    find.query_map(range, |row| row.get(0).map(DeliveryNo))?.collect()
}

/// Events of the tail, and the folds before them.
fn tail_events(
    shared: &Shared,
    appspace: AppspaceNo,
    span: Span,
    is_meant: impl Fn(EventNo) -> bool,
) -> (Vec<EventRef>, Vec<Fold>) {
    let tail = shared.tail();
    let of_appspace = tail.events.iter().filter(|event| event.appspace == appspace && is_meant(event.no));
    let in_span = of_appspace.filter(|event| span.holds(event.received_at));
    let events = in_span.map(TailEvent::entry);
    let folds = tail.folds.iter().filter(|fold| span.touches(fold)).copied();
    (events.collect(), folds.collect())
}

/// Gathers one page from a walk: stops when it is full, or when enough has been looked at.
#[derive(Debug)]
pub(super) struct Gather<T> {
    items: Vec<T>,
    limit: usize,
    looked_at: usize,
    last: Option<u64>,
    is_cut: bool,
}

impl<T> Gather<T> {
    pub(super) fn new(page: &PageRequest) -> Self {
        let limit = page.limit.clamp(1, PAGE_LIMIT_MAX);
        Self { items: Vec::with_capacity(limit), limit, looked_at: 0, last: None, is_cut: false }
    }

    /// Looks at a row that fits if there is an `item`. `cursor` is that of a page that ends with it.
    pub(super) fn look(&mut self, cursor: u64, item: Option<T>) -> ControlFlow<()> {
        let is_full = self.items.len() == self.limit;
        if (is_full && item.is_some()) || self.looked_at == SCAN_ROWS_MAX {
            self.is_cut = true;
            return ControlFlow::Break(());
        }
        self.items.extend(item);
        self.looked_at += 1;
        self.last = Some(cursor);
        ControlFlow::Continue(())
    }

    pub(super) fn finish(self) -> Page<T> {
        Page { items: self.items, next: self.last.filter(|_| self.is_cut) }
    }
}
