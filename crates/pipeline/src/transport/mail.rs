//! Mail: one message, handed to an SMTP server under one deadline.
//!
//! The dialogue is lettre's; the connection under it is dialled by the guard, and TLS is that of every other transport.
//! A connection over which a message was taken is kept for the next one of its lane; one that has heard a refusal is
//! not.
//!
//! A reply of the server, whatever its code, comes back as a [`Reply`] with the header `command`, which names what it
//! answers: `CONNECT`, `EHLO`, `STARTTLS`, `AUTH`, `MAIL`, `RCPT`, `DATA` or `MESSAGE`. What the server lacks for this
//! mail is told in the same way, with the status 0 and a [`Reply::code`]: [`NO_STARTTLS`], [`NO_LOGIN`], [`NO_UTF8`].

mod envelope;
mod line;
mod lines;
mod opening;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::connector::{MailCall, MailLogin, MailServer, MailTls, Reply};
use domain::verdict::FailureReason;
use domain::{DestinationId, Secret};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, timeout, timeout_at};

use self::envelope::Envelope;
use self::line::{Stream, Watch};
use super::kept::Kept;
use super::tls::Tls;
use super::{Guard, Peer, TransportError};
use crate::clock::Clock;

/// The code of a reply about a server that does not offer `STARTTLS` where it is required.
pub const NO_STARTTLS: &str = "no-starttls";
/// The code of a reply about a server that offers no login that we know.
pub const NO_LOGIN: &str = "no-login";
/// The code of a reply about a server that takes no addresses or text beyond ASCII.
pub const NO_UTF8: &str = "no-utf8";

/// The ports of mail that are below 1024, and the one that providers offer where those are closed.
const MAIL_PORTS: [u16; 4] = [25, 465, 587, 2_525];
/// Longest wait for the first answer over a kept connection: a server that has gone does not say so.
const AWAKE_MAX: Duration = Duration::from_secs(5);
/// Longest silence of a server that should greet, before it is tried whether it waits for a handshake.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// What to do about a server that greets where a handshake should be.
const NOT_IMPLICIT_ADVICE: &str =
    "set `tls` to `starttls`, or `port` to the one for encryption from the start, 465 as a rule";
/// Most messages over one connection; many servers count too.
const MESSAGES_MAX: u32 = 50;
/// In this order: both tell the server the same thing.
const PASSWORD_MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// The mail transport.
pub struct MailTransport {
    guard: Guard,
    tls: Tls,
    clock: Arc<Clock>,
    kept: Arc<Kept<MailServer, Line>>,
}

/// A connection on which the server has said hello and knows who we are.
struct Line {
    connection: AsyncSmtpConnection,
    watch: Arc<Watch>,
    messages: u32,
}

/// How a dialogue ended before its message was taken.
enum End {
    /// With a word of the server.
    Answered(Reply),
    Failed(TransportError),
}

impl MailTransport {
    /// A transport that trusts the usual certificate authorities and `extra_roots`. Must be made inside the runtime: it
    /// closes idle connections from a task that ends with it.
    pub fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, rustls::Error> {
        Ok(Self { guard, tls: Tls::new(extra_roots, &[])?, clock, kept: Kept::start() })
    }

    /// Hands one message over for a lane and returns the server's last word on it.
    pub async fn exchange(
        &self,
        lane: DestinationId,
        call: MailCall,
        deadline: Duration,
    ) -> Result<Reply, TransportError> {
        let deadline = Instant::now() + deadline;
        let dot = Arc::new(AtomicBool::new(false));
        let done = match timeout_at(deadline, self.hand_over(lane, &call, &dot, deadline)).await {
            Ok(done) => done,
            Err(_) => Err(End::Failed(TransportError::new(FailureReason::Timeout, "the mail was not taken in time"))),
        };
        match done {
            Ok(reply) | Err(End::Answered(reply)) => Ok(reply),
            Err(End::Failed(error)) => Err(TransportError { may_have_arrived: dot.load(Ordering::Relaxed), ..error }),
        }
    }

