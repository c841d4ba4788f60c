//! Intake: verify, parse, dedupe, route, one durable commit, and only then an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use domain::event::{BODY_BYTES_MAX, DedupeKey, PUBLISH_EVENTS_MAX, TimeMark};
use domain::signature::{SignatureError, Signer};
use domain::source::{Envelope, Unreadable};
use domain::{AppspaceId, Event, EventId, Settings, SourceId, Timestamp, catalogue};
use http::HeaderMap;
use serde_json::value::RawValue;
use storage::{Append, Appended, NewEvent, OnKnown, Quarantined, Store, StoreError};

use crate::clock::Clock;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::operational;
use crate::registry::{LiveSource, Registry};

/// After this many signature failures in a row a source counts as failing.
const FAILING_AFTER: u32 = 10;
/// A failing source is reported at most this often.
const FAILING_TOLD_EVERY: Duration = Duration::from_hours(1);
/// Longest `Idempotency-Key`, in bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// The name of the built-in source of published events.
pub const PUBLISH_SOURCE_NAME: &str = "api";

/// The way in.
pub struct Intake {
    registry: Arc<Registry>,
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    identity: Arc<Identity>,
}

/// What to answer for an event that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id; of a duplicate, the first event's.
    pub id: EventId,
    pub duplicate: bool,
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    #[error("there is no source behind this path; it is `/webhooks/` and the source's name or id")]
    UnknownSource,
    #[error("the signature was refused: {0}")]
    Signature(#[from] SignatureError),
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    #[error("event {index} of the call: {error}")]
    UnreadableAt { index: usize, error: Unreadable },
    #[error("an event is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("a call publishes 1 to {PUBLISH_EVENTS_MAX} events")]
    EventCount,
    #[error("the `Idempotency-Key` must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters")]
    IdempotencyKey,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Rejection {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownSource => "source_not_found",
            Self::Signature(error) => error.code(),
            Self::Unreadable(error) | Self::UnreadableAt { error, .. } => error.code(),
            Self::TooLarge => "body_too_large",
            Self::EventCount => "event_count",
            Self::IdempotencyKey => "idempotency_key_malformed",
            Self::Store(StoreError::Busy { .. }) => "busy",
            Self::Store(StoreError::IdempotencyMismatch) => "idempotency_mismatch",
            Self::Store(_) => "store_failed",
        }
    }
}

impl Intake {
    /// An intake over a registry and its store.
    pub fn new(
        registry: Arc<Registry>,
        store: Arc<dyn Store>,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
        identity: Arc<Identity>,
    ) -> Self {
        Self { registry, store, clock, metrics, identity }
    }

    /// Takes in one signed webhook. When this returns `Ok`, the event and its deliveries are on disk.
    ///
    /// The headers are taken, not borrowed: they lie in the read buffer of their connection, which can be used again as
    /// soon as they are gone. They go before the wait for the disk, not after it.
    pub async fn receive(&self, path: &str, headers: HeaderMap, body: Bytes) -> Result<Receipt, Rejection> {
        let received = self.try_receive(path, headers, body).await;
        self.count(received.as_ref().map(std::slice::from_ref));
        received
    }

    /// Takes in one envelope or an array of them from an application that holds a key: all or nothing.
    pub async fn publish(
        &self,
        appspace: AppspaceId,
        idempotency_key: Option<&str>,
        body: Bytes,
    ) -> Result<Vec<Receipt>, Rejection> {
        let published = self.try_publish(appspace, idempotency_key, &body).await;
        self.count(published.as_deref());
        published
    }

