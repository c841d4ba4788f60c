//! `afterclick destinations provision`: makes what a destination needs at its vendor, after showing it.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::{Value, json};

use super::preview::print_request;
use super::{Failure, Outcome, path};
use crate::cli::output::{self, Paint, cell, confirmed, printable, say};
use crate::client::Client;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  afterclick destinations provision warehouse --dry-run    only the plan\n  \
                        afterclick destinations provision warehouse --yes\n\n\
                        It is safe to run again: what is there stays as it is, and nothing is ever dropped.")]
pub(super) struct Arguments {
    /// Name or id
    name: String,
    /// Show the plan and make nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print JSON; nobody is asked, so it needs `--yes` or `--dry-run`
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, arguments: &Arguments) -> Outcome {
    let planned = call(client, &arguments.name, true).await?;
    if arguments.dry_run || is_empty(&planned) {
        show(&planned, arguments.json, "nothing was made; leave out --dry-run to make it");
        return Ok(());
    }
    if !arguments.yes {
        if arguments.json || !std::io::stdin().is_terminal() {
            return Err(Failure::misused("nobody can be asked here; look with `--dry-run`, then give `--yes`"));
        }
        show(&planned, false, "");
        if !confirmed("Make this?")? {
            return Err(Failure::Failed(anyhow::anyhow!("nothing was made")));
        }
    }
    // What was planned is planned again: somebody else may have been here.
    let made = call(client, &arguments.name, false).await?;
    if arguments.json {
        output::print_json(&made);
    } else {
        told(&made);
    }
    if steps(&made).any(|step| step["state"] == "failed") {
        return Err(Failure::Told);
    }
    hint(client, &arguments.name).await
}

async fn call(client: &Client, name: &str, dry_run: bool) -> Result<Value, Failure> {
    Ok(client.post(&format!("{}/provision", path(name)), &json!({ "dry_run": dry_run })).await?)
}

fn steps(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["plan"].as_array().into_iter().flatten()
}

fn is_empty(answer: &Value) -> bool {
    steps(answer).next().is_none()
}

/// The plan, with every request of it.
fn show(planned: &Value, json: bool, after: &str) {
    if json {
        return output::print_json(planned);
    }
    if is_empty(planned) {
        return eprintln!("nothing to do: everything is there");
    }
    eprintln!("this is missing, and is made so:");
    for (number, step) in (1..).zip(steps(planned)) {
        say(&format!("{number}. {}", printable(&cell(step, "reason"))));
        print_request(&step["request"], "   ");
        say("");
    }
    if !after.is_empty() {
        eprintln!("{after}");
    }
}

/// How each step went.
fn told(made: &Value) {
    let paint = Paint::for_stdout();
    for step in steps(made) {
        let state = cell(step, "state").replace('_', " ");
        say(&format!("{}  {}", paint.state(&format!("{state:9}")), printable(&cell(step, "reason"))));
        if !step["error"].is_null() {
            eprintln!("           {}", printable(&cell(step, "error")));
        }
    }
    if is_empty(made) {
        eprintln!("nothing to do: everything is there");
    }
}

/// What was paused for want of a table goes on only when somebody says so.
async fn hint(client: &Client, name: &str) -> Outcome {
    let destination = client.get(&path(name), &[]).await?;
    if !destination["paused"].is_null() {
        eprintln!("it is still paused ({}); go on with", printable(&cell(&destination, "paused.message")));
        eprintln!("  afterclick destinations resume {name}");
    }
    Ok(())
}
