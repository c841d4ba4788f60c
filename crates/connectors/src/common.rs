//! What several vendors truly share: who we are, where a URL may lead, and the plain reading of an HTTP reply.

pub(crate) mod headers;
pub(crate) mod tls;
pub(crate) mod url;

use std::time::Duration;

use domain::connector::Reply;
use domain::verdict::FailureReason;
use domain::{Verdict, retry_after};

/// Who we are, in every request.
pub(crate) const USER_AGENT: &str = concat!("Afterclick/", env!("CARGO_PKG_VERSION"));

/// How long the destination asks us to stay away.
pub(crate) fn asked_wait(reply: &Reply) -> Option<Duration> {
    reply.header("retry-after").and_then(|value| retry_after::parse(value, reply.received_at))
}

/// Nobody must act: again by the schedule, not before the destination wants it, with its words.
pub(crate) fn retry(reply: &Reply) -> Verdict {
    Verdict::Retry { after: asked_wait(reply), reason: FailureReason::of_status(reply.status), message: said(reply) }
}

/// The destination asks for less. `otherwise` is how long to wait if it does not say.
pub(crate) fn wait(reply: &Reply, otherwise: Duration) -> Verdict {
    Verdict::Wait { after: asked_wait(reply).unwrap_or(otherwise).max(WAIT_MIN), message: said(reply) }
}

/// Somebody sends us elsewhere, and nobody goes there by himself: `setting` must lead to the place itself.
pub(crate) fn redirected(reply: &Reply, setting: &str) -> Verdict {
    let place = reply.header("location").map(|place| on_one_line(place, SAID_CHARS_MAX));
    let to = place.map_or_else(|| ", a redirect".to_owned(), |place| format!(", a redirect to `{place}`"));
    Verdict::misconfigured(format!(
        "what answers under `{setting}` answers {}{to}; redirects are not followed, so set `{setting}` to where it leads if that is \
         the right place, then resume the destination",
        reply.status
    ))
}

/// What the reply says, for a person: the message of a JSON error or else the beginning of the body, on one line. `None`
/// if it says nothing, or says it in HTML, which is some proxy's page and no word of the vendor's.
pub(crate) fn said(reply: &Reply) -> Option<String> {
    let text = reply.text();
    let text = text.trim();
    if text.is_empty() || text.starts_with('<') {
        return None;
    }
    let body = if text.starts_with('{') { reply.json().unwrap_or_default() } else { serde_json::Value::Null };
    let message = MESSAGES.iter().find_map(|pointer| body.pointer(pointer)?.as_str().filter(|text| !text.is_empty()));
    Some(on_one_line(message.unwrap_or(text), SAID_CHARS_MAX))
}

/// Where vendors put the words of a JSON error.
const MESSAGES: &[&str] = &["/message", "/Message", "/error/message", "/error", "/errors/0/message"];

/// Whether a success is the page of somebody in between, a captive portal or a proxy, and no word of the vendor's.
pub(crate) fn is_page(reply: &Reply) -> bool {
    reply.text().trim_start().starts_with('<')
}

/// The verdict on such a page from where `whom` should stand: nobody knows whether the vendor has seen the request.
pub(crate) fn page(reply: &Reply, whom: &str) -> Verdict {
    let message =
        format!("a web page was answered with {} in place of {whom}; something stands in between", reply.status);
    Verdict::Retry { after: None, reason: FailureReason::of_status(reply.status), message: Some(message) }
}

/// The same inside a sentence: ` (…)`, or nothing.
pub(crate) fn in_brackets(said: Option<String>) -> String {
    said.map(|said| format!(" ({said})")).unwrap_or_default()
}

/// A text of somebody else's on one line and no longer than so many characters, without what would turn a line around.
pub(crate) fn on_one_line(text: &str, chars_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(chars_max * 4));
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c)).filter(|it| !it.is_empty())
    {
        if count > 0 {
            line.push(' ');
            count += 1;
        }
        for c in word.chars() {
            if count >= chars_max {
                line.push('…');
                return line;
            }
            line.push(c);
            count += 1;
        }
    }
    line
}

/// Marks that reorder text, and separators of lines.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Most characters of a reply that are repeated to a person.
const SAID_CHARS_MAX: usize = 200;
/// Shortest wait, so that a destination that asks for none is not hammered.
const WAIT_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::reply;

    #[test]
    fn a_reply_is_repeated_on_one_line_and_not_for_ever() {
        let said_of = |body: &str| said(&reply(400, &[], body.to_owned()));
        assert_eq!(said_of("  no\r\nsuch\tthing\u{202e} \u{0}here "), Some("no such thing here".to_owned()));
        assert_eq!(said_of(&"x".repeat(500)), Some("x".repeat(200) + "…"));
        assert_eq!(said_of(" \n"), None);
        assert_eq!(said_of("<html>Bad gateway</html>"), None);
        assert_eq!(said_of(r#"{"code": 1, "message": "No such\nthing"}"#), Some("No such thing".to_owned()));
        assert_eq!(said_of(r#"{"error": {"message": "gone"}}"#), Some("gone".to_owned()));
        assert_eq!(said_of(r#"{"message": "cut o"#), Some(r#"{"message": "cut o"#.to_owned()));
    }

    #[test]
    fn a_wait_is_what_was_asked_for_and_at_least_a_moment() {
        let after = |value: &str| match wait(&reply(429, &[("retry-after", value)], ""), Duration::from_secs(7)) {
            Verdict::Wait { after, .. } => after.as_secs(),
            verdict => panic!("{verdict:?}"),
        };
        assert_eq!([after("30"), after("0"), after("soon")], [30, 1, 7]);
    }
}
