//! `afterclick destinations`: receivers.

mod preview;
mod privacy;
mod provision;
mod settings;
mod wishes;

use std::time::Duration;

use clap::{Args, Subcommand};
use domain::retry::parse_wait;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::wishes::Wishes;
use super::connection::Connection;
use super::listing::{How, Listing};
use super::output::{self, cell, say};
use super::{Failure, Outcome, block_on, named};
use crate::client::Client;

const LIST: Listing = Listing {
    path: "/v1/destinations",
    columns: &[
        ("NAME", "name"),
        ("CONNECTOR", "connector"),
        ("EVENTS", "events"),
        ("PAUSED", "paused.reason"),
        ("BREAKER", "lane.breaker.state"),
        ("MANAGED BY", "managed_by"),
        ("ID", "id"),
    ],
    nothing: "no destinations; describe one in a file and run `afterclick apply`, or `afterclick destinations create`",
};

const DELIVERIES: Listing = Listing {
    path: "",
    columns: &[
        ("ID", "id"),
        ("TYPE", "type"),
        ("STATE", "state"),
        ("ATTEMPTS", "attempts"),
        ("LAST STATUS", "last_attempt.status"),
        ("REASON", "last_attempt.reason"),
        ("CREATED", "created_at"),
    ],
    nothing: "no deliveries to this destination yet",
};

/// How long a test may take, and how often to look.
const TEST_WAIT_MAX: Duration = Duration::from_secs(15);
const TEST_LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List destinations
    List {
        #[command(flatten)]
        how: How,
    },
    /// Show one destination; secrets are masked
    Show {
        /// Name or id
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a destination; `afterclick connectors` lists the settings of each connector
    #[command(after_help = "Examples:\n  afterclick destinations create orders-backend --connector webhook \\\n    \
                      --event 'link.*' --set url=https://backend.example.com/hooks\n  \
                      afterclick destinations create cdp --connector segment --set write_key=… \\\n    \
                      --set properties.team=growth")]
    Create {
        /// What logs, API and command line will call it
        name: String,
        /// The connector
        #[arg(long, default_value = "webhook")]
        connector: String,
        #[command(flatten)]
        wishes: Wishes,
    },
    /// Change a destination; what is not named stays, and the next attempt uses what is new
    #[command(after_help = "Examples:\n  afterclick destinations change cdp --batch items=50 --batch wait=2s\n  \
                            afterclick destinations change alerts --volume digest=30m --unset blocks\n  \
                            afterclick destinations change cdp --privacy drop=user_agent --privacy truncate=ip:24")]
    Change {
        /// Name or id
        name: String,
        #[command(flatten)]
        wishes: Wishes,
        /// Take a setting away; may be repeated
        #[arg(long, value_name = "NAME")]
        unset: Vec<String>,
    },
    /// Send it a test event and wait for the answer
    Test {
        /// Name or id
        name: String,
    },
    /// Show what would be sent for an event, without sending it; secrets are masked
    Preview(preview::Arguments),
    /// Make what it needs at its vendor, such as tables and columns; shows the plan first, never drops anything
    Provision(provision::Arguments),
    /// Its last deliveries
    Deliveries {
        /// Name or id
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Hold its deliveries until it is resumed; nothing is lost
    Pause {
        /// Name or id
        name: String,
    },
    /// Send what was held, and go on
    Resume {
        /// Name or id
        name: String,
    },
    /// Give it a new signing secret; shown once
    RotateSecret {
        /// Name or id
        name: String,
        /// For how long the old secret signs beside the new one, for example `24h`
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_wait)]
        overlap: Duration,
    },
    /// Delete it; what it is still owed is cancelled, the log stays
    Delete {
        /// Name or id
        name: String,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    block_on(async {
        match &arguments.verb {
            Verb::List { how } => LIST.print(&client, &[], how).await,
            Verb::Show { name, json } => named::show(&client, &path(name), *json).await,
            Verb::Create { name, connector, wishes } => {
                let mut body = wishes.body(connector, &Value::Null)?;
                body.insert("name".to_owned(), name.clone().into());
                body.insert("connector".to_owned(), connector.clone().into());
                create(&client, &body.into()).await
            }
            Verb::Change { name, wishes, unset } => change(&client, name, wishes, unset).await,
            Verb::Test { name } => test(&client, name).await,
            Verb::Preview(arguments) => preview::run(&client, arguments).await,
            Verb::Provision(arguments) => provision::run(&client, arguments).await,
            Verb::Deliveries { name, how } => {
                DELIVERIES.print_at(&format!("{}/deliveries", path(name)), &client, &[], how).await
            }
            Verb::Pause { name } => act(&client, name, "pause").await,
            Verb::Resume { name } => act(&client, name, "resume").await,
            Verb::RotateSecret { name, overlap } => {
                named::rotate_secret(&client, &path(name), *overlap, "receiver").await
            }
            Verb::Delete { name } => named::delete(&client, &path(name), name).await,
        }
    })
}

