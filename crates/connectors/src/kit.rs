//! What every connector is held against. A connector's own tests are for what only it does.
//!
//! `fixtures/<vendor>.json` holds a `default` and further `cases` of settings, and `replies` with the verdict expected of
//! each. From them come: a snapshot of what is sent for each type of the catalogue (with the fields it must have, with
//! all it can have, and with text that wants to break out), a snapshot for each case, the judgement of every reply, and
//! the promise that nothing panics.

mod events;
mod hostile;
mod look_alike;

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::connector::{Batch, Call, Category, HttpCall, Item, Means, Outlet, Progress, Reply, Step, Token};
use domain::identity::{Fact, Profile, ReferralCreated};
use domain::{Connector, DeliveryId, Event, Reading, Secret, Settings, Timestamp, Verdict, catalogue};
use serde::Deserialize;

use super::*;

pub(crate) use events::{Variant, event, event_with, numbered, saying};
pub(crate) use look_alike::{answered, asked};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_772_634_728_441);
/// What provisioning is planned with.
pub(crate) const MEANS: Means<'static> = Means { now: NOW, token: None };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    pub(crate) default: Settings,
    /// Other settings, each shown with one event.
    #[serde(default)]
    pub(crate) cases: BTreeMap<String, Settings>,
    #[serde(default)]
    pub(crate) replies: Vec<ReplyCase>,
}

/// A reply and the verdict expected of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplyCase {
    pub(crate) status: u16,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A text as it is, anything else as JSON.
    #[serde(default)]
    body: serde_json::Value,
    /// How many events were sent.
    #[serde(default = "one")]
    items: usize,
    /// The type of the events.
    #[serde(default = "conversion")]
    event: String,
    /// Whether the events say all that such an event can say, and who it was.
    #[serde(default)]
    full: bool,
    /// The name of a case of settings instead of the default ones.
    #[serde(default)]
    case: Option<String>,
    /// [`described`] of what follows, one line per item. A line that ends in `…` is the beginning of one.
    expect: Vec<String>,
}

fn one() -> usize {
    1
}

fn conversion() -> String {
    "link.conversion".to_owned()
}

impl Fixture {
    /// The default settings, with these in place of some or beside them.
    pub(crate) fn with(self, more: serde_json::Value) -> Settings {
        let serde_json::Value::Object(more) = more else { panic!("no settings: {more}") };
        let mut settings = self.default;
        settings.0.extend(more);
        settings
    }
}

