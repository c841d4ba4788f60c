//! Postmark: `POST /email`, `/email/withTemplate` and their batches, which answer 200 whatever became of each mail.

use serde_json::{Value, json};

use super::address::{all_bare, are_one_line, bare, is_filled};
use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::request::Request;

/// A server, as Postmark calls it.
#[derive(Debug, Clone)]
pub struct Postmark {
    pub server_token: String,
    /// Addresses that bounced or complained once.
    pub inactive: Vec<String>,
    /// Aliases of the templates that exist; empty means that any does.
    pub templates: Vec<String>,
}

impl Default for Postmark {
    fn default() -> Self {
        Self { server_token: "postmark-token".to_owned(), inactive: Vec::new(), templates: Vec::new() }
    }
}

impl Postmark {
    pub(super) fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.header("x-postmark-server-token") != Some(&self.server_token) {
            return Answer::json(401, &outcome(10, "Bad or missing Server API token."));
        }
        let Ok(payload) = request.json() else { return Answer::json(422, &outcome(402, "Invalid JSON")) };
        let templated = request.path().ends_with("Template") || request.path().ends_with("Templates");
        let batch = match request.path() {
            "/email/batch" => payload.as_array(),
            "/email/batchWithTemplates" => payload["Messages"].as_array(),
            _ => {
                let outcome = self.send(&payload, templated, request.partial_failure, book);
                let status = if outcome["ErrorCode"] == 0 { 200 } else { 422 };
                return Answer::json(status, &outcome);
            }
        };
        let Some(batch) = batch.filter(|batch| batch.len() <= BATCH_MAX) else {
            return Answer::json(422, &outcome(410, "A batch has up to 500 messages."));
        };
        let last = batch.len().saturating_sub(1);
        let fails = |index| request.partial_failure && index == last;
        let send = |(index, mail)| self.send(mail, templated, fails(index), book);
        Answer::json(200, &batch.iter().enumerate().map(send).collect())
    }

    fn send(&self, mail: &Value, templated: bool, bounces: bool, book: &mut Book) -> Value {
        let checked = if bounces { Err(INACTIVE) } else { self.check(mail, templated) };
        match checked {
            Ok(recipients) => {
                let id = format!("00000000-0000-4000-9000-{:012x}", book.stored.len());
                for to in recipients {
                    book.store(to, mail.clone());
                }
                json!({ "To": mail["To"], "MessageID": id, "ErrorCode": 0, "Message": "OK" })
            }
            Err((code, message)) => {
                book.refuse(mail["To"].as_str().unwrap_or_default(), mail.clone(), message);
                outcome(code, message)
            }
        }
    }

    fn check(&self, mail: &Value, templated: bool) -> Result<Vec<String>, (u32, &'static str)> {
        if mail["From"].as_str().and_then(bare).is_none() {
            return Err((300, "Invalid 'From' address."));
        }
        let recipients = all_bare(&mail["To"]).filter(|all| all.len() <= RECIPIENTS_MAX && !all.is_empty());
        let recipients = recipients.ok_or((300, "Invalid 'To' address."))?;
        if recipients.iter().any(|to| self.inactive.contains(to)) {
            return Err(INACTIVE);
        }
        if !are_one_line(&mail["Subject"]) || !are_one_line(&mail["Headers"]) {
            return Err((300, "Invalid 'Subject' or 'Headers' value."));
        }
        if !templated {
            let has_body = is_filled(&mail["HtmlBody"]) || is_filled(&mail["TextBody"]);
            return if has_body {
                Ok(recipients)
            } else {
                Err((300, "Provide either email TextBody or HtmlBody or both."))
            };
        }
        let alias = mail["TemplateAlias"].as_str();
        let exists = |alias: &str| self.templates.is_empty() || self.templates.iter().any(|known| known == alias);
        if !mail["TemplateId"].is_u64() && !alias.is_some_and(exists) {
            return Err((1101, "The Template's 'Alias' or 'TemplateId' associated with this request is not valid."));
        }
        if !mail["TemplateModel"].is_object() {
            return Err((403, "The 'TemplateModel' is required."));
        }
        Ok(recipients)
    }
}

pub(super) fn words(fault: Fault) -> Option<Answer> {
    match fault {
        Fault::RateLimit { retry_after_s } => {
            let answer = Answer::json(429, &outcome(429, "Rate limit exceeded"));
            Some(answer.with("retry-after", retry_after_s.to_string()))
        }
        Fault::TokenExpired => Some(Answer::json(401, &outcome(10, "Bad or missing Server API token."))),
        _ => None,
    }
}

fn outcome(code: u32, message: &str) -> Value {
    json!({ "ErrorCode": code, "Message": message })
}

const INACTIVE: (u32, &str) = (406, "You tried to send to a recipient that has been marked as inactive.");
const BATCH_MAX: usize = 500;
const RECIPIENTS_MAX: usize = 50;
