//! One attempt at a batch: an exchange, and what it means for each delivery.
//!
//! Whatever happens in here ends as an outcome. A connector that panics makes a failed attempt, never a dead lane.

use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::attempt::REPLY_KEPT_BYTES_MAX;
use domain::connector::{Item, Reply};
use domain::verdict::{FailureReason, PauseReason, Verdict};
use domain::{Attempt, SourceId, Timestamp};
use futures_util::FutureExt;
use storage::Owned;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::exchange::{End, Exchange};
use crate::identity::Unreadable;
use crate::lane::LaneState;
use crate::registry::LiveDestination;
use crate::scrub::Scrubber;
use crate::view::View;

/// Longest time of one attempt, all its calls together.
pub(crate) const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// Longest message that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// What trying a batch came to.
#[derive(Debug)]
pub(crate) enum Tried {
    /// Each delivery has a verdict.
    Judged(Outcome),
    /// The batch was refused whole: nothing is known of any of its deliveries, and its halves are to be tried.
    Refused,
    /// Nothing was tried, because this machine is short of something.
    Nothing,
}

/// The verdicts over a batch.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// One for each delivery, in order.
    pub(crate) judgements: Vec<Judgement>,
    /// Whether a reply came.
    pub(crate) answered: bool,
    /// For how long the vendor's headers ask to be left alone.
    pub(crate) pause: Option<Duration>,
    /// How long it took; the attempts themselves are kept to the millisecond.
    pub(crate) took: Duration,
    pub(crate) ended_at: Timestamp,
}

/// What one delivery got.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) attempt: Attempt,
}

impl Outcome {
    /// For how long the vendor asks to be left alone. A retry that names a time speaks of its own item only.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let asked = self.judgements.iter().filter_map(|judgement| match judgement.verdict {
            Verdict::Wait { after, .. } => Some(after),
            _ => None,
        });
        asked.chain(self.pause).max()
    }
}

/// Tries a batch once, all calls together within [`ATTEMPT_MAX`].
pub(crate) async fn run(engine: &Engine, lane: &LaneState, live: &Arc<LiveDestination>, batch: &[Owned]) -> Tried {
    let mut firsts = None;
    if live.destination.volume.first_per_subject_per_day {
        let Some(held) = lane.firsts.hold(batch).await else { return Tried::Nothing };
        firsts = Some(held);
    }
    let began = Instant::now();
    let deadline = began + ATTEMPT_MAX;
    let Some((views, unreadable)) = views(engine, live, batch, deadline).await else { return Tried::Nothing };
    let items = items(batch, &views);
    let mut skipped = unreadable;
    if let Some(firsts) = &firsts {
        match firsts.judge(engine, live.destination.id, deadline).await {
            Ok(others) => skipped = Some(either(skipped, others)),
            Err(_) => return Tried::Nothing,
        }
    }
    let all: Vec<&Owned> = batch.iter().collect();
    let kept = skipped.as_deref().map(|skipped| kept(&items, &all, skipped));
    let (items_sent, batch_sent) = kept.as_ref().map_or((&items[..], &all[..]), |(items, batch)| (items, batch));
    let mut exchange = Exchange {
        engine,
        lane,
        live,
        items: items_sent,
        batch: batch_sent,
        digest: live.destination.volume.digest_ms.map(Duration::from_millis),
        started_at: engine.clock.now(),
        deadline,
        calls: 0,
        reply: None,
        tokens: Vec::new(),
        pause: None,
    };
    let end = if items_sent.is_empty() {
        End::Each(Vec::new())
    } else {
        AssertUnwindSafe(exchange.run()).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(destination = %live.destination.name, "an attempt panicked; this is a bug");
            End::failed_inside()
        })
    };
    let Exchange { started_at, reply, tokens, pause, .. } = exchange;
    let (verdicts, error) = match end {
        End::Untried => return Tried::Nothing,
        End::Split => {
            // The halves wait too if the vendor wants to be left alone.
            if let Some(wait) = pause {
                lane.gates().hold(wait, Instant::now());
            }
            return Tried::Refused;
        }
        End::Each(verdicts) => (verdicts, None),
        End::All(verdict, error) => (vec![verdict; items_sent.len()], error),
    };
    let mut skipped = skipped.unwrap_or_default();
    if let Some(firsts) = &firsts {
        firsts.give_up(engine, live.destination.id, &mut skipped, &verdicts).await;
    }
    let of_tokens: Vec<Scrubber> = tokens.iter().map(|token| Scrubber::of_token(token)).collect();
    let record = Record {
        started_at,
        took: began.elapsed(),
        reply,
        excerpt: OnceCell::new(),
        error,
        is_alone: batch.len() == 1,
        is_about_people: live.wants_people,
        scrubbers: std::iter::once(&live.scrubber).chain(&of_tokens).collect(),
    };
    Tried::Judged(Outcome {
        judgements: record.judgements(&items, skipped, verdicts),
        answered: record.reply.is_some(),
        pause,
        took: record.took,
        ended_at: engine.clock.now(),
    })
}

