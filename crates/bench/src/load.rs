//! The load generator: one thread, kept-alive connections, requests that lie ready.
//!
//! A closed load sends the next request of a connection when the last one is answered: it finds the highest rate. An
//! open load sends at appointed times whatever the server does, and counts latency from the appointed time, so that a
//! stall of the server is not hidden by the generator waiting for it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::http1;
use crate::process;
use crate::requests::Requests;

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How a load is to be put on.
#[derive(Debug, Clone)]
pub struct Load {
    /// Connections, each with at most one request on the wire.
    pub connections: usize,
    /// No request is sent later than this after the start; those left over are not sent.
    pub window: Duration,
    pub pace: Pace,
    /// Whether the answers are kept, see [`Report::answers`].
    pub keep_answers: bool,
}

/// When the next request may go.
#[derive(Debug, Clone)]
pub enum Pace {
    /// As soon as a connection is free.
    Closed,
    /// As soon as a connection is free and no more than `ahead_max` requests are ahead of `arrived`.
    Following { arrived: Arc<AtomicU64>, ahead_max: u64 },
    /// At its appointed time: this many per second.
    Open { per_second: f64 },
}

/// What a load did.
#[derive(Debug, Default)]
pub struct Report {
    /// When the first request could go: all connections were open.
    pub started: Option<Instant>,
    /// From then until the last answer.
    pub elapsed: Duration,
    /// Requests that were sent.
    pub sent: usize,
    /// Answers with a status of 200 to 299.
    pub accepted: usize,
    /// Answers with another status, and the last of those statuses.
    pub refused: usize,
    pub refused_status: Option<u16>,
    /// Requests that were sent in whole or in part and had no answer, because the connection broke.
    pub unanswered: usize,
    /// Time to each accepted answer, in microseconds, in no order.
    pub latencies_us: Vec<u32>,
    /// Index, status and body of each answer, if they were to be kept.
    pub answers: Vec<(usize, u16, Vec<u8>)>,
    /// Processor time of the generator's thread.
    pub cpu: Duration,
}

impl Report {
    /// Accepted answers per second.
    pub fn rate(&self) -> f64 {
        self.accepted as f64 / self.elapsed.as_secs_f64()
    }

    /// How busy the generator's only thread was, 0 to 1. Close to 1 it is the generator that is being measured.
    pub fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// An error unless every request was accepted.
    pub fn ensure_all_accepted(&self) -> Result<()> {
        ensure!(self.accepted > 0, "no request was accepted");
        ensure!(
            self.refused == 0 && self.unanswered == 0,
            "{} requests were refused (last with {}) and {} got no answer",
            self.refused,
            self.refused_status.unwrap_or_default(),
            self.unanswered
        );
        Ok(())
    }
}

/// Puts a load on a server and waits until it is done.
pub fn run(address: SocketAddr, requests: Arc<Requests>, load: &Load) -> Result<Report> {
    start(address, requests, load)?.wait()
}

/// Puts a load on a server and comes back at once.
pub fn start(address: SocketAddr, requests: Arc<Requests>, load: &Load) -> Result<Running> {
    let load = load.clone();
    let generate = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, generate(address, requests, load))
    };
    Ok(Running { thread: std::thread::Builder::new().name("load".to_owned()).spawn(generate)? })
}

/// A load that is being put on.
#[derive(Debug)]
pub struct Running {
    thread: std::thread::JoinHandle<Result<Report>>,
}

impl Running {
    /// Waits until it is done.
    pub fn wait(self) -> Result<Report> {
        self.thread.join().map_err(|_| anyhow::anyhow!("the load generator panicked"))?
    }
}

async fn generate(address: SocketAddr, requests: Arc<Requests>, load: Load) -> Result<Report> {
    let mut streams = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let cpu_before = process::thread_cpu_time();
    let started = Instant::now();
    let report = Report { started: Some(started), ..Report::default() };
    let shared = Rc::new(Shared { requests, load, started, next: Cell::new(0), report: RefCell::new(report) });
    let tasks: Vec<_> =
        streams.into_iter().map(|stream| tokio::task::spawn_local(converse(shared.clone(), stream))).collect();
    for task in tasks {
        task.await?;
    }
    let mut report = shared.report.take();
    report.elapsed = started.elapsed();
    report.cpu = match (cpu_before, process::thread_cpu_time()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => Duration::ZERO,
    };
    Ok(report)
}

struct Shared {
    requests: Arc<Requests>,
    load: Load,
    started: Instant,
    next: Cell<usize>,
    report: RefCell<Report>,
}

impl Shared {
    /// The next request to send and the time its latency counts from, or `None` when the load is done.
    async fn next(&self) -> Option<(usize, Instant)> {
        if let Pace::Following { arrived, ahead_max } = &self.load.pace {
            while self.next.get() as u64 >= arrived.load(Ordering::Relaxed) + ahead_max {
                if self.started.elapsed() >= self.load.window {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let index = self.next.get();
        if index >= self.requests.len() {
            return None;
        }
        let at = match self.load.pace {
            Pace::Closed | Pace::Following { .. } => Instant::now(),
            Pace::Open { per_second } => self.started + Duration::from_secs_f64(index as f64 / per_second),
        };
        if at.duration_since(self.started) >= self.load.window {
            return None;
        }
        self.next.set(index + 1);
        if matches!(self.load.pace, Pace::Open { .. }) {
            tokio::time::sleep_until(at.into()).await;
        }
        Some((index, at))
    }
}

/// One connection: sends and reads until there is nothing left or the connection breaks.
async fn converse(shared: Rc<Shared>, mut stream: TcpStream) {
    let mut buffer = Vec::with_capacity(4096);
    while let Some((index, at)) = shared.next().await {
        shared.report.borrow_mut().sent += 1;
        let exchange = exchange(&mut stream, shared.requests.bytes(index), &mut buffer);
        let Ok(Ok((status, body))) = tokio::time::timeout(ANSWER_MAX, exchange).await else {
            shared.report.borrow_mut().unanswered += 1;
            return;
        };
        let mut report = shared.report.borrow_mut();
        if (200..=299).contains(&status) {
            report.accepted += 1;
            report.latencies_us.push(u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else {
            report.refused += 1;
            report.refused_status = Some(status);
        }
        if shared.load.keep_answers {
            report.answers.push((index, status, buffer[body].to_vec()));
        }
    }
}

/// Sends one request and reads its answer into `buffer`; returns the status and where the body lies.
async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(u16, std::ops::Range<usize>)> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended");
        let extent = http1::extent(buffer).map_err(|_| anyhow::anyhow!("the answer is not plain HTTP/1.1"))?;
        if let Some(extent) = extent.filter(|extent| buffer.len() >= extent.head + extent.body) {
            let status = http1::status(buffer).context("the answer has no status")?;
            return Ok((status, extent.head..extent.head + extent.body));
        }
    }
}
