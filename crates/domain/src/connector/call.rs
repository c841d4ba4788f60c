//! Calls and replies: data for the transports, and what comes back.

mod object;
mod records;

use bytes::Bytes;

use crate::secret::Secret;
use crate::time::Timestamp;

pub use object::{Bucket, ObjectCall};
pub use records::{Broker, NatsLogin, Record, RecordRefusal, RecordsCall, Sasl, SaslMechanism, Server};

/// How much of a reply's body is read unless the call asks for more, in bytes.
pub const REPLY_BYTES_DEFAULT: usize = 16 * 1024;
/// The most that a call may ask for, in bytes: a vendor's verdict on each item of a full batch.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Data for one of the transports.
#[derive(Debug, Clone)]
pub enum Call {
    Http(HttpCall),
    Mail(MailCall),
    Sql(SqlCall),
    Object(ObjectCall),
    Records(RecordsCall),
}

/// An HTTP request to make.
#[derive(Clone)]
pub struct HttpCall {
    /// An upper-case method.
    pub method: &'static str,
    /// An absolute URL.
    pub url: String,
    /// Names and values, in order. `Host` and `Content-Length` are the transport's.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// How much of the reply's body to read, at most [`REPLY_BYTES_MAX`].
    pub reply_bytes_max: usize,
}

impl HttpCall {
    /// A POST of JSON.
    pub fn post_json(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            method: "POST",
            url: url.into(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.into(),
            reply_bytes_max: REPLY_BYTES_DEFAULT,
        }
    }

    /// The same call with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same call, reading as much of the reply as may be read.
    #[must_use]
    pub fn with_long_reply(self) -> Self {
        Self { reply_bytes_max: REPLY_BYTES_MAX, ..self }
    }
}

impl std::fmt::Debug for HttpCall {
    /// Headers and URLs carry credentials, so neither is printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpCall({}, {} bytes)", self.method, self.body.len())
    }
}

/// A mail to hand to an SMTP server.
#[derive(Debug, Clone)]
pub struct MailCall {
    pub server: MailServer,
    /// The envelope's sender, an address without a name.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The whole message with its headers; every line ends in CR LF, and neither stands alone.
    pub message: Bytes,
}

/// Where mail is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    /// The authorities that may vouch for it, in PEM, in place of the usual ones.
    pub authority: Option<String>,
    /// None for a server that asks for none.
    pub login: Option<MailLogin>,
}

/// How one proves to a mail server who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailLogin {
    Password {
        user: String,
        password: Secret,
    },
    /// `XOAUTH2`: what the large providers of mailboxes want in place of a password.
    Token {
        user: String,
        token: Secret,
    },
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the first byte, usually port 465.
    Implicit,
    /// Plain text until `STARTTLS`, which is required, usually port 587.
    StartTls,
    /// No encryption: for a relay on the operator's own network.
    None,
}

/// One statement for a server that speaks Postgres' protocol, in a transaction of its own.
#[derive(Debug, Clone)]
pub struct SqlCall {
    pub server: SqlServer,
    pub statement: String,
    /// The parameters, each an array of texts that the statement casts: `$1::text[]`. Without any the statement may be
    /// several. The reply's body is a JSON array of rows, each an array of texts or nulls; with parameters the columns
    /// must be texts. What the server refuses has an SQLSTATE as its code, and a JSON object for a body: `message`, and as
    /// far as the server says so `detail`, `table`, `column` and `constraint`.
    pub arrays: Vec<Vec<Option<String>>>,
}

/// A database to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlServer {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Secret,
    pub tls: ServerTls,
}

/// How a connection to a server without a URL is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTls {
    /// Encrypted, with a certificate for the host from one of the usual authorities.
    Public,
    /// The same from these authorities only, in PEM: many hosts of databases and brokers have one of their own.
    Authority(String),
    /// No encryption: on the operator's own network.
    None,
}

/// What came back from a call. A call that got no reply at all is judged by the engine, not by the connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status or SMTP reply code; 0 for a transport that has no such number.
    pub status: u16,
    /// The peer's own code for what went wrong, where its protocol has one: an SQLSTATE, the name of an error of S3 or of a
    /// broker. `None` when all is well, and for HTTP and SMTP, whose status says it.
    pub code: Option<String>,
    /// Lower-case names and values as received; those that are not visible ASCII are left out.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body, as far as the transport reads.
    pub body: Bytes,
    /// When it arrived.
    pub received_at: Timestamp,
}

impl Reply {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Whether the peer has done what was asked: a status of 200 to 299, or no status and no code.
    pub fn is_success(&self) -> bool {
        (200..=299).contains(&self.status) || (self.status == 0 && self.code.is_none())
    }

    /// The body as text, with replacement characters.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON, if it is JSON and was read whole.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// A call as a person may look at it. Nothing is masked here: whoever shows it scrubs it of the destination's secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `POST` and the like; `MAIL`, `SQL` and `PUBLISH` for the other transports.
    pub method: &'static str,
    /// `https://…`, `smtp://host:port`, `postgres://user@host:port/database`.
    pub url: String,
    /// Headers, or what the transport says besides the body.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Call {
    /// What a person sees of it.
    pub fn shown(&self) -> Shown {
        match self {
            Self::Http(call) => Shown {
                method: call.method,
                url: call.url.clone(),
                headers: call.headers.clone(),
                body: String::from_utf8_lossy(&call.body).into_owned(),
            },
            Self::Mail(call) => {
                let scheme = if call.server.tls == MailTls::Implicit { "smtps" } else { "smtp" };
                let recipients = call.to.iter().map(|to| ("RCPT TO".to_owned(), to.clone()));
                Shown {
                    method: "MAIL",
                    url: format!("{scheme}://{}:{}", call.server.host, call.server.port),
                    headers: std::iter::once(("MAIL FROM".to_owned(), call.from.clone())).chain(recipients).collect(),
                    body: String::from_utf8_lossy(&call.message).into_owned(),
                }
            }
            Self::Sql(call) => {
                let SqlServer { host, port, database, user, .. } = &call.server;
                let arrays = call.arrays.iter().enumerate();
                Shown {
                    method: "SQL",
                    url: format!("postgres://{user}@{host}:{port}/{database}"),
                    headers: arrays
                        .map(|(n, array)| (format!("${}", n + 1), serde_json::json!(array).to_string()))
                        .collect(),
                    body: call.statement.clone(),
                }
            }
            Self::Object(call) => call.shown(),
            Self::Records(call) => call.shown(),
        }
    }
}
