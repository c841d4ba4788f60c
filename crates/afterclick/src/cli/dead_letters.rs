//! `afterclick dead-letters`: deliveries that wait for a person.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::connection::Connection;
use super::listing::{How, Listing, query};
use super::output::{cell, say};
use super::time::When;
use super::{Failure, Outcome, block_on};

const LIST: Listing = Listing {
    path: "/v1/dead-letters",
    columns: &[
        ("ID", "id"),
        ("TYPE", "type"),
        ("DESTINATION", "destination_name"),
        ("REASON", "reason"),
        ("ATTEMPTS", "attempts"),
        ("LAST STATUS", "last_attempt.status"),
        ("DIED", "ended_at"),
    ],
    nothing: "no dead letters: everything arrived or is still being tried",
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
    /// List dead letters, the latest to die first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        how: How,
    },
    /// Start dead letters again, each with its whole schedule
    #[command(after_help = "Examples:\n  afterclick dead-letters redrive --destination orders-backend\n  \
                            afterclick dead-letters redrive --reason server_error --from 6h\n  \
                            afterclick dead-letters redrive dlv_01JD3ZK7Q0M8X2V4N6B8C0D2F4_0")]
    Redrive {
        /// These deliveries; or say which with the options
        ids: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// Every dead letter of the appspace
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

#[derive(Debug, Args)]
struct Filter {
    /// Only to this destination, by name or id
    #[arg(long)]
    destination: Option<String>,
    /// Only those that died for this reason, for example `timeout` or `server_error`
    #[arg(long)]
    reason: Option<String>,
    /// Died at or after: a time, or how long ago (`2h`)
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// Died before
    #[arg(long, value_name = "TIME")]
    to: Option<When>,
}

impl Filter {
    fn members(&self) -> Vec<(&'static str, String)> {
        let (from, to) = (self.from.map(|when| when.0.to_string()), self.to.map(|when| when.0.to_string()));
        query(&[
            ("destination", self.destination.as_deref()),
            ("reason", self.reason.as_deref()),
            ("from", from.as_deref()),
            ("to", to.as_deref()),
        ])
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    block_on(async {
        match &arguments.verb {
            Verb::List { filter, how } => LIST.print(&client, &filter.members(), how).await,
            Verb::Redrive { ids, filter, all } => {
                let members = filter.members();
                if ids.is_empty() && members.is_empty() && !all {
                    return Err(Failure::misused("nothing says which dead letters; name ids, a filter, or `--all`"));
                }
                let mut body: Map<String, Value> =
                    members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
                if !ids.is_empty() {
                    body.insert("ids".to_owned(), ids.clone().into());
                }
                if *all {
                    body.insert("all".to_owned(), true.into());
                }
                let answer = client.post("/v1/dead-letters/redrive", &Value::Object(body)).await?;
                say(&format!("redriven: {}", cell(&answer, "redriven")));
                for skipped in answer["skipped"].as_array().into_iter().flatten() {
                    eprintln!("skipped {}: {}", cell(skipped, "id"), cell(skipped, "code"));
                }
                if answer["more"] == Value::Bool(true) {
                    eprintln!("there are more; run it again");
                }
                Ok(())
            }
        }
    })
}
