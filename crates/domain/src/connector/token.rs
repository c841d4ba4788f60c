//! Tokens: short-lived credentials that a vendor gives for a long-lived one.

use std::time::Duration;

use crate::secret::Secret;

/// A token and how long it is good for.
#[derive(Debug, Clone)]
pub struct Token {
    pub secret: Secret,
    /// From its arrival. `None` if the vendor does not say: it is used until it is refused.
    pub valid_for: Option<Duration>,
    /// Something else that came with it and that calls need, such as the host to talk to.
    pub extra: Option<String>,
}
