//! Who the events are about, on the command line; and what a receiver gets less of.

use domain::signature::Scheme;
use serde_json::{Value, json};

use crate::support::{DESTINATION_SECRET, Receiver, Server, Setup, one_destination, program, run};

/// Publishes an event at this time.
fn publish(server: &Server, at: &str, event_type: &str, data: &Value) -> String {
    server.publish(&json!([{ "event": event_type, "timestamp": at, "data": data }])).remove(0)
}

/// Somebody who clicked, installed and completed a referral.
fn ada(server: &Server) {
    let clicked =
        json!({ "click_id": "c-1", "campaign": "summer", "channel": "ads", "prefix": "go", "token": "promo" });
    publish(server, "2026-03-04T23:50:00Z", "link.clicked", &clicked);
    let installed = json!({ "click_id": "c-1", "install_id": "i-1", "platform": "ios" });
    publish(server, "2026-03-04T23:54:00Z", "install.tracked", &installed);
    publish(server, "2026-03-05T00:12:00Z", "referral.completed", &json!({ "install_id": "i-1" }));
    let email = ["--email", "Ada@example.org", "--name", "Ada Lovelace", "--trait", "seats=5"];
    let identify = [&["identify", "--user", "42", "--install", "i-1"][..], &email].concat();
    let told = server.run(&identify).ended(0).prints("sub_");
    told.says("known by user:42, email:ada@example.org, install:i-1").says("kept as evt_");
}

#[test]
fn a_journey_reads_from_the_click_to_the_conversion() {
    let server = Setup::new().start();
    ada(&server);
    let shown = server.run(&["journeys", "show", "user:42"]).ended(0).stdout;
    assert!(shown.starts_with("Ada Lovelace  customer\nsub_"), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let has = |line: &str| assert!(lines.iter().any(|shown| shown.trim_end() == line), "{line}\nis not in\n{shown}");
    has("2026-03-04");
    has("  23:50:00  ●  clicked the link            summer");
    has("            ○  was in the store");
    has("  23:54:00  ●  installed the app                                     4 minutes after the click");
    has("2026-03-05");
    has("  00:12:00  ●  completed the referral                                18 minutes after install");
    has("What sales sees");
    has("  campaign               summer");
    has("  link                   go/promo");
    has("  install to conversion  18 minutes");
    let json = server.run(&["journeys", "show", "ada@example.org", "--limit", "1", "--json"]).ended(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["steps"].as_array().map(Vec::len), &json["more"]), (Some(1), &json!(true)));
    server.run(&["journeys", "show", "user:43"]).ended(1).says("subject_not_found");
}

#[test]
fn a_subject_is_shown_taken_apart_and_erased() {
    let server = Setup::new().start();
    ada(&server);
    let shown = server.run(&["subjects", "show", "42"]).ended(0).prints("Ada Lovelace  customer").stdout;
    assert!(shown.contains("traits.seats") && shown.contains("lead source"), "{shown}");
    let again = ["identify", "--user", "42", "--install", "i-1"];
    server.run(&again).ended(0).says("it was known already");
    server.run(&["identify", "--user", "43", "--install", "i-1"]).ended(1).says("identity_conflict").says("unlink");
    server.run(&["identify", "--name", "Ada"]).ended(2).says("nobody is named");
    server.run(&["identify", "--user", "42", "--trait", "plan"]).ended(2).says("write `--trait name=value`");

    server.run(&["subjects", "unlink", "user:42"]).ended(2).says("nothing is named");
    server.run(&["subjects", "unlink", "user:42", "--install", "i-1"]).ended(0).prints("install:i-1").prints("yes");
    server.run(&["identify", "--user", "43", "--install", "i-1"]).ended(0);

    server.run(&["subjects", "erase", "user:42"]).ended(2).says("give `--yes`");
    server.run(&["subjects", "show", "user:42"]).ended(0);
    let receipt = server.run(&["subjects", "erase", "user:42", "--yes"]).ended(0);
    receipt.prints("erased sub_").prints("2 identifiers removed").says("no vendor is known");
    server.run(&["subjects", "show", "user:42"]).ended(1).says("subject_not_found");
    server.run(&["subjects", "show", "user:43"]).ended(0);
}

