//! Redshift's Data API: a statement is taken now and executed later.
//!
//! An item is a statement with its parameters, its key the `ClientToken`, under which the same statement runs once. A statement that
//! fails is refused, but only `DescribeStatement` says so: one for which there is bad luck, which strikes no statement twice, and one
//! that writes a number of more digits than its column has.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::look::{list, text};
use crate::request::Request;
use crate::sigv4::Credentials;
use crate::simulator::Vendor;

/// `POST /` with `X-Amz-Target: RedshiftData.…`
#[derive(Debug, Clone)]
pub struct Redshift {
    /// How often a statement is said to be still running.
    pub running_polls: u32,
    /// A statement with one of these texts in it fails.
    pub failing: Vec<String>,
    /// A table that is not there until a statement creates it, in the way that statements write it.
    pub missing: Option<String>,
    credentials: Credentials,
    statements: Vec<Statement>,
    /// Places in `statements` by client token.
    tokens: HashMap<String, usize>,
    /// The texts of statements that had bad luck.
    unlucky: HashSet<String>,
}

#[derive(Debug, Clone)]
struct Statement {
    request: Value,
    polls_left: u32,
    error: Option<String>,
}

/// The key that may sign.
pub const ACCESS_KEY_ID: &str = "AKIAAFTERCLICK000001";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "simulated/secret+key";
/// The region that requests are signed for.
pub const REGION: &str = "eu-central-1";

impl Redshift {
    /// A serverless workgroup that executes everything at once.
    pub fn new() -> Self {
        let credentials = Credentials {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned(),
            region: REGION.to_owned(),
            service: "redshift-data",
        };
        Self {
            running_polls: 0,
            failing: Vec::new(),
            missing: None,
            credentials,
            statements: Vec::new(),
            tokens: HashMap::new(),
            unlucky: HashSet::new(),
        }
    }

    fn execute(&mut self, body: &Value, sqls: &[Value], fails: bool, book: &mut Book) -> Answer {
        if let Err(message) = check(body, sqls) {
            return error(400, "ValidationException", message);
        }
        let token = text(&body["ClientToken"]);
        if let Some(index) = self.tokens.get(token) {
            if self.statements[*index].request != *body {
                return error(400, "ValidationException", "this ClientToken was used for something else");
            }
            let reason = "this ClientToken was seen before".to_owned();
            book.duplicates.push(crate::Entry { key: token.to_owned(), item: body.clone(), reason });
            return Answer::json(200, &json!({ "Id": id_of(*index), "CreatedAt": 1_772_634_728.0 }));
        }
        let index = self.statements.len();
        let error = self.error_of(body, sqls, fails);
        match &error {
            Some(message) => book.refuse(token, body.clone(), message.as_str()),
            None => book.store(token, body.clone()),
        }
        if !token.is_empty() {
            self.tokens.insert(token.to_owned(), index);
        }
        self.statements.push(Statement { request: body.clone(), polls_left: self.running_polls, error });
        Answer::json(200, &json!({ "Id": id_of(index), "CreatedAt": 1_772_634_728.0 }))
    }

    fn error_of(&mut self, body: &Value, sqls: &[Value], fails: bool) -> Option<String> {
        if fails && sqls.iter().any(|sql| self.unlucky.insert(text(sql).to_owned())) {
            return Some("ERROR: could not serialize access to a table".to_owned());
        }
        for sql in sqls.iter().map(text) {
            match self.missing.take_if(|table| sql.contains(table.as_str())) {
                Some(table) if !sql.starts_with("CREATE TABLE ") => {
                    let error = format!("ERROR: relation {table} does not exist");
                    self.missing = Some(table);
                    return Some(error);
                }
                _ => {}
            }
        }
        let names: Vec<&str> = list(&body["Parameters"]).iter().map(|parameter| text(&parameter["name"])).collect();
        sqls.iter().map(text).find_map(|sql| {
            let broken = self.failing.iter().any(|part| sql.contains(part.as_str()));
            let unused = names.iter().find(|name| !sql.contains(&format!(":{name}")));
            let unused = || unused.map(|name| format!("ERROR: parameter {name} is not in the statement"));
            let overflows = || overflows(sql).then(|| "ERROR: Numeric data overflow (result precision)".to_owned());
            if broken { Some("ERROR: the statement failed".to_owned()) } else { unused().or_else(overflows) }
        })
    }

