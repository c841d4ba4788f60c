//! Records: messages for a broker.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Reply, ServerTls, Shown};
use crate::secret::Secret;

/// Records to hand to a broker, each of which it acknowledges. Where the broker was reached, the body of the reply is a
/// list with an outcome per record ([`Reply::outcomes`]); where it turned us away, [`Reply::code`] says why and the
/// body is its message.
#[derive(Debug, Clone)]
pub struct RecordsCall {
    pub broker: Broker,
    pub records: Vec<Record>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// A topic of Kafka, a subject of NATS.
    pub topic: String,
    /// What decides on the partition, for a broker that has some.
    pub key: Option<String>,
    pub headers: Vec<(&'static str, String)>,
    pub value: Bytes,
}

/// Where records go and who brings them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broker {
    /// A NATS server with `JetStream`.
    Nats { servers: Vec<Server>, tls: ServerTls, login: NatsLogin },
    /// Kafka, by the brokers that tell of the others.
    Kafka { servers: Vec<Server>, tls: ServerTls, login: Option<Sasl> },
}

/// A server without a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
}

/// Who we are to a NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsLogin {
    None,
    Password {
        user: String,
        password: Secret,
    },
    Token(Secret),
    /// A key that signs what the server asks for: its seed, and the token of its account where there is one.
    Key {
        seed: Secret,
        jwt: Option<Secret>,
    },
}

/// Who we are to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    pub mechanism: SaslMechanism,
    pub user: String,
    pub password: Secret,
}

/// How Kafka is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

/// Why a broker has not taken a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRefusal {
    /// The broker's name for it.
    pub code: String,
    pub message: String,
}

impl RecordRefusal {
    /// The code of a record about which nothing was heard.
    pub const NO_ANSWER: &str = "NO_ANSWER";

    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl Reply {
    /// What became of each record of a [`RecordsCall`], in order; `None` if the reply does not say.
    pub fn outcomes(&self) -> Option<Vec<Option<RecordRefusal>>> {
        if self.code.is_some() { None } else { serde_json::from_slice(&self.body).ok() }
    }
}

impl RecordsCall {
    pub(super) fn shown(&self) -> Shown {
        let (scheme, servers, login) = match &self.broker {
            Broker::Nats { servers, tls: ServerTls::None, login } => ("nats", servers, login.in_words()),
            Broker::Nats { servers, login, .. } => ("tls", servers, login.in_words()),
            Broker::Kafka { servers, tls: ServerTls::None, login } => {
                ("kafka", servers, login.as_ref().map(Sasl::in_words))
            }
            Broker::Kafka { servers, login, .. } => ("kafka+tls", servers, login.as_ref().map(Sasl::in_words)),
        };
        let servers: Vec<_> = servers.iter().map(|server| format!("{}:{}", server.host, server.port)).collect();
        Shown {
            method: "PUBLISH",
            url: format!("{scheme}://{}", servers.join(",")),
            headers: login.map(|login| ("login".to_owned(), login)).into_iter().collect(),
            body: self.records.iter().map(Record::shown).collect::<Vec<_>>().join("\n\n"),
        }
    }
}

impl Record {
    fn shown(&self) -> String {
        let key = self.key.as_ref().map(|key| format!("key: {key}\n")).unwrap_or_default();
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("{}\n{key}{}\n{}", self.topic, headers.concat(), String::from_utf8_lossy(&self.value))
    }
}

impl NatsLogin {
    fn in_words(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Password { user, .. } => Some(format!("user {user}")),
            Self::Token(_) => Some("token".to_owned()),
            Self::Key { .. } => Some("key".to_owned()),
        }
    }
}

impl Sasl {
    fn in_words(&self) -> String {
        format!("user {} ({})", self.user, self.mechanism.name())
    }
}

impl SaslMechanism {
    /// As the protocol has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512].into_iter().find(|mechanism| mechanism.name() == name)
    }
}
