//! Pages of a list: `{"data": […], "next": cursor or null}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use storage::page::PAGE_LIMIT_MAX;
use storage::{Page, PageRequest};
use utoipa::{IntoParams, ToSchema};

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
    /// A page of a list that is in memory: all of it, unless the query says otherwise.
    pub(crate) fn part<I>(
        items: impl IntoIterator<Item = I>,
        query: &Part,
        show: impl FnMut(I) -> T,
    ) -> Result<Self, Problem> {
        let limit = query.limit.map(in_range).transpose()?.unwrap_or(usize::MAX);
        let skip = usize::try_from(cursor(query.cursor.as_deref())?.unwrap_or(0)).map_err(|_| malformed())?;
        let mut items = items.into_iter().skip(skip);
        let data = items.by_ref().take(limit).map(show).collect();
        let next = items.next().map(|_| write((skip + limit) as u64));
        Ok(Self { data, next })
    }

    /// A page of a store, each item as it is shown.
    pub(crate) fn of<I>(page: Page<I>, show: impl FnMut(I) -> T) -> Self {
        Self { next: page.next.map(write), data: page.items.into_iter().map(show).collect() }
    }
}

/// Which part of a list that is in memory.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// Entries of a page; all of them, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// The page that the parameters `limit` and `cursor` ask for.
pub(crate) fn page(limit: Option<usize>, cursor_text: Option<&str>) -> Result<PageRequest, Problem> {
    let limit = in_range(limit.unwrap_or(LIMIT_DEFAULT))?;
    Ok(PageRequest { cursor: cursor(cursor_text)?, limit })
}

fn in_range(limit: usize) -> Result<usize, Problem> {
    if (1..=PAGE_LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("`limit` must be 1 to {PAGE_LIMIT_MAX}");
    Err(Problem::new(StatusCode::BAD_REQUEST, "query_invalid", detail).at("limit"))
}

fn cursor(text: Option<&str>) -> Result<Option<u64>, Problem> {
    text.map(|text| read(text).ok_or_else(malformed)).transpose()
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
