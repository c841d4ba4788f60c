//! Each peer does what it is for: something goes in, and the same comes out.

mod aws;
mod chdb;
mod clickhouse;
mod kafka;
mod nats;
mod postgres;
mod process;
mod redis;
mod segment_sdk;
mod smtp;
