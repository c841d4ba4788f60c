//! The demo: a server, a sender, a receiver and four vendors' look-alikes in one process, and a plain account of what
//! happens between them.

mod board;
mod office;
mod person;
mod receiver;
mod record;
mod sender;
mod show;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::catalogue::{self, EventKind, Group};
use domain::signature::Scheme;
use domain::{Secret, retry};
use tempfile::TempDir;
use tokio::time::{Instant, timeout_at};

use crate::cli::{Failure, Interrupts, Outcome};
use crate::client::Client;
use crate::config::{self, Config, Flags, Layers};
use crate::server::{Credentials, GRACE, Server};
use crate::{random, wire};

use board::Board;
use office::{Desks, Office};
use receiver::{Inbox, Receiver};
use sender::Sender;

/// How long the first round may take.
const ROUND_MAX: Duration = Duration::from_secs(30);
/// How often a sample is sent after the first round.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// The source of the demo.
const SOURCE: &str = "tolinku";
/// How long the limping receiver is given before each new try.
const RETRY_WAITS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(200), Duration::from_secs(2)];

/// Runs the demo: the first round, and, unless `once`, samples until interrupted.
pub(crate) async fn run(once: bool) -> Outcome {
    let mut interrupts = Interrupts::new()?;
    let stage = Stage::set().await?;
    let outcome = tokio::select! {
        outcome = stage.play(once) => outcome,
        () = interrupts.next() => {
            eprintln!();
            Ok(!once)
        }
    };
    let Stage { server, .. } = stage;
    server.stop(if once { Duration::ZERO } else { GRACE.min(Duration::from_secs(2)) }).await?;
    if outcome? { Ok(()) } else { Err(Failure::Told) }
}

/// Everything that takes part.
struct Stage {
    server: Server,
    admin_key: String,
    secret: Secret,
    board: tokio::sync::Mutex<Board>,
    office: Office,
    /// What the first round owes to the office.
    owed: Desks,
    receiver_address: std::net::SocketAddr,
    /// Deleted when the demo ends.
    _data_dir: TempDir,
}

impl Stage {
    /// Starts the receiver and a server that delivers to it.
    async fn set() -> Result<Self> {
        let inboxes = inboxes();
        let receiver = Receiver::start(&inboxes).await?;
        let data_dir =
            tempfile::Builder::new().prefix("afterclick-demo-").tempdir().context("no temporary directory")?;
        let secret = random_secret();
        let office = Office::open();
        let config = configuration(&inboxes, &receiver, &office, &secret, &data_dir)?;
        let sent = samples().flat_map(|kind| kind.samples.iter().map(|_| kind.event_type));
        let owed = Desks::owed(&config, &sent);
        let (server, admin_key) = Server::start(&config, &Credentials::default()).await?;
        Ok(Self {
            server,
            admin_key: admin_key.unwrap_or_default(),
            office,
            owed,
            secret,
            receiver_address: receiver.address,
            board: Board::new(inboxes.iter().map(|inbox| inbox.name).collect(), receiver.arrivals).into(),
            _data_dir: data_dir,
        })
    }

    /// The play itself; whether everything arrived as it should.
    async fn play(&self, once: bool) -> Result<bool> {
        let mut board = self.board.lock().await;
        show::introduction(self.server.address, self.receiver_address);
        let client = Client::new(&format!("http://{}", self.server.address), Some(self.admin_key.clone()), None)?;
        let made = self.office.provision(&client).await?;
        show::headings(&board);
        let mut sender = Sender::new(self.server.address, &self.secret)?;
        let deadline = Instant::now() + ROUND_MAX;
        let Ok(arrived) = timeout_at(deadline, round(&mut sender, &mut board)).await else {
            show::too_late(&board, ROUND_MAX);
            return Ok(false);
        };
        let arrived = arrived?;
        let refused = show::what_else(&mut sender, &board).await?;
        let filled = self.office.until(self.owed, deadline.saturating_duration_since(Instant::now())).await;
        show::office(&self.office, self.owed, &made);
        show::summary(&board, self.office.desks());
        let Ok(known) = timeout_at(deadline, person::follow(&client, &mut sender, &mut board)).await else {
            show::too_late(&board, ROUND_MAX);
            return Ok(false);
        };
        let (crm, known) = known?;
        let is_good = arrived && refused && filled && known;
        if once || !is_good {
            return Ok(is_good);
        }
        show::invitation(self.server.address, &self.admin_key, &self.secret);
        self.go_on(&mut sender, &mut board).await?;
        drop(crm);
        Ok(true)
    }

