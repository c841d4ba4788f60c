//! `afterclick serve` as a child process on a port of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use domain::signature::Scheme;
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Headers, Output, SOURCE_SECRET, program, request, run, signed, try_request, until};

/// A directory with a data directory and a configuration in it.
pub(crate) struct Setup {
    directory: TempDir,
}

impl Setup {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// One with this configuration.
    pub(crate) fn with(config: &str) -> Self {
        let setup = Self::new();
        setup.write("afterclick.toml", config);
        setup
    }

    /// Where the data is.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A file of the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The configuration's path as an argument.
    pub(crate) fn config(&self) -> String {
        self.path("afterclick.toml").display().to_string()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `serve` on a free port, targets of this machine allowed.
    pub(crate) fn command(&self) -> Command {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--allow-private", "--data-dir"]).arg(self.data_dir());
        if self.path("afterclick.toml").exists() {
            command.args(["--config", &self.config()]);
        }
        command
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self) -> Server {
        Server::start(&mut self.command())
    }
}

/// A running server. Killed when it is dropped without having been stopped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    key: Option<String>,
}

impl Server {
    /// Starts a command and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = collect(child.stderr.take().unwrap(), &stderr);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let _ = child.wait();
            let _ = reader.join();
            panic!("the server did not start; stdout: {line:?}, stderr:\n{}", stderr.lock().unwrap());
        };
        Self { address, child, stdout, stderr, reader: Some(reader), key: None }
    }

    /// Calls with this key from now on.
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The admin key: the one given, else the one that was printed.
    pub(crate) fn key(&self) -> String {
        if let Some(key) = &self.key {
            return key.clone();
        }
        until("the admin key on stderr", || {
            let said = self.said();
            let at = said.find("    ack_")? + 4;
            said[at..].lines().next().map(str::to_owned)
        })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Posts a webhook to a source, signed with [`SOURCE_SECRET`].
    pub(crate) fn post(&self, source: &str, scheme: Scheme, id: &str, body: &[u8]) -> Answer {
        self.post_raw(source, &signed(scheme, SOURCE_SECRET, id, body), body)
    }

    /// Posts a signed webhook to a server that may be gone.
    pub(crate) fn try_post(&self, source: &str, scheme: Scheme, body: &[u8]) -> Option<Answer> {
        let headers = signed(scheme, SOURCE_SECRET, "", body);
        try_request(self.address, "POST", &format!("/webhooks/{source}"), &headers, body).ok()
    }

    /// Posts to a source with these headers.
    pub(crate) fn post_raw(&self, source: &str, headers: &Headers, body: &[u8]) -> Answer {
        request(self.address, "POST", &format!("/webhooks/{source}"), headers, body)
    }

    /// Calls the API with the admin key; panics unless it succeeds.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.call("GET", path, b"")
    }

    /// The same with a body.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, path, body.to_string().as_bytes())
    }

    /// Publishes an envelope or an array of them; returns the ids of the events.
    #[track_caller]
    pub(crate) fn publish(&self, envelopes: &Value) -> Vec<String> {
        let answer = self.send("POST", "/v1/events", envelopes);
        let published = answer["data"].as_array().cloned().unwrap_or_else(|| vec![answer]);
        published.iter().map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Somebody who publishes one envelope at a time with a key that may do no more, and is told the id of the event.
    pub(crate) fn publisher(address: SocketAddr, key: &str) -> impl Fn(&Value) -> String {
        move |envelope| {
            let answer = call(address, key, "POST", "/v1/events", envelope.to_string().as_bytes());
            answer["id"].as_str().expect("an id").to_owned()
        }
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &[u8]) -> Value {
        call(self.address, &self.key(), method, path, body)
    }

    /// Waits until a delivery of an event has this state, and returns it.
    pub(crate) fn delivery(&self, event_id: &str, state: &str) -> Value {
        until(&format!("a {state} delivery of {event_id}"), || {
            let deliveries = self.get(&format!("/v1/deliveries?event={event_id}"));
            deliveries["data"].as_array()?.iter().find(|delivery| delivery["state"] == state).cloned()
        })
    }

    /// Runs another command of the binary against this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.env("AFTERCLICK_SERVER", format!("http://{}", self.address)).env("AFTERCLICK_ADMIN_KEY", self.key());
        run(&mut command, arguments)
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Output {
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        Output { code: status.code(), stdout, stderr: self.said() }
    }

    /// Ends it as a service manager would.
    pub(crate) fn stop(self) -> Output {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn call(address: SocketAddr, key: &str, method: &str, path: &str, body: &[u8]) -> Value {
    let headers = vec![
        ("authorization".to_owned(), format!("Bearer {key}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let answer = request(address, method, path, &headers, body);
    assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.json());
    answer.json()
}

fn collect(stderr: std::process::ChildStderr, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut text = into.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    })
}

/// A path as an argument.
pub(crate) fn argument(path: &Path) -> String {
    path.display().to_string()
}
