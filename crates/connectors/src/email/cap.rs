//! No more than so many mails to one person in a day.
//!
//! What was sent is remembered as a binding: the subject is a hash of the address, so that nothing tells who was
//! mailed, and its value is the day and the events of that day. A new day takes the place of the last one, so a person
//! never takes more room than one day. What is known not to have gone out is taken back. A second subject never has a
//! value: the engine lets one exchange at a time ask for one of those, so two mails to one person never go out at the
//! same moment without seeing each other.

use domain::connector::Progress;
use domain::{EventId, Settings, Timestamp};
use lettre::Address;

/// Most mails that can be asked for.
pub(super) const PER_DAY_MAX: i64 = 100;

/// How many mails one person gets in a day of UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cap {
    per_day: usize,
}

impl Cap {
    pub(super) fn read(settings: &Settings) -> Option<Self> {
        let per_day = settings.integer("per_recipient_per_day")?;
        Some(Self { per_day: usize::try_from(per_day).unwrap_or(1) })
    }

    /// Whether somebody may get the mail of this event. A mail that is tried again is not a second one.
    pub(super) fn admits(self, to: &Address, event: EventId, now: Timestamp, progress: &Progress) -> bool {
        let sent = sent(to, now, progress);
        let event = event.to_string();
        sent.iter().any(|it| *it == event) || sent.len() < self.per_day
    }

    /// Why somebody gets nothing.
    pub(super) fn reached(self) -> String {
        format!(
            "the recipient has had {} today, which is what `per_recipient_per_day` allows",
            match self.per_day {
                1 => "a mail".to_owned(),
                count => format!("{count} mails"),
            }
        )
    }
}

/// Remembers the mail before it is sent.
pub(super) fn count(to: &Address, event: EventId, now: Timestamp, progress: &mut Progress) {
    let event = event.to_string();
    let sent = sent(to, now, progress);
    if !sent.contains(&event.as_str()) {
        let value = value(now, sent.into_iter().chain([event.as_str()]));
        progress.bind(subject(to), value);
        progress.notes.insert(counted(to), String::new());
    }
}

/// Takes back what this exchange has remembered, because the mail did not go out. What an earlier one has remembered stays: if it
/// was cut off, its mail may have gone out.
pub(super) fn take_back(to: &Address, event: EventId, now: Timestamp, progress: &mut Progress) {
    if progress.notes.remove(&counted(to)).is_some() {
        let event = event.to_string();
        let value = value(now, sent(to, now, progress).into_iter().filter(|it| *it != event));
        progress.bind(subject(to), value);
    }
}

/// What must be known before somebody is written to, and what nobody else may be asking for meanwhile.
pub(super) fn subjects(to: &Address) -> [String; 2] {
    [subject(to), format!("mailing:{}", hashed(to))]
}

/// The key under which is remembered what somebody got.
fn subject(to: &Address) -> String {
    format!("mailed:{}", hashed(to))
}

/// The note that this exchange has counted a mail to somebody.
fn counted(to: &Address) -> String {
    format!("counted:{}", hashed(to))
}

fn hashed(to: &Address) -> String {
    let lower = to.to_string().to_lowercase();
    hex::encode(ring::digest::digest(&ring::digest::SHA256, lower.as_bytes()))
}

/// The events that somebody was mailed about today.
fn sent<'p>(to: &Address, now: Timestamp, progress: &'p Progress) -> Vec<&'p str> {
    let mut words = progress.bound(&subject(to)).unwrap_or_default().split(' ');
    match words.next() {
        Some(last) if last == day(now) => words.collect(),
        _ => Vec::new(),
    }
}

/// What is remembered of somebody who was mailed about these events today.
fn value<'e>(now: Timestamp, sent: impl Iterator<Item = &'e str>) -> String {
    sent.fold(day(now), |value, event| value + " " + event)
}

/// The number of a day of UTC.
fn day(now: Timestamp) -> String {
    now.as_secs().div_euclid(86_400).to_string()
}
