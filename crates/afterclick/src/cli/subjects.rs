//! `afterclick subjects`: the people and devices that events are about.

use std::io::IsTerminal as _;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::connection::Connection;
use super::output::{self, Paint, Table, cell, confirmed, printable, say};
use super::record;
use super::who::Who;
use super::{Failure, Outcome, block_on};
use crate::client::{CallError, Client, segment};

#[derive(Debug, Args)]
#[command(
    after_help = "A KEY is the id of a subject (`sub_…`), an identifier with its kind (`user:42`, `email:ada@example.org`, \
                        `install:i-7`, and so for click, anonymous and referral), or the bare identifier."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say who it is, what is known, and what a sales team sees
    Show {
        /// Whom: `user:42`, `ada@example.org`, `sub_…`
        #[arg(value_name = "KEY")]
        subject: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take identifiers away from a subject that are not its own
    #[command(after_help = "Example:\n  afterclick subjects unlink user:42 --install i-7")]
    Unlink {
        /// Whom: `user:42`, `ada@example.org`, `sub_…`
        #[arg(value_name = "KEY")]
        subject: String,
        #[command(flatten)]
        who: Who,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a person for good, and print a receipt
    #[command(
        after_help = "It removes records, bodies of events and replies of vendors here. What vendors hold stays with them; the \
                            receipt names it."
    )]
    Erase {
        /// Whom: `user:42`, `ada@example.org`, `sub_…`
        #[arg(value_name = "KEY")]
        subject: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Print JSON; nobody is asked, so it needs `--yes`
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    block_on(async {
        match &arguments.verb {
            Verb::Show { subject, json } => show(&client, subject, *json).await,
            Verb::Unlink { subject, who, json } => unlink(&client, subject, who, *json).await,
            Verb::Erase { subject, yes, json } => erase(&client, subject, *yes, *json).await,
        }
    })
}

async fn show(client: &Client, key: &str, json: bool) -> Outcome {
    let subject = client.get(&path(key), &[]).await?;
    if json {
        output::print_json(&subject);
        return Ok(());
    }
    record::print_head(&cell(&subject, "id"), &subject["profile"]["name"], &subject);
    say("");
    output::print_members(&details(&subject));
    record::print(&subject["record"]);
    Ok(())
}

/// What neither the heading nor the record says.
fn details(subject: &Value) -> Value {
    let known = ["first_seen_at", "last_seen_at", "absorbed"].map(|name| (name, subject[name].clone()));
    let profile =
        ["phone", "milestone", "referral_code", "traits"].map(|name| (name, subject["profile"][name].clone()));
    let mut details: Map<String, Value> =
        known.into_iter().chain(profile).map(|(name, value)| (name.to_owned(), value)).collect();
    details.retain(|_, value| *value != Value::Array(Vec::new()));
    if let Some(traits) = details.get_mut("traits").and_then(Value::as_object_mut) {
        traits.retain(|name, _| !["name", "email", "phone"].contains(&name.as_str()));
    }
    details.into()
}

async fn unlink(client: &Client, key: &str, who: &Who, json: bool) -> Outcome {
    let body = who.body();
    if body.is_empty() {
        return Err(Failure::misused("nothing is named that is to be unlinked; give for example `--install i-7`"));
    }
    let answer = client.post(&format!("{}/unlink", path(key)), &body.into()).await?;
    if json {
        output::print_json(&answer);
        return Ok(());
    }
    let mut table = Table::new(&["IDENTIFIER", "IS NOW OF", "WAS LINKED"]);
    for one in answer["unlinked"].as_array().into_iter().flatten() {
        let was_linked = if one["was_linked"] == true { "yes" } else { "no" };
        table.row([cell(one, "identifier"), cell(one, "subject"), was_linked.to_owned()]);
    }
    table.print("nothing was unlinked");
    Ok(())
}

