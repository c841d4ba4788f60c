//! `OAuth` 2.0: calls that fetch a token, and what comes back.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::connector::{HttpCall, REPLY_BYTES_DEFAULT, Reply, Token};
use domain::{Secret, Verdict};
use serde::Deserialize;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::common::{self, USER_AGENT, in_brackets, on_one_line};

/// A client that has a secret of its own.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: Secret,
}

/// Asks for a token for the client itself (RFC 6749, section 4.4), which proves who it is in the header that every server must
/// understand.
pub(crate) fn client_credentials(url: &str, client: &Client, more: &[(&str, &str)]) -> HttpCall {
    // Both halves are written like a form before they are joined, so that a colon in them is none.
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let login = format!("{}:{}", encoded(&client.id), encoded(client.secret.expose()));
    form(url, &[&[("grant_type", "client_credentials")], more].concat())
        .header("Authorization", format!("Basic {}", STANDARD.encode(login)))
}

/// Asks for a token on the strength of a signed one (RFC 7523).
pub(crate) fn jwt_bearer(url: &str, assertion: &str, more: &[(&str, &str)]) -> HttpCall {
    let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    form(url, &[&[grant, ("assertion", assertion)], more].concat())
}

/// A POST of a form.
pub(crate) fn form(url: &str, fields: &[(&str, &str)]) -> HttpCall {
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("User-Agent", USER_AGENT)];
    HttpCall {
        method: "POST",
        url: url.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: Serializer::new(String::new()).extend_pairs(fields).finish().into(),
        reply_bytes_max: REPLY_BYTES_DEFAULT,
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

/// Reads the answer of a token server. A message about a refusal begins with `who` that is and ends with who must do what,
/// and where: `mend`.
pub(crate) fn token(reply: &Reply, who: &str, mend: &str) -> Result<Token, Verdict> {
    let granted = serde_json::from_slice::<Granted>(&reply.body);
    let is_usable = |granted: &Granted| granted.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    match (reply.status, granted) {
        (200..=299, Ok(granted)) if is_usable(&granted) => Ok(Token {
            secret: Secret::new(granted.access_token),
            valid_for: granted.expires_in.map(Duration::from_secs),
            extra: None,
        }),
        (408 | 429 | 500..=599, _) => Err(common::retry(reply)),
        (200..=299, Err(_)) if common::is_page(reply) => Err(common::page(reply, who)),
        (status, _) => {
            let said = match serde_json::from_slice::<Refused>(&reply.body) {
                // There may be a token in what cannot be read.
                _ if reply.is_success() => None,
                Ok(Refused { error, error_description }) => {
                    let text = [Some(error), error_description].into_iter().flatten().collect::<Vec<_>>().join(": ");
                    Some(on_one_line(&text, 200))
                }
                Err(_) => common::said(reply),
            };
            let said = in_brackets(said);
            Err(Verdict::unauthorized(format!("{who} gave no token and answered {status}{said}; {mend}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::reply;

    fn refused(status: u16, body: &str) -> Verdict {
        token(&reply(status, &[], body.to_owned()), "Acme", "have Ada mend it").unwrap_err()
    }

    #[test]
    fn a_client_shows_its_secret_in_the_header_and_nowhere_else() {
        let client = Client { id: "a:b".to_owned(), secret: "p w".into() };
        let call = client_credentials("https://id.example/token", &client, &[("scope", "x y")]);
        assert_eq!(call.body, "grant_type=client_credentials&scope=x+y");
        let login = call.headers.iter().find(|(name, _)| name == "Authorization").unwrap();
        assert_eq!(login.1, format!("Basic {}", STANDARD.encode("a%3Ab:p+w")));
    }

    #[test]
    fn an_assertion_goes_into_the_form() {
        let call = jwt_bearer("https://id.example/token", "a.b.c", &[("scope", "https://x")]);
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        assert_eq!(call.body, format!("{grant}&assertion=a.b.c&scope=https%3A%2F%2Fx"));
    }

    #[test]
    fn a_token_is_read_with_its_time_and_a_refusal_with_its_words() {
        let body = r#"{"access_token":"t","expires_in":3599,"token_type":"Bearer"}"#;
        let granted = token(&reply(200, &[], body), "", "").unwrap();
        assert_eq!((granted.secret.expose(), granted.valid_for), ("t", Some(Duration::from_secs(3_599))));
        let message = "Acme gave no token and answered 400 (invalid_grant: Invalid JWT Signature.); have Ada mend it";
        let body = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        assert_eq!(refused(400, body), Verdict::unauthorized(message));
        assert_eq!(
            refused(404, "<html>"),
            Verdict::unauthorized("Acme gave no token and answered 404; have Ada mend it")
        );
        assert!(matches!(refused(503, ""), Verdict::Retry { .. }));
        // A captive portal says nothing about the client.
        assert!(matches!(refused(200, "<html>"), Verdict::Retry { .. }));
        assert_eq!(
            refused(200, r#"{"access_tok":"t"}"#),
            Verdict::unauthorized("Acme gave no token and answered 200; have Ada mend it")
        );
        assert!(matches!(refused(200, r#"{"access_token":"a\nb"}"#), Verdict::Pause { .. }));
    }
}
