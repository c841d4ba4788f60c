//! `afterclick completions`: a script that completes commands in a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  afterclick completions bash > /etc/bash_completion.d/afterclick")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "afterclick", &mut std::io::stdout());
}
