//! `afterclick apply`: makes a running server match a file.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::connection::Connection;
use super::output::{self, Table, cell};
use super::serve::Overrides;
use super::{Failure, Outcome, block_on};
use crate::client::Client;
use crate::config::Config;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  afterclick apply afterclick.toml --dry-run    only the plan\n  \
                        afterclick apply afterclick.toml --yes --prune\n\n\
                        What a file names belongs to the file: it cannot be changed through the API. `[server]` is not\n\
                        applied; it is read when the server starts.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Also delete what came from the file before and is no longer in it
    #[arg(long)]
    prune: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print the plan as JSON; does not ask
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let config = Overrides::default().load_file(Some(&arguments.file))?;
    let client = arguments.connection.client()?;
    block_on(async {
        let plan = put(&client, &config, arguments.prune, true).await?;
        let changes = changes(&plan);
        if arguments.json {
            output::print_json(&plan);
        } else {
            print(&plan);
        }
        if arguments.dry_run || changes == 0 {
            eprintln!(
                "{}",
                if changes == 0 { "nothing to do" } else { "nothing was changed; leave out --dry-run to apply it" }
            );
            return Ok(());
        }
        let asks = !arguments.yes && !arguments.json && std::io::stdin().is_terminal();
        if asks && !output::confirmed("Apply this?")? {
            return Err(Failure::Failed(anyhow::anyhow!("not applied")));
        }
        put(&client, &config, arguments.prune, false).await?;
        eprintln!("applied {}", output::count(changes, "change"));
        Ok(())
    })
}

async fn put(client: &Client, config: &Config, prune: bool, dry_run: bool) -> Result<Value, Failure> {
    let body = json!({
        "sources": config.sources, "destinations": config.destinations, "prune": prune, "dry_run": dry_run,
    });
    Ok(client.put("/v1/config", &[], &body).await?)
}

fn steps(plan: &Value) -> impl Iterator<Item = &Value> {
    plan["plan"].as_array().into_iter().flatten()
}

fn changes(plan: &Value) -> usize {
    steps(plan).filter(|step| step["action"] != "unchanged").count()
}

fn print(plan: &Value) {
    let mut table = Table::new(&["ACTION", "OBJECT", "NAME", "CHANGES"]);
    for step in steps(plan) {
        table.row(["action", "kind", "name", "changes"].map(|path| cell(step, path)));
    }
    table.print("the file describes no source and no destination");
}
