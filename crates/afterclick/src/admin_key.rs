//! The admin key: made and printed once, or taken from the environment on every start.

use anyhow::{Result, bail};
use domain::KeyId;
use domain::key::{KeyHash, Scope};
use pipeline::Registry;

use crate::random;

/// The variable that holds an admin key of one's own choice.
pub(crate) const VARIABLE: &str = "AFTERCLICK_ADMIN_KEY";
/// The label by which the key of the environment is found again.
const ENVIRONMENT_LABEL: &str = "from AFTERCLICK_ADMIN_KEY";
const MADE_LABEL: &str = "made on the first start";
/// Shortest key that is accepted from the environment, in characters.
const KEY_CHARS_MIN: usize = 32;
/// Longest.
const KEY_CHARS_MAX: usize = 512;

/// Checks a key of one's own choice without repeating it.
pub(crate) fn check(key: &str) -> Result<()> {
    let count = key.chars().count();
    if !(KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&count) {
        bail!(
            "`{VARIABLE}` has {count} characters; use at least {KEY_CHARS_MIN}, for example from `openssl rand -hex 32`"
        );
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "`{VARIABLE}` holds spaces or characters beyond ASCII, which a header cannot carry; use letters and digits"
        );
    }
    Ok(())
}

/// Makes sure that there is an admin key. Returns the one that was made, to be shown once.
pub(crate) async fn ensure(registry: &Registry, variable: Option<&str>) -> Result<Option<String>> {
    if let Some(key) = variable {
        check(key)?;
        let known = registry.keys().into_iter().find(|known| known.label == ENVIRONMENT_LABEL && is_admin(known));
        if known.as_ref().is_none_or(|known| known.hash != KeyHash::of(key)) {
            put(registry, known.map(|known| known.id), ENVIRONMENT_LABEL, key).await?;
        }
        return Ok(None);
    }
    let now = registry.clock().now();
    if registry.keys().iter().any(|key| is_admin(key) && key.is_live(now)) {
        return Ok(None);
    }
    let key = format!("ack_{}", hex::encode(random::bytes::<32>()));
    put(registry, None, MADE_LABEL, &key).await?;
    Ok(Some(key))
}

fn is_admin(key: &domain::key::Key) -> bool {
    key.scope == Scope::Admin && key.appspace.is_none()
}

async fn put(registry: &Registry, id: Option<KeyId>, label: &str, key: &str) -> Result<()> {
    let clock = registry.clock();
    let now = clock.now();
    let key = domain::key::Key {
        id: id.unwrap_or_else(|| KeyId::mint(now, clock.random())),
        appspace: None,
        scope: Scope::Admin,
        label: label.to_owned(),
        hash: KeyHash::of(key),
        tail: key.chars().skip(key.chars().count() - 4).collect(),
        created_at: now,
        expires_at: None,
    };
    registry.put_key(key).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_key_is_refused_without_being_repeated() {
        for bad in ["", "short", &"k".repeat(31), &format!("{} x", "k".repeat(32)), &"é".repeat(40)] {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.contains("AFTERCLICK_ADMIN_KEY") && (bad.is_empty() || !error.contains(bad)), "{error}");
        }
        assert!(check(&"k".repeat(32)).is_ok());
    }
}
