//! A mail server that says what it is told to say and keeps every byte that it hears.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A server that ends with the test.
pub(crate) struct PostOffice {
    pub(crate) address: SocketAddr,
    /// What clients of this server must trust.
    pub(crate) certificate: CertificateDer<'static>,
    heard: Arc<Mutex<Vec<Heard>>>,
    task: JoinHandle<()>,
}

/// One line, or the whole of a message with its final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) was_encrypted: bool,
}

/// What is said instead of the usual, by what it answers: `CONNECT`, a command, or `MESSAGE` for a message. [`CLOSE`] and
/// [`SILENCE`] are no words.
pub(crate) type Script = &'static [(&'static str, &'static str)];

pub(crate) const CLOSE: &str = "(closes)";
pub(crate) const SILENCE: &str = "(is silent)";
/// Never stops talking, without ever ending a line.
pub(crate) const FLOOD: &str = "(talks for ever)";

impl PostOffice {
    /// A server that has had enough after each mail.
    pub(crate) async fn with_habit(habit: Habit) -> Self {
        Self::start(Desk { habit, ..Desk::default() }, false).await
    }

    /// A server that begins to follow a script with the second mail of a connection.
    pub(crate) async fn after_one_mail(script: Script) -> Self {
        Self::start(Desk { script, habit: Habit::FollowsItsScriptAfterAMail, ..Desk::default() }, false).await
    }

    /// A server that takes mail in the open, and under encryption if it is asked for.
    pub(crate) async fn new(script: Script) -> Self {
        Self::start(Desk { script, ..Desk::default() }, false).await
    }

    /// A server that is encrypted from the first byte.
    pub(crate) async fn encrypted(script: Script) -> Self {
        Self::start(Desk { script, ..Desk::default() }, true).await
    }

    async fn start(desk: Desk, is_encrypted: bool) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::clone(&desk.heard);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(desk.clone().serve(stream, tls.clone(), is_encrypted));
            }
        });
        Self { address, certificate, heard, task }
    }

    /// Everything that was heard so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The same without what it was heard over, and without the farewell, which nobody waits for.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.text).filter(|text| text != "QUIT\r\n").collect()
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a server does with a connection once it has taken a mail over it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Habit {
    #[default]
    StaysThere,
    HangsUpAfterAMail,
    /// Says so before it does.
    SaysGoodbyeAfterAMail,
    /// Until then it does what is usual.
    FollowsItsScriptAfterAMail,
}

#[derive(Clone, Default)]
struct Desk {
    script: Script,
    habit: Habit,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Desk {
    async fn serve(self, stream: TcpStream, tls: TlsAcceptor, is_encrypted: bool) {
        if is_encrypted {
            if let Ok(stream) = tls.accept(stream).await {
                let _ = self.talk(&mut BufReader::new(stream), "CONNECT", true).await;
            }
            return;
        }
        let mut stream = BufReader::new(stream);
        if self.talk(&mut stream, "CONNECT", false).await == Some(Next::Encryption)
            && let Ok(stream) = tls.accept(stream.into_inner()).await
        {
            let _ = self.talk(&mut BufReader::new(stream), "", true).await;
        }
    }

    /// Answers `first`, then whatever comes, until one side has had enough.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        first: &str,
        was_encrypted: bool,
    ) -> Option<Next> {
        let mut command = first.to_owned();
        let mut mails = 0;
        loop {
            match self.answer(&command, mails) {
                "" => {}
                CLOSE => return None,
                SILENCE => std::future::pending().await,
                FLOOD => loop {
                    stream.write_all(&[b'2'; 4096]).await.ok()?;
                },
                said => stream.write_all(format!("{said}\r\n").as_bytes()).await.ok()?,
            }
            stream.flush().await.ok()?;
            if command == "MESSAGE" {
                mails += 1;
                if self.habit == Habit::SaysGoodbyeAfterAMail {
                    stream.write_all(b"421 4.4.2 too long idle\r\n").await.ok()?;
                    stream.flush().await.ok()?;
                }
                if matches!(self.habit, Habit::HangsUpAfterAMail | Habit::SaysGoodbyeAfterAMail) {
                    return None;
                }
            }
            if command == "STARTTLS" {
                return Some(Next::Encryption);
            }
            let text = if command == "DATA" { message(stream).await? } else { line(stream).await? };
            command = if command == "DATA" {
                "MESSAGE".to_owned()
            } else {
                text.split([' ', '\r', ':']).next().unwrap_or_default().to_owned()
            };
            self.heard.lock().unwrap().push(Heard { text, was_encrypted });
        }
    }

    fn answer(&self, command: &str, mails: u32) -> &'static str {
        let is_early = self.habit == Habit::FollowsItsScriptAfterAMail && mails == 0;
        let script = if is_early { &[] } else { self.script };
        let told = script.iter().find(|(name, _)| *name == command).map(|(_, said)| *said);
        told.unwrap_or(match command {
            "" => "",
            "CONNECT" => "220 office.test ESMTP",
            "EHLO" => "250-office.test\r\n250-STARTTLS\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
            "STARTTLS" => "220 go ahead",
            "AUTH" => "235 welcome",
            "DATA" => "354 end with a dot",
            "QUIT" => "221 bye",
            _ => "250 2.0.0 ok",
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Encryption,
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = Vec::new();
    let count = stream.read_until(b'\n', &mut line).await.ok()?;
    (count > 0).then(|| String::from_utf8_lossy(&line).into_owned())
}

async fn message<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut message = line(stream).await?;
    while message != ".\r\n" && !message.ends_with("\r\n.\r\n") {
        message.push_str(&line(stream).await?);
    }
    Some(message)
}
