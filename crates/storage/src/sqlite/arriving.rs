//! Arriving: fresh deliveries that have got there at their first try, written many at a time.
//!
//! What was tried together mostly stands at the same place of events that follow each other, and all of it says the same of
//! the try. Such a run is written by one statement, at a fraction of what each of its rows costs alone. Nothing else stands
//! at that place of those events, so no other row is ever touched.

use domain::{Attempt, Timestamp};
use rusqlite::params;

use super::numbers::{DeliveryNo, ORDINAL_MASK};
use super::transaction::Tx;

/// Rows that are to say, before the call that ends these deliveries is over, that they have arrived.
#[derive(Debug, Default)]
pub(super) struct Arriving<'a>(Vec<Arrival<'a>>);

#[derive(Debug, Clone, Copy)]
struct Arrival<'a> {
    no: DeliveryNo,
    attempt: &'a Attempt,
    ended_at: Timestamp,
}

impl<'a> Arriving<'a> {
    /// Adds a delivery and the first try, by which it has arrived.
    pub(super) fn add(&mut self, no: DeliveryNo, attempt: &'a Attempt, ended_at: Timestamp) {
        self.0.push(Arrival { no, attempt, ended_at });
    }

    /// Writes the rows.
    pub(super) fn end(mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.0.sort_unstable_by_key(|arrival| (arrival.no.ordinal(), arrival.no));
        for run in self.0.chunk_by(Arrival::is_followed_by) {
            let (Arrival { no: first, attempt, ended_at }, last) = (run[0], run[run.len() - 1].no);
            let (ended_at, started_at) = (ended_at.as_millis(), attempt.started_at.as_millis());
            let Attempt { duration_ms, status, reply, .. } = attempt;
            if run.len() == 1 {
                tx.arrive(params![ended_at, started_at, duration_ms, status, reply, first.0])?;
            } else {
                let ordinal = first.ordinal();
                let mut arrive = tx.conn.prepare_cached(
                    "UPDATE deliveries SET state = 1, attempts = 1, ended_at = ?1, tried_at = ?2, tried_ms = ?3, \
                     tried_status = ?4, tried_reply = ?5 WHERE no BETWEEN ?6 AND ?7 AND no & ?8 = ?9",
                )?;
                let (last, mask) = (last.0, ORDINAL_MASK);
                let all = params![ended_at, started_at, duration_ms, status, reply, first.0, last, mask, ordinal];
                arrive.execute(all)?;
            }
        }
        Ok(())
    }
}

impl Arrival<'_> {
    /// Whether another stands at the same place of the next event and says the same.
    fn is_followed_by(&self, next: &Self) -> bool {
        let said = |arrival: &Self| {
            let Attempt { started_at, duration_ms, status, .. } = *arrival.attempt;
            (arrival.ended_at, started_at, duration_ms, status)
        };
        next.no == self.no.event().next().delivery(self.no.ordinal())
            && said(self) == said(next)
            && self.attempt.reply == next.attempt.reply
    }
}
