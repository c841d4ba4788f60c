use http::HeaderValue;

use super::*;
use crate::signature::Signer;

const SECRET: &str = "whsec_dGVzdF9zZWNyZXRfMzJfYnl0ZXNfbG9uZ19rZXkhISE=";
const BODY: &str = r#"{"event":"link.clicked","data":{"campaign":"größe","n":1}}"#;
const NOW: Timestamp = Timestamp::from_secs(1_772_634_728);

/// What a sender sends who signs `body` in `scheme` with `secret`.
fn signed(scheme: Scheme, secret: &str, body: &str) -> HeaderMap {
    let signer = Signer::new(scheme, &Secret::from(secret)).unwrap();
    signer.headers(&Signing::default_for(scheme), "msg_1", NOW, body.as_bytes())
}

fn doctor(headers: &HeaderMap, body: &str) -> Diagnosis {
    diagnose(headers, body.as_bytes(), &Secret::from(SECRET), NOW)
}

fn mistake(headers: &HeaderMap, body: &str, finding: &str) {
    let diagnosis = doctor(headers, body);
    assert_eq!(diagnosis.outcome, Outcome::Mistake, "{diagnosis}");
    assert!(diagnosis.findings[0].contains(finding), "{diagnosis}");
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, HeaderValue::from_str(value).unwrap());
}

fn value<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers[name].to_str().unwrap()
}

#[test]
fn each_scheme_is_recognised() {
    for scheme in Scheme::ALL {
        let diagnosis = doctor(&signed(scheme, SECRET, BODY), BODY);
        assert_eq!(diagnosis.outcome, Outcome::Genuine(vec![scheme]));
        assert!(diagnosis.is_genuine());
    }
}

#[test]
fn a_request_signed_twice_is_genuine_in_both() {
    let mut headers = signed(Scheme::BodyHex, SECRET, BODY);
    headers.extend(signed(Scheme::StandardWebhooks, SECRET, BODY));
    assert_eq!(doctor(&headers, BODY).outcome, Outcome::Genuine(vec![Scheme::BodyHex, Scheme::StandardWebhooks]));
}

#[test]
fn an_old_request_is_told_from_a_forged_one() {
    let headers = signed(Scheme::Timestamped, SECRET, BODY);
    let later = Timestamp::from_secs(NOW.as_secs() + 412);
    let diagnosis = diagnose(&headers, BODY.as_bytes(), &Secret::from(SECRET), later);
    assert_eq!(diagnosis.outcome, Outcome::Stale(Scheme::Timestamped));
    assert!(diagnosis.findings[0].contains("412 s in the past"), "{diagnosis}");
    let forged = diagnose(&headers, b"{}", &Secret::from(SECRET), later);
    assert_eq!(forged.outcome, Outcome::Unexplained);
}

#[test]
fn another_body_under_the_right_key_is_explained() {
    let arrived = format!("{BODY}\n");
    mistake(&signed(Scheme::BodyHex, SECRET, BODY), &arrived, "without the line break");
    mistake(&signed(Scheme::BodyHex, SECRET, &arrived), BODY, "with a line break at its end that did not arrive");
    let spaced = BODY.replace(':', ": ").replace(',', ", ");
    mistake(&signed(Scheme::Timestamped, SECRET, BODY), &spaced, "parsed and written again");
    let python = spaced.replace('ö', "\\u00f6").replace('ß', "\\u00df");
    mistake(&signed(Scheme::BodyHexPrefixed, SECRET, &python), BODY, "parsed and written again");
    mistake(&signed(Scheme::StandardWebhooks, SECRET, ""), BODY, "an empty body was signed");
}

#[test]
fn another_key_made_of_the_right_secret_is_explained() {
    let bare = SECRET.strip_prefix("whsec_").unwrap();
    mistake(&signed(Scheme::BodyHex, bare, BODY), BODY, "the key is the text after `whsec_`, not decoded");
    mistake(&signed(Scheme::BodyHex, &format!("{SECRET}\n"), BODY), BODY, "with a line break at its end");
    let padded = Secret::from(format!(" {SECRET} ").as_str());
    let diagnosis = diagnose(&signed(Scheme::BodyHex, SECRET, BODY), BODY.as_bytes(), &padded, NOW);
    assert!(diagnosis.findings[0].contains("without the blanks around it"), "{diagnosis}");

    // The decoded key where the whole secret belongs.
    let mut headers = HeaderMap::new();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"test_secret_32_bytes_long_key!!!");
    set(&mut headers, "x-webhook-signature", &hex::encode(ring::hmac::sign(&key, BODY.as_bytes())));
    mistake(&headers, BODY, "the key is the base64 after `whsec_`, decoded; `body-hex` uses the whole secret");
}

#[test]
fn a_right_signature_in_the_wrong_dress_is_explained() {
    let standard = signed(Scheme::StandardWebhooks, SECRET, BODY);
    let mut moved = standard.clone();
    moved.remove("webhook-signature");
    set(&mut moved, "x-webhook-signature", value(&standard, "webhook-signature"));
    mistake(&moved, BODY, "belongs in `webhook-signature`");

    let mut bare = standard.clone();
    set(&mut bare, "webhook-signature", &value(&standard, "webhook-signature")[3..]);
    mistake(&bare, BODY, "`v1,` is missing");

    let mut odd = standard.clone();
    set(&mut odd, "webhook-timestamp", "1772634728");
    odd.append("webhook-timestamp", HeaderValue::from_static("1772634728"));
    mistake(&odd, BODY, "another header of it is missing, repeated or malformed");
}

#[test]
fn what_is_no_signature_is_named() {
    let finding = |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        set(&mut headers, name, value);
        let diagnosis = doctor(&headers, BODY);
        assert_eq!(diagnosis.outcome, Outcome::Unsigned);
        diagnosis.to_string()
    };
    assert!(finding("x-webhook-signature", &"a".repeat(40)).contains("SHA-1"));
    assert!(finding("x-webhook-signature", &"a".repeat(128)).contains("SHA-512"));
    assert!(finding("x-webhook-signature", "sha256=abc").contains("3 hex digits; HMAC-SHA256 has 64"));
    assert!(finding("x-webhook-signature", "t=1,v1=zz").contains("neither"));
    assert!(finding("x-hub-signature-256", "sha256=").contains("`x-hub-signature-256` may be the one"));
    assert!(finding("accept", "*/*").contains("neither `X-Webhook-Signature` nor"));
}

#[test]
fn a_wrong_secret_is_unexplained_and_the_secret_stays_unsaid() {
    let diagnosis = doctor(&signed(Scheme::BodyHex, "whsec_c29tZW9uZSBlbHNlJ3Mgc2VjcmV0IGtleQ==", BODY), BODY);
    assert_eq!(diagnosis.outcome, Outcome::Unexplained);
    assert!(!diagnosis.to_string().contains(&SECRET[6..]), "{diagnosis}");
}
