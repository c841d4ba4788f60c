use bytes::Bytes;
use domain::Secret;
use domain::connector::HttpCall;
use domain::signature::doctor::{Outcome, diagnose};
use domain::signature::{Signing, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kit::{NOW, event, fixture, judged, prepare, refusal, reply, request};

fn headers_of(call: &HttpCall) -> HeaderMap {
    let pair =
        |(name, value): &(String, String)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
    call.headers.iter().map(pair).collect()
}

fn settings(value: serde_json::Value) -> Settings {
    serde_json::from_value(value).unwrap()
}

/// What is refused, and that the message starts like this.
fn refused(value: serde_json::Value, message: &str) {
    let error = refusal(&Webhook, &settings(value));
    assert!(error.starts_with(message), "{error}");
}

/// The verdict on a reply.
fn verdict_on(status: u16, headers: &[(&str, &str)]) -> Verdict {
    let reply = reply(status, headers, "");
    match judged(&Webhook, &fixture("webhook").default, &[event("test")], &reply) {
        Step::Settle(mut verdicts) if verdicts.len() == 1 => verdicts.remove(0),
        step => panic!("{step:?}"),
    }
}

#[test]
fn what_is_sent_verifies_in_its_scheme_and_in_standard_webhooks() {
    for (scheme, case) in [
        (Scheme::BodyHexPrefixed, "prefixed"),
        (Scheme::Timestamped, "timestamped"),
        (Scheme::StandardWebhooks, "standard"),
    ] {
        let settings = &fixture("webhook").cases[case];
        let event = event("link.clicked");
        let call = request(&Webhook, &event, settings);
        assert_eq!(call.body, event.body);
        let secret = Secret::from(settings.text("secret").unwrap());
        let diagnosis = diagnose(&headers_of(&call), &call.body, &secret, NOW);
        let Outcome::Genuine(schemes) = diagnosis.outcome else { panic!("{case}: {diagnosis}") };
        assert!(schemes.contains(&scheme) && schemes.contains(&Scheme::StandardWebhooks), "{case}: {schemes:?}");
    }
}

#[test]
fn during_a_rotation_either_secret_verifies_the_list_and_the_old_one_the_single_header() {
    let settings = &fixture("webhook").cases["rotating"];
    let call = request(&Webhook, &event("link.clicked"), settings);
    let verifies = |scheme, name| {
        let secret = Secret::from(settings.text(name).unwrap());
        let verifier = Verifier::new(scheme, Signing::default_for(scheme), [(&secret, None)]).unwrap();
        verifier.verify(&headers_of(&call), &call.body, NOW).is_ok()
    };
    assert!(verifies(Scheme::StandardWebhooks, "secret") && verifies(Scheme::StandardWebhooks, "previous_secret"));
    assert!(verifies(Scheme::BodyHex, "previous_secret") && !verifies(Scheme::BodyHex, "secret"));
}

#[test]
fn the_body_is_the_stored_bytes_whatever_they_are() {
    let mut event = event("link.clicked");
    event.body = Bytes::from_static(b"{ \"event\" : \"x\",\"\xc3\xa9\":1.0,\"a\":1,\"a\":2 }\n");
    let call = request(&Webhook, &event, &fixture("webhook").default);
    assert_eq!(call.body, event.body);
    assert_eq!(call.body.as_ptr(), event.body.as_ptr(), "shared, not copied");
}

#[test]
fn only_a_success_is_one_and_only_410_says_good_bye() {
    assert_eq!([200, 202, 204, 299].map(|status| verdict_on(status, &[])), [const { Verdict::Delivered }; 4]);
    assert!(matches!(verdict_on(410, &[]), Verdict::Pause { reason: PauseReason::Gone, .. }));
    for (status, reason) in [
        (199, FailureReason::UnexpectedStatus),
        (301, FailureReason::Redirect),
        (304, FailureReason::Redirect),
        (400, FailureReason::ClientError),
        (401, FailureReason::ClientError),
        (429, FailureReason::Throttled),
        (500, FailureReason::ServerError),
        (599, FailureReason::ServerError),
        (600, FailureReason::UnexpectedStatus),
    ] {
        assert_eq!(verdict_on(status, &[]), Verdict::retry(reason), "{status}");
    }
}

#[test]
fn a_receiver_that_names_a_time_is_heard() {
    let after = |value| match verdict_on(503, &[("retry-after", value)]) {
        Verdict::Retry { after, .. } => after.map(|after| after.as_secs()),
        verdict => panic!("{verdict:?}"),
    };
    assert_eq!(after("120"), Some(120));
    assert_eq!(after("Wed, 04 Mar 2026 14:33:08 GMT"), Some(59));
    assert_eq!(after("999999"), Some(86_400));
    assert_eq!(after("later"), None);
}

#[test]
fn settings_are_refused_with_the_member_that_is_wrong() {
    const URL: &str = "https://example.com/";
    let secret = fixture("webhook").default.text("secret").unwrap().to_owned();
    refused(json!({"secret": secret}), "setting `url` is missing");
    refused(json!({"url": URL}), "setting `secret` is missing");
    refused(json!({"url": "nope", "secret": secret}), "setting `url` is not a URL");
    refused(json!({"url": URL, "secret": "short"}), "setting `secret` is refused: the secret has 5 bytes");
    refused(json!({"url": URL, "secret": secret, "scheme": "md5"}), "setting `scheme` must be one of `body-hex`");
    let not_base64 = json!({"url": URL, "secret": "long enough, not base64", "scheme": "standard-webhooks"});
    refused(not_base64, "setting `secret` is refused: the secret is not base64");
    refused(json!({"url": URL, "secret": secret, "headers": {"Host": "x"}}), "setting `headers` holds `Host`");
    refused(
        json!({"url": URL, "secret": secret, "headers": {"X-A": 1}}),
        "setting `headers` must be an object of texts",
    );
    let half = json!({"url": URL, "secret": secret, "previous_secret": secret});
    refused(half, "setting `previous_secret_expires_at` goes with `previous_secret`");
    refused(json!({"url": URL, "secret": secret, "typo": 1}), "setting `typo` is not a setting of `webhook`");
}

#[test]
fn secrets_and_header_values_are_masked() {
    let shown = fixture("webhook").cases["own-headers"].masked(|name| MANIFEST.is_secret(name));
    assert_eq!(
        serde_json::to_value(&shown).unwrap(),
        json!({
            "url": "https://bücher.example/hooks?app=1",
            "secret": "••••",
            "headers": {"Authorization": "••••", "X-Tenant": "••••"},
        })
    );
}

proptest! {
    #[test]
    fn no_body_and_no_valid_settings_panic_or_break_the_headers(
        body: Vec<u8>, path in "[a-z/?=%0-9ä]{0,30}", value in "[!-~]{0,40}", scheme in proptest::sample::select(Scheme::NAMES.to_vec()),
    ) {
        let mut event = event("link.clicked");
        event.body = body.into();
        let mut settings = fixture("webhook").default;
        settings.0.insert("url".to_owned(), format!("https://example.com/{path}").into());
        settings.0.insert("scheme".to_owned(), scheme.into());
        settings.0.insert("headers".to_owned(), json!({"X-Own": value}));
        prop_assume!(Webhook.open(&settings).is_ok());
        let Step::Send(Call::Http(call)) = prepare(&Webhook, &event, &settings) else { panic!("not sent") };
        prop_assert!(call.url.parse::<http::Uri>().is_ok(), "{}", call.url);
        prop_assert_eq!(headers_of(&call).len(), call.headers.len());
    }
}
