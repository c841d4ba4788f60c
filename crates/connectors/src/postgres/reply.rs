//! What a refusal means: the SQLSTATE decides, by its class where nothing more is known.

use domain::Verdict;
use domain::connector::{Batch, Reply, Step};
use domain::verdict::FailureReason;
use serde::Deserialize;

use super::Table;
use crate::common::on_one_line;
use crate::warehouse::PROVISION;

/// Most characters of the server's text that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;

#[derive(Deserialize)]
struct Refusal {
    message: String,
    detail: Option<String>,
}

/// What the server says, on one line.
pub(super) fn said(reply: &Reply) -> String {
    let text = match serde_json::from_slice(&reply.body) {
        Ok(Refusal { message, detail: Some(detail) }) => format!("{message}: {detail}"),
        Ok(Refusal { message, .. }) => message,
        Err(_) => reply.text().into_owned(),
    };
    on_one_line(&text, TEXT_CHARS_MAX)
}

/// The step after a statement that was refused.
pub(super) fn judge(table: &Table, batch: &Batch<'_>, code: &str, reply: &Reply) -> Step {
    let text = said(reply);
    match (code.get(..2).unwrap_or_default(), code) {
        // A value that does not fit, or a row that the table's rules forbid: one of them, and the others are good.
        ("22" | "23", _) => Step::Split { alone: Verdict::reject(FailureReason::Refused, text) },
        ("54", _) => Step::Split { alone: Verdict::reject(FailureReason::TooLarge, text) },
        _ => Step::settle_all(batch, &of_all(table, code, text)),
    }
}

fn of_all(table: &Table, code: &str, text: String) -> Verdict {
    let name = format!("{}.{}", table.schema, table.name);
    let server = &table.server;
    match (code.get(..2).unwrap_or_default(), code) {
        (_, "42703") => Verdict::misconfigured(format!(
            "table `{name}` lacks a column ({text}); run {PROVISION} to add what is missing, or leave the column \
             out by `columns.… = \"\"`, then resume the destination"
        )),
        (_, "42P01" | "3F000" | "42704") => Verdict::misconfigured(format!(
            "there is no table `{name}` ({text}); run {PROVISION} to create it, then resume the destination"
        )),
        (_, "42501") => Verdict::unauthorized(format!(
            "user `{}` may not write to `{name}` ({text}); have the owner grant `INSERT` and `SELECT` on the table and \
             `USAGE` on its schema, then resume the destination",
            server.user
        )),
        ("28", _) => Verdict::unauthorized(format!(
            "PostgreSQL refuses the login of `{}` ({text}); set `user`, `password` and `database` to ones that are let in \
             from here, then resume the destination",
            server.user
        )),
        ("3D", _) => Verdict::misconfigured(format!(
            "there is no database `{}` ({text}); set `database` to one that is there, then resume the destination",
            server.database
        )),
        ("0A", _) | (_, "42883" | "42601") => Verdict::misconfigured(format!(
            "the store does not know the statement ({text}); if it is Redshift or like it, set `dialect` to `redshift`, \
             then resume the destination"
        )),
        ("42" | "26", _) => Verdict::misconfigured(format!(
            "the insert into `{name}` is not accepted ({text}); mend the table or the settings, then resume the destination"
        )),
        ("53", "53300") => retry(FailureReason::Throttled, text),
        (_, "57014" | "55P03") => retry(FailureReason::Timeout, text),
        // A server that shuts down, is short of something, stands by for another or is in somebody's way, and whatever is
        // not known: it may be mended meanwhile.
        _ => retry(FailureReason::ServerError, text),
    }
}

fn retry(reason: FailureReason, text: String) -> Verdict {
    Verdict::Retry { after: None, reason, message: Some(text) }
}
