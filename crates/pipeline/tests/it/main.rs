//! The pipeline over the memory store, on paused time; its transport over real sockets.

mod breaker;
mod carrier;
mod clickhouse;
mod delivery;
mod engine;
mod house;
mod intake;
mod lanes;
mod mail;
mod post_office;
mod replay;
mod ssrf;
mod objects;
mod outlet;
mod stopping;
mod sulky;
mod transport;
mod zoo;
