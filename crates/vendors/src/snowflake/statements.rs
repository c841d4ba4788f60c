//! The SQL API: a statement may still be running when it is answered.

use std::collections::BTreeMap;

use serde_json::json;

use super::error;
use crate::answer::Answer;
use crate::look::text;
use crate::request::Request;

/// What was submitted; a handle is the place in the list.
#[derive(Debug, Clone, Default)]
pub(super) struct Statements {
    all: Vec<Statement>,
}

#[derive(Debug, Clone)]
struct Statement {
    sql: String,
    request_id: Option<String>,
    polls_left: u32,
}

impl Statements {
    pub(super) fn executed(&self) -> Vec<String> {
        self.all.iter().map(|statement| statement.sql.clone()).collect()
    }

    /// Executes a statement, unless it is said to be a repetition of one that was.
    pub(super) fn submit(
        &mut self,
        request: &Request,
        polls: u32,
        tables: &mut BTreeMap<String, Vec<String>>,
    ) -> Answer {
        let body = request.json().unwrap_or_default();
        let sql = text(&body["statement"]).trim();
        let verb = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        if !VERBS.contains(&verb.as_str()) {
            return error(422, "001003", &format!("SQL compilation error: unexpected '{verb}'."));
        }
        let request_id = request.parameter("requestId");
        let repeats = request.parameter("retry").as_deref() == Some("true");
        let known = self.all.iter().position(|statement| request_id.is_some() && statement.request_id == request_id);
        if let Some(handle) = known.filter(|_| repeats) {
            return self.tell(handle);
        }
        if let Some(name) = created_table(sql) {
            tables.entry(name).or_default();
        }
        self.all.push(Statement { sql: sql.to_owned(), request_id, polls_left: polls });
        self.tell(self.all.len() - 1)
    }

    pub(super) fn poll(&mut self, handle: &str) -> Answer {
        let handle = handle.strip_prefix("h-").and_then(|index| index.parse::<usize>().ok());
        let Some(statement) = handle.and_then(|handle| self.all.get_mut(handle)) else {
            return error(404, "390404", "Statement not found");
        };
        statement.polls_left = statement.polls_left.saturating_sub(1);
        self.tell(handle.unwrap_or_default())
    }

    fn tell(&self, index: usize) -> Answer {
        let handle = format!("h-{index}");
        if self.all[index].polls_left == 0 {
            let message = "Statement executed successfully.";
            let body = json!({ "code": "090001", "message": message, "statementHandle": handle, "data": [] });
            return Answer::json(200, &body);
        }
        Answer::json(
            202,
            &json!({
                "code": "333334", "message": "Asynchronous execution in progress.", "statementHandle": handle,
                "statementStatusUrl": format!("/api/v2/statements/{handle}"),
            }),
        )
    }
}

/// The name in `CREATE TABLE IF NOT EXISTS name (…`, in upper case.
fn created_table(sql: &str) -> Option<String> {
    let upper = sql.to_ascii_uppercase();
    let name = upper.strip_prefix("CREATE TABLE ")?.trim_start();
    let name = name.strip_prefix("IF NOT EXISTS ").unwrap_or(name);
    Some(name.split(['(', ' ']).next()?.replace('"', ""))
}

/// The table that a statement creates, and its columns that hold fourteen digits before the point.
pub(super) fn numbers(request: &Request) -> Option<(String, Vec<String>)> {
    let body = request.json().unwrap_or_default();
    let sql = text(&body["statement"]).trim();
    let (_, columns) = sql.split_once('(')?;
    let named = columns.split(" NUMBER(18, 4)").filter_map(|before| before.strip_suffix('"')?.rsplit('"').next());
    Some((created_table(sql)?, named.map(str::to_owned).collect()))
}

const VERBS: &[&str] = &["CREATE", "ALTER", "INSERT", "MERGE", "SELECT", "DESCRIBE", "DESC", "SHOW", "COPY"];
