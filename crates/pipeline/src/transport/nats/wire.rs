//! The lines of the protocol.

use std::io;

use bytes::Bytes;
use domain::connector::Record;
use serde::Deserialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Longest line of a server, in bytes: the first one names all servers of a cluster.
const LINE_BYTES_MAX: u64 = 256 * 1024;
/// Largest message of a server, in bytes: acknowledgements are short.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What a server says.
#[derive(Debug)]
pub(super) enum Op {
    Info(Box<Info>),
    Ping,
    Pong,
    Ok,
    Err(String),
    Message(Message),
}

/// What a server says about itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    #[serde(default = "payload_bytes_usual")]
    pub(super) max_payload: usize,
    pub(super) nonce: String,
    pub(super) tls_required: bool,
    pub(super) tls_available: bool,
    pub(super) headers: bool,
}

/// What a server takes that does not say.
const fn payload_bytes_usual() -> usize {
    1 << 20
}

/// A message to one of our inboxes.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) subject: String,
    /// 503 if nobody listens where we published.
    pub(super) status: Option<u16>,
    pub(super) body: Bytes,
}

/// Reads the next thing a server says.
pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Op> {
    let mut line = Vec::new();
    (&mut *stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    let line = match std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix("\r\n")) {
        Some(line) => line,
        None if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
        None => return Err(not_nats()),
    };
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    match word.to_ascii_uppercase().as_str() {
        "INFO" => serde_json::from_str(rest).map(|info| Op::Info(Box::new(info))).map_err(|_| not_nats()),
        "PING" => Ok(Op::Ping),
        "PONG" => Ok(Op::Pong),
        "+OK" => Ok(Op::Ok),
        "-ERR" => Ok(Op::Err(rest.trim().trim_matches('\'').to_owned())),
        "MSG" => message(stream, rest, false).await.map(Op::Message),
        "HMSG" => message(stream, rest, true).await.map(Op::Message),
        _ => Err(not_nats()),
    }
}

/// `<subject> <sid> [reply-to] [#header bytes] <#total bytes>` and as many bytes.
async fn message(stream: &mut (impl AsyncBufRead + Unpin), line: &str, has_headers: bool) -> io::Result<Message> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let length = |from_end: usize| words.len().checked_sub(from_end).and_then(|n| words[n].parse::<usize>().ok());
    let total = length(1).filter(|total| *total <= MESSAGE_BYTES_MAX).ok_or_else(not_nats)?;
    let head = if has_headers { length(2).filter(|head| *head <= total).ok_or_else(not_nats)? } else { 0 };
    let subject = words.first().copied().ok_or_else(not_nats)?.to_owned();
    let mut all = vec![0; total + 2];
    stream.read_exact(&mut all).await?;
    all.truncate(total);
    let all = Bytes::from(all);
    // `NATS/1.0 503`, perhaps with words behind it.
    let status = all[..head].split(|byte| *byte == b'\r').next().and_then(|line| std::str::from_utf8(line).ok());
    let status = status.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    Ok(Message { subject, status, body: all.slice(head..) })
}

/// A record to publish, with where the acknowledgement goes; `None` if it is larger than the server takes.
pub(super) fn publication(record: &Record, reply_to: &str, bytes_max: usize) -> Option<Vec<u8>> {
    let mut head = String::from("NATS/1.0\r\n");
    for (name, value) in &record.headers {
        // What would end the line ends nothing.
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        head.extend([*name, ": ", &value, "\r\n"]);
    }
    head.push_str("\r\n");
    let total = head.len() + record.value.len();
    if total > bytes_max {
        return None;
    }
    let mut publication = format!("HPUB {} {reply_to} {} {total}\r\n{head}", record.topic, head.len()).into_bytes();
    publication.extend_from_slice(&record.value);
    publication.extend_from_slice(b"\r\n");
    Some(publication)
}

/// Whether this can be published on, and is a single word of the protocol.
pub(super) fn is_subject(text: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '*' && c != '>';
    !text.is_empty() && text.chars().all(is_plain) && text.split('.').all(|token| !token.is_empty())
}

fn not_nats() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this is not NATS")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ops(mut text: &[u8]) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            match read(&mut text).await {
                Ok(op) => said.push(format!("{op:?}")),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return said,
                Err(error) => {
                    said.push(error.to_string());
                    return said;
                }
            }
        }
    }

    #[tokio::test]
    async fn what_a_server_says_is_read() {
        let text = b"INFO {\"max_payload\":9,\"headers\":true,\"x\":1}\r\nping\r\n-ERR 'Stale Connection'\r\n\
                     MSG a.b 1 2\r\nhi\r\nHMSG a.c 1 r 16 18\r\nNATS/1.0 503\r\n\r\nhi\r\n";
        let said = ops(text).await;
        assert!(said[0].contains("max_payload: 9") && said[0].contains("headers: true"), "{said:?}");
        assert_eq!(said[1..3], ["Ping", "Err(\"Stale Connection\")"]);
        assert!(said[3].contains("status: None") && said[3].contains("b\"hi\""), "{said:?}");
        assert!(said[4].contains("status: Some(503)") && said[4].contains("b\"hi\""), "{said:?}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_say_how_much_it_takes_takes_what_is_usual() {
        assert!(ops(b"INFO {\"headers\":true}\r\n").await[0].contains("max_payload: 1048576"));
    }

    #[tokio::test]
    async fn what_is_not_nats_is_not_read_for_ever() {
        for text in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"MSG a 1 99999999\r\n",
            b"MSG\r\n",
            b"HMSG a 1 9 3\r\nabc\r\n",
            b"\xff\r\n",
        ] {
            assert_eq!(ops(text).await, ["this is not NATS"]);
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_a_server_says_panics(text in "(INFO |MSG |HMSG |-ERR |PING)?[ -~]{0,30}(\r\n)?[ -~\r\n]{0,60}") {
            let _ = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(ops(text.as_bytes()));
        }
    }

    #[test]
    fn a_publication_is_one_message_whatever_is_in_its_headers() {
        let record = Record {
            topic: "events.test".to_owned(),
            key: None,
            headers: vec![("Nats-Msg-Id", "evt_1\r\nX: y".to_owned())],
            value: Bytes::from_static(b"{}"),
        };
        let expect = "HPUB events.test _INBOX.a.1 38 40\r\nNATS/1.0\r\nNats-Msg-Id: evt_1  X: y\r\n\r\n{}\r\n";
        assert_eq!(
            publication(&record, "_INBOX.a.1", 40).map(|it| String::from_utf8(it).unwrap()).as_deref(),
            Some(expect)
        );
        assert_eq!(publication(&record, "_INBOX.a.1", 39), None);
    }

    #[test]
    fn a_subject_is_one_word_without_wildcards() {
        for subject in ["events.link.clicked", "a", "$X.y", "ä.b"] {
            assert!(is_subject(subject), "{subject}");
        }
        for text in ["", "a b", "a\r\nPUB x", "a.*", "a.>", "a..b", ".a", "a."] {
            assert!(!is_subject(text), "{text}");
        }
    }
}
