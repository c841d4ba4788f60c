//! Servers that follow a script, on paused time that passes when a server says nothing, and not otherwise.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use pipeline::transport::Guard;
use pipeline::transport::guard::{Dial, System};
use tokio::sync::mpsc::UnboundedSender;

/// What a server does over a connection. When it returns the connection is left open.
pub(crate) type Script = Box<dyn FnOnce(&mut Line) + Send>;

/// For how long a server says nothing: longer than anybody waits for one server, and a third of an attempt.
const SILENCE: Duration = Duration::from_secs(10);
/// Longest real time that anything here waits for, so that a test that goes wrong has an end.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// A network on which each connection, wherever it is to lead, meets the next of some scripts.
pub(crate) struct Stage {
    scripts: Mutex<VecDeque<Script>>,
    left_open: Arc<Mutex<Vec<Line>>>,
    time: UnboundedSender<Duration>,
    _still: mpsc::Sender<()>,
}

/// The server's end of a connection.
pub(crate) struct Line {
    pub(crate) stream: TcpStream,
    time: UnboundedSender<Duration>,
}

impl Line {
    /// Says nothing until the other side has lost its patience.
    pub(crate) fn says_nothing(&self) {
        let _ = self.time.send(SILENCE);
    }

    /// Says nothing to what comes next.
    pub(crate) fn says_nothing_more(&mut self) {
        // If the other side hangs up, it wants no answer.
        if let Ok(1) = self.stream.read(&mut [0]) {
            self.says_nothing();
        }
    }
}

impl Stage {
    /// A guard that dials on this stage and nowhere else, and the stage. Time must be paused.
    pub(crate) fn new(scripts: impl IntoIterator<Item = Script>) -> (Guard, Arc<Self>) {
        let (time, mut passes) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(by) = passes.recv().await {
                tokio::time::advance(by).await;
            }
        });
        // Tokio lets no time pass by itself as long as something blocks.
        let (still, over) = mpsc::channel();
        tokio::task::spawn_blocking(move || over.recv_timeout(WAIT_MAX));
        let scripts = Mutex::new(scripts.into_iter().collect());
        let stage = Arc::new(Self { scripts, left_open: Arc::default(), time, _still: still });
        (Guard::over(true, Vec::new(), Arc::new(System), Arc::clone(&stage) as _), stage)
    }

    /// How many scripts nobody has come for.
    pub(crate) fn scripts_left(&self) -> usize {
        self.scripts.lock().unwrap().len()
    }
}

#[async_trait]
impl Dial for Stage {
    async fn dial(&self, _: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        let script = self.scripts.lock().unwrap().pop_front().ok_or(io::ErrorKind::ConnectionRefused)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        let (stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        let mut line = Line { stream, time: self.time.clone() };
        let left_open = Arc::clone(&self.left_open);
        std::thread::spawn(move || {
            script(&mut line);
            left_open.lock().unwrap().push(line);
        });
        ours.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(ours)
    }
}
