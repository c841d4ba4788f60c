//! `destinations provision` and `destinations preview`: what a person sees before anything happens at a vendor.

use crate::support::{Receiver, Server, Setup};

const VERSION: &str = r#"{"version":"24.8.1.1","zone":"UTC"}"#;
const DATABASE: &str = r#"{"name":"default"}"#;
/// Answers to the looks at a database without a table.
const NO_TABLE: [&str; 3] = [VERSION, DATABASE, ""];

/// A server with a destination whose database is this receiver.
fn served(database: &Receiver) -> Server {
    let config = format!(
        "[[destination]]\nname = \"warehouse\"\nconnector = \"clickhouse\"\nsettings.url = \"{}\"\n\
         settings.password = \"canary-password\"\n",
        database.url("/")
    );
    Setup::with(&config).start()
}

#[test]
fn a_plan_is_shown_and_nothing_is_made_unless_somebody_says_yes() {
    let database = Receiver::start().say(&NO_TABLE).say(&NO_TABLE);
    let server = served(&database);
    let plan = server.run(&["destinations", "provision", "warehouse", "--dry-run"]).ended(0);
    assert!(plan.stdout.starts_with("1. create table"), "{}", plan.stdout);
    assert!(plan.stderr.starts_with("this is missing"), "{}", plan.stderr);
    assert!(plan.stdout.contains("CREATE TABLE IF NOT EXISTS"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("canary"), "{}", plan.stdout);
    server.run(&["destinations", "provision", "warehouse"]).ended(2).says("--yes");
    for _ in 0..6 {
        assert!(!String::from_utf8_lossy(&database.next().body).contains("CREATE"));
    }
    assert!(database.is_empty());
}

#[test]
fn what_is_missing_is_made_once() {
    let columns = |text: &str| -> String {
        let names = text.split('`').skip(1).step_by(2).skip(2);
        let rows: Vec<_> = names.map(|name| format!("{{\"name\":\"{name}\",\"type\":\"String\"}}")).collect();
        rows.join("\n")
    };
    let database = Receiver::start().say(&NO_TABLE).say(&NO_TABLE).say(&[""]);
    let server = served(&database);
    let made = server.run(&["destinations", "provision", "warehouse", "--yes"]).ended(0).stdout;
    assert_eq!(made.trim_end(), "done       create table `default`.`deep_link_events`");
    // Three looks for the plan and three before it is done.
    for _ in 0..6 {
        database.next();
    }
    let statement = String::from_utf8(database.next().body).unwrap();

    let database = database.say(&[VERSION, DATABASE, &columns(&statement)]);
    server.run(&["destinations", "provision", "warehouse", "--yes"]).ended(0).says("nothing to do");
    let looks = (0..3).map(|_| database.next()).filter(|look| look.body.starts_with(b"SELECT")).count();
    assert!(looks == 3 && database.is_empty());
}

#[test]
fn a_vendor_that_refuses_is_quoted_and_the_command_fails() {
    let database = Receiver::start().say(&NO_TABLE).say(&NO_TABLE).say(&["Code: 497. DB::Exception: not enough"]);
    let database = database.answer(&[200, 200, 200, 200, 200, 200, 403]);
    let server = served(&database);
    server.run(&["destinations", "provision", "warehouse", "--yes"]).ended(1).prints("failed").says("497");
}

#[test]
fn a_connector_that_makes_nothing_says_so() {
    let server = Setup::with(&crate::support::one_destination("https://backend.example.com/")).start();
    server.run(&["destinations", "provision", "backend", "--yes"]).ended(1).says("provisioning_unsupported");
}

#[test]
fn a_preview_is_read_like_a_request_and_says_why_nothing_would_be_sent() {
    let database = Receiver::start();
    let server = served(&database);
    let shown = server.run(&["destinations", "preview", "warehouse"]).ended(0).says("a sample of `link.clicked`");
    assert!(shown.stdout.starts_with("POST http://127.0.0.1"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("canary"), "{}", shown.stdout);
    let test = server.run(&["destinations", "preview", "warehouse", "--type", "test"]).ended(0);
    test.says("it would not be sent: `test` is not among its events");
    let json = server.run(&["destinations", "preview", "warehouse", "--json"]).ended(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["request"]["method"], "POST");
    assert!(database.is_empty(), "a preview sends nothing");
}
