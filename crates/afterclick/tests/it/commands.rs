//! The other commands, against a running server.

use domain::signature::Scheme;

use crate::support::{Receiver, Setup, one_destination, program, run, source};

#[test]
fn trigger_sends_a_signed_sample_through_the_front_door() {
    let receiver = Receiver::start();
    let setup = Setup::with(&one_destination(&receiver.url("/")));
    let server = setup.start();
    let printed = server.run(&["trigger", "referral.completed", "--config", &setup.config()]).ended(0).stdout;
    let received = receiver.next();
    received.verify(Scheme::BodyHex);
    assert_eq!(
        (received.header("x-webhook-event"), received.header("webhook-id")),
        ("referral.completed", printed.trim())
    );

    let again = server.run(&["trigger", "referral.completed", "--config", &setup.config()]).ended(0).stdout;
    assert_ne!(again, printed, "each one is a new event");
    server.run(&["trigger", "link.clicked", "--secret", "whsec_of-somebody-else"]).ended(1).says("does not match");
    server.run(&["trigger", "link.clickd"]).ended(2).says("did you mean `link.clicked`?");
    server.run(&["trigger", "link.clicked"]).ended(0).says("is on disk");
    server.run(&["trigger", "link.clicked", "--source", "nobody"]).ended(1).says("`afterclick sources list`");
    // What others in the file need is not needed to sign: with a key the server does.
    setup.write("afterclick.toml", &std::fs::read_to_string(setup.config()).unwrap().replace("[\"", "[\"${NOT_SET}"));
    let mut with_key = program();
    with_key.current_dir(setup.path("")).env("AFTERCLICK_SERVER", format!("http://{}", server.address));
    run(with_key.env("AFTERCLICK_ADMIN_KEY", server.key()), &["trigger", "link.clicked"]).ended(0).says("is on disk");
    setup.write("afterclick.toml", &one_destination(&receiver.url("/")));
    let mut here = program();
    here.current_dir(setup.path("")).env("AFTERCLICK_SERVER", format!("http://{}", server.address));
    run(&mut here, &["trigger", "link.clicked"]).ended(0).says("is on disk");
}

#[test]
fn events_and_deliveries_are_listed_shown_and_explained() {
    let receiver = Receiver::start();
    let config = one_destination(&receiver.url("/")).replace("[\"*\", \"test\"]", "[\"link.*\"]");
    let setup = Setup::with(&config);
    let server = setup.start();
    let trigger = |event_type: &str| server.run(&["trigger", event_type, "--config", &setup.config()]).ended(0).stdout;
    let clicked = trigger("link.clicked").trim().to_owned();
    let refunded = trigger("ecommerce.refund").trim().to_owned();
    let delivery = server.delivery(&clicked, "delivered")["id"].as_str().unwrap().to_owned();

    server.run(&["events", "list"]).ended(0).prints(&clicked).prints(&refunded);
    let filtered = server.run(&["events", "list", "--type", "ecommerce.refund", "--from", "1h"]).ended(0);
    assert!(filtered.stdout.contains(&refunded) && !filtered.stdout.contains(&clicked), "{}", filtered.stdout);
    server.run(&["events", "show", &clicked]).ended(0).prints("\"event\": \"link.clicked\"");
    server.run(&["events", "explain", &clicked]).ended(0).prints("owed").prints("delivered");
    server.run(&["events", "explain", &refunded]).ended(0).prints("not_subscribed");
    server.run(&["deliveries", "list", "--destination", "backend"]).ended(0).prints(&delivery);
    server.run(&["deliveries", "show", &delivery]).ended(0).prints("delivered").prints("200");
    server.run(&["deliveries", "retry", &delivery]).ended(1).says("illegal_transition");
    receiver.next();
    server.run(&["deliveries", "resend", &delivery]).ended(0);
    assert_eq!(receiver.next().header("webhook-id"), clicked);
    let json = server.run(&["events", "list", "--json", "--limit", "1"]).ended(0);
    let listed: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((listed["data"].as_array().map(Vec::len), &listed["more"]), (Some(1), &true.into()));
}

