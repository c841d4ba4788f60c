//! What Amplitude's answers mean.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::FailureReason;
use serde_json::Value;

use crate::common::{in_brackets, is_page, on_one_line, page, retry, said};

/// How long a user or device that sent too much is to be left alone; as long as Amplitude's own libraries do.
const THROTTLED_FOR: Duration = Duration::from_secs(30);

/// What became of a request.
pub(super) enum Judgement {
    /// The same for every event of it.
    All(Verdict),
    /// It was refused whole, and nobody says for which event.
    Whole(Verdict),
    /// Nothing of it was stored, because of some of its events.
    Named(Refused),
}

/// The events for which a request was refused.
pub(super) struct Refused {
    by_place: BTreeMap<u64, Verdict>,
    /// Users and devices that sent too much, and the verdict on what is theirs.
    throttled: Vec<String>,
    later: Verdict,
    /// The verdict on the request if it names none of its events.
    pub(super) otherwise: Verdict,
}

impl Refused {
    /// What becomes of the event at a place of the request; nothing if it is not at fault.
    pub(super) fn verdict(&self, place: usize, event: &Value) -> Option<&Verdict> {
        let is_throttled = |name: &str| event[name].as_str().is_some_and(|id| self.throttled.iter().any(|it| it == id));
        let by_place = self.by_place.get(&(place as u64));
        by_place.or_else(|| (is_throttled("user_id") || is_throttled("device_id")).then_some(&self.later))
    }
}

pub(super) fn judge(reply: &Reply) -> Judgement {
    let body = reply.json().unwrap_or_default();
    let text = body["error"].as_str().map(|text| on_one_line(text, 200)).or_else(|| said(reply));
    match reply.status {
        200..=299 if is_page(reply) => Judgement::All(page(reply, "Amplitude")),
        200..=299 => Judgement::All(Verdict::Delivered),
        400 if is_about_the_key(&body) => Judgement::All(unauthorized(text)),
        401 | 403 => Judgement::All(unauthorized(text)),
        404 | 405 => Judgement::All(Verdict::misconfigured(format!(
            "there is no Amplitude at `host`{}; mend it or take it out",
            in_brackets(text)
        ))),
        400 => {
            let by_place = named(&body);
            let reject = Verdict::Reject { reason: FailureReason::Refused, message: text };
            if by_place.is_empty() {
                return Judgement::Whole(reject);
            }
            Judgement::Named(Refused { by_place, throttled: Vec::new(), later: reject.clone(), otherwise: reject })
        }
        413 => Judgement::Whole(Verdict::Reject { reason: FailureReason::TooLarge, message: text }),
        429 => Judgement::Named(throttled(&body, text)),
        _ => Judgement::All(retry(reply)),
    }
}

fn is_about_the_key(body: &Value) -> bool {
    let is_named = body["missing_field"] == "api_key" || body["invalid_field"] == "api_key";
    is_named || body["error"].as_str().is_some_and(|text| text.to_lowercase().contains("api key"))
}

fn unauthorized(text: Option<String>) -> Verdict {
    Verdict::unauthorized(format!(
        "Amplitude refused the API key{}; put the project's API key, not its secret key, into `api_key`, and set \
         `region`",
        in_brackets(text)
    ))
}

/// The events that a 400 names: by list, by field, by place.
fn named(body: &Value) -> BTreeMap<u64, Verdict> {
    let lists = [
        ("events_with_invalid_fields", "is not valid"),
        ("events_with_missing_fields", "is missing"),
        ("events_with_invalid_id_lengths", "is too short or too long an id"),
    ];
    let mut named = BTreeMap::new();
    for (list, what) in lists {
        for (field, places) in body[list].as_object().into_iter().flatten() {
            let field = on_one_line(field, 60);
            for place in places.as_array().into_iter().flatten().filter_map(Value::as_u64) {
                named.insert(place, Verdict::reject(FailureReason::Refused, format!("field `{field}` {what}")));
            }
        }
    }
    for place in body["silenced_events"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
        let message = "Amplitude takes no more events of this device or user";
        named.entry(place).or_insert_with(|| Verdict::reject(FailureReason::Refused, message));
    }
    named
}

fn throttled(body: &Value, text: Option<String>) -> Refused {
    let later = Verdict::Retry { after: Some(THROTTLED_FOR), reason: FailureReason::Throttled, message: text.clone() };
    let places = body["throttled_events"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let lists = ["throttled_users", "throttled_devices", "exceeded_daily_quota_users", "exceeded_daily_quota_devices"];
    let ids = lists.iter().flat_map(|list| body[*list].as_object().into_iter().flatten().map(|(id, _)| id.clone()));
    Refused {
        by_place: places.map(|place| (place, later.clone())).collect(),
        throttled: ids.collect(),
        otherwise: Verdict::Wait { after: THROTTLED_FOR, message: text },
        later,
    }
}
