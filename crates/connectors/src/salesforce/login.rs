//! Who we are to Salesforce: tokens by client credentials or by a signed JWT, and where they let us go.

use std::time::Duration;

use domain::connector::{HttpCall, Reply, SettingsError, Token};
use domain::{Secret, Settings, Timestamp, Verdict};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::reply::is_id;
use super::settings::Org;
use crate::auth::jwt::Key;
use crate::auth::oauth;
use crate::common;

/// How long a JWT of ours is good for, in seconds: Salesforce takes three minutes at most, and clocks differ.
const JWT_SECS: i64 = 150;
/// How long to stay away when too many tokens were asked for.
const RATE_WAIT: Duration = Duration::from_mins(5);
/// Which part of its life a session is not used any more: the engine's own margin comes on top.
const SLACK: u32 = 20;
/// Where Salesforce's hosts are.
const FAMILIES: [&str; 2] = [".salesforce.com", ".force.com"];

/// One of the two flows that need nobody at a browser.
pub(super) enum Login {
    Client { id: String, secret: Secret },
    Jwt { id: String, username: String, audience: String, key: Box<Key> },
}

#[derive(Deserialize)]
struct Granted {
    instance_url: Option<String>,
    /// A URL that ends in the ids of the organisation and of the user.
    id: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl Login {
    pub(super) fn read(settings: &Settings, host: &Url) -> Result<Self, SettingsError> {
        let id = plain(settings, "client_id")?;
        let [secret, username, key] = ["client_secret", "username", "private_key"].map(|name| settings.text(name));
        match (secret, username, key) {
            (Some(_), None, None) => Ok(Self::Client { id, secret: Secret::new(plain(settings, "client_secret")?) }),
            (None, Some(username), Some(pem)) => {
                let key = Key::from_pem(pem).map_err(|message| SettingsError::new("private_key", message))?;
                if key.fingerprint().is_none() {
                    return Err(SettingsError::new("private_key", "is an elliptic key; Salesforce wants an RSA key"));
                }
                let otherwise = if host.host_str().is_some_and(|host| host.contains(".sandbox.")) {
                    "https://test.salesforce.com"
                } else {
                    "https://login.salesforce.com"
                };
                let audience = settings.text("audience").unwrap_or(otherwise).to_owned();
                Ok(Self::Jwt { id, username: username.trim().to_owned(), audience, key: Box::new(key) })
            }
            (Some(_), ..) => Err(SettingsError::new(
                "client_secret",
                "is there together with `username` or `private_key`; the one is the client credentials flow, the others are \
                 the JWT bearer flow; leave one out",
            )),
            (None, None, None) => Err(SettingsError::new(
                "client_secret",
                "is missing; it is the consumer secret of the app, or else set `username` and `private_key`",
            )),
            (None, None, Some(_)) => Err(SettingsError::new("username", "is missing; it is the user to act as")),
            (None, Some(_), None) => {
                Err(SettingsError::new("private_key", "is missing; its certificate is what the app has"))
            }
        }
    }

    /// Asks for a token.
    pub(super) fn call(&self, host: &Url, now: Timestamp) -> HttpCall {
        let mut url = host.clone();
        url.set_path("/services/oauth2/token");
        match self {
            Self::Client { id, secret } => {
                let fields =
                    [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret.expose())];
                oauth::form(url.as_str(), &fields)
            }
            Self::Jwt { id, username, audience, key } => {
                let (iat, exp) = (now.as_secs(), now.as_secs() + JWT_SECS);
                let claims = json!({"iss": id, "sub": username, "aud": audience, "iat": iat, "exp": exp});
                oauth::jwt_bearer(url.as_str(), &key.sign(None, &claims), &[])
            }
        }
    }

    /// What to look at when no token is given.
    const fn mend(&self) -> &'static str {
        match self {
            Self::Client { .. } => {
                "have an administrator of Salesforce see that `host` is the My Domain and that the External Client App has the \
                 client credentials flow switched on with a run-as user, put its consumer key and secret into `client_id` and \
                 `client_secret`, then resume the destination"
            }
            Self::Jwt { .. } => {
                "have an administrator of Salesforce see that the External Client App has the certificate of `private_key`, that \
                 its consumer key is `client_id`, and that `username` is active and was pre-authorised for the app, then resume \
                 the destination"
            }
        }
    }
}

/// For how long a token is used that lives so long. There is no `expires_in`.
pub(super) fn good_for(session: Duration) -> Duration {
    session.saturating_sub(session / SLACK)
}

/// Reads what the token server answers: besides the token the host to talk to and the ids of the user and of the organisation.
pub(super) fn token(org: &Org, reply: &Reply) -> Result<Token, Verdict> {
    let refused = || serde_json::from_slice::<Refused>(&reply.body).ok();
    if !reply.is_success() && refused().is_some_and(|refused| refused.error == "rate_limit_exceeded") {
        return Err(common::wait(reply, RATE_WAIT));
    }
    let token = oauth::token(reply, "Salesforce", org.login.mend())?;
    let granted = serde_json::from_slice::<Granted>(&reply.body);
    let granted = granted.unwrap_or(Granted { instance_url: None, id: None });
    let host = match &granted.instance_url {
        Some(named) => instance(&org.host, named).ok_or_else(|| {
            Verdict::misconfigured(
                "what answers for a token names a host that is not Salesforce's, and nothing is sent there; set `host` to your \
                 My Domain, then resume the destination",
            )
        })?,
        None => org.host.clone(),
    };
    let mut ids = granted.id.as_deref().unwrap_or_default().rsplit('/').map_while(|id| Some(id).filter(|id| is_id(id)));
    let extra = [Some(host.as_str()), ids.next(), ids.next()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Ok(Token { valid_for: Some(org.session), extra: Some(extra), ..token })
}

/// The host that came with a token, if it is to be trusted with people's data: the one of the settings or, if that is one of
/// Salesforce's, another one of theirs. A host of somebody's own, which stands before Salesforce, stays in place.
pub(super) fn instance(configured: &Url, named: &str) -> Option<Url> {
    let named = Url::parse(named).ok().filter(|url| url.host_str().is_some())?;
    let is_theirs = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && FAMILIES.iter().any(|family| host.ends_with(family))
    };
    if named.origin() == configured.origin() || (is_theirs(&named) && !is_theirs(configured)) {
        return Some(configured.clone());
    }
    (is_theirs(&named) && is_theirs(configured)).then(|| {
        let mut url = named;
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        url
    })
}

/// A credential as it was copied.
fn plain(settings: &Settings, name: &str) -> Result<String, SettingsError> {
    let text = settings.text(name).unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SettingsError::new(
            name,
            "is empty or holds a space or a character that no key has; copy it again",
        ));
    }
    Ok(text.to_owned())
}
