//! Who is asked, and for how long: a server that accepts and then says nothing must not use up an attempt.

use std::time::Duration;

use domain::verdict::FailureReason;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use super::End;
use crate::transport::TransportError;

/// Longest time that a server has to itself before the next one is asked too.
const HEAD_START_MAX: Duration = Duration::from_secs(3);
/// Longest wait for a sign of life over a kept connection: a server that has gone does not say so.
const AWAKE_MAX: Duration = Duration::from_secs(3);
/// The part of the time left that such a wait may take.
const AWAKE_SHARE: u32 = 3;
/// A connection over which something was heard so recently needs no other sign of life.
pub(in crate::transport) const HEARD_LATELY: Duration = Duration::from_secs(1);

/// What the first server says that answers, or how the last of them failed, given a question to each.
///
/// Each has its share of the time to itself, and one more is left for the records. A server that is slow is asked on
/// while the next one is asked too, so a long way to every server is no reason to reach none.
pub(in crate::transport) async fn first_to_answer<T>(
    questions: Vec<impl Future<Output = Result<T, End>>>,
    until: Instant,
) -> Result<T, End> {
    let mut failure = TransportError::new(FailureReason::Connect, "no server is named");
    let mut waiting = questions.into_iter();
    let mut asked = FuturesUnordered::new();
    loop {
        let next_at = Instant::now() + head_start(until, waiting.len());
        match waiting.next() {
            Some(question) => asked.push(question),
            None if asked.is_empty() => return Err(End::Failed(failure)),
            None => {}
        }
        let is_last = waiting.len() == 0;
        match timeout_at(if is_last { until } else { next_at }, asked.next()).await {
            // Whoever names a forbidden address is told so, whatever the others say.
            Ok(Some(Err(End::Failed(error)))) if error.reason != FailureReason::AddressRefused => failure = error,
            Ok(Some(done)) => return done,
            Err(_) if is_last => {
                return Err(TransportError::new(FailureReason::Timeout, "no server answered in time").into());
            }
            Ok(None) | Err(_) => {}
        }
    }
}

/// For how long the first of `waiting` servers is asked alone.
fn head_start(until: Instant, waiting: usize) -> Duration {
    let left = until.saturating_duration_since(Instant::now());
    HEAD_START_MAX.min(left / u32::try_from(waiting + 1).unwrap_or(u32::MAX))
}

/// By when a kept connection must have shown that somebody is at its other end.
pub(in crate::transport) fn awake_by(until: Instant) -> Instant {
    let now = Instant::now();
    now + AWAKE_MAX.min(until.saturating_duration_since(now) / AWAKE_SHARE)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const ATTEMPT: Duration = Duration::from_secs(8);

    /// Servers by name, some of which answer after so many milliseconds; and how many of them were asked.
    async fn ask(names: &[&str]) -> (Result<String, String>, usize) {
        let asked = AtomicUsize::new(0);
        let questions: Vec<_> = names.iter().map(|name| answer(name, &asked)).collect();
        let first = first_to_answer(questions, Instant::now() + ATTEMPT).await.map_err(|end| match end {
            End::TurnedAway(_, message) => message,
            End::Failed(error) => error.message.into_owned(),
        });
        (first, asked.into_inner())
    }

    async fn answer(name: &str, asked: &AtomicUsize) -> Result<String, End> {
        asked.fetch_add(1, Ordering::Relaxed);
        match name.split_once(' ') {
            Some((name, ms)) => {
                tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
                Ok(name.to_owned())
            }
            None if name == "silent" => std::future::pending().await,
            None if name == "strict" => Err(End::turned_away("NO", "not you")),
            None if name == "inside" => Err(TransportError::new(FailureReason::AddressRefused, "inside").into()),
            None => Err(TransportError::new(FailureReason::Connect, name.to_owned()).into()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_keeps_nobody_from_asking_the_next() {
        for (names, expect) in [
            (&["silent", "good 10"][..], "good"),
            (&["silent", "silent", "silent", "silent", "silent", "silent", "good 1000"], "good"),
            (&["silent", "refused", "good 10"], "good"),
            // Those that are slow are not given up.
            (&["far 5000", "silent"], "far"),
            (&["far 5000", "farther 5000"], "far"),
            (&["far 5000", "near 10"], "near"),
        ] {
            assert_eq!(ask(names).await.0.as_deref(), Ok(expect), "{names:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_is_the_only_one_asked() {
        assert_eq!(ask(&["good 900", "good 1"]).await, (Ok("good".to_owned()), 1));
        assert_eq!(ask(&["strict", "good 1"]).await, (Err("not you".to_owned()), 1));
        assert_eq!(ask(&["inside", "good 1"]).await, (Err("inside".to_owned()), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn when_nobody_answers_the_attempt_ends_in_time_and_says_why() {
        for (names, message) in [
            (&[][..], "no server is named"),
            (&["refused", "gone"], "gone"),
            (&["silent", "refused"], "no server answered in time"),
            (&["silent"], "no server answered in time"),
        ] {
            let started = Instant::now();
            assert_eq!(ask(names).await.0, Err(message.to_owned()), "{names:?}");
            assert!(started.elapsed() <= ATTEMPT + Duration::from_millis(1), "{names:?}");
        }
    }
}
