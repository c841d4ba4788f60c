//! What a reply means. A 200 does not mean stored: it lists the rows that were not.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Verdict;
use domain::connector::{Batch, Reply, Step};
use domain::verdict::{FailureReason, PauseReason};
use serde::Deserialize;

use super::Table;
use crate::common::{self, on_one_line};
use crate::warehouse::PROVISION;

/// Most characters of Google's text that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;
/// How long to stay away when too much was sent; Google does not say.
const RATE_WAIT: Duration = Duration::from_secs(10);
/// The same when a quota is used up.
const QUOTA_WAIT: Duration = Duration::from_mins(1);
/// How many tries a table gets that was made a moment ago and is not known everywhere yet, and how far apart.
const FRESH_TABLE_TRIES: u32 = 4;
const FRESH_TABLE_WAIT: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inserted {
    #[serde(default)]
    insert_errors: Vec<RowErrors>,
}

#[derive(Deserialize)]
struct RowErrors {
    index: usize,
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize, Default)]
struct Detail {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalDetail,
}

#[derive(Deserialize)]
struct RefusalDetail {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Detail>,
}

fn refusal(reply: &Reply) -> Option<RefusalDetail> {
    serde_json::from_slice(&reply.body).ok().map(|Refusal { error }| error)
}

/// What Google says, for a person.
pub(super) fn said(reply: &Reply) -> String {
    match refusal(reply) {
        Some(refusal) => on_one_line(&refusal.message, TEXT_CHARS_MAX),
        None => common::said(reply).unwrap_or_else(|| reply.status.to_string()),
    }
}

pub(super) fn judge(table: &Table, batch: &Batch<'_>, reply: &Reply) -> Step {
    if (200..=299).contains(&reply.status) {
        return match serde_json::from_slice(&reply.body) {
            Ok(inserted) => Step::Settle(of_rows(table, batch, &inserted)),
            Err(_) => Step::settle_all(batch, &Verdict::misconfigured(not_bigquery())),
        };
    }
    let text = said(reply);
    let reason = refusal(reply).and_then(|refusal| refusal.errors.into_iter().next()).unwrap_or_default().reason;
    let all = |verdict: Verdict| Step::settle_all(batch, &verdict);
    match (reply.status, reason.as_str()) {
        (401, _) => Step::Reauthorize {
            message: format!(
                "BigQuery refuses the service account ({text}); put the key file of one that is alive into \
                 `service_account`, then resume the destination"
            ),
        },
        (403, "rateLimitExceeded") | (429, _) => all(common::wait(reply, RATE_WAIT)),
        (403, "quotaExceeded") => all(Verdict::Wait {
            after: common::asked_wait(reply).unwrap_or(QUOTA_WAIT),
            message: Some(format!(
                "a quota of the project is used up ({text}); it is tried again every minute, and an owner of the project can \
                 ask Google for more"
            )),
        }),
        (403, "billingNotEnabled") => all(Verdict::Pause {
            reason: PauseReason::Quota,
            message: format!(
                "project `{}` may not stream rows ({text}); have its owner set up billing, then resume the destination",
                table.project
            ),
        }),
        (403, _) => all(Verdict::unauthorized(format!(
            "the service account may not write to `{}` ({text}); give it the role `BigQuery Data Editor` on the dataset, then \
             resume the destination",
            table.full_name()
        ))),
        (404, _) => Step::Settle(batch.items.iter().map(|item| not_found(table, item.attempt, &text)).collect()),
        (413, _) => Step::Split { alone: Verdict::reject(FailureReason::TooLarge, text) },
        (300..=399, _) => all(common::redirected(reply, "url")),
        // What is wrong with a row is said of that row, under a 200. This is about the request, and so seldom about what is in it.
        (400, _) if is_about_the_place(&text) => all(Verdict::misconfigured(format!(
            "BigQuery takes no rows for `{}` ({text}); set `project`, `dataset` and `table` right, then resume the destination",
            table.full_name()
        ))),
        (400, reason) if reason == "parseError" || is_about_a_value(&text) => {
            Step::Split { alone: Verdict::reject(FailureReason::Refused, text) }
        }
        (408, _) => all(common::retry(reply)),
        (400..=499, _) => Step::Split { alone: again(FailureReason::ClientError, &text) },
        _ => all(Verdict::Retry {
            after: common::asked_wait(reply),
            reason: FailureReason::of_status(reply.status),
            message: Some(text),
        }),
    }
}

