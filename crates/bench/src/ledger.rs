//! What was promised to the senders, held against what is there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::client::Client;
use crate::load::Report;
use crate::requests::{Requests, sequences_in};

/// Events that were acknowledged, by sequence number.
#[derive(Debug, Default)]
pub struct Ledger {
    acknowledged: BTreeMap<u64, Entry>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    id: String,
    body: Vec<u8>,
}

impl Ledger {
    /// Writes down every acknowledgement of a load that kept its answers.
    pub fn record(&mut self, requests: &Requests, report: &Report) -> Result<()> {
        for (index, status, answer) in &report.answers {
            ensure!((200..=299).contains(status), "the server refused an event with {status}");
            let answer: Value = serde_json::from_slice(answer).context("an acknowledgement is not JSON")?;
            let id = answer["id"].as_str().context("an acknowledgement has no `id`")?.to_owned();
            let entry = Entry { id, body: requests.body(*index).to_vec() };
            self.acknowledged.insert(requests.sequence(*index), entry);
        }
        Ok(())
    }

    /// How many events were acknowledged.
    pub fn len(&self) -> usize {
        self.acknowledged.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.acknowledged.is_empty()
    }

    /// An error unless every acknowledged event is stored, under its id and byte for byte.
    pub fn check(&self, stored: &Stored) -> Result<()> {
        for (sequence, acknowledged) in &self.acknowledged {
            let found = stored.events.get(sequence);
            let found = found.with_context(|| format!("`{}` was acknowledged and is lost", acknowledged.id))?;
            ensure!(found.id == acknowledged.id, "`{}` was acknowledged, `{}` is stored", acknowledged.id, found.id);
            ensure!(found.body == acknowledged.body, "the body of `{}` has changed", found.id);
        }
        Ok(())
    }
}

/// Events that a server has, by sequence number.
#[derive(Debug)]
pub struct Stored {
    events: BTreeMap<u64, Entry>,
}

impl Stored {
    /// Reads all events of the harness that a server has. One that is stored twice is an error.
    pub fn read(client: &Client) -> Result<Self> {
        let list = client.list("/v1/events?limit=200")?;
        let ids: Vec<_> = list.iter().filter_map(|event| event["id"].as_str().map(ToOwned::to_owned)).collect();
        let bodies = client.get_each(&ids.iter().map(|id| format!("/v1/events/{id}/body")).collect::<Vec<_>>())?;
        let mut events = BTreeMap::new();
        for (id, body) in ids.into_iter().zip(bodies) {
            // Operational events are the server's own and have no number.
            let Some(sequence) = sequences_in(&body).next() else { continue };
            if let Some(other) = events.insert(sequence, Entry { id, body: body.to_vec() }) {
                bail!("the event `{}` is stored twice", other.id);
            }
        }
        Ok(Self { events })
    }

    /// Whether the event with this number is there.
    pub fn contains(&self, sequence: u64) -> bool {
        self.events.contains_key(&sequence)
    }

    /// The numbers of all that are there, rising.
    pub fn sequences(&self) -> impl Iterator<Item = u64> {
        self.events.keys().copied()
    }
}
