//! The settings of a store, read once.

use bytes::Bytes;
use domain::connector::{Bucket, SettingsError};
use domain::{Secret, Settings, Timestamp};
use serde_json::{Map, Value};

use super::lines;
use crate::common::url;
use crate::warehouse::{DATA, Layout, Manner, date_time};

/// One bucket and how files in it look.
pub(super) struct Store {
    pub(super) bucket: Bucket,
    /// Empty or with a slash at its end.
    pub(super) prefix: String,
    pub(super) format: Format,
    pub(super) gzip: bool,
    pub(super) by_occurrence: bool,
    pub(super) layout: Layout,
}

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Lines,
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Longest prefix, in bytes: keys may have 1,024.
const PREFIX_BYTES_MAX: usize = 512;

impl Store {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let text = |name: &str| settings.text(name).unwrap_or_default().trim().to_owned();
        let region = settings.text("region").unwrap_or("us-east-1").trim().to_owned();
        check_label("region", &region)?;
        let name = text("bucket");
        check_bucket(&name)?;
        let (endpoint, is_own) = match settings.text("endpoint") {
            Some(endpoint) => (read_endpoint(endpoint)?, true),
            None => (amazon(&region), false),
        };
        // A certificate for `*.s3.…` holds for one label only, so a bucket with dots in its name needs the path.
        let by_path = settings.0.get("path_style").and_then(Value::as_bool);
        let by_path = by_path.unwrap_or(is_own || name.contains('.'));
        for field in ["access_key_id", "secret_access_key"] {
            let key = text(field);
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(SettingsError::new(field, "is not an access key; copy it again"));
            }
        }
        let secret_key = Secret::new(text("secret_access_key"));
        let format = Format::read(settings)?;
        Ok(Self {
            bucket: Bucket { endpoint, region, name, by_path, access_key: text("access_key_id"), secret_key },
            prefix: read_prefix(settings.text("prefix").unwrap_or_default())?,
            format,
            gzip: format == Format::Lines && settings.text("compression") != Some("none"),
            by_occurrence: settings.text("partition_by") == Some("occurred"),
            layout: Layout::read_for(settings, Manner { time: format.time(), whole: &DATA })?,
        })
    }
}

impl Store {
    /// A file with these rows. The error is for a person.
    pub(super) fn file(&self, rows: &[Map<String, Value>]) -> Result<Bytes, String> {
        match self.format {
            Format::Lines => Ok(lines::file(rows)),
            #[cfg(feature = "parquet")]
            Format::Parquet => super::parquet::file(rows, &self.layout),
        }
    }
}

impl Format {
    /// The words in `format = "…"`.
    pub(super) const NAMES: &[&str] = &["jsonl", "parquet"];

    fn read(settings: &Settings) -> Result<Self, SettingsError> {
        match settings.text("format") {
            None | Some("jsonl") => Ok(Self::Lines),
            #[cfg(feature = "parquet")]
            Some("parquet") => Ok(Self::Parquet),
            Some(other) => Err(SettingsError::new(
                "format",
                format!(
                    "is `{other}`, which this program was built without; use `jsonl`, or build it with `--features \
                     {other}`"
                ),
            )),
        }
    }

    /// How times are written into rows.
    fn time(self) -> fn(Timestamp) -> String {
        match self {
            Self::Lines => date_time,
            #[cfg(feature = "parquet")]
            Self::Parquet => super::parquet::time,
        }
    }

    pub(super) const fn content_type(self, gzip: bool) -> &'static str {
        match self {
            Self::Lines if gzip => "application/gzip",
            Self::Lines => "application/x-ndjson",
            #[cfg(feature = "parquet")]
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    pub(super) const fn extension(self, gzip: bool) -> &'static str {
        match self {
            Self::Lines if gzip => "jsonl.gz",
            Self::Lines => "jsonl",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }
}

/// Amazon's endpoint of a region.
fn amazon(region: &str) -> String {
    let ending = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://s3.{region}.amazonaws.com{ending}")
}

fn read_endpoint(text: &str) -> Result<String, SettingsError> {
    let wrong = |message: String| SettingsError::new("endpoint", message);
    let url = url::parse(text).map_err(wrong)?;
    if url.query().is_some() {
        return Err(wrong("has a query, which a store knows nothing of; leave out `?` and what follows".to_owned()));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Names that are safe in a host as in a path.
fn check_bucket(name: &str) -> Result<(), SettingsError> {
    let ends = [name.bytes().next(), name.bytes().next_back()];
    let is_good = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_'))
        && ends.iter().flatten().all(u8::is_ascii_alphanumeric)
        && !name.contains("..");
    if is_good {
        return Ok(());
    }
    let message = "is not the name of a bucket: 3 to 63 small letters, digits, dots and hyphens; leave out `s3://`, \
                   and put a folder into `prefix`";
    Err(SettingsError::new("bucket", message))
}

fn check_label(field: &str, text: &str) -> Result<(), SettingsError> {
    let is_good =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_good { Ok(()) } else { Err(SettingsError::new(field, "is not a region; write it like `eu-west-1`")) }
}

/// A folder: what could be taken for another place, or needs an escape somewhere, is refused rather than mended.
fn read_prefix(text: &str) -> Result<String, SettingsError> {
    let wrong = |message: String| Err(SettingsError::new("prefix", message));
    let prefix = text.trim_matches('/');
    if prefix.is_empty() {
        return Ok(String::new());
    }
    if prefix.len() > PREFIX_BYTES_MAX {
        return wrong(format!("is longer than {PREFIX_BYTES_MAX} bytes"));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.=/".contains(c);
    if !prefix.chars().all(is_plain) || prefix.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong("holds more than letters, digits, `-`, `_`, `.`, `=` and single slashes between them".to_owned());
    }
    Ok(format!("{prefix}/"))
}
