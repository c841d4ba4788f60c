//! `afterclick sources`: senders.

use std::time::Duration;

use clap::{Args, Subcommand};
use domain::retry::parse_wait;
use serde_json::json;

use super::connection::Connection;
use super::listing::{How, Listing};
use super::output;
use super::{Outcome, block_on, named};

const LIST: Listing = Listing {
    path: "/v1/sources",
    columns: &[
        ("NAME", "name"),
        ("KIND", "kind"),
        ("SCHEME", "scheme"),
        ("PATH", "path"),
        ("MANAGED BY", "managed_by"),
        ("ID", "id"),
    ],
    nothing: "no sources; describe one in a file and run `afterclick apply`, or `afterclick sources create`",
};

const QUARANTINE: Listing = Listing {
    path: "",
    columns: &[("RECEIVED", "received_at"), ("REASON", "reason"), ("BYTES", "body_bytes"), ("BODY", "body")],
    nothing: "nothing in quarantine: every signed body could be read",
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
    /// List sources
    List {
        #[command(flatten)]
        how: How,
    },
    /// Show one source; secrets are masked
    Show {
        /// Name or id
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a source; its secret is shown once
    #[command(after_help = "Example:\n  afterclick sources create tolinku --kind tolinku")]
    Create {
        /// What it will be called; it receives `POST /webhooks/<NAME>`
        name: String,
        /// How its bodies read: `tolinku` or `generic`
        #[arg(long, default_value = "tolinku")]
        kind: String,
        /// How it signs: body-hex, body-hex-prefixed, timestamped or standard-webhooks
        #[arg(long, default_value = "body-hex")]
        scheme: String,
        /// The sender's secret, if it is made there [env: `AFTERCLICK_SOURCE_SECRET`]
        #[arg(long, env = "AFTERCLICK_SOURCE_SECRET", hide_env = true)]
        secret: Option<String>,
    },
    /// Give it one more secret; shown once
    RotateSecret {
        /// Name or id
        name: String,
        /// For how long the old secrets are still accepted, for example `24h`
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_wait)]
        overlap: Duration,
    },
    /// Bodies that were signed and could not be read
    Quarantine {
        /// Name or id
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Delete it; its events stay
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
            Verb::Create { name, kind, scheme, secret } => {
                let mut body = json!({ "name": name, "kind": kind, "scheme": scheme });
                if let Some(secret) = secret {
                    body["secrets"] = json!([secret]);
                }
                let created = client.post("/v1/sources", &body).await?;
                output::print_members(&created);
                if !created["secret"].is_null() {
                    eprintln!("this is the only time the secret is shown; give it to the sender now");
                }
                Ok(())
            }
            Verb::RotateSecret { name, overlap } => {
                named::rotate_secret(&client, &path(name), *overlap, "sender").await
            }
            Verb::Quarantine { name, how } => {
                QUARANTINE.print_at(&format!("{}/quarantine", path(name)), &client, &[], how).await
            }
            Verb::Delete { name } => named::delete(&client, &path(name), name).await,
        }
    })
}

fn path(name: &str) -> String {
    format!("/v1/sources/{name}")
}
