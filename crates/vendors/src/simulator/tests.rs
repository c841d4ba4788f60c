use std::time::Duration;

use serde_json::json;

use super::*;
use crate::probe;

/// Stores every body under its path.
#[derive(Debug)]
struct Parrot;

impl Vendor for Parrot {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        book.store(request.path(), json!(String::from_utf8_lossy(&request.body)));
        Answer::text(200, "kept")
    }

    fn is_aside(&self, request: &Request) -> bool {
        request.path() == "/ping"
    }
}

fn post(simulator: &Simulator<Parrot>, path: &str) -> Option<(u16, String)> {
    probe::send(simulator.address(), &Request::new("POST", path, "hello")).map(|reply| (reply.status, reply.body))
}

#[test]
fn a_request_is_answered_and_kept_byte_for_byte() {
    let simulator = Parrot.start(Faults::none());
    assert_eq!(post(&simulator, "/a?b=c"), Some((200, "kept".to_owned())));
    simulator.book(|book| {
        assert_eq!((book.stored_keys(), book.times_stored("/a")), (vec!["/a"], 1));
        let received = &book.received[0];
        assert_eq!((received.request.target.as_str(), &received.request.body[..]), ("/a?b=c", &b"hello"[..]));
        assert_eq!((received.status, received.fault), (Some(200), None));
    });
}

#[test]
fn faults_that_come_after_storing_store_and_the_others_do_not() {
    let second = Duration::from_secs(1);
    let plan = [
        (Fault::RateLimit { retry_after_s: 3 }, Some(429), 0),
        (Fault::ServerError(503), Some(503), 0),
        (Fault::TokenExpired, Some(401), 0),
        (Fault::DropBefore, None, 0),
        (Fault::DropAfter, None, 1),
        (Fault::LateSuccess { hold: Duration::from_millis(1) }, None, 1),
        (Fault::Slow { hold: Duration::from_millis(1) }, Some(200), 1),
        (Fault::PartialFailure, Some(200), 1),
        (Fault::Garbage, Some(200), 0),
    ];
    let simulator = Parrot.start(Faults::script(plan.iter().map(|(fault, ..)| Some(*fault))));
    for (index, (fault, status, stored)) in plan.into_iter().enumerate() {
        let path = format!("/{index}");
        assert_eq!(post(&simulator, &path).map(|(status, _)| status), status, "{fault:?}");
        simulator.advance(second);
        assert_eq!(simulator.book(|book| book.times_stored(&path)), stored, "{fault:?}");
    }
    assert_eq!(simulator.book(Book::faults_met), 9);
    assert_eq!(post(&simulator, "/after").map(|(status, _)| status), Some(200));
}

#[test]
fn a_late_success_is_stored_at_once_and_holds_up_nobody_else() {
    let hold = Duration::from_hours(1);
    let simulator = Parrot.start(Faults::script([Some(Fault::LateSuccess { hold })]));
    assert_eq!(
        probe::give_up(simulator.address(), &Request::new("POST", "/late", ""), || {
            simulator.book(|book| book.times_stored("/late") == 1)
        }),
        Ok(())
    );
    assert_eq!(post(&simulator, "/next").map(|(status, _)| status), Some(200));
}

#[test]
fn what_is_aside_meets_no_fault_and_is_not_counted() {
    let simulator = Parrot.start(Faults::script([Some(Fault::ServerError(500))]));
    assert_eq!(post(&simulator, "/ping").map(|(status, _)| status), Some(200));
    assert_eq!(post(&simulator, "/a").map(|(status, _)| status), Some(500));
}

#[tokio::test]
async fn a_test_can_wait_for_the_book_to_fill() {
    let simulator = Parrot.start(Faults::none());
    let address = simulator.address();
    let sending = std::thread::spawn(move || {
        (0..5).filter_map(|n| probe::send(address, &Request::new("POST", &format!("/{n}"), ""))).count()
    });
    assert!(simulator.until(Duration::from_secs(20), |book| book.stored.len() == 5).await);
    assert!(!simulator.until(Duration::ZERO, |book| book.stored.len() == 6).await);
    assert_eq!(sending.join().unwrap(), 5);
}
