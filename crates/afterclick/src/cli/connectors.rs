//! `afterclick connectors`: what this program can speak to, and the settings of each.

use clap::Args;
use serde_json::json;

use super::output::{self, Paint, Table, say};
use crate::wire;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) {
    let manifests: Vec<_> = wire::plugins().connectors.iter().map(|connector| connector.manifest()).collect();
    if arguments.json {
        return output::print_json(&json!({ "data": manifests }));
    }
    let paint = Paint::for_stdout();
    for (index, manifest) in manifests.iter().enumerate() {
        if index > 0 {
            say("");
        }
        say(&format!("{}  {}", paint.bold(manifest.name), manifest.summary));
        let mut table = Table::new(&["SETTING", "REQUIRED", "IS", "HELP"]);
        for field in manifest.fields {
            let required = if field.required { "yes" } else { "" };
            table.row([field.name.to_owned(), required.to_owned(), field.kind.describe(), field.help.to_owned()]);
        }
        table.print("it has no settings");
    }
}