#[test]
fn a_paused_destination_holds_and_a_resumed_one_delivers() {
    let receiver = Receiver::start();
    let setup = Setup::with(&one_destination(&receiver.url("/")));
    let server = setup.start();
    server.run(&["destinations", "pause", "backend"]).ended(0).prints("backend paused");
    let event_id =
        server.run(&["trigger", "link.opened", "--config", &setup.config()]).ended(0).stdout.trim().to_owned();
    server.delivery(&event_id, "held");
    server.run(&["destinations", "list"]).ended(0).prints("manual");
    assert!(receiver.is_empty());
    server.run(&["destinations", "resume", "backend"]).ended(0).prints("backend running");
    assert_eq!(receiver.next().header("webhook-id"), event_id);
}

#[test]
fn a_destination_can_be_made_tested_previewed_and_deleted() {
    let receiver = Receiver::start();
    let server = Setup::new().start();
    let url = format!("url={}", receiver.url("/hooks"));
    server.run(&["destinations", "create", "mine", "--event", "link.*", "--set", &url]).ended(0).prints("whsec_");
    let change = ["destinations", "change", "mine", "--batch", "wait=2s", "--volume", "sample=1", "--rate", "5"];
    server.run(&change).ended(0).prints("volume.sample").prints("2s");
    server.run(&["destinations", "change", "mine", "--set", "headers.X-Team=growth"]).ended(0).prints("X-Team");
    server.run(&["destinations", "change", "mine", "--set", "headers.X-Two=2", "--batch", "wait="]).ended(0);
    let changed = server.get("/v1/destinations/mine");
    assert_eq!(changed["settings"]["headers"].as_object().map(serde_json::Map::len), Some(2), "{changed}");
    assert_eq!((&changed["batch"], &changed["rate"]), (&serde_json::json!({}), &serde_json::json!(5.0)));
    server.run(&["destinations", "change", "mine", "--unset", "headers"]).ended(0);
    server.run(&["destinations", "change", "mine"]).ended(2).says("nothing to change");
    server.run(&["destinations", "change", "mine", "--volume", "digest=30s"]).ended(1).says("volume_invalid");
    server.run(&["destinations", "test", "mine"]).ended(0).prints("delivered");
    assert_eq!(receiver.next().header("x-webhook-event"), "test");
    server.run(&["destinations", "preview", "mine", "--type", "link.clicked"]).ended(0).prints("X-Webhook-Signature");
    assert!(receiver.is_empty());
    let secret = server.run(&["destinations", "rotate-secret", "mine"]).ended(0).stdout;
    assert!(secret.starts_with("whsec_"), "{secret}");
    server.run(&["destinations", "deliveries", "mine"]).ended(0).prints("delivered");
    server.run(&["destinations", "pause", "mine"]).ended(0);
    server.run(&["destinations", "test", "mine"]).ended(1).says("`afterclick destinations resume mine` sends");
    server.run(&["doctor"]).prints("destination mine: paused by a person");
    server.run(&["destinations", "delete", "mine"]).ended(0);
    server.run(&["destinations", "show", "mine"]).ended(1).says("destination_not_found");
}

#[test]
fn a_replay_owes_past_events_again() {
    let receiver = Receiver::start();
    let setup = Setup::with(&one_destination(&receiver.url("/")));
    let server = setup.start();
    let event_id =
        server.run(&["trigger", "link.opened", "--config", &setup.config()]).ended(0).stdout.trim().to_owned();
    receiver.next();
    server.delivery(&event_id, "delivered");
    let create = ["replays", "create", "backend", "--from", "1h", "--select", "all"];
    server.run(&[&create[..], &["--dry-run"]].concat()).ended(0).prints("1");
    assert!(receiver.is_empty());
    let replay = server.run(&create).ended(0).stdout;
    assert_eq!(receiver.next().header("webhook-id"), event_id, "it is the same event");
    server.run(&["replays", "show", replay.trim()]).ended(0).prints("created");
    server.run(&["replays", "create", "backend", "--from", "30d", "--dry-run"]).ended(0);
    server.run(&["replays", "list"]).ended(0).prints(replay.trim()).prints("backend");
}

