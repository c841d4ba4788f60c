//! HTTP: one request, one reply, under one deadline.
//!
//! The client is bare on purpose. It follows no redirect, uses no proxy, asks for no compression and undoes none, reads
//! at most as many bytes of a body as the call says, and closes whatever wants to say more. Connections are kept per lane, so
//! the address behind a kept connection is one that was judged for this very destination.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::DestinationId;
use domain::connector::{HttpCall, REPLY_BYTES_MAX, Reply};
use domain::verdict::FailureReason;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use super::TransportError;
use super::guard::{CONNECT_MAX, Guard};
use super::target::Target;
use super::tls::Tls;
use super::wire::{Outgoing, SendError, Wire};
use crate::clock::Clock;

/// What to do about a server that speaks no TLS.
const PLAIN_ADVICE: &str =
    "name the port for `https://` in the URL, or begin it with `http://` for a server on your own network";

/// How long a connection is kept for the next request, if the other side does not name a shorter time.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How much earlier than the other side says a connection is given up, so that no request meets its closing.
const IDLE_MARGIN: Duration = Duration::from_secs(1);
/// Most idle connections of all lanes together.
const IDLE_WIRES_MAX: usize = 1_024;
/// How long the answer of a name is used again. Short: it only spares a burst of connections a burst of questions.
const RESOLVED_MAX: Duration = Duration::from_secs(5);
/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The HTTP transport.
pub struct HttpTransport {
    guard: Guard,
    tls: Tls,
    clock: Arc<Clock>,
    lanes: Mutex<HashMap<DestinationId, Arc<Lane>>>,
    idle_wires: AtomicUsize,
}

/// What is kept for one destination.
#[derive(Default)]
struct Lane {
    /// The last URL and what it leads to: it is nearly always the same one.
    target: Mutex<Option<(String, Arc<Target>)>>,
    #[expect(clippy::vec_box, reason = "a wire is a kilobyte, and is handed on by every exchange")]
    idle: Mutex<Vec<Box<Wire>>>,
    /// Held while resolving, so that a lane has one question out at a time.
    resolved: tokio::sync::Mutex<Option<Resolved>>,
}

struct Resolved {
    target: Arc<Target>,
    addresses: Vec<std::net::SocketAddr>,
    at: Instant,
}

impl HttpTransport {
    /// A transport that trusts the usual certificate authorities and `extra_roots`. Must be made inside the runtime:
    /// it closes idle connections from a task that ends with it.
    pub fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Arc<Self>, rustls::Error> {
        let transport = Arc::new(Self {
            guard,
            tls: Tls::new(extra_roots, &[b"http/1.1"])?,
            clock,
            lanes: Mutex::default(),
            idle_wires: AtomicUsize::new(0),
        });
        tokio::spawn(sweep(Arc::downgrade(&transport)));
        Ok(transport)
    }

    /// Makes one request and returns the reply, body included, within `deadline`.
    pub async fn exchange(
        &self,
        lane: DestinationId,
        call: HttpCall,
        deadline: Duration,
    ) -> Result<Reply, TransportError> {
        let deadline = Instant::now() + deadline;
        // Set while a request is with a wire: from then on nobody can say that it did not arrive.
        let is_out = AtomicBool::new(false);
        let late = || Err(TransportError::new(FailureReason::Timeout, "no complete answer came in time"));
        let done = timeout_at(deadline, self.talk(lane, call, deadline, &is_out)).await.unwrap_or_else(|_| late());
        done.map_err(|error| TransportError { may_have_arrived: is_out.load(Ordering::Relaxed), ..error })
    }

