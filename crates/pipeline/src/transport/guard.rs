//! The guard: the only opener of outward connections.
//!
//! What counts is the address that is dialled, so it is the address that is judged: after resolving and again right
//! before each dial, with literals going the same way as names. A name whose answer holds one forbidden address is
//! refused as a whole, because honest names have no such answers and rebinding ones do. Refusals are told to tenants and
//! say nothing about what is inside.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::verdict::FailureReason;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::TransportError;
use super::address::{Reach, reach};
use super::target::{Peer, Target, TargetHost, URL_BYTES_MAX};

/// Longest time for resolving and connecting.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Most addresses of one name that are tried.
const ADDRESSES_TRIED_MAX: usize = 4;

/// Names that mean this machine or this network, with everything below them.
const LOCAL_NAMES: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];

/// Ports of databases and brokers above 1023. Below it only 80 and 443 are open.
const SERVICE_PORTS: [u16; 16] =
    [1_433, 1_521, 2_049, 2_375, 2_379, 2_380, 3_306, 4_222, 5_432, 5_672, 6_379, 9_042, 9_092, 10_250, 11_211, 27_017];

/// Why a URL or an address may not be dialled, in words for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("the URL has a space, a control character or a backslash in it")]
    Characters,
    #[error("this is not an absolute URL; write it like `https://example.com/hooks`")]
    Malformed,
    #[error("the URL must begin with `https://`")]
    Scheme,
    #[error("the URL must not hold a user name or password; use a header instead")]
    UserInfo,
    #[error("the URL must not hold a fragment (`#…`)")]
    Fragment,
    #[error("this is not the name or address of a server; write it like `db.example.com`")]
    Host,
    #[error("the port is not one that such a service uses")]
    Port,
    #[error("the host is not a public name")]
    Name,
    #[error("the address of the destination is not a public one")]
    Address,
    #[error("without encryption only servers on the operator's own network are reached; switch TLS on")]
    Plain,
}

/// Turns names into addresses.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of a name.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// Opens a connection to an address that has been judged.
#[async_trait]
pub trait Dial: Send + Sync {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// The resolver and the network of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct System;

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }
}

#[async_trait]
impl Dial for System {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// Decides what may be dialled, and dials it.
#[derive(Clone)]
pub struct Guard {
    allow_private: bool,
    allowed: Arc<[IpNet]>,
    resolver: Arc<dyn Resolve>,
    dialer: Arc<dyn Dial>,
}

impl Guard {
    /// A guard for the real network. `allow_private` is for development: it opens plain http and the machine's own
    /// networks, but no metadata service. `allowed` are networks that the operator opens by name.
    pub fn new(allow_private: bool, allowed: Vec<IpNet>) -> Self {
        Self::over(allow_private, allowed, Arc::new(System), Arc::new(System))
    }

    /// A guard over another network.
    pub fn over(allow_private: bool, allowed: Vec<IpNet>, resolver: Arc<dyn Resolve>, dialer: Arc<dyn Dial>) -> Self {
        Self { allow_private, allowed: allowed.into(), resolver, dialer }
    }

    /// Whether an address may be dialled.
    pub fn judge(&self, address: IpAddr) -> Result<(), Refused> {
        let open = match reach(address) {
            Reach::Public => true,
            Reach::Private => self.allow_private,
            Reach::Never => false,
        };
        if open || self.is_allowed(address) { Ok(()) } else { Err(Refused::Address) }
    }

    /// Whether the operator has opened a network with this address in it.
    fn is_allowed(&self, address: IpAddr) -> bool {
        // A network that is allowed holds its addresses in their mapped spelling too.
        let plain = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(&plain))
    }

    /// Reads a URL and judges what can be judged without resolving: for saving it, and again before each use.
    pub fn check_url(&self, url: &str) -> Result<Target, Refused> {
        let target = Target::parse(url)?;
        if !self.allow_private {
            if !target.tls {
                return Err(Refused::Scheme);
            }
            if !is_open_to_tenants(target.port) {
                return Err(Refused::Port);
            }
        }
        self.check_host(&target.host)?;
        Ok(target)
    }

    /// The same for a server that is named by host and port and speaks a protocol whose own ports are `own_ports`. What
    /// is said to it in the open must stay on the operator's own network.
    pub fn check_peer(&self, host: &str, port: u16, own_ports: &[u16], is_private: bool) -> Result<Peer, Refused> {
        let peer = Peer::parse(host, port, is_private)?;
        if !self.allow_private && !own_ports.contains(&port) && !is_open_to_tenants(port) {
            return Err(Refused::Port);
        }
        self.check_host(&peer.host)?;
        Ok(peer)
    }

