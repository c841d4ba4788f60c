//! The command line: noun then verb, with the API's nouns.
//!
//! Data goes to stdout and the rest to stderr; the exit code is 0 for done, 1 for failed and 2 for misused.

mod apply;
mod appspaces;
mod backup;
mod completions;
mod config;
mod connection;
mod connectors;
mod dead_letters;
mod deliveries;
mod demo;
mod destinations;
mod doctor;
mod event_types;
mod events;
mod identify;
mod journeys;
mod keys;
mod listing;
mod named;
mod output;
mod prose;
mod record;
mod replays;
mod serve;
mod sources;
mod subjects;
mod time;
mod trigger;
mod verify;
mod who;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use output::{Paint, count, say};
pub(crate) use serve::Interrupts;
pub(crate) use time::now;

#[derive(Parser)]
#[command(
    name = "afterclick",
    version,
    about = "What happens after the click: signed deep-link events in, durable, delivered to where your team works.",
    after_help = "Start here:\n  afterclick demo                              see it work, nothing to configure\n  \
                  afterclick serve --config afterclick.toml    run it\n  \
                  afterclick doctor                            find out what is wrong, and what to do"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole thing at work on this machine; needs nothing
    Demo(demo::Arguments),
    /// Run the server
    Serve(serve::Arguments),
    /// Make a running server match a configuration file; prints the plan first
    Apply(apply::Arguments),
    /// Send a signed sample event through a source of a running server
    Trigger(trigger::Arguments),
    /// Find out why a signature does not verify
    Verify(verify::Arguments),
    /// What came in
    Events(events::Arguments),
    /// What is owed, to whom, and how it went
    Deliveries(deliveries::Arguments),
    /// Receivers
    Destinations(destinations::Arguments),
    /// Senders
    Sources(sources::Arguments),
    /// Deliveries that wait for a person
    DeadLetters(dead_letters::Arguments),
    /// Owe a range of past events to a destination again
    Replays(replays::Arguments),
    /// Say who somebody is
    Identify(identify::Arguments),
    /// The people and devices that events are about
    Subjects(subjects::Arguments),
    /// What happened to somebody, step by step
    Journeys(journeys::Arguments),
    /// Keys to the API
    Keys(keys::Arguments),
    /// Tenants
    Appspaces(appspaces::Arguments),
    /// The catalogue of event types
    EventTypes(event_types::Arguments),
    /// The connectors of this program and their settings
    Connectors(connectors::Arguments),
    /// Look at a configuration without starting anything
    Config(config::Arguments),
    /// Check this installation; says what to do about each fault
    Doctor(doctor::Arguments),
    /// Copy the store to a file, also beside a running server
    Backup(backup::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// Why a command did not do what was asked, sorted by who must act.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was tried and did not work: exit code 1.
    Failed(anyhow::Error),
    /// It has been told already; only the exit code is left.
    Told,
    /// The command line, the environment or a file is wrong: exit code 2.
    Misused(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    /// A mistake of the caller.
    pub(crate) fn misused(message: impl std::fmt::Display) -> Self {
        Self::Misused(anyhow::anyhow!("{message}"))
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<(), Failure>;

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Trigger(arguments) => trigger::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Deliveries(arguments) => deliveries::run(&arguments),
        Command::Destinations(arguments) => destinations::run(&arguments),
        Command::Sources(arguments) => sources::run(&arguments),
        Command::DeadLetters(arguments) => dead_letters::run(&arguments),
        Command::Replays(arguments) => replays::run(&arguments),
        Command::Identify(arguments) => identify::run(&arguments),
        Command::Subjects(arguments) => subjects::run(&arguments),
        Command::Journeys(arguments) => journeys::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Appspaces(arguments) => appspaces::run(&arguments),
        Command::EventTypes(arguments) => event_types::run(&arguments),
        Command::Connectors(arguments) => connectors::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Completions(arguments) => {
            completions::run(&arguments);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::from(1),
        Err(Failure::Failed(error)) => complain(&error, 1),
        Err(Failure::Misused(error)) => complain(&error, 2),
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    let text = format!("{error:#}");
    // A list of problems stands on lines of its own.
    if text.contains('\n') {
        eprintln!("error:\n{text}");
    } else {
        eprintln!("error: {text}");
    }
    ExitCode::from(code)
}

/// Runs the calls of a command that talks to a server.
fn block_on(future: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
