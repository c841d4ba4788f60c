//! A receiver: kept-alive HTTP/1.1 on a thread of its own, which counts what arrives and notes when.
//!
//! The path names a lane (`/0`, `/1` …), so that one sink can be several destinations.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::http1;
use crate::process;
use crate::requests::sequences_in;

/// How the sink answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Answer {
    /// 200.
    Fine,
    /// 500.
    Failing,
    /// Reads and never answers.
    Never,
}

/// A receiver that runs until it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sink {
    /// Starts a sink on a port of its own.
    pub fn start(answer: Answer) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            answer: AtomicUsize::new(answer as usize),
            arrived: Arc::default(),
            cpu_ns: AtomicU64::new(0),
            watch: Mutex::new(Arc::new(Watch::new(0, 0, 0))),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = state.clone();
        let serve = move || runtime.block_on(serve(listener, serving, stopped));
        let thread = std::thread::Builder::new().name("sink".to_owned()).spawn(serve)?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// The URL of a lane.
    pub fn url(&self, lane: usize) -> String {
        format!("http://{}/{lane}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers differently from now on.
    pub fn answer(&self, answer: Answer) {
        self.state.answer.store(answer as usize, Ordering::Relaxed);
    }

    /// Notes arrivals of `count` sequence numbers from `first` on, in each of `lanes`; forgets what was noted before
    /// and counts from 0 again.
    pub fn watch(&self, first: u64, count: usize, lanes: usize) -> Arc<Watch> {
        let watch = Arc::new(Watch::new(first, count, lanes));
        *self.state.watch.lock().unwrap_or_else(PoisonError::into_inner) = watch.clone();
        self.state.arrived.store(0, Ordering::Relaxed);
        watch
    }

    /// How many events have arrived since the last [`Sink::watch`], repeated ones included; a request without a number
    /// counts as one.
    pub fn arrived(&self) -> Arc<AtomicU64> {
        self.state.arrived.clone()
    }

    /// Waits until this many events have arrived; an error if that takes longer than `within`.
    pub fn wait_for(&self, count: u64, within: Duration) -> Result<()> {
        self.wait_until(|| self.state.arrived.load(Ordering::Relaxed) >= count, within)
            .with_context(|| format!("fewer than {count} deliveries arrived"))
    }

    /// Looks again and again until `done` holds; an error if that takes longer than `within`.
    pub fn wait_until(&self, done: impl Fn() -> bool, within: Duration) -> Result<()> {
        let started = Instant::now();
        while !done() {
            let arrived = self.state.arrived.load(Ordering::Relaxed);
            ensure!(started.elapsed() < within, "waited {} s, {arrived} deliveries arrived", within.as_secs());
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Processor time of the sink's thread so far, as of its last arrivals.
    pub fn cpu_time(&self) -> Duration {
        Duration::from_nanos(self.state.cpu_ns.load(Ordering::Relaxed))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Arrivals by lane and sequence number.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    first: u64,
    count: usize,
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Nanoseconds from the start of the watch to the first arrival; 0 while there is none.
    first_ns: AtomicU64,
    arrivals: AtomicU32,
}

impl Watch {
    fn new(first: u64, count: usize, lanes: usize) -> Self {
        let slots = std::iter::repeat_with(Slot::default).take(count * lanes).collect();
        Self { started: Instant::now(), first, count, slots }
    }

    /// How many sequence numbers are watched.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How often the body at `index` has arrived in a lane.
    pub fn arrivals(&self, lane: usize, index: usize) -> u32 {
        self.slots[lane * self.count + index].arrivals.load(Ordering::Relaxed)
    }

    /// When the body at `index` first arrived in a lane.
    pub fn first_arrival(&self, lane: usize, index: usize) -> Option<Instant> {
        let ns = self.slots[lane * self.count + index].first_ns.load(Ordering::Relaxed);
        (ns > 0).then(|| self.started + Duration::from_nanos(ns))
    }

    /// The first and the last first arrival of all.
    pub fn span(&self) -> Option<(Instant, Instant)> {
        let times = || self.slots.iter().map(|slot| slot.first_ns.load(Ordering::Relaxed)).filter(|ns| *ns > 0);
        let instant = |ns| self.started + Duration::from_nanos(ns);
        Some((instant(times().min()?), instant(times().max()?)))
    }

    fn note(&self, lane: usize, sequence: u64) {
        let index = usize::try_from(sequence.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if index >= self.count {
            return;
        }
        let Some(slot) = self.slots.get(lane * self.count + index) else { return };
        if slot.arrivals.fetch_add(1, Ordering::Relaxed) == 0 {
            let ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            slot.first_ns.store(ns.max(1), Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct State {
    answer: AtomicUsize,
    arrived: Arc<AtomicU64>,
    cpu_ns: AtomicU64,
    watch: Mutex<Arc<Watch>>,
}

impl State {
    fn note(&self, request: &[u8], body: &[u8]) {
        let lane = lane_of(request).unwrap_or(0);
        let mut events = 0;
        {
            let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            sequences_in(body).for_each(|sequence| {
                watch.note(lane, sequence);
                events += 1;
            });
        }
        let events = events.max(1);
        let arrived = self.arrived.fetch_add(events, Ordering::Relaxed);
        // Reading the clock of the thread costs more than an arrival, so it is read now and then.
        if arrived / 256 != (arrived + events) / 256
            && let Some(cpu) = process::thread_cpu_time()
        {
            self.cpu_ns.store(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

async fn serve(listener: std::net::TcpListener, state: Arc<State>, mut stopped: oneshot::Receiver<()>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(receive(stream, state.clone()));
                }
            }
        }
    }
}

/// One connection: notes and answers each request until the sender is gone.
async fn receive(mut stream: TcpStream, state: Arc<State>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8192);
    loop {
        while let Some(extent) = http1::extent(&buffer).map_err(|_| anyhow::anyhow!("not plain HTTP/1.1"))? {
            let end = extent.head + extent.body;
            if buffer.len() < end {
                break;
            }
            state.note(&buffer, &buffer[extent.head..end]);
            buffer.drain(..end);
            let answer: &[u8] = match state.answer.load(Ordering::Relaxed) {
                answer if answer == Answer::Fine as usize => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                answer if answer == Answer::Failing as usize => {
                    b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
                }
                _ => continue,
            };
            stream.write_all(answer).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// The number in `POST /3 HTTP/1.1`.
fn lane_of(request: &[u8]) -> Option<usize> {
    let path = request.split(|byte| *byte == b' ').nth(1)?;
    std::str::from_utf8(path.strip_prefix(b"/")?).ok()?.parse().ok()
}

/// A port on which nothing listens: connections to it are refused.
pub fn refusing_address() -> Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr().context("no free port")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Load, Pace, run};
    use crate::requests::Requests;

    #[test]
    fn a_sink_notes_every_arrival_by_lane_and_number() {
        let sink = Sink::start(Answer::Fine).unwrap();
        let requests = Requests::to_path("/1", 300);
        let watch = sink.watch(requests.first_sequence(), requests.len(), 2);
        let load = Load { connections: 4, window: Duration::from_secs(20), pace: Pace::Closed, keep_answers: false };
        let report = run(sink.address(), requests.into(), &load).unwrap();
        report.ensure_all_accepted().unwrap();
        assert_eq!(report.accepted, 300);
        assert!((0..300).all(|index| watch.arrivals(1, index) == 1 && watch.arrivals(0, index) == 0));
        assert!(watch.first_arrival(1, 299).is_some());
    }

    #[test]
    fn a_failing_sink_is_reported_as_refusing() {
        let sink = Sink::start(Answer::Failing).unwrap();
        let load = Load { connections: 1, window: Duration::from_secs(20), pace: Pace::Closed, keep_answers: false };
        let report = run(sink.address(), Requests::to_path("/0", 3).into(), &load).unwrap();
        assert_eq!((report.accepted, report.refused, report.refused_status), (0, 3, Some(500)));
        assert!(report.ensure_all_accepted().is_err());
    }
}
