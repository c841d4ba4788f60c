//! Tokens that a client signs with its private key, which is the same for every simulator.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

/// The private key that every simulator of this crate knows, PKCS #8 in PEM. It is public and worth nothing.
pub fn private_key() -> &'static str {
    &FILE[FILE.find("-----BEGIN").unwrap_or_default()..]
}

/// The claims of a token that is well-formed, truly signed and lives an hour at most.
pub(crate) fn claims(token: &str) -> Result<Value, &'static str> {
    let malformed = "Invalid JWT: it is not three parts of base64url with JSON in the first two";
    let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
    let (head, body) = signed.split_once('.').ok_or(malformed)?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed);
    let json = |part: &str| serde_json::from_slice::<Value>(&decoded(part)?).map_err(|_| malformed);
    let (head, claims) = (json(head)?, json(body)?);
    if head["alg"] != "RS256" {
        return Err("Invalid JWT: `alg` is not RS256");
    }
    let public_key = public_key().ok_or("the simulator's key is broken")?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key)
        .verify(signed.as_bytes(), &decoded(signature)?)
        .map_err(|_| "Invalid JWT Signature.")?;
    let (Some(iat), Some(exp)) = (claims["iat"].as_u64(), claims["exp"].as_u64()) else {
        return Err("Invalid JWT: `iat` and `exp` must be seconds since 1970");
    };
    // Milliseconds are a classic, and look like a date in the far future.
    let short_lived = exp > iat && exp - iat <= LIFETIME_S && exp < SECONDS_MAX;
    if short_lived { Ok(claims) } else { Err("Invalid JWT: it must be short-lived, of up to 60 minutes") }
}

/// `SHA256:` and the base64 of the hash of the public key, as Snowflake names keys.
pub(crate) fn fingerprint() -> Option<String> {
    let mut public_key_info = PUBLIC_KEY_INFO.to_vec();
    public_key_info.extend(public_key()?);
    Some(format!("SHA256:{}", STANDARD.encode(digest(&SHA256, &public_key_info))))
}

fn public_key() -> Option<Vec<u8>> {
    Some(key_pair()?.public_key().as_ref().to_vec())
}

fn key_pair() -> Option<RsaKeyPair> {
    let key: String = private_key().lines().filter(|line| !line.starts_with('-')).collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(key).ok()?).ok()
}

const FILE: &str = include_str!("../fixtures/private-key.pem");
/// What goes before a public key of 2,048 bits to make it a `SubjectPublicKeyInfo`.
const PUBLIC_KEY_INFO: &[u8] =
    b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00";
const LIFETIME_S: u64 = 3600;
const SECONDS_MAX: u64 = 1 << 36;

#[cfg(test)]
pub(crate) mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::RSA_PKCS1_SHA256;
    use serde_json::json;

    use super::*;

    /// A token with these claims, signed with the private key.
    pub(crate) fn signed(head: &Value, claims: &Value) -> String {
        let key = key_pair().unwrap();
        let message = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn only_what_the_key_signed_for_an_hour_is_taken() {
        let (rs256, fine) = (json!({ "alg": "RS256" }), json!({ "iat": 1_772_634_728, "exp": 1_772_638_328 }));
        let good = signed(&rs256, &fine);
        assert_eq!(claims(&good), Ok(fine.clone()));
        let (message, _) = good.rsplit_once('.').unwrap();
        let (_, other) =
            signed(&rs256, &json!({})).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(claims(&format!("{message}.{other}")), Err("Invalid JWT Signature."));
        assert!(claims(&signed(&json!({ "alg": "HS256" }), &fine)).is_err());
        assert!(claims(&signed(&rs256, &json!({ "iat": 1_772_634_728, "exp": 1_772_638_329 }))).is_err());
        assert!(
            claims(&signed(&rs256, &json!({ "iat": 1_772_634_728_000_u64, "exp": 1_772_634_729_000_u64 }))).is_err()
        );
    }
}
