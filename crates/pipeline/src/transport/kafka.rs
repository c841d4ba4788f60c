//! Kafka: records for topics, acknowledged by every replica that is in sync.
//!
//! A cluster announces where its brokers are, and a producer has to follow: so every announced address is judged by the
//! guard like one that a tenant has named. The clients there are dial by themselves, and the codecs there are believe
//! any count that a broker sends; the four requests of a producer are spelled out here instead.

mod batch;
mod codec;
mod connection;
mod leaders;
mod login;
mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::connector::{RecordRefusal, Sasl, Server};
use domain::verdict::FailureReason;
use futures_util::StreamExt as _;
use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use self::connection::{Connection, replicas_ms};
use self::leaders::{Placed, announced, by_leader, refusal, topics};
use self::messages::{ApiVersions, Cluster, Metadata, Produce, SaslHandshake, is_of_all};
use super::kept::Kept;
use super::records::errand::{self, Errand};
use super::records::servers::{awake_by, first_to_answer};
use super::records::{Duplex, End};
use super::tls::{ENDED, SILENT, Tls};
use super::{Guard, TransportError};
use crate::clock::Clock;

/// The port of Kafka.
const PORTS: [u16; 1] = [9_092];

/// Most brokers that one exchange goes to, and at once: a cluster must not send us around the world. The records of
/// further leaders are tried again, when those of the first are settled.
const LEADERS_MAX: usize = 128;
const LEADERS_AT_ONCE: usize = 8;
/// How often a broker that hangs up is asked again before it is believed to want a login.
const ASKED_AGAIN: usize = 2;

/// The Kafka transport.
pub(super) struct KafkaTransport {
    guard: Guard,
    tls: Tls,
    clock: Arc<Clock>,
    kept: Arc<Kept<(Place, Server), Connection>>,
}

/// Where records go: to the brokers that those named here tell of.
type Place = errand::Place<Option<Sasl>>;

impl KafkaTransport {
    /// A transport that trusts the usual certificate authorities and `extra_roots`. Must be made inside the runtime.
    pub(super) fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, rustls::Error> {
        Ok(Self { guard, tls: Tls::new(extra_roots, &[])?, clock, kept: Kept::start() })
    }

    /// Produces records, each to the leader of its partition.
    pub(super) async fn hand_over(&self, errand: &Errand<'_>, place: Place) -> Result<(), End> {
        let topics = topics(errand.records);
        let mut looks = Vec::new();
        for server in &place.servers {
            looks.push(self.look_around_at(errand, &place, server, Metadata(&topics)));
        }
        let cluster = first_to_answer(looks, errand.until).await?;
        // 28 bits are more than a topic has partitions.
        let keyless_from = usize::try_from(self.clock.random() >> 100).unwrap_or(0);
        let by_leader = by_leader(errand, &cluster.topics, keyless_from);
        let mut sent = Vec::new();
        for (leader, placed) in by_leader.iter().take(LEADERS_MAX) {
            sent.push(self.produce_to(errand, &place, &cluster, *leader, placed));
        }
        // A leader that does not answer keeps nobody from knowing what the others said.
        futures_util::stream::iter(sent).buffer_unordered(LEADERS_AT_ONCE).collect::<()>().await;
        Ok(())
    }

    /// Who leads the partitions, as one broker has it.
    async fn look_around_at(
        &self,
        errand: &Errand<'_>,
        place: &Place,
        server: &Server,
        metadata: Metadata<'_>,
    ) -> Result<Cluster, End> {
        let at = (place.clone(), server.clone());
        // One that was closed while nobody looked is no failure: nothing has been produced yet.
        if let Some(mut kept) = self.kept.take(errand.lane, &at)
            && let Ok(Ok(cluster)) = timeout_at(awake_by(errand.until), kept.ask(&metadata)).await
        {
            self.kept.lay_down(errand.lane, at, kept);
            return Ok(cluster);
        }
        let mut connection = self.connect(place, server, errand.until).await?;
        match connection.ask(&metadata).await {
            Ok(cluster) => {
                self.kept.lay_down(errand.lane, at, connection);
                Ok(cluster)
            }
            Err(End::Failed(_)) if place.login.is_none() && self.wants_login(place, server, errand.until).await => {
                // There are brokers that talk about logins and want none. One that wants one hangs up every time; a wire, now and then.
                for _ in 0..ASKED_AGAIN {
                    let mut connection = self.connect(place, server, errand.until).await?;
                    if let Ok(cluster) = connection.ask(&metadata).await {
                        self.kept.lay_down(errand.lane, at, connection);
                        return Ok(cluster);
                    }
                }
                Err(End::turned_away("NO_LOGIN", "the broker wants a login"))
            }
            Err(end) => Err(end),
        }
    }

