//! Developer commands: `cargo xtask test` checks everything, `cargo xtask peers` installs the real servers that tests start,
//! `cargo xtask docs` writes the reference pages, `cargo xtask bench` measures everything.

mod docs;
mod new_connector;
mod peers;
mod readme;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::stage::{Stages, cargo};

#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about = "Developer commands of Afterclick")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formatting, lints, every test of the workspace, and the commands of the README.
    Test {
        /// Leave out the README's commands, which need a release build.
        #[arg(long)]
        quick: bool,
    },
    /// Installs the real servers that tests start: packages of Debian, and of Python and Node below `target/peers`.
    Peers {
        /// Only what these need; without a name, everything.
        names: Vec<String>,
    },
    /// Writes docs/reference/connectors from the manifests; a test fails while they are stale.
    Docs,
    /// Makes a connector that compiles and passes its tests: file, line in `ALL`, fixture.
    NewConnector {
        /// The word in `connector = "…"`, for example `acme` or `acme-ads`.
        name: String,
    },
    /// Builds in release and runs the benchmark rows; prints a table and writes target/bench/results.json.
    Bench {
        /// Passed on: `--row NAME` (repeatable), `--seconds N`, `--list`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> Result<()> {
    let root = workspace_root()?;
    match Arguments::parse().command {
        Command::Test { quick } => test(&root, quick),
        Command::Peers { names } => peers::install(&root, &names),
        Command::Docs => docs::write(&root),
        Command::NewConnector { name } => new_connector::make(&root, &name),
        Command::Bench { arguments } => bench(&root, &arguments),
    }
}

fn test(root: &Path, quick: bool) -> Result<()> {
    let mut stages = Stages::new(root);
    stages.run("formatting", cargo(&["fmt", "--all", "--check"]))?;
    stages.run("lints", cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    if !quick {
        for command in readme::commands(&std::fs::read_to_string(root.join("README.md")).context("README.md")?) {
            let shell = readme::as_a_check(&command);
            stages.run(&format!("README: {command}"), stage::bash(&shell))?;
        }
    }
    // Last, so that the last lines a reader sees are the counts that cargo prints.
    stages.run("tests", cargo(&["test", "--workspace", "--no-fail-fast"]))?;
    stages.finish();
    Ok(())
}

fn bench(root: &Path, arguments: &[String]) -> Result<()> {
    let mut stages = Stages::new(root);
    stages.run("release build", cargo(&["build", "--quiet", "--release", "-p", "afterclick", "-p", "bench"]))?;
    let mut bench = cargo(&["run", "--quiet", "--release", "-p", "bench", "--"]);
    bench.args(arguments);
    stages.run("benchmark", bench)
}

/// The checkout: two directories above this crate.
fn workspace_root() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(here.ancestors().nth(2).context("the workspace has moved; build xtask again")?.to_path_buf())
}