    /// Sends a source the catalogue's sample of a type, signed as its sender would sign it: the event is a real one and
    /// takes the whole way. `None` if the catalogue has no such type.
    ///
    /// A source whose settings do not read the sample's envelope gets [`Rejection::Unreadable`], and nothing is
    /// quarantined: it is no evidence of anything.
    pub async fn test(&self, live: &LiveSource, event_type: &str) -> Option<Result<Receipt, Rejection>> {
        let (now, unique) = (self.clock.now(), self.clock.random());
        #[expect(clippy::cast_possible_truncation, reason = "any 64 of the random bits will do")]
        let body = Bytes::from(catalogue::sample(event_type, now, unique as u64)?);
        let source = &live.source;
        let signed = live.source.secrets.iter().find(|secret| secret.is_live(now)).map(|secret| {
            let signing = live.dialect.signing(source.scheme, &source.settings);
            let id = format!("msg_{unique:032x}");
            Signer::new(source.scheme, &secret.secret).map(|signer| signer.headers(&signing, &id, now, &body))
        });
        let Some(Ok(headers)) = signed else { return Some(Err(SignatureError::NoLiveSecret.into())) };
        if let Err(error) = live.dialect.read(&headers, &body, &source.settings) {
            return Some(Err(error.into()));
        }
        Some(self.receive(&source.id.to_string(), headers, body).await)
    }

    async fn try_receive(&self, path: &str, headers: HeaderMap, body: Bytes) -> Result<Receipt, Rejection> {
        let live = self.registry.source_by_path(path).ok_or(Rejection::UnknownSource)?;
        if body.len() > BODY_BYTES_MAX {
            return Err(Rejection::TooLarge);
        }
        let now = self.clock.now();
        let signed_id = match live.verifier.verify(&headers, &body, now) {
            Ok(verified) => {
                live.note_match(verified.secret_index, now);
                verified.id.map(str::to_owned)
            }
            Err(error) => {
                self.note_failure(&live, error.code(), now).await;
                return Err(error.into());
            }
        };
        let source = &live.source;
        let mut envelope = match live.dialect.read(&headers, &body, &source.settings) {
            Ok(envelope) => envelope,
            Err(error) => {
                self.quarantine(&live, body, now, &error).await?;
                return Err(error.into());
            }
        };
        drop(headers);
        // An id that the signature covers is worth more than one in the body.
        envelope.sender_id = signed_id.or(envelope.sender_id);
        let origin = Origin { id: source.id, name: source.name.as_str(), appspace: source.appspace };
        let event = self.route(&origin, envelope, body, now, None);
        let appended = self.append(vec![event], OnKnown::Count).await?;
        Ok(receipts(&appended).remove(0))
    }

