//! People at rest: sealed and hashed, resealed when the key changes, and gone from every page once they are erased.

use std::path::Path;
use std::sync::mpsc;

use bytes::Bytes;
use domain::event::Event;
use domain::identity::Identifier;
use domain::verdict::FailureReason;
use domain::{SubjectId, Verdict};
use rusqlite::Connection;
use tempfile::TempDir;

use super::kit::{Change, KEY, OnDisk, options, take_back};
use crate::conformance::kit::{Kit, at, change, fail, reject, settlement};
use crate::sqlite::shared::Shared;
use crate::sqlite::{DATABASE_FILE, OpenError, SqliteOptions, SqliteStore, Vault, erase, reader};
use crate::{
    ERASED_PER_CALL_MAX, Erased, Erasure, Fold, IdentifierRecord, NewDelivery, NewEvent, StoreError, SubjectRecord,
    Subjects as _,
};

const CANARY: &str = "canary-5e80aa1c";

fn email() -> Identifier {
    format!("email:{CANARY}@example.com").parse().unwrap()
}

fn fold_of(kit: &Kit, events: &[NewEvent]) -> Fold {
    let subject = SubjectId::born(kit.app, &email(), 0);
    let record = IdentifierRecord {
        identifier: email(),
        subject,
        links: [].into(),
        cut_at: None,
        trace: serde_json::from_value(serde_json::json!({"traits": {}})).unwrap(),
    };
    let person = SubjectRecord {
        id: subject,
        appspace: kit.app,
        born: email(),
        created_at: at(0),
        identifiers: [email()].into(),
        absorbed: [].into(),
        lost: [].into(),
        merged_into: None,
    };
    let events = events.iter().map(|new| (new.event.id, Some(email()))).collect();
    Fold { appspace: kit.app, events, identifiers: vec![record], subjects: vec![person], news: Vec::new() }
}

fn erasure(kit: &Kit, secs: i64) -> Erasure {
    Erasure {
        appspace: kit.app,
        subjects: vec![SubjectId::born(kit.app, &email(), 0)],
        identifiers: vec![email()],
        limit: ERASED_PER_CALL_MAX,
        memos: Vec::new(),
        tombstone: Bytes::from_static(b"{}"),
        now: at(secs),
    }
}

