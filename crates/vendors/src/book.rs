//! What a simulator knows about what it was sent: the same book for every vendor, so that one test can judge them all.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;

use crate::faults::Fault;
use crate::request::Request;

/// Everything that arrived, and what became of it.
///
/// An item (a message, an event, a row, a mail) is known by the key that the vendor goes by: `messageId`, `insertId`,
/// the recipient … ; each simulator says which.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Every request, in the order of arrival.
    pub received: Vec<Received>,
    /// What the vendor kept, after its own deduplication: what its customer will see.
    pub stored: Vec<Entry>,
    /// What was answered with success and not kept, because the vendor had it already.
    pub duplicates: Vec<Entry>,
    /// What was answered with success and not kept, because the vendor swallows what it dislikes. Nobody learns of it.
    pub lost: Vec<Entry>,
    /// What was refused, and the client was told.
    pub refused: Vec<Entry>,
    /// What was kept although something about it is wrong: it pings everybody, it has no fallback text …
    pub flagged: Vec<Entry>,
    /// What did not fit into `received`.
    pub forgotten: u64,
    seen: HashMap<String, Duration>,
}

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub item: Value,
    /// Why it is in this list; empty for what was stored.
    pub reason: String,
}

/// One request and how it was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub request: Request,
    pub fault: Option<Fault>,
    /// `None` where there was no answer.
    pub status: Option<u16>,
}

impl Book {
    /// How often a key was stored: exactly once is what one hopes for.
    pub fn times_stored(&self, key: &str) -> usize {
        self.stored.iter().filter(|entry| entry.key == key).count()
    }

    /// The keys of what was stored, in order.
    pub fn stored_keys(&self) -> Vec<&str> {
        self.stored.iter().map(|entry| entry.key.as_str()).collect()
    }

    /// How often each key was stored, for tests of thousands.
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for entry in &self.stored {
            *counts.entry(entry.key.as_str()).or_default() += 1;
        }
        counts
    }

    /// How many requests met a fault.
    pub fn faults_met(&self) -> usize {
        self.received.iter().filter(|received| received.fault.is_some()).count()
    }

    /// Keeps an item.
    pub fn store(&mut self, key: impl Into<String>, item: Value) {
        self.stored.push(Entry { key: key.into(), item, reason: String::new() });
    }

    /// Keeps an item unless its key was stored within the window; returns whether it was kept.
    pub fn store_once(&mut self, key: impl Into<String>, item: Value, at: Duration, window: Duration) -> bool {
        let key = key.into();
        self.store_once_as(key.clone(), key, item, at, window)
    }

    /// The same where the vendor tells items apart by more than the key.
    pub fn store_once_as(
        &mut self,
        identity: String,
        key: impl Into<String>,
        item: Value,
        at: Duration,
        window: Duration,
    ) -> bool {
        if self.seen.get(&identity).is_some_and(|first| at.saturating_sub(*first) < window) {
            self.duplicates.push(Entry { key: key.into(), item, reason: "seen before".to_owned() });
            return false;
        }
        self.seen.insert(identity, at);
        self.store(key, item);
        true
    }

    /// Drops an item of which the client thinks that it arrived.
    pub fn lose(&mut self, key: impl Into<String>, item: Value, reason: impl Into<String>) {
        self.lost.push(Entry { key: key.into(), item, reason: reason.into() });
    }

    /// Refuses an item aloud.
    pub fn refuse(&mut self, key: impl Into<String>, item: Value, reason: impl Into<String>) {
        self.refused.push(Entry { key: key.into(), item, reason: reason.into() });
    }

    /// Notes what is wrong with an item that is kept all the same.
    pub fn flag(&mut self, key: impl Into<String>, item: Value, reason: impl Into<String>) {
        self.flagged.push(Entry { key: key.into(), item, reason: reason.into() });
    }

    /// The last requests, a line each, for a person who wants to know how something came about.
    pub(crate) fn transcript(&self) -> String {
        let left_out = self.received.len().saturating_sub(TOLD_MAX);
        let line = |Received { request, fault, status }: &Received| {
            let mut body = String::from_utf8_lossy(&request.body).replace('\n', " ");
            body.truncate(body.floor_char_boundary(TOLD_BYTES_MAX));
            let met = fault.map(|fault| format!(" {fault:?}")).unwrap_or_default();
            let status = status.map_or("no answer".to_owned(), |status| status.to_string());
            format!("{:?} {} {} -> {status}{met} {body}", request.at, request.method, request.target)
        };
        let lines: Vec<_> = self.received[left_out..].iter().map(line).collect();
        format!("{left_out} requests, and then:\n{}", lines.join("\n"))
    }

    pub(crate) fn receive(&mut self, received: Received) {
        if self.received.len() < RECEIVED_MAX {
            self.received.push(received);
        } else {
            self.forgotten += 1;
        }
    }
}

/// How many requests are kept with their bodies; a demo may run for days.
const RECEIVED_MAX: usize = 100_000;
/// How many requests a person is told of, and how much of their bodies.
const TOLD_MAX: usize = 800;
const TOLD_BYTES_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_is_told_of_the_last_requests() {
        let mut book = Book::default();
        for number in 0..=TOLD_MAX {
            let request = Request::new("POST", &format!("/{number}"), "a\nb");
            book.receive(Received { request, fault: Some(Fault::DropAfter), status: None });
        }
        let told = book.transcript();
        assert!(told.starts_with("1 requests, and then:\n0ns POST /1 -> no answer DropAfter a b\n"), "{told}");
        assert_eq!(told.lines().count(), 1 + TOLD_MAX);
    }

    #[test]
    fn a_key_is_stored_once_within_its_window_and_again_after_it() {
        let mut book = Book::default();
        let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
        assert!(book.store_once("a", json!(1), Duration::ZERO, hour));
        assert!(!book.store_once("a", json!(1), minute, hour));
        assert!(book.store_once("a", json!(1), hour, hour));
        assert_eq!((book.times_stored("a"), book.duplicates.len()), (2, 1));
        assert_eq!(book.counts(), BTreeMap::from([("a", 2)]));
    }
}
