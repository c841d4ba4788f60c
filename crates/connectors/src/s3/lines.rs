//! Files of lines: one JSON object each.

use bytes::Bytes;
use serde_json::{Map, Value};

/// One line per row, each with its end.
pub(super) fn file(rows: &[Map<String, Value>]) -> Bytes {
    let mut file = Vec::new();
    for row in rows {
        // A map of values is always JSON, and a vector takes every byte.
        let _ = serde_json::to_writer(&mut file, row);
        file.push(b'\n');
    }
    file.into()
}
