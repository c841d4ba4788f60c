//! NATS with `JetStream` as Debian ships it (2.9), and just enough of a client to make a stream and read it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::certificate::Certificate;
use crate::needs::{Needs, Package, find_program};
use crate::process::{Room, Server};

pub(crate) static NEEDS: Needs =
    Needs { name: "nats", packages: &[Package::Debian { package: "nats-server", program: "nats-server" }] };

/// How long the server may take for one answer.
const ANSWER_S_MAX: u64 = 60;

/// A server with a user who has a password and one who has a key. It takes plain connections and encrypted ones.
pub struct Nats {
    port: u16,
    authority_pem: String,
    _server: Server,
}

/// A message that a stream has kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsMessage {
    pub subject: String,
    /// In the order sent.
    pub headers: Vec<(String, String)>,
    pub data: Vec<u8>,
}

impl Nats {
    pub const USER: &str = "afterclick";
    pub const PASSWORD: &str = "a pass+word&more";
    /// The seed of the other user: the one in the documentation of NATS.
    pub const NKEY_SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const NKEY_PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, Self::try_start)
    }

    /// `nats://127.0.0.1:PORT`, without the login.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The certificate authority to trust, in PEM.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Makes a stream that keeps what is published on the subjects and forgets no message id for two minutes.
    pub fn create_stream(&self, stream: &str, subjects: &[&str]) -> Result<()> {
        self.create_stream_with(stream, subjects, &json!({}))
    }

    /// The same with more members of its configuration.
    pub fn create_stream_with(&self, stream: &str, subjects: &[&str], more: &Value) -> Result<()> {
        let mut config = json!({
            "name": stream, "subjects": subjects, "retention": "limits", "storage": "file", "num_replicas": 1,
            "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "duplicate_window": 120_000_000_000_u64,
        });
        if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
            config.extend(more.clone());
        }
        self.ask(&format!("$JS.API.STREAM.CREATE.{stream}"), &config).map(drop)
    }

    /// What a stream has kept, the oldest first.
    pub fn messages(&self, stream: &str) -> Result<Vec<NatsMessage>> {
        let info = self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}))?;
        let last = info["state"]["last_seq"].as_u64().context("no `last_seq`")?;
        (1..=last)
            .map(|sequence| {
                let found = self.ask(&format!("$JS.API.STREAM.MSG.GET.{stream}"), &json!({ "seq": sequence }))?;
                message(&found["message"])
            })
            .collect()
    }

    /// One request to `JetStream`'s own interface.
    fn ask(&self, subject: &str, body: &Value) -> Result<Value> {
        let answer: Value = serde_json::from_slice(&request(self.port, subject, body.to_string().as_bytes())?)?;
        if answer["error"].is_object() {
            bail!("{}", answer["error"]);
        }
        Ok(answer)
    }

    fn try_start() -> Result<Self> {
        let room = Room::new("nats")?;
        let home = room.path().to_owned();
        let certificate = Certificate::write(&home)?;
        let config = format!(
            "host: 127.0.0.1\nport: -1\nports_file_dir: \"{0}\"\njetstream {{ store_dir: \"{0}\" }}\n\
             tls {{ cert_file: \"{1}\", key_file: \"{2}\" }}\nallow_non_tls: true\n\
             authorization {{ users: [ {{ user: \"{3}\", password: \"{4}\" }}, {{ nkey: \"{5}\" }} ] }}\n",
            home.display(),
            certificate.chain.display(),
            certificate.key.display(),
            Self::USER,
            Self::PASSWORD,
            Self::NKEY_PUBLIC
        );
        std::fs::write(home.join("nats.conf"), config)?;
        let mut command = room.command(&find_program("nats-server").expect("looked for before"), "KILL");
        command.args(["-c", "nats.conf"]);
        let mut server = room.launch(command)?;
        let port = server.wait_for(|| port_from_file(&home))?;
        let server_with_port = Self { port, authority_pem: certificate.authority_pem, _server: server };
        // JetStream is ready once it answers; the port is open before.
        server_with_port.ask("$JS.API.INFO", &json!({}))?;
        Ok(server_with_port)
    }
}

/// The server writes where it listens into a file named after itself and its process.
fn port_from_file(home: &Path) -> Option<u16> {
    let files = std::fs::read_dir(home).ok()?.flatten().map(|entry| entry.path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "ports"))?;
    let ports: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

/// Publishes with an inbox for the answer and waits for it.
fn request(port: u16, subject: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_S_MAX)))?;
    let login = json!({ "user": Nats::USER, "pass": Nats::PASSWORD, "verbose": false, "pedantic": false });
    write!(stream, "CONNECT {login}\r\nSUB inbox 1\r\nPUB {subject} inbox {}\r\n", body.len())?;
    stream.write_all(body)?;
    stream.write_all(b"\r\n")?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if line.starts_with("-ERR") {
            bail!("{}", line.trim_end());
        }
        if let Some(length) = line.strip_prefix("MSG ").and_then(|rest| rest.rsplit(' ').next()) {
            let mut answer = vec![0; length.trim_end().parse()?];
            lines.read_exact(&mut answer)?;
            return Ok(answer);
        }
        line.clear();
    }
    bail!("the server closed the connection");
}

fn message(found: &Value) -> Result<NatsMessage> {
    let bytes = |name: &str| BASE64_STANDARD.decode(found[name].as_str().unwrap_or_default());
    let headers = String::from_utf8(bytes("hdrs")?)?;
    // The first line is the version of the header format.
    let pairs = headers.lines().skip(1).filter_map(|line| line.split_once(':'));
    Ok(NatsMessage {
        subject: found["subject"].as_str().context("no `subject`")?.to_owned(),
        headers: pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect(),
        data: bytes("data")?,
    })
}
