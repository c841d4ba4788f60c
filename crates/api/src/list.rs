//! Pages of a list: `{"data": […], "next": cursor or null}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde::Serialize;
use storage::page::PAGE_LIMIT_MAX;
use storage::{Page, PageRequest};
use utoipa::ToSchema;

use crate::problem::Problem;

/// Entries of a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 50;
/// The first byte of a cursor: another one is another format.
const CURSOR_VERSION: u8 = 1;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    pub(crate) data: Vec<T>,
    /// Where the next page begins: the `cursor` to ask for. `null` at the end of the list. A page can be short, even
    /// empty, and still have a next one.
    pub(crate) next: Option<String>,
}

impl<T> List<T> {
    /// A list that fits on one page.
    pub(crate) fn whole(data: Vec<T>) -> Self {
        Self { data, next: None }
    }

    /// A page of a store, each item as it is shown.
    pub(crate) fn of<I>(page: Page<I>, show: impl FnMut(I) -> T) -> Self {
        Self { next: page.next.map(write), data: page.items.into_iter().map(show).collect() }
    }
}

/// The page that the parameters `limit` and `cursor` ask for.
pub(crate) fn page(limit: Option<usize>, cursor: Option<&str>) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=PAGE_LIMIT_MAX).contains(&limit) {
        let detail = format!("`limit` must be 1 to {PAGE_LIMIT_MAX}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "query_invalid", detail).at("limit"));
    }
    let cursor = cursor.map(|text| read(text).ok_or_else(malformed)).transpose()?;
    Ok(PageRequest { cursor, limit })
}

fn malformed() -> Problem {
    let detail = "this is not a cursor; use the `next` of the page before, unchanged";
    Problem::new(StatusCode::BAD_REQUEST, "cursor_invalid", detail).at("cursor")
}

fn write(cursor: u64) -> String {
    let mut bytes = [CURSOR_VERSION; 9];
    bytes[1..].copy_from_slice(&cursor.to_be_bytes());
    BASE64.encode(bytes)
}

fn read(text: &str) -> Option<u64> {
    // A `u64` and its version are 12 characters of base64; anything longer is not worth decoding.
    if text.len() != 12 {
        return None;
    }
    let bytes = BASE64.decode(text).ok()?;
    let (version, number) = bytes.split_first()?;
    (*version == CURSOR_VERSION).then_some(u64::from_be_bytes(number.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_and_anything_else_is_refused() {
        for cursor in [0, 1, u64::MAX] {
            assert_eq!(read(&write(cursor)), Some(cursor));
        }
        for bad in ["", "0", "AAAAAAAAAAAA", "AQAAAAAAAAAAAA", "AQAAAAAAAAA=", "ÄÄÄÄÄÄ"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
