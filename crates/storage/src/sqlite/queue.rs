//! The commit queue: calls on their way to the writer thread.
//!
//! Many calls share one commit and thus one sync. Nothing waits for company: while one group is being synced, the next
//! one gathers by itself. Intake is refused when its part of the queue is full, because a sender can try again;
//! everything else waits for a place, because outcomes must not be lost.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::failure::{self, Trouble, TxResult};
use super::transaction::Tx;
use crate::{Result, StoreError};

/// Most appends that may wait.
pub(super) const APPENDS_MAX: usize = 4_096;
/// Most bytes of bodies that may wait.
pub(super) const APPEND_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most other calls that may wait; the next one waits for a place.
const COMMANDS_MAX: usize = 1_024;
/// Most calls of one commit.
const GROUP_CALLS_MAX: usize = 1_024;
/// Bytes of bodies after which a group is full.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A call on its way through the writer.
pub(super) trait Job: Send {
    /// Does the work inside the open transaction and keeps the outcome. May be run again after a rollback.
    /// `Ok(false)` if the call was refused.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<bool, rusqlite::Error>;

    /// Whether it is an append: that can be refused when the disk is full, because a sender can try again.
    fn is_intake(&self) -> bool;

    /// Answers: with the outcome if the group was committed, with the error otherwise.
    fn answer(self: Box<Self>, group: Result<(), StoreError>);
}

struct Call<T, F> {
    work: F,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
    /// Its place among the commands, until it is answered.
    place: Option<OwnedSemaphorePermit>,
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> TxResult<T> + Send> Job for Call<T, F> {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<bool, rusqlite::Error> {
        let outcome = match (self.work)(tx) {
            Ok(value) => Ok(value),
            Err(Trouble::Refused(error)) => Err(error),
            Err(Trouble::Sql(error)) => return Err(error),
        };
        let is_done = outcome.is_ok();
        self.outcome = Some(outcome);
        Ok(is_done)
    }

    fn is_intake(&self) -> bool {
        self.place.is_none()
    }

    fn answer(self: Box<Self>, group: Result<(), StoreError>) {
        let outcome = match (group, self.outcome) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(failure::failed("a call was committed without being run")),
        };
        // The caller may be gone; what it asked for is done all the same.
        let _ = self.reply.send(outcome);
    }
}

/// The queue, shared by the callers and the writer.
#[derive(Debug)]
pub(super) struct CommitQueue {
    state: Mutex<State>,
    waker: Condvar,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    appends: VecDeque<(Box<dyn Job>, usize)>,
    append_bytes: usize,
    commands: VecDeque<Box<dyn Job>>,
    /// The writer sleeps and must be woken. It seldom does under load, and waking costs a system call.
    is_writer_asleep: bool,
    /// Work for the writer itself waits, though no call does.
    is_woken: bool,
    /// Why nothing is taken any more.
    ended: Option<StoreError>,
}

/// What the writer takes in one round.
pub(super) enum Round {
    Calls(Vec<Box<dyn Job>>),
    /// Nothing waits and nothing will come.
    End,
}

impl CommitQueue {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), waker: Condvar::new(), places: Arc::new(Semaphore::new(COMMANDS_MAX)) }
    }

    /// Queues an append of `bytes` of bodies, if there is room, and waits for its commit.
    pub(super) async fn append<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnMut(&mut Tx<'_>) -> TxResult<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let call = Call { work, outcome: None, reply, place: None };
        {
            let mut state = self.lock();
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            let is_full = state.appends.len() >= APPENDS_MAX || state.append_bytes + bytes > APPEND_BYTES_MAX;
            if is_full && !state.appends.is_empty() {
                return Err(failure::queue_full());
            }
            state.append_bytes += bytes;
            state.appends.push_back((Box::new(call), bytes));
            self.wake(&mut state);
        }
        answered(answer).await
    }

    /// Queues any other call, waiting for a place, and waits for its commit.
    pub(super) async fn command<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> TxResult<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| failure::closed())?;
        let (reply, answer) = oneshot::channel();
        let call = Call { work, outcome: None, reply, place: Some(place) };
        {
            let mut state = self.lock();
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            state.commands.push_back(Box::new(call));
            self.wake(&mut state);
        }
        answered(answer).await
    }

    /// The next group, outcomes before intake: they make room. Waits for one, unless the writer has work of its own.
    pub(super) fn next(&self, has_own_work: bool) -> Round {
        let mut state = self.lock();
        loop {
            let is_empty = state.appends.is_empty() && state.commands.is_empty();
            if !is_empty || has_own_work || std::mem::take(&mut state.is_woken) {
                return Round::Calls(state.take_group());
            }
            if state.ended.is_some() {
                return Round::End;
            }
            state.is_writer_asleep = true;
            state = self.waker.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_writer_asleep = false;
        }
    }

    /// Wakes the writer for work of its own.
    pub(super) fn poke(&self) {
        let mut state = self.lock();
        state.is_woken = true;
        self.wake(&mut state);
    }

    /// Takes nothing more. What is queued is still committed.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.ended.get_or_insert_with(failure::closed);
        self.wake(&mut state);
    }

    /// Takes nothing more and answers what is queued with the error.
    pub(super) fn fail(&self, error: &StoreError) {
        let (appends, commands) = {
            let mut state = self.lock();
            state.ended = Some(error.clone());
            state.append_bytes = 0;
            self.wake(&mut state);
            (std::mem::take(&mut state.appends), std::mem::take(&mut state.commands))
        };
        for job in commands.into_iter().chain(appends.into_iter().map(|(job, _)| job)) {
            job.answer(Err(error.clone()));
        }
    }

    pub(super) fn ended(&self) -> Option<StoreError> {
        self.lock().ended.clone()
    }

    pub(super) fn len(&self) -> usize {
        let state = self.lock();
        state.appends.len() + state.commands.len()
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.is_writer_asleep) {
            self.waker.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_group(&mut self) -> Vec<Box<dyn Job>> {
        let commands = self.commands.len().min(GROUP_CALLS_MAX);
        let mut group: Vec<Box<dyn Job>> = self.commands.drain(..commands).collect();
        let mut bytes = 0;
        while group.len() < 2 * GROUP_CALLS_MAX && bytes < GROUP_BYTES_MAX {
            let Some((job, job_bytes)) = self.appends.pop_front() else { break };
            self.append_bytes -= job_bytes;
            bytes += job_bytes;
            group.push(job);
        }
        group
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} appends, {} commands", self.appends.len(), self.commands.len())
    }
}

/// Waits for the writer's answer. A writer that broke down drops the call without one.
async fn answered<T>(answer: oneshot::Receiver<Result<T>>) -> Result<T> {
    answer.await.unwrap_or_else(|_| Err(failure::failed("the writer has stopped")))
}