    async fn hand_over(
        &self,
        lane: DestinationId,
        call: &MailCall,
        dot: &Arc<AtomicBool>,
        deadline: Instant,
    ) -> Result<Reply, End> {
        let envelope = Envelope::of(call)?;
        let awake = self.awake(lane, call, &envelope).await;
        let mut line = if let Some(line) = awake { line } else { self.begun(call, &envelope, deadline).await? };
        let told = |command| move |error| self.end(command, &error);
        for to in envelope.to {
            line.connection.command(Rcpt::new(to, Vec::new())).await.map_err(told("RCPT"))?;
        }
        line.connection.command(Data).await.map_err(told("DATA"))?;
        let message = lines::normalised(&call.message);
        line.watch.begin(dot);
        let response = line.connection.message(&message).await.map_err(told("MESSAGE"))?;
        let reply = self.reply("MESSAGE", response.code().into(), None, joined(&response));
        line.messages += 1;
        if line.messages < MESSAGES_MAX {
            self.kept.lay_down(lane, call.server.clone(), line);
        }
        Ok(reply)
    }

    /// A kept connection whose server is still there and begins with this mail; nothing of it has been said before.
    async fn awake(&self, lane: DestinationId, call: &MailCall, envelope: &Envelope) -> Option<Line> {
        loop {
            let mut line = self.kept.take(lane, &call.server)?;
            line.watch.begin(&Arc::default());
            let Ok(options) = self.options(&line.connection, envelope, call) else { return None };
            let begin = line.connection.command(Mail::new(Some(envelope.from.clone()), options));
            if let Ok(Ok(_)) = timeout(AWAKE_MAX, begin).await {
                return Some(line);
            }
        }
    }

    /// A new connection on which this mail has begun.
    async fn begun(&self, call: &MailCall, envelope: &Envelope, deadline: Instant) -> Result<Line, End> {
        let mut line = self.connect(call, envelope, deadline).await?;
        self.log_in(&mut line.connection, call).await?;
        let options = self.options(&line.connection, envelope, call)?;
        let begun = line.connection.command(Mail::new(Some(envelope.from.clone()), options)).await;
        begun.map_err(|error| self.end("MAIL", &error))?;
        Ok(line)
    }

