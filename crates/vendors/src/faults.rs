//! When and how a simulator misbehaves: a plan that depends on nothing but a seed and the number of the request.

use std::time::Duration;

use crate::answer::Answer;

/// One way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Stores nothing and answers 429, or what the vendor says instead.
    RateLimit { retry_after_s: u32 },
    /// Stores nothing and answers with this status.
    ServerError(u16),
    /// Stores nothing and says that the token is no good; where tokens are fetched, those issued so far are void.
    TokenExpired,
    /// Stores nothing and closes the connection.
    DropBefore,
    /// Stores, and closes the connection without an answer.
    DropAfter,
    /// Stores, and keeps silent until the client gives up; closes without an answer after this long.
    LateSuccess { hold: Duration },
    /// Stores and answers, but only after this long.
    Slow { hold: Duration },
    /// Takes one part of the request and not the rest, in the vendor's own way; nothing special where there is none.
    PartialFailure,
    /// Stores nothing and answers 200 with a web page, as a captive portal does. A vendor whose success has no body to
    /// speak of cannot be told from it.
    Garbage,
}

impl Fault {
    /// What is answered by a vendor that has no words of its own for this fault.
    pub(crate) fn plain(self) -> Answer {
        match self {
            Self::RateLimit { retry_after_s } => Answer::empty(429).with("retry-after", retry_after_s.to_string()),
            Self::ServerError(status) => Answer::empty(status),
            Self::TokenExpired => Answer::empty(401),
            _ => Answer::page(200, "<html><body>Please log in to the network.</body></html>"),
        }
    }
}

/// A plan of faults.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    script: Vec<Option<Fault>>,
    seed: u64,
    /// Each fault with its share of the requests.
    per_mille: Vec<(Fault, u64)>,
    /// Requests from this number on meet no fault.
    end: Option<u64>,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// What happens to the first requests, one by one; nothing goes wrong after that.
    pub fn script(script: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self { script: script.into_iter().collect(), ..Self::default() }
    }

    /// Nothing yet; [`Faults::with`] adds to it.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// A bad day: about a third of the requests meet one of the faults that an honest client survives without loss.
    pub fn rough(seed: u64) -> Self {
        Self::seeded(seed)
            .with(Fault::RateLimit { retry_after_s: 1 }, 60)
            .with(Fault::ServerError(503), 60)
            .with(Fault::ServerError(500), 30)
            .with(Fault::DropBefore, 50)
            .with(Fault::DropAfter, 50)
            .with(Fault::LateSuccess { hold: LATE }, 20)
            .with(Fault::Slow { hold: Duration::from_millis(20) }, 50)
    }

    /// The same with a fault for so many of a thousand requests.
    #[must_use]
    pub fn with(mut self, fault: Fault, per_mille: u64) -> Self {
        self.per_mille.push((fault, per_mille));
        self
    }

    /// The same, after something else has happened to the first requests, one by one.
    #[must_use]
    pub fn after(mut self, script: impl IntoIterator<Item = Option<Fault>>) -> Self {
        self.script = script.into_iter().collect();
        self
    }

    /// The same for the first `requests` requests only, so that whatever is retried gets through in the end.
    #[must_use]
    pub fn for_the_first(mut self, requests: u64) -> Self {
        self.end = Some(requests);
        self
    }

    /// What happens to a request; the first is number 0.
    pub fn of(&self, number: u64) -> Option<Fault> {
        if self.end.is_some_and(|end| number >= end) {
            return None;
        }
        let scripted = usize::try_from(number).ok().and_then(|index| self.script.get(index));
        if let Some(scripted) = scripted {
            return *scripted;
        }
        self.drawn(number).filter(|drawn| *drawn != Fault::TokenExpired || self.voids(number))
    }

    /// Whether an end of the token that is drawn for a request comes: the one before it is long enough ago.
    fn voids(&self, number: u64) -> bool {
        let drawn = (0..=number).filter(|number| self.drawn(*number) == Some(Fault::TokenExpired));
        let last = drawn.fold(None, |last: Option<u64>, drawn| match last {
            Some(last) if drawn - last <= TOKEN_GOOD_FOR => Some(last),
            _ => Some(drawn),
        });
        last == Some(number)
    }

    fn drawn(&self, number: u64) -> Option<Fault> {
        let mut drawn = mix(self.seed ^ mix(number)) % 1000;
        for (fault, per_mille) in &self.per_mille {
            if drawn < *per_mille {
                return Some(*fault);
            }
            drawn -= per_mille;
        }
        None
    }
}

/// So many requests after one that met an end of its token meet none by chance, those included that were under way with the old one: a
/// vendor whose new tokens are no good either has taken access away, and a client is right to stop.
const TOKEN_GOOD_FOR: u64 = 64;

/// Longer than a test's client waits, and short for one that waits to the end.
const LATE: Duration = Duration::from_secs(2);

/// The finaliser of `SplitMix64`: equal numbers in, equal numbers out, and neighbours land far apart.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_the_same_each_time_and_keeps_its_rates() {
        let plan = Faults::seeded(7).with(Fault::DropAfter, 100).with(Fault::ServerError(503), 200);
        let count = |fault| (0..10_000).filter(|number| plan.of(*number) == Some(fault)).count();
        assert!((900..1100).contains(&count(Fault::DropAfter)));
        assert!((1850..2150).contains(&count(Fault::ServerError(503))));
        let again = Faults::seeded(7).with(Fault::DropAfter, 100).with(Fault::ServerError(503), 200);
        assert!((0..1000).all(|number| plan.of(number) == again.of(number)));
        assert!((0..1000).any(|number| plan.of(number) != Faults::rough(8).of(number)));
    }

    #[test]
    fn a_new_token_is_not_void_at_once() {
        let plan = Faults::seeded(7).with(Fault::TokenExpired, 100);
        let voids: Vec<u64> = (0..1000).filter(|number| plan.of(*number).is_some()).collect();
        assert!(voids.len() > 10 && voids.windows(2).all(|two| two[1] - two[0] > TOKEN_GOOD_FOR), "{voids:?}");
    }

    #[test]
    fn a_script_is_followed_and_an_end_is_an_end() {
        let plan = Faults::script([None, Some(Fault::DropBefore)]);
        assert_eq!([0, 1, 2].map(|number| plan.of(number)), [None, Some(Fault::DropBefore), None]);
        let plan = Faults::seeded(1).with(Fault::Garbage, 1000).for_the_first(2);
        assert_eq!([0, 1, 2].map(|number| plan.of(number).is_some()), [true, true, false]);
        let plan = plan.after([None]);
        assert_eq!([0, 1, 2].map(|number| plan.of(number).is_some()), [false, true, false]);
    }
}
