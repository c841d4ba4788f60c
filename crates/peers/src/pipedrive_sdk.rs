//! Pipedrive's own SDK for Node, so that the simulator and our requests can be held against the vendor's.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::needs::{Needs, Package, find_program, home, script};

pub(crate) static NEEDS: Needs = Needs {
    name: "pipedrive_sdk",
    packages: &[
        Package::Debian { package: "nodejs", program: "node" },
        Package::Debian { package: "npm", program: "npm" },
        Package::Node("pipedrive"),
    ],
};

/// The SDK is here and runs.
pub struct PipedriveSdk(());

impl PipedriveSdk {
    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, || Ok(Self(())))
    }

    /// Makes calls to `host`, one after the other, and returns what the SDK read of each answer. A call is a version, a class and a
    /// method of the SDK, and its parameters: `{"version": "v2", "api": "PersonsApi", "method": "getPerson", "parameters": {"id": 42}}`.
    /// What was refused is `{"success": false, …}`.
    pub fn call(&self, host: &str, api_token: &str, calls: &[Value]) -> Result<Vec<Value>> {
        let mut child = Command::new(find_program("node").context("no `node`")?)
            .arg(script("pipedrive_sdk.mjs"))
            .arg(home().join("node"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let input = json!({ "host": host, "apiToken": api_token, "calls": calls }).to_string();
        child.stdin.take().context("no pipe")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
