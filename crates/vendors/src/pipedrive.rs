//! Pipedrive's people, deals, their fields, searching and merging; the second version of the API, and of the first what the second lacks.
//!
//! Nothing is unique: who creates twice has two, and two fields may have one name. Custom fields are written by codes that nobody can
//! choose, and what a field does not take fails the whole write. Lists and single records are up to date, while search sees a record only
//! some time after it was written. Each call costs tokens of the company's day, and who goes on after a 429 is blocked by the edge.
//!
//! An item is a write to a record, its key what the field [`Pipedrive::key_field`] says, else the name or title. It is in `stored` if it made
//! a record, and in `duplicates` if the record was there. What the account looks like in the end is told by [`Pipedrive::people`] and
//! [`Pipedrive::deals`].

mod fields;
mod limits;
mod merge;
mod records;
mod search;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::fields::Field;
use self::limits::Usage;
pub use self::records::Record;
use self::words::Refusal;
use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::Vendor;

/// `/api/v2/…`, and `/api/v1/…/merge`
#[derive(Debug, Clone)]
pub struct Pipedrive {
    pub api_token: String,
    /// Whether the token's user may make fields.
    pub is_admin: bool,
    /// How far search lags behind.
    pub search_lag: Duration,
    /// What the searches for a field answer with: records under `item`, or records.
    pub has_items: bool,
    /// Calls in any two seconds; `None` takes any number.
    pub per_two_seconds: Option<usize>,
    /// Searches in any two seconds.
    pub searches_per_two_seconds: Option<usize>,
    /// Tokens in a day, which begins when the simulator does.
    pub tokens_per_day: Option<u64>,
    pub open_deals_max: usize,
    pub custom_fields_max: usize,
    /// The name of the field whose value is the key in the book.
    pub key_field: String,
    /// Pipelines by id, in order.
    pub pipelines: BTreeMap<u64, String>,
    /// Stages by id, in order: the pipeline, and the name.
    pub stages: BTreeMap<u64, (u64, String)>,
    fields: [Vec<Field>; 2],
    records: [BTreeMap<u64, Record>; 2],
    merges: Vec<(Entity, u64, u64)>,
    last_id: u64,
    usage: Usage,
}

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    Person,
    Deal,
}

impl Entity {
    const fn at(self) -> usize {
        match self {
            Self::Person => 0,
            Self::Deal => 1,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Deal => "deal",
        }
    }
}

impl Pipedrive {
    /// A new company with the token `api-token` of an admin, the limits of the smallest plan with one seat, the pipeline `Pipeline` with
    /// the stages `Qualified` and `Won soon`, and no field of anybody's own.
    pub fn new() -> Self {
        Self {
            api_token: "api-token".to_owned(),
            is_admin: true,
            search_lag: Duration::from_secs(5),
            has_items: true,
            per_two_seconds: Some(20),
            searches_per_two_seconds: Some(10),
            tokens_per_day: Some(30_000),
            open_deals_max: 3_000,
            custom_fields_max: 100,
            key_field: "Afterclick key".to_owned(),
            pipelines: BTreeMap::from([(1, "Pipeline".to_owned())]),
            stages: BTreeMap::from([(1, (1, "Qualified".to_owned())), (2, (1, "Won soon".to_owned()))]),
            fields: [Vec::new(), Vec::new()],
            records: [BTreeMap::new(), BTreeMap::new()],
            merges: Vec::new(),
            last_id: 0,
            usage: Usage::default(),
        }
    }

    /// The same that takes any number of calls.
    #[must_use]
    pub fn without_limit(self) -> Self {
        Self { per_two_seconds: None, searches_per_two_seconds: None, tokens_per_day: None, ..self }
    }

    /// The same with one more custom field, of a type such as `varchar` or `date`.
    #[must_use]
    pub fn with_field(mut self, entity: Entity, name: &str, kind: &str) -> Self {
        self.add_field(entity, name, kind, &[]);
        self
    }

    /// Everybody who is there, by id.
    pub fn people(&self) -> impl Iterator<Item = &Record> {
        self.live(Entity::Person)
    }

    /// The deals that are there, by id.
    pub fn deals(&self) -> impl Iterator<Item = &Record> {
        self.live(Entity::Deal)
    }

    /// A record that is there.
    pub fn record(&self, entity: Entity, id: u64) -> Option<&Record> {
        self.records[entity.at()].get(&id).filter(|record| !record.is_deleted)
    }