pub(crate) fn fixture(name: &str) -> Fixture {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Opens a connector whose settings must be good.
pub(crate) fn open(connector: &dyn Connector, settings: &Settings) -> Box<dyn Outlet> {
    connector.manifest().check(settings).unwrap();
    connector.open(settings).unwrap()
}

/// Why settings are refused.
pub(crate) fn refusal(connector: &dyn Connector, settings: &Settings) -> String {
    let opened = connector.manifest().check(settings).and_then(|()| connector.open(settings).map(drop));
    opened.expect_err("these settings should be refused").to_string()
}

/// Hands events to an outlet as the engine would.
pub(crate) fn with_batch<T>(events: &[Event], digest: bool, look: impl FnOnce(&Batch<'_>) -> T) -> T {
    let reading = |event: &Event| {
        let reading = Reading::new("tolinku".to_owned());
        let fact = Fact::of(event, reading.data(event), ReferralCreated::Shown);
        let profile = fact.and_then(|fact| Profile::of(event.appspace, fact));
        Reading::new("tolinku".to_owned()).about(profile)
    };
    let readings: Vec<_> = events.iter().map(reading).collect();
    let items = items(events, &readings, 0);
    let token =
        Token { secret: Secret::from("token-of-the-test"), valid_for: None, extra: Some("extra.example".into()) };
    let digest = digest.then_some(std::time::Duration::from_secs(30));
    look(&Batch { items: &items, now: NOW, token: Some(&token), digest })
}

/// The first tries of deliveries.
pub(crate) fn items<'a>(events: &'a [Event], readings: &'a [Reading], ordinal: u16) -> Vec<Item<'a>> {
    let item = |(event, reading): (&'a Event, &'a Reading)| Item {
        event,
        delivery: DeliveryId { event: event.id, ordinal },
        attempt: 1,
        reading,
    };
    events.iter().zip(readings).map(item).collect()
}

/// The first step for one event.
pub(crate) fn prepare(connector: &dyn Connector, event: &Event, settings: &Settings) -> Step {
    let outlet = open(connector, settings);
    with_batch(std::slice::from_ref(event), false, |batch| outlet.prepare(batch, &mut Progress::default()))
}

/// What somebody is shown who asks what would be sent about one event.
fn previewed(connector: &dyn Connector, event: &Event, settings: &Settings) -> Step {
    let outlet = open(connector, settings);
    with_batch(std::slice::from_ref(event), false, |batch| outlet.preview(batch))
}

/// The HTTP request for one event.
pub(crate) fn request(connector: &dyn Connector, event: &Event, settings: &Settings) -> HttpCall {
    match prepare(connector, event, settings) {
        Step::Send(Call::Http(call)) | Step::SendOnce { call: Call::Http(call), .. } => call,
        step => panic!("no request: {}", described(&step).join("; ")),
    }
}

/// A reply over HTTP.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, code: None, headers, body: body.into(), received_at: NOW }
}

/// What a connector makes of a reply to its first call about these events.
pub(crate) fn judged(connector: &dyn Connector, settings: &Settings, events: &[Event], reply: &Reply) -> Step {
    let outlet = open(connector, settings);
    with_batch(events, false, |batch| {
        let mut progress = Progress::default();
        let _ = outlet.prepare(batch, &mut progress);
        progress.replies = 1;
        outlet.advance(batch, &mut progress, reply)
    })
}

/// A step in words, one line per item.
pub(crate) fn described(step: &Step) -> Vec<String> {
    match step {
        Step::Send(call) => vec![format!("send {}", target(call))],
        Step::SendOnce { key, call, .. } => vec![format!("send once `{key}` {}", target(call))],
        Step::Settle(verdicts) => verdicts.iter().map(in_words).collect(),
        Step::Split { alone } => vec![format!("split, alone: {}", in_words(alone))],
        Step::Reauthorize { message } => vec![format!("reauthorize: {message}")],
    }
}

fn target(call: &Call) -> String {
    let shown = call.shown();
    format!("{} {}", shown.method, shown.url)
}

fn in_words(verdict: &Verdict) -> String {
    let with = |message: &Option<String>| message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    match verdict {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Retry { after, reason, message } => {
            let after = after.map(|after| format!(" after {} ms", after.as_millis())).unwrap_or_default();
            format!("retry {}{after}{}", reason.code(), with(message))
        }
        Verdict::Wait { after, message } => format!("wait {} ms{}", after.as_millis(), with(message)),
        Verdict::Reject { reason, message } => format!("reject {}{}", reason.code(), with(message)),
        Verdict::Skip { message } => format!("skip: {message}"),
        Verdict::Pause { reason, message } => format!("pause {}: {message}", reason.code()),
    }
}

fn as_text(step: &Step) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (once, call) = match step {
        Step::Send(call) => (String::new(), call),
        Step::SendOnce { key, call, known_for: None } => (format!("(once: {key})\n"), call),
        Step::SendOnce { key, call, known_for: Some(known_for) } => {
            (format!("(once: {key}, known for {} h)\n", known_for.as_secs() / 3_600), call)
        }
        step => return described(step).join("\n"),
    };
    let shown = call.shown();
    let headers: Vec<_> = shown.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{once}{}\n{}\n\n{}", target(call), headers.join("\n"), readable(&shown.body))
        .replace(&format!("Afterclick/{version}"), "Afterclick/<version>")
        .replace(&format!("\"version\": \"{version}\""), "\"version\": \"<version>\"")
}

/// JSON spread out, so that a person can review it; anything else as it is.
fn readable(body: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => {
            serde_json::to_string_pretty(&value).unwrap()
        }
        _ => body.to_owned(),
    }
}

/// Holds what a vendor was sent in a whole conversation, call by call, against what it was.
pub(crate) fn assert_sent(name: &str, calls: &[HttpCall]) {
    let calls = calls.iter().zip(1..);
    let calls = calls.map(|(call, n)| format!("--- {n}\n{}", as_text(&Step::Send(Call::Http(call.clone())))));
    // Of XML each element is on a line of its own.
    let calls = calls.map(|text| text.replace("><", ">\n<"));
    insta_settings().bind(|| insta::assert_snapshot!(name, calls.collect::<Vec<_>>().join("\n\n")));
}

