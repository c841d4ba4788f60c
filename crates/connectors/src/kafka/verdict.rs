//! What a refusal of a broker means. The names are those of the protocol.

use domain::Verdict;
use domain::connector::RecordRefusal;
use domain::verdict::FailureReason;

use crate::bus::{self, MESSAGE_CHARS_MAX};
use crate::common::{in_brackets, on_one_line};

/// No broker let us in.
pub(super) fn turned_away(code: &str, message: &str) -> Verdict {
    refused(&RecordRefusal::new(code, message))
}

/// A broker did not take a record.
pub(super) fn refused(refusal: &RecordRefusal) -> Verdict {
    let code = refusal.code.as_str();
    let words = on_one_line(&refusal.message, MESSAGE_CHARS_MAX);
    let said = in_brackets((!words.is_empty()).then_some(words));
    match code {
        "SASL_AUTHENTICATION_FAILED" => Verdict::unauthorized(format!(
            "the broker refuses the login; check `user`, `password` and `mechanism`{said}"
        )),
        "UNSUPPORTED_SASL_MECHANISM" | "ILLEGAL_SASL_STATE" => Verdict::misconfigured(format!(
            "the broker does not log anybody in this way; mend the setting `mechanism`, or leave out the login{said}"
        )),
        "TOPIC_AUTHORIZATION_FAILED" | "CLUSTER_AUTHORIZATION_FAILED" => Verdict::unauthorized(format!(
            "the user may not write there; give it the right to write to the topic{said}"
        )),
        "NO_LOGIN" => Verdict::unauthorized(
            "the broker wants a login; put a good one into `user` and `password`, and choose `mechanism`",
        ),
        "NO_TLS" => Verdict::misconfigured(
            "the broker offers no encryption at this port; name the port for encrypted connections under `brokers`, or set \
             `tls` to `false` for a cluster on your own network",
        ),
        "TLS_REQUIRED" => Verdict::misconfigured(
            "the broker wants an encrypted connection at this port; set `tls` to `true`, or name another port under `brokers`",
        ),
        "UNKNOWN_TOPIC_OR_PARTITION" => {
            Verdict::misconfigured(format!("the cluster has no such topic; make it, or mend the setting `topic`{said}"))
        }
        "INVALID_TOPIC_EXCEPTION" => Verdict::misconfigured(format!(
            "the cluster takes no such name for a topic; mend the setting `topic`{said}"
        )),
        "ADDRESS_REFUSED" => Verdict::misconfigured(
            "the cluster announces a broker at an address that may not be dialled; mend its `advertised.listeners`, or \
             have the operator of this server allow the network"
                .to_owned(),
        ),
        "UNSUPPORTED_VERSION" | "UNSUPPORTED_FOR_MESSAGE_FORMAT" => {
            Verdict::misconfigured(format!("the broker is older than 0.11; update it{said}"))
        }
        "MESSAGE_TOO_LARGE" | "RECORD_LIST_TOO_LARGE" => {
            Verdict::reject(FailureReason::TooLarge, format!("the record is larger than the topic takes{said}"))
        }
        "INVALID_RECORD" | "INVALID_TIMESTAMP" | "POLICY_VIOLATION" => {
            Verdict::reject(FailureReason::Refused, format!("{code}{said}"))
        }
        // Leaders move, replicas lag, disks fill: brokers get over it.
        _ => bus::retry(FailureReason::ServerError, &on_one_line(&format!("{code}{said}"), MESSAGE_CHARS_MAX)),
    }
}
