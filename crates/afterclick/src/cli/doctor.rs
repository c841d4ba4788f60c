//! `afterclick doctor`: checks an installation, and says what to do about each fault.

mod checks;

use clap::Args;

use super::config::contents;
use super::connection::Connection;
use super::output::{Paint, count, say};
use super::serve::Options;
use super::{Failure, Outcome, block_on};
use crate::config::Config;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  afterclick doctor --config afterclick.toml --data-dir /var/lib/afterclick\n\n\
                        Without `--config` it looks at `afterclick.toml` in this directory, if there is one.\n\
                        Ends with 1 if anything is wrong. Changes nothing.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    connection: Connection,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    Good(String),
    /// Could not be checked, and that is no fault.
    Skipped(String),
    /// What is wrong, and what to do.
    Bad {
        what: String,
        remedy: String,
    },
}

impl Finding {
    fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Bad { what: what.into(), remedy: remedy.into() }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.connection.client()?;
    let (config, mut findings) = match arguments.options.load_or_here() {
        Ok(config) => {
            let described = match config.sources.len() + config.destinations.len() {
                0 => "nothing described, defaults in force".to_owned(),
                _ => format!("{} described, every key known", contents(&config)),
            };
            let finding = Finding::Good(format!("configuration: {described}"));
            (config, vec![finding])
        }
        Err(Failure::Misused(error)) => {
            let finding = Finding::bad(
                format!("configuration: {error}"),
                "mend the file or set the variables that it names; the other checks use defaults",
            );
            (Config::default(), vec![finding])
        }
        Err(failure) => return Err(failure),
    };
    block_on(async {
        findings.extend(checks::configuration(&config).await);
        findings.extend(checks::machine(&config.server));
        findings.extend(checks::server(&client, &config.server).await);
        Ok(())
    })?;
    if report(&findings) { Ok(()) } else { Err(Failure::Told) }
}

/// Prints the findings; whether nothing is wrong.
fn report(findings: &[Finding]) -> bool {
    let paint = Paint::for_stdout();
    let mut faults = 0;
    for finding in findings {
        match finding {
            Finding::Good(text) => say(&format!("{} {text}", paint.good("✓"))),
            Finding::Skipped(text) => say(&paint.dim(&format!("- {text}"))),
            Finding::Bad { what, remedy } => {
                faults += 1;
                say(&format!("{} {}", paint.bad("✗"), what.replace('\n', "\n  ")));
                say(&format!("    {remedy}"));
            }
        }
    }
    match faults {
        0 => eprintln!("nothing is wrong"),
        faults => eprintln!("{}", count(faults, "fault")),
    }
    faults == 0
}
