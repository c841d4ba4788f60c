//! Logging in: a password as it is, or a proof that we know it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::connector::{Sasl, SaslMechanism};
use ring::{digest, hmac, pbkdf2};

/// How often a broker may ask for the password to be hashed. Usual are 4,096 and 8,192; more would be work for us to
/// do.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=65_536;

/// What is to be said of a broker that makes no sense or lies.
pub(super) const UNPROVEN: &str = "the broker did not show that it knows the password";

/// The whole login, in one message.
pub(super) fn plain(sasl: &Sasl) -> Vec<u8> {
    format!("\0{}\0{}", sasl.user, sasl.password.expose()).into_bytes()
}

/// A login after RFC 5802, which shows the broker that we know the password and us that the broker does.
pub(super) struct Scram<'s> {
    sasl: &'s Sasl,
    /// Ours, in hexadecimal digits.
    nonce: String,
}

/// What the broker has to answer if it knows the password.
pub(super) struct Proof(hmac::Tag);

impl<'s> Scram<'s> {
    pub(super) fn new(sasl: &'s Sasl, random: u128) -> Self {
        Self { sasl, nonce: format!("{random:032x}") }
    }

    /// Our first message.
    pub(super) fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.bare()).into_bytes()
    }

    fn bare(&self) -> String {
        let user = self.sasl.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={user},r={}", self.nonce)
    }

    /// Our last message after the broker's first, or `None` if that makes no sense.
    pub(super) fn last(&self, said: &[u8]) -> Option<(Vec<u8>, Proof)> {
        let said = std::str::from_utf8(said).ok()?;
        let part = |name: &str| said.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = part("r=").filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len())?;
        let salt = BASE64_STANDARD.decode(part("s=")?).ok()?;
        let iterations = part("i=")?.parse::<u32>().ok().filter(|count| ITERATIONS.contains(count))?;

        let (salted, mac, sum) = self.salted(&salt, iterations.try_into().ok()?);
        let without_proof = format!("c=biws,r={nonce}");
        let dialogue = format!("{},{said},{without_proof}", self.bare());
        let client_key = hmac::sign(&hmac::Key::new(mac, &salted), b"Client Key");
        let stored = digest::digest(sum, client_key.as_ref());
        let signature = hmac::sign(&hmac::Key::new(mac, stored.as_ref()), dialogue.as_bytes());
        let proof: Vec<_> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        let server_key = hmac::sign(&hmac::Key::new(mac, &salted), b"Server Key");
        let expected = hmac::sign(&hmac::Key::new(mac, server_key.as_ref()), dialogue.as_bytes());
        Some((format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)).into_bytes(), Proof(expected)))
    }

    fn salted(
        &self,
        salt: &[u8],
        iterations: std::num::NonZeroU32,
    ) -> (Vec<u8>, hmac::Algorithm, &'static digest::Algorithm) {
        let (derive, mac, sum) = match self.sasl.mechanism {
            SaslMechanism::ScramSha512 => (pbkdf2::PBKDF2_HMAC_SHA512, hmac::HMAC_SHA512, &digest::SHA512),
            _ => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
        };
        let mut salted = vec![0; sum.output_len()];
        pbkdf2::derive(derive, iterations, salt, self.sasl.password.expose().as_bytes(), &mut salted);
        (salted, mac, sum)
    }
}

impl Proof {
    /// Whether the broker's last message shows that it knows the password, or what it has against ours.
    pub(super) fn check(&self, said: &[u8]) -> Result<(), String> {
        let said = std::str::from_utf8(said).unwrap_or_default();
        let part = |name: &str| said.split(',').find_map(|part| part.strip_prefix(name));
        let signature = part("v=").and_then(|text| BASE64_STANDARD.decode(text).ok());
        match (part("e="), signature) {
            (Some(error), _) => Err(error.to_owned()),
            (None, Some(signature)) if self.0.as_ref() == signature => Ok(()),
            (None, _) => Err(UNPROVEN.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Secret;

    use super::*;

    fn sasl(mechanism: SaslMechanism) -> Sasl {
        Sasl { mechanism, user: "user".to_owned(), password: Secret::from("pencil") }
    }

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let sasl = sasl(SaslMechanism::ScramSha256);
        let scram = Scram { sasl: &sasl, nonce: "rOprNGfwEbeRWgbNEkqO".to_owned() };
        assert_eq!(scram.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let said = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, proof) = scram.last(said).unwrap();
        let expect = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(last).unwrap(), expect);
        assert_eq!(proof.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(proof.check(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(UNPROVEN.to_owned()));
        assert_eq!(proof.check(b"e=invalid-proof"), Err("invalid-proof".to_owned()));
    }

    #[test]
    fn a_broker_that_makes_no_sense_gets_no_proof() {
        let sasl = sasl(SaslMechanism::ScramSha512);
        let scram = Scram { sasl: &sasl, nonce: "abc".to_owned() };
        for said in [
            "",
            "r=abc,s=AA==,i=4096",
            "r=xyz1,s=AA==,i=4096",
            "r=abc1,s=AA==,i=1",
            "r=abc1,s=AA==,i=9999999",
            "r=abc1,s=!,i=4096",
        ] {
            assert!(scram.last(said.as_bytes()).is_none(), "{said}");
        }
        assert!(scram.last(b"r=abc1,s=AA==,i=4096").is_some());
    }

    #[test]
    fn a_name_cannot_end_its_place() {
        let sasl = Sasl { user: "a=b,r=c".to_owned(), ..sasl(SaslMechanism::ScramSha256) };
        assert_eq!(Scram { sasl: &sasl, nonce: "x".to_owned() }.first(), b"n,,n=a=3Db=2Cr=3Dc,r=x");
    }
}
