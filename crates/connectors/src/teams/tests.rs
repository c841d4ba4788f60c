use domain::Event;
use domain::connector::Call;
use serde_json::{Value, json};
use vendors::Book;
use vendors::teams::{Flow, TARGET, Teams as LookAlike};

use super::*;
use crate::kit::{
    Variant, described, event, event_with, fixture, numbered, open, prepare, refusal, request, saying, with_batch,
};
use crate::tracking::trial::{deliver, deliver_catalogue};

const BYTES_MAX: usize = 28 * 1024;

fn settings(more: Value) -> Settings {
    fixture("teams").with(more)
}

fn card(event: &Event, settings: &Settings) -> Value {
    let mut message: Value = serde_json::from_slice(&request(&Teams, event, settings).body).unwrap();
    assert_eq!(message["type"], "message");
    message["attachments"][0]["content"].take()
}

/// What these settings make of this, as far as it is shown.
fn body(data: &Value, more: Value) -> Value {
    card(&saying("install.tracked", data), &settings(more))["body"].take()
}

fn own_card(body: &Value) -> Value {
    json!({"card": json!({"type": "AdaptiveCard", "version": "1.4", "body": body}).to_string()})
}

#[test]
fn a_campaign_named_like_markup_makes_no_link_and_no_emphasis() {
    let data = json!({"campaign": "[Sign in](https://evil.example) **now** <at>x</at>"});
    let escaped = r"\[Sign in\]\(https://evil.example\) \*\*now\*\* \<at\>x\</at\>";
    assert_eq!(body(&data, json!({}))[0]["text"], format!("New install from **{escaped}**"));
    let made = body(
        &data,
        own_card(&json!([
            {"type": "TextBlock", "text": "{{ data.campaign }}"},
            {"type": "FactSet", "facts": [{"title": "Campaign", "value": "{{ data.campaign }}"}]},
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "{{ data.campaign }}"}]},
        ])),
    );
    assert_eq!((&made[0]["text"], &made[1]["facts"][0]["value"]), (&json!(escaped), &json!(escaped)));
    assert_eq!(made[2]["inlines"][0]["text"], data["campaign"]);
}

#[test]
fn a_campaign_fakes_no_block_of_ours() {
    let data = json!({"campaign": "x\nADMIN: pay\u{202e}"});
    let made = body(&data, json!({"text": "New:\n{{ data.campaign }}"}));
    let texts: Vec<_> = made.as_array().unwrap().iter().map(|block| &block["text"]).collect();
    assert_eq!(texts, ["New:", "x ADMIN: pay"]);
}

#[test]
fn facts_are_escaped_too() {
    let made = body(&json!({"platform": "i[os](x)"}), json!({}));
    assert_eq!(made[1], json!({"type": "FactSet", "facts": [{"title": "Platform", "value": r"i\[os\]\(x\)"}]}));
}

#[test]
fn nothing_is_larger_than_a_workflow_takes_because_it_would_vanish() {
    for kind in domain::catalogue::ALL {
        assert!(
            request(&Teams, &event_with(kind.event_type, Variant::Hostile), &settings(json!({}))).body.len()
                <= BYTES_MAX
        );
    }
    let data = json!({"campaign": "界".repeat(20_000)});
    let event = saying("install.tracked", &data);
    for more in [
        json!({"text": "{{ data.campaign }}"}),
        own_card(&json!([{"type": "TextBlock", "text": "{{ data.campaign }}"}])),
    ] {
        let call = request(&Teams, &event, &settings(more));
        assert!(call.body.len() <= BYTES_MAX, "{}", call.body.len());
    }
    let outlet = open(&Teams, &settings(json!({})));
    let click = |n: u32| {
        let mut event = saying("link.clicked", &json!({"campaign": format!("{n}{}", "界".repeat(300))}));
        event.event_type = format!("custom.{}", n % 40).parse().unwrap();
        numbered(event, n.into())
    };
    let events: Vec<_> = (1..=900).map(click).collect();
    let step = with_batch(&events, true, |batch| outlet.prepare(batch, &mut Progress::default()));
    let Step::Send(Call::Http(call)) = step else { panic!("{step:?}") };
    assert!(call.body.len() <= BYTES_MAX, "{}", call.body.len());
}

#[test]
fn a_card_that_gets_too_large_is_sent_as_text() {
    let blocks = vec![json!({"type": "TextBlock", "text": "{{ data.campaign }}"}); 10];
    let made = body(&json!({"campaign": "x".repeat(9_000)}), own_card(&blocks.into()));
    assert!(made[0]["text"].as_str().unwrap().starts_with("New install from **xxx"), "{made}");
}

