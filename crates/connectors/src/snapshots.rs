//! What every connector sends, as it would go over the wire: for each type of the catalogue with the default settings of
//! `fixtures/<vendor>.json`, and for one event with each of its other settings.

use std::collections::BTreeMap;

use domain::connector::{Batch, Call, HttpCall, Item, Step};
use domain::event::{DedupeKey, TimeMark};
use domain::{AppspaceId, DeliveryId, Event, EventId, Settings, SourceId, Timestamp, catalogue};
use serde::Deserialize;

use super::*;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_772_634_728_441);

#[derive(Deserialize)]
pub(crate) struct Fixture {
    pub(crate) default: Settings,
    pub(crate) cases: BTreeMap<String, Settings>,
}

pub(crate) fn fixture(name: &str) -> Fixture {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The catalogue's sample of a type.
pub(crate) fn event(event_type: &str) -> Event {
    let appspace = AppspaceId::mint(NOW, 1);
    let body = catalogue::sample(event_type, NOW, 1).unwrap();
    Event {
        id: EventId::mint(NOW, 42),
        appspace,
        source: SourceId::API,
        event_type: event_type.parse().unwrap(),
        occurred_at: NOW,
        received_at: NOW,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, appspace, &body),
        body: body.into(),
    }
}

/// The first step for one event.
pub(crate) fn prepare(connector: &dyn Connector, event: &Event, settings: &Settings) -> Step {
    connector.manifest().check(settings).unwrap();
    connector.validate(settings).unwrap();
    let items = [Item { event, delivery: DeliveryId { event: event.id, ordinal: 0 }, attempt: 1 }];
    connector.prepare(&Batch { items: &items, now: NOW }, settings)
}

pub(crate) fn request(connector: &dyn Connector, event: &Event, settings: &Settings) -> HttpCall {
    match prepare(connector, event, settings) {
        Step::Send(Call::Http(call)) => call,
        Step::Settle(verdicts) => panic!("settled at once: {verdicts:?}"),
    }
}

fn as_text(call: &HttpCall) -> String {
    let version = format!("Afterclick/{}", env!("CARGO_PKG_VERSION"));
    let headers: Vec<_> = call.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let body = String::from_utf8_lossy(&call.body);
    let text = format!("{} {}\n{}\n\n{body}", call.method, call.url, headers.join("\n"));
    text.replace(&version, "Afterclick/<version>")
}

#[test]
fn what_is_sent_is_what_was_sent() {
    let mut insta = insta::Settings::clone_current();
    insta.set_snapshot_path("../snapshots");
    insta.set_prepend_module_to_snapshot(false);
    insta.set_omit_expression(true);
    insta.bind(|| {
        for connector in ALL {
            let name = connector.manifest().name;
            let fixture = fixture(name);
            for kind in catalogue::ALL {
                let call = request(*connector, &event(kind.event_type), &fixture.default);
                insta::assert_snapshot!(format!("{name}-{}", kind.event_type), as_text(&call));
            }
            for (case, settings) in &fixture.cases {
                let call = request(*connector, &event("link.clicked"), settings);
                insta::assert_snapshot!(format!("{name}-with-{case}"), as_text(&call));
            }
        }
    });
}

#[test]
fn connectors_are_found_by_name() {
    for connector in ALL {
        assert_eq!(by_name(connector.manifest().name).unwrap().manifest().name, connector.manifest().name);
    }
    assert!(by_name("nope").is_none());
}
