//! `afterclick journeys`: what happened to one person, for a person to read.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::connection::Connection;
use super::output::{self, Paint, cell, printable, say};
use super::record::{self, moment};
use super::{Outcome, block_on};
use crate::client::{Client, segment};

/// Width of what happened, in characters.
const WHAT_CHARS: usize = 26;
/// Most characters of where somebody came from.
const FROM_CHARS_MAX: usize = 24;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell what happened to somebody, from the first click on
    #[command(
        after_help = "Examples:\n  afterclick journeys show user:42\n  afterclick journeys show ada@example.org\n\n\
                            A KEY is whatever `afterclick subjects` takes. Times are UTC."
    )]
    Show {
        /// Whom: `user:42`, `ada@example.org`, `sub_…`; see `afterclick subjects --help`
        #[arg(value_name = "KEY")]
        subject: String,
        /// Most steps, from the first on
        #[arg(long, default_value_t = 200, value_name = "N")]
        limit: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    let Verb::Show { subject, limit, json } = &arguments.verb;
    block_on(show(&client, subject, *limit, *json))
}

async fn show(client: &Client, key: &str, limit: usize, json: bool) -> Outcome {
    let path = format!("/v1/journeys/{}", segment(key));
    let journey = client.get(&path, &[("limit", limit.to_string())]).await?;
    if json {
        output::print_json(&journey);
        return Ok(());
    }
    record::print_head(&cell(&journey, "subject"), &journey["name"], &journey);
    let paint = Paint::for_stdout();
    for line in timeline(&journey) {
        say(&line.painted(paint));
    }
    if journey["more"] == true {
        eprintln!("there are more steps; use a larger `--limit`");
    }
    record::print(&journey["record"]);
    Ok(())
}

/// A line of the timeline.
#[derive(Debug, PartialEq)]
enum Line {
    Day(String),
    Step { time: String, kind: String, what: String, from: String, span: String },
}

/// The days and their steps.
fn timeline(journey: &Value) -> Vec<Line> {
    let steps: Vec<&Value> = journey["steps"].as_array().into_iter().flatten().collect();
    let mut lines = Vec::new();
    let mut day = String::new();
    for step in steps {
        let at = moment(&cell(step, "at"));
        let (date, time) = at.split_once('T').unwrap_or(("", ""));
        if !date.is_empty() && date != day {
            date.clone_into(&mut day);
            lines.push(Line::Day(day.clone()));
        }
        let from: String = printable(&cell(step, "campaign")).chars().take(FROM_CHARS_MAX).collect();
        lines.push(Line::Step {
            time: time.to_owned(),
            kind: cell(step, "kind"),
            what: printable(&what(step)),
            from,
            span: span(step),
        });
    }
    lines
}

fn what(step: &Value) -> String {
    match cell(step, "kind").as_str() {
        "click" => "clicked the link",
        "store" => "was in the store",
        "install" => "installed the app",
        "claim" => "claimed the deferred link",
        "open" => "opened the link",
        "code" => "got a referral code",
        "referral" => "signed up by referral",
        "completion" => "completed the referral",
        "conversion" => "converted",
        "identified" => "said who they are",
        _ => return cell(step, "event_type"),
    }
    .to_owned()
}

/// How long it took, since what matters most for this step.
fn span(step: &Value) -> String {
    let since = [("after_install", "after install"), ("after_click", "after the click"), ("after_step", "later")];
    let told = since.into_iter().find(|(member, _)| !step[member].is_null());
    told.map(|(member, words)| format!("{} {words}", cell(step, &format!("{member}.text")))).unwrap_or_default()
}

impl Line {
    fn painted(&self, paint: Paint) -> String {
        match self {
            Self::Day(day) => format!("\n{}", paint.dim(day)),
            Self::Step { time, kind, what, from, span } => {
                let dot = if time.is_empty() { "○" } else { "●" };
                let what = format!("{what:WHAT_CHARS$}");
                let (dot, what) = match kind.as_str() {
                    "completion" | "conversion" => (paint.good(dot), paint.good(&what)),
                    "store" | "event" | "identified" => (paint.dim(dot), paint.dim(&what)),
                    _ => (paint.bold(dot), what),
                };
                let line = format!("  {}  {dot}  {what}", paint.dim(&format!("{time:8}")));
                match (from.as_str(), span.as_str()) {
                    ("", "") => line.trim_end().to_owned(),
                    (from, "") => format!("{line}  {from}"),
                    (from, span) => format!("{line}  {from:FROM_CHARS_MAX$}  {}", paint.dim(span)),
                }
            }
        }
    }
}