/// Whether any file of a directory holds the text.
fn is_in(dir: &Path) -> bool {
    let files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let mut files = files.filter(|bytes| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    files.next().is_some()
}

/// Events of the person, of several sizes, between those of others.
async fn tell(kit: &mut Kit, count: i64, destinations: &[domain::DestinationId]) -> Vec<NewEvent> {
    let mut told = Vec::new();
    for secs in 0..count {
        let padding = "x".repeat(usize::try_from(secs % 5 * secs % 5).unwrap() * 2_500);
        let body: Bytes = format!(r#"{{"data":{{"email":"{CANARY}@example.com","x":"{padding}"}}}}"#).into();
        let new = change(&kit.event(secs, destinations), |event| Event { body, ..event });
        let mut own = NewEvent { has_facts: true, ..new };
        // The key is that of the body; each is another event all the same.
        std::sync::Arc::make_mut(&mut own.event).dedupe_key.0[0..8].copy_from_slice(&secs.to_be_bytes());
        let others = kit.event(secs, destinations);
        kit.append(vec![own.clone(), others]).await;
        told.push(own);
    }
    told
}

#[tokio::test]
async fn nobody_can_be_read_in_any_file() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let new = NewEvent { has_facts: true, ..kit.event(0, &[]) };
    kit.append(vec![new.clone()]).await;
    kit.store().fold(fold_of(&kit, &[new])).await.unwrap();
    assert!(kit.store().identifiers(kit.app, &[email()]).await.unwrap()[0].is_some());
    assert!(!is_in(probe.copy().await.path()));
}

/// Erases a person who is all over the store, between others, and looks for what is left.
async fn erase_everywhere(limit: usize, change: Change) {
    let (mut kit, probe) = OnDisk::kit(change).await;
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let mut told = tell(&mut kit, 150, &[a, b]).await;
    let mut last = kit.event(150, &[a]);
    let note = Some((FailureReason::FilterError, format!("no field `company` of {CANARY}")));
    last.deliveries.push(NewDelivery { destination: b, stillborn: note });
    kit.append(vec![last.clone()]).await;
    told.push(last);
    let mut work = kit.claim(a, 200, 1_000).await;
    // Outcomes come in another order than deliveries, so that rows grow in the middle of pages.
    work.sort_by_key(|owned| owned.event.dedupe_key.fingerprint());
    for (n, owned) in work.iter().enumerate() {
        let verdict =
            [Verdict::Delivered, fail(), Verdict::Delivered, reject(FailureReason::ClientError)][n % 4].clone();
        let is_own = told.iter().any(|new| new.event.id == owned.event.id);
        let mut settlement = settlement(owned, 200, &verdict);
        let said = if is_own { CANARY } else { "somebody else" };
        settlement.attempt.reply = Some(format!("no contact {said} {}", "y".repeat(n * 7)));
        settlement.attempt.error = settlement.attempt.error.map(|error| format!("{error}: {said}"));
        kit.store().settle([settlement].into()).await.unwrap();
    }
    let in_hand = kit.claim(b, 200, 20).await;
    kit.store().fold(fold_of(&kit, &told)).await.unwrap();
    assert!(is_in(probe.copy().await.path()));
    let others = async |kit: &Kit| kit.list_deliveries(&kit.all_deliveries()).await;
    let before = others(&kit).await;

    let erased = kit.erase(&Erasure { limit, ..erasure(&kit, 300) }).await;
    assert_eq!((erased.events, erased.subjects, erased.identifiers), (told.len(), 1, 1));
    for file in std::fs::read_dir(probe.dir()).unwrap() {
        let path = file.unwrap().path();
        let b = std::fs::read(&path).unwrap();
        for (at, w) in b.windows(CANARY.len()).enumerate() {
            if w == CANARY.as_bytes() {
                let page = at / 4096;
                eprintln!(
                    "DBG {path:?} {at} page {page} off {} type {:?} {:?}",
                    at % 4096,
                    &b[page * 4096..page * 4096 + 8],
                    String::from_utf8_lossy(&b[at.saturating_sub(60)..at + 60])
                );
            }
        }
    }
    assert!(!is_in(probe.dir()), "some page still holds it");
    assert!(kit.store().settle([settlement(&in_hand[0], 301, &Verdict::Delivered)].into()).await.is_ok());
    assert_eq!(others(&kit).await, before);
    kit.reopen().await;
    assert!(!is_in(probe.dir()));
    assert_eq!(others(&kit).await, before);
    assert_eq!(&kit.store().event(kit.app, told[7].event.id).await.unwrap().event.body[..], b"{}");
}

#[tokio::test]
async fn an_erased_person_is_in_no_page() {
    erase_everywhere(ERASED_PER_CALL_MAX, |options| options).await;
}

#[tokio::test]
async fn an_erased_person_is_in_no_page_of_a_log_that_is_sorted() {
    erase_everywhere(20, |options| SqliteOptions { tail_rows_max: 8, kept_bytes_max: 0, ..options }).await;
}

#[tokio::test]
async fn an_erased_person_is_in_no_page_however_small_the_pieces_were() {
    erase_everywhere(3, |options| options).await;
}

#[tokio::test]
async fn what_retention_removes_is_in_no_page_either() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 40, &[]).await;
    kit.store().fold(Fold { identifiers: Vec::new(), subjects: Vec::new(), ..fold_of(&kit, &told) }).await.unwrap();
    assert_eq!(kit.prune(1_000, 30).await, 80);
    kit.reopen().await;
    assert!(!is_in(probe.dir()));
}

