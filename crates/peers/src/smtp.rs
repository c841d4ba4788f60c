//! A mail server that keeps every message and refuses what it is told to, made of Python's `aiosmtpd`.

use std::path::PathBuf;

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use crate::certificate::Certificate;
use crate::needs::{Needs, Package, python, script};
use crate::process::{Room, Server};

pub(crate) static NEEDS: Needs = Needs { name: "smtp", packages: &[Package::Python("aiosmtpd==1.4.6")] };

/// A mail server. It is called `localhost` or `127.0.0.1`; its certificate is good for both.
pub struct Smtp {
    port: u16,
    mails: PathBuf,
    authority_pem: String,
    _server: Server,
}

/// How it behaves. The default takes everything from everyone, without encryption.
#[derive(Default, Clone, Copy)]
pub struct SmtpOptions<'a> {
    /// Mail is refused until [`Smtp::USER`] and [`Smtp::PASSWORD`] were given.
    pub login: bool,
    pub tls: SmtpTls,
    /// What is answered instead of 250, as `("RCPT", "450 4.2.1 busy")`: for `MAIL`, `RCPT` or `DATA` once each, in this order; for
    /// a recipient's address every time. The answer `close` drops the connection; `late`, for `DATA`, keeps the message first.
    pub answers: &'a [(&'a str, &'a str)],
}

/// When the connection is encrypted.
#[derive(Default, Clone, Copy)]
pub enum SmtpTls {
    #[default]
    Never,
    /// STARTTLS is offered.
    Offered,
    /// Nothing else is answered before STARTTLS.
    Required,
    /// From the first byte, as on port 465.
    Implicit,
}

/// A message that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Mail {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope that were accepted.
    pub to: Vec<String>,
    /// The user, if there was a login.
    pub login: Option<String>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// What came between `DATA` and the dot, each byte as the character of its number.
    pub data: String,
}

impl Smtp {
    pub const USER: &str = "mailer";
    pub const PASSWORD: &str = "a pass+word&more";

    pub fn start() -> Option<Self> {
        Self::start_with(SmtpOptions::default())
    }

    pub fn start_with(options: SmtpOptions<'_>) -> Option<Self> {
        crate::start(&NEEDS, || Self::try_start(options))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that a client must trust to speak TLS with it, as PEM.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// What has been kept so far. A message is here before its sender is told so.
    pub fn mails(&self) -> Vec<Mail> {
        let text = std::fs::read_to_string(&self.mails).unwrap_or_default();
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().map(|line| serde_json::from_str(line).expect("the script writes this shape")).collect()
    }

    fn try_start(options: SmtpOptions<'_>) -> Result<Self> {
        let room = Room::new("smtp")?;
        let mails = room.path().join("mails");
        let certificate = Certificate::write(room.path())?;
        let described = json!({
            "file": mails,
            "login": options.login.then_some([Self::USER, Self::PASSWORD]),
            "certificate": [certificate.chain, certificate.key],
            "tls": options.tls.in_script(),
            "answers": options.answers,
        });
        let mut command = room.command(&python(), "KILL");
        command.arg(script("smtp_sink.py")).arg(described.to_string());
        let mut server = room.launch(command)?;
        let port = server.announced_port()?;
        Ok(Self { port, mails, authority_pem: certificate.authority_pem, _server: server })
    }
}

impl SmtpTls {
    fn in_script(self) -> &'static str {
        match self {
            Self::Never => "none",
            Self::Offered => "offered",
            Self::Required => "required",
            Self::Implicit => "implicit",
        }
    }
}
