//! Where the benchmark finds its programs and puts its files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bench::requests::{Requests, SECRET};
use bench::server::{Plan, Server};
use tempfile::TempDir;

use crate::bare::Batches;

/// More than any server here answers on two processors.
pub(crate) const REQUESTS_PER_SECOND_MAX: usize = 80_000;
/// Longest wait for outcomes to be recorded after the last one is known.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// The programs, the scratch directory, and how long to measure.
#[derive(Debug)]
pub(crate) struct Rig {
    own_program: PathBuf,
    program: PathBuf,
    dir: PathBuf,
    seconds: u16,
}

/// What the bare client says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// Processor time.
    pub(crate) cpu: Duration,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
}

impl Rig {
    pub(crate) fn new(seconds: u16) -> Result<Self> {
        let own_program = std::env::current_exe()?;
        let built = own_program.parent().context("this program lies nowhere")?;
        let program = built.join("afterclick");
        ensure!(program.exists(), "`{}` is missing; run `cargo xtask bench`, which builds it", program.display());
        let dir = built.parent().context("this program lies nowhere")?.join("bench");
        std::fs::create_dir_all(&dir)?;
        Ok(Self { own_program, program, dir, seconds })
    }

    /// `target/bench`.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A directory that goes away when it is dropped, on the disk that `target` is on: a memory disk would make every
    /// sync free.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix("scratch-").tempdir_in(&self.dir)?)
    }

    /// A server to be started on `store` inside `scratch`.
    pub(crate) fn plan(&self, scratch: &TempDir, store: &str, config: &str) -> Plan {
        Plan::new(&self.program, &scratch.path().join(store), config)
    }

    /// The server stack that answers every POST.
    pub(crate) fn bare_server(&self) -> Result<Server> {
        let mut command = Command::new(&self.own_program);
        command.arg("bare-server");
        Server::spawn(command, self.dir.join("bare-server.log"), "/readyz")
    }

    /// Has the client stack send numbered bodies and record nothing; returns the processor time that it used.
    pub(crate) fn bare_client(&self, url: &str, first: u64, count: usize, in_flight: usize) -> Result<Duration> {
        let output = Command::new(&self.own_program)
            .args(["bare-client", "--url", url, "--first", &first.to_string()])
            .args(["--count", &count.to_string(), "--in-flight", &in_flight.to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "the bare client ended with {}", output.status);
        let micros = String::from_utf8(output.stdout)?.trim().parse().context("the bare client says no figure")?;
        Ok(Duration::from_micros(micros))
    }

    /// Has the client stack make and send the batches of a connector.
    pub(crate) fn bare_batches(&self, batches: &Batches) -> Result<Sent> {
        let output = Command::new(&self.own_program)
            .args(["bare-batches", "--connector", &batches.connector, "--settings", &batches.settings])
            .args(["--first", &batches.first.to_string(), "--count", &batches.count.to_string()])
            .args(["--items", &batches.items.to_string(), "--in-flight", &batches.in_flight.to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "the bare client ended with {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let mut figures = text.split_whitespace().map(str::parse);
        let mut next = || anyhow::Ok(Duration::from_micros(figures.next().context("a figure is missing")??));
        Ok(Sent { cpu: next()?, took: next()? })
    }

    /// Measured time of one side in one round.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// How many there are in one window at this rate.
    pub(crate) fn count(&self, per_second: usize) -> usize {
        usize::from(self.seconds) * per_second
    }

    /// More requests to the source of every row than are answered in one window.
    pub(crate) fn requests(&self) -> Arc<Requests> {
        Arc::new(Requests::to_path("/webhooks/tolinku", self.count(REQUESTS_PER_SECOND_MAX)))
    }
}

/// One source and one destination for everything, which [`paused_server`] pauses.
pub(crate) fn paused_config() -> String {
    source() + &destination("paused", "http://127.0.0.1:9/", 8)
}

/// A server with [`paused_config`] whose destination is paused: what is taken in is owed and not sent.
pub(crate) fn paused_server(plan: &Plan) -> Result<Server> {
    let server = Server::start(plan)?;
    server.client()?.post("/v1/destinations/paused/pause", &serde_json::json!({}))?;
    Ok(server)
}

/// Waits until the server owes nothing; an error if that takes longer than a few seconds.
pub(crate) fn ensure_nothing_pending(server: &Server) -> Result<()> {
    let client = server.client()?;
    let started = Instant::now();
    while client.metric("afterclick_backlog")? > 0.0 {
        ensure!(started.elapsed() < SETTLED_WITHIN, "deliveries are still pending after all have arrived");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The source that every row sends to: `/webhooks/tolinku`.
pub(crate) fn source() -> String {
    format!("[[source]]\nname = \"tolinku\"\nkind = \"tolinku\"\nsecrets = [\"{SECRET}\"]\n")
}

/// A webhook destination for every event.
pub(crate) fn destination(name: &str, url: &str, concurrency: usize) -> String {
    format!(
        "[[destination]]\nname = \"{name}\"\nconnector = \"webhook\"\nevents = [\"*\"]\n\
         concurrency = {concurrency}\nsettings.url = \"{url}\"\nsettings.secret = \"{SECRET}\"\n"
    )
}
