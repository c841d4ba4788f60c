//! Starting, stopping and starting again.

use domain::signature::Scheme;

use crate::support::{Receiver, SILENCE, Server, Setup, body, one_destination, program, request, run, source, until};

#[test]
fn stdout_carries_exactly_one_line() {
    let setup = Setup::with(&source("tolinku", Scheme::BodyHex));
    let server = setup.start();
    assert_eq!(server.post("tolinku", Scheme::BodyHex, "", &body("test", 1)).status, 200);
    let ended = server.stop().ended(0);
    assert_eq!(ended.stdout, "", "after the first line nothing follows");
}

#[test]
fn readiness_and_health_are_open() {
    let server = Setup::new().start();
    for path in ["/readyz", "/healthz", "/metrics", "/v1/openapi.json"] {
        assert_eq!(request(server.address, "GET", path, &Vec::new(), b"").status, 200, "{path}");
    }
}

#[test]
fn a_restart_keeps_everything_and_finishes_what_was_owed() {
    let receiver = Receiver::start();
    // Nobody listens at the first address; the delivery is still owed when the server stops.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup =
        Setup::with(&one_destination(&format!("http://{closed}/")).replace("\"50ms\", \"100ms\"", "\"50ms\", \"7d\""));
    let server = setup.start();
    let key = server.key();
    let body = body("link.conversion", 1);
    let event_id = server.post("tolinku", Scheme::BodyHex, "", &body).json()["id"].as_str().unwrap().to_owned();
    until("the second attempt", || {
        let deliveries = server.get(&format!("/v1/deliveries?event={event_id}"));
        (deliveries["data"][0]["attempts"].as_u64()? >= 2).then_some(())
    });
    server.stop().ended(0);

    setup.write("afterclick.toml", &one_destination(&receiver.url("/")));
    let server = setup.start().with_key(&key);
    assert!(!server.said().contains("    ack_"), "the key is printed on the first start only");
    let event = server.get(&format!("/v1/events/{event_id}"));
    assert_eq!(event["body"].as_str().unwrap().as_bytes(), body);
    let delivery =
        server.get(&format!("/v1/deliveries?event={event_id}"))["data"][0]["id"].as_str().unwrap().to_owned();
    server.run(&["deliveries", "retry", &delivery]).ended(0);
    let received = receiver.next();
    assert_eq!((received.header("webhook-id"), &received.body), (&*event_id, &body));
    // The duplicate is known across the restart.
    assert_eq!(server.post("tolinku", Scheme::BodyHex, "", &body).json()["duplicate"], true);
}

#[test]
fn a_second_process_on_the_same_directory_is_told_whose_it_is() {
    let setup = Setup::new();
    let server = setup.start();
    let second = run(&mut setup.command(), &[]).ended(1);
    assert!(second.stderr.contains(&format!("in use by process {}", server.pid())), "{}", second.stderr);
    assert_eq!(second.stdout, "");
    assert_eq!(request(server.address, "GET", "/readyz", &Vec::new(), b"").status, 200);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::new();
    let mut command = program();
    command.args(["serve", "--listen", &address, "--data-dir"]).arg(setup.data_dir());
    let ended = run(&mut command, &[]).ended(1).says(&address).says("--listen");
    assert!(!ended.stderr.contains("ack_"), "a start that fails spends no admin key");
}

#[test]
fn both_signals_end_it_in_order() {
    for name in ["TERM", "INT"] {
        let server = Setup::new().start();
        server.signal(name);
        server.wait().ended(0).says("stopped");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let receiver = Receiver::start().answer(&[SILENCE]);
    let server = Setup::with(&one_destination(&receiver.url("/"))).start();
    server.post("tolinku", Scheme::BodyHex, "", &body("link.clicked", 1));
    receiver.next();
    server.signal("TERM");
    until("the first signal to be noticed", || server.said().contains("a second signal ends at once").then_some(()));
    server.signal("TERM");
    server.wait().ended(1).says("ended by a second signal");
}

#[test]
fn a_store_that_fails_ends_the_process_and_loses_nothing_acknowledged() {
    let setup = Setup::with(&source("tolinku", Scheme::BodyHex));
    let server = setup.start();
    let key = server.key();
    server.stop().ended(0);
    // No file may grow past 2 MiB: sooner or later a write fails, as on a broken disk. Were the signal not ignored, the
    // limit would kill the process before it could notice.
    let serve = setup.command();
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$@\"", "sh"]);
    let server = Server::start(limited.arg(serve.get_program()).args(serve.get_args()));
    let mut acknowledged = Vec::new();
    for unique in 0.. {
        assert!(unique < 10_000, "the limit was never met");
        let mut large = body("link.clicked", unique);
        // Members that nobody knows are kept.
        large.truncate(large.len() - 1);
        large.extend(format!(",\"filler\":\"{}\"}}", "x".repeat(100_000)).bytes());
        match server.try_post("tolinku", Scheme::BodyHex, &large) {
            Some(answer) if answer.status == 200 => acknowledged.push((answer.json()["id"].clone(), large)),
            Some(answer) => {
                assert!(answer.status >= 500, "{}", answer.json());
                break;
            }
            None => break,
        }
    }
    server.wait().ended(1).says("the store failed");

    let server = setup.start().with_key(&key);
    assert!(!acknowledged.is_empty());
    for (id, large) in acknowledged {
        let event = server.get(&format!("/v1/events/{}", id.as_str().unwrap()));
        assert_eq!(event["body"].as_str().unwrap().as_bytes(), large);
    }
}

#[test]
fn an_attempt_in_flight_is_finished_before_the_end() {
    let receiver = crate::support::Receiver::start();
    let setup = Setup::with(&one_destination(&receiver.url("/")));
    let server = setup.start();
    let key = server.key();
    let answer = server.post("tolinku", Scheme::BodyHex, "", &body("link.clicked", 1));
    let event_id = answer.json()["id"].as_str().unwrap().to_owned();
    receiver.next();
    server.stop().ended(0);
    let server = setup.start().with_key(&key);
    let delivery = server.get(&format!("/v1/deliveries?event={event_id}"))["data"][0].clone();
    assert_eq!(delivery["state"], "delivered", "its outcome reached the disk: {delivery}");
}

#[test]
fn the_environment_and_the_file_say_how_it_runs() {
    let setup = Setup::new();
    let config = setup.write("c.toml", "[server]\nlisten = \"127.0.0.1:1\"\nlog = \"json\"\n");
    let mut command = program();
    command.arg("serve").env("AFTERCLICK_CONFIG", config).env("AFTERCLICK_LISTEN", "127.0.0.1:0");
    let server = Server::start(command.env("AFTERCLICK_DATA_DIR", setup.data_dir()));
    let ended = server.stop().ended(0);
    let line = ended.stderr.lines().find(|line| line.starts_with('{')).expect("log lines are JSON");
    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
}

#[test]
fn no_secret_is_ever_logged() {
    let receiver = Receiver::start().answer(&[500]);
    let setup = Setup::with(&one_destination(&receiver.url("/hooks?token=very-hidden")));
    let server = Server::start(setup.command().args(["--log-level", "trace"]));
    let event = server.post("tolinku", Scheme::BodyHex, "", &body("link.clicked", 1)).json();
    server.delivery(event["id"].as_str().unwrap(), "delivered");
    let said = server.stop().ended(0).stderr;
    for secret in [crate::support::SOURCE_SECRET, crate::support::DESTINATION_SECRET, "very-hidden", "spring-sale"] {
        assert!(!said.contains(secret), "`{secret}` is in the log");
    }
}
