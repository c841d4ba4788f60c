//! The send ledger: what was sent to people, so that nothing is sent to them twice.
//!
//! A vendor without an idempotency key would carry a repeated call out again. So an entry is on disk before the call is
//! made, and says what became of it afterwards. An entry that only says that a call was about to be made means that nobody
//! knows whether it was: then a person decides.

use std::time::Duration;

use bytes::Bytes;
use domain::connector::Reply;
use domain::verdict::{FailureReason, Verdict};
use domain::{Attempt, DeliveryId, EventId, Timestamp};
use serde::{Deserialize, Serialize};
use storage::{Memo, Owned};

use crate::memory::hashed;

/// How long an entry is kept.
const KEPT_FOR: Duration = Duration::from_hours(90 * 24);
/// How much of a reply's body is kept, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How much of a reply's headers is kept, in bytes.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// What is known of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Which delivery sent it, or was about to.
    delivery: DeliveryId,
    /// In which of its attempts.
    attempt: u32,
    at: Timestamp,
    /// The reply; `None` while nobody knows of one.
    sent: Option<Sent>,
}

/// A reply, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    status: u16,
    code: Option<String>,
    headers: Vec<(String, String)>,
    /// In hexadecimal.
    body: String,
}

/// What to do about a message that may have been sent before.
#[derive(Debug)]
pub(crate) enum Decision {
    Send,
    /// This very delivery has sent it and got this reply, which was not made use of to the end.
    Answered(Box<Reply>),
    /// Nobody knows what became of it, and the vendor would recognise it: this is its entry.
    Repeat(Entry),
    /// It must not be sent by itself.
    Over(Verdict),
}

/// What becomes of the entry of a message that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent,
    /// It was refused: it may be sent again.
    Refused,
    /// Nobody knows, as before.
    Unknown,
}

/// Where the entry of a message lies.
pub(crate) fn key(event: EventId, message: &str) -> String {
    hashed(&prefix(event), message)
}

/// What the entries of an event begin with.
pub(crate) fn prefix(event: EventId) -> String {
    format!("sent:{event}:")
}

/// Decides about a message that has an entry. `attempts` are those of the delivery so far; they are asked about only if the
/// entry [is unclear](Entry::is_unclear_to).
pub(crate) fn decide(entry: &Entry, owned: &Owned, attempts: &[Attempt]) -> Decision {
    let is_own = entry.delivery == owned.id;
    // A resend is made after what it repeats, by a person who wants it twice.
    let is_resend = owned.replay.is_none() && owned.id.ordinal > entry.delivery.ordinal;
    // An unknown outcome makes a dead letter, and only a person brings it back. Whatever else comes between the call and
    // this attempt, like a wait or a pause, is no person who has looked whether the message arrived.
    let is_unknown =
        |attempt: &Attempt| attempt.number >= entry.attempt && attempt.reason == Some(FailureReason::UnknownOutcome);
    let is_redriven = attempts.iter().any(is_unknown);
    match &entry.sent {
        Some(sent) if is_own => Decision::Answered(Box::new(sent.reply(entry.at))),
        None if is_own && is_redriven => Decision::Send,
        _ if !is_own && is_resend => Decision::Send,
        Some(_) => Decision::Over(Verdict::skip(format!(
            "it was sent on {} by the delivery `{}`; resend it to send it again",
            entry.at, entry.delivery
        ))),
        None => Decision::Over(unknown_outcome(entry.delivery, "an earlier try was cut off")),
    }
}

/// The call may have been carried out. `why` nobody knows.
pub(crate) fn unknown_outcome(delivery: DeliveryId, why: &str) -> Verdict {
    Verdict::reject(
        FailureReason::UnknownOutcome,
        format!(
            "it may have been sent, but {why}; see whether it arrived, and if it did not, send it again with \
             `afterclick dead-letters redrive {delivery}`"
        ),
    )
}

impl Decision {
    /// What was answered to the message, if it is known.
    pub(crate) fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Answered(reply) => Some(reply),
            Self::Send | Self::Repeat(_) | Self::Over(_) => None,
        }
    }
}

