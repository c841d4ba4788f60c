//! What is laid on the desk when an attempt has ended, and what else follows from it.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::delivery::{Standing, State};
use domain::retry::RetryPolicy;
use domain::verdict::Verdict;
use storage::{Memo, NewEvent, Owned, Settlement};
use tokio::time::Instant;

use super::{Aside, Desk};
use crate::attempt::{Judgement, Outcome};
use crate::breaker::Change;
use crate::gathering::Pack;
use crate::metrics::OutcomeLabel;
use crate::registry::LiveDestination;
use crate::{holds, operational};

/// How long a lane is left alone whose attempt could not begin.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(500);

impl Desk {
    /// An attempt has ended.
    pub(super) fn lay_down(&self, pack: &Pack, outcome: Outcome) {
        self.engine.metrics.in_flight.dec();
        let live = self.engine.registry.destination(self.id);
        let live = live.as_deref();
        let news = self.note(live, &outcome);
        let hold = self.long_hold(live, &outcome);
        let pause = outcome.judgements.iter().find_map(|judgement| match &judgement.verdict {
            Verdict::Pause { reason, message } => Some(Aside::Pause(*reason, message.clone())),
            _ => None,
        });
        let Outcome { judgements, ended_at, took, .. } = outcome;
        self.engine.metrics.tried(pack.items.len(), took);
        let is_retry = |judgement: &Judgement| matches!(judgement.verdict, Verdict::Retry { .. });
        let jitter = if judgements.iter().any(is_retry) { self.engine.clock.jitter() } else { 0.0 };
        let mut standings: Vec<Standing> = pack
            .items
            .iter()
            .zip(&judgements)
            .map(|(owned, judgement)| standing(live, owned, &judgement.verdict, ended_at, jitter))
            .collect();
        let memos = pack.seal.map(|id| self.leave(id, pack, &mut standings)).unwrap_or_default();
        self.count(&judgements, &standings);
        let is_lost = |standing: &Standing| standing.state == State::Dead;
        let lost = pack.items.iter().zip(&standings).filter(|(_, standing)| is_lost(standing));
        let lost: Vec<_> = lost.map(|(owned, _)| (owned.id, Arc::clone(&owned.event))).collect();
        let judged = pack.items.iter().zip(standings).zip(judgements);
        let settlement = |((owned, standing), Judgement { attempt, .. }): ((&Owned, Standing), Judgement)| {
            let news = live.and_then(|live| self.death(live, owned, standing));
            Settlement { id: owned.id, fence: owned.fence, attempt, standing, now: ended_at, news }
        };
        let settlements: Vec<Settlement> = judged.map(settlement).collect();
        let mut papers = self.papers();
        papers.unsettled += 1;
        papers.outcomes.batches += 1;
        let is_first = papers.outcomes.since.is_none();
        papers.outcomes.since.get_or_insert_with(Instant::now);
        papers.outcomes.settlements.extend(settlements);
        papers.outcomes.memos.extend(memos);
        papers.outcomes.lost.extend(lost);
        if papers.gathering.widen() {
            self.lane.narrow_to(papers.gathering.narrowed_to());
        }
        if let Some(news) = news {
            self.tell(&mut papers, Aside::News(news));
        }
        if let Some(memo) = hold {
            self.tell(&mut papers, Aside::Hold(memo));
        }
        if let Some(pause) = pause
            && !std::mem::replace(&mut papers.is_pausing, true)
        {
            self.tell(&mut papers, pause);
        }
        // The first one has the lane's task look at the clock.
        if is_first || papers.has_enough_outcomes() {
            self.lane.wake();
        }
    }

    /// Nothing was tried. Whatever is short on this machine stays short for a moment.
    pub(super) fn put_back(&self, pack: &Pack) {
        if let Some(id) = pack.seal {
            self.lane.seals().break_unsent(id);
        }
        self.engine.metrics.in_flight.dec();
        let mut gates = self.lane.gates();
        gates.abandon();
        gates.hold(SHORTAGE_PAUSE, Instant::now());
        drop(gates);
        self.tell(&mut self.papers(), Aside::Untried(pack.leases().collect()));
    }

    /// Tells the gates; returns what a person should hear of the breaker.
    fn note(&self, live: Option<&LiveDestination>, outcome: &Outcome) -> Option<NewEvent> {
        let Some(live) = live else {
            self.lane.gates().abandon();
            return None;
        };
        let now = Instant::now();
        let change = self.lane.gates().end(&live.destination, outcome, now);
        let registry = &self.engine.registry;
        Some(match change? {
            Change::Opened { until } => {
                self.engine.metrics.breakers_open.inc();
                tracing::warn!(destination = %live.destination.name, "the breaker opened");
                let secs = until.saturating_duration_since(now).as_secs();
                let message = format!("it fails nearly always; the first probe goes out in {secs} s");
                operational::destination_paused(registry, live, "breaker", &message)
            }
            Change::Closed => {
                self.engine.metrics.breakers_open.dec();
                tracing::info!(destination = %live.destination.name, "the breaker closed");
                operational::destination_recovered(registry, live)
            }
        })
    }

    /// What to keep of the wait that the destination asked for, if it is a long one.
    fn long_hold(&self, live: Option<&LiveDestination>, outcome: &Outcome) -> Option<Memo> {
        outcome.wait().filter(|wait| *wait > holds::KEPT_FROM)?;
        let mut gates = self.lane.gates();
        let left = gates.held_for(Instant::now())?;
        gates.hold_is_kept();
        Some(holds::keep(&live?.destination, outcome.ended_at + left))
    }

    fn count(&self, judgements: &[Judgement], standings: &[Standing]) {
        let label = |(Judgement { verdict, attempt }, standing): (&Judgement, &Standing)| {
            let label = match (verdict, standing.state) {
                (Verdict::Pause { .. }, _) => OutcomeLabel::Paused,
                (_, State::Delivered) => OutcomeLabel::Delivered,
                (_, State::Dead) => OutcomeLabel::Dead,
                (_, State::Skipped) => OutcomeLabel::Skipped,
                (_, State::Pending | State::Cancelled) => OutcomeLabel::Retry,
            };
            (label, attempt.reason)
        };
        let labels: Vec<_> = judgements.iter().zip(standings).map(label).collect();
        for same in labels.chunk_by(|a, b| a == b) {
            self.engine.metrics.attempts(same[0].0, same[0].1, same.len() as u64);
        }
    }

    fn death(&self, live: &LiveDestination, owned: &Owned, standing: Standing) -> Option<NewEvent> {
        let reason = standing.reason.filter(|_| standing.state == State::Dead)?;
        operational::delivery_dead(&self.engine.registry, live, owned.id, &owned.event, reason, standing.attempts)
    }
}

/// Where a delivery stands after a verdict. All of a batch that are to be tried again fall due together, as far as their
/// schedules say the same.
fn standing(
    live: Option<&LiveDestination>,
    owned: &Owned,
    verdict: &Verdict,
    ended_at: Timestamp,
    jitter: f64,
) -> Standing {
    // Of a destination that was deleted meanwhile the store finds every settlement stale.
    let policy = live.map_or(&RetryPolicy::Standard, |live| &live.destination.retry);
    owned.standing.after(verdict, policy, ended_at, jitter)
}
