//! Pages of a list.

/// Most entries of one page.
pub const PAGE_LIMIT_MAX: usize = 200;

/// Which page, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// What [`Page::next`] of the page before said; `None` for the first page.
    pub cursor: Option<u64>,
    /// 1 to [`PAGE_LIMIT_MAX`].
    pub limit: usize,
}

impl PageRequest {
    /// The first page of `limit` entries, brought into range.
    pub fn first(limit: usize) -> Self {
        Self { cursor: None, limit: limit.clamp(1, PAGE_LIMIT_MAX) }
    }

    /// The page after this one, if there is one.
    #[must_use]
    pub fn after<T>(&self, page: &Page<T>) -> Option<Self> {
        page.next.map(|cursor| Self { cursor: Some(cursor), limit: self.limit })
    }

    /// The page that begins with the first of `rows`. Each comes with the cursor of a page that ends with it.
    pub(crate) fn cut<T>(&self, rows: impl Iterator<Item = (u64, T)>) -> Page<T> {
        let mut rows = rows.peekable();
        let mut page = Page { items: Vec::new(), next: None };
        let mut last = None;
        for (cursor, item) in rows.by_ref().take(self.limit.clamp(1, PAGE_LIMIT_MAX)) {
            page.items.push(item);
            last = Some(cursor);
        }
        page.next = last.filter(|_| rows.peek().is_some());
        page
    }
}

/// A part of a list.
///
/// A selective query may look at many rows and find few: a page can then be short, even empty, and still name a next
/// one. The list is at its end only when `next` is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Opaque: where the next page begins.
    pub next: Option<u64>,
}

impl<T> Page<T> {
    /// The same page with each item changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: usize, rows: &[u64], items: &[u64], next: Option<u64>) {
        let request = PageRequest { cursor: None, limit };
        let page = request.cut(rows.iter().map(|&row| (row, row)));
        assert_eq!(page, Page { items: items.to_vec(), next });
    }

    #[test]
    fn a_page_names_the_next_one_only_if_there_is_more() {
        check(2, &[9, 8, 7], &[9, 8], Some(8));
        check(3, &[9, 8, 7], &[9, 8, 7], None);
        check(4, &[9, 8, 7], &[9, 8, 7], None);
        check(4, &[], &[], None);
    }

    #[test]
    fn a_limit_out_of_range_is_brought_into_it() {
        check(0, &[9, 8], &[9], Some(9));
        let rows: Vec<u64> = (0..500).collect();
        check(usize::MAX, &rows, &rows[..PAGE_LIMIT_MAX], Some(199));
    }
}
