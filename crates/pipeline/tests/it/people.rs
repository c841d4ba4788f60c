//! A connector for a vendor that keeps records of people, and what a test asks of who is who.

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Reply,
    SettingsError, Step,
};
use domain::identity::{Identifier, Profile};
use domain::verdict::{FailureReason, Verdict};
use domain::{DestinationId, EventId, Settings};
use pipeline::Plugins;
use pipeline::identity::{Identified, IdentifyError, IdentifyRequest};
use serde_json::{Value, json};

use crate::engine::{Engine, Sent};
use crate::house::{House, plugins};

/// Sends the profile of whoever the event is about, one at a time.
struct People;

static MANIFEST: Manifest = Manifest {
    name: "people",
    title: "People",
    summary: "Keeps records of people.",
    category: Category::Crm,
    notes: "",
    fields: &[
        Field::optional("reissues", FieldKind::Switch, "whether what becomes known late is wanted"),
        Field::optional("notes", FieldKind::Switch, "whether it notes something under the address"),
    ],
    events: &["install.tracked"],
    batch: BatchLimits::ONE,
    rate: None,
    provisions: false,
    recognises: None,
};

struct Desk {
    reissues: bool,
    notes: bool,
}

impl Connector for People {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let is_on = |name: &str| settings.0.get(name) == Some(&Value::Bool(true));
        Ok(Box::new(Desk { reissues: is_on("reissues"), notes: is_on("notes") }))
    }
}

impl Outlet for Desk {
    fn subjects(&self, batch: &Batch<'_>) -> Vec<String> {
        let people = || batch.items.iter().filter_map(Item::profile);
        let notes = people().filter(|_| self.notes).flat_map(|one| [Some("account"), one.email()]).flatten();
        people().map(|profile| profile.subject.to_string()).chain(notes.map(|of| format!("note of {of}"))).collect()
    }

    fn reissues(&self) -> bool {
        self.reissues
    }

    fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
        let item = batch.items[0];
        let person = item.profile().map(Profile::value);
        let body = json!({ "type": item.event.event_type, "person": person }).to_string();
        let mut call = HttpCall::post_json("https://people.example.com/records", body);
        call.headers.push(("webhook-id".to_owned(), item.event.id.to_string()));
        Step::Send(Call::Http(call))
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        let verdict = match reply.status {
            200..300 => Verdict::Delivered,
            400 => Verdict::Reject { reason: FailureReason::Refused, message: None },
            _ => Verdict::retry(FailureReason::Refused),
        };
        if reply.is_success() {
            for subject in self.subjects(batch) {
                progress.bind(subject, "remote-7");
            }
        }
        Step::settle_all(batch, &verdict)
    }
}

/// The real ones and this one.
pub(crate) fn with_people() -> Plugins {
    let mut all: Vec<&'static dyn Connector> = connectors::ALL.to_vec();
    all.push(&People);
    Plugins { connectors: all.leak(), ..plugins() }
}

/// A destination that keeps records of people and wants these events.
pub(crate) async fn people(engine: &Engine, name: &str, events: &[&str], reissues: bool) -> DestinationId {
    let mut destination = engine.house.destination(name, events);
    destination.connector = String::from("people");
    destination.settings = serde_json::from_value(json!({ "reissues": reissues })).unwrap();
    engine.house.put(destination).await
}

/// The types of the events that were sent to a destination, each with what was said of the person.
pub(crate) fn told(engine: &Engine, to: DestinationId) -> Vec<(String, Value)> {
    let read = |sent: &Sent| {
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        (body["type"].as_str().unwrap().to_owned(), body["person"].clone())
    };
    engine.wires.to(to).iter().map(read).collect()
}

pub(crate) fn id(text: &str) -> Identifier {
    text.parse().unwrap()
}

impl House {
    /// Lets an event of this type come in.
    pub(crate) async fn say(&self, event_type: &str, data: &Value) -> EventId {
        let body = json!({ "event": event_type, "timestamp": self.clock.now(), "data": data }).to_string();
        self.send(&body).await.unwrap().id
    }

    /// Says that these are one.
    pub(crate) async fn identify(&self, identifiers: &[&str], traits: Value) -> Result<Identified, IdentifyError> {
        let identifiers = identifiers.iter().map(|text| id(text)).collect();
        let request = IdentifyRequest { identifiers, traits: traits.as_object().cloned().unwrap_or_default() };
        self.identity.identify(self.appspace(), &request).await
    }

    /// What is known of somebody.
    pub(crate) async fn who(&self, identifier: &str) -> Option<Profile> {
        self.identity.profile(self.appspace(), &id(identifier)).await.unwrap()
    }
}
