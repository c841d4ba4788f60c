//! The configuration: one file, then the environment, then flags.
//!
//! [`load`] reads all of it at once and tells every problem it finds, each with its line. Nothing here starts anything:
//! what a configuration means for a running server is the pipeline's reconciliation, at start and on `apply` alike.

mod destinations;
mod problem;
mod section;
mod server;
mod settings;
mod show;
mod sources;
mod value;

use std::path::Path;

use pipeline::Plugins;
use pipeline::reconcile::{DestinationSpec, SourceSpec};

pub(crate) use problem::{Problem, Problems};
pub(crate) use server::{Flags, LogFormat, LogLevel, Server};
pub(crate) use show::{Line, Origin};
pub(crate) use value::Environment;

use value::{Kind, Value};

/// The keys at the top of a file.
const TOP_KEYS: &[&str] = &["server", "source", "destination"];

/// Everything a file, the environment and flags say.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// How the file is called in messages.
    pub(crate) file: String,
    pub(crate) server: Server,
    pub(crate) sources: Vec<SourceSpec>,
    pub(crate) destinations: Vec<DestinationSpec>,
    /// Every effective value with its origin, for `config show`.
    pub(crate) shown: Vec<Line>,
}

impl Config {
    /// The line of the file that says what a key is.
    pub(crate) fn line_of(&self, key: &str) -> Option<usize> {
        match self.shown.iter().find(|line| line.key == key)?.origin {
            Origin::File(_, line) => Some(line),
            _ => None,
        }
    }
}

/// Where a configuration comes from, apart from the file.
pub(crate) struct Layers<'l> {
    pub(crate) environment: Environment<'l>,
    pub(crate) flags: Flags,
    pub(crate) plugins: Plugins,
}

/// The process's own environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads the file, if there is one, and puts the other layers over it.
pub(crate) fn load(file: Option<&Path>, layers: &Layers<'_>) -> Result<Config, Problems> {
    let Some(path) = file else {
        return read("", "command line and environment", layers);
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let mut problems = Problems::of(name.clone());
        problems.push(Problem::new(None, format!("cannot be read: {error}")));
        problems
    })?;
    read(&text, &name, layers)
}

/// Reads the text of a file called `name`.
pub(crate) fn read(text: &str, name: &str, layers: &Layers<'_>) -> Result<Config, Problems> {
    let mut problems = Problems::of(name);
    let mut shown = Vec::new();
    let Some(value) = Value::parse(text, layers.environment, &mut problems) else { return Err(problems) };
    let Kind::Table(top) = &value.kind else { return Err(problems) };
    section::Section::open(&value, String::new(), TOP_KEYS, &mut problems);

    let server = server::resolve(top.get("server"), layers.environment, &layers.flags, &mut problems, &mut shown);
    let mut sources = Vec::new();
    if let Some(value) = top.get("source") {
        sources = sources::read(value, layers.plugins, &mut problems, &mut shown);
    }
    let mut destinations = Vec::new();
    if let Some(value) = top.get("destination") {
        destinations = destinations::read(value, layers.plugins, &mut problems, &mut shown);
    }
    for line in &mut shown {
        line.origin = line.origin.clone().in_file(name);
    }
    if problems.is_empty() {
        Ok(Config { file: name.to_owned(), server, sources, destinations, shown })
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests;
