//! The pipeline over the memory store, on paused time; its transport over real sockets.

mod batches;
mod bindings;
mod breaker;
mod bulk;
mod carrier;
mod clickhouse;
mod delivery;
mod engine;
mod house;
mod intake;
mod lanes;
mod mail;
mod nats;
mod objects;
mod once;
mod outlet;
mod post_office;
mod postgres;
mod replay;
mod sql;
mod ssrf;
mod stopping;
mod sulky;
mod tokens;
mod transport;
mod zoo;
