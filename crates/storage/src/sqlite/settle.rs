//! Recording the outcomes of attempts.

use domain::Attempt;
use domain::delivery::{Class, Standing, State};
use domain::verdict::FailureReason;
use rusqlite::params;

use super::append;
use super::arriving::Arriving;
use super::failure::TxResult;
use super::leaving::Leaving;
use super::ledger;
use super::numbers::{DeliveryNo, DestinationNo};
use super::rows::{self, DeliveryRow};
use super::transaction::{Change, Tx};
use super::window::Waiting;
use crate::{OnKnown, Settled, Settlement};

/// Records outcomes and stores the events they cause.
pub(super) fn settle(tx: &mut Tx<'_>, settlements: &[Settlement]) -> TxResult<Vec<Settled>> {
    // The only step that can be refused goes first.
    for settlement in settlements {
        append::check(tx, settlement.news.as_slice(), OnKnown::Count)?;
    }
    let begun = begin(tx, settlements);
    let (mut leaving, mut arriving) = (Leaving::default(), Arriving::default());
    let mut settled = Vec::with_capacity(settlements.len());
    for (settlement, leased) in settlements.iter().zip(begun) {
        let Some((destination, waiting)) = leased else {
            settled.push(Settled::Stale);
            continue;
        };
        let Settlement { attempt, standing, now, .. } = settlement;
        if has_arrived_at_once(&waiting, attempt, standing) {
            leaving.add(tx, waiting.no, destination);
            arriving.add(waiting.no, attempt, *now);
        } else {
            insert_attempt(tx, waiting.no, attempt)?;
            let row = row_of(tx, destination, &waiting, standing.state)?;
            ledger::change_with(tx, &row, standing, *now, &mut leaving)?;
        }
        tx.change(Change::Settled { fence: settlement.fence, standing: *standing });
        append::append(tx, settlement.news.as_slice(), OnKnown::Count)?;
        settled.push(Settled::Done);
    }
    leaving.end(tx)?;
    arriving.end(tx)?;
    Ok(settled)
}

/// Marks the leases as ending, and returns what they are of; `None` where the delivery is somebody else's.
fn begin(tx: &mut Tx<'_>, settlements: &[Settlement]) -> Vec<Option<(DestinationNo, Waiting)>> {
    let mut lanes = tx.state.shared.lanes();
    let mut begin = |settlement: &Settlement| {
        let lease = lanes.begin_end(settlement.id, settlement.fence)?;
        Some((lease.destination, lease.waiting.bare()))
    };
    let begun: Vec<_> = settlements.iter().map(&mut begin).collect();
    drop(lanes);
    let owned = settlements.iter().zip(&begun).filter(|(_, leased)| leased.is_some());
    tx.ends(owned.map(|(settlement, _)| settlement.fence).collect::<Vec<_>>());
    begun
}

/// Whether this is what nearly always happens: a fresh delivery arrives at its first try, and nothing more is to be said.
fn has_arrived_at_once(waiting: &Waiting, attempt: &Attempt, standing: &Standing) -> bool {
    let before = waiting.standing();
    before == Standing::new(Class::Fresh, before.due_at)
        && *standing == Standing { state: State::Delivered, attempts: 1, ..before }
        && matches!(attempt, Attempt { number: 1, reason: None, error: None, .. })
}

/// The row as it is stored. Memory knows it, but for two things: a retry made due by a person in this very transaction
/// has another place in `due`, and the appspace is needed only where a dead letter is filed.
fn row_of(tx: &Tx<'_>, destination: DestinationNo, waiting: &Waiting, to: State) -> rusqlite::Result<DeliveryRow> {
    if waiting.class == Class::Fresh && to != State::Dead {
        return Ok(DeliveryRow {
            no: waiting.no,
            event_id: waiting.event_id,
            appspace: 0,
            destination,
            standing: waiting.standing(),
            created_at: waiting.created_at,
            replay: None,
            dead_no: None,
        });
    }
    rows::delivery_row(tx.conn, waiting.no)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

fn insert_attempt(tx: &Tx<'_>, no: DeliveryNo, attempt: &Attempt) -> rusqlite::Result<()> {
    let mut insert = tx.conn.prepare_cached(
        "INSERT OR REPLACE INTO attempts (delivery_no, number, started_at, duration_ms, status, reason, error, reply) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.execute(params![
        no.0,
        attempt.number,
        attempt.started_at.as_millis(),
        attempt.duration_ms,
        attempt.status,
        attempt.reason.map(FailureReason::code),
        attempt.error,
        attempt.reply,
    ])?;
    Ok(())
}
