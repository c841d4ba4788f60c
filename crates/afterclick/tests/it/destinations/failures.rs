//! What a person must mend: one clear message that says who must do what, everything held, and nothing lost.

mod ads;
mod clouds;
mod doors;

use peers::{Aws, ClickHouse, Kafka, Nats, Postgres};
use serde_json::{Value, json};
use vendors::amplitude::Amplitude;
use vendors::bigquery::BigQuery;
use vendors::braze::Braze;
use vendors::iterable::Iterable;
use vendors::mail_api::MailApi;
use vendors::mixpanel::Mixpanel;
use vendors::segment::Segment;
use vendors::slack::{Hook, Slack};
use vendors::smtp::Smtp;
use vendors::{Faults, Simulator, Vendor as _, catch_hook, clickhouse as look_alike, discord, teams};

use super::tally::{Tally, count_marks};
use super::traffic::{self, Event};
use crate::support::{Server, Setup, until};

/// Events before and after the destination is paused.
const BEFORE: usize = 7;
const AFTER: usize = 5;

/// A destination that cannot work as it is.
struct Trouble {
    connector: &'static str,
    settings: Value,
    /// Why it is paused, and what stands in the message: what is wrong, and what to do.
    reason: &'static str,
    says: Vec<&'static str>,
}

/// Runs into the trouble, mends it, and looks whether everything arrived exactly once.
#[track_caller]
fn check(trouble: &Trouble, mend: impl FnOnce(&Server), look: impl Fn() -> Tally) {
    check_with(&traffic::mixed(BEFORE + AFTER), trouble, mend, look);
}

/// The same with these events.
#[track_caller]
fn check_with(events: &[Event], trouble: &Trouble, mend: impl FnOnce(&Server), look: impl Fn() -> Tally) {
    let server = Setup::new().start();
    server.send(
        "POST",
        "/v1/destinations",
        &json!({
            "name": "troubled", "connector": trouble.connector, "events": ["*"], "settings": trouble.settings,
            "rate": 1000, "batch": { "wait": "50ms" },
        }),
    );
    let publish = |events: &[Event]| server.publish(&events.iter().map(|event| event.envelope.clone()).collect());

    publish(&events[..BEFORE]);
    let paused = until("the destination to be paused", || {
        let paused = server.get("/v1/destinations/troubled")["paused"].take();
        (!paused.is_null()).then_some(paused)
    });
    publish(&events[BEFORE..]);
    assert_eq!(paused["reason"], trouble.reason, "{paused}");
    let message = paused["message"].as_str().unwrap_or_default();
    for part in &trouble.says {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    wait_for_all(&server, events, "held");
    assert!(look().times.is_empty(), "{:?} came through", look().times);

    mend(&server);
    server.run(&["destinations", "resume", "troubled"]).ended(0).prints("troubled running");
    wait_for_all(&server, events, "delivered");
    let times = look().times;
    let expected = count_marks(events.iter().map(|event| &event.mark));
    assert_eq!(times, expected, "each exactly once");
    assert!(server.get("/v1/destinations/troubled")["paused"].is_null());
}

/// Waits until the deliveries of all events are in this state.
fn wait_for_all(server: &Server, events: &[Event], state: &str) {
    until(&format!("{} deliveries that are {state}", events.len()), || {
        let deliveries = server.get("/v1/destinations/troubled/deliveries");
        let deliveries = deliveries["data"].as_array()?;
        let dead = deliveries.iter().find(|delivery| delivery["state"] == "dead");
        assert!(dead.is_none(), "{}", dead.unwrap());
        let there = deliveries.iter().filter(|delivery| delivery["state"] == state).count();
        (there == events.len()).then_some(())
    });
}

/// Changes settings of the destination.
fn set(settings: Value) -> impl FnOnce(&Server) {
    move |server| drop(server.send("PATCH", "/v1/destinations/troubled", &json!({ "settings": settings })))
}

fn provision(server: &Server) {
    server.run(&["destinations", "provision", "troubled", "--yes"]).ended(0);
}

fn tally<V: Send + 'static>(simulator: &Simulator<V>) -> impl Fn() -> Tally {
    || Tally::of(simulator)
}

#[test]
fn segments_refusal_of_a_write_key_holds_everything() {
    let rudder = Segment::rudder_stack().start(Faults::none());
    let trouble = Trouble {
        connector: "segment",
        settings: json!({ "write_key": "mistyped", "host": rudder.url() }),
        reason: "unauthorized",
        says: vec![
            "refused the write key (Invalid Write Key)",
            "copy the key of the source into `write_key`",
            "resume",
        ],
    };
    check(&trouble, set(json!({ "write_key": "write-key" })), tally(&rudder));
}

