//! Salesforce's leads and contacts: tokens, collections, composites, duplicate rules, conversion, merging, and the setting up of
//! fields and permission sets.
//!
//! A collection is answered with 200 whatever became of its records. A field that nobody has made, or that the user may not see,
//! fails the whole call. A new custom field is seen by nobody until a permission set says so. A lead that was converted cannot be
//! written, nor can one be converted by writing its status. There is no `expires_in`.
//!
//! An item is a write to a record, its key the external id or else the record's own. It is in `stored` if it made a record, and
//! in `duplicates` if the record was there. What the organisation looks like in the end is told by [`Salesforce::records`].

mod composite;
mod convert;
mod oauth;
mod query;
mod rows;
mod schema;
mod setup;
mod soap;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

pub use self::schema::{FieldDef, Kind};
use self::words::Refusal;
use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::look::text;
use crate::request::Request;
use crate::simulator::Vendor;

/// An organisation, of whose app the client id is `consumer-key` and the secret `consumer-secret`, and of whose user
/// `afterclick@acme.example` [`private_key`](crate::private_key) is the key.
#[derive(Debug, Clone)]
pub struct Salesforce {
    pub client_id: String,
    pub client_secret: String,
    pub username: String,
    /// What a token answer names as the host to talk to; by default the one that was asked.
    pub instance_url: Option<String>,
    /// How long a session lasts.
    pub session: Duration,
    /// Calls in a day, and how many of them are used.
    pub api_limit: u64,
    pub api_used: u64,
    /// Which organisation it is.
    pub org_id: String,
    /// Every so many calls the answer is a 200 with nothing in it, whatever was done.
    pub hollow_every: Option<u64>,
    /// Records that the user sees and may not write.
    pub private: BTreeSet<String>,
    /// Who cannot be given a record any more; besides them there is nobody but the user.
    pub inactive_owners: Vec<String>,
    pub record_types: Vec<String>,
    /// The user may convert leads.
    pub can_convert: bool,
    /// What is done with a new lead or contact whose address somebody has already.
    pub duplicate_rule: Option<DuplicateRule>,
    pub validation: Option<Rule>,
    /// The values of `LeadSource`, if they are restricted.
    pub lead_sources: Option<Vec<String>>,
    /// Fields by object and name.
    pub fields: BTreeMap<String, BTreeMap<String, FieldDef>>,
    rows: BTreeMap<String, Row>,
    merges: Vec<(String, String)>,
    conversions: Vec<String>,
    sessions: Vec<(String, Duration)>,
    issued: usize,
    answered: u64,
    day: Duration,
    last_id: u64,
}

/// A rule of an organisation's own: given an object and a record, what is wrong with it.
pub type Rule = fn(&str, &Map<String, Value>) -> Option<&'static str>;

/// What a duplicate rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateRule {
    /// Warns, and saves all the same if the request says so.
    Alert,
    /// Never saves.
    Block,
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    object: String,
    fields: Map<String, Value>,
    is_deleted: bool,
}

/// Who the token acts as.
pub const USER_ID: &str = "0055g00000AaBbCAAV";

impl Salesforce {
    /// A new organisation with the calls of a Developer edition and no field of anybody's own.
    pub fn new() -> Self {
        Self {
            client_id: "consumer-key".to_owned(),
            client_secret: "consumer-secret".to_owned(),
            username: "afterclick@acme.example".to_owned(),
            instance_url: None,
            session: Duration::from_hours(2),
            api_limit: 15_000,
            api_used: 0,
            org_id: "00D5g00000AaBbCEAV".to_owned(),
            hollow_every: None,
            private: BTreeSet::new(),
            inactive_owners: Vec::new(),
            record_types: Vec::new(),
            can_convert: true,
            duplicate_rule: None,
            validation: None,
            lead_sources: None,
            fields: schema::standard(),
            rows: BTreeMap::new(),
            merges: Vec::new(),
            conversions: Vec::new(),
            sessions: Vec::new(),
            issued: 0,
            answered: 0,
            day: Duration::ZERO,
            last_id: 0,
        }
    }