    /// What can be said of such a server before it is dialled, for saving it: whichever port it has is its protocol's.
    pub fn check_server(&self, host: &str, port: u16) -> Result<(), Refused> {
        self.check_peer(host, port, &[port], true).map(drop)
    }

    fn check_host(&self, host: &TargetHost) -> Result<(), Refused> {
        match host {
            TargetHost::Address(address) => self.judge(*address),
            TargetHost::Name(name) if !self.allow_private && is_local(name) => Err(Refused::Name),
            TargetHost::Name(_) => Ok(()),
        }
    }

    /// Connects to a peer.
    pub async fn connect(&self, peer: &Peer, deadline: Instant) -> Result<TcpStream, TransportError> {
        let deadline = deadline.min(Instant::now() + CONNECT_MAX);
        let addresses = self.addresses(&peer.host, peer.port, deadline).await?;
        let is_inside = |address: &SocketAddr| self.is_allowed(address.ip());
        if !peer.is_private && !self.allow_private && !addresses.iter().all(is_inside) {
            return Err(Refused::Plain.into());
        }
        self.dial(&addresses, deadline).await
    }

    /// The addresses of a target, every one of them judged.
    pub async fn resolve(&self, target: &Target, deadline: Instant) -> Result<Vec<SocketAddr>, TransportError> {
        self.addresses(&target.host, target.port, deadline).await
    }

    async fn addresses(
        &self,
        host: &TargetHost,
        port: u16,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        let addresses = match host {
            TargetHost::Address(address) => vec![SocketAddr::new(*address, port)],
            TargetHost::Name(name) => {
                // An absolute name, so that no search domain can turn it into a name inside. The hosts file, which
                // development relies on, knows no absolute names.
                let name = if self.allow_private { name.clone() } else { format!("{name}.") };
                match timeout_at(deadline, self.resolver.resolve(&name, port)).await {
                    Ok(Ok(addresses)) => addresses,
                    Ok(Err(_)) => {
                        return Err(TransportError::new(FailureReason::Dns, "the name could not be resolved"));
                    }
                    Err(_) => return Err(TransportError::new(FailureReason::Dns, "the name was not resolved in time")),
                }
            }
        };
        if addresses.is_empty() {
            return Err(TransportError::new(FailureReason::Dns, "the name has no address"));
        }
        for address in &addresses {
            self.judge(address.ip())?;
        }
        Ok(addresses)
    }

