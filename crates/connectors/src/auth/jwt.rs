//! JSON Web Tokens, signed with a private key: RS256 and ES256.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// A private key that signs tokens.
pub(crate) enum Key {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
}

impl Key {
    /// Reads a key in PEM; the error continues "setting `…` ". Line breaks may have come as `\n`, as they do from environment
    /// variables.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("ENCRYPTED") {
            return Err(
                "is encrypted; write it without a passphrase: `openssl pkcs8 -topk8 -nocrypt -in key.pem`".to_owned()
            );
        }
        let pem = pem.replace("\\n", "\n");
        let unreadable = || "is no private key in PEM; it begins with `-----BEGIN PRIVATE KEY-----`".to_owned();
        let not_of_use = |_| "is not an RSA key of 2048 bits or more".to_owned();
        match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())? {
            PrivateKeyDer::Pkcs1(der) => {
                RsaKeyPair::from_der(der.secret_pkcs1_der()).map(Self::Rs256).map_err(not_of_use)
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let elliptic = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
                match elliptic {
                    Ok(pair) => Ok(Self::Es256(pair)),
                    Err(_) => RsaKeyPair::from_pkcs8(der).map(Self::Rs256).map_err(not_of_use),
                }
            }
            _ => Err("is not in PKCS #8; turn it into that: `openssl pkcs8 -topk8 -nocrypt -in key.pem`".to_owned()),
        }
    }

    /// A token with these claims, and in its header the name of the key if it has one.
    pub(crate) fn sign(&self, key_id: Option<&str>, claims: &Value) -> String {
        let mut header = json!({"alg": self.algorithm(), "typ": "JWT"});
        if let Some(key_id) = key_id {
            header["kid"] = key_id.into();
        }
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The SHA-256 of the public key as certificates hold it, in base64: how Snowflake knows a key.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let Self::Rs256(pair) = self else { return None };
        let info = public_key_info(pair.public_key().as_ref());
        Some(STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, &info)))
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    /// Signing fails only for want of randomness; the token without a signature is then refused like any other bad one.
    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                match pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature) {
                    Ok(()) => signature,
                    Err(_) => Vec::new(),
                }
            }
            Self::Es256(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).unwrap_or_default()
            }
        }
    }
}

/// Wraps an RSA public key into the structure that says that it is one.
fn public_key_info(rsa: &[u8]) -> Vec<u8> {
    /// `rsaEncryption` and no parameters.
    const ALGORITHM: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let bits = [&[0], rsa].concat();
    let content = [&ALGORITHM[..], &tagged(0x03, &bits)].concat();
    tagged(0x30, &content)
}

/// A value of DER: its tag, its length, itself.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut all = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => all.push(short),
        _ => {
            let bytes: Vec<_> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            // A length has at most eight bytes.
            all.push(0x80 | u8::try_from(bytes.len()).unwrap_or(8));
            all.extend(bytes);
        }
    }
    all.extend_from_slice(content);
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    /// Made for these tests and good for nothing else.
    pub(crate) const RSA_PEM: &str = include_str!("../../fixtures/keys/rsa.pem");
    const RSA_PKCS1_PEM: &str = include_str!("../../fixtures/keys/rsa-pkcs1.pem");
    pub(crate) const EC_PEM: &str = include_str!("../../fixtures/keys/ec.pem");
    const EC_SEC1_PEM: &str = include_str!("../../fixtures/keys/ec-sec1.pem");
    /// `openssl pkey -in rsa.pem -pubout -outform DER | openssl dgst -sha256 -binary | base64`
    const RSA_FINGERPRINT: &str = "1XvGEsYvYZmPNIcyCFCEsDzXL30AEmxJJWUm2+z36Kc=";

    fn parts(token: &str) -> (Value, Value, Vec<u8>, &str) {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let read = |part| serde_json::from_slice(&decoded(part)).unwrap();
        (read(header), read(claims), decoded(signature), signed)
    }

    #[test]
    fn an_rsa_token_is_verified_with_the_public_key() {
        for pem in [RSA_PEM.to_owned(), RSA_PKCS1_PEM.to_owned(), RSA_PEM.replace('\n', "\\n")] {
            let key = Key::from_pem(&pem).unwrap();
            let token = key.sign(Some("key-1"), &json!({"iss": "a"}));
            let (header, claims, signature, signed) = parts(&token);
            assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
            assert_eq!(claims, json!({"iss": "a"}));
            let Key::Rs256(pair) = &key else { panic!("an RSA key") };
            let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
            public.verify(signed.as_bytes(), &signature).unwrap();
            assert_eq!(key.fingerprint().as_deref(), Some(RSA_FINGERPRINT));
        }
    }

    #[test]
    fn an_elliptic_token_is_verified_with_the_public_key() {
        let key = Key::from_pem(EC_PEM).unwrap();
        let token = key.sign(None, &json!({}));
        let (header, _, signature, signed) = parts(&token);
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT"}));
        let Key::Es256(pair) = &key else { panic!("an elliptic key") };
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key());
        public.verify(signed.as_bytes(), &signature).unwrap();
        assert_eq!(key.fingerprint(), None);
    }

    #[test]
    fn a_key_that_cannot_be_used_says_how_to_make_it_usable() {
        let refused = |pem: &str| Key::from_pem(pem).err().unwrap();
        assert!(refused("nonsense").starts_with("is no private key in PEM"));
        assert!(refused("-----BEGIN ENCRYPTED PRIVATE KEY-----").starts_with("is encrypted"));
        assert!(refused(EC_SEC1_PEM).starts_with("is not in PKCS #8"));
    }
}
