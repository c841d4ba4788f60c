//! Rows and refusals as replies.

use std::error::Error as _;

use domain::Timestamp;
use domain::connector::{REPLY_BYTES_MAX, Reply};
use domain::verdict::FailureReason;
use serde_json::{Map, Value};
use tokio_postgres::error::DbError;
use tokio_postgres::{Error, Row, SimpleQueryMessage};

use super::TransportError;

/// Rows of a statement without parameters, whose columns all come as texts.
pub(super) fn plain_rows(messages: &[SimpleQueryMessage]) -> Vec<u8> {
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|n| row.get(n).into()).collect::<Vec<Value>>()),
        _ => None,
    });
    Value::from(rows.map(Value::from).collect::<Vec<_>>()).to_string().into()
}

/// Rows of a statement with parameters.
pub(super) fn typed_rows(rows: &[Row]) -> Result<Vec<u8>, Error> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let texts = (0..row.len()).map(|n| Ok(row.try_get::<_, Option<&str>>(n)?.into()));
        all.push(Value::from(texts.collect::<Result<Vec<Value>, Error>>()?));
    }
    Ok(Value::from(all).to_string().into())
}

pub(super) fn of_rows(body: Vec<u8>, now: Timestamp) -> Result<Reply, TransportError> {
    if body.len() > REPLY_BYTES_MAX {
        return Err(TransportError::new(FailureReason::Broken, "the answer is larger than 1 MiB"));
    }
    Ok(Reply { status: 0, code: None, headers: Vec::new(), body: body.into(), received_at: now })
}

/// A statement that did not succeed.
pub(super) fn of_refusal(error: &Error, now: Timestamp) -> Result<Reply, TransportError> {
    match error.as_db_error() {
        Some(refusal) => Ok(of_db_error(refusal, now)),
        None => Err(TransportError {
            may_have_arrived: true,
            ..TransportError::new(FailureReason::Broken, "the connection to the database broke")
        }),
    }
}

const NO_TLS_ADVICE: &str =
    "set `host` and `port` right, give the database a certificate, or set `tls` to `false` for one on your own network";

/// A connection that was made and did not come to a login.
pub(super) fn of_login(error: &Error, now: Timestamp) -> Result<Reply, TransportError> {
    if let Some(refusal) = error.as_db_error() {
        return Ok(of_db_error(refusal, now));
    }
    if let Some(error) = error.source().and_then(|source| source.downcast_ref::<TransportError>()) {
        return Err(error.clone().advised(NO_TLS_ADVICE));
    }
    // The library keeps the kinds of its errors to itself; what it says is all there is.
    let text = error.to_string();
    Err(if text.contains("TLS") {
        TransportError::misconfigured(FailureReason::Tls, "the database offers no encryption").advised(NO_TLS_ADVICE)
    } else if text.contains("authentic") {
        let message = "the database asks for a kind of login that is not known here";
        let advice = "have it ask `user` for a password, by `scram-sha-256` as a rule";
        TransportError::misconfigured(FailureReason::Broken, message).advised(advice)
    } else if text.contains("pars") {
        let message = "what answers does not speak the protocol of PostgreSQL";
        TransportError::misconfigured(FailureReason::Broken, message).advised("set `host` and `port` to a database")
    } else {
        TransportError::new(FailureReason::Broken, "the connection to the database broke during the login")
    })
}

fn of_db_error(refusal: &DbError, now: Timestamp) -> Reply {
    let said = [
        ("message", Some(refusal.message())),
        ("detail", refusal.detail()),
        ("table", refusal.table()),
        ("column", refusal.column()),
        ("constraint", refusal.constraint()),
        ("routine", refusal.routine()),
        ("where", refusal.where_()),
    ];
    let body: Map<_, _> =
        said.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?)))).collect();
    Reply {
        status: 0,
        code: Some(refusal.code().code().to_owned()),
        headers: Vec::new(),
        body: Value::from(body).to_string().into(),
        received_at: now,
    }
}
