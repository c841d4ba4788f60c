//! What a destination is to be like, as options: the same for making one and for changing one.

use clap::Args;
use serde_json::{Map, Value};

use super::{Failure, privacy, settings};

#[derive(Debug, Args)]
pub(super) struct Wishes {
    /// An event type, `prefix.*` or `*`; may be repeated [default: what suits the connector]
    #[arg(long = "event", value_name = "PATTERN")]
    events: Vec<String>,
    /// Only events for which this expression is true
    #[arg(long, value_name = "EXPRESSION")]
    when: Option<String>,
    /// `standard`, `tolinku`, or waits like `10s,1m,1h`
    #[arg(long, value_name = "POLICY")]
    retry: Option<String>,
    /// Requests at once
    #[arg(long, value_name = "N")]
    concurrency: Option<u16>,
    /// Most requests per second
    #[arg(long, value_name = "PER_SECOND", value_parser = finite)]
    rate: Option<f64>,
    /// How much goes into one request: `items=50`, `wait=2s`; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    batch: Vec<String>,
    /// How much is wanted: `sample=0.1`, `threshold=100`, `digest=30s`, `first_per_subject_per_day=true`; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    volume: Vec<String>,
    /// What of a person it does not get, or not as it is: `drop=user_agent,phone`, `hash=email`, `truncate=ip:24`;
    /// `keep=email` takes that back; may be repeated
    #[arg(long, value_name = "HOW=FIELDS")]
    privacy: Vec<String>,
    /// A setting of the connector; may be repeated. `headers.X-Team=growth` sets a member of one that is a table
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

impl Wishes {
    /// The members of a body that were asked for. What is said of a table is put over what `current` says of it.
    pub(super) fn body(&self, connector: &str, current: &Value) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("events", (!self.events.is_empty()).then(|| self.events.clone().into()));
        put("when", self.when.clone().map(Value::from));
        put("retry", self.retry.as_deref().map(policy));
        put("concurrency", self.concurrency.map(Value::from));
        put("rate", self.rate.map(Value::from));
        put("batch", over(&self.batch, &current["batch"])?);
        put("volume", over(&self.volume, &current["volume"])?);
        put("privacy", privacy::over(&self.privacy, &current["privacy"])?);
        let settings = settings::read(connector, &self.settings, &current["settings"])?;
        put("settings", (!settings.is_empty()).then(|| settings.into()));
        Ok(body)
    }
}

/// A number that JSON can say: others would become `null`, which takes a limit away.
fn finite(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("write a finite number, like `0.5`")
}

/// A preset, or a list of waits.
fn policy(text: &str) -> Value {
    match text {
        "standard" | "tolinku" => Value::from(text),
        waits => waits.split(',').map(|wait| Value::from(wait.trim())).collect(),
    }
}

/// `NAME=VALUE` options over a table: numbers and switches are such, and an empty value takes a member away.
fn over(options: &[String], current: &Value) -> Result<Option<Value>, Failure> {
    if options.is_empty() {
        return Ok(None);
    }
    let mut table = current.as_object().cloned().unwrap_or_default();
    for option in options {
        let Some((name, text)) = option.split_once('=') else {
            return Err(Failure::misused(format!("`{option}` is no option; write `name=value`")));
        };
        if text.is_empty() {
            table.remove(name);
            continue;
        }
        let is_plain = |value: &Value| value.is_number() || value.is_boolean();
        let value = serde_json::from_str(text).ok().filter(is_plain).unwrap_or_else(|| Value::from(text));
        table.insert(name.to_owned(), value);
    }
    Ok(Some(table.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(options: &[&str], current: &Value, expect: &Value) {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        assert_eq!(over(&options, current).ok().flatten().as_ref(), Some(expect), "{options:?}");
    }

    #[test]
    fn options_of_a_table_are_put_over_what_it_says() {
        check(&["items=50", "wait=2s"], &Value::Null, &json!({ "items": 50, "wait": "2s" }));
        check(&["sample="], &json!({ "sample": 0.1, "threshold": 5.0 }), &json!({ "threshold": 5.0 }));
        check(
            &["first_per_subject_per_day=true", "sample=0.5"],
            &json!({}),
            &json!({
                "first_per_subject_per_day": true, "sample": 0.5,
            }),
        );
        assert!(over(&["items".to_owned()], &Value::Null).is_err());
    }

    #[test]
    fn a_rate_that_is_no_finite_number_is_refused() {
        assert_eq!(["nan", "inf", "1e999", "x"].map(finite), [Err("write a finite number, like `0.5`"); 4]);
        assert_eq!(finite("0.5"), Ok(0.5));
    }

    #[test]
    fn a_policy_is_a_preset_or_a_list() {
        assert_eq!(policy("tolinku"), json!("tolinku"));
        assert_eq!(policy("10s, 1m"), json!(["10s", "1m"]));
    }
}
