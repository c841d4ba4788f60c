//! What Google's APIs have in common: tokens for signed assertions, and errors.

use std::time::Duration;

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::answer::Answer;
use crate::jwt;
use crate::look::text;
use crate::request::Request;

/// Who may ask for tokens.
pub const SERVICE_ACCOUNT_EMAIL: &str = "afterclick@acme.iam.gserviceaccount.com";

/// Where tokens are to be had.
pub(crate) const TOKEN_PATH: &str = "/token";

/// A key file as the console hands it out, for a simulator at `url`.
pub(crate) fn service_account(url: &str) -> String {
    let file = json!({
        "type": "service_account", "project_id": "acme", "private_key_id": "1",
        "private_key": jwt::private_key(), "client_email": SERVICE_ACCOUNT_EMAIL,
        "client_id": "100000000000000000001", "token_uri": format!("{url}{TOKEN_PATH}"),
    });
    file.to_string()
}

/// Gives tokens for assertions and knows which are still good.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    /// One of these scopes must be asked for.
    scopes: &'static [&'static str],
    /// Tokens with the time at which each ends.
    live: Vec<(String, Duration)>,
    pub(crate) issued: usize,
}

impl Tokens {
    pub(crate) fn new(scopes: &'static [&'static str]) -> Self {
        Self { scopes, live: Vec::new(), issued: 0 }
    }

    /// Answers `POST /token`.
    pub(crate) fn issue(&mut self, request: &Request) -> Answer {
        let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        if field("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
            return refusal("unsupported_grant_type", "Invalid grant_type");
        }
        let is_ours = |aud: &str| aud == "https://oauth2.googleapis.com/token" || aud.ends_with(TOKEN_PATH);
        let checked = claims(field("assertion")).and_then(|claims| {
            if !is_ours(text(&claims["aud"])) {
                return Err("Invalid JWT: `aud` is not the token endpoint");
            }
            let asked = text(&claims["scope"]);
            let known = |scope: &str| self.scopes.contains(&scope);
            if asked.split(' ').any(known) { Ok(()) } else { Err("Invalid OAuth scope or ID token audience provided.") }
        });
        if let Err(message) = checked {
            return refusal("invalid_grant", message);
        }
        self.issued += 1;
        let token = format!("ya29.simulated-{}", self.issued);
        self.live.push((token.clone(), request.at + LIFETIME));
        Answer::json(200, &json!({ "access_token": token, "expires_in": LIFETIME.as_secs(), "token_type": "Bearer" }))
    }

    /// Whether a request brings a live token, or an assertion for `audience` in place of one.
    pub(crate) fn admits(&self, request: &Request, audience: &str) -> bool {
        let Some(bearer) = request.bearer() else { return false };
        let is_live = self.live.iter().any(|(token, end)| token == bearer && request.at < *end);
        is_live || claims(bearer).is_ok_and(|claims| claims["aud"] == audience)
    }

    /// Makes every token so far worthless.
    pub(crate) fn revoke_all(&mut self) {
        self.live.clear();
    }
}

/// The claims of an assertion by the service account that is well-formed and truly signed.
fn claims(assertion: &str) -> Result<Value, &'static str> {
    let claims = jwt::claims(assertion)?;
    if claims["iss"] != SERVICE_ACCOUNT_EMAIL {
        return Err("Invalid JWT: `iss` is not a known service account");
    }
    Ok(claims)
}

fn refusal(error: &str, description: &str) -> Answer {
    Answer::json(400, &json!({ "error": error, "error_description": description }))
}

/// An error in the shape of Google's older APIs.
pub(crate) fn error(code: u16, reason: &str, status: &str, message: &str) -> Answer {
    let errors = [json!({ "reason": reason, "domain": "global", "message": message })];
    Answer::json(code, &json!({ "error": { "code": code, "status": status, "message": message, "errors": errors } }))
}

/// The 401 of all of them.
pub(crate) fn unauthenticated() -> Answer {
    error(401, "authError", "UNAUTHENTICATED", "Request had invalid authentication credentials.")
}

const LIFETIME: Duration = Duration::from_hours(1);

#[cfg(test)]
pub(crate) mod tests;
