//! The file of each guide, started against the vendors' look-alikes or a real server, does what its guide promises.

mod crm;

use std::path::Path;

use domain::catalogue::{ALL, EventKind, Group};
use domain::signature::Scheme;
use peers::ClickHouse;
use serde_json::{Value, json};
use vendors::mail_api::MailApi;
use vendors::segment::Segment;
use vendors::slack::Slack;
use vendors::{Faults, Simulator, Vendor as _};

use crate::support::{SOURCE_SECRET, Server, Setup, until};

/// Starts `examples/NAME.toml` with these variables and with some of its text replaced: where the vendor is.
fn start(name: &str, variables: &[(&str, &str)], replaced: &[(&str, &str)]) -> Server {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/{name}.toml"));
    let mut config = std::fs::read_to_string(path).unwrap();
    for (old, new) in replaced {
        assert!(config.contains(old), "examples/{name}.toml has no `{old}`");
        config = config.replace(old, new);
    }
    let setup = Setup::with(&config);
    let mut command = setup.command();
    command.env("TOLINKU_WEBHOOK_SECRET", SOURCE_SECRET).envs(variables.iter().copied());
    Server::start(&mut command)
}

/// Sends an event as the platform would; returns its id.
fn receive(server: &Server, event_type: &str, data: &Value) -> String {
    let timestamp = crate::support::now().to_string();
    let body = json!({ "event": event_type, "timestamp": timestamp, "data": data }).to_string();
    let answer = server.post("tolinku", Scheme::BodyHex, "", body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// The types of the platform.
fn kinds() -> impl Iterator<Item = &'static EventKind> {
    ALL.iter().filter(|kind| !matches!(kind.group, Group::Operational | Group::Test))
}

/// What a simulator has kept, once it is so much.
fn stored<V: Send + 'static>(simulator: &Simulator<V>, count: usize) -> Vec<Value> {
    let items = || simulator.book(|book| book.stored.iter().map(|entry| entry.item.clone()).collect::<Vec<_>>());
    until(&format!("{count} items"), || Some(items()).filter(|items| items.len() >= count))
}

#[test]
fn segment_in_five_minutes() {
    let segment = Segment::new().start(Faults::none());
    let host = format!("settings.host = \"{}\"\nsettings.write_key", segment.url());
    let server = start("segment", &[("SEGMENT_WRITE_KEY", "write-key")], &[("settings.write_key", &host)]);
    server.run(&["destinations", "test", "segment"]).ended(0).prints("delivered");
    let bodies: Vec<_> =
        (1..).zip(kinds()).map(|(unique, kind)| crate::support::body(kind.event_type, unique)).collect();
    for body in bodies.iter().chain(&bodies) {
        assert_eq!(server.post("tolinku", Scheme::BodyHex, "", body).status, 200);
    }
    let messages = stored(&segment, bodies.len() + 1);
    server.run(&["replays", "create", "segment", "--from", "7d", "--select", "all"]).ended(0);
    until("the replay to arrive", || segment.book(|book| (book.duplicates.len() >= bodies.len()).then_some(())));

    let named = |event_type: &str| {
        let message = messages.iter().find(|message| message["properties"]["original_event_type"] == event_type);
        message.unwrap_or_else(|| panic!("{event_type} is missing"))
    };
    for (event_type, name) in [
        ("test", "Webhook test"),
        ("link.clicked", "Deep Link Clicked"),
        ("deferred_link.claimed", "Deferred Link Claimed"),
        ("link.deferred_install", "Deferred Link Claimed"),
        ("install.tracked", "Install Tracked"),
        ("referral.created", "Referral Created"),
        ("referral.completed", "Referral Completed"),
        ("link.opened", "Deep Link Opened"),
        ("link.conversion", "Deep Link Converted"),
        ("ecommerce.purchase", "Webhook ecommerce.purchase"),
    ] {
        assert_eq!(named(event_type)["event"], name);
    }
    for kind in kinds() {
        let properties = &named(kind.event_type)["properties"];
        assert_eq!(
            (&properties["source"], &properties["environment"]),
            (&json!("tolinku_webhook"), &json!("production"))
        );
    }
    assert_eq!(named("link.conversion")["userId"], "user_456");
    assert_eq!(stored(&segment, 0).len(), bodies.len() + 1, "a sender's retry and a replay are one event");
    segment
        .book(|book| assert_eq!((book.lost.len(), book.flagged.len()), (0, 0), "{:?} {:?}", book.lost, book.flagged));
}

