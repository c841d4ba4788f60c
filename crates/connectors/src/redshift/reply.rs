//! What a reply means. What went wrong with a statement is told in words only, those of its database.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::FailureReason;
use serde::Deserialize;

use super::{TOKEN_SECS, Table};
use crate::common::{self, on_one_line};
use crate::warehouse::PROVISION;

/// Most characters of a text that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;
/// How long a statement is left alone that is not yet finished.
const RUNNING_WAIT: Duration = Duration::from_secs(2);
/// How long to stay away when too much was asked for; Amazon does not say.
const RATE_WAIT: Duration = Duration::from_secs(5);

/// What a reply says about a statement.
pub(super) enum Told {
    /// It will be executed, under this id.
    Accepted(String),
    /// It is not at its end; this, if nobody waits for that.
    Running(Verdict),
    Finished,
    /// Nothing was inserted because of one row; this, if it is this one.
    OneOfThem(Verdict),
    /// It failed and may succeed another time; this, if it is not tried at once.
    Unlucky(Verdict),
    /// It failed for something that a person must mend, and may have by now: a statement that failed is remembered as that. This,
    /// if it is not so.
    Hindered(Verdict),
    All(Verdict),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    status: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

/// What Amazon says, for a person.
pub(super) fn said(reply: &Reply) -> String {
    match serde_json::from_slice::<Refusal>(&reply.body) {
        Ok(refusal) if !refusal.message.is_empty() => on_one_line(&refusal.message, TEXT_CHARS_MAX),
        _ => common::said(reply).unwrap_or_else(|| reply.status.to_string()),
    }
}

/// The name of an error: after the namespace, before the address of a schema.
pub(super) fn kind(reply: &Reply) -> String {
    let in_body = || serde_json::from_slice::<Refusal>(&reply.body).map(|refusal| refusal.kind).unwrap_or_default();
    let kind = reply.header("x-amzn-errortype").map_or_else(in_body, str::to_owned);
    let kind = kind.rsplit('#').next().unwrap_or_default();
    kind.split(':').next().unwrap_or_default().to_owned()
}

pub(super) fn of_hand_over(reply: &Reply) -> Told {
    match serde_json::from_slice(&reply.body) {
        Ok(Accepted { id }) if reply.is_success() => Told::Accepted(id),
        _ => of_refusal(reply),
    }
}

pub(super) fn of_question(table: &Table, reply: &Reply) -> Told {
    match serde_json::from_slice(&reply.body) {
        Ok(Described { status, error }) if reply.is_success() => match status.as_str() {
            "FINISHED" => Told::Finished,
            "FAILED" | "ABORTED" => of_failure(table, &on_one_line(&error, TEXT_CHARS_MAX)),
            _ => Told::Running(Verdict::Wait {
                after: RUNNING_WAIT,
                message: Some("Redshift is still at the statement; it is asked again".to_owned()),
            }),
        },
        _ => of_refusal(reply),
    }
}

/// The API's own refusals.
fn of_refusal(reply: &Reply) -> Told {
    let text = said(reply);
    let kind = kind(reply);
    // The statement itself, which the rows are written into.
    if kind == "ValidationException" && text.to_lowercase().contains("'sql'") {
        return Told::OneOfThem(Verdict::reject(FailureReason::Refused, text));
    }
    Told::All(match kind.as_str() {
        "ThrottlingException" | "ActiveStatementsExceededException" | "ActiveSessionsExceededException" => {
            common::wait(reply, RATE_WAIT)
        }
        "AccessDeniedException" => Verdict::unauthorized(format!(
            "the access key may not use the Data API ({text}); allow its user `redshift-data:ExecuteStatement`, \
             `redshift-data:DescribeStatement` and to log in to the database, then resume the destination"
        )),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "MissingAuthenticationTokenException" => Verdict::unauthorized(format!(
            "Amazon refuses the access key ({text}); set `access_key_id`, `secret_access_key` and `region` right, see that \
             the clock of this server is, then resume the destination"
        )),
        "ValidationException" | "ResourceNotFoundException" | "DatabaseConnectionException" => {
            Verdict::misconfigured(format!(
                "Redshift does not accept the request ({text}); look at `database`, `workgroup` or `cluster`, and the login, \
                 then resume the destination"
            ))
        }
        _ if matches!(reply.status, 401 | 403) => Verdict::unauthorized(format!(
            "Amazon refuses the access key ({text}); set `access_key_id` and `secret_access_key` right, then resume the \
             destination"
        )),
        _ if reply.is_success() => Verdict::misconfigured(
            "what answers under `url` is not Redshift's Data API; set it right or leave it out, then resume the destination",
        ),
        _ if matches!(reply.status, 300..=399) => common::redirected(reply, "url"),
        _ => {
            let again = Verdict::Retry {
                after: common::asked_wait(reply),
                reason: FailureReason::of_status(reply.status),
                message: Some(text),
            };
            // Of a server in trouble, all; of what nobody has thought of, nobody knows.
            return if matches!(reply.status, 400..=407 | 409..=499) {
                Told::OneOfThem(again)
            } else {
                Told::All(again)
            };
        }
    })
}

/// What the database says about a statement that it did not carry out.
fn of_failure(table: &Table, text: &str) -> Told {
    let name = format!("{}.{}", table.schema, table.name);
    let lower = without_quoted(text).to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if says(&["does not exist"]) && says(&["column"]) {
        return Told::Hindered(Verdict::misconfigured(format!(
            "table `{name}` lacks a column ({text}); run {PROVISION} to add what is missing, or leave the column \
             out by `columns.… = \"\"`, then resume the destination"
        )));
    }
    if says(&["does not exist", "not found"]) {
        return Told::Hindered(Verdict::misconfigured(format!(
            "there is no table `{name}` ({text}); run {PROVISION} to create it, then resume the destination"
        )));
    }
    if says(&["permission denied", "must be owner", "authentication failed", "not authorized"]) {
        return Told::Hindered(Verdict::unauthorized(format!(
            "the database user may not write to `{name}` ({text}); have the owner grant `INSERT` and `SELECT` on the table \
             and `USAGE` on its schema, then resume the destination"
        )));
    }
    if let Some(column) = unfilled(table, text) {
        return Told::Hindered(Verdict::misconfigured(format!(
            "table `{name}` wants something in column `{column}`, which nothing fills ({text}); fill it by `columns.{column}`, or \
             give it a default, then resume the destination"
        )));
    }
    if says(&["value too long", "invalid", "out of range", "overflow", "cannot insert a null", "not null", "bad json"])
    {
        return Told::OneOfThem(Verdict::reject(FailureReason::Refused, text));
    }
    if says(&["syntax error", "of type"]) {
        return Told::Hindered(Verdict::misconfigured(format!(
            "the insert into `{name}` is not accepted ({text}); mend the table or the settings, then resume the destination"
        )));
    }
    let again = Verdict::Retry {
        after: Some(Duration::from_secs(TOKEN_SECS.unsigned_abs())),
        reason: FailureReason::ServerError,
        message: Some(text.to_owned()),
    };
    // Somebody was in the way, the disk was full, the statement was cancelled: until its name runs out it stays failed.
    if says(UNLUCKY) { Told::Unlucky(again) } else { Told::OneOfThem(again) }
}

/// What a statement fails of whatever its rows are.
const UNLUCKY: &[&str] = &[
    "serializ",
    "concurrent",
    "in use",
    "try again",
    "deadlock",
    "lock",
    "cancel",
    "abort",
    "timeout",
    "timed out",
    "disk full",
    "space",
    "memory",
    "connection",
    "terminat",
    "restart",
    "shut",
    "unavailable",
    "resource",
    "internal error",
    "maintenance",
    "read-only",
    "read only",
];

/// A text without what stands in it in quotes, which may be what an event says.
fn without_quoted(text: &str) -> String {
    let (mut quote, mut rest, mut is_in_word) = (None, String::with_capacity(text.len()), false);
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            // That of `doesn't` opens nothing.
            None if c == '"' || c == '\'' && !is_in_word => quote = Some(c),
            None => rest.push(c),
        }
        is_in_word = c.is_alphanumeric();
    }
    rest
}

/// The column that a table wants and that we do not fill, if it is that.
fn unfilled<'t>(table: &Table, text: &'t str) -> Option<&'t str> {
    let (_, rest) = text.split_once("Cannot insert a NULL value into column ")?;
    let column = rest.split_whitespace().next()?.trim_matches(['"', '.', ',']);
    (!column.is_empty() && !table.layout.has(column)).then_some(column)
}
