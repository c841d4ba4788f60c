use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::{Secret, Timestamp};

const SECRET: &str = "whsec_dGVzdF9zZWNyZXRfMzJfYnl0ZXNfbG9uZ19rZXkhISE=";
const BODY: &str = concat!(
    r#"{"event":"link.clicked","timestamp":"2026-03-04T14:32:08.441Z","data":{"prefix":"go","token":"summer-sale","#,
    r#""hostname":"links.example.com","ip":"203.0.113.42","platform":"ios","device_type":"mobile","#,
    r#""campaign":"instagram-story-may"}}"#,
);
const ID: &str = "msg_2b1c";
const NOW: Timestamp = Timestamp::from_secs(1_772_634_728);

fn verifier(scheme: Scheme, secret: &str) -> Verifier {
    Verifier::new(scheme, Signing::default_for(scheme), [(&Secret::from(secret), None)]).unwrap()
}

fn signed(scheme: Scheme, secret: &str, body: &[u8]) -> HeaderMap {
    Signer::new(scheme, &Secret::from(secret)).unwrap().headers(&Signing::default_for(scheme), ID, NOW, body)
}

/// The code with which a request is refused, whose headers are as signed but for these.
fn code(scheme: Scheme, changed: &[(&'static str, &str)]) -> &'static str {
    let mut headers = signed(scheme, SECRET, BODY.as_bytes());
    for (name, value) in changed {
        headers.insert(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    verifier(scheme, SECRET).verify(&headers, BODY.as_bytes(), NOW).unwrap_err().code()
}

fn without(scheme: Scheme, name: &str) -> &'static str {
    let mut headers = signed(scheme, SECRET, BODY.as_bytes());
    headers.remove(name);
    verifier(scheme, SECRET).verify(&headers, BODY.as_bytes(), NOW).unwrap_err().code()
}

mod vectors {
    use super::*;

    fn check(scheme: Scheme, expect: &str) {
        let signature = Signer::new(scheme, &Secret::from(SECRET)).unwrap().sign(ID, NOW, BODY.as_bytes());
        assert_eq!(signature, expect, "{scheme}");
        assert!(
            verifier(scheme, SECRET).verify(&signed(scheme, SECRET, BODY.as_bytes()), BODY.as_bytes(), NOW).is_ok()
        );
    }

    #[test]
    fn the_four_schemes_sign_as_the_documents_say() {
        check(Scheme::BodyHex, "1eb1d4d674cb9ef6fd02b38a9a51dcf155773d408662b670936c538254e5995c");
        check(Scheme::BodyHexPrefixed, "sha256=1eb1d4d674cb9ef6fd02b38a9a51dcf155773d408662b670936c538254e5995c");
        check(Scheme::Timestamped, "6c18abc45c57528591414096ef54b99df37c0894e2cfb4688a4954d3a293b1d0");
        check(Scheme::StandardWebhooks, "v1,JhyFzXnPrPByvLvc6+qMBRwO3FG0OONJfB1jy2XAKVQ=");
    }

    #[test]
    fn the_reference_vector_of_standard_webhooks_verifies() {
        let secret = Secret::from("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let at = Timestamp::from_secs(1_649_367_553);
        let signer = Signer::new(Scheme::StandardWebhooks, &secret).unwrap();
        let signature = signer.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", at, body);
        assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }
}

mod secrets {
    use super::*;

    fn refused(scheme: Scheme, secret: &str) -> SecretError {
        Verifier::new(scheme, Signing::default_for(scheme), [(&Secret::from(secret), None)]).unwrap_err()
    }

    #[test]
    fn a_weak_secret_is_refused_when_it_is_configured() {
        for scheme in Scheme::ALL {
            assert_eq!(refused(scheme, ""), SecretError::TooShort(0));
            assert_eq!(refused(scheme, "7 bytes"), SecretError::TooShort(7));
        }
        assert!(Verifier::new(Scheme::BodyHex, Signing::default_for(Scheme::BodyHex), []).is_err());
        assert!(Signer::new(Scheme::BodyHex, &Secret::from("sixteen bytes...")).is_ok());
    }

    #[test]
    fn standard_webhooks_wants_base64_of_16_to_64_bytes() {
        assert_eq!(refused(Scheme::StandardWebhooks, "whsec_not base64 at all"), SecretError::NotBase64);
        assert_eq!(refused(Scheme::StandardWebhooks, "whsec_dGVzdF9zZWNyZXQ="), SecretError::KeyLength(11));
        assert_eq!(refused(Scheme::StandardWebhooks, &BASE64.encode([7; 65])), SecretError::KeyLength(65));
        assert!(Signer::new(Scheme::StandardWebhooks, &Secret::from(BASE64.encode([7; 64]).as_str())).is_ok());
        assert!(Signer::new(Scheme::StandardWebhooks, &Secret::from_random([7; 32])).is_ok());
    }

    #[test]
    fn several_are_live_at_once_until_they_expire_and_the_one_that_matched_is_named() {
        let old = Secret::from_random([1; 32]);
        let new = Secret::from_random([2; 32]);
        for scheme in Scheme::ALL {
            let secrets = [(&new, None), (&old, Some(NOW))];
            let verifier = Verifier::new(scheme, Signing::default_for(scheme), secrets).unwrap();
            let matched = |secret: &Secret, now| {
                let headers = signed(scheme, secret.expose(), b"{}");
                verifier.verify(&headers, b"{}", now).map(|verified| verified.secret_index)
            };
            let before = Timestamp::from_millis(NOW.as_millis() - 1);
            assert_eq!(matched(&new, NOW), Ok(0));
            assert_eq!(matched(&old, before), Ok(1));
            assert_eq!(matched(&old, NOW), Err(SignatureError::Mismatch));
        }
        let expired = [(&old, Some(NOW))];
        let verifier = Verifier::new(Scheme::BodyHex, Signing::default_for(Scheme::BodyHex), expired).unwrap();
        let headers = signed(Scheme::BodyHex, old.expose(), b"{}");
        assert_eq!(verifier.verify(&headers, b"{}", NOW), Err(SignatureError::NoLiveSecret));
    }
}

mod headers {
    use super::*;

    #[test]
    fn what_is_verified_is_handed_back() {
        let headers = signed(Scheme::StandardWebhooks, SECRET, BODY.as_bytes());
        let verified = verifier(Scheme::StandardWebhooks, SECRET).verify(&headers, BODY.as_bytes(), NOW).unwrap();
        assert_eq!(verified, Verified { secret_index: 0, id: Some(ID), signed_at: Some(NOW) });
    }

    #[test]
    fn a_missing_header_is_named() {
        for scheme in Scheme::ALL {
            assert_eq!(without(scheme, Signing::default_for(scheme).signature_header.as_str()), "signature_missing");
        }
        assert_eq!(without(Scheme::Timestamped, "x-webhook-timestamp"), "timestamp_missing");
        assert_eq!(without(Scheme::StandardWebhooks, "webhook-timestamp"), "timestamp_missing");
        assert_eq!(without(Scheme::StandardWebhooks, "webhook-id"), "id_missing");
    }

    #[test]
    fn a_signature_in_another_form_is_malformed_and_never_tried_in_another_scheme() {
        let hex = "1eb1d4d674cb9ef6fd02b38a9a51dcf155773d408662b670936c538254e5995c";
        let long = format!("{hex}00");
        for value in
            ["", "short", &hex[..63], &long, "é", &format!(" {hex}"), &format!("sha256={hex}"), &"g".repeat(64)]
        {
            assert_eq!(code(Scheme::BodyHex, &[("x-webhook-signature", value)]), "signature_malformed", "{value}");
        }
        for value in [hex, "sha256=", &format!("SHA256={hex}"), &format!("sha256= {hex}")] {
            assert_eq!(
                code(Scheme::BodyHexPrefixed, &[("x-webhook-signature", value)]),
                "signature_malformed",
                "{value}"
            );
        }
    }

    #[test]
    fn upper_case_hex_is_the_same_signature() {
        let mut headers = signed(Scheme::BodyHex, SECRET, BODY.as_bytes());
        let upper = headers["x-webhook-signature"].to_str().unwrap().to_uppercase();
        headers.insert("x-webhook-signature", upper.parse().unwrap());
        assert!(verifier(Scheme::BodyHex, SECRET).verify(&headers, BODY.as_bytes(), NOW).is_ok());
    }

    #[test]
    fn a_list_may_hold_other_versions_and_other_secrets_but_only_so_many() {
        let good = "v1,JhyFzXnPrPByvLvc6+qMBRwO3FG0OONJfB1jy2XAKVQ=";
        let other = format!("v1,{}", BASE64.encode([0; 32]));
        let accepted = |value: &str| {
            let mut headers = signed(Scheme::StandardWebhooks, SECRET, BODY.as_bytes());
            headers.insert("webhook-signature", value.parse().unwrap());
            verifier(Scheme::StandardWebhooks, SECRET)
                .verify(&headers, BODY.as_bytes(), NOW)
                .map(|_| ())
                .map_err(SignatureError::code)
        };
        assert_eq!(accepted(&format!("v1a,xyz v2,?? {other} {good}")), Ok(()));
        assert_eq!(accepted(&format!("{}{good}", format!("{other} ").repeat(7))), Ok(()));
        assert_eq!(accepted(&format!("{}{good}", format!("{other} ").repeat(8))), Err("too_many_signatures"));
        assert_eq!(accepted("v1a,xyz"), Err("signature_version_unknown"));
        assert_eq!(accepted(&other), Err("signature_mismatch"));
        let url_safe = good.replace('+', "-");
        for malformed in
            ["v1", "v1,", "v1,!", &good[..46], &format!("{good} "), &format!("{good}  {good}"), &url_safe, &good[3..]]
        {
            assert_eq!(accepted(malformed), Err("signature_malformed"), "{malformed}");
        }
    }

    #[test]
    fn a_repeated_or_overlong_header_is_refused() {
        for (scheme, name) in [
            (Scheme::BodyHex, "x-webhook-signature"),
            (Scheme::Timestamped, "x-webhook-timestamp"),
            (Scheme::StandardWebhooks, "webhook-id"),
            (Scheme::StandardWebhooks, "webhook-signature"),
        ] {
            let mut headers = signed(scheme, SECRET, BODY.as_bytes());
            let value = headers[name].clone();
            headers.append(name, value);
            let error = verifier(scheme, SECRET).verify(&headers, BODY.as_bytes(), NOW).unwrap_err();
            assert_eq!(error.code(), "header_repeated");
            assert_eq!(code(scheme, &[(name, &"1".repeat(4_097))]), "header_too_long");
        }
    }

    #[test]
    fn a_timestamp_is_digits_and_nothing_else() {
        for (scheme, name) in
            [(Scheme::Timestamped, "x-webhook-timestamp"), (Scheme::StandardWebhooks, "webhook-timestamp")]
        {
            for value in [
                "",
                " 1772634728",
                "1772634728 ",
                "+1772634728",
                "-1",
                "1772634728.0",
                "1e9",
                "0x10",
                "1_7",
                "NaN",
                "١٢٣",
                "1772634728junk",
                "9223372036854775807",
                "-9223372036854775808",
                "0000000000000",
            ] {
                assert_eq!(code(scheme, &[(name, value)]), "timestamp_malformed", "{value:?}");
            }
            // Other spellings of a right time are other bytes, so they are not what was signed.
            assert_eq!(code(scheme, &[(name, "01772634728")]), "signature_mismatch");
        }
    }

    #[test]
    fn a_timestamp_may_be_off_by_the_tolerance_either_way() {
        for scheme in [Scheme::Timestamped, Scheme::StandardWebhooks] {
            let headers = signed(scheme, SECRET, BODY.as_bytes());
            let at = |offset: i64| {
                let now = Timestamp::from_secs(NOW.as_secs() + offset);
                verifier(scheme, SECRET).verify(&headers, BODY.as_bytes(), now).map(|_| ())
            };
            assert_eq!((at(300), at(-300)), (Ok(()), Ok(())));
            assert_eq!(at(301), Err(SignatureError::TimestampOutsideTolerance { ahead_secs: -301 }));
            assert_eq!(at(-301), Err(SignatureError::TimestampOutsideTolerance { ahead_secs: 301 }));
        }
        assert_eq!(
            code(Scheme::Timestamped, &[("x-webhook-timestamp", "999999999999")]),
            "timestamp_outside_tolerance"
        );
        assert_eq!(code(Scheme::Timestamped, &[("x-webhook-timestamp", "0")]), "timestamp_outside_tolerance");
    }

    #[test]
    fn an_id_cannot_run_into_the_timestamp() {
        for value in ["", "a.b", "a b", "é", &"x".repeat(257)] {
            assert_eq!(code(Scheme::StandardWebhooks, &[("webhook-id", value)]), "id_malformed", "{value}");
        }
    }

    #[test]
    fn a_generic_sender_may_use_its_own_names() {
        let signing = Signing {
            signature_header: HeaderName::from_static("x-acme-signature"),
            timestamp_header: HeaderName::from_static("x-acme-time"),
            ..Signing::default_for(Scheme::Timestamped)
        };
        let secret = Secret::from(SECRET);
        let headers = Signer::new(Scheme::Timestamped, &secret).unwrap().headers(&signing, ID, NOW, b"{}");
        let verifier = Verifier::new(Scheme::Timestamped, signing, [(&secret, None)]).unwrap();
        assert!(verifier.verify(&headers, b"{}", NOW).is_ok());
    }

    #[test]
    fn every_code_is_listed_once_and_every_message_ends_without_a_stop() {
        use SignatureError as E;
        let all = [
            E::SignatureMissing,
            E::SignatureMalformed,
            E::VersionUnknown,
            E::TimestampMissing,
            E::TimestampMalformed,
            E::TimestampOutsideTolerance { ahead_secs: i64::MIN },
            E::IdMissing,
            E::IdMalformed,
            E::HeaderRepeated,
            E::HeaderTooLong,
            E::TooManySignatures,
            E::NoLiveSecret,
            E::Mismatch,
        ];
        assert_eq!(all.map(E::code), E::CODES);
        assert!(all.iter().all(|error| !error.to_string().ends_with('.')));
    }
}

fn scheme() -> impl Strategy<Value = Scheme> {
    proptest::sample::select(Scheme::ALL.to_vec())
}

/// One bit of a text turned around, kept to what a header can carry.
fn flipped(text: &str, bit: usize) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let index = (bit / 7) % bytes.len();
    bytes[index] ^= 1 << (bit % 7);
    String::from_utf8(bytes).ok().filter(|text| HeaderValue::from_str(text).is_ok())
}

proptest! {
    #[test]
    fn what_is_signed_verifies(scheme in scheme(), body: Vec<u8>, key: [u8; 32], id in "[a-zA-Z0-9_-]{1,64}") {
        let secret = Secret::from_random(key);
        let signing = Signing::default_for(scheme);
        let headers = Signer::new(scheme, &secret).unwrap().headers(&signing, &id, NOW, &body);
        let verifier = Verifier::new(scheme, signing, [(&secret, None)]).unwrap();
        prop_assert!(verifier.verify(&headers, &body, NOW).is_ok());
    }

    #[test]
    fn one_bit_of_the_body_changed_is_refused(
        scheme in scheme(), body in proptest::collection::vec(any::<u8>(), 1..200), bit: proptest::sample::Index,
    ) {
        let headers = signed(scheme, SECRET, &body);
        let mut changed = body.clone();
        let bit = bit.index(body.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(verifier(scheme, SECRET).verify(&headers, &changed, NOW), Err(SignatureError::Mismatch));
    }

    #[test]
    fn one_bit_of_a_header_changed_is_refused(scheme in scheme(), bit in 0_usize..2_000) {
        let original = signed(scheme, SECRET, BODY.as_bytes());
        for name in original.keys() {
            let value = original[name].to_str().unwrap();
            let Some(changed) = flipped(value, bit) else { continue };
            // The same digits in the other case are the same signature.
            if scheme != Scheme::StandardWebhooks && changed.eq_ignore_ascii_case(value) && changed[..1] != *"S" {
                continue;
            }
            let mut headers = original.clone();
            headers.insert(name, changed.parse().unwrap());
            prop_assert!(verifier(scheme, SECRET).verify(&headers, BODY.as_bytes(), NOW).is_err(), "{name}: {changed}");
        }
    }

    #[test]
    fn one_bit_of_the_secret_changed_is_refused(scheme in scheme(), key: [u8; 32], bit in 0_usize..256) {
        let mut other = key;
        other[bit / 8] ^= 1 << (bit % 8);
        let headers = signed(scheme, Secret::from_random(key).expose(), BODY.as_bytes());
        let verifier = verifier(scheme, Secret::from_random(other).expose());
        prop_assert_eq!(verifier.verify(&headers, BODY.as_bytes(), NOW), Err(SignatureError::Mismatch));
    }

    #[test]
    fn no_headers_panic_and_none_verify(
        scheme in scheme(), now: i64, values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..6),
    ) {
        let mut headers = HeaderMap::new();
        let signing = Signing::default_for(scheme);
        let names = [&signing.signature_header, &signing.timestamp_header, &signing.id_header];
        for (index, value) in values.iter().enumerate() {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(names[index % 3], value);
            }
        }
        let now = Timestamp::from_millis(now);
        prop_assert!(verifier(scheme, SECRET).verify(&headers, BODY.as_bytes(), now).is_err());
        let _ = doctor::diagnose(&headers, BODY.as_bytes(), &Secret::from(SECRET), now);
    }

    #[test]
    fn no_text_in_the_shape_of_headers_panics(
        scheme in scheme(), signature in "(v1,|sha256=)?[0-9a-fA-F+/= ]{0,70}", timestamp in "[-+ 0-9.]{0,14}", id in "[ -~]{0,20}",
    ) {
        let mut headers = HeaderMap::new();
        let signing = Signing::default_for(scheme);
        for (name, value) in [(signing.signature_header, signature), (signing.timestamp_header, timestamp), (signing.id_header, id)] {
            headers.insert(name, value.parse().unwrap());
        }
        prop_assert!(verifier(scheme, SECRET).verify(&headers, BODY.as_bytes(), NOW).is_err());
    }
}
