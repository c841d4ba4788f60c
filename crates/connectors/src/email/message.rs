//! Messages: a letter as RFC 5322 has it, made by lettre, which encodes whatever is not plain.

use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

use super::Refusal;
use super::letter::{Content, Letter, Letterhead};

/// The whole message. The same letter always makes the same bytes.
pub(super) fn write(head: &Letterhead, letter: &Letter) -> Result<Vec<u8>, Refusal> {
    let Content::Rendered { subject, text, html } = &letter.content else {
        return Err(Refusal::unprocessable("a mail server has no templates"));
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(letter.now.as_millis().max(0).cast_unsigned());
    let mut builder = Message::builder().from(head.from.clone());
    for to in &letter.to {
        builder = builder.to(Mailbox::new(None, to.clone()));
    }
    if let Some(reply_to) = &head.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    builder = builder
        .subject(subject.as_str())
        .date(now)
        .message_id(Some(format!("<{}@{}>", letter.name, ascii_domain(head))))
        // Nobody's absence should be told to a machine.
        .raw_header(raw("Auto-Submitted", "auto-generated".to_owned()));
    for (name, value) in letter.unsubscribe_headers() {
        builder = builder.raw_header(raw(name, value));
    }
    let built = match (text, html) {
        (Some(text), Some(html)) => builder.multipart(
            MultiPart::alternative()
                .boundary(boundary(letter))
                .singlepart(SinglePart::plain(text.clone()))
                .singlepart(SinglePart::html(html.clone())),
        ),
        (None, Some(html)) => builder.singlepart(SinglePart::html(html.clone())),
        (text, None) => builder.singlepart(SinglePart::plain(text.clone().unwrap_or_default())),
    };
    built
        .map(|message| message.formatted())
        .map_err(|error| Refusal::unprocessable(format!("no mail can be made of the event: {error}")))
}

/// What stands between the parts. Made of an event's id, which nobody who writes that event can know beforehand.
fn boundary(letter: &Letter) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, format!("boundary {}", letter.name).as_bytes());
    hex::encode(&hash.as_ref()[..20])
}

fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// The domain of the sender, for ids; one that is written in another script has no place there.
fn ascii_domain(head: &Letterhead) -> &str {
    let domain = head.from.email.domain();
    if domain.is_ascii() { domain } else { "afterclick.invalid" }
}
