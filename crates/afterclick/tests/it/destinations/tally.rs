//! What became of each event at a destination, as the vendor sees it.

use std::collections::BTreeMap;

use vendors::{Book, Entry, Simulator};

use super::traffic::marks_in;

/// How often each mark is where the vendor's customer will see it, and what went wrong on the vendor's side.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) times: BTreeMap<String, usize>,
    /// How many events each message speaks of, where it names none of them.
    pub(super) counted: Option<Vec<usize>>,
    /// Swallowed without a word, with the vendor's secret reason.
    pub(super) lost: Vec<String>,
    /// Kept although something is wrong about them.
    pub(super) flagged: Vec<String>,
    /// Requests that came, and those among them that met a fault.
    pub(super) requests: usize,
    pub(super) faults: usize,
}

impl Tally {
    /// The book of a simulator.
    pub(super) fn of<V: Send + 'static>(simulator: &Simulator<V>) -> Self {
        simulator.book(Self::read)
    }

    fn read(book: &Book) -> Self {
        let mut tally = Self { requests: book.received.len(), faults: book.faults_met(), ..Self::default() };
        tally.times = count_marks(book.stored.iter().map(|entry| entry.item.to_string()));
        let reasons =
            |entries: &[Entry]| entries.iter().map(|entry| format!("{}: {}", entry.key, entry.reason)).collect();
        (tally.lost, tally.flagged) = (reasons(&book.lost), reasons(&book.flagged));
        tally
    }

    /// How often a mark is there.
    pub(super) fn of_mark(&self, mark: &str) -> usize {
        self.times.get(mark).copied().unwrap_or_default()
    }
}

/// How many of the items each mark stands in.
pub(super) fn count_marks(items: impl IntoIterator<Item = impl AsRef<str>>) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for item in items {
        for mark in marks_in(item.as_ref()) {
            *times.entry(mark.to_owned()).or_default() += 1;
        }
    }
    times
}
