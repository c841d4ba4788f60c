//! Mail by campaign, with the real connector over the engine: a cap that holds whatever happens at once, and one mail to
//! each person.

use domain::DestinationId;
use domain::delivery::State;
use pipeline::dispatcher::DispatcherOptions;
use serde_json::{Value, json};

use crate::engine::{Answer, Engine, SECOND, Sent};

async fn mailer(
    script: impl Fn(&Sent) -> Answer + Send + Sync + 'static,
    more: impl FnOnce(&mut Value),
) -> (Engine, DestinationId) {
    let engine = Engine::new(script).await;
    let mut settings = json!({
        "provider": "postmark", "api_key": "token", "from": "hello@acme.example", "subject": "Hi", "text": "Hello",
    });
    more(&mut settings);
    let mailer = engine
        .destination("welcome", |destination| {
            "email".clone_into(&mut destination.connector);
            destination.events = serde_json::from_value(json!(["deferred_link.claimed"])).unwrap();
            destination.settings = serde_json::from_value(settings).unwrap();
        })
        .await;
    (engine, mailer)
}

/// Lets installs of this person come in.
async fn installs(engine: &Engine, email: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let data = json!({"email": email, "number": number});
        let body = json!({"event": "deferred_link.claimed", "timestamp": "2026-03-04T14:32:08.441Z", "data": data});
        engine.house.send(&body.to_string()).await.unwrap();
    }
}

fn accepted() -> Value {
    json!({"ErrorCode": 0, "Message": "OK"})
}

#[tokio::test(start_paused = true)]
async fn somebody_who_comes_eight_times_at_once_gets_one_mail_and_others_get_theirs() {
    let slowly = |_: &Sent| Answer::SlowlySays(SECOND, accepted());
    let (engine, mailer) = mailer(slowly, |settings| settings["per_recipient_per_day"] = json!(1)).await;
    installs(&engine, "ada@example.org", 0..8).await;
    installs(&engine, "bob@example.org", 8..9).await;
    engine.pass(60 * SECOND).await;
    let to = engine
        .wires
        .to(mailer)
        .into_iter()
        .map(|sent| serde_json::from_slice::<Value>(&sent.body).unwrap()["To"].clone());
    let mut to: Vec<_> = to.map(|to| to.as_str().unwrap().to_owned()).collect();
    to.sort();
    assert_eq!(to, ["ada@example.org", "bob@example.org"]);
    assert_eq!((engine.count(mailer, State::Delivered).await, engine.count(mailer, State::Skipped).await), (2, 7));
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_was_perhaps_sent_counts_and_is_not_sent_again() {
    let script = |sent: &Sent| if sent.before == 0 { Answer::Breaks } else { Answer::Says(accepted()) };
    let (mut engine, mailer) = mailer(script, |settings| settings["per_recipient_per_day"] = json!(1)).await;
    installs(&engine, "ada@example.org", 0..1).await;
    engine.pass(60 * SECOND).await;
    engine.restart(DispatcherOptions::default()).await;
    installs(&engine, "ada@example.org", 1..2).await;
    engine.pass(4_000 * SECOND).await;
    assert_eq!(engine.wires.to(mailer).len(), 1);
    assert_eq!((engine.count(mailer, State::Dead).await, engine.count(mailer, State::Skipped).await), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_sender_pauses_the_destination_and_nothing_is_lost() {
    let refusal = json!({"ErrorCode": 400, "Message": "The sender is not confirmed."});
    let script = move |_: &Sent| Answer::Refuses(422, refusal.clone());
    let (engine, mailer) = mailer(script, |_| {}).await;
    installs(&engine, "ada@example.org", 0..3).await;
    engine.pass(4_000 * SECOND).await;
    assert!(engine.wires.to(mailer).len() <= 3);
    assert_eq!(engine.count(mailer, State::Pending).await, 3);
}
