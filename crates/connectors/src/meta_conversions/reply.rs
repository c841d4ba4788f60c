//! What Meta's answers mean: the code in the body, not the status, which is 400 for nearly everything.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::FailureReason;

use crate::common::{in_brackets, is_page, on_one_line, page, retry, said};

/// How long to send nothing after too many calls; Meta counts by the hour.
const RATE_WAIT: Duration = Duration::from_mins(1);

/// What became of a request.
pub(super) enum Judgement {
    /// The same for every event of it.
    All(Verdict),
    /// It was refused whole for one of its events.
    Whole(Verdict),
}

pub(super) fn judge(reply: &Reply) -> Judgement {
    use Judgement::{All, Whole};

    let error = &reply.json().unwrap_or_default()["error"];
    let more = error["error_user_msg"].as_str().or(error["message"].as_str()).map(|text| on_one_line(text, 200));
    let text = more.or_else(|| said(reply));
    let why = in_brackets(text.clone());
    let code = error["code"].as_i64().unwrap_or_default();
    let later = |reason| All(Verdict::Retry { after: None, reason, message: text.clone() });
    match (reply.status, code, error["error_subcode"].as_i64()) {
        (200..=299, ..) if is_page(reply) => All(page(reply, "Meta")),
        (200..=299, ..) => All(Verdict::Delivered),
        // Too many calls: of the app, of the user, of the page, of the dataset.
        (_, 4 | 17 | 32 | 341 | 613 | 80_000..=80_014, _) | (429, ..) => All(crate::common::wait(reply, RATE_WAIT)),
        (_, 190 | 102 | 463 | 467, _) | (401, ..) => All(Verdict::unauthorized(format!(
            "Meta refused the access token{why}; make a new one for this dataset in the Events Manager and put it \
             into `access_token`"
        ))),
        (_, 10 | 200..=299, _) | (403, ..) => All(Verdict::unauthorized(format!(
            "the access token may not send events{why}; make one for this dataset in the Events Manager and put it \
             into `access_token`"
        ))),
        (_, 100, Some(33)) | (404 | 405, 0, _) | (_, 803 | 2_500, _) => All(Verdict::misconfigured(format!(
            "Meta does not know the dataset, or the token may not see it{why}; mend `dataset_id` or `access_token`"
        ))),
        (_, 1 | 2, _) => later(FailureReason::ServerError),
        _ if error["is_transient"] == true => later(FailureReason::ServerError),
        (413, ..) => Whole(Verdict::Reject { reason: FailureReason::TooLarge, message: text }),
        (400..=499, ..) => Whole(Verdict::Reject { reason: FailureReason::Refused, message: text }),
        _ => All(retry(reply)),
    }
}
