//! What a reply means. A 200 says that the rows are kept; those that do not fit end in the table's error table, of which nobody
//! is told.

use std::time::Duration;

use domain::connector::{Batch, Reply, Step, Token};
use domain::verdict::FailureReason;
use domain::{Secret, Verdict};
use serde::Deserialize;

use super::Table;
use crate::common::{self, on_one_line};
use crate::warehouse::PROVISION;

/// Most characters of a text that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;
/// How long to stay away when too much was sent and nobody says how long.
const RATE_WAIT: Duration = Duration::from_secs(10);
/// How long a token or the name of a host is used: less than what they live.
const VALID_FOR: Duration = Duration::from_mins(50);

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What Snowflake says, for a person.
pub(super) fn said(reply: &Reply) -> String {
    match serde_json::from_slice::<Refusal>(&reply.body) {
        Ok(Refusal { code, message }) if !message.is_empty() => {
            let code = if code.is_empty() { code } else { format!("{code}: ") };
            on_one_line(&format!("{code}{message}"), TEXT_CHARS_MAX)
        }
        _ => common::said(reply).unwrap_or_else(|| reply.status.to_string()),
    }
}

/// The host that takes rows; there is no token yet that is good for it.
pub(super) fn host(reply: &Reply) -> Result<Token, Verdict> {
    match in_answer(reply, "hostname") {
        Some(host) => Ok(Token { secret: Secret::new(""), valid_for: Some(VALID_FOR), extra: Some(host) }),
        None => Err(no_token(reply)),
    }
}

/// A token that is good for the host of the rows.
pub(super) fn scoped_token(reply: &Reply) -> Result<String, Verdict> {
    in_answer(reply, "token").or_else(|| in_answer(reply, "access_token")).ok_or_else(|| no_token(reply))
}

pub(super) fn granted(token: String) -> Token {
    Token { secret: Secret::new(token), valid_for: Some(VALID_FOR), extra: None }
}

/// A member of the answer's object, or the whole answer if it is a bare text.
fn in_answer(reply: &Reply, member: &str) -> Option<String> {
    if !(200..=299).contains(&reply.status) {
        return None;
    }
    let text = match reply.json() {
        Some(serde_json::Value::Object(object)) => object.get(member)?.as_str()?.to_owned(),
        Some(serde_json::Value::String(text)) => text,
        _ => reply.text().trim().to_owned(),
    };
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.starts_with('<');
    is_plain.then_some(text)
}

fn no_token(reply: &Reply) -> Verdict {
    match reply.status {
        408 | 429 | 500..=599 => common::retry(reply),
        _ => Verdict::unauthorized(format!(
            "Snowflake refuses the key pair ({}); set `account`, `user` and `private_key` right, see that the public key is set \
             for the user, then resume the destination",
            said(reply)
        )),
    }
}

pub(super) fn judge(table: &Table, batch: &Batch<'_>, reply: &Reply) -> Step {
    let text = said(reply);
    let name = format!("{}.{}.{}", table.database, table.schema, table.name);
    let all = |verdict: Verdict| Step::settle_all(batch, &verdict);
    match reply.status {
        // `{"message":"OK"}`
        200..=299 if reply.json().is_some_and(|body| body["message"].is_string()) => table.layout.delivered(batch),
        200..=299 => all(Verdict::misconfigured(
            "what answers in place of the host for rows is not Snowflake; set `ingest_host` right or leave it out, then resume \
             the destination",
        )),
        401 => Step::Reauthorize {
            message: format!(
                "Snowflake refuses the token ({text}); see that the user is alive and has the right public key, then resume \
                 the destination"
            ),
        },
        403 => all(Verdict::unauthorized(format!(
            "user `{}` may not write to `{name}` ({text}); grant `INSERT` on the table and `USAGE` on its database and schema \
             to the user's default role, then resume the destination",
            table.names.subject()
        ))),
        404 => all(Verdict::misconfigured(format!(
            "there is no table `{name}`, or the user may not see it ({text}); run {PROVISION} to create it, or grant the user's \
             default role `INSERT`, then resume the destination"
        ))),
        413 => Step::Split { alone: Verdict::reject(FailureReason::TooLarge, text) },
        429 => all(common::wait(reply, RATE_WAIT)),
        300..=399 => all(common::redirected(reply, "ingest_host")),
        // Rows that do not fit are no matter of the answer, so nobody knows what this is about.
        400..=407 | 409..=499 => Step::Split {
            alone: Verdict::Retry {
                after: common::asked_wait(reply),
                reason: FailureReason::ClientError,
                message: Some(text),
            },
        },
        status => all(Verdict::Retry {
            after: common::asked_wait(reply),
            reason: FailureReason::of_status(status),
            message: Some(text),
        }),
    }
}