#[test]
fn a_removed_webhook_of_slack_holds_everything() {
    for (hook, reason, says) in [
        (Hook::NoService, "gone", ["the webhook was removed", "make a new incoming webhook"]),
        (Hook::ChannelArchived, "gone", ["the channel is archived", "unarchive it in Slack"]),
        (Hook::ActionProhibited, "misconfigured", ["an administrator of the workspace forbids", "ask them to allow"]),
    ] {
        let slack = Slack { hook, ..Slack::without_limit() }.start(Faults::none());
        let trouble = Trouble {
            connector: "slack",
            settings: json!({ "url": slack.hook_url(), "host_check": false, "text": "{{ data.mark }}" }),
            reason,
            says: vec![says[0], says[1], "resume"],
        };
        check(&trouble, |_| slack.vendor(|slack| slack.hook = Hook::Live), tally(&slack));
    }
}

#[test]
fn a_deleted_webhook_of_discord_holds_everything() {
    let discord = discord::Discord { exists: false, ..discord::Discord::without_limit() }.start(Faults::none());
    let trouble = Trouble {
        connector: "discord",
        settings: json!({ "url": discord.hook_url(), "host_check": false, "text": "{{ data.mark }}" }),
        reason: "gone",
        says: vec!["Unknown Webhook", "make a new webhook in the channel's settings", "resume"],
    };
    check(&trouble, |_| discord.vendor(|discord| discord.exists = true), tally(&discord));
}

#[test]
fn a_flow_of_teams_that_is_off_holds_everything() {
    let teams = teams::Teams { flow: teams::Flow::Disabled, ..teams::Teams::without_limit() }.start(Faults::none());
    let trouble = Trouble {
        connector: "teams",
        settings: json!({ "url": teams.hook_url(), "host_check": false, "text": "{{ data.mark }}" }),
        reason: "misconfigured",
        says: vec!["switch", "resume"],
    };
    check(&trouble, |_| teams.vendor(|teams| teams.flow = teams::Flow::Live), tally(&teams));
}

#[test]
fn an_automation_that_does_not_listen_any_more_holds_everything() {
    use catch_hook::State::{Gone, Live, SwitchedOff};
    use catch_hook::Tool::{Make, N8n, Zapier};

    for (tool, state) in [(N8n, SwitchedOff), (Make, SwitchedOff), (Make, Gone), (Zapier, Gone)] {
        let hook = catch_hook::CatchHook { state, ..catch_hook::CatchHook::new(tool) }.start(Faults::none());
        let trouble = Trouble {
            connector: "zapier",
            settings: json!({ "url": hook.hook_url() }),
            reason: "gone",
            says: vec!["has no active workflow behind this webhook", "activate the workflow", "resume"],
        };
        check(&trouble, |_| hook.vendor(|hook| hook.state = Live), tally(&hook));
    }
}

#[test]
fn a_table_that_is_not_there_yet_holds_everything() {
    let server = look_alike::ClickHouse::new(look_alike::Release::Current).start(Faults::none());
    let trouble = Trouble {
        connector: "clickhouse",
        settings: json!({ "url": server.url() }),
        reason: "misconfigured",
        says: vec!["there is no table `default.deep_link_events`", "destinations provision", "resume"],
    };
    check(&trouble, provision, tally(&server));
}

#[test]
fn a_wrong_password_of_clickhouse_holds_everything() {
    for peer in [ClickHouse::start(), ClickHouse::start_current()].into_iter().flatten() {
        let trouble = Trouble {
            connector: "clickhouse",
            settings: json!({
                "url": peer.url(), "database": ClickHouse::DATABASE, "user": ClickHouse::USER, "password": "mistyped",
            }),
            reason: "unauthorized",
            says: vec!["ClickHouse refuses the login", "set `user` and `password`", "resume"],
        };
        let mend = |server: &Server| {
            set(json!({ "password": ClickHouse::PASSWORD }))(server);
            provision(server);
        };
        check(&trouble, mend, || {
            let there = peer.query("EXISTS TABLE deep_link_events").unwrap().starts_with('1');
            let rows = if there {
                peer.query("SELECT raw FROM deep_link_events FORMAT TSVRaw").unwrap()
            } else {
                String::new()
            };
            Tally { times: count_marks(rows.lines()), ..Tally::default() }
        });
    }
}

