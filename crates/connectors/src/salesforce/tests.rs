//! What the fixture cannot say: exchanges of several calls, held against the simulator, which is asked without a socket.

mod people;
mod setup;
mod trust;

use std::collections::{BTreeMap, BTreeSet};

use domain::connector::{Batch, Call, HttpCall, Item, Means, Outlet, Progress, Reply, Step, Token};
use domain::identity::{Identifier, Profile, Stamped, Trace};
use domain::{AppspaceId, DeliveryId, Event, Reading, Settings, SubjectId, Timestamp, Verdict};
use serde_json::{Map, Value, json};
use url::{Position, Url};
use vendors::salesforce::{FieldDef, Kind};
use vendors::{Book, Request, Vendor as _};

use super::fields::COLUMNS;
use super::*;
use crate::kit::{NOW, described, event, numbered, open};

/// An organisation, what the engine keeps, and the answers that get lost.
struct World {
    org: vendors::salesforce::Salesforce,
    book: Book,
    bindings: BTreeMap<String, String>,
    settings: Map<String, Value>,
    token: Option<Token>,
    /// Every call that was made, as method and path.
    calls: Vec<String>,
    /// The numbers of the calls whose answer is lost.
    lost: BTreeSet<usize>,
    /// The same of those that Salesforce takes its time over: they have an effect only when they arrive.
    slow: BTreeSet<usize>,
    under_way: Vec<Request>,
    now: Timestamp,
    pause: Option<std::time::Duration>,
}

impl World {
    /// With our fields, and a destination with these settings besides the login.
    fn new(settings: &Value) -> Self {
        let mut org = vendors::salesforce::Salesforce::new().with_key("Lead", "Afterclick_Key__c");
        for column in &COLUMNS {
            let kind = match column.kind {
                super::fields::Kind::Time => Kind::DateTime,
                super::fields::Kind::Money => Kind::Currency,
                _ => Kind::Text(255),
            };
            org.fields.get_mut("Lead").unwrap().insert(column.name.to_owned(), FieldDef::new(kind));
        }
        Self::of(org, settings)
    }

    fn of(org: vendors::salesforce::Salesforce, settings: &Value) -> Self {
        let mut all = json!({
            "host": "http://salesforce.test", "client_id": "consumer-key", "client_secret": "consumer-secret",
        });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        Self {
            org,
            book: Book::default(),
            bindings: BTreeMap::new(),
            settings: all.as_object().unwrap().clone(),
            token: None,
            calls: Vec::new(),
            lost: BTreeSet::new(),
            slow: BTreeSet::new(),
            under_way: Vec::new(),
            now: NOW,
            pause: None,
        }
    }

    fn outlet(&self) -> Box<dyn Outlet> {
        open(&Salesforce, &Settings(self.settings.clone()))
    }

    /// Makes a call; None if the answer is lost.
    fn ask(&mut self, call: &HttpCall) -> Option<Reply> {
        let url = Url::parse(&call.url).unwrap();
        let target = url[Position::BeforePath..].to_owned();
        let mut request = Request::new(call.method, &target, call.body.clone()).with("host", "salesforce.test");
        for (name, value) in &call.headers {
            request = request.with(name, value);
        }
        let number = self.calls.len();
        self.calls.push(format!(
            "{} {}",
            call.method,
            url.path().trim_start_matches("/services/").trim_start_matches("data/v66.0/")
        ));
        if self.slow.contains(&number) {
            self.under_way.push(request);
            return None;
        }
        let answer = self.org.answer(&request, &mut self.book);
        let headers = answer.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let reply = Reply { status: answer.status, code: None, headers, body: answer.body, received_at: NOW };
        (!self.lost.contains(&number)).then_some(reply)
    }

    /// Salesforce comes to the end of what it took its time over.
    fn arrive(&mut self) {
        for request in std::mem::take(&mut self.under_way) {
            self.org.answer(&request, &mut self.book);
        }
    }

