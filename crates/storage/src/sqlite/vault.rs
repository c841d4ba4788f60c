//! Sealing of secrets at rest.
//!
//! XChaCha20-Poly1305 with a random nonce. What is sealed is bound to its row: a blob that is moved to another row, or
//! whose key id is exchanged, does not open.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// Keys that open what was sealed. The first one seals; the others are older ones, until everything has been resealed
/// at a start.
pub struct Vault {
    keys: Vec<VaultKey>,
}

struct VaultKey {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
}

/// Why something did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsealable {
    /// It was sealed with a key that is not in the vault.
    UnknownKey,
    /// It was altered, or belongs to another row.
    Altered,
}

/// The row that a sealed blob belongs to.
#[derive(Clone, Copy)]
pub(super) struct SealedRow<'a> {
    pub(super) table: &'static str,
    pub(super) id: &'a [u8],
}

impl Vault {
    /// A vault with at least one key. Without any it panics: a store that cannot seal must not start.
    pub fn new(keys: Vec<[u8; 32]>) -> Self {
        assert!(!keys.is_empty(), "a vault needs a key");
        let keys = keys.into_iter().map(|key| VaultKey::new(&Zeroizing::new(key))).collect();
        Self { keys }
    }

    pub(super) fn seal(&self, row: SealedRow<'_>, plain: &[u8]) -> Vec<u8> {
        let key = &self.keys[0];
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the operating system has random numbers");
        let payload = Payload { msg: plain, aad: &row.associated(key.id) };
        let sealed = key.cipher.encrypt(XNonce::from_slice(&nonce), payload).expect("settings are short");
        [&key.id[..], &nonce, &sealed].concat()
    }

    pub(super) fn open(&self, row: SealedRow<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (id, rest) = sealed.split_first_chunk::<KEY_ID_BYTES>().ok_or(Unsealable::Altered)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Unsealable::Altered)?;
        let key = self.keys.iter().find(|key| key.id == *id).ok_or(Unsealable::UnknownKey)?;
        let payload = Payload { msg: ciphertext, aad: &row.associated(key.id) };
        let plain = key.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| Unsealable::Altered)?;
        Ok(Zeroizing::new(plain))
    }

    /// Whether a blob was sealed with the key that seals now.
    pub(super) fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.starts_with(&self.keys[0].id)
    }
}

impl VaultKey {
    fn new(key: &[u8; 32]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, key);
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest.as_ref()[..KEY_ID_BYTES]);
        Self { id, cipher: XChaCha20Poly1305::new(Key::from_slice(key)) }
    }
}

impl SealedRow<'_> {
    /// What the blob is bound to. The table's name holds no zero byte and the key id has a fixed length, so no two rows
    /// share one.
    fn associated(self, key_id: [u8; KEY_ID_BYTES]) -> Vec<u8> {
        [self.table.as_bytes(), &[0], self.id, &key_id].concat()
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: SealedRow<'static> = SealedRow { table: "sources", id: &[7; 16] };

    #[test]
    fn what_is_sealed_opens_again_and_does_not_show() {
        let vault = Vault::new(vec![[1; 32]]);
        let sealed = vault.seal(ROW, b"whsec_secret");
        assert_eq!(vault.open(ROW, &sealed).unwrap().as_slice(), b"whsec_secret");
        assert!(!sealed.windows(6).any(|window| window == b"whsec_"));
        assert_ne!(sealed, vault.seal(ROW, b"whsec_secret"), "a nonce is never used twice");
    }

    #[test]
    fn a_blob_moved_to_another_row_does_not_open() {
        let vault = Vault::new(vec![[1; 32]]);
        let sealed = vault.seal(ROW, b"secret");
        let other_id = SealedRow { id: &[8; 16], ..ROW };
        let other_table = SealedRow { table: "destinations", ..ROW };
        assert_eq!(vault.open(other_id, &sealed).unwrap_err(), Unsealable::Altered);
        assert_eq!(vault.open(other_table, &sealed).unwrap_err(), Unsealable::Altered);
    }

    #[test]
    fn any_altered_byte_is_noticed() {
        let vault = Vault::new(vec![[1; 32]]);
        let sealed = vault.seal(ROW, b"secret");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(vault.open(ROW, &altered).is_err(), "byte {at}");
            assert!(vault.open(ROW, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_older_key_opens_and_the_first_one_seals() {
        let old = Vault::new(vec![[1; 32]]);
        let sealed = old.seal(ROW, b"secret");
        let rotated = Vault::new(vec![[2; 32], [1; 32]]);
        assert_eq!(rotated.open(ROW, &sealed).unwrap().as_slice(), b"secret");
        assert!(!rotated.is_current(&sealed));
        let resealed = rotated.seal(ROW, b"secret");
        assert!(rotated.is_current(&resealed));
        assert_eq!(old.open(ROW, &resealed).unwrap_err(), Unsealable::UnknownKey);
    }
}
