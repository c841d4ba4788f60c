//! Mail over HTTP: Resend, Postmark and `SendGrid` on one server, each at its own paths.
//!
//! Only Resend knows an idempotency key. An item is a mail to one recipient, its key the bare address.

mod address;
mod postmark;
mod resend;
mod send_grid;

pub use postmark::Postmark;
pub use resend::Resend;
pub use send_grid::SendGrid;

use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::Vendor;

/// The three.
#[derive(Debug, Clone, Default)]
pub struct MailApi {
    pub resend: Resend,
    pub postmark: Postmark,
    pub send_grid: SendGrid,
}

impl MailApi {
    /// All of them with their usual limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resend takes any rate.
    pub fn without_limit() -> Self {
        let mut all = Self::default();
        all.resend.rate = None;
        all
    }
}

impl Vendor for MailApi {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        match request.path() {
            _ if request.method != "POST" => Answer::empty(405),
            "/emails" | "/emails/batch" => self.resend.answer(request, book),
            "/email" | "/email/withTemplate" | "/email/batch" | "/email/batchWithTemplates" => {
                self.postmark.answer(request, book)
            }
            "/v3/mail/send" => self.send_grid.answer(request, book),
            _ => Answer::empty(404),
        }
    }

    fn words(&mut self, fault: Fault, request: &Request) -> Option<Answer> {
        match request.path() {
            path if path.starts_with("/emails") => resend::words(fault),
            path if path.starts_with("/email") => postmark::words(fault),
            _ => send_grid::words(fault),
        }
    }
}

#[cfg(test)]
mod tests;
