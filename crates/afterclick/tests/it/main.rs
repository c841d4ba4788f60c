//! The whole binary, driven from outside over HTTP, with real receivers.

mod apply;
mod backup;
mod commands;
mod configuration;
mod crm;
mod delivery;
mod demo;
mod destinations;
mod examples;
mod keys;
mod kill;
mod people;
mod provision;
mod samples;
mod serve;
mod support;
mod verify;