async fn erase(client: &Client, key: &str, yes: bool, json: bool) -> Outcome {
    if !yes {
        if json || !std::io::stdin().is_terminal() {
            return Err(Failure::misused("nobody can be asked here; look with `subjects show`, then give `--yes`"));
        }
        let subject = client.get(&path(key), &[]).await?;
        record::print_head(&cell(&subject, "id"), &subject["profile"]["name"], &subject);
        if !confirmed("Forget this person for good?")? {
            return Err(Failure::Failed(anyhow::anyhow!("nothing was erased")));
        }
    }
    let receipt = erase_to_the_end(client, key).await?;
    if json {
        output::print_json(&receipt);
        return Ok(());
    }
    print_receipt(&receipt);
    Ok(())
}

/// One call erases only so much of somebody with very many events; the next one goes on.
async fn erase_to_the_end(client: &Client, key: &str) -> Result<Value, CallError> {
    let mut came_to = String::new();
    loop {
        match client.delete(&path(key)).await {
            // Whoever comes no further by it does not ask for ever.
            Err(CallError::Refused { code, detail, .. }) if code == "erasure_unfinished" && detail != came_to => {
                eprintln!("{}", printable(&detail));
                came_to = detail;
            }
            answered => return answered,
        }
    }
}

fn print_receipt(receipt: &Value) {
    let paint = Paint::for_stdout();
    say(&paint.bold(&format!("erased {}  {}", cell(receipt, "subject"), cell(receipt, "erased_at"))));
    for line in removed(receipt) {
        say(&format!("  {line}"));
    }
    let held: Vec<&Value> = receipt["held_elsewhere"].as_array().into_iter().flatten().collect();
    if !held.is_empty() {
        say("");
        let mut table = Table::new(&["DESTINATION", "CONNECTOR", "RECORD", "KEY"]);
        for one in &held {
            let id = if one["id"].is_null() { "perhaps".to_owned() } else { cell(one, "id") };
            table.row([cell(one, "destination"), cell(one, "connector"), id, cell(one, "key")]);
        }
        table.print("");
    }
    eprintln!("{}", elsewhere(held.len()));
}

/// What went, a line for each kind of which there was anything.
fn removed(receipt: &Value) -> Vec<String> {
    let cancelled = receipt["cancelled"].as_array().into_iter().flatten();
    let cancelled: u64 = cancelled.filter_map(|one| one["deliveries"].as_u64()).sum();
    let removed = |name: &str| receipt["removed"][name].as_u64().unwrap_or(0);
    let lines = [
        (removed("identifiers"), "identifier removed", "identifiers removed"),
        (removed("events"), "event emptied", "events emptied"),
        (removed("attempts"), "attempt stripped of its reply", "attempts stripped of their replies"),
        (removed("notes"), "note of a destination removed", "notes of destinations removed"),
        (cancelled, "delivery called off", "deliveries called off"),
    ];
    let line = |(number, one, many)| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{number} {many}")),
    };
    lines.into_iter().filter_map(line).collect()
}

/// What is to be done about the records that vendors hold.
const fn elsewhere(records: usize) -> &'static str {
    match records {
        0 => "no vendor is known to hold a record",
        1 => "this record is with the vendor; have it removed there",
        _ => "these records are with the vendors; have them removed there",
    }
}

fn path(key: &str) -> String {
    format!("/v1/subjects/{}", segment(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receipt_says_what_went_as_one_would_say_it() {
        let receipt = |number: u64| {
            let removed = json!({
                "subjects": number, "identifiers": number, "events": number, "attempts": number, "notes": number,
            });
            let to_two = [json!({ "deliveries": number / 2 }), json!({ "deliveries": number - number / 2 })];
            super::removed(&json!({ "removed": removed, "cancelled": to_two }))
        };
        assert_eq!(receipt(0), Vec::<String>::new());
        let one = [
            "1 identifier removed",
            "1 event emptied",
            "1 attempt stripped of its reply",
            "1 note of a destination removed",
            "1 delivery called off",
        ];
        assert_eq!(receipt(1), one);
        let many = [
            "26 identifiers removed",
            "26 events emptied",
            "26 attempts stripped of their replies",
            "26 notes of destinations removed",
            "26 deliveries called off",
        ];
        assert_eq!(receipt(26), many);
        let said = [0, 1, 2].map(elsewhere);
        assert!(said[0].starts_with("no vendor") && said[1].contains("have it") && said[2].contains("have them"));
    }
}