    async fn try_publish(
        &self,
        appspace: AppspaceId,
        idempotency_key: Option<&str>,
        body: &Bytes,
    ) -> Result<Vec<Receipt>, Rejection> {
        if let Some(key) = idempotency_key {
            let fits =
                (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
            if !fits {
                return Err(Rejection::IdempotencyKey);
            }
        }
        let bodies = split(body)?;
        let now = self.clock.now();
        let origin = Origin { id: SourceId::API, name: PUBLISH_SOURCE_NAME, appspace };
        let native = self.registry.plugins().native;
        let (headers, settings) = (HeaderMap::new(), Settings::default());
        let mut events = Vec::with_capacity(bodies.len());
        for (index, body) in bodies.into_iter().enumerate() {
            if body.len() > BODY_BYTES_MAX {
                return Err(Rejection::TooLarge);
            }
            let envelope =
                native.read(&headers, &body, &settings).map_err(|error| Rejection::UnreadableAt { index, error })?;
            let dedupe_key = idempotency_key.map(|key| DedupeKey::of_idempotency_key(appspace, key, index));
            events.push(self.route(&origin, envelope, body, now, dedupe_key));
        }
        let on_known = idempotency_key.map_or(OnKnown::Count, |key| OnKnown::MustBeIdentical {
            next: DedupeKey::of_idempotency_key(appspace, key, events.len()),
        });
        Ok(receipts(&self.append(events, on_known).await?))
    }

    /// Stores events. Those that may name somebody are to be read for it.
    async fn append(&self, events: Vec<NewEvent>, on_known: OnKnown) -> Result<Vec<Appended>, StoreError> {
        let has_facts = events.iter().any(|event| event.has_facts);
        let appended = self.store.append(Append { events, on_known }).await?;
        if has_facts {
            self.identity.wake();
        }
        Ok(appended)
    }

    /// Makes the event and finds out whom it is owed to.
    fn route(
        &self,
        origin: &Origin<'_>,
        envelope: Envelope,
        body: Bytes,
        now: Timestamp,
        dedupe_key: Option<DedupeKey>,
    ) -> NewEvent {
        let (occurred_at, time_mark) = TimeMark::judge(envelope.occurred_at, now);
        let dedupe_key = dedupe_key.unwrap_or_else(|| match &envelope.sender_id {
            Some(id) => DedupeKey::of_sender_id(origin.id, origin.appspace, id),
            None => DedupeKey::of_body(origin.id, origin.appspace, &body),
        });
        let event = Event {
            id: EventId::mint(now, self.clock.random()),
            appspace: origin.appspace,
            source: origin.id,
            event_type: envelope.event_type,
            occurred_at,
            received_at: now,
            time_mark,
            dedupe_key,
            body,
        };
        let deliveries = self.registry.routes(origin.appspace).deliveries(&event, origin.name);
        NewEvent::new(event, deliveries)
    }

    /// Keeps a body that is signed and yet no event: it is evidence, not rubbish.
    async fn quarantine(
        &self,
        live: &LiveSource,
        body: Bytes,
        now: Timestamp,
        error: &Unreadable,
    ) -> Result<(), StoreError> {
        let mut body_hash = [0; 32];
        body_hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &body).as_ref());
        let entry = Quarantined {
            appspace: live.source.appspace,
            source: live.source.id,
            received_at: now,
            reason: error.to_string(),
            body_hash,
            body,
        };
        self.store.quarantine(entry).await.map(|_| ())
    }

    /// Counts a signature failure; a row of them makes an operational event, at most one an hour.
    async fn note_failure(&self, live: &LiveSource, code: &'static str, now: Timestamp) {
        let failures = live.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let told_at = live.failing_told_at.load(Ordering::Relaxed);
        let quiet = now.since(Timestamp::from_millis(told_at)) < FAILING_TOLD_EVERY;
        if failures < FAILING_AFTER || quiet {
            return;
        }
        let claimed = live
            .failing_told_at
            .compare_exchange(told_at, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if claimed {
            let event = operational::source_failing(&self.registry, &live.source, code, failures);
            if let Err(error) = self.store.append(Append { events: vec![event], on_known: OnKnown::Count }).await {
                tracing::warn!(source = %live.source.name, %error, "could not record that the source is failing");
            }
        }
    }

    fn count(&self, outcome: Result<&[Receipt], &Rejection>) {
        match outcome {
            Ok(receipts) => {
                let duplicates = receipts.iter().filter(|receipt| receipt.duplicate).count() as u64;
                self.metrics.duplicates.inc_by(duplicates);
                self.metrics.ingested.inc_by(receipts.len() as u64 - duplicates);
            }
            Err(rejection) => self.metrics.reject(rejection.code()),
        }
    }
}

/// Where an event comes from.
struct Origin<'a> {
    id: SourceId,
    name: &'a str,
    appspace: AppspaceId,
}

fn receipts(appended: &[Appended]) -> Vec<Receipt> {
    let receipt =
        |appended: &Appended| Receipt { id: appended.id(), duplicate: matches!(appended, Appended::Duplicate { .. }) };
    appended.iter().map(receipt).collect()
}

/// The exact bytes of each event of a call: the body itself, or the elements of the array it is.
fn split(body: &Bytes) -> Result<Vec<Bytes>, Rejection> {
    let first = body.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(b'[') {
        return Ok(vec![body.clone()]);
    }
    let elements: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| Unreadable::NotJson(error.to_string()))?;
    if !(1..=PUBLISH_EVENTS_MAX).contains(&elements.len()) {
        return Err(Rejection::EventCount);
    }
    Ok(elements.into_iter().map(|element| body.slice_ref(element.get().as_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_split_into_the_exact_bytes_of_its_elements() {
        let body = Bytes::from_static(b" [ {\"a\": 1.0} ,\n{\"b\":\"\\u00e9\"}]");
        assert_eq!(split(&body).unwrap(), [&b"{\"a\": 1.0}"[..], b"{\"b\":\"\\u00e9\"}"]);
    }

    #[test]
    fn a_call_without_events_is_refused() {
        assert!(matches!(split(&Bytes::from_static(b"[]")), Err(Rejection::EventCount)));
        assert!(matches!(split(&Bytes::from_static(b"[1,")), Err(Rejection::Unreadable(_))));
    }
}
