//! A corpus of addresses in disguise: through the real transport, with a resolver that lies and a dialler that counts.
//! Not one dial may go to a place that the guard refuses.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::connector::HttpCall;
use domain::verdict::FailureReason::{self, AddressRefused, Connect};
use domain::{DestinationId, Timestamp};
use ipnet::IpNet;
use pipeline::Clock;
use pipeline::transport::guard::{Dial, Resolve};
use pipeline::transport::{Guard, HttpTransport, TransportError};
use tokio::net::TcpStream;

/// Refuses every connection and remembers where it was to lead.
#[derive(Default)]
struct Canary(Mutex<Vec<SocketAddr>>);

#[async_trait]
impl Dial for Canary {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.0.lock().unwrap().push(address);
        match address.port() {
            // The port 24 stands for the error of that number: too many open files.
            24 => Err(io::Error::from_raw_os_error(24)),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// Gives one answer after the other, the last one for ever.
struct Liar(Mutex<VecDeque<Vec<IpAddr>>>, Mutex<Vec<String>>);

impl Liar {
    fn new(answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect());
        Self(Mutex::new(answers.collect()), Mutex::default())
    }
}

#[async_trait]
impl Resolve for Liar {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.1.lock().unwrap().push(name.to_owned());
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
        Ok(answer.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

struct Lab {
    transport: Arc<HttpTransport>,
    canary: Arc<Canary>,
    liar: Arc<Liar>,
}

impl Lab {
    fn new(allow_private: bool, allowed: Vec<IpNet>, answers: &[&[&str]]) -> Self {
        let (canary, liar) = (Arc::new(Canary::default()), Arc::new(Liar::new(answers)));
        let guard = Guard::over(allow_private, allowed, Arc::clone(&liar) as _, Arc::clone(&canary) as _);
        let transport = HttpTransport::start(guard, Arc::new(Clock::system()), &[]).unwrap();
        Self { transport, canary, liar }
    }

    async fn post(&self, url: &str) -> TransportError {
        // Each call in a lane of its own, so that nothing is remembered from the one before.
        let lane = DestinationId::mint(Timestamp::from_secs(1), self.liar.1.lock().unwrap().len() as u128);
        let call = HttpCall::post_json(url, Bytes::new());
        self.transport.exchange(lane, call, Duration::from_secs(5)).await.expect_err("nothing answers here")
    }

    fn dials(&self) -> Vec<String> {
        self.canary.0.lock().unwrap().iter().map(ToString::to_string).collect()
    }
}

const FORBIDDEN: &[&str] = &[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
];

/// Spellings of an IPv4 address that some parser somewhere takes for it.
fn disguises(address: std::net::Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let (bits, low) = (address.to_bits(), address.to_bits() & 0xff_ffff);
    let wide = |text: String| text.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect::<String>();
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{bits}"),
        format!("0x{bits:x}"),
        format!("0X{bits:X}"),
        format!("0{bits:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a}.{low}"),
        format!("{a}.{b}.{}", low & 0xffff),
        format!("0{a:o}.{b}.0x{c:x}.{d}"),
        format!("%{:02x}{}", a.to_string().as_bytes()[0], &format!("{a}.{b}.{c}.{d}")[1..]),
        format!("{a}。{b}。{c}。{d}"),
        format!("{a}｡{b}｡{c}｡{d}"),
        format!("{a}．{b}．{c}．{d}"),
        wide(format!("{a}")) + &format!(".{b}.{c}.{d}"),
        wide(format!("{bits}")),
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[::ffff:{:x}:{:x}]", bits >> 16, bits & 0xffff),
        format!("[0:0:0:0:0:ffff:{a}.{b}.{c}.{d}]"),
        format!("[::{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
        format!("[2002:{:x}:{:x}::]", bits >> 16, bits & 0xffff),
        format!("example.com@{a}.{b}.{c}.{d}"),
        format!("example.com:443@{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}#@example.com"),
        format!("{a}.{b}.{c}.{d}\\@example.com"),
        format!("{a}.{b}.\t{c}.{d}"),
        format!("{a}.{b}.{c}.{d}\n"),
    ]
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_dialled() {
    // Should anything be taken for a name, it resolves to what it was meant to reach.
    let lab = Lab::new(false, Vec::new(), &[&["127.0.0.1"]]);
    let mut tried = 0;
    for forbidden in FORBIDDEN {
        let hosts = match forbidden.parse().unwrap() {
            IpAddr::V4(address) => disguises(address),
            IpAddr::V6(address) => vec![format!("[{address}]"), format!("[{address}%25eth0]")],
        };
        for host in hosts {
            for (scheme, port) in [("https", ""), ("https", ":8443"), ("http", "")] {
                let error = lab.post(&format!("{scheme}://{host}{port}/latest/meta-data")).await;
                assert_eq!(error.reason, FailureReason::AddressRefused, "{scheme}://{host}{port}: {error}");
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
    assert_eq!(lab.dials(), [""; 0]);
}

#[tokio::test]
async fn no_local_name_is_even_resolved() {
    let lab = Lab::new(false, Vec::new(), &[&["1.1.1.1"]]);
    for host in [
        "localhost",
        "localhost.",
        "LOCALHOST",
        "ｌｏｃａｌｈｏｓｔ",
        "a.localhost",
        "a.b.localhost.",
        "foo",
        "foo.",
        "kubernetes",
        "metadata",
        "metadata.google.internal",
        "metadata.google.internal.",
        "host.docker.internal",
        "x.local",
        "x.local.",
        "router.home.arpa",
        "internal",
        "local",
    ] {
        let error = lab.post(&format!("https://{host}/")).await;
        assert_eq!(error.reason, FailureReason::AddressRefused, "{host}: {error}");
    }
    assert_eq!(lab.liar.1.lock().unwrap().len(), 0);
    assert_eq!(lab.dials(), [""; 0]);
}

#[tokio::test]
async fn a_name_with_one_forbidden_address_among_public_ones_is_refused() {
    for forbidden in FORBIDDEN {
        for answer in
            [&[*forbidden][..], &["1.1.1.1", *forbidden], &[*forbidden, "1.1.1.1"], &["1.1.1.1", "8.8.8.8", *forbidden]]
        {
            let lab = Lab::new(false, Vec::new(), &[answer]);
            let error = lab.post("https://rebind.example.com/").await;
            assert_eq!(error.reason, FailureReason::AddressRefused, "{answer:?}");
            assert_eq!(error.message, "the address of the destination is not a public one");
            assert_eq!(lab.dials(), [""; 0]);
        }
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_reaches_only_what_was_judged() {
    let answers: &[&[&str]] = &[&["1.1.1.1"], &["127.0.0.1"], &["8.8.8.8"], &["169.254.169.254"], &["::ffff:10.0.0.1"]];
    let lab = Lab::new(false, Vec::new(), answers);
    let mut reasons = Vec::new();
    for _ in answers {
        reasons.push(lab.post("https://rebind.example.com/").await.reason);
    }
    assert_eq!(reasons, [Connect, AddressRefused, Connect, AddressRefused, AddressRefused]);
    assert_eq!(lab.dials(), ["1.1.1.1:443", "8.8.8.8:443"]);
    assert!(lab.liar.1.lock().unwrap().iter().all(|name| name == "rebind.example.com."), "names are absolute");
}

#[tokio::test]
async fn an_operators_network_is_open_and_nothing_beside_it() {
    let lab = Lab::new(false, vec!["10.1.0.0/16".parse().unwrap()], &[&["10.1.2.3"], &["10.2.2.3"], &["127.0.0.1"]]);
    for _ in 0..3 {
        lab.post("https://clickhouse.example.com:8443/").await;
    }
    lab.post("https://10.1.9.9/").await;
    lab.post("https://10.3.9.9/").await;
    assert_eq!(lab.dials(), ["10.1.2.3:8443", "10.1.9.9:443"]);
}

#[tokio::test]
async fn a_shortage_of_ours_is_told_from_a_refusal_of_theirs() {
    let lab = Lab::new(true, Vec::new(), &[&["1.1.1.1"]]);
    let (ours, theirs) = (lab.post("http://127.0.0.1:24/").await, lab.post("http://127.0.0.1:25/").await);
    assert_eq!((ours.is_ours, theirs.is_ours), (true, false));
}

#[tokio::test]
async fn development_still_reaches_no_metadata_service() {
    let lab = Lab::new(true, Vec::new(), &[&["169.254.169.254"]]);
    for url in [
        "http://169.254.169.254/",
        "http://0xa9fea9fe/",
        "http://metadata/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
    ] {
        assert_eq!(lab.post(url).await.reason, FailureReason::AddressRefused, "{url}");
    }
    assert_eq!(lab.post("http://127.0.0.1:9/").await.reason, FailureReason::Connect);
    assert_eq!(lab.dials(), ["127.0.0.1:9"]);
}
