use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Event, Reading};
use serde_json::{Value, json};

use super::*;
use crate::kit::{self, described, event, fixture, open, with_batch};

const ADA: &str = "ada@example.org";

/// The fixture's settings with some in place of others; `null` takes one away.
fn settings(case: Option<&str>, changes: &Value) -> Settings {
    let mut fixture = fixture("email");
    let mut settings = case.map_or(fixture.default, |case| fixture.cases.remove(case).unwrap());
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => settings.0.remove(name),
            value => settings.0.insert(name.clone(), value.clone()),
        };
    }
    settings
}

fn about(data: &Value) -> Event {
    let event = event("link.conversion");
    let body = json!({"event": "link.conversion", "timestamp": kit::NOW.to_string(), "data": data}).to_string();
    Event { body: body.into(), ..event }
}

/// What is sent for an event with this data, as text.
fn sent(settings: &Settings, data: &Value) -> String {
    match kit::prepare(&Email, &about(data), settings) {
        Step::Send(call) | Step::SendOnce { call, .. } => call.shown().body.trim_end().to_owned(),
        step => described(&step).join("\n"),
    }
}

fn refused(case: Option<&str>, changes: &Value, expect: &str) {
    let refusal = kit::refusal(&Email, &settings(case, changes));
    assert!(refusal.contains(expect), "{changes}: {refusal}");
}

#[test]
fn settings_that_cannot_work_or_would_have_no_effect_are_refused() {
    let postmark = Some("postmark");
    refused(None, &json!({"from": "Acme"}), "`from` is no e-mail address");
    refused(None, &json!({"from": "Acme <a@b.example>\r\nBcc: x@y.example"}), "`from` holds a line break");
    refused(None, &json!({"reply_to": "nobody"}), "`reply_to` is no e-mail address");
    refused(None, &json!({"host": null}), "`host` is missing");
    refused(None, &json!({"host": "smtp.acme.example/x"}), "`host` is no name of a server");
    refused(None, &json!({"password": null}), "`password` is missing");
    refused(None, &json!({"user": null}), "`user` is missing");
    refused(None, &json!({"user": "a\u{1}b"}), "`user` holds a control character");
    refused(None, &json!({"token_url": "https://x.example/token"}), "`client_id` is missing");
    refused(None, &json!({"ca_certificate": "x"}), "`ca_certificate` is no certificate in PEM");
    let client = json!({"token_url": "https://x.example/token", "client_id": "a", "client_secret": "b"});
    refused(None, &client, "`password` stands beside `token_url`");
    refused(None, &json!({"api_key": "x"}), "`api_key` belongs to the provider `resend`, `postmark`, `sendgrid`");
    refused(postmark, &json!({"host": "x"}), "`host` belongs to the provider `smtp`, not to `postmark`");
    refused(postmark, &json!({"api_key": null}), "`api_key` is missing");
    refused(postmark, &json!({"api_key": "a b"}), "`api_key` holds a space");
    refused(postmark, &json!({"api_url": "ftp://x"}), "`api_url` begins with `ftp:`");
    refused(None, &json!({"subject": null}), "`subject` is missing");
    refused(None, &json!({"text": null}), "`template` is missing; say what the mail is");
    refused(None, &json!({"text": "{{ campaign }}"}), "does not compile at `text`");
    refused(None, &json!({"to": "{{ data.", "recipients": null}), "`to` does not compile");
    refused(None, &json!({"to": ADA, "recipients": [ADA]}), "`recipients` stands beside `to`");
    refused(None, &json!({"recipients": []}), "`recipients` must name 1 to 50 addresses");
    refused(None, &json!({"recipients": ["Ada <ada@example.org>"]}), "`recipients` holds `Ada <ada@example.org>`");
    refused(None, &json!({"templates": {"a": "welcome"}}), "a mail server has none");
    refused(None, &json!({"templates": {"a": {"text": "x", "body": "y"}}}), "holds `a`, which has a member `body`");
    refused(None, &json!({"templates": {"a": {"subject": "x"}}}), "has neither `text` nor `html` nor `template`");
    refused(None, &json!({"templates": {"a": 7}}), "holds `a`, which is neither");
    refused(postmark, &json!({"template": "x"}), "stands beside `text` or `html`");
    refused(
        Some("resend"),
        &json!({"html": null, "template": "x", "subject": null}),
        "`subject` is missing; the provider",
    );
    let in_template = "the provider takes the subject from its template, so write it there";
    let theirs = Some("postmark-template");
    refused(theirs, &json!({"subject": "Hi"}), &format!("`subject` has no effect; {in_template}"));
    let both = json!({"a": {"template": "x", "subject": "Hi"}});
    refused(postmark, &json!({"templates": both}), &format!("has a `subject` beside its `template`; {in_template}"));
    for mixed in [json!({"a": "x"}), json!({"a": {"text": "x"}})] {
        open(&Email, &settings(postmark, &json!({"templates": mixed})));
    }
    refused(None, &json!({"unsubscribe": "{{"}), "`unsubscribe` does not compile");
}

