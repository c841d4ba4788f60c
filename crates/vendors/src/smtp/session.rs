//! One conversation, line by line.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Mail, Smtp};
use crate::book::Received;
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::Desk;

/// What comes after a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next line.
    Listen,
    Say(String),
    SayAfter(Duration, String),
    CloseAfter(Duration),
}

/// Where the conversation stands.
#[derive(Debug, Default)]
pub(super) struct Session {
    greeted: bool,
    logged_in: bool,
    expects: Expects,
    mail: Option<Draft>,
}

#[derive(Debug, Default)]
enum Expects {
    #[default]
    Command,
    PlainLogin,
    UserName,
    Password(String),
    Data,
}

/// A mail on its way in.
#[derive(Debug, Default)]
struct Draft {
    from: String,
    to: Vec<String>,
    fault: Option<Fault>,
    bytes: Vec<u8>,
}

impl Session {
    /// Takes a line with its end.
    pub(super) fn take(&mut self, line: &[u8], desk: &mut Desk<Smtp>) -> Step {
        if matches!(self.expects, Expects::Data) {
            return self.take_data(line, desk);
        }
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        match std::mem::take(&mut self.expects) {
            Expects::PlainLogin => self.log_in_plain(text, &desk.vendor),
            Expects::UserName => self.ask("334 UGFzc3dvcmQ6", Expects::Password(decoded(text))),
            Expects::Password(user) => self.log_in(&user, &decoded(text), &desk.vendor),
            Expects::Command | Expects::Data => say(self.obey(text, desk)),
        }
    }

    fn ask(&mut self, question: &str, expects: Expects) -> Step {
        self.expects = expects;
        say(question)
    }

    fn obey(&mut self, text: &str, desk: &mut Desk<Smtp>) -> String {
        let verb = text.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let needs_login = desk.vendor.login.is_some() && !self.logged_in;
        match verb.as_str() {
            "EHLO" => {
                (self.greeted, self.mail) = (true, None);
                "250-mail.example\r\n250-AUTH PLAIN LOGIN\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 PIPELINING".to_owned()
            }
            "HELO" => {
                (self.greeted, self.mail) = (true, None);
                "250 mail.example".to_owned()
            }
            "RSET" => {
                self.mail = None;
                "250 2.0.0 ok".to_owned()
            }
            "NOOP" => "250 2.0.0 ok".to_owned(),
            "QUIT" => "221 2.0.0 bye".to_owned(),
            _ if !self.greeted => "503 5.5.1 say EHLO first".to_owned(),
            "AUTH" => self.begin_login(text, &desk.vendor),
            "MAIL" if needs_login => "530 5.7.0 authentication required".to_owned(),
            "MAIL" => self.begin_mail(text, desk),
            "RCPT" => self.add_recipient(text, &desk.vendor),
            "DATA" if self.mail.as_ref().is_some_and(|mail| !mail.to.is_empty()) => {
                self.expects = Expects::Data;
                "354 end with a dot on a line of its own".to_owned()
            }
            "DATA" => "503 5.5.1 nobody to send it to".to_owned(),
            _ => "500 5.5.2 what?".to_owned(),
        }
    }

    fn begin_login(&mut self, text: &str, smtp: &Smtp) -> String {
        let mut words = text.split(' ').skip(1);
        let (mechanism, response) = (words.next().unwrap_or_default().to_ascii_uppercase(), words.next());
        let step = match (mechanism.as_str(), response) {
            ("PLAIN", Some(response)) => self.log_in_plain(response, smtp),
            ("PLAIN", None) => self.ask("334 ", Expects::PlainLogin),
            ("LOGIN", Some(user)) => self.ask("334 UGFzc3dvcmQ6", Expects::Password(decoded(user))),
            ("LOGIN", None) => self.ask("334 VXNlcm5hbWU6", Expects::UserName),
            _ => say("504 5.5.4 unknown mechanism"),
        };
        if let Step::Say(said) = step { said } else { String::new() }
    }

