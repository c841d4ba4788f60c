//! `afterclick demo`: the whole thing at work.

use clap::Args;

use super::Outcome;
use crate::demo;

#[derive(Debug, Args)]
#[command(
    after_help = "It starts a server on a temporary directory and a receiver on this machine, sends the sample events\n\
                        of the catalogue through it, shows each one arrive, and follows one person from a tap on a link into\n\
                        the record that a sales team sees. Nothing leaves the machine, and everything is deleted at the end."
)]
pub(crate) struct Arguments {
    /// End after the first round: 0 if everything arrived, 1 if not
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(demo::run(arguments.once))
}
