//! Google's service accounts: a key file, and the call that turns it into a token for one of Google's APIs.

use domain::connector::{HttpCall, Reply, Token};
use domain::{Timestamp, Verdict};
use serde::Deserialize;
use serde_json::json;

use super::jwt::Key;
use super::oauth;

/// How long a token is asked for, in seconds: the longest that Google gives.
const LIFETIME_SECS: i64 = 3_600;

/// A service account that can prove to be itself.
pub(crate) struct Account {
    email: String,
    key_id: Option<String>,
    token_url: String,
    /// What its tokens are good for.
    scope: &'static str,
    key: Key,
}

#[derive(Deserialize)]
struct File {
    client_email: String,
    private_key_id: Option<String>,
    private_key: String,
    token_uri: String,
}

impl Account {
    /// Reads a key file; the error continues "setting `service_account` …".
    pub(crate) fn read(text: &str, scope: &'static str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|_| {
            "is not the key file of a service account; it is a JSON object with `client_email`, `private_key` and \
             `token_uri`, from IAM › Service accounts › Keys"
                .to_owned()
        })?;
        let key = Key::from_pem(&file.private_key).map_err(|message| format!("has a `private_key` that {message}"))?;
        Ok(Self { email: file.client_email, key_id: file.private_key_id, token_url: file.token_uri, scope, key })
    }

    /// Asks for a token.
    pub(crate) fn call(&self, now: Timestamp) -> HttpCall {
        let claims = json!({
            "iss": self.email,
            "scope": self.scope,
            "aud": self.token_url,
            "iat": now.as_secs(),
            "exp": now.as_secs() + LIFETIME_SECS,
        });
        oauth::jwt_bearer(&self.token_url, &self.key.sign(self.key_id.as_deref(), &claims), &[])
    }

    /// Reads what comes back.
    pub(crate) fn token(reply: &Reply) -> Result<Token, Verdict> {
        let mend = "have an owner of the Google Cloud project make a new key under IAM › Service accounts › Keys, put the \
                    file into `service_account`, then resume the destination";
        oauth::token(reply, "Google", mend)
    }
}
