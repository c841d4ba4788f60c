//! `afterclick serve`: runs the server.

use std::path::{Path, PathBuf};
use std::process;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::say;
use super::{Failure, Outcome};
use crate::config::{self, Config, Flags, Layers};
use crate::server::{self, Credentials, Server};
use crate::{logging, wire};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  afterclick serve\n  afterclick serve --config afterclick.toml --listen 0.0.0.0:8400\n  \
                        afterclick serve --allow-private          plain http and private targets, for development\n\n\
                        Each option is also an environment variable (in parentheses) and, but for the file itself, a key of\n\
                        `[server]` in the file; the option wins over the variable, the variable over the file.\n\n\
                        When it is ready it prints one line on stdout: `listening on http://ADDRESS:PORT`."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// The file that commands which only look find by themselves.
pub(super) const FILE_HERE: &str = "afterclick.toml";

/// What says how a server runs: a file, and what is put over it.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// The configuration file (`AFTERCLICK_CONFIG`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

/// What is put over the `[server]` of a file.
#[derive(Debug, Default, Args)]
pub(crate) struct Overrides {
    /// Where everything is kept (`AFTERCLICK_DATA_DIR`) [default: ./afterclick-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address and port; port 0 picks a free one (`AFTERCLICK_LISTEN`) [default: 127.0.0.1:8400]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Let destinations be plain http and on private addresses: for development (`AFTERCLICK_ALLOW_PRIVATE`)
    #[arg(long)]
    allow_private: bool,
    /// Let destinations be in this network, although it is private; may be repeated (`AFTERCLICK_ALLOW_CIDR`)
    #[arg(long = "allow-cidr", value_name = "CIDR")]
    allow_cidrs: Vec<String>,
    /// For how long events are kept: `12h`, `30d`, `4w` (`AFTERCLICK_RETENTION`) [default: 30d]
    #[arg(long, value_name = "TIME")]
    retention: Option<String>,
    /// How log lines look: `text` or `json` (`AFTERCLICK_LOG`) [default: text]
    #[arg(long, value_name = "FORMAT")]
    log: Option<String>,
    /// Which log lines: error, warn, info, debug or trace (`AFTERCLICK_LOG_LEVEL`) [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Options {
    /// Reads the file that the options or the environment name, if any, and puts the other layers over it.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        self.overrides.load_file(self.named().as_deref())
    }

    /// The same, and `afterclick.toml` of this directory if nothing else is named: for commands that only look.
    pub(crate) fn load_or_here(&self) -> Result<Config, Failure> {
        let here = || Some(PathBuf::from(FILE_HERE)).filter(|file| file.exists());
        self.overrides.load_file(self.named().or_else(here).as_deref())
    }

    fn named(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| std::env::var_os("AFTERCLICK_CONFIG").map(PathBuf::from))
    }
}

impl Overrides {
    /// Reads a file, if one is named, and puts the other layers over it.
    pub(crate) fn load_file(&self, file: Option<&Path>) -> Result<Config, Failure> {
        let flags = Flags {
            listen: self.listen.clone(),
            data_dir: self.data_dir.clone(),
            allow_private: self.allow_private,
            allow_cidrs: self.allow_cidrs.clone(),
            retention: self.retention.clone(),
            log: self.log.clone(),
            log_level: self.log_level.clone(),
        };
        let layers = Layers { environment: &config::environment, flags, plugins: wire::plugins() };
        config::load(file, &layers).map_err(|problems| Failure::Misused(problems.into()))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let config = arguments.options.load()?;
    logging::start(config.server.log, config.server.log_level);
    let credentials = Credentials::from_environment().map_err(Failure::Misused)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(&config, &credentials))
}

async fn serve(config: &Config, credentials: &Credentials) -> Outcome {
    // A file that cannot be applied is told before anything is made.
    wire::check(config).await.map_err(Failure::Misused)?;
    let (version, data_dir) = (env!("CARGO_PKG_VERSION"), config.server.data_dir.display().to_string());
    tracing::info!(version, data_dir, "starting");
    if config.server.allow_private {
        tracing::warn!("destinations may be plain http and on private addresses; this is for development only");
    }
    // Listening for signals comes first: one that arrives while we start must not kill us half-way.
    let mut interrupts = Interrupts::new()?;
    let started = tokio::select! {
        started = Server::start(config, credentials) => started?,
        () = interrupts.next() => return Ok(()),
    };
    let (mut server, made_key) = started;
    if let Some(key) = made_key {
        tell_admin_key(&key, config);
    }
    say(&format!("listening on http://{}", server.address));

    tokio::select! {
        () = interrupts.next() => tracing::info!("stopping: finishing what is in flight; a second signal ends at once"),
        reason = server.failed() => {
            // Nothing has been acknowledged since, and nothing may be: leave without a last commit.
            tracing::error!("{reason}; stopping at once, so that nothing is acknowledged that is not on disk");
            process::exit(1);
        }
    }
    tokio::select! {
        stopped = server.stop(server::GRACE) => stopped?,
        () = interrupts.next() => {
            tracing::warn!("ended by a second signal; what was in flight will be sent again at the next start");
            process::exit(1);
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// SIGTERM and SIGINT.
pub(crate) struct Interrupts {
    terminate: Signal,
    interrupt: Signal,
}

impl Interrupts {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next of either.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn tell_admin_key(key: &str, config: &Config) {
    eprintln!(
        "\nThis is the first start on `{}`. Its admin key, shown only this once:\n",
        config.server.data_dir.display()
    );
    eprintln!("    {key}\n");
    eprintln!("Keep it where secrets are kept. Commands in another terminal find it in the environment:\n");
    eprintln!("    export AFTERCLICK_ADMIN_KEY={key}");
    eprintln!("    afterclick events list\n");
    eprintln!("If it is lost, start once with AFTERCLICK_ADMIN_KEY set to a key of your own, 32 characters or more.\n");
}