impl Entry {
    /// An entry for a message that is about to be sent.
    pub(crate) fn sending(owned: &Owned, now: Timestamp) -> Self {
        Self { delivery: owned.id, attempt: owned.standing.attempts.saturating_add(1), at: now, sent: None }
    }

    /// The same when it has been answered.
    pub(crate) fn answered(self, reply: &Reply) -> Self {
        let mut bytes_left = HEADER_BYTES_MAX;
        let headers = reply.headers.iter().take_while(|(name, value)| {
            let fits = name.len() + value.len() <= bytes_left;
            bytes_left = bytes_left.saturating_sub(name.len() + value.len());
            fits
        });
        let body = hex::encode(&reply.body[..reply.body.len().min(BODY_BYTES_MAX)]);
        let sent = Sent { status: reply.status, code: reply.code.clone(), headers: headers.cloned().collect(), body };
        Self { at: reply.received_at, sent: Some(sent), ..self }
    }

    /// Whether nobody knows what became of it, and only the delivery's attempts say whether a person was asked.
    pub(crate) fn is_unclear_to(&self, owned: &Owned) -> bool {
        self.sent.is_none() && self.delivery == owned.id
    }

    /// Whether nobody knows what became of it, and a vendor that knows a message of a delivery for so long would recognise it.
    /// What came before the first try was refused or never left, so the vendor knows it no longer than since then.
    pub(crate) fn is_known(&self, owned: &Owned, known_for: Option<Duration>, now: Timestamp) -> bool {
        self.is_unclear_to(owned) && known_for.is_some_and(|known_for| now.since(self.at) < known_for)
    }

    /// What is stored under `key`, and claims it if nobody else has.
    pub(crate) fn claim(&self, key: &str) -> Memo {
        Memo::PutIfAbsent { key: key.to_owned(), value: self.value(), expires_at: Some(self.at + KEPT_FOR) }
    }

    /// What is stored under `key`, whatever lies there.
    pub(crate) fn put(&self, key: &str) -> Memo {
        Memo::Put { key: key.to_owned(), value: self.value(), expires_at: Some(self.at + KEPT_FOR) }
    }

    /// Reads an entry. One that cannot be read says nothing about whether it was sent.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    fn value(&self) -> Bytes {
        serde_json::to_vec(self).expect("ids, numbers and texts are always JSON").into()
    }
}

