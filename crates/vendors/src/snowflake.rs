//! Snowflake: rows by way of an elastic channel of Snowpipe Streaming, and statements by way of the SQL API.
//!
//! A row that does not fit goes to the error table, behind a 200: it is lost. An item is a row, its key the column `event_id`.
//! Rows are taken at least once: a repetition is stored again.

mod statements;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use url::form_urlencoded;

use self::statements::Statements;
use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::jwt;
use crate::look::text;
use crate::request::Request;
use crate::simulator::Vendor;

/// An account, of whose user [`private_key`](crate::private_key) is the key.
#[derive(Debug, Clone)]
pub struct Snowflake {
    /// `ACME.AFTERCLICK`: account and user, in upper case.
    pub subject: String,
    /// Tables by `DATABASE.SCHEMA.TABLE`, each with the columns that it has; none means any.
    pub tables: BTreeMap<String, Vec<String>>,
    /// Whether a scoped token comes as a bare string and not in an object; both occur.
    pub bare_tokens: bool,
    /// How often a statement is said to be still running.
    pub running_polls: u32,
    statements: Statements,
    tokens: Vec<(String, Duration)>,
    /// The highest `retryCount` by `requestId`.
    requests: HashMap<String, u64>,
    /// The columns of tables that were created here which hold fourteen digits before the point.
    numbers: BTreeMap<String, Vec<String>>,
}

