use domain::connector::HttpCall;
use domain::{Event, Timestamp};
use serde_json::{Value, json};

use vendors::Book;
use vendors::segment::Segment as LookAlike;

use super::*;
use crate::kit::{
    Variant, described, event, event_with, fixture, numbered, open, prepare, refusal, request, saying, with_batch,
};
use crate::tracking::trial::deliver;

const KEY: &str = "write-key-of-the-test";

fn settings(more: Value) -> Settings {
    fixture("segment").with(more)
}

fn body(call: &HttpCall) -> Value {
    serde_json::from_slice(&call.body).unwrap()
}

/// The only message for an event.
fn message(event: &Event, settings: &Settings) -> Value {
    let mut body = body(&request(&Segment, event, settings));
    let Value::Array(messages) = body["batch"].take() else { panic!("no batch") };
    assert_eq!(messages.len(), 1);
    messages.into_iter().next().unwrap()
}

fn anonymous_id(data: &Value, more: Value) -> Value {
    message(&saying("link.clicked", data), &settings(more))["anonymousId"].take()
}

/// What becomes of these events without anything being sent, or the call that is made.
fn prepared(events: &[Event], settings: &Settings) -> (Step, Progress) {
    let outlet = open(&Segment, settings);
    let mut progress = Progress::default();
    let step = with_batch(events, false, |batch| outlet.prepare(batch, &mut progress));
    (step, progress)
}

#[test]
fn the_names_are_those_of_the_article_and_anything_else_is_a_webhook() {
    let name = |event_type: &str| message(&event(event_type), &settings(json!({})))["event"].take();
    assert_eq!(name("link.clicked"), "Deep Link Clicked");
    assert_eq!(name("deferred_link.claimed"), "Deferred Link Claimed");
    assert_eq!(name("link.deferred_install"), "Deferred Link Claimed");
    assert_eq!(name("install.tracked"), "Install Tracked");
    assert_eq!(name("referral.created"), "Referral Created");
    assert_eq!(name("referral.completed"), "Referral Completed");
    assert_eq!(name("link.opened"), "Webhook link.opened");
    assert_eq!(name("ecommerce.purchase"), "Webhook ecommerce.purchase");
}

#[test]
fn own_names_come_first_an_alias_counts_and_a_star_is_for_the_rest() {
    let names = json!({"names": {"link.deferred_install": "Install Matched", "*": "Deep Link: {{ type }}"}});
    let name = |event_type: &str| message(&event(event_type), &settings(names.clone()))["event"].take();
    assert_eq!(name("link.deferred_install"), "Install Matched");
    assert_eq!(name("deferred_link.claimed"), "Install Matched");
    assert_eq!(name("link.clicked"), "Deep Link Clicked");
    assert_eq!(name("link.opened"), "Deep Link: link.opened");
}

#[test]
fn people_behind_one_address_are_told_apart_by_whatever_real_id_there_is() {
    let ip = json!("203.0.113.42");
    for (data, expect) in [
        (json!({"ip": ip, "anonymous_id": "a", "install_id": "i", "click_id": "c"}), "a"),
        (json!({"ip": ip, "install_id": "i", "click_id": "c"}), "i"),
        (json!({"ip": ip, "click_id": "c"}), "c"),
    ] {
        for mode in ["salted", "plain"] {
            assert_eq!(anonymous_id(&data, json!({"anonymous_id": mode})), expect);
        }
    }
}

#[test]
fn a_device_without_an_id_is_the_same_under_one_key_and_another_under_another() {
    let data = json!({"ip": "203.0.113.42", "platform": "ios", "device_type": "mobile"});
    let here = anonymous_id(&data, json!({}));
    assert_eq!(here.as_str().unwrap().len(), 32);
    assert_eq!(here, anonymous_id(&data, json!({})));
    assert_ne!(here, anonymous_id(&data, json!({"write_key": "another"})));
    assert_ne!(here, anonymous_id(&json!({"ip": "203.0.113.42", "platform": "android"}), json!({})));
    let salted = |key| anonymous_id(&data, json!({"write_key": key, "anonymous_salt": "pepper"}));
    assert_eq!(salted("one"), salted("two"));
}

#[test]
fn whoever_has_not_even_an_address_is_merged_with_nobody() {
    let of = |number| {
        let event = numbered(saying("link.clicked", &json!({"platform": "ios"})), number);
        message(&event, &settings(json!({})))["anonymousId"].take()
    };
    assert_ne!(of(1), of(2));
    assert_eq!(of(1), of(1));
}