#[test]
fn the_template_is_that_of_the_campaign_or_of_whatever_chooses_it() {
    let templates = json!({"spring-sale": {"text": "spring"}, "friends": {"text": "friends"}});
    let by_campaign = settings(None, &json!({"to": ADA, "text": null, "templates": templates}));
    assert!(sent(&by_campaign, &json!({"campaign": "spring-sale"})).ends_with("\r\n\r\nspring"));
    assert!(sent(&by_campaign, &json!({"utm_campaign": "friends"})).ends_with("\r\n\r\nfriends"));
    assert_eq!(sent(&by_campaign, &json!({"campaign": "autumn"})), "skip: there is no template for `autumn`");
    assert!(sent(&by_campaign, &json!({})).starts_with("skip: the event names no campaign"));
    let chosen =
        settings(None, &json!({"to": ADA, "choose": "{{ 'friends' if data.referral_code }}", "templates": templates}));
    assert!(sent(&chosen, &json!({"referral_code": "x"})).ends_with("friends"));
    assert!(sent(&chosen, &json!({"campaign": "spring-sale"})).contains("brought you here"));
}

#[test]
fn the_documents_two_names_are_filled_in() {
    let settings = settings(Some("postmark-template"), &json!({}));
    let data = json!({"campaign": "spring-sale", "user_email": "x@y.example", "route_params": {"id": "42"}});
    let body: Value = serde_json::from_str(&sent(&settings, &data)).unwrap();
    assert_eq!(body["TemplateModel"], json!({"campaign_name": "spring-sale", "deep_link_content": {"id": "42"}}));
    let body: Value = serde_json::from_str(&sent(&settings, &json!({"deep_link_path": "/a/b"}))).unwrap();
    assert_eq!(body["TemplateModel"], json!({"deep_link_content": "/a/b"}));
}

#[test]
fn an_address_is_found_under_both_of_its_names_and_its_lack_is_no_failure() {
    let plain = settings(None, &json!({}));
    assert!(sent(&plain, &json!({"email": ADA})).contains("\r\nTo: ada@example.org\r\n"));
    assert!(sent(&plain, &json!({"user_email": ADA})).contains("\r\nTo: ada@example.org\r\n"));
    assert_eq!(sent(&plain, &json!({"email": " "})), "skip: the event names no address to mail to");
    let elsewhere = settings(None, &json!({"to": "{{ data.customer.email }}"}));
    assert!(sent(&elsewhere, &json!({"customer": {"email": ADA}})).contains("\r\nTo: ada@example.org\r\n"));
    assert!(sent(&plain, &json!({"email": "a@example.org, b@example.org"})).starts_with("reject unprocessable"));
}

#[test]
fn no_field_of_an_event_becomes_a_header_or_markup() {
    let hostile = "x\r\nBcc: evil@example.net\r\n\r\n<script>\u{0}\u{202e}";
    let settings =
        settings(None, &json!({"to": ADA, "html": "<p>{{ data.campaign }}</p>", "subject": "Hi {{ data.campaign }}"}));
    let message = sent(&settings, &json!({"campaign": hostile}));
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nSubject: Hi x Bcc: evil@example.net <script>"), "{head}");
    assert!(!head.contains("\nBcc"), "{head}");
    assert!(body.contains("&lt;script&gt;") && !body.contains('\0'), "{body}");
    let bare = message.replace("\r\n", "");
    assert!(!bare.contains(['\r', '\n']));
}

