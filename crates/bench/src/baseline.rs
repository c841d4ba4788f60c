//! The receivers that a reader would write instead, on Node and Redis.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bench::process;
use bench::requests::SECRET;
use bench::server::Server;
use tempfile::TempDir;

use crate::rig::Rig;

const PACKAGE_JSON: &str = include_str!("../baseline/package.json");
const SERVER_JS: &str = include_str!("../baseline/server.js");

/// Longest wait for Redis to accept connections.
const REDIS_READY_MAX: Duration = Duration::from_secs(10);

/// Whether `program` can be started here.
pub(crate) fn is_present(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Puts the receivers and what they need under `target/bench/baseline`.
pub(crate) fn install(rig: &Rig) -> Result<PathBuf> {
    let dir = rig.dir().join("baseline");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("package.json"), PACKAGE_JSON)?;
    std::fs::write(dir.join("server.js"), SERVER_JS)?;
    let status = Command::new("npm")
        .args(["install", "--omit=dev", "--no-audit", "--no-fund", "--no-package-lock", "--silent"])
        .current_dir(&dir)
        .status()
        .context("cannot start npm")?;
    ensure!(status.success(), "`npm install` ended with {status}");
    Ok(dir)
}

/// Starts the Express receiver; with a Redis, it puts every event on a queue there before it answers.
pub(crate) fn express(dir: &Path, redis: Option<&Redis>) -> Result<Server> {
    let mut command = Command::new("node");
    command.arg("server.js").current_dir(dir);
    command.env("NODE_ENV", "production").env("WEBHOOK_SECRET", SECRET);
    if let Some(redis) = redis {
        command.arg(redis.address.port().to_string());
    }
    Server::spawn(command, dir.join("express.log"), "/readyz")
}

/// A Redis of our own that syncs every write. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    /// Starts a Redis on a free port, with its files in `scratch`.
    pub(crate) fn start(scratch: &TempDir) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(scratch.path())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start redis-server")?;
        let redis = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(started.elapsed() < REDIS_READY_MAX, "redis-server does not accept connections");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }

    /// Processor time so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        process::cpu_time(self.child.id()).unwrap_or_default()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