fn insta_settings() -> insta::Settings {
    let mut insta = insta::Settings::clone_current();
    insta.set_snapshot_path("../snapshots");
    insta.set_prepend_module_to_snapshot(false);
    insta.set_omit_expression(true);
    insta
}

#[test]
fn what_is_sent_is_what_was_sent() {
    insta_settings().bind(|| {
        for connector in ALL {
            let name = connector.manifest().name;
            let fixture = fixture(name);
            for kind in catalogue::ALL {
                let sent = Variant::ALL.map(|variant| {
                    let event = event_with(kind.event_type, variant);
                    format!("--- {}\n{}", variant.title(), as_text(&previewed(*connector, &event, &fixture.default)))
                });
                insta::assert_snapshot!(format!("{name}-{}", kind.event_type), sent.join("\n\n"));
            }
            for (case, settings) in &fixture.cases {
                let mut step = previewed(*connector, &event("link.conversion"), settings);
                if let Step::Settle(verdicts) = &step
                    && matches!(verdicts[..], [Verdict::Skip { .. }])
                {
                    step = previewed(*connector, &event_with("link.conversion", Variant::Full), settings);
                }
                insta::assert_snapshot!(format!("{name}-with-{case}"), as_text(&step));
            }
        }
    });
}

#[test]
fn a_batch_is_sent_as_it_was_sent() {
    insta_settings().bind(|| {
        for connector in ALL.iter().filter(|connector| batch_max(**connector) > 1) {
            let name = connector.manifest().name;
            let outlet = open(*connector, &fixture(name).default);
            let types = ["link.clicked", "install.tracked", "link.conversion"];
            let events: Vec<_> = types.iter().zip(1..).map(|(kind, n)| events::numbered(event(kind), n)).collect();
            // To people a batch is a digest.
            let digest = connector.manifest().category == Category::Chat;
            let step = with_batch(&events, digest, |batch| outlet.preview(batch));
            insta::assert_snapshot!(format!("{name}-batch"), as_text(&step));
        }
    });
}

/// Most items of a batch: a digest of a chat has as many as come up, although each goes by itself without one.
fn batch_max(connector: &dyn Connector) -> usize {
    let manifest = connector.manifest();
    if manifest.category == Category::Chat { usize::MAX } else { manifest.batch.items_max }
}

/// Every connector, and what a new one begins as.
fn held() -> impl Iterator<Item = &'static dyn Connector> {
    ALL.iter().copied().chain([&crate::template::Acme as &dyn Connector])
}

#[test]
fn every_reply_is_judged_as_the_fixture_says() {
    for connector in held() {
        let name = connector.manifest().name;
        let fixture = fixture(name);
        assert!(!fixture.replies.is_empty(), "the fixture of `{name}` has no replies");
        for case in &fixture.replies {
            let settings = case.case.as_ref().map_or(&fixture.default, |case| &fixture.cases[case]);
            let event = if case.full { event_with(&case.event, Variant::Full) } else { event(&case.event) };
            let events: Vec<_> = (0..case.items).map(|n| events::numbered(event.clone(), n as u128 + 1)).collect();
            let body = case.body.as_str().map_or_else(|| case.body.to_string(), str::to_owned);
            let headers = case.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
            let body = if case.body.is_null() { String::new() } else { body };
            let reply = Reply { code: case.code.clone(), ..reply(case.status, &headers, body) };
            let lines = described(&judged(connector, settings, &events, &reply));
            let is_as_expected = lines.len() == case.expect.len()
                && lines.iter().zip(&case.expect).all(|(line, expect)| match expect.strip_suffix('…') {
                    Some(beginning) => line.starts_with(beginning),
                    None => line == expect,
                });
            assert!(is_as_expected, "{name}, {} {}: {lines:#?} instead of {:#?}", case.status, case.body, case.expect);
        }
    }
}

/// Those whose vendors answer a success with nothing that a page could be told from, or with pages of their own.
const TAKES_PAGES: [&str; 2] = ["webhook", "zapier"];

