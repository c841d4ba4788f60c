use domain::Event;
use domain::connector::Call;
use serde_json::{Value, json};
use vendors::Book;
use vendors::slack::{Hook, PATH, Slack as LookAlike};

use super::*;
use crate::chat::length;
use crate::kit::{
    Variant, described, event, event_with, fixture, judged, numbered, open, prepare, refusal, reply, request, saying,
    with_batch,
};
use crate::tracking::trial::{deliver, deliver_catalogue};

fn settings(more: Value) -> Settings {
    fixture("slack").with(more)
}

fn message(event: &Event, settings: &Settings) -> Value {
    serde_json::from_slice(&request(&Slack, event, settings).body).unwrap()
}

fn text(event_type: &str, data: &Value, more: Value) -> String {
    message(&saying(event_type, data), &settings(more))["text"].as_str().unwrap().to_owned()
}

/// The blocks that these make of this.
fn blocks(blocks: &Value, data: &Value) -> Value {
    message(&saying("install.tracked", data), &settings(json!({"blocks": blocks.to_string()})))["blocks"].take()
}

fn digest(events: &[Event]) -> String {
    let outlet = open(&Slack, &settings(json!({})));
    match with_batch(events, true, |batch| outlet.prepare(batch, &mut Progress::default())) {
        Step::Send(Call::Http(call)) => {
            serde_json::from_slice::<Value>(&call.body).unwrap()["text"].as_str().unwrap().to_owned()
        }
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_campaign_named_like_a_mention_pings_nobody() {
    let data = json!({"campaign": "<!channel> & <@U1> <https://evil.example|here>"});
    let escaped = "&lt;!channel&gt; &amp; &lt;@U1&gt; &lt;https://evil.example|here&gt;";
    assert_eq!(text("install.tracked", &data, json!({})), format!("New install from *{escaped}*"));
    let own = json!({"text": "<!here> {{ data.campaign }}"});
    assert_eq!(text("install.tracked", &data, own), format!("<!here> {escaped}"));
    let section = json!([{"type": "section", "text": {"type": "mrkdwn", "text": "{{ data.campaign }}"}}]);
    assert_eq!(blocks(&section, &data)[0]["text"], json!({"type": "mrkdwn", "text": escaped, "verbatim": true}));
    let events = [saying("install.tracked", &data), numbered(saying("install.tracked", &data), 2)];
    assert!(!digest(&events).contains('<'), "{}", digest(&events));
}

#[test]
fn a_campaign_fakes_no_line_of_ours_wherever_it_stands() {
    let data = json!({"campaign": "x\r\n:rotating_light: ADMIN: pay\u{202e}\u{1}"});
    let shown = "x :rotating_light: ADMIN: pay";
    let own = json!({"text": "New:\n{{ data.campaign }}"});
    assert_eq!(text("install.tracked", &data, own), format!("New:\n{shown}"));
    let source = json!([
        {"type": "section", "text": {"type": "plain_text", "text": "{{ data.campaign }}"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "*Campaign*\n{{ data.campaign }}"}},
    ]);
    let made = blocks(&source, &data);
    assert_eq!(
        (&made[0]["text"]["text"], &made[1]["text"]["text"]),
        (&json!(shown), &json!(format!("*Campaign*\n{shown}")))
    );
}

#[test]
fn a_digest_that_is_refused_is_tried_in_halves() {
    let refused = reply(400, &[], "invalid_payload");
    let step = judged(&Slack, &settings(json!({})), &[event("test"), numbered(event("test"), 2)], &refused);
    assert!(described(&step)[0].starts_with("split, alone: reject refused: Slack refused"), "{step:?}");
}

#[test]
fn no_event_of_the_catalogue_breaks_out_of_a_message() {
    for kind in domain::catalogue::ALL {
        let text = message(&event_with(kind.event_type, Variant::Hostile), &settings(json!({})))["text"].to_string();
        assert!(!text.contains('<') && !text.contains("Bcc: x@example.net\\n"), "{text}");
    }
}

#[test]
fn a_text_in_json_is_escaped_for_both_and_for_its_place() {
    let data = json!({"campaign": "a\"b\\c <x> *y*"});
    let source = json!([
        {"type": "header", "text": {"type": "plain_text", "text": "{{ data.campaign }}"}},
        {"type": "markdown", "text": "**{{ data.campaign }}**"},
        {"type": "section", "text": {"type": "mrkdwn", "text": "x"},
         "accessory": {"type": "button", "text": {"type": "plain_text", "text": "x"}, "url": "https://a.example/{{ data.campaign }}"}},
    ]);
    let made = blocks(&source, &data);
    assert_eq!(made[0]["text"]["text"], "a\"b\\c <x> *y*");
    assert_eq!(made[1]["text"], "**a\"b\\\\c &lt;x&gt; \\*y\\***");
    assert_eq!(made[2]["accessory"]["url"], "https://a.example/a%22b%5Cc%20%3Cx%3E%20%2Ay%2A");
}

#[test]
fn a_block_that_comes_out_empty_is_left_out_and_the_others_stay() {
    let source = json!([
        {"type": "section", "text": {"type": "mrkdwn", "text": "{% if data.nope %}x{% endif %}"}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "{{ data.nope }}"}]},
        {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}, "url": "{{ data.link }}"}]},
        {"type": "divider"},
    ]);
    let made = blocks(&source, &json!({"link": "javascript:alert(1)"}));
    assert_eq!(
        made,
        json!([
            {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}}]},
            {"type": "divider"},
        ])
    );
    let nothing = message(&event("test"), &settings(json!({"blocks": json!([source[0]]).to_string()})));
    assert_eq!((nothing["text"].is_string(), nothing.get("blocks")), (true, None));
}

