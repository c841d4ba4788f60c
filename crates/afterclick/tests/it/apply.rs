//! `afterclick apply`: the plan, and what it does.

use domain::signature::Scheme;

use crate::support::{Setup, destination, one_destination, source};

const URL: &str = "https://backend.example.com/hooks";

#[test]
fn a_file_is_applied_once_and_then_there_is_nothing_to_do() {
    let setup = Setup::new();
    let server = setup.start();
    setup.write("afterclick.toml", &one_destination(URL));
    let file = setup.config();

    let plan = server.run(&["apply", &file, "--dry-run"]).ended(0);
    assert_eq!(plan.stdout.matches("create").count(), 2, "{}", plan.stdout);
    assert_eq!(server.get("/v1/destinations")["data"].as_array().map(Vec::len), Some(0), "a dry run changes nothing");

    server.run(&["apply", &file, "--yes"]).ended(0).says("applied 2 changes");
    assert_eq!(server.get("/v1/destinations/backend")["managed_by"], "file");
    server.run(&["apply", &file, "--yes"]).ended(0).says("nothing to do");
}

#[test]
fn a_change_is_planned_by_name_without_its_value() {
    let setup = Setup::with(&one_destination(URL));
    let server = setup.start();
    let id = server.get("/v1/destinations/backend")["id"].clone();
    setup.write("afterclick.toml", &one_destination("https://new-home.example.com/"));
    let plan = server.run(&["apply", &setup.config(), "--yes"]).ended(0).prints("update").prints("settings.url");
    assert!(!plan.stdout.contains("new-home"), "{}", plan.stdout);
    assert_eq!(server.get("/v1/destinations/backend")["id"], id, "it is changed, not made anew");
}

#[test]
fn only_prune_deletes_and_only_what_came_from_the_file() {
    let setup = Setup::with(&format!("{}\n{}", one_destination(URL), destination("extra", URL, Scheme::BodyHex)));
    let server = setup.start();
    server.run(&["destinations", "create", "by-hand", "--set", &format!("url={URL}")]).ended(0);
    setup.write("afterclick.toml", &one_destination(URL));

    server.run(&["apply", &setup.config(), "--yes"]).ended(0).says("nothing to do");
    server.run(&["apply", &setup.config(), "--yes", "--prune"]).ended(0).prints("delete").prints("extra");
    let names: Vec<_> =
        server.get("/v1/destinations")["data"].as_array().unwrap().iter().map(|d| d["name"].clone()).collect();
    assert_eq!(names, ["backend", "by-hand"]);
}

#[test]
fn what_left_the_file_stays_and_is_told_at_the_next_start() {
    let setup = Setup::with(&format!("{}\n{}", one_destination(URL), destination("extra", URL, Scheme::BodyHex)));
    let server = setup.start();
    let key = server.key();
    server.stop().ended(0);
    setup.write("afterclick.toml", &one_destination(URL));
    let server = setup.start().with_key(&key);
    assert_eq!(server.get("/v1/destinations/extra")["name"], "extra");
    server.stop().ended(0).says("afterclick.toml --prune`").says("extra");
}

#[test]
fn what_the_api_made_is_never_taken_over() {
    let setup = Setup::with(&source("tolinku", Scheme::BodyHex));
    let server = setup.start();
    server.run(&["destinations", "create", "backend", "--set", &format!("url={URL}")]).ended(0);
    setup.write("afterclick.toml", &one_destination(URL));
    server.run(&["apply", &setup.config(), "--yes"]).ended(1).says("name_taken");
}

#[test]
fn what_the_file_made_cannot_be_changed_through_the_api() {
    let server = Setup::with(&one_destination(URL)).start();
    server.run(&["destinations", "delete", "backend"]).ended(1).says("managed_by_file");
    server.run(&["destinations", "pause", "backend"]).ended(0);
}
