//! Kafka: records for topics, acknowledged by every replica that is in sync.
//!
//! A cluster announces where its brokers are, and a producer has to follow: so every announced address is judged by the
//! guard like one that a tenant has named. The clients there are dial by themselves, and the codecs there are believe
//! any count that a broker sends; the four requests of a producer are spelled out here instead.

mod batch;
mod codec;
mod connection;
mod errand;
mod login;
mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::DestinationId;
use domain::connector::{Record, RecordRefusal, Reply, Sasl, Server, ServerTls};
use domain::verdict::FailureReason;
use futures_util::StreamExt as _;
use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use self::connection::{Connection, Duplex, replicas_ms};
use self::errand::{Errand, Placed, announced, refusal};
use self::messages::{Cluster, Metadata, Produce, TOO_LARGE};
use super::kept::Kept;
use super::tls::Tls;
use super::{Guard, TransportError};
use crate::clock::Clock;

/// The port of Kafka.
const PORTS: [u16; 1] = [9_092];

/// Most brokers that one exchange goes to, and at once: a cluster must not send us around the world. The records of
/// further leaders are tried again, when those of the first are settled.
const LEADERS_MAX: usize = 128;
const LEADERS_AT_ONCE: usize = 8;

/// The Kafka transport.
pub(super) struct KafkaTransport {
    guard: Guard,
    tls: Tls,
    clock: Arc<Clock>,
    kept: Arc<Kept<(Place, Server), Connection>>,
}

/// Where records go and who brings them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Those that tell of the others.
    pub(super) servers: Vec<Server>,
    pub(super) tls: ServerTls,
    pub(super) login: Option<Sasl>,
}

/// How a dialogue ended.
enum End {
    /// The broker does not want us; its name for it, and what it says.
    TurnedAway(String, String),
    Failed(TransportError),
}

impl KafkaTransport {
    /// A transport that trusts the usual certificate authorities and `extra_roots`. Must be made inside the runtime.
    pub(super) fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, rustls::Error> {
        Ok(Self { guard, tls: Tls::new(extra_roots, &[])?, clock, kept: Kept::start() })
    }

    /// Produces records and returns what became of each, within `deadline`.
    pub(super) async fn exchange(
        &self,
        lane: DestinationId,
        place: Place,
        records: &[Record],
        deadline: Duration,
    ) -> Result<Reply, TransportError> {
        let until = Instant::now() + deadline;
        let errand = Errand::new(lane, &place, records, until);
        let late = || TransportError::new(FailureReason::Timeout, "no broker told in time who leads the topic");
        let cluster = match timeout_at(until, self.look_around(&errand)).await {
            Ok(Ok(cluster)) => cluster,
            Ok(Err(End::Failed(error))) => return Err(error),
            Ok(Err(End::TurnedAway(code, message))) => return Ok(self.reply(Some(code), message)),
            Err(_) => return Err(late()),
        };
        let by_leader = errand.by_leader(&cluster.topics);
        let mut sent = Vec::new();
        for (leader, placed) in by_leader.iter().take(LEADERS_MAX) {
            sent.push(self.produce_to(&errand, &cluster, *leader, placed));
        }
        // A leader that does not answer keeps nobody from knowing what the others said.
        let all = futures_util::stream::iter(sent).buffer_unordered(LEADERS_AT_ONCE).collect::<()>();
        let _ = timeout_at(until, all).await;
        // A list of texts and nothings is always JSON.
        Ok(self.reply(None, serde_json::to_vec(&errand.outcomes()).unwrap_or_default()))
    }

    /// Who leads the partitions, from the first broker that answers.
    async fn look_around(&self, errand: &Errand<'_>) -> Result<Cluster, End> {
        let topics = errand.topics();
        let mut failure = TransportError::new(FailureReason::Connect, "no broker is named");
        for server in &errand.place.servers {
            match self.look_around_at(errand, server, &Metadata(&topics)).await {
                Err(End::Failed(error)) if error.reason != FailureReason::AddressRefused => failure = error,
                done => return done,
            }
        }
        Err(End::Failed(failure))
    }