#[test]
fn there_is_always_a_text_next_to_the_blocks() {
    let with_blocks = |text: &str| json!({"text": text, "blocks": r#"[{"type": "divider"}]"#});
    let data = json!({"campaign": "spring-sale"});
    assert_eq!(text("install.tracked", &data, with_blocks("{{ data.nope }}")), "New install from *spring-sale*");
    assert_eq!(text("install.tracked", &data, with_blocks("Hello")), "Hello");
}

#[test]
fn blocks_that_slack_refuses_are_left_out_once() {
    let settings = fixture("slack").cases["blocks"].clone();
    let outlet = open(&Slack, &settings);
    let refused = reply(400, &[], "invalid_blocks");
    with_batch(&[event("link.conversion")], false, |batch| {
        let mut progress = Progress::default();
        let _ = outlet.prepare(batch, &mut progress);
        let Step::Send(Call::Http(call)) = outlet.advance(batch, &mut progress, &refused) else { panic!("not again") };
        let message: Value = serde_json::from_slice(&call.body).unwrap();
        assert!(
            message["text"].as_str().unwrap().starts_with("Conversion worth *49.99 USD*")
                && message.get("blocks").is_none()
        );
        let lines = described(&outlet.advance(batch, &mut progress, &refused));
        assert_eq!(lines, ["reject refused: Slack refused the message (invalid_blocks); look at `text` and `blocks`"]);
    });
}

#[test]
fn an_event_about_which_the_text_says_nothing_is_skipped() {
    let settings = fixture("slack").cases["text-for-some-events"].clone();
    assert_eq!(
        described(&prepare(&Slack, &event("link.clicked"), &settings)),
        ["skip: the text of the destination is empty for this event"]
    );
    assert_eq!(message(&event("install.tracked"), &settings), json!({"text": "An install"}));
}

#[test]
fn a_template_that_fails_is_the_events_trouble_and_says_so() {
    let lines = described(&prepare(&Slack, &event("test"), &settings(json!({"text": "{{ data.a + 1 }}"}))));
    assert!(lines[0].starts_with("reject template_error: setting `text`: "), "{lines:?}");
}

#[test]
fn long_texts_are_cut_where_it_does_no_harm() {
    let long = "<".repeat(5_000);
    let data = json!({"campaign": long});
    let made = text("install.tracked", &data, json!({"text": "{{ data.campaign }}"}));
    assert!(length(&made) <= 4_000 && made.ends_with("&lt;…"), "{}", &made[3_900..]);
    let header = json!([{"type": "header", "text": {"type": "plain_text", "text": "{{ data.campaign }}"}}]);
    assert_eq!(length(blocks(&header, &data)[0]["text"]["text"].as_str().unwrap()), 150);
    let section = json!([{"type": "section", "text": {"type": "mrkdwn", "text": "{{ data.campaign }}"}}]);
    assert!(length(blocks(&section, &data)[0]["text"]["text"].as_str().unwrap()) <= 3_000);
}

#[test]
fn a_digest_counts_types_and_campaigns() {
    let click = |campaign: &str| saying("link.clicked", &json!({"campaign": campaign}));
    let mut events: Vec<_> = ["a", "b", "a", "c", "d", "e", "f", "a", "g"].map(click).into();
    events.push(saying("install.tracked", &json!({"campaign": "b"})));
    events.push(saying("link.conversion", &json!({"revenue": 20, "currency": "EUR"})));
    events.push(saying("link.conversion", &json!({"revenue": "5.5", "currency": "EUR"})));
    let events: Vec<_> = events.into_iter().zip(1..).map(|(event, number)| numbered(event, number)).collect();
    assert_eq!(
        digest(&events),
        "*12 events in 30 seconds*\n\
         • Link clicked: *9*, of which a 3, b 1, c 1, d 1, e 1 and 2 in 2 others\n\
         • Conversion: *2*\n\
         • Install tracked: *1*, of which b 1\n\
         Top campaigns: a 3, b 2, c 1, d 1, e 1 and 2 in 2 others\n\
         Conversions and purchases: *25.50 EUR*"
    );
}

#[test]
fn a_digest_of_one_event_is_that_event_and_a_crowd_without_a_digest_is_taken_apart() {
    assert!(digest(&[event("install.tracked")]).starts_with("New install from"));
    let outlet = open(&Slack, &settings(json!({})));
    let events = [event("test"), numbered(event("test"), 2)];
    assert!(matches!(
        with_batch(&events, false, |batch| outlet.prepare(batch, &mut Progress::default())),
        Step::Split { .. }
    ));
}

#[test]
fn urls_that_are_not_slacks_are_refused_unless_they_are_meant() {
    for (url, expect) in [
        ("http://hooks.slack.com/services/x", "setting `url` begins with `http:`"),
        ("https://hooks.slack.com.evil.example/services/x", "setting `url` is not one of Slack's"),
        ("https://hooks.slack.com/triggers/E1/1/x", "setting `url` starts a workflow"),
        ("https://example.com/", "setting `url` is not one of Slack's"),
        ("nope", "setting `url` is not a URL"),
    ] {
        let error = refusal(&Slack, &settings(json!({"url": url})));
        assert!(error.starts_with(expect), "{error}");
    }
    for (url, host_check) in
        [("https://hooks.slack-gov.com/services/x", true), ("http://127.0.0.1:1/services/x", false)]
    {
        open(&Slack, &settings(json!({"url": url, "host_check": host_check})));
    }
}

#[test]
fn blocks_that_can_never_be_sent_are_refused_at_once() {
    let many = Value::Array(vec![json!({"type": "divider"}); 51]);
    let fields = vec![json!({"type": "mrkdwn", "text": "x"}); 11];
    for (blocks, expect) in [
        ("[".to_owned(), "setting `blocks` is not JSON"),
        ("{}".to_owned(), "setting `blocks` is not a list of blocks"),
        (r#"[{"text": "x"}]"#.to_owned(), "setting `blocks` has no `type` in block 1"),
        (many.to_string(), "setting `blocks` has 51 blocks; Slack takes 50"),
        (json!([{"type": "section", "fields": fields}]).to_string(), "setting `blocks` has 11 fields in block 1"),
        (
            json!([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]).to_string(),
            "setting `blocks` has a header",
        ),
        (
            json!([{"type": "header", "text": {"type": "plain_text", "text": "x".repeat(151)}}]).to_string(),
            "setting `blocks` has a text of more than 150 characters at `text`",
        ),
        (
            json!([{"type": "section", "text": {"type": "mrkdwn", "text": "{{ nope }}"}}]).to_string(),
            "setting `blocks` does not compile at `text`: `nope` is not known here",
        ),
    ] {
        let error = refusal(&Slack, &settings(json!({"blocks": blocks})));
        assert!(error.starts_with(expect), "{error}");
    }
}

/// Settings for a look-alike of Slack.
fn look_alike(more: Value) -> Box<dyn Outlet> {
    let mut settings = settings(more);
    settings.0.insert("url".to_owned(), format!("https://hooks.slack.com{PATH}").into());
    open(&Slack, &settings)
}

#[test]
fn a_look_alike_keeps_every_event_of_the_catalogue_and_nobody_is_pinged() {
    let blocks = json!([
        {"type": "header", "text": {"type": "plain_text", "text": "{{ data.campaign }}"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "{{ data.campaign }}"},
         "fields": [{"type": "mrkdwn", "text": "{{ data.channel }}"}]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "{{ data.user_agent }}"}]},
        {"type": "markdown", "text": "{{ data }}"},
        {"type": "image", "image_url": "{{ data.url }}", "alt_text": "{{ data.url }}"},
    ]);
    for outlet in [look_alike(json!({})), look_alike(json!({"blocks": blocks.to_string()}))] {
        deliver_catalogue(&*outlet, &mut LookAlike::without_limit());
    }
}

#[test]
fn a_hook_that_is_gone_pauses_whatever_became_of_it() {
    let outlet = look_alike(json!({}));
    for hook in [Hook::NoService, Hook::ChannelArchived, Hook::ActionProhibited] {
        let mut vendor = LookAlike { hook, ..LookAlike::new() };
        let verdicts = deliver(&*outlet, &[event("test")], &mut vendor, &mut Book::default());
        assert!(matches!(verdicts.as_slice(), [Verdict::Pause { .. }]), "{verdicts:?}");
    }
}
