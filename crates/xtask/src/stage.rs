//! Stages: commands that run one after another, each announced and timed, the first failure ending the run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs stages in a directory and remembers how long each took.
pub(crate) struct Stages {
    root: PathBuf,
    done: Vec<(String, Duration)>,
}

impl Stages {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), done: Vec::new() }
    }

    /// Runs one command; its output goes straight through.
    pub(crate) fn run(&mut self, title: &str, mut command: Command) -> Result<()> {
        eprintln!("\n==> {title}");
        let started = Instant::now();
        let status = command.current_dir(&self.root).status().with_context(|| format!("cannot start `{title}`"))?;
        if !status.success() {
            bail!("`{title}` failed with {status} after {:.1} s", started.elapsed().as_secs_f64());
        }
        self.done.push((title.to_owned(), started.elapsed()));
        Ok(())
    }

    /// Says what was done and how long it took.
    pub(crate) fn finish(&self) {
        eprintln!();
        for (title, took) in &self.done {
            eprintln!("{:>8.1} s  {title}", took.as_secs_f64());
        }
        eprintln!("all {} stages passed", self.done.len());
    }
}

/// The cargo that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// A line of shell.
pub(crate) fn bash(line: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", line]);
    command
}
