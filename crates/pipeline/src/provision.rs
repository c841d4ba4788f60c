//! Provisioning: making what a destination needs at its vendor, by a person's order.
//!
//! First looks, which change nothing; then the plan, which the connector makes of what came back; then, if that is wanted,
//! one action after another until one fails. Done twice it finds nothing to do, and what it finds there it leaves alone.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::connector::{Action, Call, Means, Reply, Shown, Token};
use domain::{DestinationId, Outlet, Verdict};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::registry::LiveDestination;
use crate::scrub::Scrubber;
use crate::transport::Transport;

/// Most calls of one survey.
pub const SURVEY_CALLS_MAX: usize = 16;
/// Most actions of one plan.
pub const ACTIONS_MAX: usize = 64;
/// Longest wait for the reply to one call.
pub const CALL_MAX: Duration = Duration::from_secs(20);
/// Longest time of the whole, after which nothing more is begun.
pub const PROVISION_MAX: Duration = Duration::from_secs(45);

/// Makes what destinations need.
pub struct Provisioner {
    transport: Arc<dyn Transport>,
    clock: Arc<Clock>,
    /// Destinations at which something is being made at this moment.
    under_way: Mutex<HashSet<DestinationId>>,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To know what would be made.
    Plan,
    /// To have it made.
    Make,
}

/// One thing that was not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// For a person: what is made.
    pub reason: String,
    /// How, without what is secret.
    pub call: Shown,
    pub state: State,
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Only planned.
    Planned,
    Done,
    /// With what the vendor said.
    Failed(String),
    /// One before it failed.
    NotTried,
}

/// Why there is no plan. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    #[error("a destination of `{0}` needs nothing that Afterclick could make for it")]
    NothingToMake(String),
    #[error("somebody is doing this at this moment; wait until it is done")]
    UnderWay,
    #[error("the vendor gave no token: {0}")]
    NoToken(String),
    #[error(
        "what is there could not be looked at: {0}; see whether the host in the settings is right and can be reached from here"
    )]
    NoReply(String),
    /// In the connector's words.
    #[error("{0}")]
    NoPlan(String),
    #[error("the connector wants more than {SURVEY_CALLS_MAX} looks or {ACTIONS_MAX} actions; this is a bug of it")]
    TooMuch,
}

impl Provisioner {
    /// Sends through `transport`.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<Clock>) -> Self {
        Self { transport, clock, under_way: Mutex::default() }
    }

    /// Finds out what is missing and, if that is the wish, makes it. Empty if everything is there.
    pub async fn provision(&self, live: &LiveDestination, wish: Wish) -> Result<Vec<Made>, ProvisionError> {
        let id = live.destination.id;
        if !self.under_way().insert(id) {
            return Err(ProvisionError::UnderWay);
        }
        let _turn = Turn { provisioner: self, id };
        let mut token = None;
        let outcome = self.run(id, &live.destination.connector, live.outlet.as_ref(), wish, &mut token).await;
        let of_token = token.as_ref().map(Scrubber::of_token).unwrap_or_default();
        scrubbed(outcome, &[&live.scrubber, &of_token])
    }

    async fn run(
        &self,
        lane: DestinationId,
        connector: &str,
        outlet: &dyn Outlet,
        wish: Wish,
        token: &mut Option<Token>,
    ) -> Result<Vec<Made>, ProvisionError> {
        let deadline = Instant::now() + PROVISION_MAX;
        *token = self.token(lane, outlet, deadline).await?;
        let means = Means { now: self.clock.now(), token: token.as_ref() };
        let Some(survey) = outlet.survey(&means) else {
            return Err(ProvisionError::NothingToMake(connector.to_owned()));
        };
        if survey.len() > SURVEY_CALLS_MAX {
            return Err(ProvisionError::TooMuch);
        }
        let mut replies = Vec::with_capacity(survey.len());
        for call in survey {
            replies.push(self.call(lane, call, deadline).await.map_err(ProvisionError::NoReply)?);
        }
        // Looking may have taken a while, and what is signed is signed with the time.
        let means = Means { now: self.clock.now(), ..means };
        let actions = outlet.plan(&means, &replies).map_err(ProvisionError::NoPlan)?;
        if actions.len() > ACTIONS_MAX {
            return Err(ProvisionError::TooMuch);
        }
        Ok(match wish {
            Wish::Plan => actions.into_iter().map(|action| Made::of(&action, State::Planned)).collect(),
            Wish::Make => self.make(lane, outlet, actions, deadline).await,
        })
    }

    /// One after another; what follows a failure is not tried, for it may build upon it.
    async fn make(
        &self,
        lane: DestinationId,
        outlet: &dyn Outlet,
        actions: Vec<Action>,
        deadline: Instant,
    ) -> Vec<Made> {
        let mut made: Vec<Made> = Vec::with_capacity(actions.len());
        for action in actions {
            let mut made_now = Made::of(&action, State::NotTried);
            if made.iter().all(|before| before.state == State::Done) {
                let done = match self.call(lane, action.call, deadline).await {
                    Ok(reply) => outlet.is_done(&reply),
                    Err(message) => Err(message),
                };
                made_now.state = done.map_or_else(State::Failed, |()| State::Done);
            }
            made.push(made_now);
        }
        made
    }

    async fn token(
        &self,
        lane: DestinationId,
        outlet: &dyn Outlet,
        deadline: Instant,
    ) -> Result<Option<Token>, ProvisionError> {
        let Some(call) = outlet.authorize(self.clock.now()) else { return Ok(None) };
        let reply = self.call(lane, Call::Http(call), deadline).await.map_err(ProvisionError::NoToken)?;
        outlet.token(&reply).map(Some).map_err(|verdict| ProvisionError::NoToken(in_words(&verdict, &reply)))
    }

    async fn call(&self, lane: DestinationId, call: Call, deadline: Instant) -> Result<Reply, String> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("it took longer than {} s; run it again", PROVISION_MAX.as_secs()));
        }
        self.transport.exchange(lane, call, left.min(CALL_MAX)).await.map_err(|error| error.message.into_owned())
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<DestinationId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A destination is taken while this lives, also if what is done panics.
struct Turn<'p> {
    provisioner: &'p Provisioner,
    id: DestinationId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.provisioner.under_way().remove(&self.id);
    }
}

