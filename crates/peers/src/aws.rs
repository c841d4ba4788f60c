//! S3 and Redshift's Data API as Python's `moto` mimics them: requests are signed or refused, objects are kept in memory.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::needs::{Needs, Package, python, script};
use crate::process::{Room, Server};

pub(crate) static NEEDS: Needs = Needs {
    name: "aws",
    packages: &[
        Package::Python("moto[s3]==5.2.5"),
        Package::Python("flask==3.1.3"),
        Package::Python("flask-cors==6.0.5"),
    ],
};

/// The services, all on one port, with one user and one bucket. Buckets are addressed by path.
pub struct Aws {
    port: u16,
    access_key: String,
    secret_key: String,
    _server: Server,
}

/// An object of the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Object {
    pub key: String,
    pub content_type: String,
    pub content_encoding: Option<String>,
    pub body: Vec<u8>,
}

/// A statement that Redshift's Data API was asked to run. Nothing runs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Statement {
    pub database: String,
    pub sql: String,
    /// Names and values.
    pub parameters: Vec<(String, String)>,
}

impl Aws {
    pub const REGION: &str = "us-east-1";
    /// It exists and is empty.
    pub const BUCKET: &str = "events";

    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, Self::try_start)
    }

    /// The endpoint of every service: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// Everything in the bucket by key, as AWS's own client for Python reads it.
    pub fn objects(&self) -> Result<Vec<Object>> {
        self.look(&["objects", Self::BUCKET])
    }

    /// What Redshift's Data API was asked to run when it answered with this `Id`.
    pub fn statement(&self, id: &str) -> Result<Statement> {
        self.look(&["statement", id])?.pop().context("no statement")
    }

    fn look<T: DeserializeOwned>(&self, what: &[&str]) -> Result<Vec<T>> {
        let url = self.url();
        let login = [url.as_str(), &self.access_key, &self.secret_key];
        let output = Command::new(python()).arg(script("aws_look.py")).args(login).args(what).output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    fn try_start() -> Result<Self> {
        let room = Room::new("aws")?;
        let keys = room.path().join("keys");
        let mut command = room.command(&python(), "KILL");
        command.arg(script("aws_moto.py")).arg(&keys).arg(Self::BUCKET);
        let mut server = room.launch(command)?;
        let port = server.announced_port()?;
        let keys = std::fs::read_to_string(keys)?;
        let (access_key, secret_key) = keys.trim_end().split_once('\n').context("two lines")?;
        Ok(Self { port, access_key: access_key.to_owned(), secret_key: secret_key.to_owned(), _server: server })
    }
}
