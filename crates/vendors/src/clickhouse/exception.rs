//! Exceptions, in the wording of each release.

use super::Release;
use crate::answer::Answer;

/// What went wrong, by the server's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) code: u32,
    pub(super) message: String,
}

impl Exception {
    pub(super) fn new(code: u32, message: &str) -> Self {
        Self { code, message: message.to_owned() }
    }

    /// The old release says its number in the body only, and 500 to most things.
    pub(super) fn answer(&self, release: Release) -> Answer {
        let Self { code, message } = self;
        let status = self.status(release);
        match release {
            Release::Old => {
                let text =
                    format!("Code: {code}, e.displayText() = DB::Exception: {message}, e.what() = DB::Exception\n");
                Answer::text(status, text)
            }
            Release::Current => {
                let version = release.version();
                let text = format!("Code: {code}. DB::Exception: {message}. ({}) (version {version})\n", self.name());
                Answer::text(status, text).with("x-clickhouse-exception-code", code.to_string())
            }
        }
    }

    fn status(&self, release: Release) -> u16 {
        match (self.code, release) {
            (16 | 60 | 81 | 115, _) => 404,
            (193, _) => 401,
            (516, _) => 403,
            (26 | 27 | 38 | 41 | 44 | 50 | 62 | 73 | 117, Release::Current) => 400,
            _ => 500,
        }
    }

    fn name(&self) -> &'static str {
        match self.code {
            16 => "NO_SUCH_COLUMN_IN_TABLE",
            26 => "CANNOT_PARSE_QUOTED_STRING",
            27 => "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
            44 => "ILLEGAL_COLUMN",
            50 => "UNKNOWN_TYPE",
            57 => "TABLE_ALREADY_EXISTS",
            60 => "UNKNOWN_TABLE",
            62 => "SYNTAX_ERROR",
            73 => "UNKNOWN_FORMAT",
            81 => "UNKNOWN_DATABASE",
            89 => "CANNOT_WRITE_TO_OSTREAM",
            115 => "UNKNOWN_SETTING",
            117 => "INCORRECT_DATA",
            164 => "READONLY",
            202 => "TOO_MANY_SIMULTANEOUS_QUERIES",
            241 => "MEMORY_LIMIT_EXCEEDED",
            252 => "TOO_MANY_PARTS",
            516 => "AUTHENTICATION_FAILED",
            _ => "UNKNOWN",
        }
    }
}

pub(super) fn unknown_table(name: &str) -> Exception {
    Exception::new(60, &format!("Table default.{name} doesn't exist"))
}

pub(super) fn syntax(query: &str) -> Exception {
    let start: String = query.chars().take(60).collect();
    Exception::new(62, &format!("Syntax error: failed at position 1 ('{start}')"))
}