/// Computed with the article's own code.
#[test]
fn the_plain_hash_is_the_one_of_the_article() {
    let plain = |data: &Value| anonymous_id(data, json!({"anonymous_id": "plain"}));
    let device = json!({"ip": "203.0.113.42", "platform": "ios", "device_type": "mobile"});
    assert_eq!(plain(&device), "6cb1513a60ff4c0593b517d89e6d6727");
    assert_eq!(plain(&json!({"platform": "ios"})), "692506d9b19ece84642912ca8e7f5b6c");
}

#[test]
fn a_user_is_named_and_never_next_to_a_guess() {
    let with_guess =
        message(&saying("link.clicked", &json!({"user_id": 42, "ip": "203.0.113.42"})), &settings(json!({})));
    assert_eq!((&with_guess["userId"], &with_guess["anonymousId"]), (&json!("42"), &Value::Null));
    let with_install =
        message(&saying("link.clicked", &json!({"user_id": "u", "install_id": "i"})), &settings(json!({})));
    assert_eq!((&with_install["userId"], &with_install["anonymousId"]), (&json!("u"), &json!("i")));
}

#[test]
fn an_id_that_many_people_share_names_none_of_them() {
    let zeros = "00000000-0000-0000-0000-000000000000";
    let own = anonymous_id(&json!({"ip": "203.0.113.42"}), json!({}));
    for junk in [json!("null"), json!("undefined"), json!(" "), json!("unknown"), json!("-1"), json!(0), json!(zeros)] {
        let data =
            json!({"ip": "203.0.113.42", "user_id": junk, "anonymous_id": junk, "install_id": junk, "email": junk});
        let made = message(&saying("link.clicked", &data), &settings(json!({})));
        assert_eq!((&made["userId"], &made["anonymousId"]), (&Value::Null, &own), "{junk}");
        let junk_user = saying("link.clicked", &json!({"user_id": junk}));
        assert_eq!(message(&junk_user, &settings(json!({"identify": true})))["type"], "track", "{junk}");
        let real = json!({"user_id": junk, "device_id": junk, "install_id": "i", "click_id": "c"});
        assert_eq!(anonymous_id(&real, json!({})), "i");
        let user = message(&saying("test", &json!({"user_id": "u", "install_id": junk})), &settings(json!({})));
        assert_eq!((&user["userId"], &user["anonymousId"]), (&json!("u"), &Value::Null), "{junk}");
    }
}

#[test]
fn an_identify_call_has_an_id_of_its_own_and_comes_first() {
    let settings = settings(json!({"identify": true}));
    let data = json!({"email": "Ada@Example.org", "name": "Ada", "ip": "203.0.113.42"});
    let body = body(&request(&Segment, &saying("install.tracked", &data), &settings));
    let [identify, track] = body["batch"].as_array().unwrap().as_slice() else { panic!("{body}") };
    assert_eq!((&identify["type"], &track["type"]), (&json!("identify"), &json!("track")));
    assert_eq!(identify["traits"], json!({"email": "Ada@Example.org", "name": "Ada"}));
    assert_eq!(identify["anonymousId"], track["anonymousId"]);
    assert_eq!(identify["messageId"], format!("{}-i", track["messageId"].as_str().unwrap()));
    assert_eq!(message(&saying("install.tracked", &json!({"ip": "x"})), &settings)["type"], "track");
}

#[test]
fn the_same_event_has_another_message_id_for_another_source() {
    let id = |key| message(&event("link.clicked"), &settings(json!({"write_key": key})))["messageId"].take();
    assert_eq!(id("one"), id("one"));
    assert_ne!(id("one"), id("two"));
    let prefix = "x".repeat(64);
    let longest = message(&event("link.clicked"), &settings(json!({"message_id_prefix": prefix})))["messageId"].take();
    assert!(longest.as_str().unwrap().len() + "-i".len() <= 100);
}

#[test]
fn a_retry_renews_when_it_was_sent_and_nothing_else() {
    let outlet = open(&Segment, &settings(json!({})));
    let events = [event("link.clicked")];
    let at = |now: Timestamp, attempt: u32| {
        with_batch(&events, false, |batch| {
            let items: Vec<_> = batch.items.iter().map(|item| Item { attempt, ..*item }).collect();
            let batch = Batch { items: &items, now, ..*batch };
            match outlet.prepare(&batch, &mut Progress::default()) {
                Step::Send(Call::Http(call)) => call,
                step => panic!("{step:?}"),
            }
        })
    };
    let (first, second) =
        (at(Timestamp::from_millis(1_772_634_800_000), 1), at(Timestamp::from_millis(1_772_634_860_007), 3));
    let count = |call: &HttpCall| call.headers.iter().find(|(name, _)| name == "X-Retry-Count").map(|it| it.1.clone());
    assert_eq!((count(&first), count(&second)), (None, Some("2".to_owned())));
    let (first, second) = (body(&first), body(&second));
    assert_eq!(first["batch"], second["batch"]);
    assert_eq!(first["batch"][0]["timestamp"], "2026-03-04T14:32:08.441Z");
    assert_eq!(
        (&first["sentAt"], &second["sentAt"]),
        (&json!("2026-03-04T14:33:20.000Z"), &json!("2026-03-04T14:34:20.007Z"))
    );
}

