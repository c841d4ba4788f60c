//! The sender: posts everything in order, over several connections, through servers that are killed in the middle.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use bench::server::{ADMIN_KEY, Plan, Server};
use domain::signature::Scheme;
use serde_json::Value;

use super::arrivals::Post;
use crate::support::{Answer, SOURCE_SECRET, request, signed, try_request};

/// The source of the webhooks.
pub(super) const SOURCE: &str = "tolinku";
/// Posts that are sent side by side; the next so many begin when all of them are answered.
const AT_ONCE: usize = 256;
const SENDERS: usize = 4;
/// Events of one call.
const PER_CALL: usize = 25;
/// Longest wait for another server.
const SERVER_MAX: Duration = Duration::from_mins(2);
/// How soon a busy server is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where the server of the moment is.
#[derive(Default)]
struct Current {
    at: Mutex<(usize, Option<SocketAddr>)>,
    changed: Condvar,
}

impl Current {
    fn moves_to(&self, address: SocketAddr) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = (at.0 + 1, Some(address));
        self.changed.notify_all();
    }

    /// A server that is none of the first `than`, with its number.
    fn newer(&self, than: usize) -> (usize, SocketAddr) {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(at, SERVER_MAX, |at| at.0 <= than);
        let (at, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "a server that was not killed is gone");
        (at.0, at.1.expect("the first one is there"))
    }
}

/// Posts everything; the server is killed whenever so many have been posted. Returns the last one.
pub(super) fn send(plan: &Plan, posts: &[Post], kills: &[usize]) -> Server {
    let (current, sent) = (Current::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let mut server = Server::start(plan).unwrap();
        current.moves_to(server.address());
        let (current, sent) = (&current, &sent);
        let sending = scope.spawn(move || {
            for some in posts.chunks(AT_ONCE) {
                send_side_by_side(current, some, sent);
            }
        });
        for &kill in kills {
            // Whoever sends gives up by itself if nobody answers.
            while sent.load(Ordering::Relaxed) < kill && !sending.is_finished() {
                std::thread::sleep(LOOK_EVERY);
            }
            server.kill().unwrap();
            server = Server::start(plan).unwrap();
            current.moves_to(server.address());
        }
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        server
    })
}

/// Posts a few to a server that stays.
pub(super) fn send_to(address: SocketAddr, posts: &[Post]) {
    let current = Current::default();
    current.moves_to(address);
    send_side_by_side(&current, posts, &AtomicUsize::new(0));
}

fn send_side_by_side(current: &Current, posts: &[Post], sent: &AtomicUsize) {
    let mut events = Vec::new();
    let mut webhooks = Vec::new();
    let mut calls = Vec::new();
    for post in posts {
        match post {
            Post::Event(event) => events.push(event.clone()),
            Post::Webhook(body) => webhooks.push(body.as_str()),
            Post::Identify(body) => calls.push(body),
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for some in events.chunks(PER_CALL) {
                post(current, "/v1/events", &Value::from(some.to_vec()).to_string());
                sent.fetch_add(some.len(), Ordering::Relaxed);
            }
        });
        // Calls about one person are made one after the other.
        scope.spawn(|| {
            for call in calls {
                post(current, "/v1/identify", &call.to_string());
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        for part in webhooks.chunks(webhooks.len().div_ceil(SENDERS).max(1)) {
            scope.spawn(move || {
                for body in part {
                    post(current, &format!("/webhooks/{SOURCE}"), body);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
}

/// Posts until it is answered with success, to whichever server there is.
fn post(current: &Current, path: &str, body: &str) {
    let mut than = 0;
    loop {
        let (number, address) = current.newer(than);
        match try_post(address, path, body) {
            Ok(answer) if answer.status < 300 => return,
            Ok(answer) if answer.status == 503 => std::thread::sleep(BUSY_PAUSE),
            Ok(answer) => panic!("{path}: {} {}\n{body}", answer.status, answer.json()),
            Err(_) => than = number,
        }
    }
}

fn try_post(address: SocketAddr, path: &str, body: &str) -> std::io::Result<Answer> {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    if path.starts_with("/v1/") {
        headers.push(("authorization".to_owned(), format!("Bearer {ADMIN_KEY}")));
    } else {
        headers.extend(signed(Scheme::BodyHex, SOURCE_SECRET, "", body.as_bytes()));
    }
    try_request(address, "POST", path, &headers, body.as_bytes())
}

/// What a call to identify is answered with by a server that is there.
pub(super) fn identify(address: SocketAddr, body: &Value) -> Answer {
    let headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("authorization".to_owned(), format!("Bearer {ADMIN_KEY}")),
    ];
    request(address, "POST", "/v1/identify", &headers, body.to_string().as_bytes())
}
