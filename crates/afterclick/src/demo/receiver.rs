//! The demo's receiver: what a team would run behind its webhooks, five times over.
//!
//! Each path verifies in its own scheme and nothing else, so a delivery signed in the wrong one is refused. One path
//! answers 503 to the first two tries of every event.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Result;
use bytes::Bytes;
use domain::signature::{Scheme, SecretError, Signing, Verifier};
use domain::{Secret, Timestamp};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How many tries of each event the stumbling receiver refuses.
pub(super) const STUMBLES: u32 = 2;

/// One of the receiver's paths.
pub(super) struct Inbox {
    /// The name of the destination, and the last part of the path.
    pub(super) name: &'static str,
    pub(super) scheme: Scheme,
    pub(super) secret: Secret,
    /// Whether it answers 503 to the first [`STUMBLES`] tries.
    pub(super) stumbles: bool,
}

/// Something came in.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) inbox: &'static str,
    pub(super) event_id: String,
    pub(super) event_type: String,
    /// Counted per event and inbox, from 1.
    pub(super) attempt: u32,
    /// Whether the signature was genuine; if not, why.
    pub(super) verified: Result<(), String>,
    /// Whether it was answered with 200.
    pub(super) accepted: bool,
}

/// A listening receiver.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
}

struct Desk {
    inboxes: HashMap<&'static str, (Verifier, bool)>,
    attempts: Mutex<HashMap<(&'static str, String), u32>>,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

impl Receiver {
    /// Listens on a free port of this machine until the runtime ends.
    pub(super) async fn start(inboxes: &[Inbox]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        let verifiers = inboxes.iter().map(|inbox| Ok((inbox.name, (inbox.verifier()?, inbox.stumbles))));
        let desk = Arc::new(Desk {
            inboxes: verifiers.collect::<Result<_, SecretError>>()?,
            attempts: Mutex::default(),
            arrivals: sender,
        });
        tokio::spawn(accept(listener, desk));
        Ok(Self { address, arrivals })
    }
}

impl Inbox {
    fn verifier(&self) -> Result<Verifier, SecretError> {
        Verifier::new(self.scheme, Signing::default_for(self.scheme), [(&self.secret, None)])
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    while let Ok((stream, _)) = listener.accept().await {
        let desk = Arc::clone(&desk);
        let service = service_fn(move |request| {
            let desk = Arc::clone(&desk);
            async move { Ok::<_, Infallible>(desk.take(request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl Desk {
    /// Verifies, notes and answers one request.
    async fn take(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Some((name, (verifier, stumbles))) =
            self.inboxes.get_key_value(head.uri.path().trim_start_matches("/hooks/"))
        else {
            return answer(StatusCode::NOT_FOUND);
        };
        let Ok(body) = body.collect().await else { return answer(StatusCode::BAD_REQUEST) };
        let verified = verifier.verify(&head.headers, &body.to_bytes(), now());
        let text =
            |header: &str| head.headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        let event_id = text("webhook-id");
        let attempt = self.count(name, &event_id);
        let stumbled = *stumbles && attempt <= STUMBLES;
        let status = match &verified {
            Err(_) => StatusCode::UNAUTHORIZED,
            Ok(_) if stumbled => StatusCode::SERVICE_UNAVAILABLE,
            Ok(_) => StatusCode::OK,
        };
        let arrival = Arrival {
            inbox: name,
            event_id,
            event_type: text("x-webhook-event"),
            attempt,
            verified: verified.map(|_| ()).map_err(|error| error.to_string()),
            accepted: status == StatusCode::OK,
        };
        // The demo may be over.
        let _ = self.arrivals.send(arrival);
        answer(status)
    }

    fn count(&self, inbox: &'static str, event_id: &str) -> u32 {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = attempts.entry((inbox, event_id.to_owned())).or_default();
        *attempt += 1;
        *attempt
    }
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    *response.status_mut() = status;
    response
}

fn now() -> Timestamp {
    Timestamp::from_millis(0) + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
