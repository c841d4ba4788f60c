//! What a refusal means, sorted by who must act.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::{FailureReason, PauseReason};
use serde_json::Value;

use super::calls::Entity;
use super::limits;
use super::settings::Account;
use crate::common::{in_brackets, is_page, on_one_line, retry, said};

/// Most characters of Pipedrive's words that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;
/// How long to stay away once the edge blocks us, which it does to those who go on after a 429.
const BLOCKED_WAIT: Duration = Duration::from_mins(15);

/// What a refusal is about.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// Account, settings or the state of Pipedrive: it would be the same for everybody. What was asked was not done.
    Everybody(Verdict),
    /// Nobody knows whether it was done.
    Unclear(Verdict),
    /// The user may not do it: Pipedrive's words, and the verdict if that is so whatever the record.
    NoAccess(String, Verdict),
    /// There is no such record, or no such thing at all.
    NotFound(String),
    /// What was sent, with Pipedrive's words.
    Content(FailureReason, String),
}

/// Sorts a reply that is no success.
pub(super) fn sort(reply: &Reply, share: u64) -> Refusal {
    let text = in_brackets(said(reply).map(|text| on_one_line(&text, TEXT_CHARS_MAX)));
    let code = reply.json().unwrap_or_default()["code"].as_str().unwrap_or_default().to_owned();
    Refusal::Everybody(match reply.status {
        // A success with `success: false` inside.
        200..=299 | 400 | 409 | 422 => return Refusal::Content(FailureReason::Refused, words(reply)),
        413 | 414 => return Refusal::Content(FailureReason::TooLarge, "the record is larger than Pipedrive takes".to_owned()),
        404 => return Refusal::NotFound(words(reply)),
        300..=399 => Verdict::misconfigured(format!(
            "Pipedrive answered with a redirect ({}); see whether `domain` is the company's, then resume the destination",
            reply.status
        )),
        401 => Verdict::unauthorized(format!(
            "Pipedrive refused the API token{text}; have the user whose it is copy it from Personal preferences › API, put it into \
             `api_token`, then resume the destination"
        )),
        402 => Verdict::Pause {
            reason: PauseReason::Quota,
            message: format!(
                "this Pipedrive account is closed, or its trial has ended{text}; have its owner look at the subscription, then resume the \
                 destination"
            ),
        },
        403 if is_page(reply) => Verdict::Wait {
            after: BLOCKED_WAIT,
            message: Some(
                "Pipedrive's edge blocks this server for a while, as it does to those who call too often; it is tried again in 15 minutes, \
                 and if it stays like that have somebody ask Pipedrive's support"
                    .to_owned(),
            ),
        },
        403 if code.starts_with("feature_capping") || text.contains("limit reached") || text.contains("company limit") => {
            Verdict::Pause {
                reason: PauseReason::Quota,
                message: format!(
                    "this Pipedrive account has reached a limit of its plan{text}; have an admin close open deals, delete custom fields or \
                     take a larger plan, then resume the destination"
                ),
            }
        }
        403 => return Refusal::NoAccess(words(reply), Verdict::unauthorized(format!(
            "the user of the API token may not do this{text}; have an admin give the user a permission set that lets it see, add, edit \
             and merge everybody's people and deals (Settings › Manage users), then resume the destination"
        ))),
        405 | 410 | 415 | 501 => Verdict::misconfigured(format!(
            "Pipedrive has no such API any more{text}; look for a newer version of Afterclick, then resume the destination"
        )),
        429 => limited(reply, share),
        _ => return Refusal::Unclear(retry(reply)),
    })
}

fn limited(reply: &Reply, share: u64) -> Verdict {
    if limits::is_day_used_up(reply, share) {
        return Verdict::Wait {
            after: limits::until_next_hour(reply.received_at),
            message: Some(
                "the API tokens that this company has in a day are used up, by this or by other integrations; it goes on after midnight of \
                 Pipedrive's server, which is looked for every hour, or when an admin buys more"
                    .to_owned(),
            ),
        };
    }
    let after = crate::common::asked_wait(reply).unwrap_or_else(|| limits::window(reply)).max(Duration::from_secs(1));
    Verdict::Wait { after, message: said(reply) }
}

/// A value is refused that the settings give to every record.
pub(super) fn of_settings(account: &Account, entity: Entity, text: &str) -> Option<Verdict> {
    let (setting, properties) = account.properties_of(entity);
    let name = properties.fixed_in(text)?;
    Some(Verdict::misconfigured(format!(
        "Pipedrive refuses every record for `{setting}.{name}` ({text}); correct it in the settings or have an admin correct what it names in \
         Pipedrive, then resume the destination"
    )))
}

/// What an answer says, for a person.
pub(super) fn words(reply: &Reply) -> String {
    let body = reply.json().unwrap_or_default();
    let text = [&body["error"], &body["error"]["message"], &body["message"]].into_iter().find_map(Value::as_str);
    let text = on_one_line(text.unwrap_or_default(), TEXT_CHARS_MAX);
    if text.is_empty() { "Pipedrive does not say why".to_owned() } else { text }
}

/// What answers is somebody else.
pub(super) fn strange() -> Verdict {
    Verdict::misconfigured(
        "what answers is not Pipedrive; see whether `domain` is the company's, leave `host` out, then resume the destination",
    )
}
