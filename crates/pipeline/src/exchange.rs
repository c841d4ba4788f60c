//! One exchange: what is said to a vendor about a batch, call by call, until there is a verdict for every item.
//!
//! The connector says what to send and what a reply means; everything that must be done around it happens here: the token
//! that a vendor wants, the ids that it has given before, the messages that must not be repeated ([`crate::once`]), and
//! the end of what goes on for too long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::connector::{Batch, Call, HttpCall, Item, Progress, Reply, Step, Token};
use domain::verdict::FailureReason;
use domain::{Reading, Timestamp, Verdict, retry_after};
use storage::{Memo, Owned, StoreError};
use tokio::time::Instant;

use crate::bindings::{self, Known};
use crate::engine::Engine;
use crate::lane::LaneState;
use crate::memory::Patience;
use crate::once::{Message, Permit, Sending};
use crate::registry::LiveDestination;
use crate::transport::TransportError;

/// Most calls of one attempt, those for a token included.
pub(crate) const CALLS_MAX: u32 = 8;

/// An exchange under way.
pub(crate) struct Exchange<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) lane: &'a LaneState,
    pub(crate) live: &'a Arc<LiveDestination>,
    pub(crate) items: &'a [Item<'a>],
    /// The same as they were claimed.
    pub(crate) batch: &'a [&'a Owned],
    /// Set if the batch is to be one message.
    pub(crate) digest: Option<Duration>,
    pub(crate) started_at: Timestamp,
    pub(crate) deadline: Instant,
    pub(crate) calls: u32,
    /// The newest reply.
    pub(crate) reply: Option<Reply>,
    /// The tokens that were used, for whoever writes down what was said.
    pub(crate) tokens: Vec<Arc<Token>>,
    /// For how long the vendor's headers ask to be left alone.
    pub(crate) pause: Option<Duration>,
}

/// How an exchange ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// With a verdict for each item.
    Each(Vec<Verdict>),
    /// With one verdict for all, and what went wrong, for a person, if the verdict does not say it.
    All(Verdict, Option<String>),
    /// The batch was refused whole: its halves are to be tried.
    Split,
    /// Nothing was tried, because this machine is short of something.
    Untried,
}

/// How one round of calls under the same token ended.
enum Round {
    Over(End),
    /// The token was refused, with this message, after so many calls under it had been answered otherwise.
    Refused {
        message: String,
        answered: u32,
    },
}

