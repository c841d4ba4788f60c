//! Objects: one signed PUT, by the client of Apache Arrow over our own HTTP.
//!
//! `object_store` knows how a request to a bucket is made and signed; what it makes is carried by [`HttpTransport`], so
//! that the guard dials, the deadline holds and nothing is tried twice behind the engine's back. A PUT shows its object
//! to readers when it is complete, or never.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::DestinationId;
use domain::connector::{HttpCall, ObjectCall, REPLY_BYTES_DEFAULT, Reply};
use domain::verdict::FailureReason;
use http_body_util::{BodyExt as _, Full};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::path::Path;
use object_store::{Attribute, ObjectStore as _, PutOptions, RetryConfig};
use tokio::time::Instant;

use super::{HttpTransport, TransportError};

/// Who we are to a store. It is not signed.
const USER_AGENT: &str = concat!("Afterclick/", env!("CARGO_PKG_VERSION"));

/// The object transport.
pub struct ObjectTransport {
    http: Arc<HttpTransport>,
}

impl ObjectTransport {
    /// A transport whose requests go over `http`.
    pub const fn new(http: Arc<HttpTransport>) -> Self {
        Self { http }
    }

    /// Puts one object and returns what the store says, within `deadline`.
    pub async fn exchange(
        &self,
        lane: DestinationId,
        call: ObjectCall,
        deadline: Duration,
    ) -> Result<Reply, TransportError> {
        let until = Instant::now() + deadline;
        let carrier = Arc::new(Carrier { http: Arc::clone(&self.http), lane, until, got: Mutex::default() });
        let store = open(&call, &carrier)?;
        let key = Path::parse(&call.key).map_err(|_| unusable("the key of the object"))?;
        let mut options = PutOptions::default();
        options.attributes.insert(Attribute::ContentType, call.content_type.into());
        let body = if call.gzip { compressed(call.body).await? } else { call.body };
        // Whether the client likes the reply does not matter: the connector judges it, in the store's own words.
        let done = store.put_opts(&key, body.into(), options).await;
        match carrier.take() {
            Some(Ok(reply)) => Ok(Reply { code: error_name(&reply), ..reply }),
            Some(Err(error)) => Err(error),
            None => {
                tracing::debug!(error = ?done.err(), "a request for a store could not be made");
                Err(unusable("a request for this bucket"))
            }
        }
    }
}

fn open(call: &ObjectCall, carrier: &Arc<Carrier>) -> Result<AmazonS3, TransportError> {
    let bucket = &call.bucket;
    AmazonS3Builder::new()
        .with_endpoint(if bucket.by_path { bucket.endpoint.clone() } else { bucket.url() })
        .with_virtual_hosted_style_request(!bucket.by_path)
        .with_region(&bucket.region)
        .with_bucket_name(&bucket.name)
        .with_access_key_id(&bucket.access_key)
        .with_secret_access_key(bucket.secret_key.expose())
        // Whether plain text may be spoken is for the guard to say.
        .with_allow_http(true)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_http_connector(Connector(Arc::clone(carrier)))
        .build()
        .map_err(|error| {
            tracing::debug!(%error, "a store could not be opened");
            unusable("a request for this bucket")
        })
}

/// A gzip file of the body, made where it holds up nobody.
async fn compressed(body: Bytes) -> Result<Bytes, TransportError> {
    let compress = move || {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&body).and_then(|()| encoder.finish())
    };
    match tokio::task::spawn_blocking(compress).await {
        Ok(Ok(file)) => Ok(file.into()),
        _ => Err(TransportError { is_ours: true, ..unusable("what was to be compressed") }),
    }
}

/// Carries the requests of one exchange, of which there is one.
struct Carrier {
    http: Arc<HttpTransport>,
    lane: DestinationId,
    until: Instant,
    got: Mutex<Option<Result<Reply, TransportError>>>,
}

impl Carrier {
    fn take(&self) -> Option<Result<Reply, TransportError>> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn carry(&self, request: HttpRequest) -> Result<Reply, TransportError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| unusable("the body of the object"))?.to_bytes();
        let mut headers = vec![("user-agent".to_owned(), USER_AGENT.to_owned())];
        for (name, value) in &head.headers {
            let value = value.to_str().map_err(|_| unusable("a header of the object"))?;
            headers.push((name.as_str().to_owned(), value.to_owned()));
        }
        let call =
            HttpCall { method: "PUT", url: head.uri.to_string(), headers, body, reply_bytes_max: REPLY_BYTES_DEFAULT };
        self.http.exchange(self.lane, call, self.until.saturating_duration_since(Instant::now())).await
    }
}

#[derive(Debug)]
struct Connector(Arc<Carrier>);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(Arc::clone(&self.0))))
    }
}

#[derive(Debug)]
struct Service(Arc<Carrier>);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let got = self.0.carry(request).await;
        // Of a kind that is not tried again.
        let answer = match &got {
            Ok(reply) => response(reply).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error)),
            Err(error) => Err(HttpError::new(HttpErrorKind::Unknown, error.clone())),
        };
        *self.0.got.lock().unwrap_or_else(PoisonError::into_inner) = Some(got);
        answer
    }
}

fn response(reply: &Reply) -> Result<HttpResponse, http::Error> {
    let head = http::Response::builder().status(reply.status);
    let head = reply.headers.iter().fold(head, |head, (name, value)| head.header(name, value));
    let body = Full::new(reply.body.clone()).map_err(|never| match never {});
    head.body(HttpResponseBody::new(body))
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Carrier({})", self.lane)
    }
}

/// The name that the store gives its refusal: `NoSuchBucket`.
fn error_name(reply: &Reply) -> Option<String> {
    if reply.is_success() {
        return None;
    }
    let text = reply.text();
    let (_, rest) = text.split_once("<Code>")?;
    let (name, _) = rest.split_once("</Code>")?;
    Some(name.trim().to_owned())
}

fn unusable(what: &str) -> TransportError {
    TransportError::new(FailureReason::Unprocessable, format!("{what} cannot be sent; check the settings"))
}
