//! Verdicts: what a reply means for the delivery, sorted by who must act.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What becomes of one delivery after an exchange. Messages are for a person: what the vendor said, or what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The destination has it.
    Delivered,
    /// Nobody must act: try again, not before `after` if the destination named a time for this event.
    Retry { after: Option<Duration>, reason: FailureReason, message: Option<String> },
    /// The destination asks for less: the whole lane waits for `after`, the event longer if it has waited often, and no attempt of
    /// the schedule is spent.
    Wait { after: Duration, message: Option<String> },
    /// Somebody must change this event or its mapping: it will never be accepted as it is.
    Reject { reason: FailureReason, message: Option<String> },
    /// There is nothing in this event for the destination, and that is all right: no address to mail to, no click to
    /// attribute to.
    Skip { message: String },
    /// Somebody must mend the account or configuration: no event can be accepted until then.
    Pause { reason: PauseReason, message: String },
}

impl Verdict {
    /// Try again by the schedule.
    pub const fn retry(reason: FailureReason) -> Self {
        Self::Retry { after: None, reason, message: None }
    }

    /// Never again, with what the vendor said.
    pub fn reject(reason: FailureReason, message: impl Into<String>) -> Self {
        Self::Reject { reason, message: Some(message.into()) }
    }

    /// Not for this destination.
    pub fn skip(message: impl Into<String>) -> Self {
        Self::Skip { message: message.into() }
    }

    /// The credentials are refused.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::Pause { reason: PauseReason::Unauthorized, message: message.into() }
    }

    /// The same, with what it says to a person rewritten.
    #[must_use]
    pub fn reworded(self, reword: impl Fn(&str) -> String) -> Self {
        let reworded = |message: Option<String>| message.map(|text| reword(&text));
        match self {
            Self::Delivered => Self::Delivered,
            Self::Retry { after, reason, message } => Self::Retry { after, reason, message: reworded(message) },
            Self::Wait { after, message } => Self::Wait { after, message: reworded(message) },
            Self::Reject { reason, message } => Self::Reject { reason, message: reworded(message) },
            Self::Skip { message } => Self::Skip { message: reword(&message) },
            Self::Pause { reason, message } => Self::Pause { reason, message: reword(&message) },
        }
    }

    /// Account or settings are broken for every event.
    pub fn misconfigured(message: impl Into<String>) -> Self {
        Self::Pause { reason: PauseReason::Misconfigured, message: message.into() }
    }
}

/// Why an attempt failed, or why a delivery is dead. Stable codes, in the API and in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The address could not be resolved.
    Dns,
    /// The connection was refused or could not be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The guard refused the address: it is not a public one.
    AddressRefused,
    /// The exchange did not end within its deadline.
    Timeout,
    /// The connection broke or the answer was not HTTP.
    Broken,
    /// A redirect; redirects are not followed.
    Redirect,
    /// A status of 4xx other than 410 and 429.
    ClientError,
    /// The destination is gone: 410.
    Gone,
    /// The destination asked for less: 429.
    Throttled,
    /// A status of 5xx.
    ServerError,
    /// Any other status that is not a success.
    UnexpectedStatus,
    /// The filter of the destination failed on this event.
    FilterError,
    /// A template of the destination failed on this event.
    TemplateError,
    /// The connector can make nothing of the event or of its settings.
    Unprocessable,
    /// The vendor says that this event will never do.
    Refused,
    /// The event is larger than the vendor takes.
    TooLarge,
    /// The call may or may not have been carried out, and repeating it could do harm.
    UnknownOutcome,
    /// There is nothing in the event for the destination.
    NotApplicable,
}

impl FailureReason {
    /// Every reason, for metrics and documentation.
    pub const ALL: [Self; 19] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::AddressRefused,
        Self::Timeout,
        Self::Broken,
        Self::Redirect,
        Self::ClientError,
        Self::Gone,
        Self::Throttled,
        Self::ServerError,
        Self::UnexpectedStatus,
        Self::FilterError,
        Self::TemplateError,
        Self::Unprocessable,
        Self::Refused,
        Self::TooLarge,
        Self::UnknownOutcome,
        Self::NotApplicable,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::AddressRefused => "address_refused",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Redirect => "redirect",
            Self::ClientError => "client_error",
            Self::Gone => "gone",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::UnexpectedStatus => "unexpected_status",
            Self::FilterError => "filter_error",
            Self::TemplateError => "template_error",
            Self::Unprocessable => "unprocessable",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::UnknownOutcome => "unknown_outcome",
            Self::NotApplicable => "not_applicable",
        }
    }

    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The reason for an HTTP status that is not a success.
    pub fn of_status(status: u16) -> Self {
        match status {
            300..=399 => Self::Redirect,
            410 => Self::Gone,
            429 => Self::Throttled,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::UnexpectedStatus,
        }
    }
}

/// Why a destination is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// A person paused it.
    Manual,
    /// It answered 410.
    Gone,
    /// Its credentials are refused, also after one refresh.
    Unauthorized,
    /// Its account or configuration is broken for every event.
    Misconfigured,
    /// A quota of its plan or account is used up.
    Quota,
}

impl PauseReason {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Gone => "gone",
            Self::Unauthorized => "unauthorized",
            Self::Misconfigured => "misconfigured",
            Self::Quota => "quota",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_code_and_is_found_by_it() {
        for reason in FailureReason::ALL {
            assert_eq!(FailureReason::from_code(reason.code()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
        }
    }
}