#[test]
fn a_long_line_is_folded_so_that_every_server_takes_it() {
    let settings = settings(None, &json!({"to": ADA, "text": "{{ data.campaign }}", "subject": "{{ data.campaign }}"}));
    let message = sent(&settings, &json!({"campaign": "long ".repeat(2_000)}));
    assert!(message.split("\r\n").all(|line| line.len() <= 998));
}

#[test]
fn variables_of_resend_are_texts_and_numbers_without_markup() {
    let settings =
        settings(Some("resend-template"), &json!({"dynamic_data": {"a": "{{ data.a }}", "n": "{{ data.n }}"}}));
    let data = json!({"campaign": "<b>", "route_params": {"id": "\"42\""}, "a": ["<i>"], "n": 7, "user_id": "u"});
    let body: Value = serde_json::from_str(&sent(&settings, &data)).unwrap();
    assert_eq!(
        body["template"]["variables"],
        json!({
            "campaign_name": "&lt;b&gt;",
            "deep_link_content": "{&quot;id&quot;:&quot;\\&quot;42\\&quot;&quot;}",
            "a": "[&quot;&lt;i&gt;&quot;]",
            "n": 7,
        })
    );
}

#[test]
fn a_mail_that_is_tried_again_is_the_same_and_another_one_is_another() {
    let key = |settings: &Settings, number| {
        let event = Event { id: domain::EventId::mint(kit::NOW, number), ..about(&json!({"email": ADA})) };
        let call = kit::request(&Email, &event, settings);
        let key = call.headers.iter().find(|(name, _)| name == "Idempotency-Key").map(|(_, value)| value.clone());
        (key.unwrap(), call.body)
    };
    let ada = settings(Some("resend"), &json!({}));
    let bob = settings(Some("resend"), &json!({"to": "bob@example.org"}));
    assert_eq!(key(&ada, 1), key(&ada, 1));
    assert_ne!(key(&ada, 1).0, key(&ada, 2).0);
    assert_ne!(key(&ada, 1).0, key(&bob, 1).0);
    let other_template = settings(Some("resend"), &json!({"html": null, "template": "other"}));
    assert_ne!(key(&ada, 1).0, key(&other_template, 1).0);
    assert!(key(&ada, 1).0.len() <= 256);
}

#[test]
fn a_mail_that_a_person_has_sent_once_more_is_another_one_also_to_resend() {
    let key = |settings: &Settings, ordinal, digest| {
        let outlet = open(&Email, settings);
        let events = [about(&json!({"email": ADA})), about(&json!({"email": ADA}))];
        let readings = ["tolinku"; 2].map(|source| Reading::new(source.to_owned()));
        let items = kit::items(&events, &readings, ordinal);
        let items = if digest { &items[..] } else { &items[..1] };
        let digest = digest.then_some(Duration::from_mins(1));
        let batch = Batch { items, now: kit::NOW, token: None, digest };
        let Step::SendOnce { call: Call::Http(call), .. } = outlet.prepare(&batch, &mut Progress::default()) else {
            panic!("a mail")
        };
        call.headers.iter().find(|(name, _)| name == "Idempotency-Key").map(|(_, value)| value.clone()).unwrap()
    };
    let team = settings(Some("resend"), &json!({"to": null, "recipients": [ADA]}));
    for (settings, digest) in [(&settings(Some("resend"), &json!({})), false), (&team, false), (&team, true)] {
        assert_eq!(key(settings, 0, digest), key(settings, 0, digest));
        assert_ne!(key(settings, 0, digest), key(settings, 1, digest));
    }
}