    /// Whether a broker talks about logins, which one that wants none does not. It hangs up on whoever asks it for anything else.
    async fn wants_login(&self, place: &Place, server: &Server, until: Instant) -> bool {
        const UNSUPPORTED_MECHANISM: i16 = 33;
        let asked = async { self.connect(place, server, until).await?.ask(&SaslHandshake("SCRAM-SHA-256")).await };
        matches!(timeout_at(awake_by(until), asked).await, Ok(Ok((0 | UNSUPPORTED_MECHANISM, _))))
    }

    async fn connect(&self, place: &Place, server: &Server, until: Instant) -> Result<Connection, End> {
        let tls = self.tls.for_server(&place.tls)?;
        let peer = self.guard.check_peer(&server.host, server.port, &PORTS, tls.is_some())?;
        let tcp = self.guard.connect(&peer, until).await?;
        let stream: Box<dyn Duplex> = match tls {
            Some(tls) => match tls.shake_hands(peer.server_name, tcp, until).await {
                Ok(stream) => Box::new(stream),
                Err(error) => return Err(self.not_encrypted(server, error, until).await),
            },
            None => Box::new(tcp),
        };
        Connection::open(stream, place.login.as_ref(), self.clock.random()).await
    }

    /// Why there is no encryption. A broker that does not speak TLS hangs up or goes on listening, as one may that does; but in
    /// plain words it answers.
    async fn not_encrypted(&self, server: &Server, error: TransportError, until: Instant) -> End {
        let is_plain =
            error.is_misconfigured || [ENDED, SILENT].contains(&&*error.message) && self.is_plain(server, until).await;
        if is_plain { End::turned_away("NO_TLS", "the broker offers no encryption") } else { error.into() }
    }

    /// Whether a broker speaks in the open. It is told nothing and asked nothing that is about us.
    async fn is_plain(&self, server: &Server, until: Instant) -> bool {
        let asked = async {
            let peer = self.guard.check_peer(&server.host, server.port, &PORTS, false)?;
            let stream: Box<dyn Duplex> = Box::new(self.guard.connect(&peer, until).await?);
            Connection::open(stream, None, 0).await?.ask(&ApiVersions).await
        };
        matches!(timeout_at(awake_by(until), asked).await, Ok(Ok(())))
    }

    /// A connection to a leader: one that was kept, if somebody is still at its other end.
    async fn connected(&self, errand: &Errand<'_>, at: &(Place, Server)) -> Result<Connection, End> {
        if let Some(mut kept) = self.kept.take(errand.lane, at)
            && let Ok(true) = timeout_at(awake_by(errand.until), kept.is_awake()).await
        {
            return Ok(kept);
        }
        self.connect(&at.0, &at.1, errand.until).await
    }

    /// Produces the records of one leader; when that fails, so do those of them that are not settled.
    async fn produce_to(&self, errand: &Errand<'_>, place: &Place, cluster: &Cluster, leader: i32, placed: &[Placed]) {
        let done = async {
            let at = (place.clone(), announced(cluster, leader)?);
            let mut connection = self.connected(errand, &at).await?;
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

    /// Produces records to the broker that leads their partitions. A batch that is refused for what is in it is cut in halves,
    /// until it is taken or is a single record: a broker refuses all of it for one of them.
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
                if result.error != 0 && !is_of_all(result.error) && placed.len() > 1 {
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
}
