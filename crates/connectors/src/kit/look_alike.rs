//! The way to a vendor's look-alike and back, without a socket.

use domain::connector::{HttpCall, Reply};
use url::{Position, Url};
use vendors::{Answer, Request};

use super::NOW;

/// A call, as the vendor gets it.
pub(crate) fn asked(call: &HttpCall) -> Request {
    let url = Url::parse(&call.url).unwrap();
    let request = Request::new(call.method, &url[Position::BeforePath..], call.body.clone());
    call.headers.iter().fold(request, |request, (name, value)| request.with(name, value))
}

/// The vendor's answer, as the connector gets it.
pub(crate) fn answered(answer: Answer) -> Reply {
    let headers = answer.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Reply { status: answer.status, code: None, headers, body: answer.body, received_at: NOW }
}