#[test]
fn slack_alerts_worth_reading() {
    let [installs, revenue, clicks] = [(); 3].map(|()| Slack::new().start(Faults::none()));
    let urls = [installs.hook_url(), revenue.hook_url(), clicks.hook_url()];
    let variables =
        [("SLACK_INSTALLS_URL", &*urls[0]), ("SLACK_REVENUE_URL", &*urls[1]), ("SLACK_CLICKS_URL", &*urls[2])];
    let here = [
        ("settings.url =", "settings.host_check = false\nsettings.url ="),
        // Half an hour is long for a test.
        ("volume.digest = \"30m\"", "volume.digest = \"1s\""),
    ];
    let server = start("slack-alerts", &variables, &here);
    let install = |confidence: f64, campaign: &str| {
        let data =
            json!({ "campaign": campaign, "channel": "email", "platform": "ios", "match_confidence": confidence });
        receive(&server, "link.deferred_install", &data)
    };
    let doubtful = install(0.5, "doubtful");
    install(0.92, "spring & <!channel>");
    receive(&server, "deferred_link.claimed", &json!({ "deep_link_path": "/merchant/abc123", "method": "token" }));
    let texts: Vec<_> =
        stored(&installs, 2).iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect();
    assert!(texts[0].starts_with("New install from *spring &amp; "), "{}", texts[0]);
    assert!(texts[0].ends_with("campaign (email)\nPlatform: ios | Match confidence: 0.92"), "{}", texts[0]);
    assert!(texts[1].contains("*no* campaign (unknown channel)"), "{}", texts[1]);

    let small = json!({ "revenue": 49.99, "currency": "USD", "campaign": "spring-sale" });
    let small = receive(&server, "link.conversion", &small);
    receive(&server, "ecommerce.purchase", &json!({ "revenue": 129.5, "currency": "USD", "campaign": "*friends*" }));
    let message = stored(&revenue, 1).remove(0);
    assert_eq!(message["blocks"][0]["text"]["text"], "129.5 USD");
    assert!(message["text"].as_str().is_some_and(|text| text.starts_with("129.5 USD through ")), "{message}");

    // While it is paused no interval ends, however long the events take to come in.
    server.run(&["destinations", "pause", "clicks"]).ended(0);
    for unique in 0..40 {
        receive(&server, "link.clicked", &json!({ "campaign": "spring-sale", "unique": unique }));
    }
    server.run(&["destinations", "resume", "clicks"]).ended(0);
    let digest = stored(&clicks, 1).remove(0).to_string();
    assert!(digest.contains("40") && digest.contains("spring-sale"), "{digest}");

    // What people were spared was never owed.
    for event in [doubtful, small] {
        assert_eq!(server.get(&format!("/v1/deliveries?event={event}"))["data"], json!([]));
    }
    for (channel, count) in [(&installs, 2), (&revenue, 1), (&clicks, 1)] {
        channel.book(|book| {
            assert_eq!((book.stored.len(), book.flagged.len()), (count, 0), "{:?}", book.flagged);
        });
    }
}