impl Made {
    fn of(action: &Action, state: State) -> Self {
        Self { reason: action.reason.clone(), call: action.call.shown(), state }
    }
}

/// What came of it, as it may be shown.
fn scrubbed(outcome: Result<Vec<Made>, ProvisionError>, scrubbers: &[&Scrubber]) -> Result<Vec<Made>, ProvisionError> {
    let text = |text: String| scrubbers.iter().fold(text, |text, scrubber| scrubber.text(&text));
    let made = |made: Made| Made {
        reason: text(made.reason),
        call: scrubbers.iter().fold(made.call, |call, scrubber| scrubber.shown(call)),
        state: match made.state {
            State::Failed(message) => State::Failed(text(message)),
            state => state,
        },
    };
    match outcome {
        Ok(all) => Ok(all.into_iter().map(made).collect()),
        Err(ProvisionError::NoToken(message)) => Err(ProvisionError::NoToken(text(message))),
        Err(ProvisionError::NoReply(message)) => Err(ProvisionError::NoReply(text(message))),
        Err(ProvisionError::NoPlan(message)) => Err(ProvisionError::NoPlan(text(message))),
        Err(error) => Err(error),
    }
}

fn in_words(verdict: &Verdict, reply: &Reply) -> String {
    let message = match verdict {
        Verdict::Retry { message, .. } | Verdict::Wait { message, .. } | Verdict::Reject { message, .. } => {
            message.clone()
        }
        Verdict::Skip { message } | Verdict::Pause { message, .. } => Some(message.clone()),
        Verdict::Delivered => None,
    };
    message.unwrap_or_else(|| format!("it was answered with {}", reply.status))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use domain::connector::{Batch, HttpCall, Progress, Step};
    use domain::verdict::FailureReason;
    use domain::{Secret, Timestamp};

    use super::*;
    use crate::transport::TransportError;

    /// A vendor at which things are made by posting their name. A thing with a `!` cannot be made.
    #[derive(Default)]
    struct Vendor {
        there: Mutex<Vec<String>>,
        calls: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Transport for Vendor {
        async fn exchange(&self, _: DestinationId, call: Call, _: Duration) -> Result<Reply, TransportError> {
            let shown = call.shown();
            self.calls.lock().unwrap().push(format!("{} {}", shown.url, shown.body));
            let status = match shown.url.as_str() {
                "https://nobody/" => return Err(TransportError::new(FailureReason::Connect, "nobody is there")),
                "https://make/" if shown.body.contains('!') => 403,
                "https://make/" => {
                    self.there.lock().unwrap().push(shown.body);
                    200
                }
                _ => 200,
            };
            let body = self.there.lock().unwrap().join(" ").into();
            Ok(Reply { status, code: None, headers: Vec::new(), body, received_at: Timestamp::from_secs(1) })
        }
    }

    /// Wants things to be there.
    struct Wants {
        things: Vec<&'static str>,
        look_at: &'static str,
        token: Option<&'static str>,
    }

    impl Outlet for Wants {
        fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
            Step::settle_all(batch, &Verdict::Delivered)
        }

        fn advance(&self, batch: &Batch<'_>, _: &mut Progress, _: &Reply) -> Step {
            Step::settle_all(batch, &Verdict::Delivered)
        }

        fn authorize(&self, _: Timestamp) -> Option<HttpCall> {
            self.token.map(|token| HttpCall::post_json("https://token/", token))
        }

        fn token(&self, _: &Reply) -> Result<Token, Verdict> {
            match self.token {
                Some("good") => Ok(Token { secret: Secret::from("t0ken"), valid_for: None, extra: None }),
                _ => Err(Verdict::unauthorized("the key was revoked; make a new one")),
            }
        }

        fn survey(&self, means: &Means<'_>) -> Option<Vec<Call>> {
            let with = means.token.map_or("none", |token| token.secret.expose()).to_owned();
            (!self.things.is_empty()).then(|| vec![Call::Http(HttpCall::post_json(self.look_at, with))])
        }

        fn plan(&self, _: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
            let there = replies[0].text().into_owned();
            if there.contains("other") {
                return Err("there is something else of this name; choose another".to_owned());
            }
            let missing = self.things.iter().filter(|thing| !there.contains(**thing));
            let make = |thing: &&str| Action {
                reason: format!("make {thing}"),
                call: Call::Http(HttpCall::post_json("https://make/", (*thing).to_owned())),
            };
            Ok(missing.map(make).collect())
        }
    }

    const GOOD: Wants = Wants { things: Vec::new(), look_at: "https://look/", token: None };

    async fn run(vendor: &Arc<Vendor>, wants: &Wants, wish: Wish) -> Result<Vec<String>, String> {
        let transport = Arc::clone(vendor) as Arc<dyn Transport>;
        let provisioner = Provisioner::new(transport, Arc::new(Clock::simulated(Timestamp::from_secs(1), 1)));
        let lane = DestinationId::mint(Timestamp::from_secs(1), 1);
        let made = provisioner.run(lane, "test", wants, wish, &mut None).await.map_err(|error| error.to_string())?;
        Ok(made.into_iter().map(|made| format!("{}: {:?}", made.reason, made.state)).collect())
    }

    #[tokio::test]
    async fn a_plan_changes_nothing_and_what_was_made_is_not_made_again() {
        let vendor = Arc::new(Vendor::default());
        let wants = Wants { things: vec!["table", "column"], ..GOOD };
        assert_eq!(run(&vendor, &wants, Wish::Plan).await.unwrap(), ["make table: Planned", "make column: Planned"]);
        assert_eq!(*vendor.there.lock().unwrap(), Vec::<String>::new());
        assert_eq!(run(&vendor, &wants, Wish::Make).await.unwrap(), ["make table: Done", "make column: Done"]);
        assert_eq!(run(&vendor, &wants, Wish::Make).await.unwrap(), Vec::<String>::new());
        assert_eq!(*vendor.there.lock().unwrap(), ["table", "column"]);
    }

    #[tokio::test]
    async fn what_follows_a_failure_is_not_tried() {
        let vendor = Arc::new(Vendor::default());
        let wants = Wants { things: vec!["table", "column!", "view"], ..GOOD };
        let made = run(&vendor, &wants, Wish::Make).await.unwrap();
        let expect = ["make table: Done", "make column!: Failed(\"it was answered with 403\")", "make view: NotTried"];
        assert_eq!(made, expect);
    }

    #[tokio::test]
    async fn a_token_is_fetched_first_and_its_refusal_is_told() {
        let vendor = Arc::new(Vendor::default());
        let wants = |token| Wants { things: vec!["table"], token: Some(token), ..GOOD };
        run(&vendor, &wants("good"), Wish::Plan).await.unwrap();
        assert_eq!(*vendor.calls.lock().unwrap(), ["https://token/ good", "https://look/ t0ken"]);
        let error = run(&vendor, &wants("revoked"), Wish::Make).await.unwrap_err();
        assert_eq!(error, "the vendor gave no token: the key was revoked; make a new one");
    }

    #[tokio::test]
    async fn without_a_plan_nothing_is_changed_and_the_reason_is_told() {
        let vendor = Arc::new(Vendor::default());
        let error = run(&vendor, &GOOD, Wish::Make).await.unwrap_err();
        assert_eq!(error, "a destination of `test` needs nothing that Afterclick could make for it");
        let wants = Wants { things: vec!["table"], look_at: "https://nobody/", token: None };
        let error = run(&vendor, &wants, Wish::Make).await.unwrap_err();
        assert_eq!(
            error,
            "what is there could not be looked at: nobody is there; see whether the host in the settings is right and can be reached from here"
        );
        vendor.there.lock().unwrap().push("other".to_owned());
        let wants = Wants { things: vec!["table"], ..GOOD };
        let error = run(&vendor, &wants, Wish::Make).await.unwrap_err();
        assert_eq!(error, "there is something else of this name; choose another");
        assert_eq!(*vendor.there.lock().unwrap(), ["other"]);
    }

    #[test]
    fn what_is_told_holds_no_token() {
        let token = Token { secret: Secret::from("t0ken-of-the-test"), valid_for: None, extra: None };
        let call = HttpCall::post_json("https://make/?key=t0ken-of-the-test", "table");
        let action = Action { reason: "make a table".to_owned(), call: Call::Http(call) };
        let failed = State::Failed("`t0ken-of-the-test` may not do this".to_owned());
        let made = scrubbed(Ok(vec![Made::of(&action, failed)]), &[&Scrubber::of_token(&token)]).unwrap();
        assert_eq!(made[0].state, State::Failed("`••••` may not do this".to_owned()));
        assert_eq!(made[0].call.url, "https://make/?key=••••");
        let error = ProvisionError::NoPlan("no plan with t0ken-of-the-test".to_owned());
        let error = scrubbed(Err(error), &[&Scrubber::of_token(&token)]).unwrap_err();
        assert_eq!(error.to_string(), "no plan with ••••");
    }
}
