//! Who we are to a server: one of four ways, or none.

use domain::connector::{NatsLogin, SettingsError};
use domain::{Secret, Settings};

pub(super) fn read(settings: &Settings) -> Result<NatsLogin, SettingsError> {
    let names = ["user", "token", "nkey_seed", "credentials"];
    let named: Vec<_> = names.into_iter().filter(|name| settings.text(name).is_some()).collect();
    if let [first, second, ..] = named[..] {
        return Err(SettingsError::new(second, format!("is a login beside `{first}`; keep one of them")));
    }
    let secret = |name: &str| Secret::from(settings.text(name).unwrap_or_default().trim());
    if settings.text("user").is_none() && settings.text("password").is_some() {
        return Err(SettingsError::new("user", "is missing; a password needs one"));
    }
    Ok(match named.first() {
        None => NatsLogin::None,
        Some(&"user") => {
            let user = settings.text("user").unwrap_or_default().to_owned();
            NatsLogin::Password { user, password: Secret::from(settings.text("password").unwrap_or_default()) }
        }
        Some(&"token") => NatsLogin::Token(secret("token")),
        Some(&"nkey_seed") => NatsLogin::Key { seed: seed(secret("nkey_seed").expose(), "nkey_seed")?, jwt: None },
        Some(_) => {
            let file = settings.text("credentials").unwrap_or_default();
            let missing = |what: &str| {
                SettingsError::new("credentials", format!("holds no {what}; paste the whole `.creds` file"))
            };
            let jwt = block(file, "NATS USER JWT").ok_or_else(|| missing("JWT"))?;
            let text = block(file, "USER NKEY SEED").ok_or_else(|| missing("seed"))?;
            NatsLogin::Key { seed: seed(text, "credentials")?, jwt: Some(Secret::from(jwt)) }
        }
    })
}

/// The text after `-----BEGIN what-----`, up to the end of its line.
fn block<'f>(file: &'f str, what: &str) -> Option<&'f str> {
    let (_, rest) = file.split_once(&format!("BEGIN {what}-----"))?;
    rest.split_ascii_whitespace().next().filter(|text| !text.starts_with('-'))
}

fn seed(text: &str, field: &str) -> Result<Secret, SettingsError> {
    let is_seed = text.len() == 58
        && text.starts_with('S')
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if is_seed {
        Ok(Secret::from(text))
    } else {
        Err(SettingsError::new(field, "holds no seed of an NKey, which begins with `SU`"))
    }
}