#[test]
fn a_web_page_that_somebody_in_between_answers_with_is_no_delivery() {
    let page = || reply(200, &[("content-type", "text/html")], "<html>Please log in to the network.</html>".to_owned());
    for connector in held().filter(|connector| !TAKES_PAGES.contains(&connector.manifest().name)) {
        let fixture = fixture(connector.manifest().name);
        for settings in std::iter::once(&fixture.default).chain(fixture.cases.values()) {
            let events = [event("link.conversion")];
            let outlet = open(connector, settings);
            let begins = with_batch(&events, false, |batch| outlet.prepare(batch, &mut Progress::default()));
            if !matches!(begins, Step::Send(Call::Http(_)) | Step::SendOnce { call: Call::Http(_), .. }) {
                continue;
            }
            let lines = described(&judged(connector, settings, &events, &page()));
            let is_delivered = lines.iter().any(|line| line == "delivered");
            assert!(!is_delivered, "`{}` takes a web page for a success", connector.manifest().name);
        }
    }
}

/// Every verdict list has one verdict per item, whatever was sent and whatever comes back.
#[test]
fn nothing_that_is_sent_or_comes_back_makes_a_connector_panic_or_lose_count() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    for connector in held() {
        let fixture = fixture(connector.manifest().name);
        let outlets: Vec<_> =
            std::iter::once(&fixture.default).chain(fixture.cases.values()).map(|it| open(connector, it)).collect();
        let strategy = (events::any(), 1..4_usize, any::<bool>(), any_reply(), 0..outlets.len());
        let mut runner = TestRunner::new(Config { failure_persistence: None, cases: 64, ..Config::default() });
        let run = runner.run(&strategy, |(event, count, digest, reply, outlet)| {
            let outlet = &outlets[outlet];
            let count = count.min(batch_max(connector));
            let events: Vec<_> = (0..count).map(|n| events::numbered(event.clone(), n as u128 + 1)).collect();
            with_batch(&events, digest, |batch| {
                let mut progress = Progress::default();
                let mut step = outlet.prepare(batch, &mut progress);
                for replies in 1..4 {
                    if let Step::Settle(verdicts) = &step {
                        prop_assert_eq!(verdicts.len(), events.len());
                    }
                    progress.replies = replies;
                    step = outlet.advance(batch, &mut progress, &reply);
                }
                let _ = outlet.token(&reply);
                let _ = outlet.plan(&MEANS, std::slice::from_ref(&reply));
                let _ = outlet.is_done(&reply);
                Ok(())
            })
        });
        run.unwrap_or_else(|error| panic!("{}: {error}", connector.manifest().name));
    }
}

fn any_reply() -> impl proptest::strategy::Strategy<Value = Reply> {
    use proptest::prelude::*;

    let status = prop_oneof![Just(0_u16), Just(200), Just(207), Just(400), Just(429), 100_u16..600];
    let body = prop_oneof![
        Just("ok".to_owned()),
        Just("Code: 27. DB::Exception: Cannot parse input".to_owned()),
        events::any_json().prop_map(|value| value.to_string()),
        ".{0,60}",
    ];
    let code = prop_oneof![Just(None), Just(Some("22P02".to_owned())), Just(Some("x".to_owned()))];
    (status, body, code, "[ -~]{0,12}").prop_map(|(status, body, code, header)| Reply {
        code,
        ..reply(status, &[("retry-after", &header), ("x-clickhouse-exception-code", &header)], body)
    })
}

#[test]
fn manifests_are_in_order() {
    for connector in held() {
        let manifest = connector.manifest();
        let name = manifest.name;
        assert!(!manifest.summary.is_empty() && manifest.summary.ends_with('.'), "{name}: summary");
        assert!(manifest.batch.items >= 1 && manifest.batch.items <= manifest.batch.items_max, "{name}: batch");
        for pattern in manifest.events {
            assert!(pattern.parse::<domain::subscription::Pattern>().is_ok(), "{name}: `{pattern}`");
        }
        assert!(!manifest.events.is_empty(), "{name}: events");
        let outlet = open(connector, &fixture(name).default);
        assert_eq!(outlet.survey(&MEANS).is_some(), manifest.provisions, "{name}: provisions");
        for field in manifest.fields {
            assert!(!field.help.ends_with('.') && !field.help.is_empty(), "{name}.{}: help", field.name);
        }
    }
    assert!(ALL.iter().all(|connector| by_name(connector.manifest().name).is_some()) && by_name("nope").is_none());
}