#[test]
fn a_wrong_password_of_postgres_and_a_table_that_lacks_a_column_hold_everything() {
    let Some(peer) = Postgres::start() else { return };
    peer.query("CREATE TABLE deep_link_events (event_id text PRIMARY KEY, event_type text)").unwrap();
    let settings = json!({
        "host": "127.0.0.1", "port": peer.port(), "database": Postgres::DATABASE, "user": Postgres::USER,
        "password": Postgres::PASSWORD, "tls": false,
    });
    let look = || {
        let column = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'deep_link_events' AND column_name = 'data'";
        let there = peer.query(column).unwrap().trim() == "1";
        let rows = if there { peer.query("SELECT data FROM deep_link_events").unwrap() } else { String::new() };
        Tally { times: count_marks(rows.lines()), ..Tally::default() }
    };
    let trouble = Trouble {
        connector: "postgres",
        settings: settings.clone(),
        reason: "misconfigured",
        says: vec!["table `public.deep_link_events` lacks a column", "destinations provision", "resume"],
    };
    check(&trouble, provision, look);

    peer.query("TRUNCATE deep_link_events").unwrap();
    let mut settings = settings;
    settings["password"] = json!("mistyped");
    let trouble = Trouble {
        connector: "postgres",
        settings,
        reason: "unauthorized",
        says: vec!["PostgreSQL refuses the login of `afterclick`", "set `user`, `password`", "resume"],
    };
    check(&trouble, set(json!({ "password": Postgres::PASSWORD })), look);
}