    /// The same that takes any number of calls.
    #[must_use]
    pub fn without_limit(self) -> Self {
        Self { api_limit: u64::MAX, ..self }
    }

    /// The same with a custom field that everybody sees.
    #[must_use]
    pub fn with_field(mut self, object: &str, name: &str, kind: Kind) -> Self {
        self.fields.entry(object.to_owned()).or_default().insert(name.to_owned(), FieldDef::new(kind));
        self
    }

    /// The same with an external id that is unique.
    #[must_use]
    pub fn with_key(mut self, object: &str, name: &str) -> Self {
        self.fields.entry(object.to_owned()).or_default().insert(name.to_owned(), FieldDef::key());
        self
    }

    /// The records of an object that are not deleted, in the order in which they were made; each with its `Id`.
    pub fn records(&self, object: &str) -> Vec<Map<String, Value>> {
        let mut rows: Vec<_> = self.rows.iter().filter(|(_, row)| row.object == object && !row.is_deleted).collect();
        rows.sort_by_key(|(id, _)| id[3..].to_owned());
        rows.into_iter().map(|(id, row)| with_id(id, &row.fields)).collect()
    }

    /// A record that is not deleted, by its id.
    pub fn record(&self, id: &str) -> Option<Map<String, Value>> {
        self.rows.get(id).filter(|row| !row.is_deleted).map(|row| with_id(id, &row.fields))
    }

    /// Somebody of the sales team writes into a record.
    pub fn write(&mut self, id: &str, name: &str, value: impl Into<Value>) {
        if let Some(row) = self.rows.get_mut(id) {
            row.fields.insert(name.to_owned(), value.into());
        }
    }

    /// Somebody of the sales team deletes a record.
    pub fn delete(&mut self, id: &str) {
        if let Some(row) = self.rows.get_mut(id) {
            row.is_deleted = true;
        }
    }

    /// Somebody of the sales team converts a lead; the id of the contact.
    pub fn convert(&mut self, lead: &str) -> Option<String> {
        self.convert_lead(lead, schema::CONVERTED_STATUS).ok().map(|made| made.contact)
    }

    /// Which record was merged into which, in order.
    pub fn merges(&self) -> &[(String, String)] {
        &self.merges
    }

    /// The leads that were converted, in order.
    pub fn conversions(&self) -> &[String] {
        &self.conversions
    }

    /// How many tokens were given out.
    pub fn tokens_issued(&self) -> usize {
        self.issued
    }

    /// Every lead in a line, for people who look on.
    pub fn lines(&self) -> Vec<String> {
        let line = |lead: &Map<String, Value>| {
            let said = |name: &str| lead.get(name).map(text).filter(|text| !text.is_empty());
            let name = [said("FirstName"), said("LastName")].into_iter().flatten().collect::<Vec<_>>().join(" ");
            let rest = [
                ("", "Email"),
                ("from ", "Deep_Link_Campaign__c"),
                ("on ", "Deep_Link_Platform__c"),
                ("installed ", "Install_Date__c"),
                ("referred by ", "Referral_Source__c"),
                ("converted ", "Conversion_Date__c"),
            ];
            let rest = rest.into_iter().filter_map(|(word, name)| Some(format!("{word}{}", said(name)?)));
            std::iter::once(name).chain(rest).collect::<Vec<_>>().join(" · ")
        };
        self.records("Lead").iter().map(line).collect()
    }

