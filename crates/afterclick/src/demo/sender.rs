//! The demo's sender: what a deep-link platform does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use domain::catalogue::EventKind;
use domain::signature::{Scheme, Signer, Signing};
use domain::{Secret, Timestamp};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::SOURCE;
use crate::cli::now;
use crate::client::Client;
use crate::random;

/// Signs and posts sample events.
pub(super) struct Sender {
    client: Client,
    signer: Signer,
    unique: u64,
    last: Option<(HeaderMap, Bytes)>,
}

/// An event that was taken.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) event_id: String,
    /// From sending it to the answer that says it is on disk.
    pub(super) took: Duration,
}

impl Sender {
    pub(super) fn new(server: SocketAddr, secret: &Secret) -> Result<Self> {
        Ok(Self {
            client: Client::new(&format!("http://{server}"), None, None)?,
            signer: Signer::new(Scheme::BodyHex, secret)?,
            unique: u64::from_be_bytes(random::bytes()),
            last: None,
        })
    }

    /// Sends a sample, fresh by its timestamp.
    pub(super) async fn send(&mut self, kind: &EventKind, sample: &str) -> Result<Sent> {
        self.unique = self.unique.wrapping_add(1);
        self.send_signed(kind.event_type, kind.body(sample, now(), self.unique).into()).await
    }

    /// Sends an event that happened at this time.
    pub(super) async fn tell(&mut self, event_type: &'static str, at: Timestamp, data: &Value) -> Result<Sent> {
        let body = json!({ "event": event_type, "timestamp": at, "data": data });
        self.send_signed(event_type, body.to_string().into()).await
    }

    async fn send_signed(&mut self, event_type: &'static str, body: Bytes) -> Result<Sent> {
        let mut headers = self.signer.headers(&Signing::default_for(Scheme::BodyHex), "", now(), &body);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-webhook-event", HeaderValue::from_static(event_type));
        self.last = Some((headers.clone(), body.clone()));

        let started = Instant::now();
        let (status, answer) = self.post(headers, body).await?;
        let took = started.elapsed();
        if !status.is_success() {
            bail!("`{event_type}` was answered {status}: {answer}");
        }
        Ok(Sent { event_id: answer["id"].as_str().context("the answer names no event")?.to_owned(), took })
    }

    /// Sends the last event once more, byte for byte; whether it was recognised as a duplicate.
    pub(super) async fn send_again(&self) -> Result<bool> {
        let (headers, body) = self.last.clone().context("nothing has been sent yet")?;
        let (status, answer) = self.post(headers, body).await?;
        Ok(status.is_success() && answer["duplicate"] == Value::Bool(true))
    }

    /// Sends the last event with one byte changed under its old signature; the status and code of the refusal.
    pub(super) async fn send_forged(&self) -> Result<(StatusCode, String)> {
        let (headers, body) = self.last.clone().context("nothing has been sent yet")?;
        let mut forged = body.to_vec();
        if let Some(byte) = forged.iter_mut().rfind(|byte| byte.is_ascii_digit()) {
            *byte = if *byte == b'9' { b'0' } else { *byte + 1 };
        }
        let (status, answer) = self.post(headers, forged.into()).await?;
        Ok((status, answer["code"].as_str().unwrap_or_default().to_owned()))
    }

    async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<(StatusCode, Value)> {
        let answer = self.client.send(Method::POST, &format!("/webhooks/{SOURCE}"), &[], headers, body).await?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null)))
    }
}
