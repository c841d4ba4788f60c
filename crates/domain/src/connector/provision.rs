//! Provisioning: making what a destination needs at the vendor, once and by a person's order.

use super::Call;

/// One thing to make.
#[derive(Debug, Clone)]
pub struct Action {
    /// For a person: what is made and why.
    pub reason: String,
    pub call: Call,
}
