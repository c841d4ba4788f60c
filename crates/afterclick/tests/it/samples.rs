//! The documents' verification samples, rewritten, against what the server sends: real `node` and real `python3`.
//!
//! The pillar document verifies over JSON that it has parsed and written again; the others over the raw body. Both must
//! be satisfied, in every scheme, for every sample of the catalogue.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use domain::catalogue::{ALL, Group};
use domain::signature::Scheme;

use crate::support::{DEADLINE, DESTINATION_SECRET, Setup, destination, now, source};

/// A receiver in another language. Killed when dropped.
struct Script {
    child: Child,
    url: String,
    lines: Receiver<String>,
}

impl Script {
    fn start(interpreter: &str, file: &str, scheme: Scheme) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receivers").join(file);
        let mut command = Command::new(interpreter);
        command.arg(path).env("WEBHOOK_SECRET", DESTINATION_SECRET).env("WEBHOOK_SCHEME", scheme.name());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the interpreter is there");
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = stdout.next().expect("the script prints its port");
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.try_for_each(|line| sender.send(line)));
        Self { child, url: format!("http://127.0.0.1:{port}/webhooks/deeplinks"), lines }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which file verifies which scheme: `timestamped` over re-serialised JSON, as the pillar document does.
fn scripts(extension: &str) -> [(Scheme, String); 4] {
    Scheme::ALL.map(|scheme| {
        let stem = match scheme {
            Scheme::BodyHex | Scheme::BodyHexPrefixed => "raw_body",
            Scheme::Timestamped => "reserialised",
            Scheme::StandardWebhooks => "standard_webhooks",
        };
        (scheme, format!("{stem}.{extension}"))
    })
}

fn is_there(interpreter: &str, test: &str) -> bool {
    let found = Command::new(interpreter).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = found.is_ok_and(|status| status.success());
    if !is_there {
        // Written past the test harness, which would swallow it.
        let _ = writeln!(std::io::stderr(), "skipped {test}: there is no `{interpreter}` on this machine");
    }
    is_there
}

/// Sends every sample of the catalogue and checks that each script verified every one of them.
fn check(interpreter: &str, extension: &str) {
    let mut config = source("tolinku", Scheme::BodyHex);
    let scripts = scripts(extension).map(|(scheme, file)| {
        let script = Script::start(interpreter, &file, scheme);
        config.push_str(&destination(&format!("to-{scheme}"), &script.url, scheme));
        (scheme, script)
    });
    let server = Setup::with(&config).start();
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    let mut unique = 0;
    for kind in ALL.iter().filter(|kind| kind.group != Group::Operational) {
        for sample in kind.samples {
            unique += 1;
            let answer = server.post("tolinku", Scheme::BodyHex, "", &kind.body(sample, now(), unique));
            assert_eq!(answer.status, 200, "{}", answer.json());
            *sent.entry(format!("verified {}", kind.event_type)).or_default() += 1;
        }
    }
    for (scheme, script) in &scripts {
        let mut said: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..unique {
            let line =
                script.lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{scheme}: not every event arrived"));
            *said.entry(line).or_default() += 1;
        }
        assert_eq!(said, sent, "{scheme} in {interpreter}");
    }
}

#[test]
fn node_verifies_every_sample_in_every_scheme() {
    if is_there("node", "node_verifies_every_sample_in_every_scheme") {
        check("node", "mjs");
    }
}

#[test]
fn python_verifies_every_sample_in_every_scheme() {
    if is_there("python3", "python_verifies_every_sample_in_every_scheme") {
        check("python3", "py");
    }
}