    /// Sends a sample now and then, and shows each event when it has arrived everywhere, whoever sent it. An event that
    /// somebody holds back, by pausing a destination, holds back nothing else.
    async fn go_on(&self, sender: &mut Sender, board: &mut Board) -> Result<()> {
        let mut kinds = samples().cycle();
        let mut on_the_way = HashMap::new();
        let mut due = tokio::time::interval_at(Instant::now() + SAMPLE_EVERY, SAMPLE_EVERY);
        loop {
            tokio::select! {
                _ = due.tick() => {
                    let kind = kinds.next().context("the catalogue is empty")?;
                    let sent = sender.send(kind, kind.samples[0]).await?;
                    on_the_way.insert(sent.event_id.clone(), sent);
                }
                complete = board.next_complete() => {
                    let (event_id, event_type) = complete?;
                    match on_the_way.remove(&event_id) {
                        Some(sent) => {
                            show::row(&event_type, &[sent], board);
                        }
                        None => show::visitor(&event_id, &event_type, board),
                    }
                    show::desks(self.office.desks());
                }
            }
        }
    }
}

/// Sends every sample of every type and waits for each to arrive everywhere; whether every signature was genuine.
async fn round(sender: &mut Sender, board: &mut Board) -> Result<bool> {
    let mut genuine = true;
    for kind in samples() {
        let mut sent = Vec::new();
        for sample in kind.samples {
            let event = sender.send(kind, sample).await?;
            board.expect(&event.event_id);
            sent.push(event);
        }
        for event in &sent {
            board.complete(&event.event_id).await?;
        }
        genuine &= show::row(kind.event_type, &sent, board);
    }
    Ok(genuine)
}

/// The types a sender sends: all but our own.
fn samples() -> impl Iterator<Item = &'static EventKind> + Clone {
    catalogue::ALL.iter().filter(|kind| kind.group != Group::Operational)
}

/// One receiver for each scheme, and one that stumbles.
fn inboxes() -> [Inbox; 5] {
    let inbox = |name, scheme, stumbles| Inbox { name, scheme, secret: random_secret(), stumbles };
    [
        inbox("plain", Scheme::BodyHex, false),
        inbox("prefix", Scheme::BodyHexPrefixed, false),
        inbox("stamped", Scheme::Timestamped, false),
        inbox("standard", Scheme::StandardWebhooks, false),
        inbox("limping", Scheme::StandardWebhooks, true),
    ]
}

fn random_secret() -> Secret {
    Secret::from_random(random::bytes())
}

/// The demo's configuration, through the same door as everybody's.
fn configuration(
    inboxes: &[Inbox],
    receiver: &Receiver,
    office: &Office,
    secret: &Secret,
    data_dir: &TempDir,
) -> Result<Config> {
    let waits: Vec<_> = RETRY_WAITS.iter().map(|wait| format!("\"{}\"", retry::format_wait(*wait))).collect();
    let source = format!("[[source]]\nname = \"{SOURCE}\"\nkind = \"tolinku\"\nsecrets = [\"{}\"]\n", secret.expose());
    let destination = |inbox: &Inbox| {
        format!(
            "[[destination]]\nname = \"{0}\"\nconnector = \"webhook\"\nevents = [\"*\", \"test\"]\nretry = [{1}]\n\
             breaker = {2}\nsettings.url = \"http://{3}/hooks/{0}\"\nsettings.secret = \"{4}\"\nsettings.scheme = \"{5}\"\n",
            inbox.name,
            waits.join(", "),
            // The limping one would look broken, which is not what is to be seen.
            !inbox.stumbles,
            receiver.address,
            inbox.secret.expose(),
            inbox.scheme,
        )
    };
    let file: String = std::iter::once(source).chain(inboxes.iter().map(destination)).collect();
    let file = file + &office.configuration();
    let flags = Flags {
        listen: Some("127.0.0.1:0".to_owned()),
        data_dir: Some(data_dir.path().display().to_string()),
        allow_private: true,
        ..Flags::default()
    };
    let layers = Layers { environment: &|_| None, flags, plugins: wire::plugins() };
    Ok(config::read(&file, "the demo's configuration", &layers)?)
}
