//! How the server itself runs: built-in defaults, then `[server]` of the file, then `AFTERCLICK_*`, then flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use pipeline::upkeep::RETENTION_DEFAULT;

use super::problem::{Problem, Problems};
use super::section::{Section, display};
use super::show::{Line, Origin};
use super::value::{Environment, Value};

/// Shortest retention.
const RETENTION_MIN: Duration = Duration::from_hours(1);

/// One value of the server: its key in `[server]`, its variable and its flag.
struct Setting {
    key: &'static str,
    variable: &'static str,
    flag: &'static str,
    default: &'static str,
}

/// Every value of the server. The flags are declared in [`crate::cli::serve`].
const SETTINGS: [Setting; 7] = [
    Setting { key: "listen", variable: "AFTERCLICK_LISTEN", flag: "--listen", default: "127.0.0.1:8400" },
    Setting { key: "data_dir", variable: "AFTERCLICK_DATA_DIR", flag: "--data-dir", default: "./afterclick-data" },
    Setting { key: "allow_private", variable: "AFTERCLICK_ALLOW_PRIVATE", flag: "--allow-private", default: "false" },
    Setting { key: "allow_cidrs", variable: "AFTERCLICK_ALLOW_CIDR", flag: "--allow-cidr", default: "" },
    Setting { key: "retention", variable: "AFTERCLICK_RETENTION", flag: "--retention", default: "30d" },
    Setting { key: "log", variable: "AFTERCLICK_LOG", flag: "--log", default: "text" },
    Setting { key: "log_level", variable: "AFTERCLICK_LOG_LEVEL", flag: "--log-level", default: "info" },
];

/// What was given as flags, as text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub(crate) listen: Option<String>,
    pub(crate) data_dir: Option<String>,
    pub(crate) allow_private: bool,
    pub(crate) allow_cidrs: Vec<String>,
    pub(crate) retention: Option<String>,
    pub(crate) log: Option<String>,
    pub(crate) log_level: Option<String>,
}

/// How the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) allow_private: bool,
    pub(crate) allow_cidrs: Vec<IpNet>,
    pub(crate) retention: Duration,
    pub(crate) log: LogFormat,
    pub(crate) log_level: LogLevel,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8400)),
            data_dir: PathBuf::from("./afterclick-data"),
            allow_private: false,
            allow_cidrs: Vec::new(),
            retention: RETENTION_DEFAULT,
            log: LogFormat::Text,
            log_level: LogLevel::Info,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object per line.
    Json,
}

/// Which log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Puts the layers over each other. `value` is the file's `[server]`.
pub(crate) fn resolve(
    value: Option<&Value>,
    environment: Environment<'_>,
    flags: &Flags,
    problems: &mut Problems,
    shown: &mut Vec<Line>,
) -> Server {
    let from_file = file_layer(value, problems);
    let mut pick = |key: &str| {
        let index = SETTINGS.iter().position(|setting| setting.key == key).expect("every value is in the table");
        let setting = &SETTINGS[index];
        let (text, origin) = None
            .or_else(|| flags.get(key).map(|text| (text, Origin::Flag(setting.flag))))
            .or_else(|| environment(setting.variable).map(|text| (text, Origin::Environment(setting.variable))))
            .or_else(|| from_file[index].clone())
            .unwrap_or_else(|| (setting.default.to_owned(), Origin::Default));
        shown.push(Line { key: format!("server.{key}"), value: text.clone(), origin: origin.clone() });
        (setting, text, origin)
    };
    let picked = SETTINGS.map(|setting| pick(setting.key));
    let [listen, data_dir, allow_private, allow_cidrs, retention, log, log_level] = picked;
    let default = Server::default();
    Server {
        listen: read(&listen, problems, |text| {
            text.parse().map_err(|_| "is not `ADDRESS:PORT`, like `127.0.0.1:8400`")
        })
        .unwrap_or(default.listen),
        data_dir: PathBuf::from(data_dir.1),
        allow_private: read(&allow_private, problems, truth).unwrap_or(default.allow_private),
        allow_cidrs: read(&allow_cidrs, problems, networks).unwrap_or(default.allow_cidrs),
        retention: read(&retention, problems, parse_retention).unwrap_or(default.retention),
        log: read(&log, problems, str::parse).unwrap_or(default.log),
        log_level: read(&log_level, problems, str::parse).unwrap_or(default.log_level),
    }
}

