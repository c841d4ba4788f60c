//! The fixture of a connector, as far as its page shows it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use domain::Settings;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Fixture {
    pub(crate) default: Settings,
    #[serde(default)]
    cases: BTreeMap<String, Settings>,
    #[serde(default)]
    pub(crate) replies: Vec<Answer>,
}

/// What a vendor may answer.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
    /// The type of the event that was sent.
    pub(crate) event: Option<String>,
    case: Option<String>,
}

impl Fixture {
    /// The settings under which an answer was given.
    pub(crate) fn settings(&self, answer: &Answer) -> &Settings {
        answer.case.as_ref().and_then(|case| self.cases.get(case)).unwrap_or(&self.default)
    }
}

impl Answer {
    /// The body as it would arrive.
    pub(crate) fn text(&self) -> String {
        match &self.body {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

pub(crate) fn read(root: &Path, name: &str) -> Result<Fixture> {
    let path = root.join(format!("crates/connectors/fixtures/{name}.json"));
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}
