//! Segment's own SDK for Node, so that a recorder can hold our requests against the vendor's.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::needs::{Needs, Package, find_program, home, script};

pub(crate) static NEEDS: Needs = Needs {
    name: "segment_sdk",
    packages: &[
        Package::Debian { package: "nodejs", program: "node" },
        Package::Debian { package: "npm", program: "npm" },
        Package::Node("@segment/analytics-node"),
    ],
};

/// The SDK is here and runs.
pub struct SegmentSdk(());

impl SegmentSdk {
    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, || Ok(Self(())))
    }

    /// Sends events to `host` as one batch, and returns once it was answered. An event is what the SDK's method takes, with the
    /// method as `type`: `{"type": "track", "userId": …, "event": …, "properties": {…}, "timestamp": "2026-…Z"}`.
    pub fn send(&self, host: &str, write_key: &str, events: &[Value]) -> Result<()> {
        let mut child = Command::new(find_program("node").context("no `node`")?)
            .arg(script("segment_sdk.mjs"))
            .arg(home().join("node"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let input = json!({ "host": host, "writeKey": write_key, "events": events }).to_string();
        child.stdin.take().context("no pipe")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