/// What `[server]` says, in the order of [`SETTINGS`].
fn file_layer(value: Option<&Value>, problems: &mut Problems) -> [Option<(String, Origin)>; SETTINGS.len()] {
    let known = SETTINGS.map(|setting| setting.key);
    let section = value.and_then(|value| Section::open(value, "server".to_owned(), &known, problems));
    known.map(|key| {
        let value = section.as_ref()?.value(key)?;
        let text = match value.to_json() {
            serde_json::Value::Array(items) => items.iter().map(display).collect::<Vec<_>>().join(","),
            other => display(&other),
        };
        Some((text, Origin::Line(value.line)))
    })
}

fn read<T>(
    (setting, text, origin): &(&Setting, String, Origin),
    problems: &mut Problems,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Option<T> {
    match parse(text) {
        Ok(value) => Some(value),
        Err(message) => {
            let (line, what) = match origin {
                Origin::Line(line) => (Some(*line), format!("`server.{}`", setting.key)),
                Origin::Environment(name) => (None, format!("environment variable `{name}`")),
                _ => (None, format!("flag `{}`", setting.flag)),
            };
            problems.push(Problem::new(line, format!("{what}: `{text}` {message}")));
            None
        }
    }
}

fn truth(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" | "" => Ok(false),
        _ => Err("is neither `true` nor `false`"),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, &'static str> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::parse).collect::<Result<_, _>>().map_err(|_| "is not a network, like `10.20.0.0/16`")
}

/// Reads `12h`, `30d`, `4w`.
fn parse_retention(text: &str) -> Result<Duration, &'static str> {
    const MESSAGE: &str =
        "is not a time to keep events; write a whole number and a unit, at least one hour: `12h`, `30d`, `4w`";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => return Err(MESSAGE),
    };
    let hours = number.parse::<u32>().map_err(|_| MESSAGE)?;
    let retention = Duration::from_secs(u64::from(hours) * unit_hours * 60 * 60);
    if retention < RETENTION_MIN { Err(MESSAGE) } else { Ok(retention) }
}

impl Flags {
    fn get(&self, key: &str) -> Option<String> {
        match key {
            "listen" => self.listen.clone(),
            "data_dir" => self.data_dir.clone(),
            "allow_private" => self.allow_private.then(|| "true".to_owned()),
            "allow_cidrs" => (!self.allow_cidrs.is_empty()).then(|| self.allow_cidrs.join(",")),
            "retention" => self.retention.clone(),
            "log" => self.log.clone(),
            "log_level" => self.log_level.clone(),
            _ => None,
        }
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("is neither `text` nor `json`"),
        }
    }
}

impl FromStr for LogLevel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err("is not one of `error`, `warn`, `info`, `debug`, `trace`"),
        }
    }
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(file: &str, environment: Environment<'_>, flags: &Flags) -> (Server, Vec<Line>, Problems) {
        let (mut problems, mut shown) = (Problems::of("file"), Vec::new());
        let value = Value::parse(file, environment, &mut problems).unwrap();
        let server = resolve(Some(&value), environment, flags, &mut problems, &mut shown);
        (server, shown, problems)
    }

    #[test]
    fn the_defaults_of_the_table_are_those_of_the_type() {
        let (server, _, problems) = resolved("", &|_| None, &Flags::default());
        assert_eq!(server, Server::default());
        assert!(problems.is_empty());
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let environment = |name: &str| match name {
            "AFTERCLICK_RETENTION" => Some("2d".to_owned()),
            "AFTERCLICK_LOG" => Some("json".to_owned()),
            _ => None,
        };
        let flags = Flags { log: Some("text".to_owned()), ..Flags::default() };
        let (server, shown, _) =
            resolved("listen = '[::1]:1'\nretention = '1d'\nlog = 'json'\nallow_private = true", &environment, &flags);
        assert_eq!(server.listen, "[::1]:1".parse().unwrap());
        assert_eq!(server.retention, Duration::from_hours(48));
        assert_eq!(server.log, LogFormat::Text);
        assert!(server.allow_private);
        let origin = |key: &str| shown.iter().find(|line| line.key == key).unwrap().origin.to_string();
        assert_eq!(origin("server.listen"), "line 1");
        assert_eq!(origin("server.retention"), "environment AFTERCLICK_RETENTION");
        assert_eq!(origin("server.log"), "flag --log");
        assert_eq!(origin("server.log_level"), "default");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_where_it_comes_from() {
        let flags = Flags { retention: Some("soon".to_owned()), ..Flags::default() };
        let (_, _, problems) = resolved("listen = '8400'\nallow_cidrs = ['10.0.0.0/8', 'x']", &|_| None, &flags);
        let text = problems.to_string();
        assert!(text.contains("file:1: `server.listen`: `8400` is not `ADDRESS:PORT`"), "{text}");
        assert!(text.contains("file:2: `server.allow_cidrs`"), "{text}");
        assert!(text.contains("flag `--retention`: `soon`"), "{text}");
    }
}
