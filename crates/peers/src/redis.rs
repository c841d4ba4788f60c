//! Redis as Debian ships it, with a password.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::needs::{Needs, Package, find_program};
use crate::process::{Room, Server, free_port};

pub(crate) static NEEDS: Needs = Needs {
    name: "redis",
    packages: &[
        Package::Debian { package: "redis-server", program: "redis-server" },
        Package::Debian { package: "redis-tools", program: "redis-cli" },
    ],
};

/// A server that keeps everything in memory.
pub struct Redis {
    port: u16,
    _server: Server,
}

impl Redis {
    pub const PASSWORD: &str = "a-password";

    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, Self::try_start)
    }

    /// `redis://:PASSWORD@127.0.0.1:PORT/0`.
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", Self::PASSWORD, self.port)
    }

    /// Runs one command through `redis-cli`; the parts of an answer come back as lines.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        redis_cli(self.port, words)
    }

    fn try_start() -> Result<Self> {
        let room = Room::new("redis")?;
        let port = free_port()?;
        let mut command = room.command(&find_program("redis-server").expect("looked for before"), "KILL");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--requirepass", Self::PASSWORD]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(room.path());
        let mut server = room.launch(command)?;
        server.wait_for(|| redis_cli(port, &["PING"]).ok().filter(|answer| answer == "PONG\n"))?;
        Ok(Self { port, _server: server })
    }
}

fn redis_cli(port: u16, words: &[&str]) -> Result<String> {
    let program = find_program("redis-cli").context("no `redis-cli`")?;
    let login = ["-p", &port.to_string(), "-a", Redis::PASSWORD, "--no-auth-warning", "-e"].map(str::to_owned);
    let output = Command::new(Path::new(&program)).args(["-h", "127.0.0.1"]).args(login).args(words).output()?;
    if !output.status.success() {
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
