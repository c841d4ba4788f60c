//! The API, driven as its callers do: requests in, answers out, over the memory store and a network that is made up.

mod abuse;
mod access;
mod config;
mod deliveries;
mod desk;
mod destinations;
mod document;
mod errors;
mod events;
mod intake;
mod listener;
mod operation;
mod people;
mod preview;
mod privacy;
mod provision;
mod replays;
mod secrecy;
mod sources;
mod tenancy;
mod truth;
