//! A server ends with whatever started it, even where nothing of that could run any more.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use peers::Redis;

/// How long the end of a server may take.
const END_MS_MAX: u64 = 60_000;

/// Not a test of its own: a process that holds a server in a `static`, says where, and waits to be killed.
#[test]
#[ignore = "the other half of a_server_does_not_outlive_a_killed_test"]
fn hold_a_server() {
    static SERVER: OnceLock<Option<Redis>> = OnceLock::new();
    let server = SERVER.get_or_init(Redis::start).as_ref().expect("the other half has seen that Redis is here");
    let [process, directory] = traces(server);
    println!("at {} {}", process.display(), directory.display());
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn a_server_does_not_outlive_a_killed_test() {
    if Redis::start().is_none() {
        return;
    }
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["process::hold_a_server", "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find_map(|line| line.split_once("at ").map(|(_, traces)| traces.to_owned())).unwrap();
    let traces: Vec<PathBuf> = line.split(' ').map(PathBuf::from).collect();
    assert!(traces.len() == 2 && traces.iter().all(|trace| trace.exists()), "{traces:?}");

    test.kill().unwrap();
    test.wait().unwrap();
    let started = Instant::now();
    while traces.iter().any(|trace| trace.exists()) {
        assert!(started.elapsed() < Duration::from_millis(END_MS_MAX), "the server is still there");
        std::thread::yield_now();
    }
}

#[test]
fn a_dropped_server_is_gone_with_its_directory() {
    let Some(server) = Redis::start() else { return };
    let traces = traces(&server);
    assert!(traces.iter().all(|trace| trace.exists()), "{traces:?}");
    drop(server);
    assert!(!traces.iter().any(|trace| trace.exists()), "{traces:?}");
}

/// What exists as long as the server does: its process and its directory.
fn traces(server: &Redis) -> [PathBuf; 2] {
    let about = server.command(&["INFO", "server"]).unwrap();
    let process = about.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
    let directory = server.command(&["CONFIG", "GET", "dir"]).unwrap();
    [format!("/proc/{}", process.trim()).into(), directory.lines().nth(1).unwrap().into()]
}