impl Sent {
    fn reply(&self, received_at: Timestamp) -> Reply {
        Reply {
            status: self.status,
            code: self.code.clone(),
            headers: self.headers.clone(),
            body: hex::decode(&self.body).unwrap_or_default().into(),
            received_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::ReplayId;
    use domain::delivery::Standing;

    use super::*;
    use crate::specimen::{self, NOW};

    fn owned(ordinal: u16, attempts: u32, spent: u32, is_replay: bool) -> Owned {
        let owned = specimen::owned(1, 2);
        Owned {
            id: DeliveryId { ordinal, ..owned.id },
            standing: Standing { attempts, spent, ..owned.standing },
            replay: is_replay.then(|| ReplayId::mint(NOW, 1)),
            ..owned
        }
    }

    fn reply() -> Reply {
        let headers = vec![("x-message-id".to_owned(), "m1".to_owned())];
        Reply { status: 202, code: None, headers, body: Bytes::from_static(b"{}"), received_at: NOW }
    }

    fn attempt(number: u32, reason: FailureReason) -> Attempt {
        Attempt {
            number,
            started_at: NOW,
            duration_ms: 1,
            status: None,
            reason: Some(reason),
            error: None,
            reply: None,
        }
    }

    /// What is decided about an entry of the delivery with ordinal 1, made in its second attempt.
    fn check(is_sent: bool, owned: &Owned, expect: &str) {
        check_after(&[], is_sent, owned, expect);
    }

    /// The same when the last attempts of the delivery have ended like this.
    fn check_after(reasons: &[FailureReason], is_sent: bool, owned: &Owned, expect: &str) {
        let first = owned.standing.attempts + 1 - u32::try_from(reasons.len()).unwrap();
        let attempts: Vec<Attempt> = (first..).zip(reasons).map(|(number, reason)| attempt(number, *reason)).collect();
        let entry = Entry::sending(&self::owned(1, 1, 0, false), NOW);
        let entry = if is_sent { entry.answered(&reply()) } else { entry };
        let entry = Entry::read(&entry.value()).unwrap();
        let decision = match decide(&entry, owned, &attempts) {
            Decision::Send => "send",
            Decision::Answered(reply) => {
                assert_eq!(
                    (reply.status, &reply.body[..], reply.header("x-message-id")),
                    (202, &b"{}"[..], Some("m1"))
                );
                "answered"
            }
            Decision::Repeat(_) => "repeat",
            Decision::Over(Verdict::Skip { .. }) => "skip",
            Decision::Over(Verdict::Reject { reason: FailureReason::UnknownOutcome, .. }) => "unknown",
            Decision::Over(other) => panic!("{other:?}"),
        };
        assert_eq!(decision, expect, "{is_sent} {:?} {:?}", owned.id, owned.standing);
    }

    #[test]
    fn a_call_that_was_cut_off_is_not_repeated_by_itself() {
        check(false, &owned(1, 1, 0, false), "unknown");
        check(false, &owned(1, 1, 1, false), "unknown");
        // The attempt that made the entry ended in something that is tried again, and yet its call may have gone out.
        check(false, &owned(1, 2, 1, false), "unknown");
    }

    #[test]
    fn a_person_who_redrives_it_has_it_sent_again() {
        use FailureReason::{Connect, Throttled, UnknownOutcome};
        check_after(&[UnknownOutcome], false, &owned(1, 2, 0, false), "send");
        // What comes between the person and the call takes nothing back.
        check_after(&[UnknownOutcome, Throttled, Connect], false, &owned(1, 4, 1, false), "send");
    }

    #[test]
    fn nobody_has_redriven_what_was_only_waited_for() {
        use FailureReason::{Refused, Throttled, UnknownOutcome};
        check_after(&[Throttled], false, &owned(1, 2, 0, false), "unknown");
        check_after(&[Throttled, Refused], false, &owned(1, 3, 0, false), "unknown");
        // The person spoke before this call was made.
        check_after(&[UnknownOutcome], false, &owned(1, 1, 0, false), "unknown");
        check_after(&[UnknownOutcome, Throttled], false, &owned(1, 2, 0, false), "unknown");
    }

    #[test]
    fn what_was_answered_is_not_sent_again_by_the_same_delivery() {
        check(true, &owned(1, 1, 0, false), "answered");
        check(true, &owned(1, 2, 0, false), "answered");
        check(true, &owned(1, 3, 2, false), "answered");
    }

    #[test]
    fn a_replay_skips_what_another_delivery_has_sent_and_a_resend_sends_it() {
        check(true, &owned(2, 0, 0, true), "skip");
        check(false, &owned(2, 0, 0, true), "unknown");
        check(true, &owned(2, 0, 0, false), "send");
        check(false, &owned(2, 0, 0, false), "send");
    }

    #[test]
    fn an_earlier_delivery_is_no_resend_of_a_later_one() {
        check(true, &owned(0, 3, 2, false), "skip");
        check(false, &owned(0, 3, 2, false), "unknown");
    }

    #[test]
    fn a_vendor_recognises_a_message_of_the_same_delivery_only_and_only_for_its_time() {
        let entry = Entry::sending(&owned(1, 1, 0, false), NOW);
        let hour = Duration::from_hours(1);
        let is_known = |owned: &Owned, after: Duration| entry.is_known(owned, Some(hour), NOW + after);
        assert!(is_known(&owned(1, 2, 1, false), Duration::ZERO));
        assert!(!is_known(&owned(1, 2, 1, false), hour));
        // What another one sends is another message to the vendor.
        assert!(!is_known(&owned(2, 0, 0, true), Duration::ZERO));
        assert!(!is_known(&owned(0, 3, 2, false), Duration::ZERO));
    }

    #[test]
    fn a_long_reply_fits_into_an_entry() {
        let headers = (0..100).map(|number| (format!("x-{number}"), "y".repeat(1_000))).collect();
        let reply = Reply { headers, body: vec![b'x'; 1 << 20].into(), ..reply() };
        let entry = Entry::sending(&owned(1, 0, 0, false), NOW).answered(&reply);
        assert!(entry.value().len() < storage::MEMO_VALUE_BYTES_MAX, "{}", entry.value().len());
    }
}