#[test]
fn unsubscribing_is_offered_only_by_what_a_mail_program_can_follow() {
    let with = |template: &str| settings(None, &json!({"to": ADA, "unsubscribe": template}));
    let one_click = sent(&with("https://acme.example/stop?u={{ data.user_id }}"), &json!({"user_id": "a b>"}));
    assert!(one_click.contains("\r\nList-Unsubscribe: <https://acme.example/stop?u=a%20b%3E>\r\n"), "{one_click}");
    assert!(one_click.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
    let by_mail = sent(&with("mailto:stop@acme.example"), &json!({}));
    assert!(by_mail.contains("<mailto:stop@acme.example>") && !by_mail.contains("One-Click"));
    assert!(sent(&with("{{ data.nothing }}"), &json!({})).starts_with("reject unprocessable: setting `unsubscribe`"));
}

/// Sends one mail after the other, with what is remembered in between, and says what became of each.
fn in_turn(settings: &Settings, mails: &[(u128, u64)]) -> Vec<bool> {
    let outlet = open(&Email, settings);
    let mut remembered = BTreeMap::new();
    let send = |&(number, days): &(u128, u64)| {
        let event =
            Event { id: domain::EventId::mint(kit::NOW, number), ..about(&json!({"email": "Ada@example.org"})) };
        with_batch(std::slice::from_ref(&event), false, |batch| {
            let batch = &Batch { now: batch.now + Duration::from_hours(24 * days), ..*batch };
            let subjects = outlet.subjects(batch);
            let known = subjects.iter().filter_map(|it| Some((it.clone(), remembered.get(it).cloned()?))).collect();
            let mut progress = Progress::with_bindings(known);
            let step = outlet.prepare(batch, &mut progress);
            remembered.extend(progress.take_new_bindings());
            !matches!(step, Step::Settle(_))
        })
    };
    mails.iter().map(send).collect()
}

#[test]
fn somebody_gets_as_many_mails_a_day_as_the_cap_says_and_a_retry_is_none_of_them() {
    let two = settings(None, &json!({"per_recipient_per_day": 2}));
    assert_eq!(in_turn(&two, &[(1, 0), (1, 0), (2, 0), (3, 0), (1, 0), (3, 1)]), [true, true, true, false, true, true]);
    let team = settings(None, &json!({"per_recipient_per_day": 1, "recipients": [ADA, "bob@example.org"]}));
    assert_eq!(in_turn(&team, &[(1, 0), (2, 0)]), [true, false]);
    let uncapped = settings(None, &json!({}));
    assert_eq!(in_turn(&uncapped, &[(1, 0), (2, 0), (3, 0)]), [true; 3]);
}

#[test]
fn a_mail_that_was_refused_is_none_of_those_that_somebody_had_and_one_that_may_have_gone_out_is() {
    // Whether the next mail goes out, after this answer to the first one; `None` if none came, and it was tried again and refused.
    let next_goes_out = |provider: Option<&str>, status: Option<u16>, body: &'static str| {
        let outlet = open(&Email, &settings(provider, &json!({"per_recipient_per_day": 1})));
        let mut remembered = BTreeMap::new();
        let mut send = |number: u128, status: Option<u16>| {
            let event = Event { id: domain::EventId::mint(kit::NOW, number), ..about(&json!({"email": ADA})) };
            with_batch(std::slice::from_ref(&event), false, |batch| {
                let mut progress = Progress::with_bindings(remembered.clone());
                let step = outlet.prepare(batch, &mut progress);
                remembered.extend(progress.take_new_bindings());
                if let (Step::SendOnce { .. }, Some(status)) = (&step, status) {
                    outlet.advance(batch, &mut progress, &kit::reply(status, &[("command", "RCPT TO")], body));
                    remembered.extend(progress.take_new_bindings());
                }
                matches!(step, Step::SendOnce { .. })
            })
        };
        assert!(send(1, status));
        if status.is_none() {
            assert!(send(1, Some(422)), "the same mail");
        }
        send(2, None)
    };
    assert!(next_goes_out(None, Some(550), "5.1.1 no such user"));
    assert!(next_goes_out(None, Some(451), "4.7.1 try again"));
    assert!(!next_goes_out(None, Some(250), "queued"));
    assert!(next_goes_out(Some("resend"), Some(422), "{}"));
    assert!(next_goes_out(Some("resend"), Some(429), "{}"));
    assert!(!next_goes_out(Some("resend"), Some(503), "{}"), "it is tried again under the same key");
    assert!(!next_goes_out(Some("resend"), None, "{}"));
    assert!(!next_goes_out(Some("sendgrid"), Some(502), "{}"));
}

#[test]
fn nobody_who_looks_at_what_is_remembered_learns_who_was_mailed() {
    let outlet = open(&Email, &settings(None, &json!({"per_recipient_per_day": 1})));
    let event = about(&json!({"email": ADA}));
    let subjects = with_batch(std::slice::from_ref(&event), false, |batch| outlet.subjects(batch));
    assert_eq!(subjects.iter().map(String::len).collect::<Vec<_>>(), [71, 72]);
    assert!(subjects[0].starts_with("mailed:") && subjects[1].starts_with("mailing:"), "{subjects:?}");
    assert!(!subjects.concat().contains("ada"), "{subjects:?}");
}

