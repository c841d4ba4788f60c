//! Settings in the URL: each release knows its own.

use super::Release;
use super::exception::Exception;
use crate::request::Request;

/// What a request sets.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Where a table is whose name says nothing else.
    pub(super) database: String,
    given: Vec<(String, String)>,
}

impl Settings {
    /// Reads the URL; a setting that the release does not know is refused.
    pub(super) fn read(request: &Request, release: Release) -> Result<Self, Exception> {
        let is_setting = |name: &str| !PARAMETERS.contains(&name) && !name.starts_with("param_");
        let given: Vec<_> = request.parameters().into_iter().filter(|(name, _)| is_setting(name)).collect();
        if let Some((name, _)) = given.iter().find(|(name, _)| !release.knows(name)) {
            return Err(Exception::new(115, &format!("Unknown setting {name}")));
        }
        let database = request.parameter("database").unwrap_or_else(|| "default".to_owned());
        Ok(Self { database, given })
    }

    /// A setting that was given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on, with the default of the release.
    pub(super) fn is_on(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |value| value == "1" || value == "true")
    }

    /// Every setting that the release knows.
    pub(super) fn all(release: Release) -> impl Iterator<Item = &'static str> {
        OLD.iter().chain(SINCE).copied().filter(move |name| release.knows(name))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { database: "default".to_owned(), given: Vec::new() }
    }
}

impl Release {
    fn knows(self, setting: &str) -> bool {
        OLD.contains(&setting) || (self == Self::Current && SINCE.contains(&setting))
    }
}

/// Parameters of the URL that are no settings.
const PARAMETERS: &[&str] = &[
    "query",
    "database",
    "user",
    "password",
    "query_id",
    "session_id",
    "default_format",
    "compress",
    "decompress",
    "buffer_size",
    "wait_end_of_query",
    "quota_key",
];
const OLD: &[&str] = &[
    "allow_experimental_low_cardinality_type",
    "date_time_input_format",
    "enable_http_compression",
    "input_format_allow_errors_num",
    "input_format_allow_errors_ratio",
    "input_format_skip_unknown_fields",
    "insert_deduplicate",
    "insert_quorum",
    "insert_quorum_timeout",
    "max_execution_time",
    "max_insert_block_size",
    "max_memory_usage",
    "max_partitions_per_insert_block",
    "output_format_json_quote_64bit_integers",
    "readonly",
    "send_progress_in_http_headers",
];
/// What has been added since.
const SINCE: &[&str] = &[
    "async_insert",
    "async_insert_busy_timeout_ms",
    "async_insert_deduplicate",
    "async_insert_max_data_size",
    "deduplicate_insert",
    "http_write_exception_in_output_format",
    "input_format_defaults_for_omitted_fields",
    "input_format_import_nested_json",
    "input_format_json_read_numbers_as_strings",
    "input_format_null_as_default",
    "input_format_parallel_parsing",
    "insert_deduplication_token",
    "log_comment",
    "wait_for_async_insert",
];
