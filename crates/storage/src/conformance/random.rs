//! Random walks: whatever is done in whatever order, a store and the model stay the same to whoever looks.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use domain::delivery::State;
use domain::identity::Identifier;
use domain::replay::{ReplayState, Select};
use domain::verdict::FailureReason;
use domain::{DeliveryId, DestinationId, Event, EventType, ReplayId, SubjectId, Verdict};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::erasure::erasure;
use super::kit::{Kit, STEPS_MAX, at, change, fail, first_step, reject, settlement, skip, whole};
use super::subjects::one_subject;
use super::{Backend, Memory, block_on};
use crate::page::PAGE_LIMIT_MAX;
use crate::{
    DeadLetterQuery, DeliveryQuery, Erasure, EventQuery, Fold, Memo, NewDelivery, NewEvent, Owned, ReplayScan,
    ReplayStep,
};

/// Walks per run.
const WALKS: u32 = 24;
/// Steps of the longest walk.
const WALK_STEPS_MAX: usize = 40;

/// Walks at random through a new store and through the model, and compares all that can be seen after each step.
pub fn agrees_with_the_model(open: impl Fn() -> Box<dyn Backend>) {
    let config = Config { cases: WALKS, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(step(), 1..WALK_STEPS_MAX), |steps| {
        let expected = block_on(walk(Box::new(Memory::default()), &steps));
        let found = block_on(walk(open(), &steps));
        let difference = expected.iter().zip(&found).find(|(expected, found)| expected != found);
        difference.map_or(Ok(()), |(expected, found)| {
            Err(TestCaseError::fail(format!("expected:\n{expected}\nfound:\n{found}")))
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// One thing that happens. Numbers choose among what is there, wrapping round.
#[derive(Debug, Clone)]
enum Step {
    Append { destinations: Vec<u8>, is_stillborn: bool, is_test: bool },
    SendAgain(u8),
    Wait { secs: u16 },
    Claim(u8),
    Settle { count: u8, outcome: u8 },
    Release(u8),
    Rescue,
    Retry(u8),
    Cancel(u8),
    Resend(u8),
    Redrive { destination: Option<u8> },
    ReplaceDestination(u8),
    StartReplay { destination: u8, select: u8 },
    AdvanceReplay(u8),
    CancelReplay(u8),
    Remember { destination: u8, changes: Vec<(u8, u8)> },
    Fold { count: u8, who: Vec<u8>, has_news: bool },
    Erase(u8),
    Prune { age_secs: u16 },
    Tidy,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let destinations = vec(any::<u8>(), 0..4);
    prop_oneof![
        8 => (destinations, any::<u8>()).prop_map(|(destinations, n)| {
            Step::Append { destinations, is_stillborn: n < 40, is_test: n % 3 == 0 }
        }),
        1 => any::<u8>().prop_map(Step::SendAgain),
        2 => (0_u16..2_000).prop_map(|secs| Step::Wait { secs }),
        6 => any::<u8>().prop_map(Step::Claim),
        6 => any::<(u8, u8)>().prop_map(|(count, outcome)| Step::Settle { count, outcome }),
        1 => any::<u8>().prop_map(Step::Release),
        1 => Just(Step::Rescue),
        2 => any::<u8>().prop_map(Step::Retry),
        2 => any::<u8>().prop_map(Step::Cancel),
        2 => any::<u8>().prop_map(Step::Resend),
        1 => proptest::option::of(any::<u8>()).prop_map(|destination| Step::Redrive { destination }),
        1 => any::<u8>().prop_map(Step::ReplaceDestination),
        1 => any::<(u8, u8)>().prop_map(|(destination, select)| Step::StartReplay { destination, select }),
        2 => any::<u8>().prop_map(Step::AdvanceReplay),
        1 => any::<u8>().prop_map(Step::CancelReplay),
        2 => (any::<u8>(), vec(any::<(u8, u8)>(), 0..4))
            .prop_map(|(destination, changes)| Step::Remember { destination, changes }),
        4 => (any::<u8>(), vec(any::<u8>(), 1..4), any::<bool>())
            .prop_map(|(count, who, has_news)| Step::Fold { count, who, has_news }),
        1 => any::<u8>().prop_map(Step::Erase),
        1 => (0_u16..2_000).prop_map(|age_secs| Step::Prune { age_secs }),
        1 => Just(Step::Tidy),
        1 => Just(Step::Reopen),
    ]
}

/// What each step answered and what could be seen after it. Fences are left out: they need not be the same.
async fn walk(backend: Box<dyn Backend>, steps: &[Step]) -> Vec<String> {
    let mut walker = Walker::start(backend).await;
    let mut seen = Vec::new();
    for step in steps {
        let answer = walker.take(step).await;
        seen.push(format!("{step:?}\n{answer}\n{}", walker.look().await));
    }
    seen
}

struct Walker {
    kit: Kit,
    now_secs: i64,
    destinations: Vec<DestinationId>,
    sent: Vec<NewEvent>,
    /// What was claimed and may still be in hand, by id.
    held: Vec<Owned>,
    replays: Vec<ReplayId>,
}

fn test_type() -> EventType {
    "test".parse().expect("a type")
}

/// Some people and some devices.
fn everybody() -> Vec<Identifier> {
    let everybody = ["user:1", "user:2", "email:a@b.c", "install:1", "install:2", "click:1", "click:2", "click:3"];
    everybody.iter().map(|text| text.parse().expect("an identifier")).collect()
}

fn pick<T: Clone>(from: &[T], n: u8) -> Option<T> {
    from.get(usize::from(n).checked_rem(from.len())?).cloned()
}

impl Walker {
    async fn start(backend: Box<dyn Backend>) -> Self {
        let mut kit = Kit::open(backend).await;
        let destinations = vec![kit.destination("a").await, kit.destination("b").await, kit.destination("c").await];
        Self { kit, now_secs: 0, destinations, sent: Vec::new(), held: Vec::new(), replays: Vec::new() }
    }

    async fn take(&mut self, step: &Step) -> String {
        self.now_secs += 1;
        let secs = self.now_secs;
        match step {
            Step::Append { .. } | Step::SendAgain(_) => self.send(step).await,
            Step::Wait { secs } => {
                self.now_secs += i64::from(*secs);
                String::new()
            }
            Step::Claim(n) => self.claim(*n).await,
            Step::Settle { .. } | Step::Release(_) | Step::Rescue => self.give_back(step).await,
            Step::Retry(_) | Step::Cancel(_) | Step::Resend(_) | Step::Redrive { .. } => self.intervene(step).await,
            Step::ReplaceDestination(n) => self.replace_destination(*n).await,
            Step::StartReplay { .. } | Step::AdvanceReplay(_) | Step::CancelReplay(_) => self.replay(step).await,
            Step::Remember { destination, changes } => self.remember(*destination, changes).await,
            Step::Fold { count, who, has_news } => self.fold(*count, who, *has_news).await,
            Step::Erase(n) => self.erase(*n).await,
            Step::Prune { age_secs } => self.kit.prune(secs - i64::from(*age_secs), 3).await.to_string(),
            Step::Tidy => {
                self.kit.tidy(secs).await;
                String::new()
            }
            Step::Reopen => {
                self.kit.reopen().await;
                String::new()
            }
        }
    }

    async fn send(&mut self, step: &Step) -> String {
        let new = match step {
            Step::Append { destinations, is_stillborn, is_test } => {
                let chosen: Vec<_> = destinations.iter().filter_map(|&n| pick(&self.destinations, n)).collect();
                let mut new = self.kit.event(self.now_secs, &chosen);
                if let Some(&destination) = chosen.first().filter(|_| *is_stillborn) {
                    let stillborn = Some((FailureReason::FilterError, "no".to_owned()));
                    new.deliveries.push(NewDelivery { destination, stillborn });
                }
                if *is_test {
                    new = change(&new, |event| Event { event_type: test_type(), ..event });
                }
                new.has_facts = destinations.len() % 2 == 0;
                self.sent.push(new.clone());
                new
            }
            Step::SendAgain(n) => match pick(&self.sent, *n) {
                Some(old) => self.kit.again(&old, self.now_secs),
                None => return String::new(),
            },
            _ => unreachable!("not a step of a sender"),
        };
        format!("{:?}", self.kit.append(vec![new]).await)
    }

    /// Claims all that is due. Which comes first, and when to come back, is for other cases: it need not be the same.
    async fn claim(&mut self, n: u8) -> String {
        let Some(destination) = pick(&self.destinations, n) else { return String::new() };
        let secs = self.now_secs;
        let claimed = self.kit.store().claim(destination, at(secs), STEPS_MAX, at(secs + 100)).await.expect("claim");
        let mut work = claimed.work;
        work.sort_by_key(|owned| owned.id);
        let seen = work.iter().map(|owned| (owned.id, owned.standing, owned.created_at, owned.replay));
        let answer = format!("{:?}", seen.collect::<Vec<_>>());
        self.held.extend(work);
        answer
    }

    async fn give_back(&mut self, step: &Step) -> String {
        let secs = self.now_secs;
        let mut take = |count: u8| self.held.drain(..self.held.len().min(usize::from(count % 5))).collect::<Vec<_>>();
        match *step {
            Step::Settle { count, outcome } => {
                let verdict = match outcome % 5 {
                    0 | 1 => Verdict::Delivered,
                    2 => fail(),
                    3 => skip(),
                    _ => reject(FailureReason::ClientError),
                };
                let mut settlements: Vec<_> =
                    take(count).iter().map(|owned| settlement(owned, secs, &verdict)).collect();
                if let Some(last) = settlements.last_mut().filter(|_| outcome < 50) {
                    last.news = Some(self.kit.event(secs, &self.destinations));
                }
                format!("{:?}", self.kit.store().settle(settlements.into()).await)
            }
            Step::Release(count) => {
                let leases = take(count).iter().map(|owned| (owned.id, owned.fence)).collect();
                format!("{:?}", self.kit.store().release(leases).await)
            }
            _ => format!("{:?}", self.kit.store().rescue(at(secs)).await),
        }
    }

    async fn intervene(&self, step: &Step) -> String {
        let (store, app, now) = (self.kit.store(), self.kit.app, at(self.now_secs));
        let all: Vec<DeliveryId> = self.kit.list_deliveries(&self.kit.all_deliveries()).await;
        let answer = match *step {
            Step::Retry(n) => pick(&all, n).map(|id| store.retry(app, id, now)),
            Step::Cancel(n) => pick(&all, n).map(|id| store.cancel(app, id, now)),
            Step::Resend(n) => pick(&all, n).map(|id| store.resend(app, id, now)),
            Step::Redrive { destination } => {
                let destination = destination.and_then(|n| pick(&self.destinations, n));
                let query = DeadLetterQuery { destination, ..self.kit.all_dead() };
                return format!("{:?}", store.redrive(query, now, STEPS_MAX).await);
            }
            _ => None,
        };
        match answer {
            Some(answer) => format!("{:?}", answer.await),
            None => String::new(),
        }
    }

    async fn replace_destination(&mut self, n: u8) -> String {
        let place = usize::from(n) % self.destinations.len();
        let now = at(self.now_secs);
        self.kit.store().delete_destination(self.destinations[place], now).await.expect("delete");
        self.kit.tidy(self.now_secs).await;
        self.destinations[place] = self.kit.destination(&format!("new{}", self.now_secs)).await;
        String::new()
    }

    async fn replay(&mut self, step: &Step) -> String {
        match *step {
            Step::StartReplay { destination, select } => {
                let Some(destination) = pick(&self.destinations, destination) else { return String::new() };
                let mut replay = self.kit.new_replay(destination);
                replay.select = [Select::Failed, Select::Missing, Select::All][usize::from(select % 3)];
                self.replays.push(replay.id);
                format!("{:?}", self.kit.store().create_replay(replay).await)
            }
            Step::AdvanceReplay(n) => match pick(&self.replays, n) {
                Some(id) => self.advance_replay(id).await,
                None => String::new(),
            },
            Step::CancelReplay(n) => match pick(&self.replays, n) {
                Some(id) => {
                    let answer = self.kit.store().cancel_replay(self.kit.app, id, at(self.now_secs)).await;
                    self.kit.tidy(self.now_secs).await;
                    format!("{answer:?}")
                }
                None => String::new(),
            },
            _ => unreachable!("not a step of a replay"),
        }
    }

    /// Some changes to a few keys, of which some end by themselves.
    async fn remember(&self, destination: u8, changes: &[(u8, u8)]) -> String {
        let Some(destination) = pick(&self.destinations, destination) else { return String::new() };
        let changes = changes.iter().map(|&(n, value)| {
            let (key, value) = (format!("k{}", n % 5), vec![value].into());
            let expires_at = (n > 100).then(|| at(self.now_secs + i64::from(n)));
            match n % 7 {
                0 => Memo::Forget { key },
                1..4 => Memo::Put { key, value, expires_at },
                _ => Memo::PutIfAbsent { key, value, expires_at },
            }
        });
        format!("{:?}", self.kit.store().remember(destination, changes.collect(), at(self.now_secs)).await)
    }

    /// Folds the events that have waited longest: each belongs to one of the identifiers of a subject, or to nobody.
    async fn fold(&mut self, count: u8, who: &[u8], has_news: bool) -> String {
        let who: BTreeSet<Identifier> = who.iter().filter_map(|&n| pick(&everybody(), n)).collect();
        let who: Vec<Identifier> = who.into_iter().collect();
        let (subject, identifiers) = one_subject(self.kit.app, &who);
        let waiting = self.kit.store().unfolded(None, usize::from(count % 5)).await.expect("events");
        let owners = who.iter().cloned().map(Some).chain([None]).cycle();
        let events = waiting.iter().zip(owners).map(|(event, owner)| (event.id, owner)).collect();
        let news = if has_news { vec![self.kit.event(self.now_secs, &self.destinations)] } else { Vec::new() };
        let fold = Fold { appspace: self.kit.app, events, identifiers, subjects: vec![subject], news };
        format!("{:?}", self.kit.store().fold(fold).await)
    }

    async fn erase(&self, n: u8) -> String {
        let Some(who) = pick(&everybody(), n) else { return String::new() };
        let subject = SubjectId::born(self.kit.app, &who, 0);
        // A piece of it; what comes next may come in between.
        let piece = Erasure { limit: 2, ..erasure(self.kit.app, self.now_secs, &[subject], &[who]) };
        format!("{:?}", self.kit.store().erase(piece).await)
    }

    /// What is known of everybody.
    async fn look_at_people(&self, mut note: impl FnMut(String)) {
        let (store, app, who) = (self.kit.store(), self.kit.app, everybody());
        note(format!("{:?}", store.unfolded(None, STEPS_MAX).await));
        for (identifier, record) in who.iter().zip(store.identifiers(app, &who).await.expect("records")) {
            let id = SubjectId::born(app, identifier, 0);
            // As they are stored: what is written for a person to read does not show who somebody is.
            let subject = store.subjects(app, &[id]).await.expect("records");
            note(format!("{identifier} {}", serde_json::json!([record, subject])));
            note(format!("{:?}", store.events_of(app, std::slice::from_ref(identifier), None, STEPS_MAX).await));
        }
        note(format!("{:?}", store.events_of(app, &who, None, STEPS_MAX).await));
    }

    async fn advance_replay(&self, id: ReplayId) -> String {
        let running = self.kit.store().running_replays().await.expect("replays");
        let Some((replay, cursor)) = running.into_iter().find(|(replay, _)| replay.id == id) else {
            return "not running".to_owned();
        };
        let scan = ReplayScan {
            appspace: replay.appspace,
            destination: replay.destination,
            from: replay.from,
            to: replay.to,
            after: cursor,
            limit: 3,
        };
        let found = self.kit.store().replay_scan(scan).await.expect("scan");
        let owed = found.iter().filter(|(_, newest)| replay.select.owes(*newest)).map(|(event, _)| event.id);
        let owed: Vec<_> = owed.collect();
        let step = ReplayStep {
            from_cursor: cursor,
            to_cursor: found.last().map(|(event, _)| event.id),
            scanned: found.len() as u64,
            unread: owed.clone(),
            owed,
            state: if found.is_empty() { ReplayState::Done } else { ReplayState::Running },
            ..first_step(id, self.now_secs, &[])
        };
        format!("{:?}", self.kit.store().advance_replay(step).await)
    }

    /// Everything that can be seen but due times of lanes, which need not be exact.
    async fn look(&self) -> String {
        let (kit, mut seen) = (&self.kit, String::new());
        let mut note = |line: String| writeln!(seen, "{line}").expect("a string takes everything");
        for record in whole(PAGE_LIMIT_MAX, |page| kit.store().events(kit.all_events(), page)).await {
            note(format!("{:?} ×{} {:?}", record.event.id, record.duplicates, record.event.body));
        }
        for summary in whole(PAGE_LIMIT_MAX, |page| kit.store().deliveries(kit.all_deliveries(), page)).await {
            let kept = kit.store().delivery(kit.app, summary.delivery.id).await.expect("a delivery");
            assert_eq!((&kept.0, kept.1.last()), (&summary.delivery, summary.last_attempt.as_ref()));
            note(format!("{kept:?}"));
        }
        self.look_at_people(&mut note).await;
        let mut dead = kit.list_dead(&kit.all_dead()).await;
        dead.sort_unstable();
        note(format!("dead {dead:?} of {:?}", kit.store().dead_letter_count(kit.all_dead()).await));
        for destination in &self.destinations {
            let query = DeliveryQuery { destination: Some(*destination), ..kit.all_deliveries() };
            let pending = DeliveryQuery { state: Some(State::Pending), ..query.clone() };
            note(format!("{:?}", (kit.list_deliveries(&query).await, kit.list_deliveries(&pending).await)));
            note(format!("{:?}", kit.store().recall_all(*destination, "k", None, 10, at(self.now_secs)).await));
        }
        let tests = Some(test_type());
        let events = EventQuery { event_type: tests.clone(), to: Some(at(self.now_secs - 9)), ..kit.all_events() };
        let deliveries = DeliveryQuery { event_type: tests, ..kit.all_deliveries() };
        note(format!("{:?}", (kit.list_events(&events).await, kit.list_deliveries(&deliveries).await)));
        let mut lanes = kit.store().lanes().await.expect("lanes");
        lanes.sort_by_key(|lane| lane.destination);
        for lane in lanes {
            note(format!("{} {}", lane.destination, lane.pending));
        }
        note(format!("{:?}", whole(PAGE_LIMIT_MAX, |page| kit.store().replays(kit.app, page)).await));
        let mut running = kit.store().running_replays().await.expect("replays");
        running.sort_by_key(|(replay, _)| replay.id);
        note(format!("{:?}", running.iter().map(|(replay, cursor)| (replay.id, *cursor)).collect::<Vec<_>>()));
        seen
    }
}
