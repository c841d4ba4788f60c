//! Folding: sorting a stretch of the tail into runs by appspace and by destination.
//!
//! A fold works through its rows in steps, one step at the beginning of each commit, so that no commit is held up for
//! long. Until its last step is committed the stretch still counts as tail; what an interrupted fold has left is removed
//! at the next start. Fresh deliveries that are pending when their step comes get a row in `fresh`, and from then on
//! whoever ends one removes it: that is why the step comes before the calls of its commit.

use domain::Timestamp;
use rusqlite::params;

use super::blocks::{self, EventRef};
use super::lanes::{TAIL_KEY_MIN, TailKey};
use super::numbers::{DeliveryNo, DestinationNo, EventNo, FoldNo};
use super::tail::{Fold, Tail, TailEvent};
use super::transaction::{Change, Tx};

/// Rows of `fresh` in one step.
const STEP_ROWS: usize = 2_000;
/// Blocks of one step.
const STEP_BLOCKS: usize = 1_000;
/// Most fingerprints of one row of `dedupe_log` after a fold.
const LOG_ROW_KEYS_MAX: usize = 4_096;

/// A fold under way.
#[derive(Debug)]
pub(super) struct FoldWork {
    fold: Fold,
    /// The last event of the fold before.
    after: EventNo,
    events: Vec<TailEvent>,
    deliveries: Vec<(DestinationNo, DeliveryNo)>,
    destinations: Vec<DestinationNo>,
    log: Vec<LogRow>,
    at: Place,
}

/// Where a fold has come to.
#[derive(Debug, Clone, Copy)]
enum Place {
    Events(usize),
    Deliveries(usize),
    Fresh { lane: usize, after: TailKey },
    End,
}

/// What one step has done, to be kept when it is committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoldStep {
    next: Place,
    is_last: bool,
}

/// A row of `dedupe_log`, made of those of many commits.
#[derive(Debug)]
struct LogRow {
    first: EventNo,
    received_at: Timestamp,
    fingerprints: Vec<u8>,
}

impl FoldWork {
    /// A fold of the whole tail; `None` if that is empty.
    pub(super) fn begin(tail: &Tail) -> Option<Self> {
        let last = tail.events.back()?.no;
        let times = tail.events.iter().map(|event| event.received_at);
        let fold = Fold {
            no: tail.folds.last().map_or(1, |fold| fold.no + 1),
            last,
            min_received_at: times.clone().min()?,
            max_received_at: times.max()?,
        };
        let log = log_rows(tail.events.iter());
        let mut events: Vec<TailEvent> = tail.events.iter().copied().collect();
        events.sort_unstable_by_key(|event| (event.appspace, event.no));
        let of_events = tail.deliveries.range(..=last.last_delivery());
        let mut deliveries: Vec<_> = of_events.map(|(&no, &destination)| (destination, no)).collect();
        deliveries.sort_unstable();
        let mut destinations: Vec<DestinationNo> = deliveries.iter().map(|&(destination, _)| destination).collect();
        destinations.dedup();
        Some(Self { fold, after: tail.folded_to(), events, deliveries, destinations, log, at: Place::Events(0) })
    }

    pub(super) const fn no(&self) -> FoldNo {
        self.fold.no
    }

    /// Whether an event of the tail belongs to this fold.
    pub(super) fn covers(&self, no: EventNo) -> bool {
        no > self.after && no <= self.fold.last
    }

    /// Writes the next rows.
    pub(super) fn step(&self, tx: &mut Tx<'_>) -> rusqlite::Result<FoldStep> {
        let next = match self.at {
            Place::Events(from) => self.write_events(tx, from)?,
            Place::Deliveries(from) => self.write_deliveries(tx, from)?,
            Place::Fresh { lane, after } => self.write_fresh(tx, lane, after)?,
            Place::End => {
                self.write_end(tx)?;
                return Ok(FoldStep { next: Place::End, is_last: true });
            }
        };
        Ok(FoldStep { next, is_last: false })
    }

    /// Keeps a committed step; returns whether it was the last.
    pub(super) fn advance(&mut self, step: FoldStep) -> bool {
        self.at = step.next;
        step.is_last
    }

