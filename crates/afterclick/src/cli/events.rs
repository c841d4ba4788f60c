//! `afterclick events`: what came in.

use clap::{Args, Subcommand};

use super::connection::Connection;
use super::listing::{How, Listing, query};
use super::output::{self, Paint, Table, cell, printable, say};
use super::time::When;
use super::{Outcome, block_on};
use crate::client::Client;

const LIST: Listing = Listing {
    path: "/v1/events",
    columns: &[
        ("ID", "id"),
        ("TYPE", "type"),
        ("SOURCE", "source"),
        ("RECEIVED", "received_at"),
        ("DUPLICATES", "duplicates"),
    ],
    nothing: "no events; send one with `afterclick trigger link.clicked`",
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
    /// List events, newest first
    #[command(after_help = "Example:\n  afterclick events list --type link.clicked --from 2h")]
    List {
        /// Only this type
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        /// Only from this source, by name or id
        #[arg(long)]
        source: Option<String>,
        /// Received at or after: a time, or how long ago (`2h`)
        #[arg(long, value_name = "TIME")]
        from: Option<When>,
        /// Received before
        #[arg(long, value_name = "TIME")]
        to: Option<When>,
        #[command(flatten)]
        how: How,
    },
    /// Show one event with its body
    Show {
        /// As `afterclick events list` shows it
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say for each destination why it did or did not get an event, and whom the event is about
    Explain {
        /// As `afterclick events list` shows it
        id: String,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    block_on(async {
        match &arguments.verb {
            Verb::List { event_type, source, from, to, how } => {
                let (from, to) = (from.map(|when| when.0.to_string()), to.map(|when| when.0.to_string()));
                let members = [
                    ("type", event_type.as_deref()),
                    ("source", source.as_deref()),
                    ("from", from.as_deref()),
                    ("to", to.as_deref()),
                ];
                LIST.print(&client, &query(&members), how).await
            }
            Verb::Show { id, json } => show(&client, id, *json).await,
            Verb::Explain { id, json } => explain(&client, id, *json).await,
        }
    })
}

async fn show(client: &Client, id: &str, json: bool) -> Outcome {
    let event = client.get(&format!("/v1/events/{id}"), &[]).await?;
    if json {
        output::print_json(&event);
        return Ok(());
    }
    let mut head = event.clone();
    if let Some(members) = head.as_object_mut() {
        members.retain(|name, _| !["body", "envelope", "deliveries"].contains(&name.as_str()));
    }
    output::print_members(&head);
    say("");
    output::print_json(&event["envelope"]);
    Ok(())
}

async fn explain(client: &Client, id: &str, json: bool) -> Outcome {
    let explained = client.get(&format!("/v1/events/{id}/explain"), &[]).await?;
    if json {
        output::print_json(&explained);
        return Ok(());
    }
    let paint = Paint::for_stdout();
    say(&paint.bold(&format!("{} {}", cell(&explained, "type"), cell(&explained, "event"))));
    match explained["about"].as_object() {
        Some(_) => {
            let (subject, known_by) = (cell(&explained, "about.subject"), cell(&explained, "about.identifiers"));
            say(&format!("about {subject}, known by {}", printable(&known_by)));
        }
        None => say(&paint.dim("about nobody in particular: it names no user, address, install or click")),
    }
    say("");
    let mut table = Table::new(&["DESTINATION", "OUTCOME", "DELIVERIES", "WHY"]);
    for entry in explained["destinations"].as_array().into_iter().flatten() {
        let name = if entry["name"].is_null() { "destination" } else { "name" };
        let deliveries = entry["deliveries"].as_array().into_iter().flatten();
        let states: Vec<_> = deliveries.map(|delivery| cell(delivery, "state")).collect();
        table.row([cell(entry, name), cell(entry, "outcome"), states.join(", "), cell(entry, "why")]);
    }
    table.print("this appspace has no destinations");
    Ok(())
}
