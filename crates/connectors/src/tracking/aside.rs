//! Events of a batch that are not in its request: what was decided about them, while the reply is about the others.

use std::time::Duration;

use domain::Verdict;
use domain::connector::{Batch, Progress, Step};
use domain::verdict::FailureReason;
use serde_json::{Value, json};

/// Leaves an event out of this exchange from now on, with its verdict.
pub(crate) fn set_aside(progress: &mut Progress, index: usize, verdict: &Verdict) {
    progress.notes.insert(key(index), written(verdict).to_string());
}

/// Which events the request holds, in its order.
pub(crate) fn sent(batch: &Batch<'_>, progress: &Progress) -> Vec<usize> {
    (0..batch.items.len()).filter(|&index| !progress.notes.contains_key(&key(index))).collect()
}

/// A verdict for every event: for the one at each place of the request what `of_place` says, and for those that were
/// set aside what was decided then.
pub(crate) fn settle(batch: &Batch<'_>, progress: &Progress, of_place: impl Fn(usize) -> Verdict) -> Step {
    let mut place = 0;
    let verdict = |index: usize| {
        if let Some(note) = progress.notes.get(&key(index)) {
            return read(note);
        }
        place += 1;
        of_place(place - 1)
    };
    Step::Settle((0..batch.items.len()).map(verdict).collect())
}

fn key(index: usize) -> String {
    format!("aside {index}")
}

fn written(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Skip { message } => json!({"message": message}),
        Verdict::Retry { after, reason, message } => {
            let after_ms = after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
            json!({"retry": reason.code(), "after_ms": after_ms, "message": message})
        }
        Verdict::Reject { reason, message } => json!({"reject": reason.code(), "message": message}),
        // Nothing else is said about a single event.
        other => json!({"reject": FailureReason::Unprocessable.code(), "message": format!("{other:?}")}),
    }
}

fn read(note: &str) -> Verdict {
    let note: Value = serde_json::from_str(note).unwrap_or_default();
    let reason = |name: &str| note[name].as_str().and_then(FailureReason::from_code);
    let message = note["message"].as_str().map(str::to_owned);
    match (reason("retry"), reason("reject")) {
        (Some(reason), _) => {
            Verdict::Retry { after: note["after_ms"].as_u64().map(Duration::from_millis), reason, message }
        }
        (None, Some(reason)) => Verdict::Reject { reason, message },
        (None, None) => Verdict::skip(message.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{event, with_batch};

    #[test]
    fn what_was_set_aside_is_told_at_its_place() {
        let events = vec![event("link.clicked"); 5];
        with_batch(&events, false, |batch| {
            let mut progress = Progress::default();
            let skip = Verdict::skip("too old");
            let reject = Verdict::reject(FailureReason::Refused, "no such user");
            let after = Some(Duration::from_secs(30));
            let retry = Verdict::Retry { after, reason: FailureReason::Throttled, message: None };
            set_aside(&mut progress, 1, &skip);
            set_aside(&mut progress, 2, &reject);
            set_aside(&mut progress, 4, &retry);
            assert_eq!(sent(batch, &progress), [0, 3]);
            let of_place = |place| if place == 1 { Verdict::retry(FailureReason::Broken) } else { Verdict::Delivered };
            let Step::Settle(verdicts) = settle(batch, &progress, of_place) else { panic!("settled") };
            let expect = [Verdict::Delivered, skip, reject, Verdict::retry(FailureReason::Broken), retry];
            assert_eq!(verdicts, expect);
        });
    }
}
