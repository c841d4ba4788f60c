//! `afterclick identify`: says who somebody is.

use clap::Args;
use serde_json::{Map, Value};

use super::connection::Connection;
use super::output::{self, cell, printable, say};
use super::who::Who;
use super::{Failure, Outcome, block_on};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  afterclick identify --user 42 --install i-7\n  \
                        afterclick identify --user 42 --email ada@example.org --name 'Ada Lovelace' --trait plan=pro\n\n\
                        It can be said again and again. Two people who are both known are never made one; what is wrong is \
                        taken apart with `afterclick subjects unlink`.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    who: Who,
    /// What the person is called
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The person's telephone number
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Whatever else is known; may be repeated
    #[arg(long = "trait", value_name = "NAME=VALUE")]
    traits: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    // The last, because its heading stands over whatever follows.
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let body = body(arguments)?;
    let client = arguments.connection.client()?;
    block_on(async {
        let answer = client.post("/v1/identify", &body.into()).await?;
        if arguments.json {
            output::print_json(&answer);
            return Ok(());
        }
        say(&cell(&answer, "subject"));
        eprintln!("known by {}", printable(&cell(&answer, "identifiers")));
        match answer["event"].as_str() {
            Some(event) => eprintln!("kept as {event}"),
            None => eprintln!("it was known already, nothing is stored"),
        }
        Ok(())
    })
}

fn body(arguments: &Arguments) -> Result<Map<String, Value>, Failure> {
    let mut body = arguments.who.body();
    if body.is_empty() {
        let message = "nobody is named; give `--user` or `--email`, and what is known so far, for example `--install`";
        return Err(Failure::misused(message));
    }
    for (member, text) in [("name", &arguments.name), ("phone", &arguments.phone)] {
        if let Some(text) = text {
            body.insert(member.to_owned(), text.clone().into());
        }
    }
    let traits = arguments.traits.iter().map(|text| read_trait(text)).collect::<Result<Map<_, _>, _>>()?;
    if !traits.is_empty() {
        body.insert("traits".to_owned(), traits.into());
    }
    Ok(body)
}

/// `plan=pro`; numbers, `true` and `false` are such.
fn read_trait(text: &str) -> Result<(String, Value), Failure> {
    let Some((name, text)) = text.split_once('=') else {
        return Err(Failure::misused(format!("`{text}` is no trait; write `--trait name=value`")));
    };
    let is_plain = |value: &Value| value.is_number() || value.is_boolean();
    let value = serde_json::from_str(text).ok().filter(is_plain);
    Ok((name.to_owned(), value.unwrap_or_else(|| text.into())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trait_is_a_number_a_switch_or_a_text() {
        for (text, expect) in
            [("plan=pro", json!("pro")), ("seats=5", json!(5)), ("beta=true", json!(true)), ("note=[1]", json!("[1]"))]
        {
            assert_eq!(read_trait(text).ok().map(|(_, value)| value), Some(expect), "{text}");
        }
        assert!(read_trait("plan").is_err());
    }
}
