//! Tokens: the short-lived credential of a destination, fetched once and shared by all its attempts.
//!
//! One is fetched at a time; whoever needs it meanwhile waits for the same one, and shares the refusal if there is one. A
//! token is used until shortly before it ends, until it is refused, or until the destination changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use domain::connector::Token;
use tokio::time::Instant;

use crate::exchange::End;
use crate::registry::LiveDestination;

/// How long before its end a token is no longer used: for the longest attempt, and for clocks that disagree.
const MARGIN: Duration = Duration::from_mins(1);
/// The same for a token of which that would leave nothing: this part of its life.
const MARGIN_PART: u32 = 10;

/// The token of one destination.
#[derive(Debug, Default)]
pub(crate) struct TokenShelf {
    held: Mutex<Option<Held>>,
    /// Held while a token is fetched: how the last fetch was refused.
    fetching: tokio::sync::Mutex<Option<Refused>>,
    /// Fetches that have come to an end, well or badly.
    fetched: AtomicU64,
}

#[derive(Debug)]
struct Held {
    /// The destination as it was when the token was fetched.
    of: Weak<LiveDestination>,
    token: Arc<Token>,
    good_until: Option<Instant>,
}

#[derive(Debug)]
struct Refused {
    of: Weak<LiveDestination>,
    end: End,
}

impl TokenShelf {
    /// The token, if there is one that is good.
    pub(crate) fn good(&self, live: &Arc<LiveDestination>) -> Option<Arc<Token>> {
        let held = self.held();
        let held = held.as_ref().filter(|held| is_same(&held.of, live))?;
        held.good_until.is_none_or(|until| Instant::now() < until).then(|| Arc::clone(&held.token))
    }

    /// Waits for the token: that of a fetch that is under way, or else that of `fetch`.
    pub(crate) async fn get(
        &self,
        live: &Arc<LiveDestination>,
        fetch: impl Future<Output = Result<Token, End>>,
    ) -> Result<Arc<Token>, End> {
        let fetched = self.fetched.load(Ordering::Acquire);
        let mut last = self.fetching.lock().await;
        if let Some(token) = self.good(live) {
            return Ok(token);
        }
        if self.fetched.load(Ordering::Acquire) != fetched
            && let Some(refused) = last.as_ref().filter(|refused| is_same(&refused.of, live))
        {
            return Err(refused.end.clone());
        }
        *last = None;
        let outcome = fetch.await;
        self.fetched.fetch_add(1, Ordering::AcqRel);
        let token = match outcome {
            Ok(token) => Arc::new(token),
            Err(end) => {
                *last = Some(Refused { of: Arc::downgrade(live), end: end.clone() });
                return Err(end);
            }
        };
        let good_for = token.valid_for.map(|life| life.saturating_sub(MARGIN.min(life / MARGIN_PART)));
        // One that outlives what time can hold does not end.
        let good_until = good_for.and_then(|life| Instant::now().checked_add(life));
        *self.held() = Some(Held { of: Arc::downgrade(live), token: Arc::clone(&token), good_until });
        Ok(token)
    }

    /// The vendor has refused this token. One that was fetched meanwhile stays.
    pub(crate) fn drop_refused(&self, refused: &Arc<Token>) {
        self.held().take_if(|held| Arc::ptr_eq(&held.token, refused));
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A destination that was changed is another one behind its pointer.
fn is_same(of: &Weak<LiveDestination>, live: &Arc<LiveDestination>) -> bool {
    std::ptr::eq(of.as_ptr(), Arc::as_ptr(live))
}
