//! Records of identifiers and subjects: sealed, and found by a keyed hash or by an opaque id.
//!
//! Numbers are given in the order in which identifiers are met, so that what is new lies together; only the index of their hashes
//! is written at random places, off the way of arriving events.

use domain::SubjectId;
use domain::identity::Identifier;
use ring::hmac;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::failure::UnreadableRecord;
use super::numbers::{AppspaceNo, sql_limit};
use super::options::OpenError;
use super::shared::Shared;
use super::vault::{SealedRow, Unsealable, Vault};
use crate::{IdentifierRecord, SubjectRecord};

/// The number of an identifier.
pub(super) type IdentifierNo = i64;

const HASH_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// Records sealed anew at a time.
const STEP_ROWS: usize = 1_000;
/// Where the key of the hashes is kept. It is not made from the vault's, so that a new one leaves the hashes as they are.
const KEY_ROW: SealedRow<'static> = SealedRow { table: "meta", id: b"identifier_key" };

/// The records of one appspace.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    conn: &'a Connection,
    vault: &'a Vault,
    key: &'a hmac::Key,
    appspace: AppspaceNo,
}

impl<'a> Records<'a> {
    pub(super) fn new(conn: &'a Connection, shared: &'a Shared, appspace: AppspaceNo) -> Self {
        Self { conn, vault: &shared.vault, key: &shared.identifier_key, appspace }
    }

    pub(super) fn identifier(&self, of: &Identifier) -> rusqlite::Result<Option<IdentifierRecord>> {
        let hash = self.hash(of);
        let sql = "SELECT sealed FROM identifiers WHERE appspace_no = ?1 AND hash = ?2 AND sealed IS NOT NULL";
        let mut find = self.conn.prepare_cached(sql)?;
        find.query_row(params![self.appspace, hash], |row| self.open("identifiers", &hash, row)).optional()
    }

    pub(super) fn put_identifier(&self, record: &IdentifierRecord) -> rusqlite::Result<()> {
        let hash = self.hash(&record.identifier);
        let sql = "INSERT INTO identifiers (appspace_no, hash, sealed) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (appspace_no, hash) DO UPDATE SET sealed = ?3";
        let sealed = self.seal("identifiers", &hash, record)?;
        self.conn.prepare_cached(sql)?.execute(params![self.appspace, hash, sealed]).map(drop)
    }

    /// Removes an identifier, record and number; returns whether there was a record.
    pub(super) fn remove_identifier(&self, of: &Identifier) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM identifiers WHERE appspace_no = ?1 AND hash = ?2 RETURNING sealed IS NOT NULL";
        let mut remove = self.conn.prepare_cached(sql)?;
        let had_record = remove.query_row(params![self.appspace, self.hash(of)], |row| row.get(0)).optional()?;
        Ok(had_record.unwrap_or(false))
    }

    /// The numbers of those of these identifiers that have one.
    pub(super) fn nos(&self, of: &[Identifier]) -> rusqlite::Result<Vec<IdentifierNo>> {
        of.iter().filter_map(|identifier| self.find_no(identifier).transpose()).collect()
    }

    /// The number of an identifier, if it has one.
    pub(super) fn find_no(&self, of: &Identifier) -> rusqlite::Result<Option<IdentifierNo>> {
        let mut find = self.conn.prepare_cached("SELECT no FROM identifiers WHERE appspace_no = ?1 AND hash = ?2")?;
        find.query_row(params![self.appspace, self.hash(of)], |row| row.get(0)).optional()
    }

    /// The number of an identifier, which is given one if it has none.
    pub(super) fn no(&self, of: &Identifier) -> rusqlite::Result<IdentifierNo> {
        if let Some(no) = self.find_no(of)? {
            return Ok(no);
        }
        let mut insert = self.conn.prepare_cached("INSERT INTO identifiers (appspace_no, hash) VALUES (?1, ?2)")?;
        insert.insert(params![self.appspace, self.hash(of)])
    }

    pub(super) fn subject(&self, id: SubjectId) -> rusqlite::Result<Option<SubjectRecord>> {
        let id = id.to_bytes();
        let mut find = self.conn.prepare_cached("SELECT sealed FROM subjects WHERE appspace_no = ?1 AND id = ?2")?;
        find.query_row(params![self.appspace, id], |row| self.open("subjects", &id, row)).optional()
    }

    pub(super) fn put_subject(&self, record: &SubjectRecord) -> rusqlite::Result<()> {
        let id = record.id.to_bytes();
        let sql = "INSERT INTO subjects (appspace_no, id, sealed) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (appspace_no, id) DO UPDATE SET sealed = ?3";
        let sealed = self.seal("subjects", &id, record)?;
        self.conn.prepare_cached(sql)?.execute(params![self.appspace, id, sealed]).map(drop)
    }

    /// Removes the record of a subject; returns whether there was one.
    pub(super) fn remove_subject(&self, id: SubjectId) -> rusqlite::Result<bool> {
        let mut remove = self.conn.prepare_cached("DELETE FROM subjects WHERE appspace_no = ?1 AND id = ?2")?;
        Ok(remove.execute(params![self.appspace, id.to_bytes()])? > 0)
    }

    /// The record of the identifier with this number and its appspace, if it is there and has one.
    pub(super) fn of_no(
        conn: &'a Connection,
        shared: &'a Shared,
        no: IdentifierNo,
    ) -> rusqlite::Result<Option<(Self, IdentifierRecord)>> {
        let sql = "SELECT sealed, appspace_no, hash FROM identifiers WHERE no = ?1 AND sealed IS NOT NULL";
        let found = conn.prepare_cached(sql)?.query_row([no], |row| {
            let records = Self::new(conn, shared, row.get(1)?);
            let record = records.open("identifiers", &row.get::<_, [u8; HASH_BYTES]>(2)?, row)?;
            Ok((records, record))
        });
        found.optional()
    }

    fn hash(&self, of: &Identifier) -> [u8; HASH_BYTES] {
        let mut context = hmac::Context::with_key(self.key);
        context.update(&self.appspace.to_be_bytes());
        context.update(of.to_string().as_bytes());
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&context.sign().as_ref()[..HASH_BYTES]);
        hash
    }

    fn seal(&self, table: &'static str, id: &[u8; 16], record: &impl Serialize) -> rusqlite::Result<Vec<u8>> {
        let plain = serde_json::to_vec(record).map(Zeroizing::new);
        let plain = plain.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(self.vault.seal(SealedRow { table, id: &row_id(self.appspace, id) }, &plain))
    }

    /// Opens what is in the first column.
    fn open<T: DeserializeOwned>(&self, table: &'static str, id: &[u8; 16], row: &Row<'_>) -> rusqlite::Result<T> {
        let id = row_id(self.appspace, id);
        let plain = self.vault.open(SealedRow { table, id: &id }, row.get_ref(0)?.as_blob()?);
        let plain = plain.map_err(|_| UnreadableRecord("the sealed record of a subject"))?;
        Ok(serde_json::from_slice(&plain).map_err(|_| UnreadableRecord("the record of a subject"))?)
    }
}

