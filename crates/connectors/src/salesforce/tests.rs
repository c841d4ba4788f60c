//! What the fixture cannot say: exchanges of several calls, held against the simulator, which is asked without a socket.

mod addresses;
mod conversions;
mod keys;
mod merging;
mod people;
mod refusals;
mod sent;
mod sessions;
mod setup;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::connector::{Batch, HttpCall, Means, Outlet, Reply, Step, Token};
use domain::identity::{Profile, Stamped};
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value, json};
use vendors::salesforce::{FieldDef, Kind};
use vendors::{Book, Request, Vendor as _};

use super::fields::COLUMNS;
use super::*;
use crate::crm::fingerprint;
use crate::crm::trial::{absorbing, converted, exchange, person, said, with_items};
use crate::kit::{NOW, answered, asked, described, open};

/// The organisation of the simulator.
const ORG: &str = "00D5g00000AaBbC";
/// Records written by their keys, and by their ids.
const UPSERT: &str = "PATCH composite/sobjects/Lead/Afterclick_Key__c";
const CHANGE: &str = "PATCH composite/sobjects";

/// An organisation, what the engine keeps, and the answers that get lost.
struct World {
    org: vendors::salesforce::Salesforce,
    book: Book,
    bindings: BTreeMap<String, String>,
    settings: Map<String, Value>,
    token: Option<Token>,
    /// Every call that was made, as method and path.
    calls: Vec<String>,
    sent: Vec<HttpCall>,
    /// The numbers of the calls whose answer is lost.
    lost: BTreeSet<usize>,
    /// The same of those that Salesforce takes its time over: they have an effect only when they arrive.
    slow: BTreeSet<usize>,
    under_way: Vec<Request>,
    now: Timestamp,
    pause: Option<Duration>,
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
            sent: Vec::new(),
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
        let request = asked(call).with("host", "salesforce.test");
        let path = request.target.split('?').next().unwrap();
        let short = path.trim_start_matches("/services/").trim_start_matches("data/v66.0/");
        self.sent.push(call.clone());
        let number = self.calls.len();
        self.calls.push(format!("{} {short}", call.method));
        if self.slow.contains(&number) {
            self.under_way.push(request);
            return None;
        }
        let answer = self.org.answer(&request, &mut self.book);
        (!self.lost.contains(&number)).then(|| answered(answer))
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

    /// One exchange about these people, with a new token if the one that there is has ended. Empty if an answer was lost.
    fn deliver(&mut self, people: &[Profile]) -> Vec<String> {
        with_items(people, 0, |items| {
            for _ in 0..2 {
                let outlet = self.outlet();
                if self.token.is_none() {
                    self.log_in(outlet.as_ref());
                }
                let token = self.token.clone();
                let batch = Batch { items, now: self.now, token: token.as_ref(), digest: None };
                let mut bindings = std::mem::take(&mut self.bindings);
                let end = exchange(outlet.as_ref(), &batch, &mut bindings, |call, _| self.ask(call));
                self.bindings = bindings;
                let Some((step, progress)) = end else { return Vec::new() };
                self.pause = progress.pause();
                if !matches!(step, Step::Reauthorize { .. }) {
                    return described(&step);
                }
                self.token = None;
            }
            panic!("the second token was refused too");
        })
    }

    /// The calls since the last time this was asked, those for tokens left out.
    fn calls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.calls).into_iter().filter(|call| !call.ends_with("oauth2/token")).collect()
    }

    /// What is bound to a person, without where and with what.
    fn bound(&self, profile: &Profile) -> &str {
        self.bindings[&profile.subject.to_string()].split(' ').next().unwrap()
    }

    /// Binds something to a person, of the organisation whose ids begin like this.
    fn bind(&mut self, profile: &Profile, what: &str, org: &str) {
        self.bindings.insert(profile.subject.to_string(), format!("{what} {}", fingerprint(org)));
    }

    fn leads(&self) -> Vec<Map<String, Value>> {
        self.org.records("Lead")
    }
}

fn ada() -> Profile {
    said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace")
}

/// The fields of a record that have these names.
fn of<const N: usize>(record: &Map<String, Value>, names: [&str; N]) -> [String; N] {
    names.map(|name| record.get(name).and_then(Value::as_str).unwrap_or("-").to_owned())
}
