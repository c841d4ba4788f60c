//! `afterclick backup`: beside a running server, and back again.

use domain::signature::Scheme;

use crate::support::{Receiver, Setup, argument, body, one_destination, program, run};

#[test]
fn a_backup_taken_beside_a_running_server_can_be_restored() {
    let receiver = Receiver::start();
    let setup = Setup::with(&one_destination(&receiver.url("/")));
    let server = setup.start();
    let key = server.key();
    let body = body("link.clicked", 1);
    let event_id = server.post("tolinku", Scheme::BodyHex, "", &body).json()["id"].as_str().unwrap().to_owned();
    server.delivery(&event_id, "delivered");

    let copy = setup.path("copy.db");
    let arguments = ["backup", &argument(&copy), "--data-dir", &argument(&setup.data_dir())];
    run(&mut program(), &arguments).ended(0).says("master.key");
    run(&mut program(), &arguments).ended(2).says("exists");
    server.stop().ended(0);

    let restored = Setup::new();
    std::fs::create_dir(restored.data_dir()).unwrap();
    std::fs::copy(&copy, restored.data_dir().join("afterclick.db")).unwrap();
    std::fs::copy(setup.data_dir().join("master.key"), restored.data_dir().join("master.key")).unwrap();
    let server = restored.start().with_key(&key);
    assert_eq!(server.get(&format!("/v1/events/{event_id}"))["body"].as_str().unwrap().as_bytes(), body);
    assert_eq!(server.get("/v1/destinations/backend")["managed_by"], "file");
    assert_eq!(server.post("tolinku", Scheme::BodyHex, "", &body).json()["duplicate"], true);
}

#[test]
fn a_directory_without_a_store_is_told() {
    let setup = Setup::new();
    let arguments = ["backup", &argument(&setup.path("copy.db")), "--data-dir", &argument(&setup.data_dir())];
    run(&mut program(), &arguments).ended(2).says("--data-dir");
}
