//! `afterclick appspaces`: tenants.

use clap::{Args, Subcommand};
use serde_json::json;

use super::connection::Connection;
use super::listing::{How, Listing};
use super::output::{cell, say};
use super::{Outcome, block_on};

const LIST: Listing = Listing {
    path: "/v1/appspaces",
    columns: &[("NAME", "name"), ("ID", "id"), ("CREATED", "created_at")],
    nothing: "no appspaces",
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
    /// Make an appspace: its own sources, destinations, events and keys, and no sight of any other
    Create {
        /// What it will be called
        name: String,
    },
    /// List appspaces
    List {
        #[command(flatten)]
        how: How,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    block_on(async {
        match &arguments.verb {
            Verb::Create { name } => {
                let appspace = client.post("/v1/appspaces", &json!({ "name": name })).await?;
                say(&cell(&appspace, "id"));
                eprintln!(
                    "make a key for it with `afterclick keys create --appspace {name} --scope appspace --label …`"
                );
                Ok(())
            }
            Verb::List { how } => LIST.print(&client, &[], how).await,
        }
    })
}