impl Exchange<'_> {
    /// Says what there is to say. A token that is refused is fetched anew once. A new one that is refused at once means that access was
    /// taken away; one that was good for a call and is refused after it has ended before its time, and another attempt is made.
    pub(crate) async fn run(&mut self) -> End {
        let token = match self.token().await {
            Ok(token) => token,
            Err(end) => return end,
        };
        let message = match self.round(token.as_deref()).await {
            Round::Over(end) => return end,
            Round::Refused { message, .. } => message,
        };
        let Some(refused) = token else { return End::all(Verdict::unauthorized(message)) };
        self.lane.tokens.drop_refused(&refused);
        let token = match self.token().await {
            Ok(token) => token,
            Err(end) => return end,
        };
        match self.round(token.as_deref()).await {
            Round::Over(end) => end,
            Round::Refused { message, answered: 0 } => End::all(Verdict::unauthorized(message)),
            Round::Refused { message, .. } => End::retry(FailureReason::ClientError, message),
        }
    }

    /// The token, if the vendor wants one.
    async fn token(&mut self) -> Result<Option<Arc<Token>>, End> {
        let (lane, live) = (self.lane, self.live);
        let token = match lane.tokens.good(live) {
            Some(token) => token,
            None => match contained(|| live.outlet.authorize(self.started_at)) {
                Some(None) => return Ok(None),
                Some(Some(call)) => lane.tokens.get(live, self.fetch_token(call)).await?,
                None => return Err(End::failed_inside()),
            },
        };
        self.tokens.push(Arc::clone(&token));
        Ok(Some(token))
    }

    async fn fetch_token(&mut self, call: HttpCall) -> Result<Token, End> {
        match self.call(Call::Http(call)).await {
            Ok(reply) => match contained(|| self.live.outlet.token(&reply)) {
                Some(Ok(token)) => Ok(token),
                Some(Err(verdict)) => {
                    // A success that cannot be read may well hold a token, and a reply is kept where people see it.
                    let body = if reply.is_success() { Bytes::new() } else { reply.body.clone() };
                    self.reply = Some(Reply { body, ..reply });
                    Err(End::all(verdict))
                }
                None => Err(End::failed_inside()),
            },
            Err(error) if error.is_ours => Err(End::Untried),
            Err(error) => {
                let message = format!("no token could be fetched: {}", error.message);
                Err(End::without_reply(TransportError { message: message.into(), ..error }))
            }
        }
    }

    /// Calls until there is a verdict, with a progress that begins anew.
    async fn round(&mut self, token: Option<&Token>) -> Round {
        let (outlet, of) = (&self.live.outlet, self.live.destination.id);
        let whole = Batch { items: self.items, now: self.started_at, token, digest: self.digest };
        // What has been read of an event takes many times its room. It is let go before an answer is waited for, while it is
        // still near, and few connectors need any of it again.
        let readings: Vec<Reading> = self.items.iter().map(|item| item.reading.anew()).collect();
        let items: Vec<Item<'_>> =
            self.items.iter().zip(&readings).map(|(item, reading)| Item { reading, ..*item }).collect();
        let batch = Batch { items: &items, ..whole };
        let Some(subjects) = contained(|| outlet.subjects(&batch)) else {
            return Round::Over(self.split_or(End::failed_inside()));
        };
        let known = bindings::look_up(self.engine, of, &self.lane.subjects, &subjects, self.deadline).await;
        let Some(Known { bound, creating: _creating }) = known else { return Round::Over(End::Untried) };
        let mut progress = Progress::with_bindings(bound);
        let mut step = contained(|| outlet.prepare(&batch, &mut progress));
        drop(items);
        drop(readings);
        loop {
            // What a connector remembers before a call must be on disk before it is made.
            if bindings::keep(self.engine, of, progress.take_new_bindings()).await.is_err() {
                return Round::Over(End::Untried);
            }
            let (call, message) = match step {
                Some(Step::Send(call)) => (call, None),
                Some(Step::SendOnce { key, call, known_for }) => (call, Some(Message { key, known_for })),
                Some(Step::Settle(verdicts)) if self.is_digest_refused(&verdicts) => return Round::Over(End::Split),
                Some(Step::Settle(verdicts)) => return Round::Over(End::Each(verdicts)),
                Some(Step::Split { alone }) => return Round::Over(self.split_or(End::all(alone))),
                Some(Step::Reauthorize { message }) => {
                    return Round::Refused { message, answered: progress.replies.saturating_sub(1) };
                }
                // Whichever item it was that it could not bear, the others are not to suffer for it.
                None => return Round::Over(self.split_or(End::failed_inside())),
            };
            if self.calls >= CALLS_MAX {
                let message = format!("the exchange did not come to an end within {CALLS_MAX} calls");
                return Round::Over(End::retry(FailureReason::Unprocessable, message));
            }
            let (reply, sending) = match self.send(call, message, progress.replies).await {
                Ok(answered) => answered,
                Err(end) => return Round::Over(self.cut_off(end, &whole, &progress)),
            };
            progress.replies += 1;
            step = contained(|| outlet.advance(&whole, &mut progress, &reply));
            self.pause = self.pause.max(progress.pause()).max(asked_wait(&reply));
            let entered = match sending {
                Some(sending) => self.enter(sending, &reply, step.as_ref()).await,
                None => Ok(()),
            };
            self.reply = Some(reply);
            if let Err(end) = entered {
                return Round::Over(end);
            }
        }
    }

    /// A call got no answer. Where the vendor has answered others before it, the connector may know whom it concerns.
    fn cut_off(&self, end: End, batch: &Batch<'_>, progress: &Progress) -> End {
        let End::All(Verdict::Retry { after, reason, message }, told) = &end else { return end };
        if progress.replies == 0 {
            return end;
        }
        let otherwise =
            Verdict::Retry { after: *after, reason: *reason, message: message.clone().or_else(|| told.clone()) };
        match contained(|| self.live.outlet.cut_off(batch, progress, &otherwise)) {
            Some(Some(verdicts)) => End::Each(verdicts),
            Some(None) | None => end,
        }
    }

    /// Makes a call, if it may be made; returns the reply, and what the ledger holds of a message that must not be repeated.
    async fn send(
        &mut self,
        call: Call,
        message: Option<Message>,
        replies: u32,
    ) -> Result<(Reply, Option<Sending>), End> {
        let Some(message) = message else {
            return match self.call(call).await {
                Ok(reply) => Ok((reply, None)),
                Err(error) if error.is_ours && replies == 0 => Err(End::Untried),
                Err(error) => {
                    self.reply = None;
                    Err(End::without_reply(error))
                }
            };
        };
        let sending = match self.permit(&message).await {
            Permit::Go(sending) => sending,
            Permit::Answered(reply) => {
                // It counts like a call, so that no connector goes round in circles.
                self.calls += 1;
                return Ok((*reply, None));
            }
            Permit::Refused(end) => return Err(end),
        };
        match self.call(call).await {
            Ok(reply) => Ok((reply, Some(sending))),
            Err(error) => Err(self.without_reply_once(sending, error).await),
        }
    }

    async fn call(&mut self, call: Call) -> Result<Reply, TransportError> {
        self.calls += 1;
        if self.calls > 1 {
            // The first one was counted when the attempt began.
            self.lane.gates().called(self.live, Instant::now());
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.engine.exchange(self.live.destination.id, call, left).await
    }

    pub(crate) async fn remember(
        &self,
        changes: Vec<Memo>,
        patience: Patience,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.engine.remember(self.live.destination.id, changes, patience).await
    }

    /// Whether a message about many events is refused: which of them is to blame, its halves will show.
    fn is_digest_refused(&self, verdicts: &[Verdict]) -> bool {
        let is_refused = |verdict: &Verdict| matches!(verdict, Verdict::Reject { .. });
        self.digest.is_some() && verdicts.len() > 1 && verdicts.iter().all(is_refused)
    }

    fn split_or(&self, alone: End) -> End {
        if self.items.len() > 1 { End::Split } else { alone }
    }
}