#[test]
fn a_part_that_comes_out_empty_is_left_out() {
    let source = json!([
        {"type": "TextBlock", "text": "{{ data.nope }}"},
        {"type": "Container", "items": [{"type": "Image", "url": "{{ data.nope }}"}]},
        {"type": "FactSet", "facts": [{"title": "A", "value": "{{ data.nope }}"}, {"title": "B", "value": "b"}]},
    ]);
    assert_eq!(
        body(&json!({}), own_card(&source)),
        json!([{"type": "FactSet", "facts": [{"title": "B", "value": "b"}]}])
    );
    let nothing = body(&json!({"campaign": "c"}), own_card(&json!([source[0]])));
    assert_eq!(nothing[0]["text"], "New install from **c**");
}

#[test]
fn each_line_of_a_text_is_a_line() {
    let made = body(&json!({"campaign": "c"}), json!({"text": "**{{ data.campaign }}**\n\nsecond\n"}));
    let texts: Vec<_> = made.as_array().unwrap().iter().map(|block| block["text"].clone()).collect();
    assert_eq!(texts, ["**c**", "second"]);
}

#[test]
fn the_query_with_the_signature_arrives_untouched() {
    let url = fixture("teams").cases["power-platform"].text("url").unwrap().to_owned();
    assert_eq!(request(&Teams, &event("test"), &settings(json!({"url": url}))).url, url);
}

#[test]
fn an_event_about_which_the_text_says_nothing_is_skipped() {
    let settings = settings(json!({"text": "{{ data.nope }}"}));
    assert_eq!(
        described(&prepare(&Teams, &event("test"), &settings)),
        ["skip: the text of the destination is empty for this event"]
    );
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let url = |url: &str| json!({"url": url});
    let good = "https://prod-1.westeurope.logic.azure.com/workflows/1/triggers/manual/paths/invoke";
    for (more, expect) in [
        (url("https://contoso.webhook.office.com/webhookb2/1"), "setting `url` belongs to an Office 365 connector"),
        (url("https://outlook.office.com/webhook/1"), "setting `url` belongs to an Office 365 connector"),
        (url("https://logic.azure.com.evil.example/?sig=x"), "setting `url` is not the URL of a workflow"),
        (url(good), "setting `url` has no `sig=…`"),
        (url(&format!("{good}?sig=")), "setting `url` has no `sig=…`"),
        (url("http://prod-1.westeurope.logic.azure.com/?sig=x"), "setting `url` begins with `http:`"),
        (json!({"card": "{}"}), "setting `card` is not a card"),
        (
            json!({"card": r#"{"type": "AdaptiveCard", "version": "9.9", "body": [{}]}"#}),
            "setting `card` has no `version`",
        ),
        (own_card(&json!([])), "setting `card` has nothing under `body`"),
        (own_card(&json!([{"type": "TextBlock", "text": "{{ nope }}"}])), "setting `card` does not compile at `text`"),
    ] {
        let error = refusal(&Teams, &settings(more));
        assert!(error.starts_with(expect), "{error}");
    }
    open(&Teams, &settings(json!({"url": "http://127.0.0.1:1/x", "host_check": false})));
}

/// Settings for a look-alike of a workflow.
fn look_alike(mut more: Value) -> Box<dyn Outlet> {
    more["url"] = format!("https://x.api.powerplatform.com{TARGET}").into();
    open(&Teams, &settings(more))
}

#[test]
fn no_event_of_the_catalogue_vanishes_in_a_look_alike() {
    let card = own_card(&json!([
        {"type": "TextBlock", "text": "{{ data.campaign }}"},
        {"type": "TextBlock", "text": "{{ data }}"},
        {"type": "FactSet", "facts": [{"title": "Channel", "value": "{{ data.channel }}"}]},
    ]));
    for outlet in [look_alike(json!({})), look_alike(card)] {
        deliver_catalogue(&*outlet, &mut LookAlike::without_limit());
    }
}

#[test]
fn a_workflow_that_is_gone_pauses_whatever_became_of_it() {
    let outlet = look_alike(json!({}));
    for flow in [Flow::Disabled, Flow::Deleted, Flow::SignatureExpired] {
        let mut vendor = LookAlike { flow, ..LookAlike::new() };
        let verdicts = deliver(&*outlet, &[event("test")], &mut vendor, &mut Book::default());
        assert!(matches!(verdicts.as_slice(), [Verdict::Pause { .. }]), "{verdicts:?}");
    }
}
