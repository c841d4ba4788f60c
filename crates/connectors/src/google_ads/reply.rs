//! What Google's answers mean. Accepted is not matched: that is told in Google Ads, later.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::FailureReason;
use serde_json::Value;

use crate::common::{in_brackets, is_page, on_one_line, page, retry, said, wait};

/// The limit is counted by the minute.
const RATE_WAIT: Duration = Duration::from_mins(1);

/// What became of a request.
pub(super) enum Judgement {
    /// The same for every event of it.
    All(Verdict),
    /// It was refused whole, and nobody says for which event.
    Whole(Verdict),
    /// It was refused for these of its events, by their places.
    Named(BTreeMap<usize, Verdict>),
    /// The token is no longer good.
    NewToken(String),
}

pub(super) fn judge(reply: &Reply) -> Judgement {
    use Judgement::{All, Named, NewToken, Whole};

    let error = &reply.json().unwrap_or_default()["error"];
    let text = error["message"].as_str().map(|text| on_one_line(text, 200)).or_else(|| said(reply));
    let why = in_brackets(text.clone());
    match reply.status {
        200..=299 if is_page(reply) => All(page(reply, "Google")),
        200..=299 => All(Verdict::Delivered),
        400 => {
            let violations = violations(error);
            if let Some((field, description)) = violations.iter().find(|(field, _)| is_about_settings(field)) {
                return All(Verdict::misconfigured(format!(
                    "Google refused the account or conversion action (`{field}`: {description}); mend \
                     `customer_id`, `login_customer_id` or `conversion_action`"
                )));
            }
            let named: BTreeMap<_, _> =
                violations.iter().filter_map(|(field, description)| of_event(field, description)).collect();
            let described = violations.first().map(|(field, description)| format!("`{field}`: {description}"));
            if named.is_empty() {
                return Whole(Verdict::Reject { reason: FailureReason::Refused, message: described.or(text) });
            }
            Named(named)
        }
        401 => NewToken(format!(
            "Google refuses the service account{why}; put the key file of one that is alive into \
             `service_account`, then resume the destination"
        )),
        403 => All(Verdict::unauthorized(format!(
            "the service account may not send conversions{why}; switch the Data Manager API on in its project and \
             make it a user of the Google Ads account"
        ))),
        404 | 405 => All(Verdict::misconfigured(format!(
            "Google does not know the account or the conversion action{why}; mend `customer_id` or `conversion_action`"
        ))),
        413 => Whole(Verdict::Reject { reason: FailureReason::TooLarge, message: text }),
        429 => All(wait(reply, RATE_WAIT)),
        _ => All(retry(reply)),
    }
}

/// The fields that a refusal names, with what is wrong with each.
fn violations(error: &Value) -> Vec<(String, String)> {
    let details = error["details"].as_array().into_iter().flatten();
    let violations = details.flat_map(|detail| detail["fieldViolations"].as_array().into_iter().flatten());
    let read = |violation: &Value| {
        let field = violation["field"].as_str()?;
        let description = violation["description"].as_str().or(violation["reason"].as_str()).unwrap_or("is refused");
        Some((on_one_line(field, 80), on_one_line(description, 200)))
    };
    violations.filter_map(read).collect()
}

fn is_about_settings(field: &str) -> bool {
    field.starts_with("destinations") || field.starts_with("validate_only") || field.starts_with("encoding")
}

/// The place of the event that a field belongs to: `events[2].currency`, also as `events.events[2].currency`.
fn of_event(field: &str, description: &str) -> Option<(usize, Verdict)> {
    let (_, rest) = field.split_once("events[")?;
    let (place, member) = rest.split_once(']')?;
    let member = member.trim_start_matches('.');
    let message = if member.is_empty() { description.to_owned() } else { format!("`{member}`: {description}") };
    Some((place.parse().ok()?, Verdict::reject(FailureReason::Refused, message)))
}
