//! Lists: as many pages as are asked for, as a table or as JSON.

use clap::Args;
use serde_json::{Value, json};

use super::Outcome;
use super::output::{self, Table};
use crate::client::{CallError, Client};

/// Most rows asked for in one call.
const PAGE_ROWS_MAX: usize = 200;

/// How much of a list to print, and how.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// How many rows at most
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// A list of the API and the columns it is shown with.
pub(crate) struct Listing {
    pub(crate) path: &'static str,
    /// Heading, and where in an item its value is.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    /// What to say when there is nothing.
    pub(crate) nothing: &'static str,
}

impl Listing {
    /// Fetches and prints.
    pub(crate) async fn print(&self, client: &Client, query: &[(&str, String)], how: &How) -> Outcome {
        self.print_at(self.path, client, query, how).await
    }

    /// The same at a path that is known only now.
    pub(crate) async fn print_at(&self, path: &str, client: &Client, query: &[(&str, String)], how: &How) -> Outcome {
        let (items, more) = fetch(client, path, query, how.limit).await?;
        if how.json {
            output::print_json(&json!({ "data": items, "more": more }));
            return Ok(());
        }
        let headings: Vec<_> = self.columns.iter().map(|(heading, _)| *heading).collect();
        let mut table = Table::new(&headings);
        for item in &items {
            table.row(self.columns.iter().map(|(_, path)| output::cell(item, path)));
        }
        table.print(self.nothing);
        if more {
            eprintln!("there are more; use a larger `--limit`");
        }
        Ok(())
    }
}

/// The first `limit` items, and whether there are more.
async fn fetch(
    client: &Client,
    path: &str,
    query: &[(&str, String)],
    limit: usize,
) -> Result<(Vec<Value>, bool), CallError> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let wanted = (limit - items.len()).min(PAGE_ROWS_MAX);
        let mut page_query = query.to_vec();
        page_query.push(("limit", wanted.max(1).to_string()));
        if let Some(cursor) = cursor {
            page_query.push(("cursor", cursor));
        }
        let page = client.get(path, &page_query).await?;
        items.extend(page["data"].as_array().into_iter().flatten().cloned());
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() || items.len() >= limit {
            let more = cursor.is_some() || items.len() > limit;
            items.truncate(limit);
            return Ok((items, more));
        }
    }
}

/// Query members that were given.
pub(crate) fn query<'q>(members: &[(&'q str, Option<&str>)]) -> Vec<(&'q str, String)> {
    members.iter().filter_map(|(name, value)| Some((*name, (*value)?.to_owned()))).collect()
}
