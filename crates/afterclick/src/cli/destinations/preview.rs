//! `afterclick destinations preview`: the exact request, for a person to read.

use clap::Args;
use serde_json::{Value, json};

use super::{Outcome, path};
use crate::cli::output::{self, Paint, cell, printable, say};
use crate::client::Client;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  afterclick destinations preview cdp\n  \
                        afterclick destinations preview alerts --type referral.completed\n  \
                        afterclick destinations preview alerts --event evt_01JD3ZK7Q0M8X2V4N6B8C0D2F4")]
pub(super) struct Arguments {
    /// Name or id
    name: String,
    /// The sample of this type [default: the first that it is subscribed to]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// A stored event instead of a sample
    #[arg(long, value_name = "ID", conflicts_with = "event_type")]
    event: Option<String>,
    /// Print JSON, in which the body is exactly as it would be sent
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, arguments: &Arguments) -> Outcome {
    let body = match (&arguments.event, &arguments.event_type) {
        (Some(event), _) => json!({ "event": event }),
        (None, Some(event_type)) => json!({ "type": event_type }),
        (None, None) => json!({}),
    };
    let preview = client.post(&format!("{}/preview", path(&arguments.name)), &body).await?;
    if arguments.json {
        output::print_json(&preview);
    } else {
        print(&preview, arguments.event.is_none());
    }
    Ok(())
}

/// The request goes to stdout; what there is to say about it does not.
fn print(preview: &Value, is_sample: bool) {
    let what = match preview["events"].as_u64() {
        Some(count) if count > 1 => format!("a digest of {count} samples of `{}`", cell(preview, "type")),
        _ if is_sample => format!("a sample of `{}`", cell(preview, "type")),
        _ => format!("`{}`, {}", cell(preview, "type"), cell(preview, "event")),
    };
    eprintln!("{what}; nothing is sent, and secrets are masked");
    if !preview["why_not"].is_null() {
        eprintln!("it would not be sent: {}", printable(&cell(preview, "why_not")));
    }
    if !preview["verdict"].is_null() {
        eprintln!("{}", printable(&cell(preview, "verdict")));
    }
    if !preview["request"].is_null() {
        eprintln!();
        print_request(&preview["request"], "");
    }
}

/// A request, each line after `indent`.
pub(super) fn print_request(request: &Value, indent: &str) {
    let paint = Paint::for_stdout();
    let first = format!("{} {}", cell(request, "method"), cell(request, "url"));
    say(&format!("{indent}{}", paint.bold(&printable(&first))));
    for header in request["headers"].as_array().into_iter().flatten() {
        let (name, value) = (printable(&cell(header, "name")), printable(&cell(header, "value")));
        say(&format!("{indent}{} {value}", paint.dim(&format!("{name}:"))));
    }
    let body = readable(&cell(request, "body"));
    if !body.is_empty() {
        say("");
    }
    for line in body.lines() {
        say(&format!("{indent}{}", printable(line)));
    }
}

/// JSON is spread out, everything else is left as it is.
fn readable(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        _ => body.to_owned(),
    }
}
