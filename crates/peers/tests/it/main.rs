//! Each peer does what it is for: something goes in, and the same comes out.

mod aws;
mod chdb;
mod clickhouse;
mod postgres;
mod smtp;