/// A mail connector with its provider's settings.
fn email(provider: &str, more: &Value) -> Value {
    let mut settings = json!({
        "provider": provider, "from": "hello@acme.example", "subject": "Welcome", "text": "Hello {{ data.mark }}",
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

#[test]
fn a_mail_quota_that_is_used_up_holds_everything() {
    let mut api = MailApi::without_limit();
    api.resend.daily_quota = Some(0);
    let api = api.start(Faults::none());
    let trouble = Trouble {
        connector: "email",
        settings: email("resend", &json!({ "api_key": "re_afterclick", "api_url": api.url() })),
        reason: "quota",
        says: vec!["Resend's daily quota is used up", "resume when it begins anew, or raise the plan"],
    };
    check(&trouble, |_| api.vendor(|api| api.resend.daily_quota = None), tally(&api));
}

#[test]
fn a_revoked_token_of_a_mail_api_holds_everything() {
    for (provider, key, says) in [
        ("resend", "re_afterclick", "Resend refused the API key"),
        ("postmark", "postmark-token", "Postmark refused the token (Bad or missing Server API token.)"),
        ("sendgrid", "SG.afterclick", "SendGrid refused the API key"),
    ] {
        let api = MailApi::without_limit().start(Faults::none());
        let trouble = Trouble {
            connector: "email",
            settings: email(provider, &json!({ "api_key": "revoked", "api_url": api.url() })),
            reason: "unauthorized",
            says: vec![says, "put ", "into `api_key`"],
        };
        check(&trouble, set(json!({ "api_key": key })), tally(&api));
    }
}

#[test]
fn a_mail_server_that_refuses_the_login_holds_everything() {
    let smtp = Smtp::new().with_login("mailer", "right").start(Faults::none());
    let server = json!({
        "host": "127.0.0.1", "port": smtp.address().port(), "tls": "none", "user": "mailer", "password": "wrong",
    });
    let trouble = Trouble {
        connector: "email",
        settings: email("smtp", &server),
        reason: "unauthorized",
        says: vec!["the mail server refused the login (535", "put the right `user` and `password`"],
    };
    check(&trouble, set(json!({ "password": "right" })), tally(&smtp));
}

#[test]
fn a_wrong_key_of_an_analytics_or_engagement_platform_holds_everything() {
    let mixpanel = Mixpanel::new().start(Faults::none());
    let settings = json!({ "host": mixpanel.url(), "project_id": "42", "user": "robot", "secret": "mistyped" });
    check_key("mixpanel", settings, json!({ "secret": "secret" }), "Mixpanel refused the login", &mixpanel);

    let amplitude = Amplitude::new().start(Faults::none());
    let settings = json!({ "host": amplitude.url(), "api_key": "mistyped" });
    check_key("amplitude", settings, json!({ "api_key": "api-key" }), "Amplitude refused the API key", &amplitude);

    let iterable = Iterable::new().start(Faults::none());
    let key = iterable.vendor(|iterable| iterable.api_key.clone());
    let settings = json!({ "host": iterable.url(), "api_key": "mistyped" });
    check_key("iterable", settings, json!({ "api_key": key }), "Iterable refused the API key", &iterable);

    let braze = Braze::new().start(Faults::none());
    let key = braze.vendor(|braze| braze.api_key.clone());
    let settings = json!({ "host": braze.url(), "instance": "iad-01", "api_key": "mistyped" });
    check_key("braze", settings, json!({ "api_key": key }), "Braze refused the API key", &braze);
}

#[track_caller]
fn check_key<V: Send + 'static>(
    connector: &'static str,
    settings: Value,
    right: Value,
    says: &'static str,
    vendor: &Simulator<V>,
) {
    let trouble = Trouble { connector, settings, reason: "unauthorized", says: vec![says] };
    check(&trouble, set(right), tally(vendor));
}

#[test]
fn a_key_file_of_nobody_that_google_knows_holds_everything() {
    let bigquery = BigQuery::new().with_table("acme.links.deep_link_events", &[]).start(Faults::none());
    let right = bigquery.service_account();
    let wrong = right.replace("afterclick@acme", "somebody@else");
    let trouble = Trouble {
        connector: "bigquery",
        settings: json!({ "url": bigquery.url(), "project": "acme", "dataset": "links", "service_account": wrong }),
        reason: "unauthorized",
        says: vec!["Google gave no token", "`service_account`", "resume"],
    };
    check(&trouble, set(json!({ "service_account": right })), tally(&bigquery));
}

#[test]
fn a_refused_access_key_of_a_bucket_holds_everything() {
    let Some(aws) = Aws::start() else { return };
    let trouble = Trouble {
        connector: "s3",
        settings: json!({
            "endpoint": aws.url(), "region": Aws::REGION, "bucket": Aws::BUCKET, "compression": "none",
            "access_key_id": aws.access_key(), "secret_access_key": "mistyped",
        }),
        reason: "unauthorized",
        says: vec!["the store refused the signature", "check `secret_access_key`"],
    };
    check(&trouble, set(json!({ "secret_access_key": aws.secret_key() })), || {
        let objects = aws.objects().unwrap();
        let files: Vec<_> = objects.iter().map(|object| String::from_utf8_lossy(&object.body)).collect();
        Tally { times: count_marks(files.iter().flat_map(|file| file.lines())), ..Tally::default() }
    });
}

#[test]
fn a_wrong_password_of_nats_and_a_subject_that_no_stream_takes_hold_everything() {
    let Some(nats) = Nats::start() else { return };
    let settings = |password: &str| {
        let address = nats.url().replace("nats://", "");
        json!({ "servers": [address], "user": Nats::USER, "password": password, "tls": false })
    };
    let look_at = |stream: &str| {
        // Not there before it is made.
        let messages = nats.messages(stream).unwrap_or_default();
        Tally {
            times: count_marks(messages.iter().map(|message| String::from_utf8_lossy(&message.data))),
            ..Tally::default()
        }
    };
    let trouble = Trouble {
        connector: "nats",
        settings: settings(Nats::PASSWORD),
        reason: "misconfigured",
        says: vec![
            "no stream takes the subject",
            "add it to the subjects of a JetStream stream",
            "`subject`",
            "resume",
        ],
    };
    check(&trouble, |_| nats.create_stream("EVENTS", &["events.>"]).unwrap(), || look_at("EVENTS"));

    let mut settings = settings("mistyped");
    settings["subject"] = json!("more.{{ type }}");
    nats.create_stream("MORE", &["more.>"]).unwrap();
    let trouble = Trouble {
        connector: "nats",
        settings,
        reason: "unauthorized",
        says: vec![
            "the NATS server refuses the login",
            "Authorization Violation",
            "put a good one into `user` and `password`",
            "destinations resume troubled",
        ],
    };
    check(&trouble, set(json!({ "password": Nats::PASSWORD })), || look_at("MORE"));
}

#[test]
fn a_topic_that_is_not_there_yet_holds_everything() {
    let Some(kafka) = Kafka::start() else { return };
    let trouble = Trouble {
        connector: "kafka",
        settings: json!({ "brokers": [kafka.address()], "topic": "events", "tls": false }),
        reason: "misconfigured",
        says: vec!["the cluster has no such topic", "`events`", "make it, or mend the setting `topic`", "resume"],
    };
    check(&trouble, |_| kafka.create_topic("events", 3).unwrap(), || look_at(&kafka));
}

#[test]
fn a_login_that_a_broker_refuses_holds_everything() {
    let (Some(strict), Some(open)) = (Kafka::start_for_nobody(), Kafka::start()) else { return };
    open.create_topic("events", 3).unwrap();
    let trouble = Trouble {
        connector: "kafka",
        settings: json!({
            "brokers": [strict.address()], "topic": "events", "tls": false,
            "user": "alice", "password": "mistyped", "mechanism": "SCRAM-SHA-256",
        }),
        reason: "unauthorized",
        says: vec![
            "the broker refuses the login",
            "check `user`, `password` and `mechanism`",
            "destinations resume troubled",
        ],
    };
    // The peer knows nobody who could log in, so what is mended is where the broker is.
    let login = json!({ "brokers": [open.address()], "user": null, "password": null, "mechanism": null });
    check(&trouble, set(login), || look_at(&open));
}

fn look_at(kafka: &Kafka) -> Tally {
    // Not there before it is made.
    let records = kafka.records("events").unwrap_or_default();
    Tally {
        times: count_marks(records.iter().map(|record| String::from_utf8_lossy(&record.value))),
        ..Tally::default()
    }
}