/// How long a vendor that could not do what it was asked wants to be left alone.
fn asked_wait(reply: &Reply) -> Option<Duration> {
    let asked = reply.header("retry-after").filter(|_| !reply.is_success())?;
    retry_after::parse(asked, reply.received_at)
}

impl End {
    const fn all(verdict: Verdict) -> Self {
        Self::All(verdict, None)
    }

    const fn retry(reason: FailureReason, message: String) -> Self {
        Self::All(Verdict::retry(reason), Some(message))
    }

    /// No reply: try again, unless the call can never be made or somebody must mend the settings.
    pub(crate) fn without_reply(error: TransportError) -> Self {
        let TransportError { reason, message, is_misconfigured, .. } = error;
        match reason {
            _ if is_misconfigured => Self::all(Verdict::misconfigured(message)),
            FailureReason::Unprocessable => {
                Self::All(Verdict::Reject { reason, message: None }, Some(message.into_owned()))
            }
            reason => Self::retry(reason, message.into_owned()),
        }
    }

    /// The connector panicked.
    pub(crate) fn failed_inside() -> Self {
        let message = "the connector failed on this event; the server's log has more";
        Self::retry(FailureReason::Unprocessable, message.to_owned())
    }
}

/// Calls a connector; `None` if it panicked. It holds no state between calls, so nothing is left half done.
fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(call)).ok();
    if done.is_none() {
        tracing::error!("a connector panicked; this is a bug of it");
    }
    done
}
