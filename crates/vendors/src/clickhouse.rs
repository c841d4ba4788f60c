//! A look-alike of `ClickHouse`'s HTTP interface, of a very old release and of a current one.
//!
//! For the handling of errors and for show; how SQL and types really behave is held against real servers elsewhere. An
//! item is a row, its key the column `event_id`. What a partial failure is here: a 200 with an exception for a body, unless
//! `wait_end_of_query=1` was asked for.

mod exception;
mod rows;
mod select;
mod settings;
mod statement;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::exception::Exception;
use self::settings::Settings;
use self::statement::{Kind, Statement};
pub use self::table::{Column, Table};
use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::{Simulator, Vendor};

/// `POST /?query=…`
#[derive(Debug, Clone)]
pub struct ClickHouse {
    pub release: Release,
    /// User and password; both empty lets everybody in as `default`.
    pub login: (String, String),
    pub databases: BTreeSet<String>,
    /// Tables by name, the database left out.
    pub tables: BTreeMap<String, Table>,
    /// Every `CREATE` and `ALTER` that was carried out, in order.
    pub definitions: Vec<String>,
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 18.16.1, as in Debian: no exception code in a header, strict about JSON, few types.
    Old,
    /// 26.9.
    Current,
}

impl ClickHouse {
    /// An empty server that lets everybody in.
    pub fn new(release: Release) -> Self {
        let databases = BTreeSet::from(["default".to_owned(), "system".to_owned()]);
        Self { release, login: Default::default(), databases, tables: BTreeMap::new(), definitions: Vec::new() }
    }

    /// The same for one user only.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        self.login = (user.to_owned(), password.to_owned());
        self
    }

    /// The same with a table, made by its `CREATE TABLE`.
    #[must_use]
    pub fn with_table(mut self, create: &str) -> Self {
        if let Err(exception) = self.run(create, b"", &Settings::default(), &mut Book::default()) {
            panic!("{}", exception.message);
        }
        self
    }

    fn serve(&mut self, request: &Request, book: &mut Book) -> Result<String, Exception> {
        self.admit(request)?;
        let settings = Settings::read(request, self.release)?;
        let content = request.content().map_err(|message| Exception::new(89, &message))?;
        let (query, data) = match request.parameter("query") {
            Some(query) => (query, &content[..]),
            None => (String::from_utf8_lossy(&content).into_owned(), &b""[..]),
        };
        if request.method == "GET" && !Statement::only_reads(&query) {
            return Err(Exception::new(164, "Cannot execute query in readonly mode"));
        }
        if request.partial_failure && !Statement::only_reads(&query) {
            return Err(Exception::new(241, "Memory limit (total) exceeded"));
        }
        self.run(&query, data, &settings, book)
    }

    fn admit(&self, request: &Request) -> Result<(), Exception> {
        let in_headers = request.header("x-clickhouse-user").map(|user| {
            let key = request.header("x-clickhouse-key").unwrap_or_default();
            (user.to_owned(), key.to_owned())
        });
        let in_query = || Some((request.parameter("user")?, request.parameter("password").unwrap_or_default()));
        let given = in_headers.or_else(|| request.basic()).or_else(in_query).unwrap_or_default();
        if self.login == <(String, String)>::default() || given == self.login {
            return Ok(());
        }
        let code = if self.release == Release::Old { 193 } else { 516 };
        Err(Exception::new(code, &format!("{}: Authentication failed: password is incorrect", given.0)))
    }

    fn run(&mut self, query: &str, data: &[u8], settings: &Settings, book: &mut Book) -> Result<String, Exception> {
        let Statement { kind, format } = Statement::parse(query)?;
        let found = match kind {
            Kind::Insert { table, columns, inline } => {
                let table = self.tables.get_mut(&table).ok_or_else(|| exception::unknown_table(&table))?;
                let data = if inline.is_empty() { data } else { inline.as_bytes() };
                rows::insert(table, &columns, data, settings, self.release, book)?;
                return Ok(String::new());
            }
            Kind::Create { database, table, if_missing, body } => {
                let database = database.unwrap_or_else(|| settings.database.clone());
                let made = Table::define(database, &body, self.release, settings)?;
                return self.create(query, table, made, if_missing);
            }
            Kind::AddColumns { table, columns } => {
                let table = self.tables.get_mut(&table).ok_or_else(|| exception::unknown_table(&table))?;
                table.add_columns(&columns, self.release, settings)?;
                return Ok(self.note(query));
            }
            Kind::CreateDatabase(name) => {
                self.databases.insert(name);
                return Ok(self.note(query));
            }
            Kind::Describe(name) => self.tables.get(&name).ok_or_else(|| exception::unknown_table(&name))?.describe(),
            Kind::Exists(name) => {
                vec![vec![("result".to_owned(), u8::from(self.tables.contains_key(&name)).to_string())]]
            }
            Kind::Select(select) => select.run(self)?,
        };
        statement::render(&found, &format)
    }

    fn create(&mut self, query: &str, name: String, table: Table, if_missing: bool) -> Result<String, Exception> {
        if !self.databases.contains(&table.database) {
            return Err(Exception::new(81, &format!("Database {} doesn't exist", table.database)));
        }
        if self.tables.contains_key(&name) {
            let exists = || Exception::new(57, &format!("Table {}.{name} already exists.", table.database));
            return if if_missing { Ok(String::new()) } else { Err(exists()) };
        }
        self.tables.insert(name, table);
        Ok(self.note(query))
    }

    fn note(&mut self, query: &str) -> String {
        self.definitions.push(query.to_owned());
        String::new()
    }
}

impl Release {
    fn version(self) -> &'static str {
        match self {
            Self::Old => "18.16.1",
            Self::Current => "26.9.1.1",
        }
    }
}

impl Simulator<ClickHouse> {
    /// The rows of a table as they were inserted; none if there is no such table.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        self.vendor(|server| server.tables.get(table).map(|table| table.rows.clone()).unwrap_or_default())
    }

    /// What `SELECT … FINAL` shows of a `ReplacingMergeTree`: the last row of each `event_id`.
    pub fn rows_final(&self, table: &str) -> Vec<Value> {
        let rows = self.rows(table).into_iter().map(|row| (row["event_id"].to_string(), row));
        rows.collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

impl Vendor for ClickHouse {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.path() == "/ping" {
            return Answer::text(200, "Ok.\n");
        }
        match self.serve(request, book) {
            Ok(output) => Answer::text(200, output),
            Err(exception) if request.partial_failure && request.parameter("wait_end_of_query").is_none() => {
                Answer { status: 200, ..exception.answer(self.release) }
            }
            Err(exception) => exception.answer(self.release),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        let exception = match fault {
            Fault::RateLimit { .. } => Exception::new(202, "Too many simultaneous queries. Maximum: 100"),
            // Any other status is a proxy's, which knows no codes.
            Fault::ServerError(500) => {
                Exception::new(252, "Too many parts (3000). Merges are processing significantly slower")
            }
            Fault::TokenExpired if self.release == Release::Old => {
                Exception::new(193, "Wrong password for user default")
            }
            Fault::TokenExpired => Exception::new(516, "default: Authentication failed"),
            _ => return None,
        };
        Some(exception.answer(self.release))
    }

    fn is_aside(&self, request: &Request) -> bool {
        request.path() == "/ping"
    }
}

#[cfg(test)]
mod tests;
