//! A destination, a company that is simulated, and what referrals make of people.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::connector::{Batch, HttpCall, Item, Outlet, Reply};
use domain::identity::Profile;
use domain::{Settings, Timestamp};
use serde_json::{Value, json};
use vendors::pipedrive::{Entity, Pipedrive as Company, Record};
use vendors::{Answer, Book, Request, Vendor as _};

use super::super::Pipedrive;
use super::super::fields::{DEAL_OURS, PERSON_OURS};
use crate::crm::trial::{Answers, answer, converted, exchange, with_items};
use crate::kit::{NOW, answered, asked, described, open};

pub(super) const ADA: &str = "ada@example.org";

/// A destination at work: what it has bound so far, and the company at the other end.
pub(super) struct Trial {
    pub(super) company: Company,
    pub(super) book: Book,
    pub(super) bound: BTreeMap<String, String>,
    /// The calls of the last delivery: method and path.
    pub(super) calls: Vec<String>,
    /// The same with their bodies.
    pub(super) sent: Vec<(String, Value)>,
    /// All calls so far, whole.
    pub(super) all: Vec<HttpCall>,
    pub(super) answers: Answers,
    pub(super) now: Timestamp,
    /// Which resend it is, and which try.
    pub(super) ordinal: u16,
    /// For how long the headers of the last delivery asked to be left alone.
    pub(super) pause: Option<Duration>,
    outlet: Box<dyn Outlet>,
}

impl Trial {
    /// With these settings beside the token, at a company that has the fields.
    pub(super) fn new(settings: &Value) -> Self {
        let mut trial = Self::bare(settings);
        for (entity, all) in [(Entity::Person, PERSON_OURS), (Entity::Deal, DEAL_OURS)] {
            trial.company.add_field(entity, "Afterclick key", "varchar", &[]);
            for ours in all.iter().filter(|ours| ours.is_custom()) {
                trial.company.add_field(entity, ours.name, ours.kind(), &[]);
            }
        }
        trial
    }

    /// The same at a company that has no fields of anybody's own.
    pub(super) fn bare(settings: &Value) -> Self {
        Self {
            company: Company::new().without_limit(),
            book: Book::default(),
            bound: BTreeMap::new(),
            calls: Vec::new(),
            sent: Vec::new(),
            all: Vec::new(),
            answers: Answers::new(),
            now: NOW,
            ordinal: 0,
            pause: None,
            outlet: outlet(settings),
        }
    }

    /// With other settings, and all that was kept.
    pub(super) fn reopened(self, settings: &Value) -> Self {
        Self { outlet: outlet(settings), ..self }
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    pub(super) fn at(&self) -> Duration {
        self.now.since(NOW)
    }

    /// Delivers one event about each of these people, in one batch.
    pub(super) fn deliver(&mut self, people: &[&Profile]) -> Vec<String> {
        self.calls.clear();
        self.sent.clear();
        with_items(people, self.ordinal, |items| self.exchange(items))
    }

    /// The verdict on the only one.
    pub(super) fn deliver_one(&mut self, profile: &Profile) -> String {
        self.deliver(&[profile]).remove(0)
    }

    fn exchange(&mut self, items: &[Item<'_>]) -> Vec<String> {
        let batch = Batch { items, now: self.now, token: None, digest: None };
        let ask = |call: &HttpCall, number| {
            self.all.push(call.clone());
            let request = asked(call).at(self.now.since(NOW));
            let short = format!("{} {}", call.method, request.target.trim_start_matches("/api/v2/"));
            self.calls.push(short.split('?').next().unwrap().to_owned());
            self.sent.push((short, serde_json::from_slice(&call.body).unwrap_or_default()));
            let instead = self.answers.remove(&number);
            let answer = answer(&mut self.company, &mut self.book, &request, instead);
            Some(Reply { received_at: self.now, ..answered(answer) })
        };
        let (step, progress) = exchange(self.outlet.as_ref(), &batch, &mut self.bound, ask).unwrap();
        self.pause = progress.pause();
        described(&step)
    }

    /// What somebody else is answered who asks the company.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::new(method, path, body.to_string()).with("x-api-token", "api-token").at(self.at());
        self.company.answer(&request, &mut self.book)
    }

    /// The only person there is.
    pub(super) fn only_person(&self) -> Record {
        let people: Vec<_> = self.company.people().collect();
        assert_eq!(people.len(), 1, "{people:#?}");
        people[0].clone()
    }

    /// The only deal there is.
    pub(super) fn only_deal(&self) -> Record {
        let deals: Vec<_> = self.company.deals().collect();
        assert_eq!(deals.len(), 1, "{deals:#?}");
        deals[0].clone()
    }

    /// What a field of the only person says.
    pub(super) fn says(&self, name: &str) -> Value {
        self.company.value(Entity::Person, &self.only_person(), name).clone()
    }

    /// The body of the last call.
    pub(super) fn last_body(&self) -> &Value {
        &self.sent.last().unwrap().1
    }
}

/// A destination with these settings beside the token.
pub(super) fn outlet(settings: &Value) -> Box<dyn Outlet> {
    let mut all = json!({"api_token": "api-token", "domain": "acme"});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    open(&Pipedrive, &Settings(all.as_object().unwrap().clone()))
}

/// The same person, who came through a referral.
pub(super) fn referred(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    profile.trace.referred_at = Some(NOW);
    profile
}

/// The same person after the referral was completed.
pub(super) fn completed(profile: &Profile) -> Profile {
    let mut profile = converted(&referred(profile));
    profile.trace.completed_at = profile.trace.converted_at;
    profile
}
