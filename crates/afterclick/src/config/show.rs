//! Every effective value with where it comes from.

use std::fmt;

use serde::Serialize;

/// One line of `config show`. Secrets are masked before they get here.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) key: String,
    pub(crate) value: String,
    #[serde(serialize_with = "as_text")]
    pub(crate) origin: Origin,
}

/// Where a value comes from; the later ones win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    /// A line of the file whose name is known from the context.
    Line(usize),
    /// A line of this file.
    File(String, usize),
    Environment(&'static str),
    Flag(&'static str),
}

impl Origin {
    /// With the name of the file.
    pub(crate) fn in_file(self, file: &str) -> Self {
        match self {
            Self::Line(line) => Self::File(file.to_owned(), line),
            other => other,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::File(file, line) => write!(f, "{file}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

fn as_text<S: serde::Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(origin)
}
