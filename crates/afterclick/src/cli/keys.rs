//! `afterclick keys`: keys to the API.

use clap::{Args, Subcommand};
use serde_json::json;

use super::connection::Connection;
use super::listing::{How, Listing};
use super::output::{cell, say};
use super::{Outcome, block_on};

const LIST: Listing = Listing {
    path: "/v1/keys",
    columns: &[
        ("ID", "id"),
        ("LABEL", "label"),
        ("SCOPE", "scope"),
        ("APPSPACE", "appspace_name"),
        ("ENDS IN", "tail"),
        ("CREATED", "created_at"),
        ("EXPIRES", "expires_at"),
    ],
    nothing: "no keys",
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
    /// Make a key; it is shown once
    #[command(
        after_help = "Scopes:\n  publish    publish events and say who somebody is, nothing else: for an application\n  \
                            read       read everything of one appspace but secrets\n  \
                            appspace   everything inside one appspace\n  admin      everything\n\n\
                            Example:\n  afterclick keys create --scope publish --label 'iOS backend'"
    )]
    Create {
        /// What it may do
        #[arg(long, value_parser = ["publish", "read", "appspace", "admin"])]
        scope: String,
        /// Where it will be used, for a person
        #[arg(long)]
        label: String,
    },
    /// List keys; only their ends are known
    List {
        #[command(flatten)]
        how: How,
    },
    /// Revoke a key, at once and for good
    Revoke {
        /// As `afterclick keys list` shows it
        id: String,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    block_on(async {
        match &arguments.verb {
            Verb::Create { scope, label } => {
                let mut body = json!({ "scope": scope, "label": label });
                // The key belongs to the appspace that is named, while the caller stays who they are.
                if let Some(appspace) = arguments.connection.appspace.as_ref().filter(|_| scope != "admin") {
                    body["appspace"] = appspace.clone().into();
                }
                let key = client.post("/v1/keys", &body).await?;
                say(&cell(&key, "key"));
                eprintln!("this is the only time the key is shown; keep it where secrets are kept");
                Ok(())
            }
            Verb::List { how } => LIST.print(&client, &[], how).await,
            Verb::Revoke { id } => {
                client.delete(&format!("/v1/keys/{id}")).await?;
                say(&format!("revoked {id}"));
                Ok(())
            }
        }
    })
}