/// What a sealed record is bound to. An appspace keeps its number for ever.
fn row_id(appspace: AppspaceNo, id: &[u8; 16]) -> Vec<u8> {
    [&appspace.to_be_bytes()[..], id].concat()
}

/// The key of the hashes, which is made at the first start and kept sealed.
pub(super) fn key(conn: &Connection, vault: &Vault) -> Result<hmac::Key, OpenError> {
    let find = "SELECT value FROM meta WHERE key = 'identifier_key'";
    let found: Option<Vec<u8>> = conn.query_row(find, [], |row| row.get(0)).optional()?;
    let plain = if let Some(sealed) = &found {
        open(vault, KEY_ROW, sealed, || "the key of identifiers".to_owned())?
    } else {
        let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
        getrandom::fill(&mut key).expect("the operating system has random numbers");
        key
    };
    if !found.is_some_and(|sealed| vault.is_current(&sealed)) {
        let sealed = vault.seal(KEY_ROW, &plain);
        conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('identifier_key', ?1)", [sealed])?;
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &plain))
}

/// Seals every record anew, after the key has changed.
pub(super) fn reseal(conn: &Connection, vault: &Vault) -> Result<(), OpenError> {
    for (table, id) in [("identifiers", "hash"), ("subjects", "id")] {
        let mut some = conn.prepare(&format!(
            "SELECT no, appspace_no, {id}, sealed FROM {table} WHERE no > ?1 AND sealed IS NOT NULL ORDER BY no LIMIT ?2"
        ))?;
        let mut update = conn.prepare(&format!("UPDATE {table} SET sealed = ?2 WHERE no = ?1"))?;
        let mut last = 0;
        loop {
            let row = |row: &Row<'_>| Ok((row.get(0)?, row_id(row.get(1)?, &row.get(2)?), row.get(3)?));
            let rows = some.query_map(params![last, sql_limit(STEP_ROWS)], row)?;
            let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
            for (no, id, sealed) in &rows {
                let row = SealedRow { table, id };
                let plain = open(vault, row, sealed, || format!("row {no} of {table}"))?;
                update.execute(params![no, vault.seal(row, &plain)])?;
            }
            match rows.last() {
                Some(&(no, ..)) => last = no,
                None => break,
            }
        }
    }
    Ok(())
}

fn open(
    vault: &Vault,
    row: SealedRow<'_>,
    sealed: &[u8],
    name: impl FnOnce() -> String,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    vault.open(row, sealed).map_err(|unsealable| match unsealable {
        Unsealable::UnknownKey => OpenError::WrongKey,
        Unsealable::Altered => OpenError::Altered(name()),
    })
}
