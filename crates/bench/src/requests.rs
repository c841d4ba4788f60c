//! Rendered and signed requests: made before the clock starts, so that the generator only writes and reads.
//!
//! Every body is different and carries a sequence number by which a receiver can tell it apart.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;
use ring::hmac;

/// The secret of every source that the harness sets up.
pub const SECRET: &str = "whsec_YWZ0ZXJjbGljayBiZW5jaG1hcmsgc2VjcmV0LCAzMmI=";

/// Bytes of every body.
pub const BODY_BYTES: usize = 400;

/// About the bytes of a head.
const HEAD_BYTES: usize = 256;

/// The type of an event that a render does not choose another for.
pub const EVENT_TYPE: &str = "link.clicked";

/// Requests that lie ready in one piece of memory.
#[derive(Debug, Clone)]
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    first: u64,
}

impl Requests {
    /// `count` requests to one path.
    pub fn to_path(path: &str, count: usize) -> Self {
        Self::numbered(reserve(count), count, |_| (path, EVENT_TYPE))
    }

    /// `count` requests whose bodies are numbered from `first` on; `target` gives the path and the event type of each.
    pub fn numbered<'a>(first: u64, count: usize, target: impl Fn(usize) -> (&'a str, &'a str)) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let bytes = Vec::with_capacity(count * (BODY_BYTES + HEAD_BYTES));
        let mut requests = Self { bytes, ends: Vec::with_capacity(count), first };
        let timestamp = now().to_string();
        for index in 0..count {
            let (path, event_type) = target(index);
            let body = body(requests.sequence(index), event_type, &timestamp);
            let signature = hex::encode(hmac::sign(&key, &body));
            requests.bytes.extend_from_slice(head(path, event_type, &signature, body.len()).as_bytes());
            requests.bytes.extend_from_slice(&body);
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The whole request at `index`.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The body of the request at `index`.
    pub fn body(&self, index: usize) -> &[u8] {
        let request = self.bytes(index);
        &request[request.len() - BODY_BYTES..]
    }

    /// The sequence number in the body at `index`.
    pub fn sequence(&self, index: usize) -> u64 {
        self.first + index as u64
    }

    /// The sequence number of the first body; the others follow without gaps.
    pub fn first_sequence(&self) -> u64 {
        self.first
    }
}

/// A body: an ordinary click of [`BODY_BYTES`] bytes.
pub fn body(sequence: u64, event_type: &str, timestamp: &str) -> Vec<u8> {
    let mut body = format!(
        concat!(
            r#"{{"event":"{}","timestamp":"{}","data":{{"sequence":"{:016x}","prefix":"go","token":"summer-sale","#,
            r#""hostname":"links.example.com","ip":"203.0.113.42","country":"DE","city":"Hamburg","platform":"ios","#,
            r#""device_type":"mobile","os":"iOS 19.3","browser":"Safari","campaign":"instagram-story-may","#,
            r#""referrer":"https://www.instagram.com/","note":""#
        ),
        event_type, timestamp, sequence
    )
    .into_bytes();
    body.resize(BODY_BYTES - 3, b'.');
    body.extend_from_slice(b"\"}}");
    body
}

/// The sequence numbers in what was made of bodies made by [`body`]: one, or those of a batch.
pub fn sequences_in(mut body: &[u8]) -> impl Iterator<Item = u64> {
    const MARK: &[u8] = br#""sequence":""#;
    std::iter::from_fn(move || {
        let at = body.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
        let digits = body.get(at..at + 16)?;
        body = &body[at + 16..];
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    })
}

/// The time on the wall.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Takes `count` sequence numbers that no other call in this process, and none of an earlier process, has taken.
pub fn reserve(count: usize) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let epoch_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let _ = NEXT.compare_exchange(0, u64::try_from(epoch_ns).unwrap_or(1), Ordering::Relaxed, Ordering::Relaxed);
    NEXT.fetch_add(count as u64, Ordering::Relaxed)
}

fn head(path: &str, event_type: &str, signature: &str, body_bytes: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-Webhook-Event: {event_type}\r\n\
         X-Webhook-Signature: {signature}\r\nContent-Length: {body_bytes}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_is_json_of_its_own_and_says_its_number() {
        let requests = Requests::to_path("/webhooks/tolinku", 3);
        for index in 0..requests.len() {
            let body = requests.body(index);
            let value: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert_eq!(value["event"], EVENT_TYPE);
            assert_eq!(sequences_in(body).collect::<Vec<_>>(), [requests.sequence(index)]);
        }
        assert_ne!(requests.body(0), requests.body(1));
    }

    #[test]
    fn a_request_announces_its_body_and_signs_it() {
        let requests = Requests::to_path("/p", 1);
        let extent = crate::http1::extent(requests.bytes(0)).unwrap().unwrap();
        assert_eq!(extent.body, BODY_BYTES);
        assert_eq!(extent.head + extent.body, requests.bytes(0).len());
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let signature = hex::encode(hmac::sign(&key, requests.body(0)));
        assert!(std::str::from_utf8(requests.bytes(0)).unwrap().contains(&signature));
    }

    #[test]
    fn numbers_are_never_taken_twice() {
        let first = reserve(10);
        assert!(reserve(1) >= first + 10);
    }
}