    fn log_in_plain(&mut self, response: &str, smtp: &Smtp) -> Step {
        let response = decoded(response);
        let mut parts = response.split('\0').skip(1);
        let (user, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        self.log_in(user, password, smtp)
    }

    fn log_in(&mut self, user: &str, password: &str, smtp: &Smtp) -> Step {
        self.logged_in = smtp.login.as_ref().is_none_or(|(name, secret)| name == user && secret == password);
        say(if self.logged_in { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" })
    }

    fn begin_mail(&mut self, text: &str, desk: &mut Desk<Smtp>) -> String {
        let Some(from) = address(text) else { return "501 5.1.7 bad sender address".to_owned() };
        let fault = desk.next_fault();
        match fault {
            Some(Fault::RateLimit { .. }) => "451 4.7.1 too many mails, try again later".to_owned(),
            Some(Fault::TokenExpired) => "530 5.7.0 authentication required".to_owned(),
            _ => {
                self.mail = Some(Draft { from, fault, ..Draft::default() });
                "250 2.1.0 ok".to_owned()
            }
        }
    }

    fn add_recipient(&mut self, text: &str, smtp: &Smtp) -> String {
        let Some(mail) = &mut self.mail else { return "503 5.5.1 say MAIL FROM first".to_owned() };
        let Some(to) = address(text).filter(|to| to.contains('@')) else {
            return "501 5.1.3 bad recipient address".to_owned();
        };
        if let Some((_, line)) = smtp.refused.iter().find(|(refused, _)| *refused == to) {
            return line.clone();
        }
        if mail.fault == Some(Fault::PartialFailure) && !mail.to.is_empty() {
            return "452 4.5.3 too many recipients".to_owned();
        }
        mail.to.push(to);
        "250 2.1.5 ok".to_owned()
    }

    fn take_data(&mut self, line: &[u8], desk: &mut Desk<Smtp>) -> Step {
        let Some(draft) = &mut self.mail else { return say("503 5.5.1 say MAIL FROM first") };
        let at_start_of_line = draft.bytes.is_empty() || draft.bytes.ends_with(b"\r\n");
        if line == b".\r\n" && at_start_of_line {
            self.expects = Expects::Command;
            let draft = self.mail.take().unwrap_or_default();
            return deliver(draft, desk);
        }
        let stuffed = at_start_of_line && line.starts_with(b".");
        draft.bytes.extend_from_slice(if stuffed { &line[1..] } else { line });
        if draft.bytes.len() > BYTES_MAX { Step::CloseAfter(Duration::ZERO) } else { Step::Listen }
    }
}

/// The dot has been said: what becomes of the mail, and what is answered.
fn deliver(draft: Draft, desk: &mut Desk<Smtp>) -> Step {
    let fault = draft.fault;
    let mail = Mail { from: draft.from, to: draft.to, bytes: draft.bytes.into() };
    let step = match fault {
        Some(Fault::DropBefore) => Step::CloseAfter(Duration::ZERO),
        Some(Fault::ServerError(code)) if matches!(code, 400..=499 | 550..=559) => say(format!("{code} no")),
        Some(Fault::ServerError(_)) => say("451 4.3.0 local error, try again later"),
        Some(Fault::Garbage) => say("HTTP/1.1 400 Bad Request"),
        _ => {
            keep(&mail, desk);
            let taken = "250 2.0.0 queued".to_owned();
            match fault {
                Some(Fault::DropAfter) => Step::CloseAfter(Duration::ZERO),
                Some(Fault::LateSuccess { hold }) => Step::CloseAfter(hold),
                Some(Fault::Slow { hold }) => Step::SayAfter(hold, taken),
                _ => Step::Say(taken),
            }
        }
    };
    let status = match &step {
        Step::Say(said) | Step::SayAfter(_, said) => said.get(..3).and_then(|code| code.parse().ok()),
        Step::Listen | Step::CloseAfter(_) => None,
    };
    let request = Request::new("MAIL", &mail.from, mail.bytes);
    desk.book.receive(Received { request, fault, status });
    step
}

fn keep(mail: &Mail, desk: &mut Desk<Smtp>) {
    let header = |name| mail.header(name).unwrap_or_default();
    let item = json!({
        "from": mail.from, "to": mail.to, "subject": header("subject"), "message_id": header("message-id"),
        "text": String::from_utf8_lossy(&mail.bytes),
    });
    for to in &mail.to {
        for reason in flaws(&mail.bytes) {
            desk.book.flag(to.as_str(), item.clone(), reason);
        }
        desk.book.store(to.as_str(), item.clone());
    }
    desk.vendor.mails.push(mail.clone());
}

/// What is wrong with the bytes of a mail that is taken all the same.
fn flaws(bytes: &[u8]) -> Vec<&'static str> {
    let without_pairs = String::from_utf8_lossy(bytes).replace("\r\n", "");
    let too_long = bytes.split(|byte| *byte == b'\n').any(|line| line.len() > LINE_BYTES_MAX);
    let checks = [
        (without_pairs.contains('\n'), "a bare line feed"),
        (without_pairs.contains('\r'), "a bare carriage return"),
        (too_long, "a line of more than 998 bytes"),
    ];
    checks.into_iter().filter(|(found, _)| *found).map(|(_, reason)| reason).collect()
}

/// The address in `MAIL FROM:<…> SIZE=…`, in lower case; the empty one of a bounce is an address too.
fn address(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    (!address.contains([' ', '<'])).then(|| address.to_lowercase())
}

fn decoded(text: &str) -> String {
    STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

fn say(said: impl Into<String>) -> Step {
    Step::Say(said.into())
}

const BYTES_MAX: usize = 32 << 20;
/// RFC 5321 allows 1,000 with the CR LF; a line here still has its CR.
const LINE_BYTES_MAX: usize = 999;
