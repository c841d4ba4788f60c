//! How a connection begins: what the server says of itself, and who we are.

use domain::connector::{NatsLogin, ServerTls};
use serde_json::{Map, Value, json};

use super::key::Key;
use super::wire::Info;
use super::{End, Place};

/// Whether we and the server can agree on how to talk.
pub(super) fn check(info: &Info, is_encrypted: bool) -> Result<(), End> {
    let turned_away = |code: &str, message: &str| Err(End::turned_away(code, message));
    match (is_encrypted, info.tls_required, info.tls_available) {
        (false, true, _) => return turned_away("TLS_REQUIRED", "the server wants an encrypted connection"),
        (true, false, false) => return turned_away("NO_TLS", "the server offers no encryption"),
        _ => {}
    }
    if info.headers { Ok(()) } else { turned_away("NO_HEADERS", "the server knows no headers; it is older than 2.2") }
}

/// Who we are, and that we want to hear when nobody listens.
pub(super) fn hello(info: &Info, place: &Place) -> Result<Value, End> {
    let mut hello = json!({
        "verbose": false,
        "pedantic": false,
        "echo": false,
        "tls_required": place.tls != ServerTls::None,
        "headers": true,
        "no_responders": true,
        "protocol": 1,
        "name": "afterclick",
        "lang": "afterclick",
        "version": env!("CARGO_PKG_VERSION"),
    });
    let mut login = Map::new();
    match &place.login {
        NatsLogin::None => {}
        NatsLogin::Password { user, password } => {
            login.insert("user".to_owned(), user.as_str().into());
            login.insert("pass".to_owned(), password.expose().into());
        }
        NatsLogin::Token(token) => {
            login.insert("auth_token".to_owned(), token.expose().into());
        }
        NatsLogin::Key { seed, jwt } => {
            let Some(key) = Key::from_seed(seed.expose()) else {
                return Err(End::turned_away("BAD_KEY", "the seed of the key is not one"));
            };
            login.insert("sig".to_owned(), key.sign(info.nonce.as_bytes()).into());
            match jwt {
                Some(jwt) => login.insert("jwt".to_owned(), jwt.expose().trim().into()),
                None => login.insert("nkey".to_owned(), key.public().into()),
            };
        }
    }
    if let Some(hello) = hello.as_object_mut() {
        hello.extend(login);
    }
    Ok(hello)
}