#[tokio::test]
async fn an_erasure_that_a_stop_interrupts_is_finished_by_the_next_start() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 10, &[]).await;
    kit.store().fold(fold_of(&kit, &told)).await.unwrap();
    // Without the end of it: nothing was wiped, and the WAL is as it was.
    for events in [10, 0] {
        let erasure = erasure(&kit, 20);
        let erased: Erased = probe.store().shared.queue.command(move |tx| erase::erase(tx, &erasure)).await.unwrap();
        assert_eq!((erased.events, erased.more), (events, events > 0));
    }
    let copy = probe.copy().await;
    assert!(is_in(copy.path()));
    let open = || SqliteStore::open(options(copy.path())).unwrap();
    let (store, _watch) = open();
    assert!(!is_in(copy.path()));
    assert_eq!(store.identifiers(kit.app, &[email()]).await.unwrap(), [None]);
    drop(store);
    drop(open());
}

#[tokio::test]
async fn what_an_erasure_has_left_in_unused_places_upkeep_overwrites() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    let told = tell(&mut kit, 150, &[a]).await;
    kit.store().fold(fold_of(&kit, &told)).await.unwrap();
    while kit.store().erase(Erasure { limit: 10, ..erasure(&kit, 200) }).await.unwrap().more {}
    // Whoever asked for it is gone before it is wiped.
    kit.reopen().await;
    while kit.store().tidy(at(201)).await.unwrap() {}
    assert!(!is_in(probe.dir()), "some page still holds it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_puts_off_the_end_of_an_erasure_and_not_the_work_of_others() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 10, &[]).await;
    kit.store().fold(fold_of(&kit, &told)).await.unwrap();
    let (reading, is_reading) = tokio::sync::oneshot::channel();
    let (let_go, gate) = mpsc::channel::<()>();
    let shared = probe.store().shared.clone();
    let read = move |conn: &Connection, _: &Shared| -> crate::Result<()> {
        let hold = |conn: &Connection| {
            conn.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0))?;
            let _ = reading.send(());
            let _ = gate.recv();
            Ok(())
        };
        reader::in_snapshot(conn, hold).unwrap();
        Ok(())
    };
    let reads = tokio::spawn(async move { reader::read(&shared, read).await });
    is_reading.await.unwrap();
    let (store, of_person) = (probe.store(), erasure(&kit, 20));
    let erases = tokio::spawn(async move {
        let events = store.erase(of_person.clone()).await.unwrap().events;
        let identifiers = store.erase(of_person).await.unwrap().identifiers;
        while store.wipe().await.unwrap() {}
        (events, identifiers)
    });
    for secs in 30..35 {
        let new = kit.event(secs, &[]);
        kit.append(vec![new.clone()]).await;
        assert!(kit.has(&new).await);
    }
    let_go.send(()).unwrap();
    reads.await.unwrap().unwrap();
    assert_eq!(erases.await.unwrap(), (10, 1));
    assert!(!is_in(probe.dir()));
    // A store that ends lets nobody wait.
    kit.store().close().await.unwrap();
    assert!(kit.store().erase(erasure(&kit, 40)).await.is_err());
}