    /// What a custom field of a record says, by the name that people see; `null` if there is none.
    pub fn value<'r>(&self, entity: Entity, record: &'r Record, name: &str) -> &'r Value {
        let code = self.code(entity, name).unwrap_or_default();
        record.custom.get(code).unwrap_or(&Value::Null)
    }

    /// What was merged into what.
    pub fn merges(&self) -> &[(Entity, u64, u64)] {
        &self.merges
    }

    /// The tokens that were used on the present day.
    pub fn tokens_used(&self) -> u64 {
        self.usage.tokens
    }

    /// A person in one line: name, addresses and what is in the custom fields.
    pub fn look(&self, person: &Record) -> String {
        let emails = person.entries("emails").iter().filter_map(|email| email["value"].as_str());
        let fields = self.fields[Entity::Person.at()].iter().filter_map(|field| {
            let value = person.custom.get(&field.code)?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (field.name != self.key_field).then(|| format!("{}: {text}", field.name))
        });
        let name = std::iter::once(person.name().to_owned());
        name.chain(emails.map(|email| format!("<{email}>"))).chain(fields).collect::<Vec<_>>().join(" · ")
    }

    /// Somebody of the sales team makes a record by hand. What is written is not checked.
    pub fn add_by_hand(&mut self, entity: Entity, values: &Value, at: Duration) -> u64 {
        let record = Record::by_hand(self.next_id(), values);
        let id = record.id;
        self.put(entity, record, at);
        id
    }

    /// Somebody of the sales team deletes a record.
    pub fn delete_by_hand(&mut self, entity: Entity, id: u64, at: Duration) {
        if let Some(record) = self.records[entity.at()].get_mut(&id) {
            record.is_deleted = true;
            record.note(at);
        }
    }

    fn live(&self, entity: Entity) -> impl Iterator<Item = &Record> {
        self.records[entity.at()].values().filter(|record| !record.is_deleted)
    }

    fn put(&mut self, entity: Entity, mut record: Record, at: Duration) {
        record.note(at);
        self.records[entity.at()].insert(record.id, record);
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Default for Pipedrive {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Pipedrive {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if self.usage.is_blocked(request.at) {
            return words::blocked();
        }
        if request.header("x-api-token") != Some(&self.api_token) {
            return words::unauthenticated();
        }
        let Some((version, parts)) = route(request.path()) else { return Refusal::nowhere().answer() };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let cost = limits::cost(&request.method, version, &parts);
        if let Err(refused) = self.take(request.at, cost) {
            return refused;
        }
        let answer = match version {
            1 => self.first_version(&parts, request),
            _ => self.second_version(&parts, request, book),
        };
        let answer = answer.unwrap_or_else(Refusal::answer);
        self.standing(request.at).into_iter().fold(answer, |answer, (name, value)| answer.with(name, value))
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { retry_after_s } => {
                Some(words::limited().with("x-ratelimit-reset", retry_after_s.to_string()))
            }
            Fault::ServerError(status) => Some(words::trouble(status)),
            Fault::TokenExpired => Some(words::unauthenticated()),
            _ => None,
        }
    }
}

/// The version, and the parts of the path after it.
fn route(path: &str) -> Option<(u8, Vec<String>)> {
    let path = path.trim_matches('/');
    let path = path.strip_prefix("api/").unwrap_or(path);
    let (version, rest) = path.split_once('/')?;
    let version = version.strip_prefix('v')?.parse().ok().filter(|version| matches!(version, 1 | 2))?;
    Some((version, rest.split('/').map(str::to_owned).collect()))
}

impl Pipedrive {
    fn first_version(&mut self, parts: &[&str], request: &Request) -> Result<Answer, Refusal> {
        match (request.method.as_str(), parts) {
            ("PUT", ["persons", id, "merge"]) => self.merge(Entity::Person, id, request),
            ("PUT", ["deals", id, "merge"]) => self.merge(Entity::Deal, id, request),
            // Everything else has moved to the second version, and is gone here.
            _ => Err(Refusal::gone()),
        }
    }

    fn second_version(&mut self, parts: &[&str], request: &Request, book: &mut Book) -> Result<Answer, Refusal> {
        let entity = match parts {
            ["persons" | "personFields", ..] => Entity::Person,
            _ => Entity::Deal,
        };
        match (request.method.as_str(), parts) {
            ("GET", ["itemSearch", "field"]) => self.search_field(request),
            ("GET", ["persons", "search"]) => self.search_people(request),
            ("GET", ["personFields" | "dealFields"]) => self.list_fields(entity, request),
            ("POST", ["personFields" | "dealFields"]) => self.create_field(entity, request),
            ("GET", ["pipelines"]) => {
                let all = self.pipelines.iter().zip(1..);
                words::page(
                    request,
                    all.map(|((id, name), n)| json!({"id": id, "name": name, "order_nr": n, "is_deleted": false})),
                )
            }
            ("GET", ["stages"]) => {
                let all = self.stages.iter().zip(1..);
                words::page(request, all.map(|((id, (pipeline, name)), n)| {
                    json!({"id": id, "name": name, "order_nr": n, "pipeline_id": pipeline, "is_deleted": false})
                }))
            }
            ("GET", ["persons" | "deals"]) => self.list(entity, request),
            ("POST", ["persons" | "deals"]) => self.create(entity, request, book),
            ("GET", ["persons" | "deals", id]) => self.show(entity, id),
            ("PATCH", ["persons" | "deals", id]) => self.update(entity, id, request, book),
            ("DELETE", ["persons" | "deals", id]) => {
                let id = self.find(entity, id)?.id;
                self.delete_by_hand(entity, id, request.at);
                Ok(words::done(&json!({ "id": id })))
            }
            _ => Err(Refusal::nowhere()),
        }
    }
}

#[cfg(test)]
mod tests;
