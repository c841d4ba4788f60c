//! Log lines, on stderr: text for a person or one JSON object each.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogLevel};

/// The crates whose lines the level is about; other people's speak only when something is wrong.
const OURS: [&str; 7] = ["afterclick", "api", "pipeline", "storage", "connectors", "sources", "domain"];

/// Starts logging; once per process.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let level = Level::from(level);
    let others = if level > Level::DEBUG { Level::DEBUG } else { Level::WARN.min(level) };
    let filter = Targets::new().with_default(others).with_targets(OURS.map(|name| (name, level)));
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(lines.with_filter(filter)).init();
        }
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let lines =
                tracing_subscriber::fmt::layer().with_ansi(colours).with_target(false).with_writer(std::io::stderr);
            registry.with(lines.with_filter(filter)).init();
        }
    }
}
