//! A destination, an account that is simulated, and people.

use std::collections::{BTreeMap, BTreeSet};

use domain::connector::{Batch, Call, Item, Outlet, Progress, Reply, Step};
use domain::identity::{Identifier, Profile, Stamped, Touch, Trace, Worth};
use domain::{AppspaceId, DeliveryId, Reading, Settings, SubjectId, Timestamp};
use serde_json::Value;
use vendors::hubspot::HubSpot as Account;
use vendors::{Answer, Book, Request, Vendor as _};

use super::super::HubSpot;
use super::super::properties::{OURS, Of};
use crate::kit::{NOW, Variant, described, event_with, fixture, numbered, open};

/// A destination at work: what it has bound so far, and the account at the other end.
pub(super) struct Trial {
    pub(super) account: Account,
    pub(super) book: Book,
    pub(super) bound: BTreeMap<String, String>,
    /// The paths of the calls of the last exchange.
    pub(super) calls: Vec<String>,
    /// The bodies of all calls.
    pub(super) sent: Vec<Value>,
    /// What is answered in place of the account, by the number of the call in the exchange; with `true` after the account has done it.
    pub(super) answers: BTreeMap<usize, (Answer, bool)>,
    outlet: Box<dyn Outlet>,
}

impl Trial {
    /// With the settings of the fixture and these.
    pub(super) fn new(settings: &Value) -> Self {
        let mut all: Settings = fixture("hubspot").default;
        all.0.insert("access_token".to_owned(), "access-token".into());
        all.0.extend(settings.as_object().unwrap().clone());
        let key = all.text("key_property").unwrap_or("afterclick_person_key").to_owned();
        let mut account = Account::new().with_unique_property(&key);
        for property in OURS {
            let kind = match property.of {
                Of::Text(_) => "string",
                Of::Time(_) => "datetime",
                Of::Number(_) => "number",
            };
            account = account.with_property(property.name, kind);
        }
        Self {
            account,
            book: Book::default(),
            bound: BTreeMap::new(),
            calls: Vec::new(),
            sent: Vec::new(),
            answers: BTreeMap::new(),
            outlet: open(&HubSpot, &all),
        }
    }

    /// Delivers one event about each of these people, in one batch.
    pub(super) fn deliver(&mut self, people: &[&Profile]) -> Vec<String> {
        let full = event_with("install.tracked", Variant::Full);
        let events: Vec<_> = (1..).zip(people).map(|(n, _)| numbered(full.clone(), n)).collect();
        let readings: Vec<_> =
            people.iter().map(|profile| Reading::new("tolinku".to_owned()).about(Some((*profile).clone()))).collect();
        let items: Vec<_> = events
            .iter()
            .zip(&readings)
            .map(|(event, reading)| Item {
                event,
                delivery: DeliveryId { event: event.id, ordinal: 0 },
                attempt: 1,
                reading,
            })
            .collect();
        self.calls.clear();
        self.exchange(&items)
    }

    /// The verdict on the only one.
    pub(super) fn deliver_one(&mut self, profile: &Profile) -> String {
        self.deliver(&[profile]).remove(0)
    }

    fn exchange(&mut self, items: &[Item<'_>]) -> Vec<String> {
        let batch = Batch { items, now: NOW, token: None, digest: None };
        let subjects = self.outlet.subjects(&batch);
        let known = self.bound.iter().filter(|(subject, _)| subjects.contains(subject));
        let mut progress = Progress::with_bindings(known.map(|(key, id)| (key.clone(), id.clone())).collect());
        let mut step = self.outlet.prepare(&batch, &mut progress);
        loop {
            self.bound.extend(progress.take_new_bindings());
            match step {
                Step::Send(Call::Http(call)) => {
                    assert!(progress.replies < 8, "the engine gives up: {:?}", self.calls);
                    let answer = self.answer(&call, progress.replies as usize);
                    progress.replies += 1;
                    step = self.outlet.advance(&batch, &mut progress, &answer);
                }
                Step::Split { .. } if items.len() > 1 => {
                    let (left, right) = items.split_at(items.len() / 2);
                    return [self.exchange(left), self.exchange(right)].concat();
                }
                Step::Split { alone } => return described(&Step::Settle(vec![alone])),
                step => return described(&step),
            }
        }
    }

    fn answer(&mut self, call: &domain::connector::HttpCall, number: usize) -> Reply {
        let path = call.url.strip_prefix("https://api.hubapi.com").unwrap();
        self.calls.push(path.trim_start_matches("/crm/objects/2026-09/contacts/").to_owned());
        self.sent.push(serde_json::from_slice(&call.body).unwrap());
        let mut request = Request::new(call.method, path, call.body.clone());
        for (name, value) in &call.headers {
            request = request.with(name, value);
        }
        let answer = match self.answers.remove(&number) {
            Some((answer, is_after)) => {
                if is_after {
                    self.account.answer(&request, &mut self.book);
                }
                answer
            }
            None => self.account.answer(&request, &mut self.book),
        };
        let headers = answer.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Reply { status: answer.status, code: None, headers, body: answer.body, received_at: NOW }
    }

    /// The contact that is bound of somebody.
    pub(super) fn id_of(&self, profile: &Profile) -> &str {
        self.bound[&profile.subject.to_string()].split(' ').next().unwrap()
    }

    /// The same account and what is bound, with these settings in place of those of before.
    pub(super) fn set(&mut self, settings: &Value) {
        let now = Self::new(settings);
        self.account.properties.extend(now.account.properties);
        self.outlet = now.outlet;
    }

    /// The only contact there is.
    pub(super) fn only_contact(&self) -> BTreeMap<String, String> {
        let contacts = self.account.contacts();
        assert_eq!(contacts.len(), 1, "{contacts:?}");
        contacts[0].properties.clone()
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

/// The same person after a conversion.
pub(super) fn converted(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    profile.trace.converted_at = Some(Timestamp::from_millis(NOW.as_millis() + 18 * 60_000));
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
