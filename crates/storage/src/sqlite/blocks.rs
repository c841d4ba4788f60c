//! Blocks of a run: many rows of an index in one blob.
//!
//! A run is written once, sorted, and only ever read in order. So its rows need no tree of their own: a row of the table
//! is a block of up to [`ENTRIES_MAX`] entries, each a few bytes after the one before. That makes folding nearly free.

use super::numbers::{DeliveryNo, EventNo, SourceNo, TypeNo};

/// Most entries of one block: little to read for one entry, and still fits in a page.
pub(super) const ENTRIES_MAX: usize = 192;

/// An event as a run knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventRef {
    pub(super) no: EventNo,
    pub(super) event_type: TypeNo,
    pub(super) source: SourceNo,
}

/// A block of events in rising order; the first one's number is its key.
pub(super) fn of_events(events: impl Iterator<Item = EventRef>) -> Vec<u8> {
    let mut block = Vec::new();
    let mut last = None;
    for event in events {
        put(&mut block, event.no.0 - last.unwrap_or(event.no.0));
        put(&mut block, event.event_type);
        put(&mut block, event.source);
        last = Some(event.no.0);
    }
    block
}

/// The inverse of [`of_events`]; `None` if the block is damaged.
pub(super) fn events(first: EventNo, mut block: &[u8]) -> Option<Vec<EventRef>> {
    let mut events = Vec::with_capacity(ENTRIES_MAX);
    let mut no = first.0;
    while !block.is_empty() {
        no = no.checked_add(take(&mut block)?)?;
        let (event_type, source) = (take(&mut block)?, take(&mut block)?);
        events.push(EventRef { no: EventNo(no), event_type, source });
    }
    Some(events)
}

/// A block of deliveries in rising order; the first one's number is its key.
pub(super) fn of_deliveries(deliveries: impl Iterator<Item = DeliveryNo>) -> Vec<u8> {
    let mut block = Vec::new();
    let mut last = None;
    for no in deliveries {
        put(&mut block, no.0 - last.unwrap_or(no.0));
        last = Some(no.0);
    }
    block
}

/// The inverse of [`of_deliveries`]; `None` if the block is damaged.
pub(super) fn deliveries(first: DeliveryNo, mut block: &[u8]) -> Option<Vec<DeliveryNo>> {
    let mut deliveries = Vec::with_capacity(ENTRIES_MAX);
    let mut no = first.0;
    while !block.is_empty() {
        no = no.checked_add(take(&mut block)?)?;
        deliveries.push(DeliveryNo(no));
    }
    Some(deliveries)
}

/// Writes a number that is not negative, seven bits to a byte, the lowest first.
fn put(block: &mut Vec<u8>, number: i64) {
    let mut rest = number.cast_unsigned();
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            return block.push(low & 0x7F);
        }
        block.push(low | 0x80);
    }
}

fn take(block: &mut &[u8]) -> Option<i64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = block.split_first()?;
        *block = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number.cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_reads_back_as_it_was_written(
            first in 1i64..1 << 40,
            entries in prop::collection::vec((1i64..1 << 30, 1i64..1 << 20, 1i64..300), 1..ENTRIES_MAX),
        ) {
            let mut no = first - entries[0].0;
            let events_in: Vec<EventRef> = entries.iter().map(|&(step, event_type, source)| {
                no += step;
                EventRef { no: EventNo(no), event_type, source }
            }).collect();
            let block = of_events(events_in.iter().copied());
            prop_assert_eq!(events(EventNo(first), &block), Some(events_in.clone()));

            let nos: Vec<DeliveryNo> = events_in.iter().map(|event| DeliveryNo(event.no.0)).collect();
            let block = of_deliveries(nos.iter().copied());
            prop_assert_eq!(deliveries(DeliveryNo(first), &block), Some(nos));
        }

        #[test]
        fn a_damaged_block_is_noticed_or_read_but_never_breaks(block in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = events(EventNo(1), &block);
            let _ = deliveries(DeliveryNo(1), &block);
        }
    }

    #[test]
    fn an_ordinary_entry_takes_three_bytes() {
        let entry = |no| EventRef { no: EventNo(no), event_type: 9, source: 4 };
        assert_eq!(of_events((1..=100).map(entry)).len(), 300);
        assert_eq!(of_deliveries((1..=100).map(|no| EventNo(no).delivery(0))).len(), 298);
    }
}