async fn create(client: &Client, body: &Value) -> Outcome {
    let created = client.post("/v1/destinations", body).await?;
    output::print_members(&created);
    if !created["secret"].is_null() {
        eprintln!("this is the only time the secret is shown; give it to the receiver now");
    }
    Ok(())
}

async fn change(client: &Client, name: &str, wishes: &Wishes, unset: &[String]) -> Outcome {
    let current = client.get(&path(name), &[]).await?;
    let mut body = wishes.body(&cell(&current, "connector"), &current)?;
    if !unset.is_empty() {
        let settings = body.entry("settings").or_insert_with(|| json!({}));
        for name in unset {
            settings[name] = Value::Null;
        }
    }
    if body.is_empty() {
        return Err(Failure::misused("nothing to change; name something, for example `--event 'link.*'`"));
    }
    output::print_members(&client.patch(&path(name), &body.into()).await?);
    Ok(())
}

async fn test(client: &Client, name: &str) -> Outcome {
    let answer = client.post(&format!("{}/test", path(name)), &json!({})).await?;
    let delivery = cell(&answer, "delivery");
    let deadline = Instant::now() + TEST_WAIT_MAX;
    loop {
        let now = client.get(&format!("/v1/deliveries/{delivery}"), &[]).await?;
        let state = cell(&now, "state");
        if now["last_attempt"].is_null() && state != "held" && Instant::now() < deadline {
            sleep(TEST_LOOK_EVERY).await;
            continue;
        }
        say(&format!("{delivery} {state}"));
        if state == "delivered" {
            return Ok(());
        }
        if state == "held" {
            return Err(Failure::Failed(anyhow::anyhow!("{}", held(client, name, &cell(&now, "held_by")).await)));
        }
        let paths = ["last_attempt.reason", "last_attempt.status", "last_attempt.error", "last_attempt.reply"];
        let told: Vec<_> = paths.map(|path| cell(&now, path)).into_iter().filter(|text| !text.is_empty()).collect();
        let told = if told.is_empty() { not_tried_yet(client, name).await } else { told.join(", ") };
        return Err(Failure::Failed(anyhow::anyhow!("{told}")));
    }
}

/// Why a test is held, and what sends it.
async fn held(client: &Client, name: &str, by: &str) -> String {
    let destination = client.get(&path(name), &[]).await.unwrap_or_default();
    if destination["paused"].is_null() {
        return format!("it is held ({by}); `afterclick destinations show {name}` says more");
    }
    let message = output::printable(&cell(&destination, "paused.message"));
    format!("{name} is paused ({by}), {message}; `afterclick destinations resume {name}` sends what is held")
}

/// Why nothing has happened to a test: the destination may gather for longer than anybody waits here.
async fn not_tried_yet(client: &Client, name: &str) -> String {
    let destination = client.get(&path(name), &[]).await.unwrap_or_default();
    match (cell(&destination, "volume.digest"), cell(&destination, "batch.wait")) {
        (digest, _) if !digest.is_empty() => format!("not tried yet; it gathers a digest for {digest}"),
        (_, wait) if !wait.is_empty() => format!("not tried yet; it waits {wait} for a batch to fill"),
        _ => "not tried yet".to_owned(),
    }
}

async fn act(client: &Client, name: &str, verb: &str) -> Outcome {
    let destination = client.post(&format!("{}/{verb}", path(name)), &json!({})).await?;
    let state = if destination["paused"].is_null() { "running" } else { "paused" };
    say(&format!("{} {state}", cell(&destination, "name")));
    Ok(())
}

fn path(name: &str) -> String {
    format!("/v1/destinations/{name}")
}
