//! `afterclick replays`: owing a range of past events to a destination again.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connection::Connection;
use super::listing::{How, Listing};
use super::output::{self, cell, say};
use super::time::{When, now};
use super::{Outcome, block_on};

const LIST: Listing = Listing {
    path: "/v1/replays",
    columns: &[
        ("ID", "id"),
        ("DESTINATION", "destination_name"),
        ("STATE", "state"),
        ("SELECT", "select"),
        ("SCANNED", "scanned"),
        ("CREATED", "created"),
        ("FROM", "from"),
        ("TO", "to"),
    ],
    nothing: "no replays",
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a replay, or count what it would send
    #[command(after_help = "Examples:\n  afterclick replays create orders-backend --from 6h --dry-run\n  \
                            afterclick replays create orders-backend --from 6h --select failed --rate 50\n  \
                            afterclick replays create new-warehouse --from 30d --select missing")]
    Create {
        /// The destination, by name or id
        destination: String,
        /// Events received at or after: a time, or how long ago (`6h`)
        #[arg(long, value_name = "TIME")]
        from: When,
        /// Events received before [default: now]
        #[arg(long, value_name = "TIME")]
        to: Option<When>,
        /// Which of them: those that are `failed`, those `missing` at the destination, or `all`
        #[arg(long, default_value = "failed", value_parser = ["failed", "missing", "all"])]
        select: String,
        /// Only these event types [default: what the destination subscribes to]
        #[arg(long = "type", value_name = "PATTERN")]
        types: Vec<String>,
        /// Most deliveries made per second
        #[arg(long, value_name = "PER_SECOND")]
        rate: Option<f64>,
        /// Only count
        #[arg(long)]
        dry_run: bool,
    },
    /// List replays, newest first
    List {
        #[command(flatten)]
        how: How,
    },
    /// Show how far a replay has come
    Show {
        /// As `afterclick replays list` shows it
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Call a replay off; what it made and did not deliver yet is cancelled
    Cancel {
        /// As `afterclick replays list` shows it
        id: String,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    block_on(async {
        match &arguments.verb {
            Verb::Create { destination, from, to, select, types, rate, dry_run } => {
                let to = to.map_or_else(now, |when| when.0);
                let mut body = json!({
                    "destination": destination, "from": from.0, "to": to, "select": select, "dry_run": dry_run,
                });
                if !types.is_empty() {
                    body["events"] = types.clone().into();
                }
                if let Some(rate) = rate {
                    body["per_second"] = (*rate).into();
                }
                let answer = client.post("/v1/replays", &body).await?;
                report(&answer, *dry_run);
                Ok(())
            }
            Verb::List { how } => LIST.print(&client, &[], how).await,
            Verb::Show { id, json } => {
                let replay = client.get(&format!("/v1/replays/{id}"), &[]).await?;
                if *json {
                    output::print_json(&replay);
                } else {
                    output::print_members(&replay);
                }
                Ok(())
            }
            Verb::Cancel { id } => {
                let replay = client.post(&format!("/v1/replays/{id}/cancel"), &json!({})).await?;
                say(&format!("{} {}", cell(&replay, "id"), cell(&replay, "state")));
                Ok(())
            }
        }
    })
}

fn report(answer: &Value, dry_run: bool) {
    if dry_run {
        output::print_members(answer);
    } else {
        say(&cell(answer, "id"));
        eprintln!("follow it with `afterclick replays show {}`", cell(answer, "id"));
    }
}