    async fn talk(
        &self,
        lane: DestinationId,
        call: HttpCall,
        deadline: Instant,
        is_out: &AtomicBool,
    ) -> Result<Reply, TransportError> {
        let lane = self.lane(lane);
        let target = self.target(&lane, &call.url)?;
        let reply_bytes_max = call.reply_bytes_max.min(REPLY_BYTES_MAX);
        let mut request = outgoing(call, &target)?;
        loop {
            let (mut wire, is_kept) = match self.kept_wire(&lane, &target).await {
                Some(wire) => (wire, true),
                None => (self.new_wire(&lane, &target, deadline).await?, false),
            };
            is_out.store(true, Ordering::Relaxed);
            let sent = wire.send(request).await;
            is_out.store(!matches!(sent, Err(SendError::Unsent(_))), Ordering::Relaxed);
            match sent {
                Ok(response) => return self.read(&lane, wire, response, reply_bytes_max).await,
                // The other side closed a kept connection while we took it up; nothing was sent, so this is not a try.
                Err(SendError::Unsent(unsent)) if is_kept => request = *unsent,
                Err(SendError::Unsent(_)) => {
                    return Err(TransportError::new(FailureReason::Broken, "the connection was closed at once"));
                }
                Err(SendError::Failed(error)) => return Err(error),
            }
        }
    }

    fn lane(&self, id: DestinationId) -> Arc<Lane> {
        Arc::clone(lock(&self.lanes).entry(id).or_default())
    }

    fn target(&self, lane: &Lane, url: &str) -> Result<Arc<Target>, TransportError> {
        let mut known = lock(&lane.target);
        if let Some((known_url, target)) = &*known
            && known_url == url
        {
            return Ok(Arc::clone(target));
        }
        let target = Arc::new(self.guard.check_url(url)?);
        *known = Some((url.to_owned(), Arc::clone(&target)));
        Ok(target)
    }

    async fn kept_wire(&self, lane: &Lane, target: &Target) -> Option<Box<Wire>> {
        loop {
            let mut wire = lock(&lane.idle).pop()?;
            self.idle_wires.fetch_sub(1, Ordering::Relaxed);
            if wire.idle_until > Instant::now() && wire.is_ready_for(target).await {
                return Some(wire);
            }
        }
    }

    async fn new_wire(
        &self,
        lane: &Lane,
        target: &Arc<Target>,
        deadline: Instant,
    ) -> Result<Box<Wire>, TransportError> {
        let connect_until = deadline.min(Instant::now() + CONNECT_MAX);
        let addresses = self.addresses(lane, target, connect_until).await?;
        let tcp = TokioIo::new(self.guard.dial(&addresses, connect_until).await?);
        let stream = if target.tls {
            let name = target.server_name.clone();
            let stream = self.tls.shake_hands(name, TokioIo::new(tcp), deadline).await;
            let stream = stream.map_err(|error| error.advised(PLAIN_ADVICE))?;
            MaybeHttpsStream::Https(TokioIo::new(stream))
        } else {
            MaybeHttpsStream::Http(tcp)
        };
        Wire::over(stream, Arc::clone(target)).await.map(Box::new)
    }

    async fn addresses(
        &self,
        lane: &Lane,
        target: &Arc<Target>,
        deadline: Instant,
    ) -> Result<Vec<std::net::SocketAddr>, TransportError> {
        let late = || TransportError::new(FailureReason::Dns, "the name was not resolved in time");
        let mut resolved = timeout_at(deadline, lane.resolved.lock()).await.map_err(|_| late())?;
        if let Some(known) = &*resolved
            && known.at.elapsed() < RESOLVED_MAX
            && known.target.shares_connections_with(target)
        {
            return Ok(known.addresses.clone());
        }
        let addresses = self.guard.resolve(target, deadline).await?;
        *resolved = Some(Resolved { target: Arc::clone(target), addresses: addresses.clone(), at: Instant::now() });
        Ok(addresses)
    }

    async fn read(
        &self,
        lane: &Lane,
        mut wire: Box<Wire>,
        response: Response<Incoming>,
        bytes_max: usize,
    ) -> Result<Reply, TransportError> {
        let (head, mut body) = response.into_parts();
        let (read, is_whole) = read_capped(&mut wire, &mut body, bytes_max).await?;
        drop(body);
        if is_whole {
            self.keep(lane, wire, &head.headers).await;
        }
        Ok(Reply {
            status: head.status.as_u16(),
            code: None,
            headers: shown_headers(&head.headers),
            body: read,
            received_at: self.clock.now(),
        })
    }

    async fn keep(&self, lane: &Lane, mut wire: Box<Wire>, headers: &HeaderMap) {
        let idle_max = idle_max(headers);
        if idle_max.is_zero() || !wire.is_ready().await || self.idle_wires.load(Ordering::Relaxed) >= IDLE_WIRES_MAX {
            return;
        }
        wire.lay_down(idle_max);
        self.idle_wires.fetch_add(1, Ordering::Relaxed);
        lock(&lane.idle).push(wire);
    }

