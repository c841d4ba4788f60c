//! `HubSpot`'s contacts, their properties and their merging.
//!
//! Values are texts, and their kinds, choices and rules are checked; a property that does not exist fails whatever writes it. Addresses and
//! unique values belong to one contact each, in whatever case they are written. A batch is taken whole or not at all, unless each of its
//! inputs has an `objectWriteTraceId`: then it is answered with 207, and where an error says whom it is about is a setting, for
//! nobody documents it. Search lags behind, reading does not. `lifecyclestage` only moves forward; whoever sends it backward is answered
//! with success, and nothing happens.
//!
//! An item is a write to a contact, its key the value of the property that it was upserted by, else the address, else the id. It is in
//! `stored` if it made a contact, and in `duplicates` if the contact was there. What the account looks like in the end is told by
//! [`HubSpot::contacts`].

mod batch;
mod contacts;
mod limits;
mod schema;
mod single;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::contacts::Contact;
use self::limits::Calls;
pub use self::schema::Property;
use self::words::Refusal;
use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::Vendor;

/// `/crm/objects/{version}/contacts/…` and `/crm/properties/{version}/contacts/…`
#[derive(Debug, Clone)]
pub struct HubSpot {
    pub access_token: String,
    /// What the token may do.
    pub scopes: BTreeSet<String>,
    /// The versions of the API that answer; `v3` is the last one with a number.
    pub versions: Vec<String>,
    /// Calls in any ten seconds; `None` takes any number.
    pub per_ten_seconds: Option<usize>,
    /// Calls in a day, which begins when the simulator does.
    pub per_day: Option<usize>,
    /// How far search lags behind.
    pub search_lag: Duration,
    /// How the errors of a batch say which input they are about.
    pub naming: Naming,
    /// Whether merging gives the contact that survives an id of its own.
    pub merging_makes_ids: bool,
    pub properties: BTreeMap<String, Property>,
    pub groups: BTreeMap<String, String>,
    contacts: BTreeMap<u64, Contact>,
    /// Which contact was merged into which.
    merges: Vec<(u64, u64)>,
    last_id: u64,
    calls: Calls,
}

/// How an error of a batch says which input it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By the `objectWriteTraceId` in its context.
    Trace,
    /// By the `id` of the input in its context.
    Id,
    /// Not at all.
    Nothing,
}

/// What a token of a user needs who does everything that can be done here.
pub const SCOPES: [&str; 4] = [
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
];

impl HubSpot {
    /// A new account with the token `access-token`, every scope, the limits of a free plan, and no property of anybody's own.
    pub fn new() -> Self {
        Self {
            access_token: "access-token".to_owned(),
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            versions: ["v3", "2026-03", "2026-09"].map(str::to_owned).to_vec(),
            per_ten_seconds: Some(100),
            per_day: Some(250_000),
            search_lag: Duration::from_secs(10),
            naming: Naming::Trace,
            merging_makes_ids: false,
            properties: schema::standard(),
            groups: BTreeMap::from([("contactinformation".to_owned(), "Contact information".to_owned())]),
            contacts: BTreeMap::new(),
            merges: Vec::new(),
            last_id: 100,
            calls: Calls::default(),
        }
    }

    /// The same that takes any number of calls.
    #[must_use]
    pub fn without_limit(self) -> Self {
        Self { per_ten_seconds: None, per_day: None, ..self }
    }

    /// The same with one more property, of a type such as `string` or `datetime`.
    #[must_use]
    pub fn with_property(mut self, name: &str, kind: &str) -> Self {
        self.properties.insert(name.to_owned(), Property::new(kind));
        self
    }

    /// The same with a property whose values are unique.
    #[must_use]
    pub fn with_unique_property(mut self, name: &str) -> Self {
        self.properties.insert(name.to_owned(), Property { is_unique: true, ..Property::new("string") });
        self
    }
}

impl Default for HubSpot {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for HubSpot {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.bearer() != Some(&self.access_token) {
            return words::unauthenticated();
        }
        let is_search = request.path().ends_with("/search");
        let limits = match self.calls.take(request.at, self.per_ten_seconds, self.per_day) {
            Ok(limits) => limits,
            Err(policy) => return words::limited(policy),
        };
        let answer = self.route(request, book).unwrap_or_else(Refusal::answer);
        // Search has a limit of its own and says nothing of this one.
        if is_search {
            answer
        } else {
            limits.into_iter().fold(answer, |answer, (name, value)| answer.with(name, value))
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { .. } => Some(words::limited("TEN_SECONDLY_ROLLING")),
            Fault::ServerError(status) => Some(words::trouble(status)),
            Fault::TokenExpired => Some(words::unauthenticated()),
            _ => None,
        }
    }
}

impl HubSpot {
    fn route(&mut self, request: &Request, book: &mut Book) -> Result<Answer, Refusal> {
        let path = request.path().trim_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        // Dates come after the kind of thing, numbers before it.
        let (kind, version, rest) = match parts.as_slice() {
            ["crm", version, kind, "contacts" | "0-1", rest @ ..] if version.starts_with('v') => {
                (*kind, *version, rest)
            }
            ["crm", kind, version, "contacts" | "0-1", rest @ ..] => (*kind, *version, rest),
            _ => return Err(Refusal::nowhere()),
        };
        if !self.versions.iter().any(|known| known == version) {
            return Err(Refusal::nowhere());
        }
        let method = request.method.as_str();
        match kind {
            "objects" => self.contacts_route(method, rest, version, request, book),
            "properties" => {
                let verb = if method == "GET" || rest.ends_with(&["read"]) { "read" } else { "write" };
                self.need(&format!("crm.schemas.contacts.{verb}"))?;
                self.schema_route(method, rest, request)
            }
            _ => Err(Refusal::nowhere()),
        }
    }

    fn contacts_route(
        &mut self,
        method: &str,
        rest: &[&str],
        version: &str,
        request: &Request,
        book: &mut Book,
    ) -> Result<Answer, Refusal> {
        let is_reading = method == "GET" || rest.ends_with(&["read"]) || rest.ends_with(&["search"]);
        self.need(if is_reading { SCOPES[0] } else { SCOPES[1] })?;
        let has_rules = version >= "2026-09" && !version.starts_with('v');
        match (method, rest) {
            ("POST", ["batch", verb @ ("create" | "update" | "upsert")]) => {
                self.write_batch(verb, has_rules, request, book)
            }
            ("POST", ["batch", "read"]) => self.read_batch(request),
            ("POST", ["search"]) => self.search(request),
            ("POST", ["merge"]) => self.merge(request),
            ("POST", []) => self.create(has_rules, request, book),
            ("GET", [id]) => self.read(id, request),
            ("PATCH", [id]) => self.update(id, has_rules, request, book),
            ("DELETE", [id]) => self.archive(id),
            _ => Err(Refusal::nowhere()),
        }
    }

    fn need(&self, scope: &str) -> Result<(), Refusal> {
        if self.scopes.contains(scope) { Ok(()) } else { Err(Refusal::missing_scope(scope)) }
    }
}

#[cfg(test)]
mod tests;
