//! A destination, a company that is simulated, and people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::connector::{Batch, Call, HttpCall, Item, Outlet, Progress, Reply, Step};
use domain::identity::{Identifier, Profile, Stamped, Touch, Trace, Worth};
use domain::{AppspaceId, DeliveryId, Event, Reading, Settings, SubjectId, Timestamp};
use serde_json::{Value, json};
use vendors::pipedrive::{Entity, Pipedrive as Company, Record};
use vendors::{Answer, Book, Request, Vendor as _};

use super::super::Pipedrive;
use super::super::fields::{DEAL_OURS, PERSON_OURS};
use crate::kit::{NOW, Variant, described, event_with, numbered, open};

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
    /// What is answered in place of the company, by the number of the call in the delivery; with `true` after the company has done it.
    pub(super) answers: BTreeMap<usize, (Answer, bool)>,
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
        let mut all = json!({"api_token": "api-token", "domain": "acme"});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        Self {
            company: Company::new().without_limit(),
            book: Book::default(),
            bound: BTreeMap::new(),
            calls: Vec::new(),
            sent: Vec::new(),
            answers: BTreeMap::new(),
            now: NOW,
            ordinal: 0,
            pause: None,
            outlet: open(&Pipedrive, &Settings(all.as_object().unwrap().clone())),
        }
    }

    /// With other settings, and all that was kept.
    pub(super) fn reopened(self, settings: &Value) -> Self {
        Self { outlet: Self::bare(settings).outlet, ..self }
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    pub(super) fn at(&self) -> Duration {
        self.now.since(NOW)
    }

    /// Delivers one event about each of these people, in one batch.
    pub(super) fn deliver(&mut self, people: &[&Profile]) -> Vec<String> {
        let full = event_with("install.tracked", Variant::Full);
        let events: Vec<Event> = (1..).zip(people).map(|(n, _)| numbered(full.clone(), n)).collect();
        let readings: Vec<_> =
            people.iter().map(|profile| Reading::new("tolinku".to_owned()).about(Some((*profile).clone()))).collect();
        let item = |(event, reading)| {
            let event: &Event = event;
            Item { event, delivery: DeliveryId { event: event.id, ordinal: self.ordinal }, attempt: 1, reading }
        };
        let items: Vec<_> = events.iter().zip(&readings).map(item).collect();
        self.calls.clear();
        self.sent.clear();
        self.exchange(&items)
    }

    /// The verdict on the only one.
    pub(super) fn deliver_one(&mut self, profile: &Profile) -> String {
        self.deliver(&[profile]).remove(0)
    }

    fn exchange(&mut self, items: &[Item<'_>]) -> Vec<String> {
        let batch = Batch { items, now: self.now, token: None, digest: None };
        let subjects = self.outlet.subjects(&batch);
        let known = self.bound.iter().filter(|(subject, _)| subjects.contains(subject));
        let mut progress = Progress::with_bindings(known.map(|(key, id)| (key.clone(), id.clone())).collect());
        let mut step = self.outlet.prepare(&batch, &mut progress);
        loop {
            self.bound.extend(progress.take_new_bindings());
            let Step::Send(Call::Http(call)) = step else {
                self.pause = progress.pause();
                return described(&step);
            };
            assert!(progress.replies < 8, "the engine gives up: {:?}", self.calls);
            let reply = self.answer(&call, progress.replies as usize);
            progress.replies += 1;
            step = self.outlet.advance(&batch, &mut progress, &reply);
        }
    }

    fn answer(&mut self, call: &HttpCall, number: usize) -> Reply {
        let path = call.url.strip_prefix("https://acme.pipedrive.com").unwrap();
        let short = format!("{} {}", call.method, path.trim_start_matches("/api/v2/"));
        self.calls.push(short.split('?').next().unwrap().to_owned());
        self.sent.push((short, serde_json::from_slice(&call.body).unwrap_or_default()));
        let mut request = Request::new(call.method, path, call.body.clone()).at(self.at());
        for (name, value) in &call.headers {
            request = request.with(name, value);
        }
        let answer = match self.answers.remove(&number) {
            Some((answer, is_after)) => {
                if is_after {
                    self.company.answer(&request, &mut self.book);
                }
                answer
            }
            None => self.company.answer(&request, &mut self.book),
        };
        let headers = answer.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Reply { status: answer.status, code: None, headers, body: answer.body, received_at: self.now }
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

/// A person who installed the app, by these identifiers; the first one names the subject.
pub(super) fn person(identifiers: &[&str]) -> Profile {
    let identifiers: Vec<Identifier> = identifiers.iter().map(|text| text.parse().unwrap()).collect();
    let subject = SubjectId::born(AppspaceId::mint(NOW, 1), &identifiers[0], 0);
    let touch = Touch {
        worth: Worth::Certain,
        campaign: Some("spring-sale".to_owned()),
        channel: Some("instagram".to_owned()),
        platform: Some("ios".to_owned()),
        token: Some("summer-promo".to_owned()),
        prefix: Some("go".to_owned()),
        ..Touch::default()
    };
    let touch = Some(Stamped { at: NOW, tie: 0, value: touch });
    let trace = Trace { first_touch: touch.clone(), last_touch: touch, installed_at: Some(NOW), ..Trace::default() };
    Profile {
        subject,
        absorbed: BTreeSet::new(),
        lost: BTreeSet::new(),
        identifiers: identifiers.into_iter().collect(),
        trace,
    }
}

/// The same person with an identifier more.
pub(super) fn knowing(profile: &Profile, identifier: &str) -> Profile {
    let mut profile = profile.clone();
    profile.identifiers.insert(identifier.parse().unwrap());
    profile
}

/// The same person, of whom something was said.
pub(super) fn said(profile: &Profile, name: &str, value: &str) -> Profile {
    let mut profile = profile.clone();
    profile.trace.traits.insert(name.to_owned(), Stamped { at: NOW, tie: 0, value: json!(value) });
    profile
}

/// The same person, who came through a referral.
pub(super) fn referred(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    profile.trace.referred_at = Some(NOW);
    profile
}

/// The same person after the referral was completed.
pub(super) fn completed(profile: &Profile) -> Profile {
    let mut profile = referred(profile);
    let at = Timestamp::from_millis(NOW.as_millis() + 18 * 60_000);
    (profile.trace.completed_at, profile.trace.converted_at) = (Some(at), Some(at));
    profile
}

/// A person who turned out to be these others too.
pub(super) fn absorbing(profile: &Profile, others: &[&Profile]) -> Profile {
    let mut profile = profile.clone();
    for other in others {
        profile.absorbed.insert(other.subject);
        profile.identifiers.extend(other.identifiers.iter().cloned());
    }
    profile
}
