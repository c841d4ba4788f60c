//! A small SMTP server.
//!
//! An item is a mail to one recipient, its key the bare address; [`Simulator::mails`] has the mails byte for byte. Only CR LF
//! ends a line here: a line feed or carriage return on its own is kept, and flagged, because other servers take it for the
//! end of a line, and with it whatever follows for commands.
//!
//! Faults are drawn once per mail. A rate limit is a 451 to `MAIL FROM`; a server error is answered after the data, with its number
//! where that is a 4yz or 55z and as 451 otherwise; a partial failure refuses every recipient but the first.

mod session;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use self::session::{Session, Step};
use crate::faults::Faults;
use crate::simulator::{Shared, Simulator};

/// A server that takes mail for everybody.
#[derive(Debug, Clone, Default)]
pub struct Smtp {
    /// User and password that must be given; `None` asks for none.
    pub login: Option<(String, String)>,
    /// Addresses that are refused, each with the whole line that says so: `550 5.1.1 no such user`.
    pub refused: Vec<(String, String)>,
    mails: Vec<Mail>,
}

/// One mail as it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The bare address of `MAIL FROM`.
    pub from: String,
    /// The bare addresses of `RCPT TO`.
    pub to: Vec<String>,
    /// What came after `DATA`, with the dots unstuffed.
    pub bytes: Bytes,
}

impl Smtp {
    /// A server that asks for no password.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a user who must log in.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Starts it on a free port of 127.0.0.1.
    pub fn start(self, faults: Faults) -> Simulator<Self> {
        Simulator::start(self, faults, serve)
    }
}

impl Simulator<Smtp> {
    /// Every mail that was taken, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.vendor(|smtp| smtp.mails.clone())
    }
}

impl Mail {
    /// The value of a header, unfolded no further than its first line.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.bytes).ok()?.split("\r\n\r\n").next()?;
        head.split("\r\n").filter_map(|line| line.split_once(':')).find_map(|(key, value)| {
            let found = key.eq_ignore_ascii_case(name);
            found.then(|| value.trim())
        })
    }
}

/// One connection: a line in, an answer out.
async fn serve(stream: TcpStream, shared: Arc<Shared<Smtp>>) {
    let mut stream = BufReader::new(stream);
    let mut session = Session::default();
    let mut step = Step::Say("220 mail.example ESMTP ready".to_owned());
    let mut line = Vec::new();
    loop {
        let (hold, said) = match step {
            Step::Listen => (Duration::ZERO, None),
            Step::Say(said) => (Duration::ZERO, Some(said)),
            Step::SayAfter(hold, said) => (hold, Some(said)),
            Step::CloseAfter(hold) => {
                let gone = stream.read_until(b'\n', &mut line);
                let _ = tokio::time::timeout(hold, gone).await;
                return;
            }
        };
        tokio::time::sleep(hold).await;
        if let Some(said) = said
            && (stream.write_all(format!("{said}\r\n").as_bytes()).await.is_err() || said.starts_with("221"))
        {
            return;
        }
        line.clear();
        match (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut desk = shared.desk();
        step = session.take(&line, &mut desk);
        drop(desk);
        shared.tell();
    }
}

/// A longer line is taken in pieces.
const LINE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests;
