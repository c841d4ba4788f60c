//! What `RudderStack` and Jitsu answer.

use serde_json::json;

use super::{Segment, keep, message, messages};
use crate::answer::Answer;
use crate::book::Book;
use crate::request::Request;

impl Segment {
    pub(super) fn answer_honestly(&self, request: &Request, book: &mut Book) -> Answer {
        if request.body.len() > RUDDER_BYTES_MAX {
            return Answer::text(413, "Request size too large");
        }
        let Ok(mut envelope) = request.json() else {
            return Answer::text(400, "Invalid JSON");
        };
        if !self.writes_with_known_key(&envelope, request) {
            return Answer::text(401, "Invalid Write Key");
        }
        let messages = messages(&mut envelope, request);
        if messages.is_empty() {
            return Answer::text(400, "Empty batch payload");
        }
        if !messages.iter().all(message::has_somebody) {
            return Answer::text(400, "Request neither has anonymousId nor userId");
        }
        for message in messages {
            let key = message["messageId"].as_str().unwrap_or_default().to_owned();
            keep(key, message, &envelope, request, book);
        }
        Answer::text(200, "OK")
    }

    pub(super) fn answer_anything(&self, request: &Request, book: &mut Book) -> Answer {
        let Ok(mut envelope) = request.json() else {
            return Answer::json(400, &json!({ "error": "invalid JSON" }));
        };
        if !self.writes_with_known_key(&envelope, request) {
            return Answer::json(401, &json!({ "error": "unknown write key" }));
        }
        for message in messages(&mut envelope, request) {
            let key = message["messageId"].as_str().unwrap_or_default().to_owned();
            if message.to_string().len() > JITSU_MESSAGE_BYTES_MAX {
                book.lose(key, message, "what is larger than 1 MB goes to the dead letters");
            } else {
                keep(key, message, &envelope, request, book);
            }
        }
        Answer::json(200, &json!({ "ok": true }))
    }
}

const RUDDER_BYTES_MAX: usize = 4000 << 10;
const JITSU_MESSAGE_BYTES_MAX: usize = 1_000_000;
