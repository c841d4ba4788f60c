//! Afterclick, the program: what happens after the click.
//!
//! `cli` reads the command line, `config` the file; `server` runs what `wire` joins; `client` is how every other command
//! talks to it.

mod admin_key;
mod cli;
mod client;
mod config;
mod demo;
mod logging;
mod master_key;
mod random;
mod server;
mod wire;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
