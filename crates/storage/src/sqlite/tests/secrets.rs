//! Secrets at rest: sealed, bound to their row, resealed when the key changes.

use std::fs;
use std::path::Path;

use domain::signature::Scheme;
use domain::source::{Managed, Source, SourceSecret};
use domain::{Secret, Settings, SourceId};
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::kit::{KEY, OnDisk, options};
use crate::conformance::kit::{Kit, at};
use crate::sqlite::{DATABASE_FILE, OpenError, SqliteOptions, SqliteStore, Vault};
use crate::{Catalog as _, Upkeep as _};

const CANARY: &str = "canary-3f9a1c";

fn source(kit: &Kit, n: u128) -> Source {
    let secret = SourceSecret { secret: Secret::new(CANARY), created_at: at(0), expires_at: None };
    Source {
        id: SourceId::mint(at(0), n),
        appspace: kit.app,
        name: format!("source-{n}").parse().unwrap(),
        kind: "generic".to_owned(),
        scheme: Scheme::BodyHex,
        secrets: vec![secret],
        settings: Settings(serde_json::from_value(serde_json::json!({ "header": CANARY })).unwrap()),
        managed: Managed::Api,
        created_at: at(0),
        updated_at: at(0),
    }
}

fn with_keys(dir: &Path, keys: Vec<[u8; 32]>) -> SqliteOptions {
    SqliteOptions { vault: Vault::new(keys), ..options(dir) }
}

/// A directory with two sources in it.
async fn filled() -> (TempDir, Vec<Source>) {
    let (kit, probe) = OnDisk::kit(|options| options).await;
    let sources = vec![source(&kit, 1), source(&kit, 2)];
    for source in &sources {
        kit.store().put_source(source.clone()).await.unwrap();
    }
    let mut destination = OnDisk::kit(|options| options).await.0.new_destination("a");
    destination.settings = sources[0].settings.clone();
    kit.store().put_destination(destination, Vec::new()).await.unwrap();
    (probe.copy().await, sources)
}

#[tokio::test]
async fn no_secret_is_in_any_file() {
    let (dir, _) = filled().await;
    let (store, _watch) = SqliteStore::open(options(dir.path())).unwrap();
    store.close().await.unwrap();
    for file in fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
    }
}

#[tokio::test]
async fn another_key_is_told_apart_and_named() {
    let (dir, _) = filled().await;
    let error = SqliteStore::open(with_keys(dir.path(), vec![[8; 32]])).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey), "{error}");
    assert!(error.to_string().contains("AFTERCLICK_MASTER_KEY"));
}

#[tokio::test]
async fn another_key_is_told_apart_also_while_nothing_is_sealed() {
    let dir = TempDir::new().unwrap();
    drop(SqliteStore::open(options(dir.path())).unwrap());
    assert!(matches!(SqliteStore::open(with_keys(dir.path(), vec![[8; 32]])), Err(OpenError::WrongKey)));
}

#[tokio::test]
async fn a_new_key_seals_everything_anew_and_the_old_one_can_go() {
    let (dir, sources) = filled().await;
    drop(SqliteStore::open(with_keys(dir.path(), vec![[8; 32], KEY])).unwrap());
    let (store, _watch) = SqliteStore::open(with_keys(dir.path(), vec![[8; 32]])).unwrap();
    assert_eq!(store.load_catalog().await.unwrap().sources, sources);
    drop(store);
    assert!(matches!(SqliteStore::open(options(dir.path())), Err(OpenError::WrongKey)));
}

#[tokio::test]
async fn a_sealed_part_that_was_moved_to_another_row_is_noticed() {
    let (dir, sources) = filled().await;
    let conn = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    let [from, to] = [0, 1].map(|n| sources[n].id.to_bytes());
    let sql = "UPDATE sources SET sealed = (SELECT sealed FROM sources WHERE id = ?1) WHERE id = ?2";
    assert_eq!(conn.execute(sql, params![from, to]), Ok(1));
    let error = SqliteStore::open(options(dir.path())).unwrap_err();
    assert!(matches!(&error, OpenError::Altered(name) if name == "source-2"), "{error}");
}
