//! `afterclick config`: looking at a configuration without starting anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::hint::nearest;
use serde_json::json;

use super::output::{self, Table, say};
use super::serve::{Options, Overrides};
use super::{Failure, Outcome, block_on};
use crate::config::Config;
use crate::wire;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print every effective value and where it comes from; secrets are masked
    #[command(after_help = "Example:\n  afterclick config show --config afterclick.toml")]
    Show {
        #[command(flatten)]
        options: Options,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Say whether a file would be accepted, as `serve` and `apply` would
    #[command(after_help = "Example:\n  afterclick config check afterclick.toml")]
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        overrides: Overrides,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.verb {
        Verb::Show { options, json } => show(options, *json),
        Verb::Check { file, overrides } => check(overrides, file),
    }
}

fn show(options: &Options, json: bool) -> Outcome {
    let config = options.load()?;
    if json {
        output::print_json(&json!({ "data": config.shown }));
        return Ok(());
    }
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for line in &config.shown {
        table.row([line.key.clone(), line.value.clone(), line.origin.to_string()]);
    }
    table.print("nothing is configured");
    Ok(())
}

fn check(overrides: &Overrides, file: &std::path::Path) -> Outcome {
    let config = overrides.load_file(Some(file)).map_err(as_failed)?;
    block_on(async {
        wire::check(&config).await?;
        say(&format!("{}: {}, no problem found", file.display(), contents(&config)));
        for doubt in doubts(&config) {
            eprintln!("note: {doubt}");
        }
        Ok(())
    })
}

/// What is allowed and was hardly meant: types that nobody is known to send, and that look like one which is sent.
fn doubts(config: &Config) -> Vec<String> {
    let known = || domain::catalogue::ALL.iter().map(|kind| kind.event_type);
    let mut doubts = Vec::new();
    for destination in &config.destinations {
        for wanted in destination.events.patterns().iter().map(ToString::to_string) {
            let is_known = wanted.contains('*') || known().any(|event_type| event_type == wanted);
            if let Some(near) = nearest(&wanted, known()).filter(|_| !is_known) {
                let name = &destination.name;
                doubts.push(format!(
                    "destination `{name}` wants `{wanted}`, which is in no catalogue; did you mean `{near}`?"
                ));
            }
        }
    }
    doubts
}

/// What a configuration describes, in numbers.
pub(super) fn contents(config: &Config) -> String {
    let (sources, destinations) = (config.sources.len(), config.destinations.len());
    format!("{}, {}", output::count(sources, "source"), output::count(destinations, "destination"))
}

/// A file that is refused is what `check` is there to find.
fn as_failed(failure: Failure) -> Failure {
    match failure {
        Failure::Misused(error) => Failure::Failed(error),
        other => other,
    }
}
