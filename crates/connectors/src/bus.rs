//! What buses have in common: where they are, what a record holds, and one verdict per record.

use domain::connector::{
    Batch, Broker, Call, Item, Progress, Record, RecordRefusal, RecordsCall, Reply, Server, SettingsError, Step,
};
use domain::expression::{Escape, Template};
use domain::verdict::FailureReason;
use domain::{Settings, Verdict};

use crate::common::on_one_line;

/// Most characters of a broker's message.
pub(crate) const MESSAGE_CHARS_MAX: usize = 200;
/// Most servers that a destination may name.
const SERVERS_MAX: usize = 32;

/// The servers in a setting, like `kafka-1.example.com:9092`.
pub(crate) fn servers(settings: &Settings, field: &str, default_port: u16) -> Result<Vec<Server>, SettingsError> {
    let texts = settings.0.get(field).and_then(serde_json::Value::as_array);
    let texts = texts.into_iter().flatten().filter_map(serde_json::Value::as_str);
    let servers = texts.map(|text| {
        server(text.trim(), default_port).ok_or_else(|| {
            SettingsError::new(field, format!("holds `{text}`; write it like `bus.example.com:{default_port}`"))
        })
    });
    let servers: Vec<_> = servers.collect::<Result<_, _>>()?;
    match servers.len() {
        0 => Err(SettingsError::new(field, "names no server")),
        1..=SERVERS_MAX => Ok(servers),
        _ => Err(SettingsError::new(
            field,
            format!("names more than {SERVERS_MAX} servers; some are enough to find the others"),
        )),
    }
}

/// The servers of a broker, as the engine asks for them.
pub(crate) fn named(field: &'static str, broker: &Broker) -> Vec<(&'static str, Server)> {
    let (Broker::Nats { servers, .. } | Broker::Kafka { servers, .. }) = broker;
    servers.iter().map(|server| (field, server.clone())).collect()
}

fn server(text: &str, default_port: u16) -> Option<Server> {
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an address of IPv6 without brackets are its own.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port != 0)?)
        }
        _ => (text, default_port),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
    (!host.is_empty() && host.chars().all(is_host)).then(|| Server { host: host.to_owned(), port })
}

/// The template in a setting, or the one that holds if nothing is said.
pub(crate) fn template(settings: &Settings, field: &str, default: &str) -> Result<Template, SettingsError> {
    Template::compile(settings.text(field).unwrap_or(default), Escape::None)
        .map_err(|error| SettingsError::new(field, format!("does not compile: {error}")))
}

/// A record that holds the event as it was received.
pub(crate) fn record(item: &Item<'_>, topic: String, key: Option<String>, id_header: &'static str) -> Record {
    let event = item.event;
    let headers = vec![
        (id_header, event.id.to_string()),
        ("event_type", event.event_type.to_string()),
        ("content_type", "application/json".to_owned()),
    ];
    Record { topic, key, headers, value: event.body.clone() }
}

/// The call with the records of a batch. What makes no record is refused by itself.
pub(crate) fn publish(
    batch: &Batch<'_>,
    progress: &mut Progress,
    broker: &Broker,
    record: impl Fn(&Item<'_>) -> Result<Record, String>,
) -> Step {
    let mut records = Vec::with_capacity(batch.items.len());
    for (number, item) in batch.items.iter().enumerate() {
        match record(item) {
            Ok(record) => records.push(record),
            Err(message) => {
                progress.notes.insert(number.to_string(), message);
            }
        }
    }
    if records.is_empty() {
        return Step::Settle(verdicts(batch, progress, || Verdict::Delivered));
    }
    Step::Send(Call::Records(RecordsCall { broker: broker.clone(), records }))
}

/// One verdict per item: `refused` says what it means that a record was not taken, `turned_away` what it means that the
/// broker heard no record at all.
pub(crate) fn judge(
    batch: &Batch<'_>,
    progress: &Progress,
    reply: &Reply,
    turned_away: impl Fn(&str, &str) -> Verdict,
    refused: impl Fn(&RecordRefusal) -> Verdict,
) -> Step {
    if let Some(code) = &reply.code {
        return Step::settle_all(batch, &turned_away(code, &reply.text()));
    }
    let mut outcomes = reply.outcomes().unwrap_or_default().into_iter();
    let next = || match outcomes.next() {
        Some(None) => Verdict::Delivered,
        Some(Some(refusal)) if refusal.code == RecordRefusal::NO_ANSWER => {
            retry(FailureReason::Timeout, &on_one_line(&refusal.message, MESSAGE_CHARS_MAX))
        }
        Some(Some(refusal)) => refused(&refusal),
        None => Verdict::retry(FailureReason::Broken),
    };
    Step::Settle(verdicts(batch, progress, next))
}

/// Again by the schedule, with the broker's words.
pub(crate) fn retry(reason: FailureReason, message: &str) -> Verdict {
    Verdict::Retry { after: None, reason, message: (!message.is_empty()).then(|| message.to_owned()) }
}

fn verdicts(batch: &Batch<'_>, progress: &Progress, mut of_record: impl FnMut() -> Verdict) -> Vec<Verdict> {
    let of = |number: usize| match progress.notes.get(&number.to_string()) {
        Some(message) => Verdict::reject(FailureReason::TemplateError, message),
        None => of_record(),
    };
    (0..batch.items.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(names: serde_json::Value) -> Result<Vec<(String, u16)>, String> {
        let settings = Settings([("servers".to_owned(), names)].into_iter().collect());
        let servers = servers(&settings, "servers", 4_222).map_err(|error| error.to_string())?;
        Ok(servers.into_iter().map(|server| (server.host, server.port)).collect())
    }

    #[test]
    fn servers_are_hosts_with_or_without_a_port() {
        let names = json!(["a.example.com", " b:9 ", "[::1]:7", "[2001:db8::1]", "2001:db8::2", "10.0.0.1:1"]);
        let expect = [
            ("a.example.com", 4_222),
            ("b", 9),
            ("::1", 7),
            ("2001:db8::1", 4_222),
            ("2001:db8::2", 4_222),
            ("10.0.0.1", 1),
        ];
        assert_eq!(read(names).unwrap(), expect.map(|(host, port)| (host.to_owned(), port)));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for names in [
            json!([]),
            json!([""]),
            json!(["nats://a:1"]),
            json!(["a:0"]),
            json!(["a:b"]),
            json!(["u@a"]),
            json!(["a/b"]),
            json!(["a b"]),
        ] {
            assert!(read(names.clone()).is_err(), "{names}");
        }
    }
}