#[test]
fn every_click_in_clickhouse() {
    for (peer, is_old) in [(ClickHouse::start(), true), (ClickHouse::start_current(), false)] {
        let Some(peer) = peer else { continue };
        peer.query("CREATE DATABASE analytics").unwrap();
        let variables = [("CLICKHOUSE_URL", &*peer.url()), ("CLICKHOUSE_PASSWORD", ClickHouse::PASSWORD)];
        let server = start("clickhouse", &variables, &[("wait = \"5s\"", "wait = \"50ms\"")]);
        // Before there is a table, everything waits.
        let early = receive(&server, "link.clicked", &json!({ "campaign": "early" }));
        server.delivery(&early, "held");
        server.run(&["destinations", "provision", "warehouse", "--yes"]).ended(0).prints("create table");
        server.run(&["destinations", "provision", "warehouse", "--yes"]).ended(0).says("nothing to do");
        server.run(&["destinations", "resume", "warehouse"]).ended(0);
        server.run(&["destinations", "test", "warehouse"]).ended(0).prints("delivered");
        server.run(&["trigger", "link.clicked"]).ended(0);
        let mut last = String::new();
        for kind in kinds() {
            last = receive(&server, kind.event_type, &serde_json::from_str(kind.samples[0]).unwrap());
        }
        server.delivery(&last, "delivered");
        server.delivery(&early, "delivered");

        let rows = kinds().count() + 3;
        let count = || peer.query("SELECT count() FROM analytics.deep_link_events FINAL").unwrap();
        until("every row", || (count().trim() == rows.to_string()).then_some(()));
        let product = "SELECT product_id FROM analytics.deep_link_events WHERE event_type = 'link.opened'";
        assert_eq!(peer.query(product).unwrap().trim(), "42");
        // ClickHouse of 2018 reads JSON by functions of other names.
        for question in questions().into_iter().filter(|question| !is_old || !question.contains("JSONExtract")) {
            let answer = peer.query(&question).unwrap_or_else(|error| panic!("{question}: {error}"));
            assert!(!answer.trim().is_empty(), "{question} finds nothing");
        }
    }
}

/// What the guide asks the table.
fn questions() -> Vec<String> {
    let guide = include_str!("../../../../../docs/guides/clickhouse.md");
    let (_, asked) = guide.split_once("## Ask it something").expect("the guide asks something");
    let sql = asked.split("```").nth(1).and_then(|block| block.strip_prefix("sql\n")).expect("SQL");
    let questions: Vec<_> = sql.split(';').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    assert!(questions.len() >= 2, "{questions:?}");
    questions
}

#[test]
fn welcome_mail_by_campaign() {
    let api = MailApi::without_limit().start(Faults::none());
    let here = format!("settings.api_url = \"{}\"\nsettings.api_key", api.url());
    let server = start("welcome-mail", &[("RESEND_API_KEY", "re_afterclick")], &[("settings.api_key", &here)]);
    let key = server.run(&["keys", "create", "--scope", "publish", "--label", "backend"]).ended(0).stdout;
    let backend = Server::publisher(server.address, key.trim());
    let publish = |campaign: &str, address: Option<&str>| {
        let data = json!({ "campaign": campaign, "user_email": address, "route_params": { "id": "42" } });
        backend(&json!({ "event": "deferred_link.claimed", "data": data }))
    };
    publish("spring-sale", Some("ada@example.org"));
    publish("friends", Some("bob@example.org"));
    publish("none of these\r\nBcc: eve@example.org", Some("cy@example.org"));
    let mails = stored(&api, 3);
    let to = |address: &str| mails.iter().find(|mail| mail["to"][0] == address).unwrap_or_else(|| panic!("{mails:?}"));
    let spring = to("ada@example.org");
    assert_eq!(spring["template"]["id"], "welcome-spring");
    assert_eq!(spring["template"]["variables"]["campaign_name"], "spring-sale");
    assert!(spring["template"]["variables"]["deep_link_content"].to_string().contains("42"), "{spring}");
    assert_eq!(to("bob@example.org")["subject"], "Your friend sent you");
    assert!(to("bob@example.org")["html"].to_string().contains("<b>reward</b>"));
    assert_eq!(to("cy@example.org")["subject"], "Welcome to Acme");

    let nobody = publish("spring-sale", None);
    let said = server.delivery(&nobody, "skipped");
    assert!(said.to_string().contains("names no address to mail to"), "{said}");
    let again = publish("friends", Some("ada@example.org"));
    server.delivery(&again, "skipped");
    let click = backend(&json!({ "event": "link.clicked", "data": { "user_email": "dan@example.org" } }));
    assert_eq!(server.get(&format!("/v1/deliveries?event={click}"))["data"], json!([]));
    assert_eq!(stored(&api, 0).len(), 3);
    api.book(|book| {
        assert!(book.refused.is_empty() && book.flagged.is_empty(), "{:?} {:?}", book.refused, book.flagged);
    });
}
