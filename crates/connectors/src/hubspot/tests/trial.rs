//! A destination and an account that is simulated.

use std::collections::BTreeMap;

use domain::Settings;
use domain::connector::{Batch, HttpCall, Item, Outlet, Step};
use domain::identity::Profile;
use serde_json::Value;
use vendors::Book;
use vendors::hubspot::HubSpot as Account;

use super::super::HubSpot;
use super::super::properties::{OURS, Of};
use crate::crm::trial::{Answers, answer, exchange, with_items};
use crate::kit::{NOW, answered, asked, described, fixture, open};

/// A destination at work: what it has bound so far, and the account at the other end.
pub(super) struct Trial {
    pub(super) account: Account,
    pub(super) book: Book,
    pub(super) bound: BTreeMap<String, String>,
    /// The paths of the calls of the last exchange.
    pub(super) calls: Vec<String>,
    /// The bodies of all calls.
    pub(super) sent: Vec<Value>,
    /// All calls as they were sent.
    pub(super) all: Vec<HttpCall>,
    pub(super) answers: Answers,
    outlet: Box<dyn Outlet>,
}

impl Trial {
    /// With the settings of the fixture and these.
    pub(super) fn new(settings: &Value) -> Self {
        let all = with_defaults(settings);
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
            all: Vec::new(),
            answers: Answers::new(),
            outlet: open(&HubSpot, &all),
        }
    }

    /// Delivers one event about each of these people, in one batch.
    pub(super) fn deliver(&mut self, people: &[&Profile]) -> Vec<String> {
        self.calls.clear();
        with_items(people, 0, |items| self.exchange(items))
    }

    /// The verdict on the only one.
    pub(super) fn deliver_one(&mut self, profile: &Profile) -> String {
        self.deliver(&[profile]).remove(0)
    }

    fn exchange(&mut self, items: &[Item<'_>]) -> Vec<String> {
        let batch = Batch { items, now: NOW, token: None, digest: None };
        let ask = |call: &HttpCall, number| {
            let request = asked(call);
            self.calls.push(request.target.trim_start_matches("/crm/objects/2026-09/contacts/").to_owned());
            self.sent.push(serde_json::from_slice(&call.body).unwrap());
            self.all.push(call.clone());
            let instead = self.answers.remove(&number);
            Some(answered(answer(&mut self.account, &mut self.book, &request, instead)))
        };
        let (step, _) = exchange(self.outlet.as_ref(), &batch, &mut self.bound, ask).unwrap();
        match step {
            Step::Split { .. } if items.len() > 1 => {
                let (left, right) = items.split_at(items.len() / 2);
                [self.exchange(left), self.exchange(right)].concat()
            }
            Step::Split { alone } => described(&Step::Settle(vec![alone])),
            step => described(&step),
        }
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

/// The settings of the fixture with the token that the account takes, and these.
pub(super) fn with_defaults(settings: &Value) -> Settings {
    let mut all = fixture("hubspot").default;
    all.0.insert("access_token".to_owned(), "access-token".into());
    all.0.extend(settings.as_object().unwrap().clone());
    all
}
