//! A real `afterclick serve` as a child process: started on a data directory, asked how it is, stopped or killed.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::client::Client;
use crate::process;

/// The admin key of every server that the harness starts.
pub const ADMIN_KEY: &str = "harness-admin-key-0123456789abcdef";
/// The key that seals the secrets of every store that the harness makes: 32 bytes, in hex.
pub const MASTER_KEY_HEX: &str = "6166746572636c69636b206861726e657373206d6173746572206b6579203332";

/// Longest wait for a server to say where it listens and to be ready.
const READY_MAX: Duration = Duration::from_mins(2);
/// Longest wait for a server to end after it was asked to.
const STOP_MAX: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Its data directory. The configuration and the log lie beside it.
    pub data_dir: PathBuf,
    /// The text of `afterclick.toml`.
    pub config: String,
    /// A library to load before all others.
    pub preload: Option<PathBuf>,
}

impl Plan {
    /// A server on a data directory.
    pub fn new(program: &Path, data_dir: &Path, config: &str) -> Self {
        Self {
            program: program.to_path_buf(),
            data_dir: data_dir.to_path_buf(),
            config: config.to_owned(),
            preload: None,
        }
    }

    fn command(&self) -> Result<(Command, PathBuf)> {
        std::fs::create_dir_all(&self.data_dir)?;
        let config = self.data_dir.with_extension("toml");
        std::fs::write(&config, &self.config)?;
        let log = self.data_dir.with_extension("log");
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--config").arg(&config).arg("--data-dir").arg(&self.data_dir);
        command.args(["--listen", "127.0.0.1:0", "--allow-private"]);
        command.env("AFTERCLICK_ADMIN_KEY", ADMIN_KEY).env("AFTERCLICK_MASTER_KEY", MASTER_KEY_HEX);
        command.env("RUST_LOG", "warn");
        if let Some(preload) = &self.preload {
            command.env("LD_PRELOAD", preload);
        }
        command.stderr(File::options().create(true).append(true).open(&log)?);
        Ok((command, log))
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    ready_after: Duration,
    log: PathBuf,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub fn start(plan: &Plan) -> Result<Self> {
        let (command, log) = plan.command()?;
        Self::spawn(command, log, "/readyz")
    }

    /// Starts any program that prints `listening on http://ADDR:PORT` and waits until a GET of `probe` answers 200.
    pub fn spawn(mut command: Command, log: PathBuf, probe: &str) -> Result<Self> {
        let started = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| {
            format!("cannot start `{}`; build it first", Path::new(command.get_program()).display())
        })?;
        let stdout = child.stdout.take().context("no stdout")?;
        // From here on the child is owned by a value that kills it when something below fails.
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), ready_after: Duration::ZERO, log };
        server.address = listening_address(stdout, started).map_err(|error| server.explain(&error))?;
        while !is_ready(server.address, probe) {
            if server.child.try_wait()?.is_some() || started.elapsed() > READY_MAX {
                return Err(server.explain(&anyhow::anyhow!("the server did not become ready")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long it took from its start to being ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Somebody who may ask it anything.
    pub fn client(&self) -> Result<Client> {
        Client::new(self.address, ADMIN_KEY)
    }

    /// Processor time so far.
    pub fn cpu_time(&self) -> Duration {
        process::cpu_time(self.pid()).unwrap_or_default()
    }

    /// The largest resident size so far, in bytes.
    pub fn peak_resident_bytes(&self) -> Result<u64> {
        process::peak_resident_bytes(self.pid()).context("the kernel does not say how much memory the server uses")
    }

    /// Waits until the server has used almost no processor time for a while, so that work it has put off is not
    /// counted against what is measured next. Gives up after `within`: a server that is never idle is measured so.
    pub fn wait_until_idle(&self, within: Duration) {
        const STEP: Duration = Duration::from_millis(100);
        let started = Instant::now();
        let mut before = self.cpu_time();
        while started.elapsed() < within {
            std::thread::sleep(STEP);
            let after = self.cpu_time();
            if after.saturating_sub(before) <= STEP / 10 {
                return;
            }
            before = after;
        }
    }

    /// Ends it without any warning, as a crash does.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end and waits; an error unless it exits with 0.
    pub fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        ensure!(asked.success(), "cannot signal the server");
        let started = Instant::now();
        while started.elapsed() < STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}: {}", self.log_tail());
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the server did not end within {} s of being asked to", STOP_MAX.as_secs())
    }

    fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow::anyhow!("{error}; its log ends with: {}", self.log_tail())
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the announcement and keeps the pipe open and empty from then on.
fn listening_address(stdout: std::process::ChildStdout, started: Instant) -> Result<SocketAddr> {
    let (found, address) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("server output".to_owned()).spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("listening on http://") {
                let _ = found.send(address.trim().parse());
            }
        }
    })?;
    match address.recv_timeout(READY_MAX.saturating_sub(started.elapsed())) {
        Ok(address) => address.context("the server announced an address that is none"),
        Err(_) => bail!("the server did not say where it listens"),
    }
}

fn is_ready(address: SocketAddr, probe: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {probe} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}
