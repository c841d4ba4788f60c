//! `afterclick deliveries`: what is owed, to whom, and how it went.

use clap::{Args, Subcommand};
use serde_json::json;

use super::connection::Connection;
use super::listing::{How, Listing, query};
use super::output::{self, Table, cell, say};
use super::prose::wrapped;
use super::{Outcome, block_on};
use crate::client::Client;

const LIST: Listing = Listing {
    path: "/v1/deliveries",
    columns: &[
        ("ID", "id"),
        ("TYPE", "type"),
        ("DESTINATION", "destination_name"),
        ("STATE", "state"),
        ("ATTEMPTS", "attempts"),
        ("LAST STATUS", "last_attempt.status"),
        ("REASON", "last_attempt.reason"),
        ("NEXT TRY", "due_at"),
    ],
    nothing: "no deliveries; an event is owed to each destination that subscribes to its type",
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
    /// List deliveries, newest event first
    #[command(after_help = "Example:\n  afterclick deliveries list --destination orders-backend --state pending")]
    List {
        /// Only to this destination, by name or id
        #[arg(long)]
        destination: Option<String>,
        /// Only of this event
        #[arg(long)]
        event: Option<String>,
        /// Only in this state: pending, leased, held, delivered, skipped, dead or cancelled
        #[arg(long)]
        state: Option<String>,
        /// Only of this event type
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        /// Only those that this replay made
        #[arg(long)]
        replay: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Show one delivery with every attempt
    Show {
        /// As `afterclick deliveries list` shows it
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try a pending delivery now, or start a dead one again
    Retry {
        /// As `afterclick deliveries list` shows it
        id: String,
    },
    /// Call a delivery off
    Cancel {
        /// As `afterclick deliveries list` shows it
        id: String,
    },
    /// Send a delivered event to its destination once more
    Resend {
        /// As `afterclick deliveries list` shows it
        id: String,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    block_on(async {
        match &arguments.verb {
            Verb::List { destination, event, state, event_type, replay, how } => {
                let members = [
                    ("destination", destination.as_deref()),
                    ("event", event.as_deref()),
                    ("state", state.as_deref()),
                    ("type", event_type.as_deref()),
                    ("replay", replay.as_deref()),
                ];
                LIST.print(&client, &query(&members), how).await
            }
            Verb::Show { id, json } => show(&client, id, *json).await,
            Verb::Retry { id } => act(&client, id, "retry").await,
            Verb::Cancel { id } => act(&client, id, "cancel").await,
            Verb::Resend { id } => act(&client, id, "resend").await,
        }
    })
}

async fn show(client: &Client, id: &str, json: bool) -> Outcome {
    let delivery = client.get(&format!("/v1/deliveries/{id}"), &[]).await?;
    if json {
        output::print_json(&delivery);
        return Ok(());
    }
    let mut head = delivery.clone();
    let attempts = head.as_object_mut().and_then(|members| {
        members.remove("last_attempt");
        members.remove("attempts_made")
    });
    output::print_members(&head);
    say("");
    let mut table = Table::new(&["ATTEMPT", "STARTED", "MS", "STATUS", "REASON", "ERROR", "REPLY"]);
    for attempt in attempts.iter().filter_map(serde_json::Value::as_array).flatten() {
        let paths = ["number", "started_at", "duration_ms", "status", "reason", "error", "reply"];
        table.row(paths.map(|path| cell(attempt, path)));
    }
    table.print("not tried yet");
    let last_error = cell(&delivery, "last_attempt.error");
    if output::is_cut(&last_error) {
        say("");
        for line in wrapped(&output::printable(&last_error)) {
            say(&line);
        }
    }
    Ok(())
}

async fn act(client: &Client, id: &str, verb: &str) -> Outcome {
    let delivery = client.post(&format!("/v1/deliveries/{id}/{verb}"), &json!({})).await?;
    say(&format!("{} {}", cell(&delivery, "id"), cell(&delivery, "state")));
    Ok(())
}
