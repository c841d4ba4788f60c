//! Deduplication: which stored event, if any, an event is a duplicate of.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use domain::event::DedupeKey;
use domain::{Event, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::fingerprints::Fingerprints;
use super::numbers::{AppspaceNo, EventNo};

/// The committed fingerprints, and those of the open transaction.
#[derive(Debug)]
pub(super) struct Dedupe {
    table: Fingerprints,
    window: Duration,
    /// Events of the open transaction by key.
    open: HashMap<(AppspaceNo, DedupeKey), (EventNo, Timestamp), BuildHasherDefault<KeyHasher>>,
    /// Their fingerprints in the order of their numbers, as bytes for `dedupe_log`.
    log: Vec<u8>,
    log_first: EventNo,
    log_received_at: Timestamp,
}

impl Dedupe {
    /// Reads the fingerprints of the last window. What counts as the last moment is in the log itself, not on a clock.
    pub(super) fn load(conn: &Connection, window: Duration) -> rusqlite::Result<Self> {
        let newest = conn
            .query_row("SELECT max(received_at) FROM dedupe_log", [], |row| row.get::<_, Option<i64>>(0))?
            .unwrap_or(0);
        let oldest = Timestamp::from_millis(newest) - window;
        let mut table = Fingerprints::default();
        reserve(conn, &mut table, oldest)?;
        let mut rows =
            conn.prepare("SELECT first_event_no, received_at, fingerprints FROM dedupe_log WHERE received_at >= ?1")?;
        let mut rows = rows.query([oldest.as_millis()])?;
        while let Some(row) = rows.next()? {
            let received_at = Timestamp::from_millis(row.get(1)?);
            let bytes = row.get_ref(2)?.as_blob()?;
            table.extend(received_at, EventNo(row.get(0)?), words(bytes));
        }
        Ok(Self {
            table,
            window,
            open: HashMap::default(),
            log: Vec::new(),
            log_first: EventNo(0),
            log_received_at: Timestamp::from_millis(i64::MIN),
        })
    }

    /// The newest event that `event` would be a duplicate of if its key were `key`.
    pub(super) fn find(
        &self,
        conn: &Connection,
        appspace: AppspaceNo,
        event: &Event,
        key: DedupeKey,
    ) -> rusqlite::Result<Option<EventNo>> {
        let is_within = |first: Timestamp| event.received_at.since(first) < self.window;
        if let Some(&(no, received_at)) = self.open.get(&(appspace, key)) {
            return Ok(is_within(received_at).then_some(no));
        }
        let mut newest = None;
        for candidate in self.table.find(key.fingerprint()) {
            let mut exact = conn.prepare_cached(
                "SELECT received_at FROM events WHERE no = ?1 AND appspace_no = ?2 AND dedupe_key = ?3",
            )?;
            let found = exact.query_row(params![candidate.0, appspace, key.0], |row| row.get(0)).optional()?;
            if let Some(received_at) = found {
                newest = newest.max(Some((candidate, Timestamp::from_millis(received_at))));
            }
        }
        Ok(newest.filter(|&(_, received_at)| is_within(received_at)).map(|(no, _)| no))
    }

    /// Notes an event that the open transaction stores.
    pub(super) fn note(&mut self, appspace: AppspaceNo, event: &Event, no: EventNo) {
        if self.log.is_empty() {
            self.log_first = no;
        }
        self.open.insert((appspace, event.dedupe_key), (no, event.received_at));
        self.log.extend_from_slice(&event.dedupe_key.fingerprint().to_le_bytes());
        self.log_received_at = self.log_received_at.max(event.received_at);
    }

    /// What the open transaction adds to `dedupe_log`.
    pub(super) fn logged(&self) -> Option<(Timestamp, &[u8])> {
        (!self.log.is_empty()).then_some((self.log_received_at, self.log.as_slice()))
    }

    pub(super) fn committed(&mut self) {
        if !self.log.is_empty() {
            let day_before = self.table.newest_day();
            self.table.extend(self.log_received_at, self.log_first, words(&self.log));
            if self.table.newest_day() != day_before {
                self.table.drop_before(self.oldest());
            }
        }
        self.rolled_back();
    }

    pub(super) fn rolled_back(&mut self) {
        self.open.clear();
        self.log.clear();
        self.log_received_at = Timestamp::from_millis(i64::MIN);
    }

    /// Rows of `dedupe_log` before this moment are of no use any more.
    pub(super) fn oldest(&self) -> Timestamp {
        self.table.newest_day() - self.window
    }
}

/// Hashes what is a hash already: keys are SHA-256, so any word of one is as good as another.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let word = bytes.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        self.0 = self.0.rotate_left(29) ^ word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Makes room for each day's fingerprints, so that no table grows while it is loaded.
fn reserve(conn: &Connection, table: &mut Fingerprints, oldest: Timestamp) -> rusqlite::Result<()> {
    let mut days = conn.prepare(
        "SELECT max(received_at), min(first_event_no), sum(length(fingerprints)) / 8 FROM dedupe_log
         WHERE received_at >= ?1 GROUP BY received_at / 86400000",
    )?;
    let mut days = days.query([oldest.as_millis()])?;
    while let Some(row) = days.next()? {
        let keys = usize::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
        table.reserve(Timestamp::from_millis(row.get(0)?), keys, EventNo(row.get(1)?));
    }
    Ok(())
}

/// The fingerprints in a row of `dedupe_log`.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word))
}
