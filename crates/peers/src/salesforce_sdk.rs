//! Salesforce's own client for Node, `jsforce`, so that the simulator and our requests can be held against it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::needs::{Needs, Package, find_program, home, script};

pub(crate) static NEEDS: Needs = Needs {
    name: "salesforce_sdk",
    packages: &[
        Package::Debian { package: "nodejs", program: "node" },
        Package::Debian { package: "npm", program: "npm" },
        Package::Node("@jsforce/jsforce-node"),
    ],
};

/// The client is here and runs.
pub struct SalesforceSdk(());

impl SalesforceSdk {
    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, || Ok(Self(())))
    }

    /// Logs in to `host` by client credentials, makes calls, one after the other, and returns what the client read of each
    /// answer. A call is one of those that the script names, and its arguments: `{"call": "upsert", "arguments": ["Lead", […], "Key__c"]}`.
    /// What was refused is `{"refused": code}`.
    pub fn call(&self, host: &str, client_id: &str, client_secret: &str, calls: &[Value]) -> Result<Vec<Value>> {
        let mut child = Command::new(find_program("node").context("no `node`")?)
            .arg(script("salesforce_sdk.mjs"))
            .arg(home().join("node"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let input = json!({ "host": host, "clientId": client_id, "clientSecret": client_secret, "calls": calls });
        child.stdin.take().context("no pipe")?.write_all(input.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