    fn describe(&mut self, id: &str) -> Answer {
        let index = id.strip_prefix("00000000-0000-4000-b000-").and_then(|index| usize::from_str_radix(index, 16).ok());
        let Some(statement) = index.and_then(|index| self.statements.get_mut(index)) else {
            return error(400, "ResourceNotFoundException", "Query does not exist.");
        };
        if statement.polls_left > 0 {
            statement.polls_left -= 1;
            return Answer::json(200, &json!({ "Id": id, "Status": "STARTED" }));
        }
        match &statement.error {
            Some(message) => Answer::json(200, &json!({ "Id": id, "Status": "FAILED", "Error": message })),
            None => {
                Answer::json(200, &json!({ "Id": id, "Status": "FINISHED", "ResultRows": 0, "HasResultSet": false }))
            }
        }
    }
}

impl Default for Redshift {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Redshift {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if let Err(message) = self.credentials.check(request) {
            return error(403, "InvalidSignatureException", message);
        }
        let Ok(body) = request.json() else { return error(400, "SerializationException", "the body is not JSON") };
        match operation(request) {
            "ExecuteStatement" => {
                let sqls = std::slice::from_ref(&body["Sql"]);
                self.execute(&body, sqls, request.partial_failure, book)
            }
            "BatchExecuteStatement" => self.execute(&body, list(&body["Sqls"]), request.partial_failure, book),
            "DescribeStatement" => self.describe(text(&body["Id"])),
            // Whatever it is, it has no columns or is not there: nobody here knows what was created.
            "DescribeTable" => Answer::json(200, &json!({ "ColumnList": [] })),
            _ => error(400, "UnknownOperationException", ""),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            // A 400, like most of what one should try again here.
            Fault::RateLimit { .. } => Some(error(400, "ThrottlingException", "Rate exceeded")),
            Fault::ServerError(status) => Some(error(status, "InternalServerException", "internal error")),
            Fault::TokenExpired => {
                Some(error(403, "ExpiredTokenException", "The security token included in the request is expired"))
            }
            _ => None,
        }
    }

    fn is_aside(&self, request: &Request) -> bool {
        operation(request) == "DescribeStatement"
    }
}

fn operation(request: &Request) -> &str {
    request.header("x-amz-target").and_then(|target| target.strip_prefix("RedshiftData.")).unwrap_or_default()
}

fn check(body: &Value, sqls: &[Value]) -> Result<(), &'static str> {
    let has = |name: &str| !text(&body[name]).is_empty();
    if !has("Database") {
        Err("Database is required")
    } else if has("WorkgroupName") == has("ClusterIdentifier") {
        Err("one of WorkgroupName and ClusterIdentifier is required")
    } else if !(1..=STATEMENTS_MAX).contains(&sqls.len()) || sqls.iter().any(|sql| text(sql).is_empty()) {
        Err("1 to 40 statements are required")
    } else if sqls.iter().any(|sql| text(sql).len() > STATEMENT_BYTES_MAX) {
        Err("a statement is larger than 100 KB")
    } else if !list(&body["Parameters"]).iter().all(|parameter| parameter["value"].is_string()) {
        Err("the value of a parameter is a string")
    } else if text(&body["ClientToken"]).len() > TOKEN_BYTES_MAX {
        Err("ClientToken has up to 64 characters")
    } else {
        Ok(())
    }
}

/// Whether a number is written as a `decimal(18, 4)` that has more than fourteen digits before its point.
fn overflows(sql: &str) -> bool {
    let written = |part: &str| part.rsplit_once("CAST('")?.1.strip_suffix('\'')?.parse::<f64>().ok();
    sql.split(" AS decimal(18, 4))").filter_map(written).any(|number| number.abs() >= 1e14)
}

fn id_of(index: usize) -> String {
    format!("00000000-0000-4000-b000-{index:012x}")
}

fn error(status: u16, kind: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "__type": kind, "message": message })).with("x-amzn-errortype", kind)
}

const STATEMENTS_MAX: usize = 40;
const STATEMENT_BYTES_MAX: usize = 100 << 10;
const TOKEN_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