    fn write_events(&self, tx: &Tx<'_>, from: usize) -> rusqlite::Result<Place> {
        let mut insert = tx
            .conn
            .prepare_cached("INSERT INTO event_runs (fold_no, appspace_no, first_no, block) VALUES (?1, ?2, ?3, ?4)")?;
        let mut at = from;
        for _ in 0..STEP_BLOCKS {
            let Some(&TailEvent { appspace, no, .. }) = self.events.get(at) else { return Ok(Place::Deliveries(0)) };
            let of_block = self.events[at..].iter().take_while(|event| event.appspace == appspace);
            let of_block = of_block.take(blocks::ENTRIES_MAX).map(TailEvent::entry);
            let entries: Vec<EventRef> = of_block.collect();
            at += entries.len();
            let block = blocks::of_events(entries.into_iter());
            insert.execute(params![self.fold.no, appspace, no.0, block])?;
        }
        Ok(Place::Events(at))
    }

    fn write_deliveries(&self, tx: &Tx<'_>, from: usize) -> rusqlite::Result<Place> {
        let mut insert = tx.conn.prepare_cached(
            "INSERT INTO delivery_runs (fold_no, destination_no, first_no, block) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let mut at = from;
        for _ in 0..STEP_BLOCKS {
            let Some(&(destination, first)) = self.deliveries.get(at) else {
                return Ok(Place::Fresh { lane: 0, after: TAIL_KEY_MIN });
            };
            let of_block = self.deliveries[at..].iter().take_while(|(to, _)| *to == destination);
            let entries: Vec<DeliveryNo> = of_block.take(blocks::ENTRIES_MAX).map(|&(_, no)| no).collect();
            at += entries.len();
            let block = blocks::of_deliveries(entries.into_iter());
            insert.execute(params![self.fold.no, destination, first.0, block])?;
        }
        Ok(Place::Deliveries(at))
    }

    fn write_fresh(&self, tx: &Tx<'_>, mut lane: usize, mut after: TailKey) -> rusqlite::Result<Place> {
        let mut insert = tx
            .conn
            .prepare_cached("INSERT OR IGNORE INTO fresh (fold_no, destination_no, delivery_no) VALUES (?1, ?2, ?3)")?;
        let mut left = STEP_ROWS;
        while let Some(&destination) = self.destinations.get(lane) {
            let (nos, last) = tx.state.shared.lanes().fresh_of_tail(destination, after, self.fold.last, left);
            for no in &nos {
                insert.execute(params![self.fold.no, destination, no.0])?;
            }
            left = left.saturating_sub(nos.len());
            if let Some(last) = last {
                return Ok(Place::Fresh { lane, after: last });
            }
            lane += 1;
            after = TAIL_KEY_MIN;
            if left == 0 {
                return Ok(Place::Fresh { lane, after });
            }
        }
        Ok(Place::End)
    }

    fn write_end(&self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let mut delete = tx.conn.prepare_cached("DELETE FROM dedupe_log WHERE first_event_no BETWEEN ?1 AND ?2")?;
        delete.execute(params![self.after.next().0, self.fold.last.0])?;
        let mut insert = tx
            .conn
            .prepare_cached("INSERT INTO dedupe_log (first_event_no, received_at, fingerprints) VALUES (?1, ?2, ?3)")?;
        for row in &self.log {
            insert.execute(params![row.first.0, row.received_at.as_millis(), row.fingerprints])?;
        }
        let mut insert = tx.conn.prepare_cached(
            "INSERT INTO folds (no, last_event_no, min_received_at, max_received_at) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let Fold { no, last, min_received_at, max_received_at } = self.fold;
        insert.execute(params![no, last.0, min_received_at.as_millis(), max_received_at.as_millis()])?;
        tx.change(Change::Folded(self.fold));
        Ok(())
    }
}

/// The fingerprints of a stretch of the log, in as few rows as may be.
fn log_rows<'a>(events: impl Iterator<Item = &'a TailEvent>) -> Vec<LogRow> {
    let mut rows: Vec<LogRow> = Vec::new();
    for event in events {
        let keys = |row: &LogRow| row.fingerprints.len() / 8;
        let follows = |row: &LogRow| row.first.0 + i64::try_from(keys(row)).unwrap_or(0) == event.no.0;
        let fingerprint = event.fingerprint.to_le_bytes();
        match rows.last_mut().filter(|row| keys(row) < LOG_ROW_KEYS_MAX && follows(row)) {
            Some(row) => {
                row.fingerprints.extend_from_slice(&fingerprint);
                row.received_at = row.received_at.max(event.received_at);
            }
            None => rows.push(LogRow {
                first: event.no,
                received_at: event.received_at,
                fingerprints: fingerprint.to_vec(),
            }),
        }
    }
    rows
}
