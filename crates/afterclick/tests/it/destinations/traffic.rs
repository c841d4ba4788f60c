//! Events of every kind, each with a mark by which it is found again wherever it went.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;

use bench::client::Client;
use domain::catalogue::{ALL, Group};
use serde_json::{Value, json};

/// Events of one call.
const PER_CALL: usize = 50;

/// One in so many is told to people, and means no good. Slack takes one a second.
const LOUD_EVERY: usize = 150;

/// One in so many of the people of the first events is one and the same, who does more than a platform puts up with.
const NOISY_EVERY: usize = 2;
const NOISY_UNTIL: usize = 600;

/// What a mark begins with; six digits follow.
pub(super) const MARK: &str = "mark";

/// An event that is to be published.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) mark: String,
    /// Its type.
    pub(super) kind: &'static str,
    pub(super) envelope: Value,
}

impl Event {
    /// Whether somebody new is to be welcomed.
    pub(super) fn is_install(&self) -> bool {
        self.kind == "install.tracked"
    }

    /// Whether ad platforms count it.
    pub(super) fn is_conversion(&self) -> bool {
        matches!(self.kind, "link.conversion" | "referral.completed" | "ecommerce.purchase")
    }

    /// Whether people want to hear of it.
    pub(super) fn is_loud(&self) -> bool {
        self.envelope["data"]["loud"] == true
    }
}

/// So many events of all types of the catalogue, taking turns, with samples that take turns too.
pub(super) fn mixed(count: usize) -> Vec<Event> {
    let kinds: Vec<_> = ALL.iter().filter(|kind| !matches!(kind.group, Group::Operational | Group::Test)).collect();
    let event = |number: usize| {
        let kind = kinds[number % kinds.len()];
        let sample = kind.samples[number / kinds.len() % kind.samples.len()];
        let mut data: Value = serde_json::from_str(sample).expect("samples are JSON");
        let mark = format!("{MARK}{number:06}");
        data["mark"] = json!(mark);
        // What happens twice to one person, or is bought twice under one number, is one thing to some vendors.
        let is_noisy = number < NOISY_UNTIL && (number / kinds.len()).is_multiple_of(NOISY_EVERY);
        if data["user_id"].is_string() && !is_noisy {
            data["user_id"] = json!(format!("user-{mark}"));
        }
        if !data["transaction_id"].is_null() || matches!(kind.event_type, "link.conversion" | "referral.completed") {
            data["transaction_id"] = json!(format!("order-{mark}"));
        }
        if number.is_multiple_of(LOUD_EVERY) {
            data["loud"] = json!(true);
            data["campaign"] = json!("<!channel> @everyone <b>50 % off</b>\r\nBcc: eve@example.org");
        }
        data["email"] = json!(format!("{mark}@example.org"));
        let envelope = json!({
            "event": kind.event_type, "timestamp": crate::support::now().to_string(), "data": data, "id": mark,
        });
        Event { mark, kind: kind.event_type, envelope }
    };
    (0..count).map(event).collect()
}

/// The marks that stand in a text.
pub(super) fn marks_in(text: &str) -> BTreeSet<&str> {
    let end = MARK.len() + 6;
    let marks = text.match_indices(MARK).filter_map(|(at, _)| text.get(at..at + end));
    marks.filter(|mark| mark.bytes().skip(MARK.len()).all(|byte| byte.is_ascii_digit())).collect()
}

/// Publishes all of them through a server that may be killed at any moment: what was not answered is published again
/// through the next one. `published` is told how many are safe.
pub(super) fn publish(events: &[Event], servers: &Receiver<Client>, mut published: impl FnMut(usize)) {
    let mut client = servers.recv().expect("a first server");
    for (number, call) in events.chunks(PER_CALL).enumerate() {
        let body: Value = call.iter().map(|event| event.envelope.clone()).collect();
        while let Err(error) = client.post("/v1/events", &body) {
            client =
                servers.recv().unwrap_or_else(|_| panic!("a server that was not killed refused events: {error:#}"));
        }
        published(number * PER_CALL + call.len());
    }
}

#[test]
fn marks_are_found_wherever_they_stand() {
    let text = "a mark000001 \"mark000002@example.org\" mark00";
    assert_eq!(marks_in(text).into_iter().collect::<Vec<_>>(), ["mark000001", "mark000002"]);
}