#[test]
fn a_server_that_takes_tokens_gets_one_and_a_refused_one_is_renewed() {
    let settings = settings(Some("a-token"), &json!({"to": ADA}));
    let outlet = open(&Email, &settings);
    let call = outlet.authorize(kit::NOW).unwrap();
    assert_eq!((call.url.as_str(), call.method), ("https://login.example.com/token", "POST"));
    let event = about(&json!({}));
    with_batch(std::slice::from_ref(&event), false, |batch| {
        let mut progress = Progress::default();
        let Step::SendOnce { call: Call::Mail(call), .. } = outlet.prepare(batch, &mut progress) else {
            panic!("a mail")
        };
        let login = domain::connector::MailLogin::Token {
            user: "mailer@acme.example".to_owned(),
            token: "token-of-the-test".into(),
        };
        assert_eq!(call.server.login, Some(login));
        let refusal = kit::reply(535, &[("command", "AUTH")], "5.7.3 Authentication unsuccessful");
        assert!(matches!(outlet.advance(batch, &mut progress, &refusal), Step::Reauthorize { .. }));
    });
    assert!(open(&Email, &fixture("email").default).authorize(kit::NOW).is_none());
}

#[test]
fn a_digest_is_one_mail_to_a_team_and_single_ones_to_persons() {
    let events: Vec<_> =
        ["spring", "autumn"].iter().map(|name| about(&json!({"campaign": name, "email": ADA}))).collect();
    let prepare = |settings: &Settings| {
        let outlet = open(&Email, settings);
        with_batch(&events, true, |batch| outlet.prepare(batch, &mut Progress::default()))
    };
    let changes = json!({"subject": "{{ data.campaign }}", "text": "From {{ data.campaign }}", "recipients": [ADA]});
    match prepare(&settings(None, &changes)) {
        Step::SendOnce { call, .. } => {
            let body = call.shown().body;
            assert!(body.contains("Subject: spring (and 1 more)\r\n"), "{body}");
            assert!(body.ends_with("From spring\r\n\r\nFrom autumn\r\n"), "{body}");
        }
        step => panic!("{step:?}"),
    }
    assert!(matches!(prepare(&settings(None, &json!({}))), Step::Split { .. }));
    let theirs = settings(Some("postmark-template"), &json!({"to": null, "recipients": [ADA]}));
    assert!(described(&prepare(&theirs))[0].starts_with("pause misconfigured: several events in one mail"));
}

#[test]
fn a_mail_may_be_tried_again_while_the_provider_would_know_it_and_a_digest_never() {
    let events = [about(&json!({"email": ADA})), about(&json!({"email": ADA}))];
    let known_for = |case, changes: &Value, events: &[Event], is_digest| {
        let outlet = open(&Email, &settings(Some(case), changes));
        match with_batch(events, is_digest, |batch| outlet.prepare(batch, &mut Progress::default())) {
            Step::SendOnce { known_for, .. } => known_for,
            step => panic!("{step:?}"),
        }
    };
    let team = json!({"to": null, "recipients": [ADA]});
    assert_eq!(known_for("resend", &json!({}), &events[..1], false), Some(Duration::from_hours(23)));
    assert_eq!(known_for("resend", &team, &events[..1], false), Some(Duration::from_hours(23)));
    assert_eq!(known_for("resend", &team, &events, true), None);
    // The only event of an interval is gathered again with those of the next.
    assert_eq!(known_for("resend", &team, &events[..1], true), None);
    assert_eq!(known_for("postmark", &json!({}), &events[..1], false), None);
}

#[test]
fn a_digest_that_is_refused_is_tried_in_halves_and_one_that_may_have_been_sent_is_not() {
    let events = [about(&json!({})), about(&json!({}))];
    let judged = |status, body: &str| {
        let team = settings(Some("sendgrid"), &json!({"to": null, "recipients": [ADA]}));
        let outlet = open(&Email, &team);
        with_batch(&events, true, |batch| {
            let mut progress = Progress::default();
            let _ = outlet.prepare(batch, &mut progress);
            described(&outlet.advance(batch, &mut progress, &kit::reply(status, &[], body.to_owned())))
        })
    };
    assert_eq!(judged(413, "too large"), ["split, alone: reject too_large: too large"]);
    assert!(judged(504, "").iter().all(|line| line.starts_with("reject unknown_outcome")));
    assert_eq!(judged(503, ""), ["retry server_error", "retry server_error"]);
}

