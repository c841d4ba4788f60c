//! The admin key and the master key.

use crate::support::{Server, Setup, request, run, until};

const OWN_KEY: &str = "my-own-admin-key-of-more-than-32-characters";

fn status(server: &Server, key: &str) -> u16 {
    let headers = vec![("authorization".to_owned(), format!("Bearer {key}"))];
    request(server.address, "GET", "/v1/keys", &headers, b"").status
}

#[test]
fn the_admin_key_is_made_and_printed_once() {
    let setup = Setup::new();
    let server = setup.start();
    let key = server.key();
    assert!(key.starts_with("ack_") && key.len() >= 36, "{key}");
    assert_eq!((status(&server, &key), status(&server, "ack_wrong")), (200, 401));
    assert_eq!(server.said().matches("first start").count(), 1);
    server.stop().ended(0);

    let server = setup.start();
    assert_eq!(status(&server, &key), 200);
    assert!(!server.stop().ended(0).stderr.contains("ack_"));
}

#[test]
fn a_key_of_ones_own_is_accepted_on_every_start_and_can_be_changed() {
    let setup = Setup::new();
    let server = Server::start(setup.command().env("AFTERCLICK_ADMIN_KEY", OWN_KEY));
    assert_eq!(status(&server, OWN_KEY), 200);
    assert!(!server.stop().ended(0).stderr.contains("ack_"), "no other one is made");

    let other = OWN_KEY.to_uppercase();
    let server = Server::start(setup.command().env("AFTERCLICK_ADMIN_KEY", &other));
    assert_eq!((status(&server, &other), status(&server, OWN_KEY)), (200, 401));
    server.stop().ended(0);
}

#[test]
fn a_lost_key_is_replaced_by_one_of_ones_own() {
    let setup = Setup::new();
    setup.start().stop().ended(0);
    let server = Server::start(setup.command().env("AFTERCLICK_ADMIN_KEY", OWN_KEY));
    assert_eq!(status(&server, OWN_KEY), 200);
}

#[test]
fn a_short_admin_key_is_refused_and_not_repeated() {
    let ended = run(Setup::new().command().env("AFTERCLICK_ADMIN_KEY", "too-short-key"), &[]).ended(2);
    assert!(ended.stderr.contains("at least 32") && !ended.stderr.contains("too-short-key"), "{}", ended.stderr);
}

#[test]
fn the_master_key_is_made_beside_the_store_with_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = Setup::new();
    let server = setup.start();
    let path = setup.data_dir().join("master.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    until("the warning", || server.said().contains("master.key").then_some(()));
    server.stop().ended(0);

    std::fs::remove_file(path).unwrap();
    run(&mut setup.command(), &[]).ended(1).says("master.key").says("AFTERCLICK_MASTER_KEY");
}

#[test]
fn a_master_key_can_be_rotated_and_a_wrong_one_does_not_open() {
    let setup = Setup::with(&crate::support::source("tolinku", domain::signature::Scheme::BodyHex));
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    let with = |keys: &str| {
        let mut command = setup.command();
        command.env("AFTERCLICK_MASTER_KEY", keys);
        command
    };
    Server::start(&mut with(&old)).stop().ended(0);
    assert!(!setup.data_dir().join("master.key").exists());
    run(&mut with(&new), &[]).ended(1).says("AFTERCLICK_MASTER_KEY");
    Server::start(&mut with(&format!("{new},{old}"))).stop().ended(0);
    Server::start(&mut with(&new)).stop().ended(0);
    let ended = run(&mut with("not-a-key"), &[]).ended(2);
    assert!(!ended.stderr.contains("not-a-key"), "{}", ended.stderr);
}
