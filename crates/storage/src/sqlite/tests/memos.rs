//! Memos at rest: sealed, resealed when the key changes, gone when they are over, kept by every stop.

use bytes::Bytes;
use domain::DestinationId;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::kit::{KEY, OnDisk, Probe, options, take_back};
use crate::conformance::kit::{Kit, at};
use crate::sqlite::memos::IS_BOUND;
use crate::sqlite::transaction::Tx;
use crate::sqlite::{DATABASE_FILE, OpenError, SqliteOptions, SqliteStore, Vault};
use crate::{Memo, Memos as _, StoreError};

const CANARY: &str = "canary-7d21e0@example.com";

fn put(key: &str, secs: Option<i64>) -> Memo {
    Memo::Put { key: key.to_owned(), value: CANARY.into(), expires_at: secs.map(at) }
}

async fn remember(kit: &Kit, of: DestinationId, memos: impl Iterator<Item = Memo>) {
    let memos: Vec<Memo> = memos.collect();
    for some in memos.chunks(crate::MEMOS_PER_CALL_MAX) {
        kit.store().remember(of, some.to_vec(), at(0)).await.unwrap();
    }
}

async fn rows(probe: &Probe) -> i64 {
    let count = |tx: &mut Tx<'_>| Ok(tx.conn.query_row("SELECT count(*) FROM memos", [], |row| row.get(0))?);
    probe.store().shared.queue.command(count).await.unwrap()
}

/// What a store opened on a copy recalls under `key`.
async fn recalled(dir: &TempDir, options: SqliteOptions, of: DestinationId, key: &str) -> Option<Bytes> {
    let (store, _watch) = SqliteStore::open(SqliteOptions { data_dir: dir.path().to_owned(), ..options }).unwrap();
    store.recall(of, vec![key.to_owned()], at(1)).await.unwrap().remove(0)
}

fn with_keys(dir: &TempDir, keys: Vec<[u8; 32]>) -> SqliteOptions {
    SqliteOptions { vault: Vault::new(keys), ..options(dir.path()) }
}

#[tokio::test]
async fn nothing_remembered_is_lost_wherever_it_stops() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    for n in 0..10 {
        let key = format!("k{n}");
        remember(&kit, a, [put(&key, None)].into_iter()).await;
        let copy = probe.copy().await;
        assert_eq!(recalled(&copy, options(copy.path()), a, &key).await, Some(CANARY.into()), "step {n}");
    }
}

#[tokio::test]
async fn no_value_is_in_any_file() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    remember(&kit, a, [put("k", None)].into_iter()).await;
    let copy = probe.copy().await;
    for file in std::fs::read_dir(copy.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
    }
}

#[tokio::test]
async fn a_new_key_seals_memos_anew_and_the_old_one_can_go() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    remember(&kit, a, (0..2_500).map(|n| put(&format!("k{n:04}"), None))).await;
    let copy = probe.copy().await;
    for (keys, key) in [(vec![[8; 32], KEY], "k0000"), (vec![[8; 32]], "k0999"), (vec![[8; 32]], "k2499")] {
        assert_eq!(recalled(&copy, with_keys(&copy, keys), a, key).await, Some(CANARY.into()));
    }
    assert!(matches!(SqliteStore::open(options(copy.path())), Err(OpenError::WrongKey)));
}

#[tokio::test]
async fn a_value_that_was_moved_under_another_key_is_noticed() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    remember(&kit, a, [put("k1", None), put("k2", None)].into_iter()).await;
    probe.execute("UPDATE memos SET sealed = (SELECT sealed FROM memos WHERE key = 'k1')").await;
    let read = async |key: &str| kit.store().recall(a, vec![key.to_owned()], at(1)).await;
    assert_eq!(read("k1").await.unwrap(), [Some(CANARY.into())]);
    assert!(matches!(read("k2").await, Err(StoreError::Failed(_))));
    // Nothing is built on it, and nobody else is bothered.
    let changes = vec![Memo::Forget { key: "k2".to_owned() }];
    assert!(matches!(kit.store().remember(a, changes, at(2)).await, Err(StoreError::Limit(_))));
    assert!(probe.watch().reason().is_none());
}

#[tokio::test]
async fn what_is_over_leaves_the_disk_in_bounded_pieces() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    remember(&kit, a, (0..2_500).map(|n| put(&format!("k{n}"), Some(10)))).await;
    remember(&kit, a, [put("later", Some(20)), put("lasting", None)].into_iter()).await;
    remember(&kit, b, (0..2_500).map(|n| put(&format!("k{n}"), None))).await;
    assert!(kit.store().tidy(at(10)).await.unwrap());
    assert_eq!(rows(&probe).await, 1_502 + 2_500);
    kit.tidy(10).await;
    assert_eq!(rows(&probe).await, 2 + 2_500);

    kit.store().delete_destination(b, at(11)).await.unwrap();
    assert!(kit.store().tidy(at(12)).await.unwrap());
    assert_eq!(rows(&probe).await, 2 + 1_500);
    // What a restart interrupts is gone on with.
    kit.reopen().await;
    kit.tidy(13).await;
    assert_eq!(rows(&probe).await, 2);
}

#[tokio::test]
async fn a_store_from_before_there_were_memos_is_brought_up_to_date() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 20, a).await;
    let dir = probe.copy().await;
    let conn = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    let schema = |conn: &Connection| -> Vec<String> {
        let mut rows = conn.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let new = schema(&conn);
    take_back(&conn, 1);

    let mut kit = Kit::open(Box::new(OnDisk::on(dir, |options| options))).await;
    for n in 0..2 {
        let change = Memo::PutIfAbsent { key: "k".to_owned(), value: CANARY.into(), expires_at: None };
        let found = kit.store().remember(a, vec![change], at(0)).await.unwrap();
        assert_eq!(found[0].is_some(), n > 0);
        assert_eq!(kit.due(a, 100).await, owed);
        kit.reopen().await;
    }
    drop(kit);
    assert_eq!(schema(&conn), new);
}

#[test]
fn a_plan_of_each_statement_uses_an_index() {
    let dir = TempDir::new().unwrap();
    drop(SqliteStore::open(options(dir.path())).unwrap());
    let conn = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    let plan = |sql: &str| -> String {
        let mut rows = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = rows.query_map(params![], |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    let list =
        plan("SELECT key, sealed FROM memos WHERE destination_no = 1 AND key >= 'a' AND key <> 'b' ORDER BY key");
    assert!(list.contains("(destination_no=? AND key>?)") && !list.contains("SORT"), "{list}");
    let over = plan("SELECT destination_no, key FROM memos WHERE expires_at <= 1 ORDER BY expires_at LIMIT 5");
    assert!(over.contains("memos_by_end") && !over.contains("SORT"), "{over}");
}

#[test]
fn whether_a_subject_has_a_record_anywhere_is_one_search() {
    let dir = TempDir::new().unwrap();
    drop(SqliteStore::open(options(dir.path())).unwrap());
    let conn = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {IS_BOUND}")).unwrap();
    let plan: Vec<String> = plan.query_map(["bind:0"], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
    assert!(plan.iter().all(|step| step.starts_with("SEARCH") && step.contains("memos_of_subjects")), "{plan:?}");
}
