use domain::Event;
use std::time::Duration;

use domain::connector::Call;
use serde_json::{Value, json};
use vendors::discord::{Discord as LookAlike, PATH};

use super::*;
use crate::chat::length;
use crate::kit::{
    Variant, described, event, event_with, fixture, numbered, open, prepare, refusal, reply, request, saying,
    with_batch,
};
use crate::tracking::trial::deliver_catalogue;

fn settings(more: Value) -> Settings {
    fixture("discord").with(more)
}

fn message(event: &Event, settings: &Settings) -> Value {
    serde_json::from_slice(&request(&Discord, event, settings).body).unwrap()
}

/// The embeds that these make of this.
fn embeds(embeds: &Value, data: &Value) -> Value {
    message(&saying("install.tracked", data), &settings(json!({"embeds": embeds.to_string()})))["embeds"].take()
}

#[test]
fn a_campaign_named_like_a_mention_pings_nobody() {
    let data = json!({"campaign": "@everyone <@&1> [x](https://evil.example)"});
    let escaped = r"\@everyone \<\@&1\> \[x\]\(https://evil.example\)";
    let made = message(&saying("install.tracked", &data), &settings(json!({})));
    assert_eq!(made, json!({"allowed_mentions": {"parse": []}, "content": format!("New install from **{escaped}**")}));
    let made = embeds(&json!([{"title": "{{ data.campaign }}", "footer": {"text": "{{ data.campaign }}"}}]), &data);
    assert_eq!(made, json!([{"title": escaped, "footer": {"text": data["campaign"]}}]));
}