    /// Connects to the first of `addresses` that answers. This is the one place where a connection is opened, and
    /// nothing lies between the judgement and the dial of the very same address.
    pub async fn dial(&self, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, TransportError> {
        let tried = &addresses[..addresses.len().min(ADDRESSES_TRIED_MAX)];
        let mut failure = TransportError::new(FailureReason::Connect, "the connection was not made in time");
        for (index, &address) in tried.iter().enumerate() {
            // Each address gets its share of the time that is left, so that a silent one does not use it up.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(tried.len() - index).unwrap_or(1);
            match self.dial_one(address, share).await {
                Ok(stream) => return Ok(stream),
                Err(error) if error.reason == FailureReason::AddressRefused => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn dial_one(&self, address: SocketAddr, within: Duration) -> Result<TcpStream, TransportError> {
        self.judge(address.ip())?;
        let dialled = timeout_at(Instant::now() + within, self.dialer.dial(address)).await;
        let stream = match dialled {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(not_connected(&error)),
            Err(_) => {
                return Err(TransportError::new(FailureReason::Connect, "the connection was not made in time"));
            }
        };
        // Whatever rewrites addresses below us must not lead elsewhere.
        match stream.peer_addr() {
            Ok(peer) if peer.ip().to_canonical() == address.ip().to_canonical() => {}
            _ => return Err(Refused::Address.into()),
        }
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

fn not_connected(error: &io::Error) -> TransportError {
    // Linux, and nearly every other Unix: no descriptors left (process, system), no memory or buffers, no local port.
    const OUR_SHORTAGES: [i32; 5] = [24, 23, 12, 105, 99];
    let is_ours = error.raw_os_error().is_some_and(|code| OUR_SHORTAGES.contains(&code));
    let message = if is_ours { "this server has no connection to spare" } else { "the connection was refused" };
    TransportError { is_ours, ..TransportError::new(FailureReason::Connect, message) }
}

/// Whether a tenant may name this port, whatever is spoken there.
fn is_open_to_tenants(port: u16) -> bool {
    matches!(port, 80 | 443 | 1_024..) && !SERVICE_PORTS.contains(&port)
}

fn is_local(name: &str) -> bool {
    let is_below = |local: &&str| name.strip_suffix(*local).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.contains('.') || LOCAL_NAMES.iter().any(is_below)
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("allow_private", &self.allow_private)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(guard: &Guard, url: &str) -> Result<(), Refused> {
        guard.check_url(url).map(|_| ())
    }

    #[test]
    fn a_strict_guard_wants_https_a_public_name_and_a_web_port() {
        let guard = Guard::new(false, Vec::new());
        for (url, expect) in [
            ("https://example.com/hooks", Ok(())),
            ("https://example.com:8443/", Ok(())),
            ("https://mylocal.example/", Ok(())),
            ("https://internal.example.com/", Ok(())),
            ("https://1.1.1.1/", Ok(())),
            ("http://example.com/", Err(Refused::Scheme)),
            ("https://localhost/", Err(Refused::Name)),
            ("https://localhost./", Err(Refused::Name)),
            ("https://LOCALHOST/", Err(Refused::Name)),
            ("https://a.localhost/", Err(Refused::Name)),
            ("https://printer.local/", Err(Refused::Name)),
            ("https://metadata.google.internal/", Err(Refused::Name)),
            ("https://metadata.google.internal./", Err(Refused::Name)),
            ("https://nas.home.arpa/", Err(Refused::Name)),
            ("https://internal/", Err(Refused::Name)),
            ("https://kubernetes/", Err(Refused::Name)),
            ("https://example.com:22/", Err(Refused::Port)),
            ("https://example.com:6379/", Err(Refused::Port)),
            ("https://127.0.0.1/", Err(Refused::Address)),
            ("https://0/", Err(Refused::Address)),
            ("https://[::ffff:169.254.169.254]/", Err(Refused::Address)),
        ] {
            assert_eq!(verdict(&guard, url), expect, "{url}");
        }
    }

    #[test]
    fn another_protocol_has_ports_of_its_own_and_the_same_addresses() {
        let guard = Guard::new(false, Vec::new());
        let verdict = |host, port| guard.check_peer(host, port, &[5_432, 25], true).map(|_| ());
        for (host, port, expect) in [
            ("db.example.com", 5_432, Ok(())),
            ("db.example.com", 25, Ok(())),
            ("db.example.com", 6_543, Ok(())),
            ("1.1.1.1", 5_432, Ok(())),
            ("db.example.com", 22, Err(Refused::Port)),
            ("db.example.com", 6_379, Err(Refused::Port)),
            ("localhost", 5_432, Err(Refused::Name)),
            ("postgres", 5_432, Err(Refused::Name)),
            ("10.0.0.1", 5_432, Err(Refused::Address)),
            ("::ffff:169.254.169.254", 5_432, Err(Refused::Address)),
        ] {
            assert_eq!(verdict(host, port), expect, "{host}:{port}");
        }
    }

    #[tokio::test]
    async fn nothing_is_said_in_the_open_outside_of_the_operators_network() {
        let guard = Guard::new(false, vec!["127.0.0.0/8".parse().unwrap()]);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let soon = Instant::now() + Duration::from_secs(5);
        let own = guard.check_peer("127.0.0.1", listener.local_addr().unwrap().port(), &[], false).unwrap();
        assert!(guard.connect(&own, soon).await.is_ok());
        let foreign = guard.check_peer("1.1.1.1", 5_432, &[5_432], false).unwrap();
        assert_eq!(guard.connect(&foreign, soon).await.err(), Some(Refused::Plain.into()));
    }

    #[test]
    fn development_opens_private_places_but_no_metadata() {
        let guard = Guard::new(true, Vec::new());
        for url in ["http://localhost:3000/", "http://127.0.0.1:3000/", "http://backend:3000/", "http://[::1]:1/"] {
            assert_eq!(verdict(&guard, url), Ok(()), "{url}");
        }
        for url in ["http://169.254.169.254/", "http://100.100.100.200/", "http://0.0.0.0/", "http://[fd00:ec2::254]/"]
        {
            assert_eq!(verdict(&guard, url), Err(Refused::Address), "{url}");
        }
    }

    #[test]
    fn an_operator_opens_exactly_the_networks_named() {
        let guard = Guard::new(false, vec!["10.1.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()]);
        for (address, open) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00:1::5", true),
            ("fd00:2::5", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(guard.judge(address.parse().unwrap()).is_ok(), open, "{address}");
        }
    }
}
