//! A vendor that is a real server behind bad luck: what is not struck by a fault is passed on, byte for byte.

use peers::http;
use vendors::{Answer, Book, Request, Vendor};

/// Passes requests on to a port of this machine.
pub(super) struct Relay {
    pub(super) port: u16,
}

impl Vendor for Relay {
    fn answer(&mut self, request: &Request, _: &mut Book) -> Answer {
        let is_ours = |name: &str| matches!(name, "host" | "content-length" | "connection" | "transfer-encoding");
        let headers = request.headers.iter().filter(|(name, _)| !is_ours(name));
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let Ok(answer) = http::request(&request.method, self.port, &request.target, &headers, &request.body) else {
            return Answer::empty(502);
        };
        let code = answer.header("x-clickhouse-exception-code").map(ToOwned::to_owned);
        let relayed = Answer::text(answer.status, answer.text());
        code.into_iter().fold(relayed, |relayed, code| relayed.with("x-clickhouse-exception-code", code))
    }
}