#[tokio::test]
async fn an_erasure_that_stopped_after_a_piece_is_made_again_and_leaves_nothing() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    let told = tell(&mut kit, 40, &[a]).await;
    for (n, owned) in kit.claim(a, 50, 40).await.iter().enumerate() {
        let mut settlement = settlement(owned, 50, &if n % 4 == 0 { Verdict::Delivered } else { fail() });
        let is_own = told.iter().any(|new| new.event.id == owned.event.id);
        settlement.attempt.reply = is_own.then(|| format!("no contact {CANARY}"));
        kit.store().settle([settlement].into()).await.unwrap();
    }
    kit.store().fold(fold_of(&kit, &told)).await.unwrap();
    let erasure = Erasure { limit: 15, ..erasure(&kit, 60) };
    let first = kit.store().erase(erasure.clone()).await.unwrap();
    assert_eq!((first.events, first.identifiers, first.more), (15, 0, true));
    // The process ends here.
    let copy = probe.copy().await;
    let (store, _watch) = SqliteStore::open(options(copy.path())).unwrap();
    assert!(is_in(copy.path()));
    assert_eq!(store.events_of(kit.app, &[email()], None, 99).await.unwrap().len(), 25);
    assert!(store.identifiers(kit.app, &[email()]).await.unwrap()[0].is_some(), "who is known can be erased");
    let mut rest = Erased { more: true, ..Erased::default() };
    while rest.more {
        rest.add(store.erase(erasure.clone()).await.unwrap());
    }
    while store.wipe().await.unwrap() {}
    assert_eq!((rest.events, rest.identifiers, rest.subjects), (25, 1, 1));
    // Of forty deliveries of the person, every other one of the first twenty was made.
    assert_eq!(first.cancelled[&a] + rest.cancelled[&a], 30);
    assert!(!is_in(copy.path()), "some page still holds it");
}

fn with_keys(dir: &TempDir, keys: Vec<[u8; 32]>) -> SqliteOptions {
    SqliteOptions { vault: Vault::new(keys), ..options(dir.path()) }
}

#[tokio::test]
async fn a_new_key_seals_people_anew_and_they_are_found_as_before() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 3, &[]).await;
    let ours = fold_of(&kit, &told);
    for first in (0..2_500).step_by(500) {
        let mut many = Fold { events: Vec::new(), ..ours.clone() };
        many.identifiers = (first..first + 500)
            .map(|n| {
                let identifier = format!("click:{n}").parse().unwrap();
                IdentifierRecord { identifier, ..ours.identifiers[0].clone() }
            })
            .collect();
        kit.store().fold(many).await.unwrap();
    }
    kit.store().fold(ours.clone()).await.unwrap();
    let copy = probe.copy().await;
    for keys in [vec![[8; 32], KEY], vec![[8; 32]], vec![[9; 32], [8; 32]], vec![[9; 32]]] {
        let (store, _watch) = SqliteStore::open(with_keys(&copy, keys)).unwrap();
        let asked = [email(), "click:0".parse().unwrap(), "click:2499".parse().unwrap()];
        let found = store.identifiers(kit.app, &asked).await.unwrap();
        assert_eq!(found[0], Some(ours.identifiers[0].clone()));
        assert!(found.iter().all(Option::is_some));
        assert_eq!(store.subjects(kit.app, &[ours.subjects[0].id]).await.unwrap(), [Some(ours.subjects[0].clone())]);
        assert_eq!(store.events_of(kit.app, &[email()], None, 9).await.unwrap().len(), 3);
    }
    assert!(matches!(SqliteStore::open(options(copy.path())), Err(OpenError::WrongKey)));
}

#[tokio::test]
async fn a_record_that_was_moved_to_somebody_else_is_noticed() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 1, &[]).await;
    let mut two = fold_of(&kit, &told);
    let other: Identifier = "user:2".parse().unwrap();
    two.identifiers.push(IdentifierRecord { identifier: other.clone(), ..two.identifiers[0].clone() });
    kit.store().fold(two).await.unwrap();
    probe.execute("UPDATE identifiers SET sealed = (SELECT sealed FROM identifiers WHERE no = 1)").await;
    assert!(kit.store().identifiers(kit.app, &[email()]).await.is_ok());
    assert!(matches!(kit.store().identifiers(kit.app, &[other]).await, Err(StoreError::Unreadable(_))));
    assert!(probe.watch().reason().is_none());
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_passed_over() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 3, &[]).await;
    let sql = "UPDATE events SET time_mark = 9 WHERE no = (SELECT event_no FROM unfolded ORDER BY 1 LIMIT 1 OFFSET 1)";
    probe.execute(sql).await;
    let waiting = kit.store().unfolded(None, 9).await.unwrap();
    assert_eq!(waiting.iter().map(|event| event.id).collect::<Vec<_>>(), [told[0].event.id, told[2].event.id]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_nothing_from_going_when_its_time_is_over() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 3, &[]).await;
    kit.store().fold(fold_of(&kit, &told)).await.unwrap();
    probe.execute("UPDATE identifiers SET sealed = x'00'").await;
    let pruned = kit.store().prune(at(1_000_000), 100).await.unwrap();
    assert_eq!((pruned.events, pruned.done), (6, true));
    assert!(matches!(kit.store().identifiers(kit.app, &[email()]).await, Err(StoreError::Unreadable(_))));
}

