//! Shredding: no page keeps a copy of what was removed from a row.
//!
//! `secure_delete` overwrites what is deleted where it is. But when SQLite splits or joins pages it moves rows between them, and
//! what it leaves in the unused middle of a page it does not overwrite; of a hundred replies about one has such a copy. It lies
//! among the neighbours of the row. So after an erasure the rows around are deleted and inserted again as they are: the pages that
//! held them become free, and a free page is overwritten whole.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::numbers::sql_limit;

/// A table whose rows hold text of people.
pub(super) struct Shreddable {
    table: &'static str,
    key: &'static str,
    /// How many rows on each side lie on a page with it, or on the pages beside that.
    around: usize,
}

pub(super) const EVENTS: Shreddable = Shreddable { table: "events", key: "no", around: 16 };
pub(super) const DELIVERIES: Shreddable = Shreddable { table: "deliveries", key: "no", around: 128 };
pub(super) const ATTEMPTS: Shreddable = Shreddable { table: "attempts", key: "delivery_no", around: 64 };

/// Most rows whose neighbours are written anew together.
const TOGETHER_MAX: usize = 32;

impl Shreddable {
    /// Writes the neighbours of these rows anew. The keys rise.
    pub(super) fn shred(&self, conn: &Connection, keys: &[i64]) -> rusqlite::Result<()> {
        for some in keys.chunks(TOGETHER_MAX) {
            let (mut first, mut last) = (None, None);
            for &key in some {
                let (from, to) = (self.before(conn, key)?, self.after(conn, key)?);
                if let (Some(begin), Some(end)) = (first, last)
                    && from > end
                {
                    self.rewrite(conn, begin, end)?;
                    first = None;
                }
                first = first.or(Some(from));
                last = Some(to);
            }
            if let (Some(first), Some(last)) = (first, last) {
                self.rewrite(conn, first, last)?;
            }
        }
        Ok(())
    }

    fn before(&self, conn: &Connection, key: i64) -> rusqlite::Result<i64> {
        let Self { table, key: column, around } = self;
        let sql = format!(
            "SELECT coalesce(min(k), ?1) FROM \
             (SELECT {column} AS k FROM {table} WHERE {column} <= ?1 ORDER BY {column} DESC LIMIT ?2)"
        );
        conn.prepare_cached(&sql)?.query_row(params![key, sql_limit(*around)], |row| row.get(0))
    }

    fn after(&self, conn: &Connection, key: i64) -> rusqlite::Result<i64> {
        let Self { table, key: column, around } = self;
        let sql = format!(
            "SELECT coalesce(max(k), ?1) FROM \
             (SELECT {column} AS k FROM {table} WHERE {column} >= ?1 ORDER BY {column} LIMIT ?2)"
        );
        conn.prepare_cached(&sql)?.query_row(params![key, sql_limit(*around)], |row| row.get(0))
    }

    /// Deletes rows and inserts them again as they are.
    fn rewrite(&self, conn: &Connection, first: i64, last: i64) -> rusqlite::Result<()> {
        let Self { table, key, .. } = self;
        let mut select = conn.prepare_cached(&format!("SELECT * FROM {table} WHERE {key} BETWEEN ?1 AND ?2"))?;
        let columns = select.column_count();
        let whole = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
        let rows: Vec<Vec<Value>> = select.query_map(params![first, last], whole)?.collect::<Result<_, _>>()?;
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE {key} BETWEEN ?1 AND ?2"))?.execute([first, last])?;
        let places = vec!["?"; columns].join(", ");
        let mut insert = conn.prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))?;
        rows.into_iter().try_for_each(|row| insert.execute(params_from_iter(row)).map(drop))
    }
}
