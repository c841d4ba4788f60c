//! Load generator and fault harness: what the benchmark rows and the crash tests drive a real `afterclick` with.
//!
//! Everything here blocks the caller and does its own work on threads of its own, so that a test or a row reads from
//! top to bottom: start a [`server`], start a [`sink`], send [`requests`] as a [`load`], ask the [`client`] what is
//! there.

pub mod client;
pub mod hang_up;
pub mod http1;
pub mod ledger;
pub mod load;
pub mod process;
pub mod requests;
pub mod server;
pub mod sink;