    /// Closes connections that have been idle for too long and forgets lanes that have nothing left.
    fn sweep(&self) {
        let now = Instant::now();
        let mut expired = Vec::new();
        lock(&self.lanes).retain(|_, lane| {
            let mut idle = lock(&lane.idle);
            expired.extend(idle.extract_if(.., |wire| wire.idle_until <= now));
            // Someone who holds the lane may be about to give a wire back to it.
            !idle.is_empty() || Arc::strong_count(lane) > 1
        });
        self.idle_wires.fetch_sub(expired.len(), Ordering::Relaxed);
        // Closing is a system call each, so it happens here, outside the locks.
        drop(expired);
    }
}

async fn sweep(transport: Weak<HttpTransport>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        match transport.upgrade() {
            Some(transport) => transport.sweep(),
            None => return,
        }
    }
}

fn outgoing(call: HttpCall, target: &Target) -> Result<Outgoing, TransportError> {
    let unusable = |what: &str| TransportError::new(FailureReason::Unprocessable, format!("{what} cannot be sent"));
    let mut headers = HeaderMap::with_capacity(call.headers.len() + 2);
    headers.insert(HOST, target.authority.clone());
    for (name, value) in call.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| unusable(&format!("a header named `{name}`")))?;
        // How the message is framed and routed is ours alone.
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&name) {
            let value = HeaderValue::try_from(value).map_err(|_| unusable(&format!("the value of header `{name}`")))?;
            headers.append(name, value);
        }
    }
    let mut request = Request::new(Full::new(call.body));
    *request.method_mut() =
        Method::from_bytes(call.method.as_bytes()).map_err(|_| unusable(&format!("the method `{}`", call.method)))?;
    *request.uri_mut() = target.origin_form.clone();
    *request.headers_mut() = headers;
    Ok(request)
}

/// The beginning of a body, and whether it ended within the cap.
async fn read_capped(wire: &mut Wire, body: &mut Incoming, bytes_max: usize) -> Result<(Bytes, bool), TransportError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while !body.is_end_stream() {
        let Some(frame) = wire.next_frame(body).await else { break };
        let Ok(data) = frame?.into_data() else { continue };
        // Nearly every reply comes in one piece, which then need not be copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        if first.len().max(rest.len()) > bytes_max {
            break;
        }
    }
    let mut read = if rest.is_empty() { first } else { rest.freeze() };
    let is_whole = read.len() <= bytes_max;
    read.truncate(bytes_max);
    Ok((read, is_whole))
}

fn shown_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        value.to_str().ok().map(|value| (name.as_str().to_owned(), value.to_owned()))
    };
    headers.iter().filter_map(shown).collect()
}

/// How long the connection of this reply may lie idle: what its `Keep-Alive` says, less a margin.
fn idle_max(headers: &HeaderMap) -> Duration {
    let timeout = |value: &HeaderValue| {
        let mut parameters = value.to_str().ok()?.split(',');
        parameters.find_map(|parameter| parameter.trim().strip_prefix("timeout=")?.parse().ok())
    };
    match headers.get("keep-alive").and_then(timeout) {
        Some(secs) => Duration::from_secs(secs).saturating_sub(IDLE_MARGIN).min(IDLE_MAX),
        None => IDLE_MAX,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_connection_is_given_up_before_the_other_side_closes_it() {
        let idle = |value: &'static str| {
            idle_max(&HeaderMap::from_iter([("keep-alive".parse().unwrap(), HeaderValue::from_static(value))]))
        };
        assert_eq!(idle("timeout=5"), Duration::from_secs(4));
        assert_eq!(idle("max=100, timeout=15"), Duration::from_secs(14));
        assert_eq!(idle("timeout=0"), Duration::ZERO);
        assert_eq!(idle("timeout=900"), IDLE_MAX);
        assert_eq!(idle("nonsense"), IDLE_MAX);
        assert_eq!(idle_max(&HeaderMap::new()), IDLE_MAX);
    }
}
