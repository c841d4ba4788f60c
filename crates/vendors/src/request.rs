//! A request as a vendor sees it.

use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use url::form_urlencoded;

/// What arrived: method, target, headers in lower case, and the body byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// When it arrived, on the simulator's clock, which starts at zero.
    pub at: Duration,
    /// The fault plan wants this request to fail in part; a vendor that cannot do that takes no notice.
    pub partial_failure: bool,
}

impl Request {
    /// A request without headers that arrives at the start of the clock.
    pub fn new(method: &str, target: &str, body: impl Into<Bytes>) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Vec::new(), body: body.into(), at: Duration::ZERO, partial_failure: false }
    }

    /// A JSON body in a POST.
    pub fn post(target: &str, body: &Value) -> Self {
        Self::new("POST", target, body.to_string()).with("content-type", "application/json")
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The same with Basic credentials.
    #[must_use]
    pub fn with_basic(self, user: &str, password: &str) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        self.with("authorization", &format!("Basic {credentials}"))
    }

    /// The same at another time.
    #[must_use]
    pub fn at(mut self, at: Duration) -> Self {
        self.at = at;
        self
    }

    /// The target up to the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The decoded parameters of the query, in order.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// One decoded parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The first header of a name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The token of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// User and password of `Authorization: Basic`.
    pub fn basic(&self) -> Option<(String, String)> {
        let decoded = STANDARD.decode(self.header("authorization")?.strip_prefix("Basic ")?).ok()?;
        let credentials = String::from_utf8(decoded).ok()?;
        let (user, password) = credentials.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// The body with its `Content-Encoding` undone; what is wrong with it otherwise.
    pub fn content(&self) -> Result<Bytes, String> {
        match self.header("content-encoding") {
            None | Some("identity") => Ok(self.body.clone()),
            Some("gzip") => {
                let mut content = Vec::new();
                let decoder = flate2::read::MultiGzDecoder::new(&*self.body);
                let read = decoder.take(CONTENT_BYTES_MAX).read_to_end(&mut content);
                read.map_err(|error| format!("the body is not gzip: {error}"))?;
                Ok(content.into())
            }
            Some(other) => Err(format!("content encoding `{other}` is not understood")),
        }
    }

    /// The content as JSON.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.content()?).map_err(|error| format!("the body is not JSON: {error}"))
    }
}

/// What a compressed body may grow to.
const CONTENT_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_and_credentials_are_read_decoded() {
        let request = Request::new("POST", "/import?strict=1&name=a%20b", "").with_basic("key", "");
        assert_eq!((request.path(), request.parameter("name").as_deref()), ("/import", Some("a b")));
        assert_eq!(request.basic(), Some(("key".to_owned(), String::new())));
        assert_eq!(request.bearer(), None);
    }

    #[test]
    fn a_compressed_body_reads_like_a_plain_one() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(br#"{"a":1}"#).unwrap();
        let request = Request::new("POST", "/", encoder.finish().unwrap()).with("Content-Encoding", "gzip");
        assert_eq!(request.json(), Ok(json!({ "a": 1 })));
    }
}
