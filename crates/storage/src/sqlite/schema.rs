//! The schema and its versions. Migrations are numbered files, applied in order, each in one transaction.

use rusqlite::Connection;

use super::options::OpenError;

/// Marks the file as ours (`ACLK`), so that a path to somebody else's database is refused.
const APPLICATION_ID: i64 = 0x4143_4C4B;

/// All migrations; the schema version is how many of them a database has seen.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_memos.sql"),
    include_str!("migrations/0003_first_tries.sql"),
    include_str!("migrations/0004_subjects.sql"),
    include_str!("migrations/0005_bindings.sql"),
];

/// The schema version that this program writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Brings a database to [`VERSION`]; refuses one that a newer program wrote.
pub(super) fn migrate(conn: &Connection) -> Result<(), OpenError> {
    let found = version(conn)?;
    if found > VERSION {
        return Err(OpenError::NewerSchema { found, known: VERSION });
    }
    let application_id: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if found > 0 && application_id != APPLICATION_ID {
        return Err(OpenError::NotOurs);
    }
    for (done, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE;\n{migration}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {};\nCOMMIT;",
            done + 1
        ))?;
    }
    Ok(())
}

fn version(conn: &Connection) -> Result<usize, OpenError> {
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version).map_err(|_| OpenError::NotOurs)
}
