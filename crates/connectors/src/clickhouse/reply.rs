//! What a reply of `ClickHouse` means. The number in `Code: N` decides: the HTTP status is a different one on every version.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::FailureReason;

use super::Table;
use crate::common::{self, in_brackets, on_one_line, said};
use crate::warehouse::PROVISION;

/// Most characters of the server's text that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;
/// How long to stay away when a quota is used up. When its interval ends is said in the server's own time zone only.
const QUOTA_WAIT: Duration = Duration::from_mins(1);

/// What a reply means for a batch.
#[derive(Debug)]
pub(super) enum Judgement {
    Delivered,
    /// The server is older than the form of the insert; or, if there is no other form to try, this.
    UnknownSetting(Verdict),
    /// Nothing was stored because of one row; this, if it is this one.
    OneOfThem(Verdict),
    All(Verdict),
}

/// What the server says went wrong.
pub(super) struct Exception {
    pub(super) code: u32,
    /// For a person, on one line.
    pub(super) text: String,
}

impl Exception {
    /// Servers before 21 have no header, and some errors come under a status of 200.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        let body = reply.text();
        let body = body.trim_start();
        let in_body = || {
            let rest = body.strip_prefix("Code: ")?;
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..digits].parse().ok()
        };
        let code = reply.header("x-clickhouse-exception-code").and_then(|code| code.parse().ok()).or_else(in_body)?;
        // Around the message stand the code, the class and the version, in two manners.
        let message = body.split_once("DB::Exception: ").map_or(body, |(_, message)| message);
        let message = message.split(", e.what() = ").next().unwrap_or(message);
        let message = message.split(" (version ").next().unwrap_or(message);
        Some(Self { code, text: on_one_line(message, TEXT_CHARS_MAX) })
    }
}

pub(super) fn judge(reply: &Reply, table: &Table) -> Judgement {
    match Exception::of(reply) {
        Some(exception) => of_exception(&exception, table),
        None => without_exception(reply),
    }
}

fn of_exception(exception: &Exception, table: &Table) -> Judgement {
    let Exception { code, text } = exception;
    let name = format!("{}.{}", table.database, table.name);
    let misconfigured = |message| Judgement::All(Verdict::misconfigured(message));
    let unauthorized = |message| Judgement::All(Verdict::unauthorized(message));
    match code {
        // Texts, numbers, dates, arrays, identifiers and addresses that cannot be read, or do not fit where they are to go.
        6 | 25 | 26 | 27 | 32 | 33 | 38 | 41 | 53 | 69 | 70 | 72 | 117 | 130 | 131 | 321 | 349 | 376 | 407 | 441
        | 467 | 469 | 675 | 676 | 691 => Judgement::OneOfThem(Verdict::reject(FailureReason::Refused, text)),
        115 => Judgement::UnknownSetting(Verdict::misconfigured(format!(
            "ClickHouse does not know a setting of the insert ({text}); set `dialect` to `auto` or `legacy`, and look at \
             the parameters in `url`"
        ))),
        16 | 47 => misconfigured(format!(
            "table `{name}` lacks a column ({text}); run {PROVISION} to add what is missing, or leave the column \
             out by `columns.… = \"\"`, then resume the destination"
        )),
        60 => misconfigured(format!(
            "there is no table `{name}` ({text}); run {PROVISION} to create it, then resume the destination"
        )),
        81 => misconfigured(format!(
            "there is no database `{}` ({text}); run {PROVISION} to create it, then resume the destination",
            table.database
        )),
        // Values of an enumeration that it has not, under a code of each server's own.
        _ if text.starts_with("Unknown element") => Judgement::OneOfThem(Verdict::reject(FailureReason::Refused, text)),
        192..=195 | 516 => unauthorized(format!(
            "ClickHouse refuses the login ({text}); set `user` and `password` to ones that are let in from here, then resume \
             the destination"
        )),
        164 | 291 | 497 => unauthorized(format!(
            "the user may not insert into `{name}` ({text}); have an administrator of ClickHouse grant it, then resume the \
             destination"
        )),
        44 | 48 | 62 | 73 | 80 | 452 => misconfigured(format!(
            "ClickHouse does not accept the insert into `{name}` ({text}); mend the table or the settings, then resume the \
             destination"
        )),
        201 => Judgement::All(Verdict::Wait {
            after: QUOTA_WAIT,
            message: Some(format!(
                "the quota of the user is used up ({text}); it is tried again every minute, and an administrator of \
                 ClickHouse can raise the quota"
            )),
        }),
        // Too many months in one insert will not become fewer by waiting; too many parts will.
        252 if text.contains("partitions for single INSERT block") => {
            Judgement::OneOfThem(later(FailureReason::ServerError, text))
        }
        202 => Judgement::All(later(FailureReason::Throttled, text)),
        159 | 160 | 209 => Judgement::All(later(FailureReason::Timeout, text)),
        code if SHORTAGES.contains(code) => Judgement::All(later(FailureReason::ServerError, text)),
        // Nobody has thought of this one. A view or a default of the table's owner can stumble over one row with any code.
        _ => Judgement::OneOfThem(later(FailureReason::ServerError, text)),
    }
}

/// Codes of a server that lacks something, has lost its neighbours or is at work on the table, whatever the rows are: network and
/// names (198, 210, 279), a query that was ended (236, 394), memory and disk (241, 243, 373, 439, 745), replicas and their keeper
/// (225, 242, 244, 254, 285, 286, 319, 571, 722, 999), parts (252), storage (74, 75, 76, 425, 499), locks and restarts (473, 733).
const SHORTAGES: &[u32] = &[
    74, 75, 76, 198, 210, 225, 236, 241, 242, 243, 244, 252, 254, 279, 285, 286, 319, 373, 394, 425, 439, 473, 499,
    571, 722, 733, 745, 999,
];

fn without_exception(reply: &Reply) -> Judgement {
    let brackets = || in_brackets(said(reply));
    Judgement::All(match reply.status {
        200 if reply.body.iter().all(u8::is_ascii_whitespace) => return Judgement::Delivered,
        // Something in between says that it cannot be as large as this.
        413 => {
            let message = "a proxy before ClickHouse does not take a row as large as this";
            return Judgement::OneOfThem(Verdict::reject(FailureReason::TooLarge, message));
        }
        401 | 403 => Verdict::unauthorized(format!(
            "a proxy before ClickHouse refuses us with {}{}; set `url`, `user` and `password` right, then resume the \
             destination",
            reply.status,
            brackets(),
        )),
        // Whoever looks into requests on their way may have something against one row.
        406 | 409 | 422 | 451 => return Judgement::OneOfThem(common::retry(reply)),
        429 => common::wait(reply, Duration::from_secs(10)),
        300..=399 => common::redirected(reply, "url"),
        408 | 425 | 500.. => common::retry(reply),
        // Whatever ClickHouse itself refuses has a code. Its native port says in the words of HTTP that it does not speak it.
        ..=499 => Verdict::misconfigured(format!(
            "what answers under `url` does not seem to be ClickHouse{}; set it to the HTTP interface, port 8123 or 8443 as a \
             rule, then resume the destination",
            brackets(),
        )),
    })
}

fn later(reason: FailureReason, text: &str) -> Verdict {
    Verdict::Retry { after: None, reason, message: Some(text.to_owned()) }
}
