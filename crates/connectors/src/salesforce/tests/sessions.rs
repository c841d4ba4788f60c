//! The session and the day's calls: what ends is begun anew, and what is scarce is left to others.

use super::*;

#[test]
fn a_session_that_ended_is_begun_anew_and_nothing_is_doubled() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada()]);
    world.org.session = Duration::from_hours(2);
    let spoilt = world.org.words(vendors::Fault::TokenExpired, &Request::new("GET", "/", "")).unwrap();
    assert_eq!(spoilt.status, 401);
    assert_eq!(world.deliver(&[ada(), person(&["user:2"])]), ["delivered"; 2]);
    assert_eq!((world.org.tokens_issued(), world.leads().len()), (2, 2));
}

#[test]
fn a_session_that_ends_before_a_merge_is_begun_anew() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stub = person(&["install:i"]);
    world.deliver(&[stub.clone(), ada()]);
    let (outlet, token, mut bindings) = (world.outlet(), world.token.clone(), world.bindings.clone());
    let known = absorbing(&ada(), &[&stub]);
    let mut status = 0;
    let (step, progress) = with_items(&[known], 0, |items| {
        let batch = Batch { items, now: NOW, token: token.as_ref(), digest: None };
        let ask = |call: &HttpCall, number| {
            if number == 1 {
                world.org.words(vendors::Fault::TokenExpired, &Request::new("GET", "/", ""));
            }
            let reply = world.ask(call)?;
            status = reply.status;
            Some(reply)
        };
        exchange(outlet.as_ref(), &batch, &mut bindings, ask).unwrap()
    });
    assert_eq!((progress.replies, status), (2, 500), "the merge is refused");
    assert!(matches!(step, Step::Reauthorize { .. }));
}

#[test]
fn the_days_calls_are_left_to_others_before_they_are_used_up() {
    let mut world = World::new(&json!({"api_share": 50}));
    world.org.api_limit = 10;
    world.deliver(&[ada()]);
    assert_eq!(world.pause, None);
    world.org.api_used = 4;
    assert_eq!(world.deliver(&[ada()]), ["delivered"]);
    assert_eq!(world.pause, Some(Duration::from_mins(15)));
    world.org.api_used = 10;
    let verdicts = world.deliver(&[ada()]);
    assert!(verdicts[0].starts_with("wait 900000 ms"), "{verdicts:?}");
}
