//! Proving who we are to the clouds: signed tokens, their exchange for others, and signed requests. All of it is computed from
//! what is passed in; the time comes from the batch.

pub(crate) mod google;
pub(crate) mod jwt;
pub(crate) mod oauth;
pub(crate) mod sigv4;