#[test]
fn keys_and_appspaces_keep_tenants_apart() {
    let server = Setup::with(&source("tolinku", Scheme::BodyHex)).start();
    server.run(&["appspaces", "create", "acme"]).ended(0);
    server.run(&["appspaces", "list"]).ended(0).prints("acme").prints("default");
    let key =
        server.run(&["keys", "create", "--scope", "appspace", "--label", "acme's own", "--appspace", "acme"]).ended(0);
    let as_acme = |arguments: &[&str]| {
        let mut command = program();
        command.env("AFTERCLICK_SERVER", format!("http://{}", server.address)).env("AFTERCLICK_KEY", key.stdout.trim());
        run(&mut command, arguments)
    };
    let sources = as_acme(&["sources", "list"]).ended(0);
    assert!(!sources.stdout.contains("tolinku"), "{}", sources.stdout);
    let listed = server.run(&["keys", "list", "--json"]).ended(0).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed["data"].as_array().unwrap().iter().find(|key| key["label"] == "acme's own").unwrap()["id"].clone();
    server.run(&["keys", "revoke", id.as_str().unwrap()]).ended(0);
    as_acme(&["sources", "list"]).ended(1).says("does not know this key");
}

#[test]
fn a_server_that_is_not_there_and_a_key_that_is_missing_are_told() {
    let server = Setup::new().start();
    let mut command = program();
    command.env("AFTERCLICK_SERVER", format!("http://{}", server.address));
    run(&mut command, &["events", "list"]).ended(1).says("AFTERCLICK_ADMIN_KEY");
    let address = server.address;
    server.stop().ended(0);
    run(program().args(["--server", &format!("http://{address}")]), &[]).ended(2);
    run(&mut program(), &["events", "list", "--server", &format!("http://{address}")])
        .ended(1)
        .says("no server answers");
}

#[test]
fn the_doctor_finds_faults_and_says_what_to_do() {
    let receiver = Receiver::start();
    let setup = Setup::with(&one_destination(&receiver.url("/")));
    let server = setup.start();
    let data_dir = crate::support::argument(&setup.data_dir());
    let healthy = ["doctor", "--config", &setup.config(), "--data-dir", &data_dir, "--allow-private"];
    server
        .run(&healthy)
        .ended(0)
        .prints("is ready")
        .prints("lock: process")
        .prints("synchronous=FULL")
        .prints("key: accepted");

    // Without `--allow-private` the destination could not be reached, and a typed secret could be guessed.
    setup.write(
        "afterclick.toml",
        &one_destination(&receiver.url("/")).replace(crate::support::DESTINATION_SECRET, "aaaaaaaaaaaaaaaaaaaa"),
    );
    let sick = server.run(&["doctor", "--config", &setup.config(), "--data-dir", &data_dir]).ended(1);
    assert!(sick.stdout.contains("✗ destination backend") && sick.stdout.contains("looks weak"), "{}", sick.stdout);
    assert!(!sick.stdout.contains("aaaaaaaaaaaaaaaaaaaa"));
}

#[test]
fn what_needs_no_server_needs_none() {
    run(&mut program(), &["event-types"]).ended(0).prints("deferred_link.claimed");
    run(&mut program(), &["event-types", "link.clicked"]).ended(0).prints("\"event\": \"link.clicked\"");
    run(&mut program(), &["connectors"]).ended(0).prints("webhook").prints("clickhouse");
    run(&mut program(), &["connectors", "show", "webhook"]).ended(0).prints("scheme").prints("body-hex");
    run(&mut program(), &["connectors", "show", "clickhose"]).ended(2).says("did you mean `clickhouse`?");
    run(&mut program(), &["completions", "bash"]).ended(0).prints("afterclick");
}
