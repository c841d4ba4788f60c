//! `afterclick backup`: a copy of the store, also beside a running server.

use std::path::PathBuf;

use clap::Args;

use super::output::say;
use super::serve::Options;
use super::{Failure, Outcome};
use crate::{master_key, wire};

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  afterclick backup /backup/afterclick-$(date +%F).db --data-dir /var/lib/afterclick\n\n\
                        To restore, put the copy into an empty data directory as `afterclick.db`, with `master.key` or\n\
                        AFTERCLICK_MASTER_KEY as they were, and start the server on it."
)]
pub(crate) struct Arguments {
    /// Where to put the copy; must not exist yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let config = arguments.options.load()?;
    let data_dir = &config.server.data_dir;
    if !wire::store_exists(data_dir) {
        let message = format!("there is no store in `{}`; name its directory with `--data-dir`", data_dir.display());
        return Err(Failure::misused(message));
    }
    if arguments.file.exists() {
        return Err(Failure::misused(format!("`{}` exists; choose a new name", arguments.file.display())));
    }
    wire::backup(data_dir, &arguments.file)?;
    say(&arguments.file.display().to_string());
    if data_dir.join(master_key::FILE).exists() {
        eprintln!(
            "its secrets are sealed: keep a copy of `{}` too, in another place",
            data_dir.join(master_key::FILE).display()
        );
    } else {
        eprintln!("its secrets are sealed: it cannot be used without the present {}", master_key::VARIABLE);
    }
    Ok(())
}
