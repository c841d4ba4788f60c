//! What a store's refusal means. The names of errors are Amazon's; the compatible stores use them too.

use std::time::Duration;

use domain::Verdict;
use domain::connector::{Bucket, Reply};
use domain::verdict::{FailureReason, PauseReason};

use crate::common::{asked_wait, in_brackets, on_one_line, redirected, wait};

/// How long to stay away from a store that asks for less and does not say for how long.
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// Most characters of a store's message.
const MESSAGE_CHARS_MAX: usize = 200;

/// What a refusal means for the items of the file.
pub(super) enum Judgement {
    All(Verdict),
    /// The file is too large, in words.
    TooLarge(String),
    /// The store does not take this file, for a reason that nobody has thought of.
    Unknown(Verdict),
}

/// Whether the file is in the bucket. A store has nothing more to say about that; who says more stands in between.
pub(super) fn is_stored(reply: &Reply) -> bool {
    reply.is_success() && reply.body.trim_ascii().is_empty()
}

/// Judges any other reply.
pub(super) fn of(reply: &Reply, bucket: &Bucket) -> Judgement {
    let Bucket { name, region, access_key, .. } = bucket;
    let said = in_brackets(said(reply));
    let verdict = match (reply.status, reply.code.as_deref().unwrap_or_default()) {
        (200..=299, _) => Verdict::misconfigured(format!(
            "what answers with {} under `endpoint` does not seem to be a store; set it to the URL of one, then resume the \
             destination",
            reply.status
        )),
        (_, "SlowDown" | "TooManyRequests" | "RequestLimitExceeded") | (429, _) => wait(reply, SLOW_DOWN),
        (413, _) | (_, "EntityTooLarge") => {
            return Judgement::TooLarge(format!("the store takes no file of this size{said}"));
        }
        (_, "NoSuchBucket") => Verdict::misconfigured(format!(
            "there is no bucket `{name}` in this store; make it, or mend the settings `bucket`, `region` and `endpoint`"
        )),
        (_, "InvalidAccessKeyId") => Verdict::unauthorized(format!(
            "the store knows no access key `{access_key}`; make a new one and put it into the settings"
        )),
        (_, "SignatureDoesNotMatch") => Verdict::unauthorized(
            "the store refused the signature; check `secret_access_key`, and that `region` is that of the bucket",
        ),
        // The same for every file, but it goes away by itself once somebody has set the clock.
        (_, "RequestTimeTooSkewed") => retry(reply, Some("the clock of this server is wrong; set it".to_owned())),
        (300..=399, "") if reply.header("x-amz-bucket-region").is_none() => redirected(reply, "endpoint"),
        (301 | 307 | 308, _)
        | (_, "AuthorizationHeaderMalformed" | "IncorrectEndpoint" | "IllegalLocationConstraintException") => {
            let is_in = reply.header("x-amz-bucket-region").map(|it| format!(" but in `{it}`")).unwrap_or_default();
            Verdict::misconfigured(format!(
                "the bucket `{name}` is not in the region `{region}`{is_in}; mend the setting `region`{said}"
            ))
        }
        (_, "InvalidBucketName") => {
            Verdict::misconfigured(format!("the store refuses the name `{name}`; mend `bucket`"))
        }
        (507, _) => full(&said),
        (_, code) if code.contains("Quota") || code.contains("StorageFull") => full(&said),
        (401 | 403, _) => Verdict::unauthorized(format!(
            "the access key `{access_key}` may not put objects into `{name}`; give it `s3:PutObject` there{said}"
        )),
        (404, _) => Verdict::misconfigured(format!(
            "there is nothing that takes objects at this address; check `endpoint` and `bucket`{said}"
        )),
        // A request that came too slowly, or into somebody's way.
        (408 | 409 | 425, _) | (_, "RequestTimeout") => retry(reply, self::said(reply)),
        (400..=499, _) => return Judgement::Unknown(retry(reply, self::said(reply))),
        _ => retry(reply, self::said(reply)),
    };
    Judgement::All(verdict)
}

fn full(said: &str) -> Verdict {
    let message = format!("the store is full; make room or raise its quota, then resume{said}");
    Verdict::Pause { reason: PauseReason::Quota, message }
}

fn retry(reply: &Reply, message: Option<String>) -> Verdict {
    Verdict::Retry { after: asked_wait(reply), reason: FailureReason::of_status(reply.status), message }
}

/// `NoSuchBucket: The specified bucket does not exist`, as far as the store says so.
fn said(reply: &Reply) -> Option<String> {
    let code = reply.code.as_deref()?;
    let text = reply.text();
    let message = text.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    let message = message.map(|(message, _)| format!(": {message}")).unwrap_or_default();
    Some(on_one_line(&format!("{code}{message}"), MESSAGE_CHARS_MAX))
}
