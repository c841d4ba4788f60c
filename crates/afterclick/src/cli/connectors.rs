//! `afterclick connectors`: what this program can speak to, and the settings of each.

use clap::{Args, Subcommand};
use domain::connector::{Field, Manifest};
use domain::hint::hint;
use serde_json::json;

use super::output::{self, Paint, Table, say};
use super::prose::{reflowed, wrapped};
use super::{Failure, Outcome};
use crate::wire;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  afterclick connectors\n  afterclick connectors show clickhouse"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show one: its settings, what reaches it, and in what portions
    Show {
        /// As `afterclick connectors` lists it
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let manifests: Vec<_> = wire::plugins().connectors.iter().map(|connector| connector.manifest()).collect();
    match &arguments.verb {
        None => list(&manifests, arguments.json),
        Some(Verb::List { json }) => list(&manifests, *json),
        Some(Verb::Show { name, json }) => {
            let Some(manifest) = manifests.iter().find(|manifest| manifest.name == name) else {
                let names: Vec<_> = manifests.iter().map(|manifest| manifest.name).collect();
                return Err(Failure::misused(format!("there is no connector `{name}`; {}", hint(name, &names))));
            };
            if *json {
                output::print_json(&json!(manifest));
            } else {
                show(manifest);
            }
        }
    }
    Ok(())
}

fn list(manifests: &[&Manifest], json: bool) {
    if json {
        return output::print_json(&json!({ "data": manifests }));
    }
    let mut table = Table::new(&["NAME", "TITLE", "SETTINGS", "DEFAULT EVENTS", "WHAT REACHES IT"]);
    for manifest in manifests {
        let settings = manifest.fields.len().to_string();
        let events = manifest.events.join(", ");
        table.row([manifest.name.to_owned(), manifest.title.to_owned(), settings, events, manifest.summary.to_owned()]);
    }
    table.print("this program speaks to nobody");
    eprintln!("the settings of one: afterclick connectors show NAME");
}

fn show(manifest: &Manifest) {
    let paint = Paint::for_stdout();
    say(&format!("{}  {}", paint.bold(manifest.title), manifest.summary));
    say("");
    for (name, text) in facts(manifest) {
        say(&format!("{}  {text}", paint.dim(&format!("{name:8}"))));
    }
    for field in manifest.fields {
        say("");
        let never = if field.kind.is_secret() { ", never shown" } else { "" };
        let name = paint.bold(&format!("settings.{}", field.name));
        say(&format!("{name}  {}{never}; {}", field.kind.describe(), default_of(field)));
        for line in wrapped(field.help) {
            say(&format!("    {line}"));
        }
    }
    if !manifest.notes.is_empty() {
        say("");
    }
    for line in reflowed(manifest.notes) {
        say(&line);
    }
}

/// What holds for a destination that says nothing else.
fn facts(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("name", manifest.name.to_owned()),
        ("events", manifest.events.join(", ")),
        ("batch", manifest.portions()),
    ];
    if let Some(rate) = manifest.rate {
        let per_day = rate.per_day.map(|per_day| format!(", {per_day} a day")).unwrap_or_default();
        let number = rate.per_second.to_string();
        let ending = if number == "1" { "" } else { "s" };
        facts.push(("rate", format!("{number} request{ending} a second{per_day}")));
    }
    if manifest.provisions {
        facts.push(("makes", "what it needs, by `afterclick destinations provision NAME`".to_owned()));
    }
    facts
}

fn default_of(field: &Field) -> String {
    match field.default {
        _ if field.required => "required".to_owned(),
        Some(default) => format!("default {default}"),
        None => "optional".to_owned(),
    }
}
