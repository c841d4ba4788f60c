//! What a vendor answers.

use bytes::Bytes;
use serde_json::Value;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Answer {
    /// Without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::empty(status).with("content-type", "text/plain; charset=utf-8").body(body.into())
    }

    /// JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::empty(status).with("content-type", "application/json").body(body.to_string())
    }

    /// A web page, which is what proxies and captive portals answer.
    pub fn page(status: u16, body: &str) -> Self {
        Self::empty(status).with("content-type", "text/html").body(body.to_owned())
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body as text, for assertions.
    pub fn said(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// The body as JSON, for assertions; `null` if it is none.
    pub fn said_json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn body(mut self, body: String) -> Self {
        self.body = body.into();
        self
    }
}
