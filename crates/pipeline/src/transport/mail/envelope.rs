//! Envelopes: who writes to whom, read and ready to be said to a server.

use domain::connector::MailCall;
use domain::verdict::FailureReason;
use lettre::Address;

use crate::transport::TransportError;

/// Most recipients of one message.
const RECIPIENTS_MAX: usize = 100;

/// The addresses of a call, read.
pub(super) struct Envelope {
    pub(super) from: Address,
    pub(super) to: Vec<Address>,
}

impl Envelope {
    pub(super) fn of(call: &MailCall) -> Result<Self, TransportError> {
        let unusable = |what: &str| TransportError::new(FailureReason::Unprocessable, what.to_owned());
        if call.to.is_empty() || call.to.len() > RECIPIENTS_MAX {
            return Err(unusable(&format!("a mail has 1 to {RECIPIENTS_MAX} recipients")));
        }
        let address = |text: &String| {
            // What is an address inside quotes may hold a line break all the same, and a line break ends a command.
            let is_one_word = !text.chars().any(|c| c.is_control() || c.is_whitespace());
            text.parse()
                .ok()
                .filter(|_| is_one_word)
                .ok_or_else(|| unusable("this is not an address to mail to or from"))
        };
        Ok(Self { from: address(&call.from)?, to: call.to.iter().map(address).collect::<Result<_, _>>()? })
    }

    pub(super) fn is_ascii(&self) -> bool {
        std::iter::once(&self.from).chain(&self.to).all(|address| AsRef::<str>::as_ref(address).is_ascii())
    }

    /// The name to say hello with: the sender's domain, since the name of this machine is nobody's business.
    pub(super) fn hello(&self) -> String {
        let domain = self.from.domain();
        if domain.is_ascii() { domain.to_owned() } else { "[127.0.0.1]".to_owned() }
    }
}
