//! Secrets: strings that never print.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A secret string: wiped from memory when dropped, and `Debug` shows only that there is one.
///
/// It is `Serialize` because the sealed rows of a store and the process's own configuration need its text; whatever
/// answers a caller must mask it instead (see [`Secret::masked`]).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

/// What stands in the place of a secret wherever something is shown.
pub const MASK: &str = "••••";

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// A signing secret from 32 random bytes: `whsec_` and their base64, valid for every scheme of
    /// [`crate::signature`].
    pub fn from_random(bytes: [u8; 32]) -> Self {
        use base64::Engine as _;
        Self::new(format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
    }

    /// The secret itself. Every call is a place where it could leak: look twice.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The last four characters behind a mask, or only the mask for anything short: enough to recognise, not to use.
    pub fn masked(&self) -> String {
        let count = self.0.chars().count();
        if count < 16 {
            return MASK.to_owned();
        }
        let tail: String = self.0.chars().skip(count - 4).collect();
        format!("{MASK}{tail}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(••••)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("whsec_dGVzdF9zZWNyZXQ=");
        assert_eq!(format!("{secret:?}"), "Secret(••••)");
        assert_eq!(secret.masked(), "••••ZXQ=");
        assert_eq!(Secret::new("short").masked(), "••••");
    }
}
