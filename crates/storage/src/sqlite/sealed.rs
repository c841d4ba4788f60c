//! Catalog rows whose secrets are sealed: the settings of sources and destinations, and the secrets of sources.
//!
//! A row has its record in two parts. The plain part is JSON that an operator can read; what may hold a secret is taken
//! out of it, sealed, and kept in a column of its own.

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::memos;
use super::options::OpenError;
use super::records;
use super::rows::malformed;
use super::vault::{SealedRow, Unsealable, Vault};

/// Members of a record that may hold a secret.
const SECRET_MEMBERS: [&str; 2] = ["settings", "secrets"];
/// Tables with a sealed column.
const TABLES: [&str; 2] = ["sources", "destinations"];
/// A row that every key must open: it tells a wrong key from a right one also while nothing else is sealed.
const CHECK: SealedRow<'static> = SealedRow { table: "meta", id: b"vault" };

/// The plain and the sealed part of a record.
pub(super) fn split<T: Serialize>(
    vault: &Vault,
    row: SealedRow<'_>,
    record: &T,
) -> rusqlite::Result<(String, Vec<u8>)> {
    let unwritable = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let Value::Object(mut plain) = serde_json::to_value(record).map_err(unwritable)? else {
        return Err(malformed(0, "record"));
    };
    let mut secret = Map::new();
    for member in SECRET_MEMBERS {
        secret.extend(plain.shift_remove(member).map(|value| (member.to_owned(), value)));
    }
    let secret = Zeroizing::new(serde_json::to_vec(&secret).map_err(unwritable)?);
    let plain = serde_json::to_string(&plain).map_err(unwritable)?;
    Ok((plain, vault.seal(row, &secret)))
}

/// The inverse of [`split`].
pub(super) fn join<T: DeserializeOwned>(
    vault: &Vault,
    row: SealedRow<'_>,
    plain: &str,
    sealed: &[u8],
) -> rusqlite::Result<T> {
    let secret = vault.open(row, sealed).map_err(|_| malformed(0, "sealed part of a record"))?;
    let mut record: Map<String, Value> = serde_json::from_str(plain).map_err(|_| malformed(0, "record"))?;
    let secret: Map<String, Value> = serde_json::from_slice(&secret).map_err(|_| malformed(0, "record"))?;
    record.extend(secret);
    serde_json::from_value(Value::Object(record)).map_err(|_| malformed(0, "record"))
}

/// Checks at a start that everything opens, and seals anew what an older key has sealed.
pub(super) fn check(conn: &Connection, vault: &Vault) -> Result<(), OpenError> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let is_new_key = check_key(conn, vault)?;
    for table in TABLES {
        reseal(conn, vault, table)?;
    }
    if is_new_key {
        // There may be many, so they are not looked at on every start.
        memos::reseal(conn, vault)?;
        records::reseal(conn, vault)?;
    }
    conn.execute_batch("COMMIT")?;
    Ok(())
}

/// Returns whether this is the first start with the key that seals now.
fn check_key(conn: &Connection, vault: &Vault) -> Result<bool, OpenError> {
    let found = conn.query_row("SELECT value FROM meta WHERE key = 'vault'", [], |row| row.get::<_, Vec<u8>>(0));
    match found {
        Ok(sealed) if vault.open(CHECK, &sealed).is_err() => return Err(OpenError::WrongKey),
        Ok(sealed) if vault.is_current(&sealed) => return Ok(false),
        Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
        Err(error) => return Err(error.into()),
    }
    let sealed = vault.seal(CHECK, b"afterclick");
    conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('vault', ?1)", [sealed])?;
    Ok(true)
}

fn reseal(conn: &Connection, vault: &Vault, table: &'static str) -> Result<(), OpenError> {
    let mut all = conn.prepare(&format!("SELECT id, sealed, name FROM {table}"))?;
    let mut all = all.query([])?;
    while let Some(row) = all.next()? {
        let (id, sealed): ([u8; 16], Vec<u8>) = (row.get(0)?, row.get(1)?);
        let sealed_row = SealedRow { table, id: &id };
        let plain = match vault.open(sealed_row, &sealed) {
            Ok(plain) => plain,
            Err(Unsealable::UnknownKey) => return Err(OpenError::WrongKey),
            Err(Unsealable::Altered) => return Err(OpenError::Altered(row.get(2)?)),
        };
        if !vault.is_current(&sealed) {
            let anew = vault.seal(sealed_row, &plain);
            conn.execute(&format!("UPDATE {table} SET sealed = ?2 WHERE id = ?1"), params![id, anew])?;
        }
    }
    Ok(())
}
