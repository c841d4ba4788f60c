//! Tokens in place of a password: what the providers of mailboxes want that have given passwords up.

use domain::connector::{HttpCall, Reply, SettingsError, Token};
use domain::{Secret, Settings, Verdict};

use crate::auth::oauth::{self, Client};
use crate::common::url;

/// Where tokens are to be had, and who asks for them.
pub(super) struct Tokens {
    url: String,
    client: Client,
    scope: String,
}

impl Tokens {
    /// Nothing if none of its settings is there.
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let names = ["token_url", "client_id", "client_secret", "scope"];
        let all = names.map(|name| settings.text(name).map(str::trim).filter(|text| !text.is_empty()));
        match all {
            [None, None, None, None] => Ok(None),
            [Some(url), Some(id), Some(secret), scope] => {
                let url = url::parse(url).map_err(|message| SettingsError::new("token_url", message))?;
                let client = Client { id: id.to_owned(), secret: Secret::from(secret) };
                Ok(Some(Self { url: url.into(), client, scope: scope.unwrap_or_default().to_owned() }))
            }
            _ => {
                let missing =
                    names.into_iter().zip(all).find(|(_, text)| text.is_none()).map_or("token_url", |it| it.0);
                Err(SettingsError::new(
                    missing,
                    "is missing; a token takes `token_url`, `client_id` and `client_secret`",
                ))
            }
        }
    }

    /// Asks for one.
    pub(super) fn call(&self) -> HttpCall {
        let scope = [("scope", self.scope.as_str())];
        oauth::client_credentials(&self.url, &self.client, if self.scope.is_empty() { &[] } else { &scope })
    }

    /// Reads what comes back.
    pub(super) fn read_reply(reply: &Reply) -> Result<Token, Verdict> {
        let mend = "have whoever runs it make a client that may send mail, put its id and secret into `client_id` and \
                    `client_secret`, then resume the destination";
        oauth::token(reply, "the server at `token_url`", mend)
    }
}
