//! Leaving: fresh deliveries that have been tried and go out of the table `fresh`, many at a time.
//!
//! What is tried together mostly lies together, and a stretch of rows is deleted at a fraction of what each of them costs
//! alone. What lies in between and stays is looked up first, so nothing else is ever deleted.

use rusqlite::params;

use super::numbers::{DeliveryNo, DestinationNo, FoldNo, sql_limit};
use super::transaction::Tx;

/// How many rows are looked at for each one that leaves, before the rest go one by one.
const LOOK_PER_ROW: usize = 2;

/// Rows that are to be deleted from `fresh` before the call that ends these deliveries is over.
#[derive(Debug, Default)]
pub(super) struct Leaving(Vec<(FoldNo, DestinationNo, DeliveryNo)>);

impl Leaving {
    /// Adds a delivery. In the tail, memory is its only queue, and there is nothing to delete.
    pub(super) fn add(&mut self, tx: &Tx<'_>, no: DeliveryNo, destination: DestinationNo) {
        if let Some(fold) = tx.fold_of(no.event()) {
            self.0.push((fold, destination, no));
        }
    }

    /// Deletes the rows.
    pub(super) fn end(mut self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        self.0.sort_unstable();
        for together in self.0.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (fold, destination, _) = together[0];
            let leaving: Vec<DeliveryNo> = together.iter().map(|&(.., no)| no).collect();
            let there = if leaving.len() > 1 { there(tx, fold, destination, &leaving)? } else { Vec::new() };
            let sql = "DELETE FROM fresh WHERE fold_no = ?1 AND destination_no = ?2 AND delivery_no BETWEEN ?3 AND ?4";
            let mut delete = tx.conn.prepare_cached(sql)?;
            for (first, last) in stretches(&leaving, &there) {
                delete.execute(params![fold, destination, first.0, last.0])?;
            }
        }
        Ok(())
    }
}

/// The rows from the first to the last that leaves, or as many of them as are worth looking at.
fn there(
    tx: &Tx<'_>,
    fold: FoldNo,
    destination: DestinationNo,
    leaving: &[DeliveryNo],
) -> rusqlite::Result<Vec<DeliveryNo>> {
    let (Some(first), Some(last)) = (leaving.first(), leaving.last()) else { return Ok(Vec::new()) };
    let sql = "SELECT delivery_no FROM fresh WHERE fold_no = ?1 AND destination_no = ?2 AND delivery_no BETWEEN ?3 AND ?4 \
               ORDER BY delivery_no LIMIT ?5";
    let range = params![fold, destination, first.0, last.0, sql_limit(LOOK_PER_ROW * leaving.len())];
    tx.conn.prepare_cached(sql)?.query_map(range, |row| row.get(0).map(DeliveryNo))?.collect()
}

/// What leaves, as stretches with nothing between their ends that stays. Both lists rise; `there` may end early.
fn stretches(mut leaving: &[DeliveryNo], there: &[DeliveryNo]) -> Vec<(DeliveryNo, DeliveryNo)> {
    let mut stretches: Vec<(DeliveryNo, DeliveryNo)> = Vec::new();
    let mut is_unbroken = false;
    for &no in there {
        while let Some((_, rest)) = leaving.split_first().filter(|(next, _)| **next < no) {
            leaving = rest;
        }
        let leaves = leaving.first() == Some(&no);
        if leaves {
            leaving = &leaving[1..];
            match stretches.last_mut() {
                Some(stretch) if is_unbroken => stretch.1 = no,
                _ => stretches.push((no, no)),
            }
        }
        is_unbroken = leaves;
    }
    stretches.extend(leaving.iter().map(|&no| (no, no)));
    stretches
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stretches_hold_what_leaves_and_nothing_that_stays(
            rows in prop::collection::btree_map(0_i64..60, any::<bool>(), 0..60),
            looked_at in 0_usize..60,
        ) {
            let all: Vec<DeliveryNo> = rows.keys().map(|&no| DeliveryNo(no)).collect();
            let leaving: Vec<DeliveryNo> = rows.iter().filter(|(_, leaves)| **leaves).map(|(&no, _)| DeliveryNo(no)).collect();
            let there = match (leaving.first(), leaving.last()) {
                (Some(first), Some(last)) => all.iter().copied().filter(|no| (first..=last).contains(&no)).take(looked_at).collect(),
                _ => Vec::new(),
            };
            let mut left: BTreeSet<DeliveryNo> = all.into_iter().collect();
            for (first, last) in stretches(&leaving, &there) {
                left.retain(|no| !(first..=last).contains(no));
            }
            let stays: BTreeSet<DeliveryNo> = rows.iter().filter(|(_, leaves)| !**leaves).map(|(&no, _)| DeliveryNo(no)).collect();
            prop_assert_eq!(left, stays);
        }
    }

    #[test]
    fn what_lies_together_goes_in_one_stroke() {
        let nos = |nos: &[i64]| nos.iter().map(|&no| DeliveryNo(no)).collect::<Vec<_>>();
        let strokes = |leaving: &[i64], there: &[i64]| stretches(&nos(leaving), &nos(there)).len();
        assert_eq!(strokes(&[1, 5, 9], &[1, 5, 9]), 1);
        assert_eq!(strokes(&[1, 5, 9], &[1, 3, 5, 9]), 2);
        assert_eq!(strokes(&[1, 5, 9], &[1]), 3);
    }
}
