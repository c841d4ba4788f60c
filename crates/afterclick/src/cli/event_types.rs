//! `afterclick event-types`: the catalogue.

use clap::Args;
use domain::catalogue::{self, EventKind};
use serde_json::{Value, json};

use super::output::{self, Paint, Table, say};
use super::{Failure, Outcome};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  afterclick event-types link.clicked    its meaning and a sample of its data")]
pub(crate) struct Arguments {
    /// Show only this type, with its samples
    #[arg(value_name = "TYPE")]
    event_type: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.event_type {
        Some(name) => show(find(name)?, arguments.json),
        None => list(arguments.json),
    }
    Ok(())
}

/// The entry of a type, or the nearest one's name in the error.
pub(super) fn find(name: &str) -> Result<&'static EventKind, Failure> {
    let nearest = || domain::hint::nearest(name, catalogue::ALL.iter().map(|kind| kind.event_type));
    catalogue::find(name).ok_or_else(|| {
        let hint = nearest().map_or_else(
            || "`afterclick event-types` lists them".to_owned(),
            |nearest| format!("did you mean `{nearest}`?"),
        );
        Failure::misused(format!("`{name}` is not in the catalogue of event types; {hint}"))
    })
}

fn list(json: bool) {
    if json {
        let data: Vec<Value> = catalogue::ALL.iter().map(as_json).collect();
        return output::print_json(&json!({ "data": data }));
    }
    let mut table = Table::new(&["TYPE", "ALSO NAMED", "WHEN"]);
    for kind in catalogue::ALL {
        table.row([kind.event_type, kind.alias.unwrap_or_default(), kind.description].map(str::to_owned));
    }
    table.print("the catalogue is empty");
}

fn show(kind: &EventKind, json: bool) {
    if json {
        return output::print_json(&as_json(kind));
    }
    let paint = Paint::for_stdout();
    say(&format!("{}  {}", paint.bold(kind.event_type), kind.title));
    say(kind.description);
    if let Some(alias) = kind.alias {
        say(&format!("also named {alias}; a subscription to either gets both"));
    }
    for sample in kind.samples {
        say("");
        let data = serde_json::from_str(sample).unwrap_or(Value::Null);
        output::print_json(&json!({ "event": kind.event_type, "timestamp": super::time::now(), "data": data }));
    }
}

fn as_json(kind: &EventKind) -> Value {
    let samples: Vec<Value> = kind.samples.iter().filter_map(|sample| serde_json::from_str(sample).ok()).collect();
    json!({
        "type": kind.event_type, "alias": kind.alias, "group": kind.group, "title": kind.title,
        "description": kind.description, "samples": samples,
    })
}
