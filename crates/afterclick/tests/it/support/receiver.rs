//! A receiver of webhooks that notes every request and answers as it is told.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::sync::{Arc, Mutex};

use domain::signature::{Scheme, Signing, Verifier};
use domain::{Secret, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{DEADLINE, DESTINATION_SECRET};

/// The status of an answer that never comes.
pub(crate) const SILENCE: u16 = 0;

/// A listening receiver. Ends with the test process.
pub(crate) struct Receiver {
    address: SocketAddr,
    inbox: Inbox<Received>,
    answers: Arc<Mutex<Answers>>,
}

/// What to say next.
#[derive(Default)]
struct Answers {
    statuses: VecDeque<u16>,
    bodies: VecDeque<String>,
}

/// One request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Receiver {
    /// A receiver that answers 200 to everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, inbox) = channel();
        let answers = Arc::new(Mutex::new(Answers::default()));
        let shared = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, answers) = (sender.clone(), Arc::clone(&shared));
                std::thread::spawn(move || serve(stream, &sender, &answers));
            }
        });
        Self { address, inbox, answers }
    }

    /// The next requests are answered with these, then with 200 again. [`SILENCE`] is never to answer at all.
    pub(crate) fn answer(self, statuses: &[u16]) -> Self {
        self.answers.lock().unwrap().statuses.extend(statuses);
        self
    }

    /// The next answers have these bodies, and then `ok` again.
    pub(crate) fn say(self, bodies: &[&str]) -> Self {
        self.answers.lock().unwrap().bodies.extend(bodies.iter().map(|body| (*body).to_owned()));
        self
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request, waited for.
    pub(crate) fn next(&self) -> Received {
        self.inbox.recv_timeout(DEADLINE).expect("nothing arrived in time")
    }

    /// Whether nothing has arrived that was not taken yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.try_recv().is_err()
    }
}

impl Received {
    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Panics unless the request verifies in this scheme.
    pub(crate) fn verify(&self, scheme: Scheme) {
        let secret = Secret::from(DESTINATION_SECRET);
        let verifier = Verifier::new(scheme, Signing::default_for(scheme), [(&secret, None)]).unwrap();
        let now: Timestamp = super::now();
        verifier.verify(&self.headers, &self.body, now).unwrap_or_else(|error| panic!("{scheme}: {error}"));
    }
}

/// Answers the requests of one connection until it is closed.
fn serve(stream: TcpStream, sender: &Sender<Received>, answers: &Mutex<Answers>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(received) = read(&mut reader) {
        let (status, body) = {
            let mut next = answers.lock().unwrap();
            (next.statuses.pop_front().unwrap_or(200), next.bodies.pop_front().unwrap_or_else(|| "ok".to_owned()))
        };
        // The request is known to the test before its answer is on the way.
        let _ = sender.send(received);
        if status == SILENCE {
            // Until the other side gives up.
            let _ = reader.read_line(&mut String::new());
            return;
        }
        let answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HeaderMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    // A request without a body need not say so.
    let length = headers.get("content-length").map_or(Some(0), |length| length.to_str().ok()?.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { path, headers, body })
}