#[test]
fn whatever_is_sent_nothing_may_ping() {
    for kind in domain::catalogue::ALL {
        for more in [json!({}), json!({"embeds": r#"[{"title": "{{ type }}"}]"#})] {
            let made = message(&event_with(kind.event_type, Variant::Hostile), &settings(more));
            assert_eq!(made["allowed_mentions"], json!({"parse": []}));
        }
    }
}

#[test]
fn the_answer_is_always_waited_for_and_a_thread_is_kept() {
    let url = |url: &str| request(&Discord, &event("test"), &settings(json!({"url": url}))).url;
    assert_eq!(url("https://discord.com/api/v10/webhooks/1/x"), "https://discord.com/api/v10/webhooks/1/x?wait=true");
    assert_eq!(
        url("https://ptb.discord.com/api/webhooks/1/x?wait=0&thread_id=7"),
        "https://ptb.discord.com/api/webhooks/1/x?thread_id=7&wait=true"
    );
}

#[test]
fn no_message_is_longer_than_discord_takes() {
    let long = "*".repeat(9_000);
    let data = json!({"campaign": long});
    let made = message(&saying("test", &data), &settings(json!({"text": "{{ data.campaign }}"})));
    let content = made["content"].as_str().unwrap();
    assert!(length(content) <= 2_000 && content.ends_with("\\*…"), "{}", content.len());
    let field = json!({"name": "{{ data.campaign }}", "value": "{{ data.campaign }}"});
    let made = embeds(
        &json!([{"title": "{{ data.campaign }}", "description": "{{ data.campaign }}", "fields": [field]}]),
        &data,
    );
    let length_at = |pointer: &str| length(made.pointer(pointer).unwrap().as_str().unwrap());
    assert!(length_at("/0/title") <= 256 && length_at("/0/description") <= 4_096);
    assert!(length_at("/0/fields/0/name") <= 256 && length_at("/0/fields/0/value") <= 1_024);
    let one = json!({"description": "{{ data.campaign }}"});
    assert_eq!(embeds(&json!([one, one, one]), &data).as_array().unwrap().len(), 1);
}

#[test]
fn a_part_that_comes_out_empty_is_left_out() {
    let source = json!([
        {"title": "A", "url": "{{ data.nope }}", "image": {"url": "{{ data.nope }}"},
         "fields": [{"name": "x", "value": "{{ data.nope }}"}, {"name": "y", "value": "z"}]},
        {"description": "{{ data.nope }}"},
    ]);
    assert_eq!(embeds(&source, &json!({})), json!([{"title": "A", "fields": [{"name": "y", "value": "z"}]}]));
    let nothing = message(&event("test"), &settings(json!({"embeds": json!([source[1]]).to_string()})));
    assert!(nothing["content"].is_string() && nothing.get("embeds").is_none(), "{nothing}");
}

#[test]
fn embeds_that_discord_refuses_are_left_out_once() {
    let outlet = open(&Discord, &fixture("discord").cases["embeds"]);
    let refused = reply(400, &[], r#"{"message": "Invalid Form Body", "code": 50035}"#);
    with_batch(&[event("link.conversion")], false, |batch| {
        let mut progress = Progress::default();
        let _ = outlet.prepare(batch, &mut progress);
        let Step::Send(Call::Http(call)) = outlet.advance(batch, &mut progress, &refused) else { panic!("not again") };
        let message: Value = serde_json::from_slice(&call.body).unwrap();
        assert!(
            message["content"].as_str().unwrap().starts_with("Conversion worth") && message.get("embeds").is_none()
        );
        let lines = described(&outlet.advance(batch, &mut progress, &refused));
        assert_eq!(
            lines,
            ["reject refused: Discord refused the message (Invalid Form Body, 50035); look at `text` and `embeds`"]
        );
    });
}

#[test]
fn when_nothing_is_left_of_the_rate_the_next_message_waits() {
    let outlet = open(&Discord, &settings(json!({})));
    let pause_after = |remaining: &str, reset_after: &str| {
        let headers = [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset-after", reset_after)];
        let mut progress = Progress::default();
        with_batch(&[event("test")], false, |batch| outlet.advance(batch, &mut progress, &reply(200, &headers, "{}")));
        progress.pause()
    };
    assert_eq!(pause_after("0", "1.25"), Some(Duration::from_millis(1_250)));
    assert_eq!((pause_after("1", "1.25"), pause_after("0", "NaN"), pause_after("0", "-1")), (None, None, None));
}

#[test]
fn an_event_about_which_the_text_says_nothing_is_skipped() {
    let settings = settings(json!({"text": "{{ data.nope }}"}));
    assert_eq!(
        described(&prepare(&Discord, &event("test"), &settings)),
        ["skip: the text of the destination is empty for this event"]
    );
}

#[test]
fn a_crowd_without_a_digest_is_taken_apart() {
    let outlet = open(&Discord, &settings(json!({})));
    let events = [event("test"), numbered(event("test"), 2)];
    let step = with_batch(&events, false, |batch| outlet.prepare(batch, &mut Progress::default()));
    assert!(matches!(step, Step::Split { .. }));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let url = |url: &str| json!({"url": url});
    for (more, expect) in [
        (url("http://discord.com/api/webhooks/1/x"), "setting `url` begins with `http:`"),
        (url("https://discord.com.evil.example/api/webhooks/1/x"), "setting `url` is not one of Discord's"),
        (url("https://discord.com/api/webhooks/1/x/slack"), "setting `url` ends in a format of others"),
        (url("https://discord.com/channels/1/2"), "setting `url` is not the URL of a webhook"),
        (json!({"embeds": "[]"}), "setting `embeds` is not a list of embeds"),
        (json!({"embeds": "[1]"}), "setting `embeds` has in place 1 no object"),
        (json!({"embeds": json!(vec![json!({"title": "x"}); 11]).to_string()}), "setting `embeds` has 11 embeds"),
        (
            json!({"embeds": json!([{"title": "x".repeat(257)}]).to_string()}),
            "setting `embeds` has a text of more than 256",
        ),
        (
            json!({"embeds": json!([{"title": "{{ nope }}"}]).to_string()}),
            "setting `embeds` does not compile at `title`",
        ),
        (json!({"text": "{% for x in y %}{% endfor %}"}), "setting `text` does not compile"),
    ] {
        let error = refusal(&Discord, &settings(more));
        assert!(error.starts_with(expect), "{error}");
    }
    open(&Discord, &settings(json!({"url": "http://127.0.0.1:1/api/webhooks/1/x", "host_check": false})));
}

#[test]
fn a_look_alike_saves_every_event_of_the_catalogue_and_nobody_is_pinged() {
    let embeds = json!([{
        "title": "{{ data.campaign }}", "description": "{{ data }}", "url": "{{ data.url }}",
        "fields": [{"name": "Channel", "value": "{{ data.channel }}"}], "footer": {"text": "{{ data.user_agent }}"},
    }]);
    let url = format!("https://discord.com{PATH}");
    for more in [json!({"url": url}), json!({"url": url, "embeds": embeds.to_string()})] {
        let outlet = open(&Discord, &settings(more));
        deliver_catalogue(&*outlet, &mut LookAlike::without_limit());
    }
}