    async fn look_around_at(
        &self,
        errand: &Errand<'_>,
        server: &Server,
        metadata: &Metadata<'_>,
    ) -> Result<Cluster, End> {
        let at = (errand.place.clone(), server.clone());
        // One that was closed while nobody looked is no failure: nothing has been produced yet.
        if let Some(mut kept) = self.kept.take(errand.lane, &at)
            && let Ok(cluster) = kept.ask(metadata).await
        {
            self.kept.lay_down(errand.lane, at, kept);
            return Ok(cluster);
        }
        let mut connection = self.connect(errand, server).await?;
        let cluster = connection.ask(metadata).await?;
        self.kept.lay_down(errand.lane, at, connection);
        Ok(cluster)
    }

    async fn connect(&self, errand: &Errand<'_>, server: &Server) -> Result<Connection, End> {
        let Errand { place, until, .. } = errand;
        let tls = self.tls.for_server(&place.tls)?;
        let peer = self.guard.check_peer(&server.host, server.port, &PORTS, tls.is_some())?;
        let tcp = self.guard.connect(&peer, *until).await?;
        let stream: Box<dyn Duplex> = match tls {
            Some(tls) => Box::new(tls.shake_hands(peer.server_name, tcp, *until).await?),
            None => Box::new(tcp),
        };
        Connection::open(stream, place.login.as_ref(), self.clock.random()).await
    }

    /// Produces the records of one leader; when that fails, so do those of them that are not settled.
    async fn produce_to(&self, errand: &Errand<'_>, cluster: &Cluster, leader: i32, placed: &[Placed]) {
        let done = async {
            let server = announced(cluster, leader)?;
            let at = (errand.place.clone(), server);
            let mut connection = match self.kept.take(errand.lane, &at) {
                Some(kept) => kept,
                None => self.connect(errand, &at.1).await?,
            };
            self.produce(errand, &mut connection, placed.to_vec()).await?;
            self.kept.lay_down(errand.lane, at, connection);
            Ok(())
        };
        let refusal = match done.await {
            Ok(()) => return,
            Err(End::TurnedAway(code, message)) => RecordRefusal::new(code, message),
            Err(End::Failed(error)) if error.reason == FailureReason::AddressRefused => {
                RecordRefusal::new("ADDRESS_REFUSED", error.message)
            }
            Err(End::Failed(error)) => RecordRefusal::new(RecordRefusal::NO_ANSWER, error.message),
        };
        for it in placed {
            errand.settle(it.record, Err(refusal.clone()));
        }
    }

    /// Produces records to the broker that leads their partitions. A batch that is too large is cut in halves, until it
    /// fits or is a single record.
    async fn produce(&self, errand: &Errand<'_>, connection: &mut Connection, placed: Vec<Placed>) -> Result<(), End> {
        let mut waiting = vec![placed];
        while let Some(placed) = waiting.pop() {
            let mut partitions: BTreeMap<(String, i32), Vec<Placed>> = BTreeMap::new();
            for it in placed {
                let topic = errand.records[it.record].topic.clone();
                partitions.entry((topic, it.partition)).or_default().push(it);
            }
            for result in connection.ask(&self.request(errand, &partitions)).await? {
                // Each only once, however often the broker names it.
                let partition = (result.topic, result.partition);
                let Some(placed) = partitions.remove(&partition) else { continue };
                if TOO_LARGE.contains(&result.error) && placed.len() > 1 {
                    let (first, second) = placed.split_at(placed.len() / 2);
                    waiting.extend([second.to_vec(), first.to_vec()]);
                    continue;
                }
                let outcome = if result.error == 0 { Ok(()) } else { Err(refusal(result.error, &partition.0)) };
                for it in placed {
                    errand.settle(it.record, outcome.clone());
                }
            }
        }
        Ok(())
    }

    fn request<'p>(&self, errand: &Errand<'_>, partitions: &'p BTreeMap<(String, i32), Vec<Placed>>) -> Produce<'p> {
        let now = self.clock.now();
        let mut topics: Vec<(&str, Vec<(i32, Bytes)>)> = Vec::new();
        for ((topic, partition), placed) in partitions {
            let records: Vec<_> = placed.iter().map(|it| &errand.records[it.record]).collect();
            let batch = (*partition, batch::batch(&records, now));
            match topics.last_mut() {
                Some((known, batches)) if known == topic => batches.push(batch),
                _ => topics.push((topic, vec![batch])),
            }
        }
        Produce { timeout_ms: replicas_ms(errand.until), topics }
    }

    fn reply(&self, code: Option<String>, body: impl Into<Bytes>) -> Reply {
        Reply { status: 0, code, headers: Vec::new(), body: body.into(), received_at: self.clock.now() }
    }
}

impl<E: Into<TransportError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
