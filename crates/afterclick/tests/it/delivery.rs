//! Events in, deliveries out.

use domain::signature::Scheme;

use crate::support::{Receiver, Setup, body, destination, one_destination, source};

#[test]
fn an_event_signed_in_any_scheme_arrives_signed_in_every_scheme() {
    let receiver = Receiver::start();
    let mut config = String::new();
    for scheme in Scheme::ALL {
        config.push_str(&source(&format!("from-{scheme}"), scheme));
        config.push_str(&destination(&format!("to-{scheme}"), &receiver.url(&format!("/{scheme}")), scheme));
    }
    let server = Setup::with(&config).start();
    for (unique, scheme) in (1..).zip(Scheme::ALL) {
        let body = body("link.clicked", unique);
        let answer = server.post(&format!("from-{scheme}"), scheme, &format!("msg_{unique}"), &body);
        assert_eq!(answer.status, 200, "{}", answer.json());
        let event_id = answer.json()["id"].as_str().unwrap().to_owned();

        let mut paths = Vec::new();
        for _ in Scheme::ALL {
            let received = receiver.next();
            let name = received.path.trim_start_matches('/').to_owned();
            received.verify(Scheme::from_name(&name).unwrap());
            assert_eq!(received.body, body, "the body is the bytes that were received");
            assert_eq!(received.header("webhook-id"), event_id);
            assert_eq!(received.header("x-webhook-event"), "link.clicked");
            assert_eq!(received.header("content-type"), "application/json");
            assert!(received.header("user-agent").starts_with("Afterclick/"));
            // Whatever the chosen scheme, the Standard Webhooks headers are there and verify.
            received.verify(Scheme::StandardWebhooks);
            paths.push(name);
        }
        paths.sort();
        let mut names: Vec<_> = Scheme::ALL.map(|scheme| scheme.name().to_owned()).into();
        names.sort();
        assert_eq!(paths, names);
    }
}

#[test]
fn a_duplicate_is_answered_like_the_first_and_delivered_once() {
    let receiver = Receiver::start();
    let server = Setup::with(&one_destination(&receiver.url("/"))).start();
    let (first, other) = (body("install.tracked", 1), body("install.tracked", 2));
    let id = |answer: crate::support::Answer| answer.json()["id"].as_str().unwrap().to_owned();

    let event_id = id(server.post("tolinku", Scheme::BodyHex, "", &first));
    let again = server.post("tolinku", Scheme::BodyHex, "", &first).json();
    assert_eq!((again["id"].as_str(), again["duplicate"].as_bool()), (Some(&*event_id), Some(true)));
    let other_id = id(server.post("tolinku", Scheme::BodyHex, "", &other));

    // The other event's arrival shows that a second delivery of the first would have been there by now.
    let mut arrived =
        [receiver.next().header("webhook-id").to_owned(), receiver.next().header("webhook-id").to_owned()];
    arrived.sort();
    assert_eq!(arrived, [event_id.clone(), other_id]);
    assert!(receiver.is_empty());
    assert_eq!(server.get(&format!("/v1/events/{event_id}"))["duplicates"], 1);
}

#[test]
fn a_receiver_that_is_down_is_tried_again_until_it_answers() {
    let receiver = Receiver::start().answer(&[503, 500]);
    let server = Setup::with(&one_destination(&receiver.url("/"))).start();
    let answer = server.post("tolinku", Scheme::BodyHex, "", &body("referral.completed", 1));
    let event_id = answer.json()["id"].as_str().unwrap().to_owned();

    let ids: Vec<_> = (0..3).map(|_| receiver.next().header("webhook-id").to_owned()).collect();
    assert_eq!(ids, vec![event_id.clone(); 3]);
    let delivery = server.delivery(&event_id, "delivered");
    assert_eq!(delivery["attempts"], 3);
}

#[test]
fn what_is_given_up_is_a_dead_letter_and_can_be_sent_again() {
    let receiver = Receiver::start().answer(&[500, 500, 500]);
    let server = Setup::with(&one_destination(&receiver.url("/"))).start();
    let answer = server.post("tolinku", Scheme::BodyHex, "", &body("link.opened", 1));
    let event_id = answer.json()["id"].as_str().unwrap().to_owned();

    let dead = server.delivery(&event_id, "dead");
    assert_eq!((&dead["attempts"], &dead["reason"]), (&3.into(), &"server_error".into()));
    server.run(&["dead-letters", "list"]).ended(0).prints(dead["id"].as_str().unwrap()).prints("server_error");
    server.run(&["dead-letters", "redrive", "--destination", "backend"]).ended(0).prints("redriven: 1");
    assert_eq!(server.delivery(&event_id, "delivered")["attempts"], 4);
}

#[test]
fn a_forged_body_is_refused_and_not_stored() {
    let server = Setup::with(&source("tolinku", Scheme::BodyHex)).start();
    let genuine = body("link.clicked", 1);
    let headers = crate::support::signed(Scheme::BodyHex, crate::support::SOURCE_SECRET, "", &genuine);
    let answer = server.post_raw("tolinku", &headers, &body("link.clicked", 2));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("signature_mismatch")));
    assert_eq!(server.post_raw("tolinku", &Vec::new(), &genuine).json()["code"], "signature_missing");
    assert_eq!(server.get("/v1/events")["data"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_private_target_is_refused_unless_it_is_allowed() {
    let receiver = Receiver::start();
    let setup = Setup::with(&one_destination(&receiver.url("/")));
    let mut command = crate::support::program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--config", &setup.config(), "--data-dir"]).arg(setup.data_dir());
    crate::support::run(&mut command, &[]).ended(2).says("backend").says("https://");
}