#[test]
fn who_takes_more_than_one_call_to_erase_is_erased_by_one_command() {
    let unfinished = |events: u32| {
        let detail = format!("{events} events are done, call again");
        json!({ "status": 503, "code": "erasure_unfinished", "detail": detail }).to_string()
    };
    let receipt = json!({ "subject": "sub_1", "removed": { "events": 250, "identifiers": 1 } }).to_string();
    let run_against = |vendor: &Receiver| {
        let erase = ["subjects", "erase", "user:42", "--yes", "--server", &vendor.url("")];
        run(&mut program(), &erase)
    };
    let server = Receiver::start().answer(&[503, 503]).say(&[&unfinished(100), &unfinished(200), &receipt]);
    let told = run_against(&server).ended(0).says("100 events are done").says("200 events are done");
    told.prints("erased sub_1").prints("250 events emptied").prints("1 identifier removed");
    // Whoever comes no further does not ask for ever.
    let stuck = Receiver::start().answer(&[503, 503, 503]).say(&[&unfinished(100), &unfinished(100)]);
    run_against(&stuck).ended(1).says("erasure_unfinished");
}

#[test]
fn a_key_may_hold_whatever_a_user_id_may() {
    let server = Setup::new().start();
    for user in ["a/b", "ü b+c?d#e%f", "https://id.example/42"] {
        server.run(&["identify", "--user", user]).ended(0);
        server.run(&["subjects", "show", &format!("user:{user}")]).ended(0).prints(&format!("user:{user}"));
        server.run(&["journeys", "show", user]).ended(0).prints("said who they are");
    }
}

#[test]
fn an_explanation_says_whom_an_event_is_about() {
    let server = Setup::new().start();
    let named = publish(&server, "2026-03-04T23:50:00Z", "link.clicked", &json!({ "click_id": "c-1" }));
    let shared = publish(&server, "2026-03-04T23:50:00Z", "link.clicked", &json!({ "token": "promo" }));
    server.run(&["events", "explain", &named]).ended(0).prints("about sub_").prints("known by click:c-1");
    server.run(&["events", "explain", &shared]).ended(0).prints("about nobody in particular");
}

#[test]
fn a_receiver_gets_what_it_may_see_signed_as_it_is_sent() {
    let receiver = Receiver::start().answer(&[503]);
    let config = format!("{}privacy.drop = [\"user_agent\"]\n", one_destination(&receiver.url("/")));
    let setup = Setup::with(&config);
    let server = setup.start();
    let data = json!({ "email": "ada@example.org", "ip": "192.0.2.77", "user_agent": "hidden", "campaign": "a" });
    publish(&server, "2026-03-04T23:50:00Z", "link.clicked", &data);
    let tries = [receiver.next(), receiver.next()];
    assert_eq!(tries[0].body, tries[1].body);
    for received in &tries {
        received.verify(Scheme::BodyHex);
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        assert_eq!(body["data"], json!({ "email": "ada@example.org", "ip": "192.0.2.77", "campaign": "a" }));
    }
}

#[test]
fn privacy_is_set_and_taken_back_on_the_command_line() {
    let receiver = Receiver::start();
    let server = Setup::new().start();
    let (url, secret) = (format!("url={}", receiver.url("/")), format!("secret={DESTINATION_SECRET}"));
    let create = ["destinations", "create", "mine", "--set", &url, "--set", &secret];
    server.run(&[&create[..], &["--privacy", "hash=email", "--privacy", "truncate=ip:24"]].concat()).ended(0);
    let shown = server.run(&["destinations", "show", "mine"]).ended(0).stdout;
    assert!(shown.contains("privacy.hash") && shown.contains("privacy.truncate.ip"), "{shown}");
    server.run(&["destinations", "change", "mine", "--privacy", "drop=email,phone"]).ended(0);
    let privacy = || server.get("/v1/destinations/mine")["privacy"].clone();
    assert_eq!(privacy(), json!({ "drop": ["email", "phone"], "truncate": { "ip": 24 } }));
    server.run(&["destinations", "change", "mine", "--privacy", "keep=email,phone,ip"]).ended(0);
    assert_eq!(privacy(), json!({}));
    server.run(&["destinations", "change", "mine", "--privacy", "ip"]).ended(2).says("truncate=ip:24");
}
