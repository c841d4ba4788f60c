//! Keys: Ed25519 in the spelling of NATS, which is base32 of a kind, 32 bytes and a checksum.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// The first five bits of a seed: `S`.
const SEED: u8 = 18 << 3;

/// A key that can sign.
pub(super) struct Key {
    pair: Ed25519KeyPair,
    /// Whether of a user, an account or another: the first letter of the public key.
    kind: u8,
}

impl Key {
    /// Reads a seed like `SUA…`.
    pub(super) fn from_seed(text: &str) -> Option<Self> {
        let raw = from_base32(text.trim())?;
        let (body, sum) = raw.split_at_checked(34)?;
        // The first ten bits say that this is a seed, and of what.
        let is_whole = sum == checksum(body).to_le_bytes() && body[0] & 0b1111_1000 == SEED;
        let kind = (body[0] & 0b111) << 5 | body[1] >> 3;
        let pair = Ed25519KeyPair::from_seed_unchecked(&body[2..]).ok()?;
        is_whole.then_some(Self { pair, kind })
    }

    /// The public half, like `UDX…`.
    pub(super) fn public(&self) -> String {
        let mut raw = vec![self.kind];
        raw.extend_from_slice(self.pair.public_key().as_ref());
        raw.extend_from_slice(&checksum(&raw).to_le_bytes());
        to_base32(&raw)
    }

    /// The signature as the login wants it.
    pub(super) fn sign(&self, nonce: &[u8]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.pair.sign(nonce))
    }
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn to_base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut count) = (String::new(), 0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count) & 31) as usize]));
    }
    text
}

fn from_base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).ok()?);
        }
        bits &= (1 << count) - 1;
    }
    Some(bytes)
}

/// CRC-16 as XMODEM has it.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| {
            let shifted = sum << 1;
            if sum & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair in the documentation of NATS.
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    #[test]
    fn a_seed_has_the_public_key_that_the_documentation_says() {
        assert_eq!(Key::from_seed(SEED).unwrap().public(), PUBLIC);
    }

    #[test]
    fn what_is_no_seed_is_no_key() {
        for text in ["", "SU", PUBLIC, &SEED.replace("CSSL", "CSSM"), &SEED.to_lowercase(), &SEED[..57], "SUA!"] {
            assert!(Key::from_seed(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_signature_is_good() {
        let key = Key::from_seed(SEED).unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(key.sign(b"nonce")).unwrap();
        let public = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key.pair.public_key());
        assert!(public.verify(b"nonce", &signature).is_ok());
    }
}