#[tokio::test]
async fn no_fold_is_lost_wherever_it_stops() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 5, &[]).await;
    for n in 1..=5 {
        let waiting = kit.store().unfolded(None, 1).await.unwrap();
        assert_eq!(waiting[0].id, told[n - 1].event.id);
        kit.store().fold(fold_of(&kit, &told[n - 1..n])).await.unwrap();
        let copy = probe.copy().await;
        let (store, _watch) = SqliteStore::open(options(copy.path())).unwrap();
        assert_eq!(store.events_of(kit.app, &[email()], None, 9).await.unwrap().len(), n);
        assert_eq!(store.unfolded(None, 9).await.unwrap().len(), 5 - n);
    }
}

#[tokio::test]
async fn a_backup_holds_people_as_they_were() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let told = tell(&mut kit, 3, &[]).await;
    kit.store().fold(fold_of(&kit, &told[..2])).await.unwrap();
    let copy = TempDir::new().unwrap();
    crate::sqlite::backup(probe.dir(), &copy.path().join(DATABASE_FILE)).unwrap();
    let (store, _watch) = SqliteStore::open(options(copy.path())).unwrap();
    assert_eq!(store.events_of(kit.app, &[email()], None, 9).await.unwrap().len(), 2);
    assert_eq!(store.unfolded(None, 9).await.unwrap()[0].id, told[2].event.id);
    assert!(store.identifiers(kit.app, &[email()]).await.unwrap()[0].is_some());
}

#[tokio::test]
async fn stores_from_before_there_were_people_are_brought_up_to_date() {
    for version in [2, 3] {
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
        take_back(&conn, version);

        let app = kit.app;
        let mut kit = Kit::open(Box::new(OnDisk::on(dir, |options| options))).await;
        kit.app = app;
        // Ids of its own.
        for _ in 0..100 {
            kit.number();
        }
        assert_eq!(kit.store().unfolded(None, 9).await.unwrap(), []);
        let told = tell(&mut kit, 2, &[]).await;
        for _ in 0..2 {
            assert_eq!(kit.store().unfolded(None, 9).await.unwrap().len(), 2);
            assert_eq!(kit.due(a, 100).await, owed);
            kit.reopen().await;
        }
        kit.store().fold(fold_of(&kit, &told)).await.unwrap();
        assert_eq!(kit.store().events_of(app, &[email()], None, 9).await.unwrap().len(), 2);
        drop(kit);
        assert_eq!(schema(&conn), new);
    }
}

#[test]
fn each_statement_finds_its_rows_by_an_index() {
    let dir = TempDir::new().unwrap();
    drop(SqliteStore::open(options(dir.path())).unwrap());
    let conn = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    for sql in [
        "SELECT sealed FROM identifiers WHERE appspace_no = 1 AND hash = x'00' AND sealed IS NOT NULL",
        "DELETE FROM identifiers WHERE appspace_no = 1 AND hash = x'00' RETURNING sealed IS NOT NULL",
        "SELECT sealed FROM subjects WHERE appspace_no = 1 AND id = x'00'",
        "SELECT event_no FROM identifier_events WHERE identifier_no = 1 AND event_no >= 2 ORDER BY event_no LIMIT 3",
        "SELECT 1 FROM unfolded WHERE event_no = 1",
        "SELECT identifier_no FROM facts WHERE event_no = 1",
    ] {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> = plan.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{sql}: {plan:?}");
    }
}
