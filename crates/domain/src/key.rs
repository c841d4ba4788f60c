//! API keys: shown once, stored hashed, each with a scope.

use serde::{Deserialize, Serialize};

use crate::id::{AppspaceId, KeyId};
use crate::time::Timestamp;

/// What a key may do. Each scope includes those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything, in every appspace; acts in `default` unless a header names another.
    Admin,
    /// Everything inside one appspace.
    Appspace,
    /// Publish events, and nothing else.
    Publish,
    /// Read everything of one appspace but secrets.
    Read,
}

impl Scope {
    /// Whether a key with this scope may do what needs `needed`.
    pub const fn allows(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Appspace => !matches!(needed, Self::Admin),
            Self::Publish => matches!(needed, Self::Publish),
            Self::Read => matches!(needed, Self::Read),
        }
    }
}

/// SHA-256 of a key. Keys are 32 random bytes, so a slow hash would add nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of a key as it is presented.
    pub fn of(key: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, key.as_bytes()).as_ref());
        Self(hash)
    }
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    /// The appspace it belongs to; `None` for an admin key.
    pub appspace: Option<AppspaceId>,
    pub scope: Scope,
    /// For a person: where it is used.
    pub label: String,
    pub hash: KeyHash,
    /// The last four characters, to recognise it by.
    pub tail: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl Key {
    /// Whether the key is accepted at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_allow_exactly_what_they_say() {
        use Scope::{Admin, Appspace, Publish, Read};
        let allowed = |scope: Scope| [Admin, Appspace, Publish, Read].map(|needed| scope.allows(needed));
        assert_eq!(allowed(Admin), [true, true, true, true]);
        assert_eq!(allowed(Appspace), [false, true, true, true]);
        assert_eq!(allowed(Publish), [false, false, true, false]);
        assert_eq!(allowed(Read), [false, false, false, true]);
    }
}
