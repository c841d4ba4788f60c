//! `BigQuery`'s `insertAll`, its tables, and the token endpoint.
//!
//! A 200 does not mean stored: `insertErrors` names the rows that were not. With `skipInvalidRows: false` one bad row stops all
//! others. An item is a row, its key the `insertId`, which is remembered for a minute and no longer.

mod rows;
mod tables;

use std::collections::BTreeMap;

use serde_json::json;

pub use self::tables::Table;
use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::google::{self, TOKEN_PATH, Tokens, error, unauthenticated};
use crate::request::Request;
use crate::simulator::{Simulator, Vendor};

/// `POST /bigquery/v2/projects/{p}/datasets/{d}/tables/{t}/insertAll`
#[derive(Debug, Clone)]
pub struct BigQuery {
    /// Tables by `project.dataset.table`.
    pub tables: BTreeMap<String, Table>,
    tokens: Tokens,
}

impl BigQuery {
    /// Without tables; its service account is [`Simulator::service_account`].
    pub fn new() -> Self {
        Self { tables: BTreeMap::new(), tokens: Tokens::new(SCOPES) }
    }

    /// With one table that has been there for a while, `project.dataset.table`, and its columns: name and type.
    #[must_use]
    pub fn with_table(mut self, name: &str, columns: &[(&str, &str)]) -> Self {
        let columns = columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind, "mode": "NULLABLE" }));
        self.tables.insert(name.to_owned(), Table { columns: columns.collect(), not_found_yet: 0 });
        self
    }

    /// How many tokens were handed out.
    pub fn tokens_issued(&self) -> usize {
        self.tokens.issued
    }
}

impl Default for BigQuery {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator<BigQuery> {
    /// The key file of a service account whose `token_uri` is this simulator.
    pub fn service_account(&self) -> String {
        google::service_account(&self.url())
    }
}

impl Vendor for BigQuery {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.path() == TOKEN_PATH {
            return self.tokens.issue(request);
        }
        if !self.tokens.admits(request, AUDIENCE) {
            return unauthenticated();
        }
        let parts: Vec<&str> = request.path().split('/').skip(1).collect();
        let ["bigquery", "v2", "projects", project, "datasets", dataset, rest @ ..] = parts.as_slice() else {
            return error(404, "notFound", "NOT_FOUND", "Not found");
        };
        let name = |table: &str| format!("{project}.{dataset}.{table}");
        match (request.method.as_str(), rest) {
            ("POST", ["tables", table, "insertAll"]) => match self.tables.get_mut(&name(table)) {
                Some(table) if table.not_found_yet > 0 => {
                    table.not_found_yet -= 1;
                    tables::not_found(&name(rest[1]))
                }
                Some(table) => rows::insert_all(table, request, book),
                None => tables::not_found(&name(table)),
            },
            ("POST", ["tables"]) => tables::create(&mut self.tables, project, dataset, request),
            ("GET", ["tables", table]) => tables::show(&self.tables, &name(table)),
            ("PATCH", ["tables", table]) => tables::patch(&mut self.tables, &name(table), request),
            _ => error(404, "notFound", "NOT_FOUND", "Not found"),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            // Not a 429: the same status as for a missing permission, and only the reason tells them apart.
            Fault::RateLimit { .. } => {
                Some(error(403, "rateLimitExceeded", "PERMISSION_DENIED", "Exceeded rate limits: too many requests"))
            }
            Fault::ServerError(status) => Some(error(status, "backendError", "UNAVAILABLE", "Error encountered.")),
            Fault::TokenExpired => {
                self.tokens.revoke_all();
                Some(unauthenticated())
            }
            _ => None,
        }
    }

    fn is_aside(&self, request: &Request) -> bool {
        request.path() == TOKEN_PATH
    }
}

const SCOPES: &[&str] = &[
    "https://www.googleapis.com/auth/bigquery",
    "https://www.googleapis.com/auth/bigquery.insertdata",
    "https://www.googleapis.com/auth/cloud-platform",
];
/// What a self-signed token names.
const AUDIENCE: &str = "https://bigquery.googleapis.com/";

#[cfg(test)]
mod tests;
