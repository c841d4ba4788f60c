//! The batches that a connector would send, made beforehand, for a client that does nothing but send them.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bench::requests::{self, EVENT_TYPE};
use bytes::Bytes;
use domain::connector::{Batch, Call, HttpCall, Item, Outlet, Progress, REPLY_BYTES_DEFAULT, Step};
use domain::event::{DedupeKey, TimeMark};
use domain::{AppspaceId, DeliveryId, Event, EventId, Reading, Settings, SourceId};

/// Writes the calls for `count` numbered bodies from `first` on, `items` to a batch, to a file.
pub(crate) fn write(
    path: &Path,
    connector: &str,
    settings: &str,
    first: u64,
    count: usize,
    items: usize,
) -> Result<()> {
    let connector = connectors::by_name(connector).context("no such connector")?;
    let settings: Settings = toml::from_str(settings)?;
    connector.manifest().check(&settings)?;
    let outlet = connector.open(&settings)?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for begin in (0..count).step_by(items) {
        let numbers = (begin..count.min(begin + items)).map(|index| first + index as u64);
        let call = render(&*outlet, &numbers.map(event).collect::<Vec<_>>())?;
        let head = serde_json::to_vec(&(call.method, &call.url, &call.headers))?;
        for part in [&head[..], &call.body[..]] {
            file.write_all(&u32::try_from(part.len())?.to_be_bytes())?;
            file.write_all(part)?;
        }
    }
    Ok(file.flush()?)
}

/// Reads what [`write()`] wrote.
pub(crate) fn read(path: &Path) -> Result<Vec<HttpCall>> {
    let mut file = std::io::BufReader::new(std::fs::File::open(path)?);
    let mut calls = Vec::new();
    loop {
        let Some(head) = part(&mut file)? else { return Ok(calls) };
        let body = part(&mut file)?.context("the file ends in the middle of a call")?.into();
        let (method, url, headers): (String, String, Vec<(String, String)>) = serde_json::from_slice(&head)?;
        if method != "POST" {
            bail!("a batch is sent with {method}");
        }
        calls.push(HttpCall { method: "POST", url, headers, body, reply_bytes_max: REPLY_BYTES_DEFAULT });
    }
}

fn part(file: &mut impl std::io::Read) -> Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    if file.read(&mut len[..1])? == 0 {
        return Ok(None);
    }
    file.read_exact(&mut len[1..])?;
    let mut part = Vec::new();
    file.take(u32::from_be_bytes(len).into()).read_to_end(&mut part)?;
    Ok(Some(part))
}

fn render(outlet: &dyn Outlet, events: &[Event]) -> Result<HttpCall> {
    let readings: Vec<_> = events.iter().map(|_| Reading::new("tolinku".to_owned())).collect();
    let item =
        |(event, reading)| Item { event, delivery: DeliveryId { event: event.id, ordinal: 0 }, attempt: 1, reading };
    let items: Vec<_> = events.iter().zip(&readings).map(item).collect();
    let batch = Batch { items: &items, now: requests::now(), token: None, digest: None };
    match outlet.prepare(&batch, &mut Progress::default()) {
        Step::Send(Call::Http(call)) => Ok(call),
        step => bail!("the connector does not begin with a request: {step:?}"),
    }
}

fn event(sequence: u64) -> Event {
    let now = requests::now();
    let appspace = AppspaceId::mint(now, 1);
    let body = Bytes::from(requests::body(sequence, EVENT_TYPE, &now.to_string()));
    Event {
        id: EventId::mint(now, sequence.into()),
        appspace,
        source: SourceId::API,
        event_type: EVENT_TYPE.parse().expect("an ordinary type"),
        occurred_at: now,
        received_at: now,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, appspace, &body),
        body,
    }
}
