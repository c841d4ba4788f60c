//! Where teams work: look-alikes of a chat, a customer data platform and a warehouse, in this process and without an
//! account anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use domain::subscription::Subscriptions;
use serde_json::{Value, json};
use vendors::clickhouse::{ClickHouse, Release};
use vendors::segment::Segment;
use vendors::slack::Slack;
use vendors::{Book, Faults, Simulator, Vendor as _};

use crate::client::Client;
use crate::config::Config;

/// The names of the destinations.
const CHAT: &str = "chat";
const CDP: &str = "cdp";
const WAREHOUSE: &str = "warehouse";

/// The look-alikes.
pub(super) struct Office {
    chat: Simulator<Slack>,
    cdp: Simulator<Segment>,
    warehouse: Simulator<ClickHouse>,
}

/// How many things have come to each desk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Desks {
    /// Messages.
    pub(super) chat: usize,
    /// Track calls.
    pub(super) cdp: usize,
    /// Rows.
    pub(super) warehouse: usize,
}

impl Office {
    /// Everybody at their desks.
    pub(super) fn open() -> Self {
        Self {
            chat: Slack::without_limit().start(Faults::none()),
            cdp: Segment::new().start(Faults::none()),
            warehouse: ClickHouse::new(Release::Current).start(Faults::none()),
        }
    }

    /// Their sections of the file: what anybody would write, with other URLs.
    pub(super) fn configuration(&self) -> String {
        let write_key = self.cdp.vendor(|segment| segment.write_key.clone());
        let (hook, cdp, warehouse) = (self.chat.hook_url(), self.cdp.url(), self.warehouse.url());
        format!(
            "[[destination]]\nname = \"{CHAT}\"\nconnector = \"slack\"\nrate = 50\n\
             settings.url = \"{hook}\"\nsettings.host_check = false\n\
             [[destination]]\nname = \"{CDP}\"\nconnector = \"segment\"\nbatch = {{ items = 15, wait = \"1s\" }}\n\
             settings.write_key = \"{write_key}\"\nsettings.host = \"{cdp}\"\n\
             [[destination]]\nname = \"{WAREHOUSE}\"\nconnector = \"clickhouse\"\n\
             batch = {{ items = 100, wait = \"1s\" }}\nsettings.url = \"{warehouse}\"\n"
        )
    }

    /// Has the table made in the warehouse; what was made, in words.
    pub(super) async fn provision(&self, client: &Client) -> Result<Vec<String>> {
        let path = format!("/v1/destinations/{WAREHOUSE}/provision");
        let done = client.post(&path, &json!({ "dry_run": false })).await?;
        let actions = done["plan"].as_array().into_iter().flatten();
        Ok(actions.filter_map(|action| action["reason"].as_str().map(str::to_owned)).collect())
    }

    /// What has come so far.
    pub(super) fn desks(&self) -> Desks {
        Desks {
            chat: self.chat.book(|book| book.stored.len()),
            cdp: self.cdp.book(|book| book.stored.len()),
            warehouse: self.warehouse.book(|book| book.stored.len()),
        }
    }

    /// Waits until so much has come; whether it did.
    pub(super) async fn until(&self, desks: Desks, within: Duration) -> bool {
        let has = |count: usize| move |book: &Book| book.stored.len() >= count;
        let (chat, cdp, warehouse) = tokio::join!(
            self.chat.until(within, has(desks.chat)),
            self.cdp.until(within, has(desks.cdp)),
            self.warehouse.until(within, has(desks.warehouse)),
        );
        chat && cdp && warehouse
    }

    /// The newest message in the chat, on one line.
    pub(super) fn latest_message(&self) -> Option<String> {
        self.chat.book(|book| book.stored.last().map(|entry| entry.key.lines().next().unwrap_or_default().to_owned()))
    }

    /// The names under which the customer data platform has events, the most frequent first, and in how many calls they
    /// came.
    pub(super) fn cdp_names(&self) -> (Vec<(String, usize)>, usize) {
        self.cdp.book(|book| (counted(book, |message| &message["event"]), book.received.len()))
    }

    /// In how many inserts the rows came.
    pub(super) fn inserts(&self) -> usize {
        let is_insert = |request: &vendors::Request| {
            request.parameter("query").is_some_and(|query| query.trim_start().starts_with("INSERT"))
        };
        self.warehouse.book(|book| book.received.iter().filter(|received| is_insert(&received.request)).count())
    }
}

impl Desks {
    /// What comes to each desk of events of these types: the connectors' own choice, since the file makes none.
    pub(super) fn owed<'a>(config: &Config, event_types: &(impl Iterator<Item = &'a str> + Clone)) -> Self {
        let wanted = |name: &str| {
            let found = config.destinations.iter().find(|destination| destination.name.as_str() == name);
            let events = found.map_or_else(Subscriptions::every, |destination| destination.events.clone());
            event_types.clone().filter(|text| text.parse().is_ok_and(|kind| events.matches(&kind))).count()
        };
        Self { chat: wanted(CHAT), cdp: wanted(CDP), warehouse: wanted(WAREHOUSE) }
    }
}

fn counted(book: &Book, name: impl Fn(&Value) -> &Value) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    for entry in &book.stored {
        *counts.entry(name(&entry.item).as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
