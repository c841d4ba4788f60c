//! Calls to a running server: JSON in, JSON out, problem documents as errors that say what to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use url::Url;

/// Longest wait for an answer: a little longer than the server gives a call.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(65);
/// Longest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The header that names the appspace an admin key acts in.
const APPSPACE_HEADER: HeaderName = HeaderName::from_static("afterclick-appspace");

/// Codes of what is not there, and the command that lists what is.
const LISTED: [(&str, &str); 7] = [
    ("appspace_not_found", "appspaces"),
    ("delivery_not_found", "deliveries"),
    ("destination_not_found", "destinations"),
    ("event_not_found", "events"),
    ("key_not_found", "keys"),
    ("replay_not_found", "replays"),
    ("source_not_found", "sources"),
];

/// A server to call, with the key to call it with.
pub(crate) struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Url,
    key: Option<String>,
    appspace: Option<String>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Why a call did not do what was asked.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Nobody answered.
    Unreachable { base: String, reason: String },
    /// The server refused, with its problem document.
    Refused { status: StatusCode, code: String, detail: String },
}

impl Client {
    /// A client for the server at `base`.
    pub(crate) fn new(base: &str, key: Option<String>, appspace: Option<String>) -> anyhow::Result<Self> {
        let base = Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
            anyhow::anyhow!("`{base}` is not the URL of a server; write it like `http://127.0.0.1:8400`")
        })?;
        let http = HttpClient::builder(TokioExecutor::new()).build(https()?);
        Ok(Self { http, base, key, appspace })
    }

    /// The address of the server, for messages.
    pub(crate) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether there is a key to call with.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, CallError> {
        self.call(Method::GET, path, query, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, query: &[(&str, String)], body: &Value) -> Result<Value, CallError> {
        self.call(Method::PUT, path, query, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::PATCH, path, &[], Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::DELETE, path, &[], None).await
    }

    /// Calls with the key; anything but a success is an error.
    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let mut headers = HeaderMap::new();
        let mut insert = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        insert(header::ACCEPT, "application/json");
        if let Some(key) = &self.key {
            insert(header::AUTHORIZATION, &format!("Bearer {key}"));
        }
        if let Some(appspace) = &self.appspace {
            insert(APPSPACE_HEADER, appspace);
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            insert(header::CONTENT_TYPE, "application/json");
            bytes = serde_json::to_vec(body).unwrap_or_default().into();
        }
        let answer = self.send(method, path, query, headers, bytes).await?;
        let value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if answer.status.is_success() { Ok(value) } else { Err(CallError::refused(answer.status, &value)) }
    }

    /// Sends a request as it is and returns whatever comes back.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, CallError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        let unreachable = |reason: String| CallError::Unreachable { base: self.base().to_owned(), reason };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|error| unreachable(format!("{error}")))?;
        *request.headers_mut() = headers;

        let exchange = async {
            let (head, body) = self.http.request(request).await.map_err(|error| root_cause(&error))?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
            Ok(Answer { status: head.status, body: body.to_bytes() })
        };
        match tokio::time::timeout(ANSWER_WAIT_MAX, exchange).await {
            Ok(answered) => answered.map_err(unreachable),
            Err(_) => Err(unreachable(format!("no answer within {} s", ANSWER_WAIT_MAX.as_secs()))),
        }
    }
}

/// A text as one segment of a path, whatever is in it.
pub(crate) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

impl CallError {
    /// Reads a problem document.
    fn refused(status: StatusCode, problem: &Value) -> Self {
        let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
        let detail = text("detail").or_else(|| text("title")).unwrap_or_else(|| status.to_string());
        Self::Refused { status, code: text("code").unwrap_or_default(), detail }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { base, reason } => write!(
                f,
                "no server answers at {base} ({reason}); start one with `afterclick serve`, or name another with `--server`"
            ),
            Self::Refused { status: StatusCode::UNAUTHORIZED, code, .. } if code == "key_missing" => {
                f.write_str(
                    "this needs a key; give one with `--key` or in AFTERCLICK_ADMIN_KEY, for example the one that the server \
                     printed at its first start",
                )
            }
            Self::Refused { status: StatusCode::UNAUTHORIZED, code, .. } if code == "key_invalid" => f.write_str(
                "the server does not know this key, or it was revoked or has expired; give a live one with `--key` or in \
                 AFTERCLICK_ADMIN_KEY",
            ),
            Self::Refused { status, code, detail } => {
                f.write_str(detail)?;
                if let Some((_, noun)) = LISTED.iter().find(|(unknown, _)| unknown == code) {
                    write!(f, "; `afterclick {noun} list` shows what there is")?;
                }
                match code.as_str() {
                    "" => write!(f, " ({})", status.as_u16()),
                    code => write!(f, " ({code})"),
                }
            }
        }
    }
}

impl std::error::Error for CallError {}

/// TLS by the same library and roots as deliveries; plain HTTP too, as a local server speaks it.
fn https() -> anyhow::Result<HttpsConnector<HttpConnector>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build())
}

/// What lies at the bottom of a chain of errors: `connection refused` rather than `client error`.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