    fn log_in(&mut self, outlet: &dyn Outlet) {
        let reply = self.ask(&outlet.authorize(NOW).unwrap()).unwrap();
        self.token = Some(outlet.token(&reply).unwrap());
    }

    /// One exchange about these people, as the engine has it: what is bound is kept before the next call is made. Empty if
    /// an answer was lost.
    fn deliver(&mut self, profiles: &[Profile]) -> Vec<String> {
        let outlet = self.outlet();
        let readings: Vec<_> =
            profiles.iter().map(|profile| Reading::new("tolinku".to_owned()).about(Some(profile.clone()))).collect();
        let events: Vec<_> =
            (1..=profiles.len()).map(|number| numbered(event("install.tracked"), number as u128)).collect();
        let items: Vec<Item<'_>> = events.iter().zip(&readings).map(|(event, reading)| item(event, reading)).collect();
        for _ in 0..2 {
            if self.token.is_none() {
                self.log_in(outlet.as_ref());
            }
            let token = self.token.clone();
            let batch = Batch { items: &items, now: self.now, token: token.as_ref(), digest: None };
            let known = outlet.subjects(&batch);
            let bound = self.bindings.clone().into_iter().filter(|(subject, _)| known.contains(subject)).collect();
            let mut progress = Progress::with_bindings(bound);
            let mut step = outlet.prepare(&batch, &mut progress);
            loop {
                self.bindings.extend(progress.take_new_bindings());
                let Step::Send(Call::Http(call)) = &step else { break };
                let Some(reply) = self.ask(call) else { return Vec::new() };
                progress.replies += 1;
                step = outlet.advance(&batch, &mut progress, &reply);
                self.pause = progress.pause();
            }
            if !matches!(step, Step::Reauthorize { .. }) {
                return described(&step);
            }
            self.token = None;
        }
        panic!("the second token was refused too");
    }

    /// The calls since the last time this was asked, those for tokens left out.
    fn calls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.calls).into_iter().filter(|call| !call.ends_with("oauth2/token")).collect()
    }

    fn leads(&self) -> Vec<Map<String, Value>> {
        self.org.records("Lead")
    }
}

fn item<'a>(event: &'a Event, reading: &'a Reading) -> Item<'a> {
    Item { event, delivery: DeliveryId { event: event.id, ordinal: 0 }, attempt: 1, reading }
}

/// Somebody with these identifiers who has installed; the first one gives the subject.
fn person(identifiers: &[&str]) -> Profile {
    let identifiers: Vec<Identifier> = identifiers.iter().map(|text| text.parse().unwrap()).collect();
    let trace = Trace { installed_at: Some(NOW), ..Trace::default() };
    let subject = SubjectId::born(AppspaceId::mint(NOW, 1), &identifiers[0], 0);
    Profile {
        subject,
        absorbed: BTreeSet::new(),
        lost: BTreeSet::new(),
        identifiers: identifiers.into_iter().collect(),
        trace,
    }
}

/// The same person, of whom this trait is known.
fn with(mut profile: Profile, name: &str, value: &str) -> Profile {
    profile.trace.traits.insert(name.to_owned(), Stamped { at: NOW, tie: 1, value: json!(value) });
    profile
}

fn converted(mut profile: Profile) -> Profile {
    profile.trace.converted_at = Some(Timestamp::from_secs(NOW.as_secs() + 1_080));
    profile
}

/// One who turned out to be all of these.
fn absorbing(mut profile: Profile, others: &[&Profile]) -> Profile {
    profile.absorbed = others.iter().map(|other| other.subject).collect();
    profile
}

/// The fields of a record that have these names.
fn of<const N: usize>(record: &Map<String, Value>, names: [&str; N]) -> [String; N] {
    names.map(|name| record.get(name).and_then(Value::as_str).unwrap_or("-").to_owned())
}