#[test]
fn the_look_alikes_of_the_providers_take_every_kind_of_mail() {
    let mut vendor = vendors::mail_api::MailApi::without_limit();
    "re_123456789".clone_into(&mut vendor.resend.api_key);
    "server-token-1".clone_into(&mut vendor.postmark.server_token);
    "SG.123456789".clone_into(&mut vendor.send_grid.api_key);
    vendor.postmark.inactive = vec!["gone@example.org".to_owned()];
    for case in ["resend", "resend-template", "postmark", "postmark-template", "sendgrid", "sendgrid-template"] {
        let mut book = vendors::Book::default();
        let settings = settings(Some(case), &json!({"to": null, "api_url": null, "region": null}));
        let outlet = open(&Email, &settings);
        let campaign = "a\r\nBcc: x@example.net";
        let data = json!({"email": "Ada@example.org", "campaign": campaign, "route_params": {"id": 1}, "user_id": "u"});
        let verdicts = crate::tracking::trial::deliver(&*outlet, &[about(&data)], &mut vendor, &mut book);
        assert_eq!(verdicts, [Verdict::Delivered], "{case}: {book:#?}");
        assert_eq!((book.stored_keys(), book.flagged.len()), (vec!["ada@example.org"], 0), "{case}");
    }
    let outlet = open(&Email, &settings(Some("postmark"), &json!({"to": "gone@example.org"})));
    let verdicts =
        crate::tracking::trial::deliver(&*outlet, &[about(&json!({}))], &mut vendor, &mut vendors::Book::default());
    assert!(matches!(&verdicts[0], Verdict::Reject { reason: FailureReason::Refused, .. }), "{verdicts:?}");
}

#[test]
fn what_makes_no_mail_is_left_out_of_a_digest_and_what_is_too_much_is_counted() {
    let digest = |settings: &Settings, events: &[Event]| {
        let outlet = open(&Email, settings);
        with_batch(events, true, |batch| {
            let mut progress = Progress::default();
            let step = outlet.prepare(batch, &mut progress);
            let end = outlet.advance(batch, &mut progress, &kit::reply(250, &[("command", "MESSAGE")], "ok"));
            (step, described(&end))
        })
    };
    let campaigns = json!({"spring": {"text": "From {{ data.campaign }}"}});
    let team = settings(None, &json!({"recipients": [ADA], "text": null, "templates": campaigns}));
    let events = ["spring", "autumn", "spring"].map(|name| about(&json!({"campaign": name})));
    let (step, end) = digest(&team, &events);
    assert!(matches!(&step, Step::SendOnce { call, .. } if call.shown().body.contains("(and 1 more)")), "{step:?}");
    assert_eq!(end, ["delivered", "skip: there is no template for `autumn`", "delivered"]);
    assert_eq!(described(&digest(&team, &events[1..2]).0), ["skip: there is no template for `autumn`"]);

    let long = settings(None, &json!({"recipients": [ADA], "text": "{{ data.text }}"}));
    let events: Vec<_> = (0..20).map(|_| about(&json!({"text": "x".repeat(200_000)}))).collect();
    let (step, end) = digest(&long, &events);
    let Step::SendOnce { call, .. } = step else { panic!("a mail") };
    let body = call.shown().body.replace("=\r\n", "");
    assert!(body.contains("and 14 more events, which are in the log."), "{}", body.len());
    assert_eq!(end, vec!["delivered"; 20]);
}

#[test]
fn a_failed_template_names_its_setting() {
    let settings = settings(None, &json!({"to": ADA, "text": "{{ data.a + 1 }}"}));
    let line = sent(&settings, &json!({"a": "x"}));
    assert!(line.starts_with("reject template_error: setting `text`: "), "{line}");
}

#[test]
fn a_mail_without_a_subject_is_none() {
    let settings = settings(None, &json!({"to": ADA, "subject": "{{ data.title }}"}));
    assert!(sent(&settings, &json!({})).starts_with("reject unprocessable: setting `subject` comes out empty"));
}
