//! HubSpot's own SDK for Node, so that the simulator and our requests can be held against the vendor's.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::needs::{Needs, Package, find_program, home, script};

pub(crate) static NEEDS: Needs = Needs {
    name: "hubspot_sdk",
    packages: &[
        Package::Debian { package: "nodejs", program: "node" },
        Package::Debian { package: "npm", program: "npm" },
        Package::Node("@hubspot/api-client"),
    ],
};

/// The SDK is here and runs.
pub struct HubSpotSdk(());

impl HubSpotSdk {
    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, || Ok(Self(())))
    }

    /// Makes calls to `host`, one after the other, and returns what the SDK read of each answer. A call is the path of a method below
    /// the client and its arguments: `{"method": "crm.contacts.batchApi.upsert", "arguments": [{"inputs": […]}]}`. What was
    /// refused is `{"refused": status, "body": …}`.
    pub fn call(&self, host: &str, access_token: &str, calls: &[Value]) -> Result<Vec<Value>> {
        let mut child = Command::new(find_program("node").context("no `node`")?)
            .arg(script("hubspot_sdk.mjs"))
            .arg(home().join("node"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let input = json!({ "host": host, "accessToken": access_token, "calls": calls }).to_string();
        child.stdin.take().context("no pipe")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
