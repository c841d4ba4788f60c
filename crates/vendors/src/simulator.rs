//! A vendor that runs: on a port of its own, on a thread of its own, until it is dropped.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::answer::Answer;
use crate::book::{Book, Received};
use crate::faults::{Fault, Faults};
use crate::http1;
use crate::request::Request;

/// Decides what a vendor does with a request. Pure but for its own state: no clock, no socket.
pub trait Vendor: Sized + Send + 'static {
    /// Takes a request, writes into the book what became of it, and answers.
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer;

    /// The vendor's own words for [`Fault::RateLimit`], [`Fault::ServerError`] and [`Fault::TokenExpired`].
    fn words(&mut self, _: Fault, _: &Request) -> Option<Answer> {
        None
    }

    /// Whether faults pass over a request and do not count it: token endpoints, probes.
    fn is_aside(&self, _: &Request) -> bool {
        false
    }

    /// Starts it on a free port of 127.0.0.1.
    fn start(self, faults: Faults) -> Simulator<Self> {
        Simulator::start(self, faults, http1::serve)
    }
}

/// A running vendor.
#[derive(Debug)]
pub struct Simulator<V> {
    address: SocketAddr,
    shared: Arc<Shared<V>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl<V: Send + 'static> Simulator<V> {
    pub(crate) fn start<S, F>(vendor: V, faults: Faults, serve: S) -> Self
    where
        S: Fn(TcpStream, Arc<Shared<V>>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of 127.0.0.1");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("a bound listener");
        let shared = Arc::new(Shared::new(vendor, faults));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let accepting = accept(listener, serve, shared.clone(), stopped);
        let thread = std::thread::spawn(move || runtime.block_on(accepting));
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks into the book.
    pub fn book<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.shared.desk().book)
    }

    /// Looks at the vendor or changes it: revokes a hook, lifts a limit.
    pub fn vendor<T>(&self, change: impl FnOnce(&mut V) -> T) -> T {
        change(&mut self.shared.desk().vendor)
    }

    /// Replaces the plan of faults; the requests are counted from 0 again.
    pub fn set_faults(&self, faults: Faults) {
        let mut desk = self.shared.desk();
        (desk.faults, desk.counted) = (faults, 0);
    }

    /// Moves the simulator's clock, on which its limits and windows run.
    pub fn advance(&self, by: Duration) {
        self.shared.desk().ahead += by;
    }

    /// Waits until the book looks as wanted, which is looked at after each request; `false` if that takes too long.
    pub async fn until(&self, within: Duration, mut wanted: impl FnMut(&Book) -> bool) -> bool {
        let mut changes = self.shared.changes.subscribe();
        let looking = async {
            while !self.book(&mut wanted) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(within, looking).await.is_ok()
    }
}

impl<V> Drop for Simulator<V> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if std::thread::panicking() {
            // What led to it may never happen again.
            eprintln!("{}", self.shared.desk().book.transcript());
        }
    }
}

/// Accepts until it is stopped. Connections are tasks of this thread's runtime and end with it.
async fn accept<V, S, F>(
    listener: std::net::TcpListener,
    serve: S,
    shared: Arc<Shared<V>>,
    mut stopped: oneshot::Receiver<()>,
) where
    S: Fn(TcpStream, Arc<Shared<V>>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, shared.clone()));
                }
            }
        }
    }
}

/// What the thread and the handle have in common.
#[derive(Debug)]
pub(crate) struct Shared<V> {
    desk: Mutex<Desk<V>>,
    started: Instant,
    changes: watch::Sender<()>,
}

impl<V> Shared<V> {
    fn new(vendor: V, faults: Faults) -> Self {
        let desk = Desk { vendor, book: Book::default(), faults, counted: 0, ahead: Duration::ZERO };
        Self { desk: Mutex::new(desk), started: Instant::now(), changes: watch::Sender::default() }
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk<V>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self, desk: &Desk<V>) -> Duration {
        self.started.elapsed() + desk.ahead
    }

    pub(crate) fn tell(&self) {
        self.changes.send_replace(());
    }
}

/// The vendor at work.
#[derive(Debug)]
pub(crate) struct Desk<V> {
    pub(crate) vendor: V,
    pub(crate) book: Book,
    faults: Faults,
    counted: u64,
    ahead: Duration,
}

impl<V> Desk<V> {
    pub(crate) fn next_fault(&mut self) -> Option<Fault> {
        self.counted += 1;
        self.faults.of(self.counted - 1)
    }
}

impl<V: Vendor> Desk<V> {
    /// Meets a request as the plan wants it.
    pub(crate) fn handle(&mut self, mut request: Request) -> Reaction {
        let fault = if self.vendor.is_aside(&request) { None } else { self.next_fault() };
        request.partial_failure = fault == Some(Fault::PartialFailure);
        let mut answer = || self.vendor.answer(&request, &mut self.book);
        let reaction = match fault {
            None | Some(Fault::PartialFailure) => Reaction::Answer(answer()),
            Some(Fault::Slow { hold }) => Reaction::AnswerAfter(hold, answer()),
            Some(Fault::DropBefore) => Reaction::CloseAfter(Duration::ZERO),
            Some(Fault::DropAfter) => {
                answer();
                Reaction::CloseAfter(Duration::ZERO)
            }
            Some(Fault::LateSuccess { hold }) => {
                answer();
                Reaction::CloseAfter(hold)
            }
            Some(refusal) => Reaction::Answer(self.vendor.words(refusal, &request).unwrap_or_else(|| refusal.plain())),
        };
        self.book.receive(Received { request, fault, status: reaction.status() });
        reaction
    }
}

/// What the connection does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    Answer(Answer),
    AnswerAfter(Duration, Answer),
    CloseAfter(Duration),
}

impl Reaction {
    fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(answer) | Self::AnswerAfter(_, answer) => Some(answer.status),
            Self::CloseAfter(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
