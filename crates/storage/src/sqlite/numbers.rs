//! The numbers of rows.
//!
//! A delivery's number holds its event's, so the deliveries of one event are a range of rows, and a delivery is found
//! from its id without an index of its own.

/// The position of an event in the log: the order of storing, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EventNo(pub(super) i64);

/// The position of a delivery: its event, then its ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DeliveryNo(pub(super) i64);

/// The number of an appspace in the table `names`.
pub(super) type AppspaceNo = i64;
/// The number of a source in the table `names`.
pub(super) type SourceNo = i64;
/// The number of a destination in the table `names`.
pub(super) type DestinationNo = i64;
/// The number of an event type in the table `names`.
pub(super) type TypeNo = i64;
/// The number of a fold.
pub(super) type FoldNo = i64;

const ORDINAL_BITS: u32 = 16;

/// What of a delivery's number is its ordinal.
pub(super) const ORDINAL_MASK: i64 = (1 << ORDINAL_BITS) - 1;

impl EventNo {
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(super) const fn delivery(self, ordinal: u16) -> DeliveryNo {
        DeliveryNo((self.0 << ORDINAL_BITS) | ordinal as i64)
    }

    pub(super) const fn first_delivery(self) -> DeliveryNo {
        self.delivery(0)
    }

    pub(super) const fn last_delivery(self) -> DeliveryNo {
        self.delivery(u16::MAX)
    }
}

impl DeliveryNo {
    pub(super) const fn event(self) -> EventNo {
        EventNo(self.0 >> ORDINAL_BITS)
    }

    pub(super) const fn ordinal(self) -> u16 {
        let [.., high, low] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

/// A page cursor from a row number.
pub(super) const fn cursor_of(no: i64) -> u64 {
    no.cast_unsigned()
}

/// The row number below which a page begins.
pub(super) fn below_of(cursor: Option<u64>) -> i64 {
    cursor.map_or(i64::MAX, |cursor| i64::try_from(cursor).unwrap_or(i64::MAX))
}

/// A number of rows as SQL takes it.
pub(super) fn sql_limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