/// What the destination sees of each event and, if it wants to know, of what is known of the person at this moment; and the
/// verdicts over those of which that cannot be read, if there are any. `None` if it could not be found out in time.
async fn views<'a>(
    engine: &Engine,
    live: &LiveDestination,
    batch: &'a [Owned],
    deadline: Instant,
) -> Option<(Vec<View<'a>>, Option<Vec<Option<Verdict>>>)> {
    let profiles = if live.wants_people {
        let events: Vec<_> = batch.iter().map(|owned| Arc::clone(&owned.event)).collect();
        engine.identity.profile_of_each(&events, deadline).await.inspect_err(|error| engine.note_failure(error)).ok()?
    } else {
        vec![Ok(None); batch.len()]
    };
    let verdict = |profile: &Result<_, Unreadable>| profile.as_ref().err().map(|Unreadable| unreadable());
    let verdicts = profiles.iter().any(Result::is_err).then(|| profiles.iter().map(verdict).collect());
    // Nearly always all of a batch come from the same source.
    let mut met: Option<(SourceId, String)> = None;
    let view = |(owned, profile): (&'a Owned, _)| {
        let id = owned.event.source;
        let (_, source) = match met.take().filter(|(source, _)| *source == id) {
            Some(same) => met.insert(same),
            None => met.insert((id, engine.registry.source_name(id))),
        };
        View::of(&live.destination.privacy, &owned.event, source.clone(), profile)
    };
    let profiles = profiles.into_iter().map(Result::unwrap_or_default);
    Some((batch.iter().zip(profiles).map(view).collect(), verdicts))
}

/// The verdict over an event of whose person something cannot be read. It is mended, or the event becomes a dead letter.
fn unreadable() -> Verdict {
    let message = "what is known of the person whom this event is about cannot be read; the server's log has more";
    Verdict::Retry { after: None, reason: FailureReason::Unprocessable, message: Some(message.to_owned()) }
}

/// The first of two verdicts over each item.
fn either(first: Option<Vec<Option<Verdict>>>, second: Vec<Option<Verdict>>) -> Vec<Option<Verdict>> {
    match first {
        Some(first) => first.into_iter().zip(second).map(|(first, second)| first.or(second)).collect(),
        None => second,
    }
}

fn items<'a>(batch: &[Owned], views: &'a [View<'_>]) -> Vec<Item<'a>> {
    let item = |(owned, view): (&Owned, &'a View<'_>)| view.item(owned.id, owned.standing.attempts.saturating_add(1));
    batch.iter().zip(views).map(item).collect()
}

/// Those of a batch that are not skipped.
fn kept<'a>(items: &[Item<'a>], batch: &[&'a Owned], skipped: &[Option<Verdict>]) -> (Vec<Item<'a>>, Vec<&'a Owned>) {
    let all = items.iter().zip(batch).zip(skipped);
    all.filter(|(_, skipped)| skipped.is_none()).map(|((item, owned), _)| (*item, *owned)).unzip()
}

/// What is the same for all deliveries of a batch.
struct Record<'a> {
    started_at: Timestamp,
    took: Duration,
    reply: Option<Reply>,
    /// What is kept of the reply.
    excerpt: OnceCell<Option<String>>,
    /// What went wrong, if no verdict says it.
    error: Option<String>,
    is_alone: bool,
    /// Whether what is sent are records of people.
    is_about_people: bool,
    /// For what vendors repeat of what they were sent.
    scrubbers: Vec<&'a Scrubber>,
}

