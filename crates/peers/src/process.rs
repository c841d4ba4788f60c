//! A server process that does not outlive the test, whatever becomes of the test.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a start is tried.
pub(crate) const STARTS_MAX: usize = 3;

/// How long a server may take until it answers: long, because builds may have both cores.
const READY_MS_MAX: u64 = 90_000;

/// Between two looks at something that no signal announces.
const POLL_MS: u64 = 20;

/// How much of a server's log an error shows.
const LOG_BYTES_MAX: u64 = 4_000;

/// Runs the server and waits for it; a reader waits for the end of standard input, a pipe whose other end only the test process
/// holds, and then ends the server and takes its room away.
const KEEPER: &str = r#"
signal=$1 room=$2; shift 2
exec 3<&0 </dev/null
"$@" 3<&- & server=$!
{ read -r _ <&3; : >"$room/.over"; kill -s "$signal" "$server"; } & reader=$!
wait "$server"; status=$?
kill "$reader" 2>/dev/null
[ -e "$room/.over" ] && rm -rf "$room"
exit $status
"#;

/// A directory for a server that is about to start.
pub(crate) struct Room {
    path: PathBuf,
    log: PathBuf,
}

impl Room {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = tempfile::Builder::new().prefix(&format!("afterclick-{name}-")).tempdir()?.keep();
        let log = path.join("log");
        Ok(Self { path, log })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs `program` under the keeper; arguments and variables go to the program.
    pub(crate) fn command(&self, program: &Path, end_signal: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper", end_signal]).arg(&self.path).arg(program).current_dir(&self.path);
        command
    }

    /// Starts it; what it prints goes to its log.
    pub(crate) fn launch(self, mut command: Command) -> Result<Server> {
        let log = File::create(&self.log)?;
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        // Out of the terminal's group, so that an interrupt ends the test, and the end of the test ends the server.
        let keeper = command.process_group(0).spawn().context("cannot start `sh`")?;
        Ok(Server { keeper, room: self })
    }
}

/// A running server. Dropping it ends it and removes its directory.
pub(crate) struct Server {
    keeper: Child,
    room: Room,
}

impl Server {
    /// Asks until there is an answer, the server is gone, or it has taken too long.
    pub(crate) fn wait_for<T>(&mut self, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.keeper.try_wait()? {
                bail!("it ended with {status}; its log: {}", self.log_tail());
            }
            if let Some(answer) = ask() {
                return Ok(answer);
            }
            if started.elapsed() > Duration::from_millis(READY_MS_MAX) {
                bail!("no answer within {READY_MS_MAX} ms; its log: {}", self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(POLL_MS));
        }
    }

    /// The port that a script says it listens on, as `port N` on a line of its own.
    pub(crate) fn announced_port(&mut self) -> Result<u16> {
        let log = self.room.log.clone();
        self.wait_for(|| {
            let text = std::fs::read_to_string(&log).ok()?;
            let (complete, _) = text.rsplit_once('\n')?;
            complete.lines().find_map(|line| line.strip_prefix("port ")?.parse().ok())
        })
    }

    fn log_tail(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.room.log).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
            file.read_to_end(&mut text)
        });
        read.map_or_else(|error| error.to_string(), |_| String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let waited = self.keeper.wait();
        // The keeper has done it unless the server ended by itself.
        let removed = std::fs::remove_dir_all(&self.room.path);
        let problem = waited.err().or(removed.err().filter(|error| error.kind() != ErrorKind::NotFound));
        if let Some(error) = problem {
            eprintln!("peer in {}: {error}", self.room.path.display());
        }
    }
}

/// A port that nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
