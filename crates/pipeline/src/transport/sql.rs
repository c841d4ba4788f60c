//! SQL: one statement for a server that speaks `PostgreSQL`'s protocol, and its rows, under one deadline.
//!
//! The protocol is tokio-postgres'; the connection under it is dialled by the guard. A statement is never prepared under a
//! name, so that a pooler in between may give each transaction to another server. What a server refuses is a reply with an
//! SQLSTATE, whether it refuses the statement or us.

mod reply;
mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use domain::DestinationId;
use domain::connector::{Reply, ServerTls, SqlCall, SqlServer};
use domain::verdict::FailureReason;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls};

use self::stream::{Allowance, Capped, Encrypt};
use super::tls::Tls;
use super::{Guard, TransportError};
use crate::clock::Clock;

/// The ports of databases and their poolers: `PostgreSQL`, its second, `PgBouncer`, Redshift.
const SQL_PORTS: [u16; 4] = [5_432, 5_433, 6_432, 5_439];
/// How long a connection is kept for the next statement.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// Most idle connections of one lane.
const IDLE_SESSIONS_MAX: usize = 4;
/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// The SQL transport.
pub struct SqlTransport {
    guard: Guard,
    tls: Tls,
    clock: Arc<Clock>,
    idle: Mutex<HashMap<DestinationId, Vec<Session>>>,
}

/// A connection that is logged in.
struct Session {
    server: SqlServer,
    client: Client,
    allowance: Allowance,
    /// Moves the bytes; ends when the server closes.
    driver: Driver,
    idle_until: Instant,
}

/// A task that ends with its owner.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        // Left alone it would wait for an answer that nobody wants any more.
        self.0.abort();
    }
}

impl SqlTransport {
    /// A transport that trusts the usual certificate authorities and `extra_roots`. Must be made inside the runtime: it
    /// closes idle connections from a task that ends with it.
    pub fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Arc<Self>, rustls::Error> {
        let transport = Arc::new(Self { guard, tls: Tls::new(extra_roots, &[])?, clock, idle: Mutex::default() });
        tokio::spawn(sweep(Arc::downgrade(&transport)));
        Ok(transport)
    }

    /// Runs one statement and returns its rows or what the server has against it, within `deadline`.
    pub async fn exchange(
        &self,
        lane: DestinationId,
        call: SqlCall,
        deadline: Duration,
    ) -> Result<Reply, TransportError> {
        let deadline = Instant::now() + deadline;
        match timeout_at(deadline, self.talk(lane, &call, deadline)).await {
            Ok(done) => done,
            // The session has gone with the future, and with it the connection.
            Err(_) => Err(TransportError {
                may_have_arrived: true,
                ..TransportError::new(FailureReason::Timeout, "the database did not answer in time")
            }),
        }
    }

    async fn talk(&self, lane: DestinationId, call: &SqlCall, deadline: Instant) -> Result<Reply, TransportError> {
        let now = || self.clock.now();
        let session = match self.kept(lane, &call.server) {
            Some(session) => session,
            None => match self.log_in(&call.server, deadline).await? {
                Ok(session) => session,
                Err(error) => return reply::of_login(&error, now()),
            },
        };
        session.allowance.renew();
        let done = session.run(call).await;
        let reply = match done {
            Ok(body) => reply::of_rows(body, now()),
            Err(error) => reply::of_refusal(&error, now()),
        };
        if reply.is_ok() && !session.client.is_closed() {
            self.keep(lane, session);
        }
        reply
    }

    /// Connects and logs in. The inner error is what the protocol has against it.
    async fn log_in(
        &self,
        server: &SqlServer,
        deadline: Instant,
    ) -> Result<Result<Session, tokio_postgres::Error>, TransportError> {
        let is_private = server.tls != ServerTls::None;
        let peer = self.guard.check_peer(&server.host, server.port, &SQL_PORTS, is_private)?;
        let tls = self.tls.for_server(&server.tls)?;
        let stream = self.guard.connect(&peer, deadline).await?;
        let mut config = Config::new();
        config.user(&server.user).password(server.password.expose()).dbname(&server.database);
        config.application_name("afterclick");
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(if let Some(tls) = tls {
            Session::begin(server, &config, stream, Encrypt::new(tls, peer.server_name, deadline)).await
        } else {
            Session::begin(server, &config, stream, NoTls).await
        })
    }

    fn kept(&self, lane: DestinationId, server: &SqlServer) -> Option<Session> {
        let mut lanes = lock(&self.idle);
        let idle = lanes.get_mut(&lane)?;
        while let Some(session) = idle.pop() {
            if session.is_good_for(server) {
                return Some(session);
            }
        }
        None
    }

    fn keep(&self, lane: DestinationId, mut session: Session) {
        session.idle_until = Instant::now() + IDLE_MAX;
        let mut lanes = lock(&self.idle);
        let idle = lanes.entry(lane).or_default();
        if idle.len() < IDLE_SESSIONS_MAX {
            idle.push(session);
        }
    }
}

impl Session {
    async fn begin<T>(
        server: &SqlServer,
        config: &Config,
        stream: TcpStream,
        tls: T,
    ) -> Result<Self, tokio_postgres::Error>
    where
        T: TlsConnect<Capped<TcpStream>>,
        T::Stream: Send + 'static,
    {
        let (stream, allowance) = Capped::new(stream);
        let (client, connection) = config.connect_raw(stream, tls).await?;
        let driver = Driver(tokio::spawn(async move {
            // What ends it is told to the statement that it ends.
            let _ = connection.await;
        }));
        Ok(Self { server: server.clone(), client, allowance, driver, idle_until: Instant::now() })
    }

    fn is_good_for(&self, server: &SqlServer) -> bool {
        let is_open = !self.client.is_closed() && !self.driver.0.is_finished();
        is_open && self.server == *server && self.idle_until > Instant::now()
    }

    /// The rows as JSON.
    async fn run(&self, call: &SqlCall) -> Result<Vec<u8>, tokio_postgres::Error> {
        if call.arrays.is_empty() {
            return Ok(reply::plain_rows(&self.client.simple_query(&call.statement).await?));
        }
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            call.arrays.iter().map(|array| (array as &(dyn ToSql + Sync), Type::TEXT_ARRAY)).collect();
        reply::typed_rows(&self.client.query_typed(&call.statement, &parameters).await?)
    }
}

async fn sweep(transport: Weak<SqlTransport>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(transport) = transport.upgrade() else { return };
        let now = Instant::now();
        let mut expired = Vec::new();
        lock(&transport.idle).retain(|_, idle| {
            expired.extend(idle.extract_if(.., |session| session.idle_until <= now || session.client.is_closed()));
            !idle.is_empty()
        });
        // Closing is a system call each, so it happens here, outside the lock.
        drop(expired);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
