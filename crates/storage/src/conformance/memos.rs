//! What is remembered of a destination: claims are won once, ends are kept, nothing leaks into another drawer.

use bytes::Bytes;
use domain::DestinationId;
use tokio::task::JoinSet;

use super::kit::{Kit, STEPS_MAX, at, expect_missing};
use crate::{MEMO_KEY_BYTES_MAX, MEMO_VALUE_BYTES_MAX, MEMOS_PER_CALL_MAX, Memo, Result, StoreError};

fn put(key: &str, value: &str) -> Memo {
    Memo::Put { key: key.to_owned(), value: bytes(value), expires_at: None }
}

fn claim(key: &str, value: &str) -> Memo {
    Memo::PutIfAbsent { key: key.to_owned(), value: bytes(value), expires_at: None }
}

fn forget(key: &str) -> Memo {
    Memo::Forget { key: key.to_owned() }
}

fn until(memo: Memo, secs: i64) -> Memo {
    let end = Some(at(secs));
    match memo {
        Memo::Put { key, value, .. } => Memo::Put { key, value, expires_at: end },
        Memo::PutIfAbsent { key, value, .. } => Memo::PutIfAbsent { key, value, expires_at: end },
        Memo::Forget { .. } => memo,
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn found(texts: &[&str]) -> Vec<Option<Bytes>> {
    texts.iter().map(|text| (!text.is_empty()).then(|| bytes(text))).collect()
}

async fn remember(kit: &Kit, of: DestinationId, secs: i64, changes: &[Memo]) -> Vec<Option<Bytes>> {
    kit.store().remember(of, changes.to_vec(), at(secs)).await.expect("remember")
}

async fn recall(kit: &Kit, of: DestinationId, secs: i64, keys: &[&str]) -> Vec<Option<Bytes>> {
    let keys = keys.iter().map(|&key| key.to_owned()).collect();
    kit.store().recall(of, keys, at(secs)).await.expect("recall")
}

/// Every key with a prefix, page by page.
async fn keys(kit: &Kit, of: DestinationId, prefix: &str, limit: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for _ in 0..STEPS_MAX {
        let after = all.last().map(String::as_str);
        let some = kit.store().recall_all(of, prefix, after, limit, at(0)).await.expect("recall");
        assert!(some.len() <= limit, "{} memos where {limit} were asked for", some.len());
        if some.is_empty() {
            return all;
        }
        all.extend(some.into_iter().map(|(key, _)| key));
    }
    panic!("the list never comes to an end");
}

#[track_caller]
fn expect_limit<T: std::fmt::Debug>(result: &Result<T>) {
    assert!(matches!(result, Err(StoreError::Limit(_))), "{result:?}");
}

pub(super) async fn what_is_remembered_is_recalled_after_a_restart(mut kit: Kit) {
    let a = kit.destination("a").await;
    let binary = Bytes::from_static(b"\0\xff of bytes");
    let changes =
        [put("b:1", "x"), put("empty", ""), Memo::Put { key: "é\0".into(), value: binary.clone(), expires_at: None }];
    assert_eq!(remember(&kit, a, 0, &changes).await, [None, None, None]);
    for _ in 0..2 {
        let expected = [Some(binary.clone()), None, Some(bytes("x")), Some(Bytes::new()), Some(bytes("x"))];
        assert_eq!(recall(&kit, a, 1, &["é\0", "b:2", "b:1", "empty", "b:1"]).await, expected);
        assert_eq!(recall(&kit, a, 1, &[]).await, []);
        kit.tidy(2).await;
        kit.reopen().await;
    }
}

pub(super) async fn a_change_says_what_it_found(mut kit: Kit) {
    let a = kit.destination("a").await;
    assert_eq!(remember(&kit, a, 0, &[put("k", "1")]).await, found(&[""]));
    assert_eq!(remember(&kit, a, 1, &[put("k", "2"), put("j", "x")]).await, found(&["1", ""]));
    assert_eq!(remember(&kit, a, 2, &[forget("k"), forget("nothing")]).await, found(&["2", ""]));
    assert_eq!(remember(&kit, a, 3, &[]).await, []);
    kit.reopen().await;
    assert_eq!(recall(&kit, a, 4, &["k", "j"]).await, found(&["", "x"]));
    assert_eq!(remember(&kit, a, 5, &[put("k", "3")]).await, found(&[""]));
}

pub(super) async fn changes_of_one_call_see_each_other(mut kit: Kit) {
    let a = kit.destination("a").await;
    let changes = [claim("k", "1"), claim("k", "2"), put("k", "3"), forget("k"), claim("k", "4")];
    assert_eq!(remember(&kit, a, 0, &changes).await, found(&["", "1", "1", "3", ""]));
    assert_eq!(recall(&kit, a, 0, &["k"]).await, found(&["4"]));
}

pub(super) async fn a_claim_is_won_once(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mut calls = JoinSet::new();
    for n in 0..50 {
        let (store, change) = (kit.share(), claim("first", &n.to_string()));
        calls.spawn(async move { (n, store.remember(a, vec![change], at(0)).await.expect("remember").remove(0)) });
    }
    let answers = calls.join_all().await;
    let won: Vec<_> = answers.iter().filter(|(_, found)| found.is_none()).collect();
    assert_eq!(won.len(), 1);
    let winner = bytes(&won[0].0.to_string());
    assert!(answers.iter().all(|(_, found)| found.as_ref().is_none_or(|found| *found == winner)));
    kit.reopen().await;
    assert_eq!(remember(&kit, a, 1, &[claim("first", "late")]).await, [Some(winner)]);
}

pub(super) async fn a_memo_that_is_over_counts_as_absent(mut kit: Kit) {
    let a = kit.destination("a").await;
    remember(&kit, a, 0, &[until(put("k", "1"), 10), until(claim("j", "1"), 20), put("i", "1")]).await;
    kit.reopen().await;
    assert_eq!(recall(&kit, a, 9, &["k", "j", "i"]).await, found(&["1", "1", "1"]));
    assert_eq!(recall(&kit, a, 10, &["k", "j", "i"]).await, found(&["", "1", "1"]));
    let left = kit.store().recall_all(a, "", None, 10, at(10)).await.expect("recall");
    assert_eq!(left, [("i".to_owned(), bytes("1")), ("j".to_owned(), bytes("1"))]);
    // What is over makes way for a claim; what is not keeps its end.
    let again = [until(claim("k", "2"), 30), until(claim("j", "2"), 99), until(put("i", "2"), 30)];
    assert_eq!(remember(&kit, a, 10, &again).await, found(&["", "1", "1"]));
    assert_eq!(recall(&kit, a, 25, &["k", "j", "i"]).await, found(&["2", "", "2"]));
    assert_eq!(remember(&kit, a, 30, &[forget("k"), put("i", "3")]).await, found(&["", ""]));
    assert_eq!(recall(&kit, a, 1_000, &["k", "j", "i"]).await, found(&["", "", "3"]));
}

pub(super) async fn what_is_over_is_removed_by_and_by(mut kit: Kit) {
    let a = kit.destination("a").await;
    let half = MEMOS_PER_CALL_MAX / 2;
    for n in 0..5 {
        let ending = (0..half).map(|m| until(put(&format!("over:{n}:{m}"), "x"), 10 + n));
        let lasting = (0..half).map(|m| put(&format!("kept:{n}:{m}"), "x"));
        remember(&kit, a, 0, &ending.chain(lasting).collect::<Vec<_>>()).await;
    }
    kit.tidy(13).await;
    kit.reopen().await;
    // A look back shows what is really gone.
    assert_eq!(keys(&kit, a, "over:", MEMOS_PER_CALL_MAX).await.len(), half);
    assert_eq!(keys(&kit, a, "kept:", MEMOS_PER_CALL_MAX).await.len(), 5 * half);
}

pub(super) async fn memos_are_listed_by_prefix_and_in_pages(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let mut of_batch: Vec<String> = (0..25).map(|n| format!("batch:{n}")).collect();
    let others = ["batch", "batch9", "batcg:", "batch;", "b", "zzz", "batch:é"].map(str::to_owned);
    let changes: Vec<Memo> = of_batch.iter().chain(&others).map(|key| put(key, key)).collect();
    remember(&kit, a, 0, &changes).await;
    remember(&kit, b, 0, &[put("batch:of b", "x")]).await;
    of_batch.push("batch:é".to_owned());
    of_batch.sort();
    for _ in 0..2 {
        for limit in [1, 7, 26, 100] {
            assert_eq!(keys(&kit, a, "batch:", limit).await, of_batch);
        }
        assert_eq!(keys(&kit, a, "", 10).await.len(), 32);
        assert_eq!(keys(&kit, a, "batch:\u{10ffff}", 10).await, [""; 0]);
        let page = async |after, limit| kit.store().recall_all(a, "batch:", after, limit, at(0)).await.expect("recall");
        assert_eq!(page(Some("batch:3"), 1).await, [("batch:4".to_owned(), bytes("batch:4"))]);
        assert_eq!(page(Some("a"), 1).await, [("batch:0".to_owned(), bytes("batch:0"))]);
        assert_eq!((page(Some("c"), 1).await, page(None, 0).await), (vec![], vec![]));
        kit.reopen().await;
    }
}

pub(super) async fn what_is_beyond_the_limits_is_refused_whole(mut kit: Kit) {
    let a = kit.destination("a").await;
    let (store, long) = (kit.store(), "k".repeat(MEMO_KEY_BYTES_MAX + 1));
    let large = "v".repeat(MEMO_VALUE_BYTES_MAX + 1);
    for bad in [put(&long, "x"), put("", "x"), put("k", &large), claim("k", &large), forget(&long)] {
        expect_limit(&store.remember(a, vec![put("good", "x"), bad], at(0)).await);
    }
    let many = vec![put("good", "x"); MEMOS_PER_CALL_MAX + 1];
    expect_limit(&store.remember(a, many, at(0)).await);
    expect_limit(&store.recall(a, vec![long.clone()], at(0)).await);
    expect_limit(&store.recall(a, vec!["good".to_owned(); MEMOS_PER_CALL_MAX + 1], at(0)).await);
    assert_eq!(recall(&kit, a, 0, &["good"]).await, [None]);

    let (key, value) = (&long[1..], &large[1..]);
    assert_eq!(remember(&kit, a, 0, &[put(key, value)]).await, [None]);
    kit.reopen().await;
    assert_eq!(recall(&kit, a, 0, &[key]).await, found(&[value]));
}

pub(super) async fn each_destination_has_memos_of_its_own(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    remember(&kit, a, 0, &[put("k", "of a"), put("only a", "x")]).await;
    assert_eq!(remember(&kit, b, 0, &[claim("k", "of b"), forget("only a")]).await, found(&["", ""]));
    kit.reopen().await;
    assert_eq!(recall(&kit, a, 0, &["k", "only a"]).await, found(&["of a", "x"]));
    assert_eq!(recall(&kit, b, 0, &["k", "only a"]).await, found(&["of b", ""]));
    assert_eq!(keys(&kit, b, "", 10).await, ["k"]);
}

pub(super) async fn nothing_is_remembered_of_a_destination_that_is_gone(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let many: Vec<Memo> = (0..MEMOS_PER_CALL_MAX).map(|n| put(&format!("k{n}"), "x")).collect();
    for of in [a, b] {
        remember(&kit, of, 0, &many).await;
    }
    kit.store().delete_destination(a, at(1)).await.expect("delete");
    let never = kit.new_destination("never").id;
    for _ in 0..2 {
        for gone in [a, never] {
            expect_missing(kit.store().remember(gone, vec![put("k", "x")], at(2)).await, "destination");
            expect_missing(kit.store().recall(gone, vec!["k1".to_owned()], at(2)).await, "destination");
            expect_missing(kit.store().recall_all(gone, "", None, 1, at(2)).await, "destination");
        }
        kit.tidy(3).await;
        kit.reopen().await;
    }
    assert_eq!(keys(&kit, b, "", MEMOS_PER_CALL_MAX).await.len(), many.len());
}
