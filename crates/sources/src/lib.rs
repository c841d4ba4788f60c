//! The senders Afterclick understands, one file each.
//!
//! A sender's file says where the signature is and what the body means; verifying and storing are done elsewhere. Adding
//! a sender is one file here, one line in [`ALL`] and one folder under `fixtures/`.

mod envelope;
mod generic;
mod meaning;
mod tolinku;

use domain::source::Dialect;

/// Every sender.
pub static ALL: &[&dyn Dialect] = &[&tolinku::Tolinku, &generic::Generic];

/// The sender of this name: the word in `kind = "…"`.
pub fn by_name(name: &str) -> Option<&'static dyn Dialect> {
    ALL.iter().copied().find(|dialect| dialect.manifest().name == name)
}

#[cfg(test)]
mod fixtures;
