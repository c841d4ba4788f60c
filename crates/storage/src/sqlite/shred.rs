//! Shredding: no page keeps a copy of what was removed from a row.
//!
//! `secure_delete` overwrites what is deleted where it is. But when SQLite splits or joins pages it moves rows between them, and
//! what it leaves in the unused middle of a page it does not overwrite; of a hundred replies about one has such a copy. It lies
//! among the neighbours of the row. So after an erasure the rows around are deleted and inserted again as they are: the pages that
//! held them become free, and a free page is overwritten whole.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// A table whose rows hold text of people.
pub(super) struct Shreddable {
    table: &'static str,
    key: &'static str,
    /// Fewest rows on each side that are written anew: copies drift while the rows between are written and removed.
    rows: usize,
    /// Bytes that a row takes on its page; never more than it does, also of one that was erased.
    bytes: &'static str,
}

pub(super) const EVENTS: Shreddable = Shreddable { table: "events", key: "no", rows: 16, bytes: "90 + length(body)" };
pub(super) const DELIVERIES: Shreddable = Shreddable {
    table: "deliveries",
    key: "no",
    rows: 128,
    bytes: "40 + ifnull(length(note), 0) + ifnull(length(tried_reply), 0)",
};
pub(super) const ATTEMPTS: Shreddable = Shreddable {
    table: "attempts",
    key: "delivery_no",
    rows: 64,
    bytes: "30 + ifnull(length(error), 0) + ifnull(length(reply), 0)",
};

/// How much of a table lies on the page of a row and on two more, which SQLite joins and splits together.
const AROUND_BYTES: i64 = 3 * 4_096;
/// A row that is longer has pages of its own, and may leave as little as this on the page.
const ROW_BYTES_MAX: i64 = 900;
const SPLIT_ROW_BYTES: i64 = 480;
/// Most rows whose neighbours are written anew together.
const TOGETHER_MAX: usize = 32;
/// Bytes of neighbours after which no further ones are taken along: they are held while they are written.
const TOGETHER_BYTES_MAX: i64 = 8 * 1024 * 1024;

/// Where the neighbours of a row end on one side, and how much they hold.
struct End {
    key: i64,
    bytes: i64,
}

impl Shreddable {
    /// Writes the neighbours of these rows anew. The keys rise.
    pub(super) fn shred(&self, conn: &Connection, keys: &[i64]) -> rusqlite::Result<()> {
        for some in keys.chunks(TOGETHER_MAX) {
            let (mut range, mut bytes): (Option<(i64, i64)>, i64) = (None, 0);
            for &key in some {
                if let Some((first, last)) = range.filter(|_| bytes > TOGETHER_BYTES_MAX) {
                    self.rewrite(conn, first, last)?;
                    (range, bytes) = (None, 0);
                }
                let before = self.before(conn, key)?;
                let first = match range {
                    Some((first, last)) if before.key > last => {
                        self.rewrite(conn, first, last)?;
                        bytes = before.bytes;
                        before.key
                    }
                    Some((first, _)) => first,
                    None => {
                        bytes = before.bytes;
                        before.key
                    }
                };
                let after = self.after(conn, key)?;
                bytes += after.bytes;
                range = Some((first, after.key));
            }
            if let Some((first, last)) = range {
                self.rewrite(conn, first, last)?;
            }
        }
        Ok(())
    }

    fn before(&self, conn: &Connection, key: i64) -> rusqlite::Result<End> {
        let Self { table, key: column, bytes, .. } = self;
        self.end(
            conn,
            &format!("SELECT {column}, {bytes} FROM {table} WHERE {column} < ?1 ORDER BY {column} DESC"),
            key,
        )
    }

    fn after(&self, conn: &Connection, key: i64) -> rusqlite::Result<End> {
        let Self { table, key: column, bytes, .. } = self;
        self.end(conn, &format!("SELECT {column}, {bytes} FROM {table} WHERE {column} > ?1 ORDER BY {column}"), key)
    }

    /// The last row of those around on one side.
    fn end(&self, conn: &Connection, sql: &str, key: i64) -> rusqlite::Result<End> {
        let mut walk = conn.prepare_cached(sql)?;
        let mut rows = walk.query([key])?;
        let (mut end, mut count, mut on_pages) = (End { key, bytes: 0 }, 0, 0);
        while (count < self.rows || on_pages < AROUND_BYTES)
            && let Some(row) = rows.next()?
        {
            let bytes: i64 = row.get(1)?;
            end = End { key: row.get(0)?, bytes: end.bytes + bytes };
            on_pages += if bytes > ROW_BYTES_MAX { SPLIT_ROW_BYTES } else { bytes };
            count += 1;
        }
        Ok(end)
    }

    /// Deletes rows and inserts them again as they are.
    fn rewrite(&self, conn: &Connection, first: i64, last: i64) -> rusqlite::Result<()> {
        let Self { table, key, .. } = self;
        let mut select = conn.prepare_cached(&format!("SELECT * FROM {table} WHERE {key} BETWEEN ?1 AND ?2"))?;
        let columns = select.column_count();
        let whole = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
        let rows: Vec<Vec<Value>> = select.query_map([first, last], whole)?.collect::<Result<_, _>>()?;
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE {key} BETWEEN ?1 AND ?2"))?.execute([first, last])?;
        let places = vec!["?"; columns].join(", ");
        let mut insert = conn.prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))?;
        rows.into_iter().try_for_each(|row| insert.execute(params_from_iter(row)).map(drop))
    }
}