/// Whether a text says that no row can ever go where the settings lead.
fn is_about_the_place(text: &str) -> bool {
    ["Invalid project", "Invalid dataset", "Invalid table", "Cannot add rows to"].iter().any(|it| text.starts_with(it))
}

fn is_about_a_value(text: &str) -> bool {
    text.starts_with("Invalid value at") || text.starts_with("Invalid JSON payload")
}

/// The column that a table wants and that we do not fill, if it is that.
fn unfilled<'m>(table: &Table, message: &'m str) -> Option<&'m str> {
    let (_, field) = message.split_once("Missing required field: ")?;
    let column = field.trim_end_matches('.').rsplit('.').next()?;
    (!column.is_empty() && !table.layout.has(column)).then_some(column)
}

/// One verdict per item: rows that are not listed are stored.
fn of_rows(table: &Table, batch: &Batch<'_>, inserted: &Inserted) -> Vec<Verdict> {
    let refused: BTreeMap<_, _> = inserted.insert_errors.iter().map(|row| (row.index, row)).collect();
    let mut rows = 0;
    let mut verdicts = table.layout.verdicts(batch, |row| {
        rows = row + 1;
        match refused.get(&row) {
            Some(row) => of_row(table, row.errors.first().unwrap_or(&Detail::default())),
            None => Verdict::Delivered,
        }
    });
    if refused.keys().any(|row| *row >= rows) {
        // Some row was refused and nobody knows which; the insert ids make it harmless to send them again.
        for verdict in verdicts.iter_mut().filter(|verdict| **verdict == Verdict::Delivered) {
            *verdict = again(FailureReason::ServerError, "BigQuery refused a row that was not sent");
        }
    }
    verdicts
}

fn of_row(table: &Table, error: &Detail) -> Verdict {
    let Detail { reason, location, message } = error;
    let at = if location.is_empty() { String::new() } else { format!("`{location}`: ") };
    let text = on_one_line(&format!("{at}{message}"), TEXT_CHARS_MAX);
    if let Some(column) = unfilled(table, message) {
        return Verdict::misconfigured(format!(
            "table `{}` wants something in column `{column}`, which nothing fills; fill it by `columns.{column}`, or make it \
             nullable, then resume the destination",
            table.full_name()
        ));
    }
    match reason.as_str() {
        // Nothing is wrong with this row; another one stopped it.
        "stopped" => again(FailureReason::ServerError, "another row of the batch stopped this one"),
        "timeout" => again(FailureReason::Timeout, &text),
        "backendError" | "internalError" | "rateLimitExceeded" | "quotaExceeded" => {
            again(FailureReason::ServerError, &text)
        }
        _ if message.to_lowercase().starts_with("no such field") => Verdict::misconfigured(format!(
            "table `{}` lacks a column ({text}); run {PROVISION} to add what is missing, or leave the column \
             out by `columns.… = \"\"`, then resume the destination",
            table.full_name()
        )),
        _ => Verdict::reject(FailureReason::Refused, text),
    }
}

fn not_found(table: &Table, attempt: u32, text: &str) -> Verdict {
    if attempt < FRESH_TABLE_TRIES {
        let message = format!("there is no such table ({text}); if it was made a moment ago, it will be there soon");
        return Verdict::Retry {
            after: Some(FRESH_TABLE_WAIT),
            reason: FailureReason::ClientError,
            message: Some(message),
        };
    }
    Verdict::misconfigured(format!(
        "there is no table `{}` ({text}); run {PROVISION} to create it, or set `project`, `dataset` and `table` right, then \
         resume the destination",
        table.full_name()
    ))
}

fn again(reason: FailureReason, text: &str) -> Verdict {
    Verdict::Retry { after: None, reason, message: Some(text.to_owned()) }
}

fn not_bigquery() -> &'static str {
    "what answers under `url` is not BigQuery; set it right or leave it out, then resume the destination"
}