    /// The next id of an object: what such ids begin with, a number, and three characters that a check would be.
    fn mint(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}5g{:010}AAV", self.last_id)
    }

    fn admits(&self, session: Option<&str>, at: Duration) -> bool {
        self.sessions.iter().any(|(known, end)| Some(known.as_str()) == session && at < *end)
    }

    /// Counts a call, unless there are none left in this day.
    fn take_call(&mut self, at: Duration) -> Result<(), Refusal> {
        if at.saturating_sub(self.day) >= Duration::from_hours(24) {
            (self.day, self.api_used) = (at, 0);
        }
        if self.api_used >= self.api_limit {
            return Err(Refusal::new(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."));
        }
        self.api_used += 1;
        Ok(())
    }

    fn route(&mut self, request: &Request, book: &mut Book) -> Result<Answer, Refusal> {
        let segments = decoded(request.path());
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["services", "data", version, rest @ ..] = parts.as_slice() else { return Err(words::not_found()) };
        if !version.strip_prefix('v').is_some_and(|number| number.ends_with(".0")) {
            return Err(words::not_found());
        }
        match (request.method.as_str(), rest) {
            ("POST", ["composite"]) => composite::run(self, request, book),
            (method, ["composite", "sobjects", rest @ ..]) => rows::collection(self, method, rest, request, book),
            ("POST", ["actions", "standard", "convertLead"]) => convert::action(self, request),
            ("GET", ["query"] | ["tooling", "query"]) => query::run(self, request),
            ("POST", ["tooling", "sobjects", "CustomField"]) => setup::create_field(self, request),
            ("GET", ["sobjects", object, "describe"]) => schema::describe(self, object),
            ("GET", ["limits"]) => Ok(words::limits(self.api_limit, self.api_used)),
            (method, ["sobjects", rest @ ..]) => rows::single(self, method, rest, request, book),
            _ => Err(words::not_found()),
        }
    }
}

impl Default for Salesforce {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Salesforce {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        match request.path() {
            oauth::TOKEN_PATH => return oauth::issue(self, request),
            "/services/data" | "/services/data/" => return words::versions(),
            path if path.starts_with("/services/Soap/") => return soap::answer(self, request, book),
            _ => {}
        }
        if !self.admits(request.bearer(), request.at) {
            return words::expired().answer();
        }
        if request.path() == oauth::USER_PATH {
            return oauth::user_info(self);
        }
        let answer =
            self.take_call(request.at).and_then(|()| self.route(request, book)).unwrap_or_else(Refusal::answer);
        self.answered += 1;
        let is_hollow = self.hollow_every.is_some_and(|every| self.answered.is_multiple_of(every));
        let answer = if is_hollow { Answer::empty(200) } else { answer };
        answer.with("sforce-limit-info", format!("api-usage={}/{}", self.api_used, self.api_limit))
    }

    fn words(&mut self, fault: Fault, request: &Request) -> Option<Answer> {
        if fault == Fault::TokenExpired {
            self.sessions.clear();
            let is_soap = request.path().starts_with("/services/Soap/");
            return Some(if is_soap { soap::expired() } else { words::expired().answer() });
        }
        match fault {
            // Salesforce does not say how long; tests that wait for minutes help nobody.
            Fault::RateLimit { retry_after_s } => {
                let message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
                let answer = Refusal::new(403, "REQUEST_LIMIT_EXCEEDED", message).answer();
                Some(answer.with("retry-after", retry_after_s.to_string()))
            }
            Fault::ServerError(503) => {
                Some(Refusal::new(503, "SERVER_UNAVAILABLE", "The server is temporarily unavailable.").answer())
            }
            Fault::ServerError(status) => {
                Some(Refusal::new(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred.").answer())
            }
            _ => None,
        }
    }

    fn is_aside(&self, request: &Request) -> bool {
        request.path() == oauth::TOKEN_PATH
    }
}

/// The parts of a path, each decoded.
fn decoded(path: &str) -> Vec<String> {
    let part = |part: &str| {
        // A plus is a plus in a path.
        let part = part.replace('+', "%2B");
        url::form_urlencoded::parse(part.as_bytes()).map(|(name, _)| name.into_owned()).next().unwrap_or_default()
    };
    path.split('/').skip(1).map(part).collect()
}

fn with_id(id: &str, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::from_iter([("Id".to_owned(), Value::from(id))]);
    all.extend(fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())));
    all
}

#[cfg(test)]
mod tests;
