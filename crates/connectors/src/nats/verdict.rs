//! What a refusal of a server means. The numbers are those of `JetStream`'s errors.

use domain::Verdict;
use domain::connector::RecordRefusal;
use domain::verdict::{FailureReason, PauseReason};

use crate::bus::{self, MESSAGE_CHARS_MAX};
use crate::common::{in_brackets, on_one_line};

/// The server did not let us in.
pub(super) fn turned_away(code: &str, message: &str) -> Verdict {
    let words = on_one_line(message, MESSAGE_CHARS_MAX);
    let said = in_brackets((!words.is_empty()).then(|| words.clone()));
    match code {
        "AUTHORIZATION" => Verdict::unauthorized(format!(
            "the NATS server refuses the login; put a good one into `user` and `password`, `token`, `nkey_seed` or \
             `credentials`{said}"
        )),
        "NO_INBOX" => Verdict::unauthorized(
            "the user hears no acknowledgements; allow it to subscribe to `_INBOX.>` on the NATS server".to_owned(),
        ),
        "TLS_REQUIRED" => Verdict::misconfigured("the NATS server wants an encrypted connection; set `tls` to `true`"),
        "NO_TLS" => Verdict::misconfigured(
            "the NATS server offers no encryption; give it a certificate, or set `tls` to `false` for one on your own \
             network",
        ),
        "NO_HEADERS" => Verdict::misconfigured("the NATS server knows no headers; update it to 2.2 or later"),
        "BAD_KEY" => Verdict::misconfigured("the seed of the NKey is damaged; copy it again"),
        _ => bus::retry(FailureReason::Broken, &words),
    }
}

/// The server did not take a message.
pub(super) fn refused(refusal: &RecordRefusal) -> Verdict {
    let words = on_one_line(&refusal.message, MESSAGE_CHARS_MAX);
    let said = in_brackets((!words.is_empty()).then(|| words.clone()));
    match refusal.code.as_str() {
        "NO_RESPONDERS" => Verdict::misconfigured(
            "no stream takes the subject of this event; add it to the subjects of a JetStream stream, or mend the \
             setting `subject`",
        ),
        "NOT_JETSTREAM" => Verdict::misconfigured(
            "something answers on the subject of this event that is no stream; bind a JetStream stream to it, or mend \
             `subject`",
        ),
        "PERMISSIONS_VIOLATION" => {
            Verdict::unauthorized(format!("the user may not publish there; allow it on the NATS server{said}"))
        }
        // The account or the whole server has no JetStream; the stream is sealed.
        "10035" | "10039" | "10076" => {
            Verdict::misconfigured(format!("JetStream is not switched on for this account; switch it on{said}"))
        }
        "10109" => {
            Verdict::misconfigured(format!("the stream is sealed and takes nothing more; make another one{said}"))
        }
        "10002" | "10028" | "10047" => Verdict::Pause {
            reason: PauseReason::Quota,
            message: format!("the account has no room left in JetStream; raise its limits, then resume{said}"),
        },
        // Whatever the stream cannot store has this code; the limit on one subject is no matter of the others.
        "10077" if words.contains("maximum messages exceeded") || words.contains("maximum bytes exceeded") => {
            Verdict::Pause {
                reason: PauseReason::Quota,
                message: format!(
                    "the stream is full and discards what is new; raise its limits, remove messages, or let it discard the \
                     oldest, then resume{said}"
                ),
            }
        }
        "MAX_PAYLOAD" | "10054" | "10097" => Verdict::reject(FailureReason::TooLarge, words),
        _ => bus::retry(FailureReason::ServerError, &words),
    }
}
