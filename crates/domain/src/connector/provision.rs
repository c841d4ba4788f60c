//! Provisioning: making what a destination needs at the vendor, once and by a person's order.

use super::{Call, Token};
use crate::time::Timestamp;

/// What the calls of provisioning are made with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// The time to sign with.
    pub now: Timestamp,
    /// What [`super::Outlet::authorize`] brought.
    pub token: Option<&'a Token>,
}

/// One thing to make.
#[derive(Debug, Clone)]
pub struct Action {
    /// For a person: what is made, in words that are right before and after it: "create table events".
    pub reason: String,
    pub call: Call,
}