/// The members that `@segment/analytics-node` 3.1.0 sends, as it was recorded, but for what it says of its own runtime.
#[test]
fn a_request_has_the_shape_of_those_of_segments_own_library() {
    let data = json!({"anonymous_id": "anon1", "ip": "203.0.113.42"});
    let call = request(&Segment, &saying("link.clicked", &data), &settings(json!({})));
    let header = |name: &str| call.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
    assert_eq!((call.method, call.url.as_str()), ("POST", "https://api.segment.io/v1/batch"));
    assert_eq!(header("Content-Type"), Some("application/json"));
    assert_eq!(header("Authorization"), Some("Basic d3JpdGUta2V5LW9mLXRoZS10ZXN0Og=="));
    let names = |value: &Value| {
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    let body = body(&call);
    assert_eq!(names(&body), "batch sentAt writeKey");
    let message = &body["batch"][0];
    assert_eq!(names(message), "anonymousId context event integrations messageId properties timestamp type");
    assert_eq!(names(&message["context"]), "ip library");
    assert_eq!(names(&message["context"]["library"]), "name version");
    assert_eq!(message["integrations"], json!({}));
}

#[test]
fn a_source_that_the_event_names_is_kept_under_another_name() {
    let properties = |data| message(&saying("link.clicked", &data), &settings(json!({})))["properties"].take();
    assert_eq!(
        properties(json!({"source": "newsletter", "x": null})),
        json!({"original_source": "newsletter", "x": null, "source": "tolinku_webhook", "original_event_type": "link.clicked"})
    );
    assert_eq!(
        properties(json!({"source": "a", "original_source": "b"})),
        json!({"original_source": "b", "source": "tolinku_webhook", "original_event_type": "link.clicked"})
    );
}

#[test]
fn an_event_that_segment_would_swallow_is_refused_with_the_rule_and_its_neighbours_are_sent() {
    let large = saying("link.clicked", &json!({"text": "x".repeat(33_000)}));
    let many: serde_json::Map<_, _> = (0..10_001).map(|n| (format!("p{n}"), json!(1))).collect();
    let late = Event { occurred_at: Timestamp::from_millis(i64::MAX), ..event("link.clicked") };
    let events: Vec<_> =
        [event("link.clicked"), large, saying("link.clicked", &many.into()), late, event("install.tracked")]
            .into_iter()
            .zip(1..)
            .map(|(event, number)| numbered(event, number))
            .collect();
    let settings = settings(json!({}));
    let (step, mut progress) = prepared(&events, &settings);
    let Step::Send(Call::Http(call)) = step else { panic!("{step:?}") };
    assert_eq!(body(&call)["batch"].as_array().unwrap().len(), 2);
    let outlet = open(&Segment, &settings);
    let step =
        with_batch(&events, false, |batch| outlet.advance(batch, &mut progress, &crate::kit::reply(200, &[], "")));
    let lines = described(&step);
    assert_eq!((lines[0].as_str(), lines[4].as_str()), ("delivered", "delivered"));
    assert!(lines[1].starts_with("reject too_large: the message is 33"), "{}", lines[1]);
    assert_eq!(lines[2], "reject too_large: it has 10003 properties and Segment takes 10000");
    assert!(lines[3].starts_with("reject unprocessable: its time is outside"), "{}", lines[3]);
}

#[test]
fn a_long_text_stands_in_the_properties_where_it_can_be_left_out_and_its_beginning_in_the_context() {
    let long = "ü".repeat(15_000);
    let event = saying("link.clicked", &json!({"campaign": long, "os": long, "user_agent": "x".repeat(1_500)}));
    let of = |more| prepared(std::slice::from_ref(&event), &settings(more)).0;
    assert!(described(&of(json!({})))[0].starts_with("reject too_large: the message is 6"));
    let left_out = json!({"properties": {"campaign": "{{ none }}", "os": "{{ none }}"}});
    let made = message(&event, &settings(left_out));
    let context = &made["context"];
    assert_eq!(context["campaign"]["name"], "ü".repeat(512));
    assert_eq!((&context["os"]["name"], &context["userAgent"]), (&json!("ü".repeat(512)), &json!("x".repeat(1_024))));
}

#[test]
fn a_batch_of_which_nothing_can_be_sent_is_settled_without_a_call() {
    let settings = settings(json!({"names": {"*": "{% if data.x %}{{ data.x }}{% endif %}"}}));
    let lines = described(&prepare(&Segment, &event("link.opened"), &settings));
    assert_eq!(lines, ["reject template_error: setting `names` gives this event no name"]);
}

#[test]
fn more_than_segment_takes_at_once_is_halved() {
    let text = "x".repeat(30_000);
    let events: Vec<_> = (1..=17).map(|n| numbered(saying("link.clicked", &json!({"text": text})), n)).collect();
    assert!(matches!(prepared(&events, &settings(json!({}))).0, Step::Split { .. }));
    assert!(matches!(prepared(&events[..8], &settings(json!({}))).0, Step::Send(_)));
    let two_each: Vec<_> = (1..=1_251).map(|n| numbered(saying("test", &json!({"user_id": "u"})), n)).collect();
    assert!(matches!(prepared(&two_each, &settings(json!({"identify": true}))).0, Step::Split { .. }));
}

#[test]
fn a_path_is_added_where_the_host_has_none_and_kept_where_it_has_one() {
    let url = |host: &str| request(&Segment, &event("test"), &settings(json!({"host": host, "region": "eu"}))).url;
    assert_eq!(url("http://127.0.0.1:9"), "http://127.0.0.1:9/v1/batch");
    assert_eq!(url("https://plane.example/"), "https://plane.example/v1/batch");
    assert_eq!(url("https://jitsu.example/api/s/s2s/batch?x=1"), "https://jitsu.example/api/s/s2s/batch?x=1");
}

#[test]
fn settings_that_segment_would_take_in_silence_are_refused() {
    for (more, expect) in [
        (json!({"write_key": ""}), "setting `write_key` is empty"),
        (json!({"write_key": "two words"}), "setting `write_key` is empty or holds a space"),
        (json!({"host": "segment"}), "setting `host` is not a URL"),
        (json!({"names": {"link.clicked": " "}}), "setting `names` holds no text under `link.clicked`"),
        (json!({"names": {"link.clicked": "{{ nope }}"}}), "setting `names` does not compile under `link.clicked`"),
        (json!({"properties": {"a": "{{ nope }}"}}), "setting `properties` does not compile at `a`"),
        (json!({"message_id_prefix": "x".repeat(65)}), "setting `message_id_prefix` is longer than 64"),
        (json!({"anonymous_salt": ""}), "setting `anonymous_salt` is empty"),
    ] {
        let error = refusal(&Segment, &settings(more));
        assert!(error.starts_with(expect), "{error}");
    }
    assert_eq!(settings(json!({})).text("write_key"), Some(KEY));
}

#[test]
fn no_event_of_the_catalogue_is_swallowed_by_a_look_alike_that_is_as_strict_as_the_real_one() {
    for identify in [false, true] {
        let outlet = open(&Segment, &settings(json!({"write_key": "write-key", "identify": identify})));
        for mut vendor in [LookAlike::new(), LookAlike::rudder_stack()] {
            let mut book = Book::default();
            let kinds = domain::catalogue::ALL.iter().flat_map(|kind| Variant::ALL.map(|variant| (kind, variant)));
            let events: Vec<_> =
                kinds.zip(1..).map(|((kind, variant), n)| numbered(event_with(kind.event_type, variant), n)).collect();
            let verdicts = deliver(&*outlet, &events, &mut vendor, &mut book);
            assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Delivered), "{verdicts:?}");
            assert_eq!((&book.lost, &book.refused, &book.flagged), (&vec![], &vec![], &vec![]));
            assert_eq!(book.stored.iter().filter(|entry| entry.item["type"] == "track").count(), events.len());
        }
    }
}

#[test]
fn a_revoked_key_of_rudder_stack_pauses_and_a_repetition_is_counted_once() {
    let events = [event("link.clicked")];
    let (mut vendor, mut book) = (LookAlike::rudder_stack(), Book::default());
    let verdicts = deliver(&*open(&Segment, &settings(json!({"write_key": "old"}))), &events, &mut vendor, &mut book);
    assert!(matches!(verdicts.as_slice(), [Verdict::Pause { .. }]), "{verdicts:?}");
    let outlet = open(&Segment, &settings(json!({"write_key": "write-key"})));
    for _ in 0..2 {
        deliver(&*outlet, &events, &mut vendor, &mut book);
    }
    assert_eq!((book.stored.len(), book.duplicates.len()), (1, 1));
}
