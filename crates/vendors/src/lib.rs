//! Simulators of the vendors that Afterclick delivers to, badness included.

pub mod answer;
pub mod book;
pub mod bucket;
pub mod faults;
mod google;
mod http1;
mod look;
#[cfg(test)]
mod probe;
pub mod request;
pub mod simulator;

pub mod amplitude;
pub mod bigquery;
pub mod braze;
pub mod discord;
pub mod ga4;
pub mod google_ads;
pub mod iterable;
pub mod mail_api;
pub mod meta;
pub mod mixpanel;
pub mod segment;
pub mod slack;
pub mod smtp;
pub mod teams;

pub use answer::Answer;
pub use book::{Book, Entry, Received};
pub use faults::{Fault, Faults};
pub use google::{SERVICE_ACCOUNT_EMAIL, SERVICE_ACCOUNT_KEY};
pub use request::Request;
pub use simulator::{Simulator, Vendor};