impl Record<'_> {
    /// What each item got: its own verdict if it was skipped, or else the next one of `verdicts`.
    fn judgements(&self, items: &[Item<'_>], skipped: Vec<Option<Verdict>>, verdicts: Vec<Verdict>) -> Vec<Judgement> {
        let skipped = skipped.into_iter().chain(std::iter::repeat(None));
        // A connector that counts wrongly leaves some without a verdict.
        let missing = || {
            let message = "the connector came to no verdict".to_owned();
            Verdict::Retry { after: None, reason: FailureReason::Unprocessable, message: Some(message) }
        };
        let mut verdicts = verdicts.into_iter();
        let judgement = |(item, skipped): (&Item<'_>, Option<Verdict>)| match skipped {
            Some(verdict) => self.judgement(item.attempt, verdict, None),
            None => self.judgement(item.attempt, verdicts.next().unwrap_or_else(missing), self.reply.as_ref()),
        };
        items.iter().zip(skipped).map(judgement).collect()
    }

    fn judgement(&self, number: u32, verdict: Verdict, reply: Option<&Reply>) -> Judgement {
        let verdict = verdict.reworded(|message| self.worded(message));
        let status = reply.map(|reply| reply.status).filter(|&status| status != 0);
        let reason = failure(&verdict, status);
        let error = match &self.error {
            Some(error) => Some(self.worded(error)),
            None => message(&verdict, reason, status),
        };
        // What was said to a whole batch is worth keeping where something went wrong; but what a vendor lists of many people must not
        // be kept with one of them, where nobody finds it who erases another.
        let is_list_of_people = |reply: &Reply| self.is_about_people && reply.is_success();
        let reply = reply.filter(|reply| self.is_alone || reason.is_some() && !is_list_of_people(reply));
        let reply = reply.and_then(|reply| self.excerpt.get_or_init(|| self.excerpt(reply)).clone());
        let duration_ms = u32::try_from(self.took.as_millis()).unwrap_or(u32::MAX);
        let attempt = Attempt { number, started_at: self.started_at, duration_ms, status, reason, error, reply };
        Judgement { verdict, attempt }
    }

    /// The beginning of a reply, to be kept with the attempts.
    fn excerpt(&self, reply: &Reply) -> Option<String> {
        if reply.body.is_empty() {
            return None;
        }
        let beginning = &reply.body[..reply.body.len().min(REPLY_KEPT_BYTES_MAX)];
        let mut text = self.scrubbed(&String::from_utf8_lossy(beginning));
        // A replacement character or a mask may be longer than what it replaces.
        text.truncate(text.floor_char_boundary(REPLY_KEPT_BYTES_MAX));
        Some(text)
    }

    /// What a person is told.
    fn worded(&self, message: &str) -> String {
        let mut text = self.scrubbed(message);
        if let Some((end, _)) = text.char_indices().nth(MESSAGE_CHARS_MAX) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    fn scrubbed(&self, text: &str) -> String {
        self.scrubbers.iter().fold(text.to_owned(), |text, scrubber| scrubber.text(&text))
    }
}

/// The reason to record with the attempt.
fn failure(verdict: &Verdict, status: Option<u16>) -> Option<FailureReason> {
    match verdict {
        Verdict::Delivered => None,
        Verdict::Retry { reason, .. } | Verdict::Reject { reason, .. } => Some(*reason),
        Verdict::Wait { .. } => Some(FailureReason::Throttled),
        Verdict::Skip { .. } => Some(FailureReason::NotApplicable),
        Verdict::Pause { reason: PauseReason::Gone, .. } => Some(FailureReason::Gone),
        Verdict::Pause { .. } => Some(status.map_or(FailureReason::Unprocessable, FailureReason::of_status)),
    }
}

/// What went wrong, for a person.
fn message(verdict: &Verdict, reason: Option<FailureReason>, status: Option<u16>) -> Option<String> {
    let reason = reason?;
    match verdict {
        Verdict::Pause { message, .. }
        | Verdict::Skip { message }
        | Verdict::Retry { message: Some(message), .. }
        | Verdict::Wait { message: Some(message), .. }
        | Verdict::Reject { message: Some(message), .. } => return Some(message.clone()),
        _ => {}
    }
    Some(match (reason, status) {
        (FailureReason::Redirect, Some(status)) => {
            format!("it answered {status}, a redirect; redirects are not followed, set the final URL")
        }
        (_, Some(status)) => format!("it answered {status}"),
        (reason, None) => format!("it was not sent: {}", reason.code()),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_a_vendor_says_of_many_people_is_kept_with_none_of_them() {
        let now = Timestamp::from_secs(1_772_634_728);
        let kept = |is_about_people, is_alone, status| {
            let body = Bytes::from_static(b"{\"email\":\"ada@example.org\"}");
            let reply = Reply { status, code: None, headers: Vec::new(), body, received_at: now };
            let record = Record {
                started_at: now,
                took: Duration::ZERO,
                reply: Some(reply),
                excerpt: OnceCell::new(),
                error: None,
                is_alone,
                is_about_people,
                scrubbers: Vec::new(),
            };
            let verdict = Verdict::reject(FailureReason::Refused, "no");
            record.judgement(1, verdict, record.reply.as_ref()).attempt.reply.is_some()
        };
        assert!(!kept(true, false, 207));
        assert!(kept(true, true, 207) && kept(true, false, 401) && kept(false, false, 207));
    }
}