impl Snowflake {
    /// The account `ACME` with the user `AFTERCLICK` and no tables.
    pub fn new() -> Self {
        Self {
            subject: "ACME.AFTERCLICK".to_owned(),
            tables: BTreeMap::new(),
            bare_tokens: false,
            running_polls: 0,
            statements: Statements::default(),
            tokens: Vec::new(),
            requests: HashMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The same with a table.
    #[must_use]
    pub fn with_table(mut self, name: &str, columns: &[&str]) -> Self {
        self.tables.insert(name.to_owned(), columns.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Every statement that was executed, in order.
    pub fn executed(&self) -> Vec<String> {
        self.statements.executed()
    }

    fn knows_key(&self, token: Option<&str>) -> bool {
        let claims = token.and_then(|token| jwt::claims(token).ok()).unwrap_or_default();
        let issuer = format!("{}.{}", self.subject, jwt::fingerprint().unwrap_or_default());
        claims["iss"] == *issuer && claims["sub"] == *self.subject
    }

    fn issue(&mut self, request: &Request) -> Answer {
        let form: HashMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name| form.get(name).map(String::as_str);
        if !self.knows_key(request.bearer().or(field("assertion"))) {
            return invalid_token();
        }
        if field("grant_type") != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") || field("scope") != host(request)
        {
            return error(400, "390001", "Invalid grant type or scope.");
        }
        let token = format!("ver:1-simulated-{}", self.tokens.len() + 1);
        self.tokens.push((token.clone(), request.at + LIFETIME));
        if self.bare_tokens { Answer::text(200, token) } else { Answer::json(200, &json!({ "token": token })) }
    }

    fn append(&mut self, table: &str, request: &Request, book: &mut Book) -> Answer {
        let is_live = |(token, end): &(String, Duration)| Some(token.as_str()) == request.bearer() && request.at < *end;
        if !self.tokens.iter().any(is_live) {
            return error(401, "390318", "OAuth access token expired.");
        }
        let Some(columns) = self.tables.get(table) else {
            return error(404, "ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED", table);
        };
        if request.body.len() > BYTES_MAX {
            return error(413, "REQUEST_TOO_LARGE", "The request is larger than 4 MB.");
        }
        let (Some(id), Ok(content)) = (request.parameter("requestId"), request.content()) else {
            return error(400, "BAD_REQUEST", "A requestId and a readable body are required.");
        };
        if request.header("content-type") != Some("application/x-ndjson") || !content.ends_with(b"\n") {
            return error(400, "BAD_REQUEST", "The body must be application/x-ndjson, each line with its end.");
        }
        let retries = request.parameter("retryCount").and_then(|count| count.parse().ok()).unwrap_or(0_u64);
        let before = self.requests.insert(id.clone(), retries);
        if before.is_some_and(|before| before >= retries) {
            book.flag(id, Value::Null, "`retryCount` was not raised for the repetition");
        }
        let numbers = self.numbers.get(table).map_or(&[][..], Vec::as_slice);
        for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let row: Value = serde_json::from_slice(line).unwrap_or_default();
            let key =
                row.as_object().and_then(|row| row.iter().find(|(name, _)| name.eq_ignore_ascii_case("event_id")));
            let key = key.map_or("", |(_, value)| text(value)).to_owned();
            match check(columns, &row).and_then(|()| check_numbers(numbers, &row)) {
                Ok(()) => book.store(key, row),
                Err(reason) => book.lose(key, row, reason),
            }
        }
        Answer::json(200, &json!({ "message": "OK" }))
    }
}

impl Default for Snowflake {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Snowflake {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        let parts: Vec<&str> = request.path().split('/').skip(1).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["oauth", "token"]) => self.issue(request),
            (
                "POST",
                ["v2", "streaming", "data", "databases", database, "schemas", schema, "tables", table, "rows"],
            ) => self.append(&format!("{database}.{schema}.{table}"), request, book),
            ("GET", ["v2", "streaming", "hostname"]) if self.knows_key(request.bearer()) => {
                Answer::text(200, host(request).unwrap_or_default())
            }
            (_, ["api", "v2", "statements", ..])
                if request.header("x-snowflake-authorization-token-type") != Some("KEYPAIR_JWT") =>
            {
                error(401, "390303", "Invalid OAuth access token.")
            }
            ("POST", ["api", "v2", "statements"]) if self.knows_key(request.bearer()) => {
                self.numbers.extend(statements::numbers(request));
                self.statements.submit(request, self.running_polls, &mut self.tables)
            }
            ("GET", ["api", "v2", "statements", handle]) if self.knows_key(request.bearer()) => {
                self.statements.poll(handle)
            }
            (_, ["v2", "streaming", "hostname"] | ["api", "v2", "statements", ..]) => invalid_token(),
            _ => error(404, "390404", "Not found"),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::TokenExpired => {
                self.tokens.clear();
                Some(error(401, "390318", "OAuth access token expired."))
            }
            _ => None,
        }
    }

    fn is_aside(&self, request: &Request) -> bool {
        !request.path().ends_with("/rows")
    }
}

/// Why a row ends in the error table.
fn check(columns: &[String], row: &Value) -> Result<(), String> {
    let Some(fields) = row.as_object() else { return Err("the line is not a JSON object".to_owned()) };
    let is_known = |name: &str| columns.is_empty() || columns.iter().any(|column| column.eq_ignore_ascii_case(name));
    match fields.keys().find(|name| !is_known(name)) {
        Some(unknown) => Err(format!("`{unknown}` has no column; the row is in the error table")),
        None => Ok(()),
    }
}

fn check_numbers(columns: &[String], row: &Value) -> Result<(), String> {
    let is_number = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
    let overflows = |value: &Value| value.as_f64().is_some_and(|number| number.abs() >= 1e14);
    let fields = row.as_object().into_iter().flatten();
    match fields.filter(|(name, _)| is_number(name)).find(|(_, value)| overflows(value)) {
        Some((name, _)) => Err(format!("the number is out of range for `{name}`; the row is in the error table")),
        None => Ok(()),
    }
}

/// Where the rows go is where the question came from.
fn host(request: &Request) -> Option<&str> {
    request.header("host")
}

fn invalid_token() -> Answer {
    error(401, "390144", "JWT token is invalid.")
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "code": code, "message": message }))
}

const BYTES_MAX: usize = 4 << 20;
const LIFETIME: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests;
