//! Any mail server. It knows no repetitions and no templates; what it says is a code, and the command that it refused
//! says who must act.

use bytes::Bytes;
use domain::connector::{Call, MailCall, MailLogin, MailServer, MailTls, Reply, Server, SettingsError, Token};
use domain::verdict::FailureReason;
use domain::{Secret, Settings, Verdict};

use super::letter::{Letter, Letterhead};
use super::settings::needed;
use super::tokens::Tokens;
use super::{OwnTemplates, Provider, Refusal, message};
use crate::common::{in_brackets, said};

/// A server that takes mail from us.
pub(super) struct Smtp {
    server: MailServer,
    login: Login,
}

impl Smtp {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let host = needed(settings, "host")?.to_owned();
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)) {
            return Err(SettingsError::new("host", "is no name of a server; write it like `smtp.acme.example`"));
        }
        let (tls, port) = match settings.text("tls") {
            Some("implicit") => (MailTls::Implicit, 465),
            Some("none") => (MailTls::None, 25),
            _ => (MailTls::StartTls, 587),
        };
        let port = settings.integer("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(port);
        let authority = settings.text("ca_certificate").map(str::to_owned);
        if authority.as_ref().is_some_and(|pem| tls == MailTls::None || !pem.contains("-----BEGIN CERTIFICATE-----")) {
            let message = "is no certificate in PEM, or `tls` is `none`; it begins with `-----BEGIN CERTIFICATE-----`";
            return Err(SettingsError::new("ca_certificate", message));
        }
        let server = MailServer { host, port, tls, authority, login: None };
        Ok(Self { server, login: Login::read(settings)? })
    }
}

/// How we prove who we are.
enum Login {
    None,
    Password { user: String, password: Secret },
    Token { user: String, tokens: Tokens },
}

impl Login {
    fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let user = settings.text("user").map(str::to_owned);
        if user.as_ref().is_some_and(|user| user.chars().any(char::is_control)) {
            return Err(SettingsError::new("user", "holds a control character; copy it again"));
        }
        match (user, settings.text("password"), Tokens::read(settings)?) {
            (None, None, None) => Ok(Self::None),
            (Some(user), Some(password), None) => Ok(Self::Password { user, password: Secret::from(password) }),
            (Some(user), None, Some(tokens)) => Ok(Self::Token { user, tokens }),
            (Some(_), None, None) => {
                Err(SettingsError::new("password", "is missing; a user needs one, or `token_url`"))
            }
            (None, ..) => Err(SettingsError::new("user", "is missing; a login belongs to a user")),
            (Some(_), Some(_), Some(_)) => {
                Err(SettingsError::new("password", "stands beside `token_url`; keep one of the two"))
            }
        }
    }
}

impl Provider for Smtp {
    fn templates(&self) -> OwnTemplates {
        OwnTemplates::None
    }

    fn call(&self, head: &Letterhead, letter: &Letter, token: Option<&Token>) -> Result<Call, Refusal> {
        let login = match &self.login {
            Login::None => None,
            Login::Password { user, password } => {
                Some(MailLogin::Password { user: user.clone(), password: password.clone() })
            }
            Login::Token { user, .. } => {
                // The engine fetches a token before it asks for a call; a preview may have none.
                let token = token.map_or_else(|| Secret::from(""), |token| token.secret.clone());
                Some(MailLogin::Token { user: user.clone(), token })
            }
        };
        Ok(Call::Mail(MailCall {
            server: MailServer { login, ..self.server.clone() },
            from: head.from.email.to_string(),
            to: letter.to.iter().map(ToString::to_string).collect(),
            message: Bytes::from(message::write(head, letter)?),
        }))
    }

    fn server(&self) -> Option<Server> {
        Some(Server { host: self.server.host.clone(), port: self.server.port })
    }

    fn tokens(&self) -> Option<&Tokens> {
        match &self.login {
            Login::Token { tokens, .. } => Some(tokens),
            Login::None | Login::Password { .. } => None,
        }
    }

    fn judge(&self, reply: &Reply, is_for_a_team: bool) -> Verdict {
        let text = said(reply).unwrap_or_default();
        let command = reply.header("command").unwrap_or_default();
        match reply.status {
            200..=299 => Verdict::Delivered,
            400..=499 => {
                Verdict::Retry { after: None, reason: FailureReason::ServerError, message: Some(said_with(reply)) }
            }
            500..=599 => refused(reply, command, &text, is_for_a_team),
            0 if reply.code.as_deref() == Some("no-utf8") => Verdict::reject(FailureReason::Refused, text),
            0 if reply.code.as_deref() == Some("no-starttls") => Verdict::misconfigured(format!(
                "{text}; set `tls` to `implicit` with its port for that, or use another server"
            )),
            0 => Verdict::misconfigured(format!(
                "{text}; take `user` and `password` out, or use the port and `tls` for which it offers one"
            )),
            _ => {
                Verdict::Retry { after: None, reason: FailureReason::UnexpectedStatus, message: Some(said_with(reply)) }
            }
        }
    }
}

/// What a permanent refusal means depends on what was refused: ourselves, the sender, the recipient or the message.
fn refused(reply: &Reply, command: &str, text: &str, is_for_a_team: bool) -> Verdict {
    let said = in_brackets(Some(said_with(reply)));
    let is_about_relaying = text.to_lowercase().contains("relay");
    match (command, reply.status) {
        ("AUTH", _) | (_, 530) => Verdict::unauthorized(format!(
            "the mail server refused the login{said}; put the right `user` and `password` into the settings, or \
             the right client for its token"
        )),
        ("CONNECT" | "EHLO" | "STARTTLS", _) => Verdict::misconfigured(format!(
            "the mail server refused to talk to this machine{said}; ask its operator to let it in, or use another one"
        )),
        ("MAIL", _) => Verdict::misconfigured(format!(
            "the mail server refused the sender{said}; set `from` to an address that it sends for"
        )),
        ("RCPT", _) if is_about_relaying => Verdict::misconfigured(format!(
            "the mail server carries no mail to others for us{said}; give it `user` and `password`, or use another one"
        )),
        ("RCPT", _) if is_for_a_team => {
            Verdict::misconfigured(format!("the mail server refused one of `recipients`{said}; mend the list"))
        }
        ("DATA" | "MESSAGE", 552) => {
            Verdict::Reject { reason: FailureReason::TooLarge, message: Some(said_with(reply)) }
        }
        _ => Verdict::Reject { reason: FailureReason::Refused, message: Some(said_with(reply)) },
    }
}

/// The server's words with their number, which people look for.
fn said_with(reply: &Reply) -> String {
    let text = said(reply).unwrap_or_default();
    format!("{} {text}", reply.status).trim_end().to_owned()
}
