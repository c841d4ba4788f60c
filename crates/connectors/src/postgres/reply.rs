//! What a refusal means: the SQLSTATE decides, by its class where nothing more is known.

use domain::Verdict;
use domain::connector::{Batch, Reply, SqlServer, Step};
use domain::verdict::FailureReason;
use serde::Deserialize;

use super::Table;
use crate::common::on_one_line;
use crate::warehouse::PROVISION;

/// Most characters of the server's text that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;

#[derive(Deserialize, Default)]
struct Refusal {
    message: String,
    detail: Option<String>,
    column: Option<String>,
    /// What of the server's own code refused, in the same words whatever its language.
    routine: Option<String>,
    /// The functions of the database within which it happened.
    r#where: Option<String>,
}

impl Refusal {
    fn of(reply: &Reply) -> Option<Self> {
        serde_json::from_slice(&reply.body).ok()
    }

    /// Whether the table wants something in a column that we do not fill.
    fn is_unfilled(&self, table: &Table) -> bool {
        self.r#where.is_none() && self.column.as_ref().is_some_and(|column| !table.layout.has(column))
    }

    /// Whether it is one row that a policy of row-level security forbids.
    fn is_by_policy(&self) -> bool {
        self.routine.as_deref() == Some("ExecWithCheckOptions") || self.message.contains("row-level security policy")
    }

    /// Whether a function of the database's owner has raised it, with whatever code.
    fn is_raised(&self) -> bool {
        self.routine.as_deref() == Some("exec_stmt_raise")
    }
}

/// What the server says, on one line.
pub(super) fn said(reply: &Reply) -> String {
    let text = match Refusal::of(reply) {
        Some(Refusal { message, detail: Some(detail), .. }) => format!("{message}: {detail}"),
        Some(Refusal { message, .. }) => message,
        None => reply.text().into_owned(),
    };
    on_one_line(&text, TEXT_CHARS_MAX)
}

/// The step after a statement that was refused.
///
/// Triggers and policies can refuse one row with any code, so nothing but what is known to be about the server or about the
/// statement is said of all rows; everything else is looked for in halves.
pub(super) fn judge(table: &Table, batch: &Batch<'_>, code: &str, reply: &Reply) -> Step {
    let text = said(reply);
    let refusal = Refusal::of(reply).unwrap_or_default();
    let reject = |reason, text| Step::Split { alone: Verdict::reject(reason, text) };
    match (code.get(..2).unwrap_or_default(), code) {
        // No row can have anything in a column that nobody fills.
        (_, "23502") if refusal.is_unfilled(table) => Step::settle_all(batch, &unfilled(table, &refusal, &text)),
        // A value that does not fit, or a row that the table's rules, a view or a trigger forbid: one of them, and the others
        // are good.
        ("20" | "21" | "22" | "23" | "27" | "38" | "39" | "44" | "P0", _) => reject(FailureReason::Refused, text),
        (_, "42501") if refusal.is_by_policy() => reject(FailureReason::Refused, text),
        ("54", _) => reject(FailureReason::TooLarge, text),
        (class, _) if refusal.is_raised() && !is_of_all(class) => reject(FailureReason::Refused, text),
        (class, _) if is_of_all(class) && !refusal.is_raised() => {
            Step::settle_all(batch, &of_the_server(table, code, text))
        }
        // The statement is not understood, and so none of its rows; what a function stumbles over may be in one row.
        (class, _) if is_of_the_statement(class) && refusal.r#where.is_none() => {
            Step::settle_all(batch, &of_the_statement(table, code, &text))
        }
        _ => Step::Split { alone: retry(FailureReason::ServerError, text) },
    }
}

/// Whether a class of codes is about the server, the connection or the login, whatever the rows are.
fn is_of_all(class: &str) -> bool {
    matches!(class, "08" | "25" | "28" | "3D" | "40" | "53" | "55" | "57" | "58" | "F0")
}

fn is_of_the_statement(class: &str) -> bool {
    matches!(class, "0A" | "26" | "3F" | "42")
}

fn unfilled(table: &Table, refusal: &Refusal, text: &str) -> Verdict {
    let column = refusal.column.as_deref().unwrap_or_default();
    Verdict::misconfigured(format!(
        "table `{}.{}` wants something in column `{column}`, which nothing fills ({text}); fill it by `columns.{column}`, or give \
         it a default, then resume the destination",
        table.schema, table.name
    ))
}

fn of_the_server(table: &Table, code: &str, text: String) -> Verdict {
    let server = &table.server;
    // What a pooler in between has to say has one code, whatever it is.
    let is_of_pooler = |texts: &[&str]| code == "08P01" && texts.iter().any(|it| text.starts_with(it));
    match (code.get(..2).unwrap_or_default(), code) {
        _ if is_of_pooler(&["no such database"]) => no_database(server, &text),
        ("28", _) => refused_login(server, &text),
        _ if is_of_pooler(&[
            "no such user",
            "password authentication failed",
            "auth failed",
            "SASL authentication failed",
        ]) =>
        {
            refused_login(server, &text)
        }
        ("3D", _) => no_database(server, &text),
        (_, "53300") => retry(FailureReason::Throttled, text),
        (_, "57014" | "55P03") => retry(FailureReason::Timeout, text),
        // A server that shuts down, is short of something, stands by for another or is in somebody's way may be mended
        // meanwhile.
        _ => retry(FailureReason::ServerError, text),
    }
}

fn refused_login(server: &SqlServer, text: &str) -> Verdict {
    Verdict::unauthorized(format!(
        "PostgreSQL refuses the login of `{}` ({text}); set `user`, `password` and `database` to ones that are let in from here, \
         then resume the destination",
        server.user
    ))
}

fn no_database(server: &SqlServer, text: &str) -> Verdict {
    Verdict::misconfigured(format!(
        "there is no database `{}` ({text}); set `database` to one that is there, then resume the destination",
        server.database
    ))
}

fn of_the_statement(table: &Table, code: &str, text: &str) -> Verdict {
    let name = format!("{}.{}", table.schema, table.name);
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
            table.server.user
        )),
        ("0A", _) | (_, "42883" | "42601") => Verdict::misconfigured(format!(
            "the store does not know the statement ({text}); if it is Redshift or like it, set `dialect` to `redshift`, \
             then resume the destination"
        )),
        _ => Verdict::misconfigured(format!(
            "the insert into `{name}` is not accepted ({text}); mend the table or the settings, then resume the destination"
        )),
    }
}

fn retry(reason: FailureReason, text: String) -> Verdict {
    Verdict::Retry { after: None, reason, message: Some(text) }
}