    async fn connect(&self, call: &MailCall, envelope: &Envelope, deadline: Instant) -> Result<Line, End> {
        let server = &call.server;
        let is_private = server.tls != MailTls::None;
        let peer = self.guard.check_peer(&server.host, server.port, &MAIL_PORTS, is_private)?;
        let tls = server.authority.as_deref().map(Tls::of_authorities).transpose()?;
        let tls = tls.as_ref().unwrap_or(&self.tls);
        let mut tcp = self.guard.connect(&peer, deadline).await?;
        let (name, watch) = (envelope.hello(), Arc::new(Watch::default()));
        let stream = match server.tls {
            MailTls::None => Stream::over(tcp, &watch),
            MailTls::Implicit => {
                let stream = tls.shake_hands(peer.server_name.clone(), tcp, deadline).await;
                Stream::over(stream.map_err(|error| error.advised(NOT_IMPLICIT_ADVICE))?, &watch)
            }
            MailTls::StartTls => {
                let asked = opening::ask_for_tls(&mut tcp, &name);
                self.in_the_open(asked, &peer, tls, deadline).await?.map_err(|end| self.opened(end))?;
                Stream::greeted(tls.shake_hands(peer.server_name.clone(), tcp, deadline).await?, &watch)
            }
        };
        let name = ClientId::Domain(name);
        let connecting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &name);
        let connected = match server.tls {
            MailTls::None => self.in_the_open(connecting, &peer, tls, deadline).await?,
            MailTls::Implicit | MailTls::StartTls => connecting.await,
        };
        let connection = connected.map_err(|error| self.end("CONNECT", &error))?;
        Ok(Line { connection, watch, messages: 0 })
    }

    /// What a server answers in the open, if it answers: it is given time, unless it turns out to wait for a handshake.
    async fn in_the_open<T>(
        &self,
        answer: impl Future<Output = T>,
        peer: &Peer,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<T, End> {
        let mut answer = pin!(answer);
        match timeout(SILENCE_MAX, &mut answer).await {
            Ok(answer) => Ok(answer),
            Err(_) if self.is_encrypted_at_once(peer, tls, deadline).await => Err(End::implicit()),
            Err(_) => Ok(answer.await),
        }
    }

    /// Whether a server that says nothing waits for us to begin a handshake.
    async fn is_encrypted_at_once(&self, peer: &Peer, tls: &Tls, deadline: Instant) -> bool {
        let Ok(tcp) = self.guard.connect(peer, deadline).await else { return false };
        tls.is_spoken(peer.server_name.clone(), tcp, deadline).await
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection, call: &MailCall) -> Result<(), End> {
        let Some(login) = &call.server.login else { return Ok(()) };
        let offers = |known: &[Mechanism]| connection.server_info().get_auth_mechanism(known).is_some();
        let (is_offered, what) = match login {
            MailLogin::Password { .. } => (offers(&PASSWORD_MECHANISMS), "user name and password"),
            MailLogin::Token { .. } => (offers(&[Mechanism::Xoauth2]), "a token (XOAUTH2)"),
        };
        if !is_offered {
            let text = format!("the server offers no login with {what} on this connection");
            return Err(End::Answered(self.reply("AUTH", 0, Some(NO_LOGIN), text)));
        }
        let answered = match login {
            MailLogin::Password { user, password } => {
                let credentials = Credentials::new(user.clone(), password.expose().to_owned());
                connection.auth(&PASSWORD_MECHANISMS, &credentials).await
            }
            MailLogin::Token { user, token } => with_token(connection, user, token).await,
        };
        answered.map(drop).map_err(|error| self.end("AUTH", &error))
    }

    fn options(
        &self,
        connection: &AsyncSmtpConnection,
        envelope: &Envelope,
        call: &MailCall,
    ) -> Result<Vec<MailParameter>, End> {
        let needed = [
            (!envelope.is_ascii(), Extension::SmtpUtfEight, MailParameter::SmtpUtfEight),
            (!call.message.is_ascii(), Extension::EightBitMime, MailParameter::Body(MailBodyParameter::EightBitMime)),
        ];
        let mut options = Vec::new();
        for (is_needed, extension, parameter) in needed {
            if is_needed && !connection.server_info().supports_feature(extension) {
                let text = format!("the server takes ASCII only: it does not offer {extension}");
                return Err(End::Answered(self.reply("MAIL", 0, Some(NO_UTF8), text)));
            }
            if is_needed {
                options.push(parameter);
            }
        }
        Ok(options)
    }

    /// What an error of the dialogue is: the server's refusal, or no answer at all.
    fn end(&self, command: &'static str, error: &smtp::Error) -> End {
        match error.status() {
            Some(code) => {
                let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
                End::Answered(self.reply(command, code.into(), None, text))
            }
            None if error.is_response() => {
                let message = "the server closed the connection or did not speak SMTP";
                End::Failed(TransportError::new(FailureReason::Broken, message))
            }
            None => End::Failed(TransportError::new(FailureReason::Broken, "the connection to the mail server broke")),
        }
    }

    fn opened(&self, end: opening::NotOpened) -> End {
        match end {
            opening::NotOpened::Refused { command, status, text } => {
                End::Answered(self.reply(command, status, None, text))
            }
            opening::NotOpened::NotOffered => {
                End::Answered(self.reply("STARTTLS", 0, Some(NO_STARTTLS), "the server does not offer STARTTLS"))
            }
            opening::NotOpened::Failed(message) => End::Failed(TransportError::new(FailureReason::Broken, message)),
        }
    }

    fn reply(&self, command: &str, status: u16, code: Option<&str>, text: impl Into<String>) -> Reply {
        Reply {
            status,
            code: code.map(str::to_owned),
            headers: vec![("command".to_owned(), command.to_owned())],
            body: Bytes::from(text.into()),
            received_at: self.clock.now(),
        }
    }
}

impl End {
    /// The server speaks nothing but TLS.
    fn implicit() -> Self {
        let message = "the mail server expects encryption from the start at this port";
        let advice = "set `tls` to `implicit`, or `port` to the one for STARTTLS, 587 as a rule";
        Self::Failed(TransportError::misconfigured(FailureReason::Tls, message).advised(advice))
    }
}

impl<E: Into<TransportError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Logs in with a token. It is not left to the library, which takes no refusal: a server says in a challenge why it
/// refuses, and its `535` comes only after an answer to that.
async fn with_token(connection: &mut AsyncSmtpConnection, user: &str, token: &Secret) -> Result<Response, smtp::Error> {
    let proof = STANDARD.encode(format!("user={user}\x01auth=Bearer {}\x01\x01", token.expose()));
    let response = connection.command(format!("AUTH XOAUTH2 {proof}\r\n")).await?;
    if response.has_code(334) { connection.command("\r\n").await } else { Ok(response) }
}

fn joined(response: &Response) -> String {
    response.message().collect::<Vec<_>>().join(" ")
}
