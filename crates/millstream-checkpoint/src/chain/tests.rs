//! Chains over folders in memory: one owner, several, lost and damaged entries.

use serde_json::{Value, json};

use super::*;

async fn claim(chain: &Chain<Value>, owner: &str) -> ChainOwner<Value> {
    let head = chain.head().await.unwrap();
    let (before, body) = match &head {
        Head::Entry(stored) => (stored.entry.generation, stored.entry.body.clone()),
        _ => (Generation(0), json!({})),
    };
    match chain.take_over(&head, before, owner.into(), body).await.unwrap() {
        TakeOver::Owned(owned) => *owned,
        TakeOver::Raced => panic!("raced"),
    }
}

fn chain() -> (Folder, Chain<Value>) {
    let folder = Folder::memory();
    (folder.clone(), Chain::new(folder, "c").unwrap())
}

#[tokio::test]
async fn an_owner_appends_until_another_claims() {
    let (_, chain) = chain();
    let mut a = claim(&chain, "a").await;
    assert_eq!(a.append(json!(1)).await.unwrap(), 2);
    let mut b = claim(&chain, "b").await;
    assert_eq!((b.number(), b.generation()), (3, Generation(2)));
    assert_eq!(chain.read(3).await.unwrap().unwrap().entry.body, json!(1));
    let fenced = a.append(json!(2)).await.unwrap_err();
    assert!(matches!(fenced, CheckpointError::Fenced { generation: 2, number: 3, .. }), "{fenced}");
    assert!(matches!(a.resume().await, Err(CheckpointError::Fenced { .. })));
    assert!(matches!(a.retire_below(1).await, Err(CheckpointError::Fenced { .. })));
    assert_eq!(b.append(json!(3)).await.unwrap(), 4);
}

#[tokio::test]
async fn one_who_wakes_after_retention_is_fenced() {
    let (folder, chain) = chain();
    let mut a = claim(&chain, "a").await;
    let mut b = claim(&chain, "b").await;
    for n in 0..3 {
        b.append(json!(n)).await.unwrap();
    }
    b.retire_below(99).await.unwrap();
    assert_eq!(folder.list().await.unwrap(), ["c-5.json"]);
    assert!(matches!(a.append(json!("late")).await, Err(CheckpointError::Fenced { number: 5, .. })));
    assert_eq!(folder.list().await.unwrap(), ["c-2.json", "c-5.json"]);
    assert_eq!(chain.head().await.unwrap().number(), 5);
    assert_eq!(b.append(json!("next")).await.unwrap(), 6);
}

#[tokio::test]
async fn a_claim_that_comes_second_is_raced() {
    let (_, chain) = chain();
    let head = chain.head().await.unwrap();
    let first = claim(&chain, "a").await;
    let second = chain.take_over(&head, Generation(0), "b".into(), json!({})).await.unwrap();
    assert!(matches!(second, TakeOver::Raced));
    assert_eq!(first.number(), 1);
}

#[tokio::test]
async fn a_damaged_head_is_told_and_can_be_stepped_over() {
    let (folder, chain) = chain();
    let mut a = claim(&chain, "a").await;
    a.append(json!(1)).await.unwrap();
    let bytes = folder.read("c-2.json").await.unwrap();
    folder.delete("c-2.json").await.unwrap();
    folder.create("c-2.json", bytes.slice(..bytes.len() / 2)).await.unwrap();
    let head = chain.head().await.unwrap();
    assert!(matches!(&head, Head::Damaged { number: 2, error: CheckpointError::Damaged { file, .. }, .. } if file == "c-2.json"));
    assert!(matches!(a.append(json!(2)).await, Err(CheckpointError::Fenced { .. })), "its own entry is not what it wrote");
    folder.delete("c-3.json").await.unwrap();
    let TakeOver::Owned(mut b) = chain.take_over(&head, Generation(1), "b".into(), json!(1)).await.unwrap() else { panic!() };
    assert_eq!(b.number(), 3);
    assert_eq!(b.append(json!(4)).await.unwrap(), 4);
}

#[tokio::test]
async fn other_names_are_passed_over() {
    let (folder, chain) = chain();
    for name in ["c-01.json", "c-0.json", "c--1.json", "c-x.json", "d-1.json", "c-1.json.bak", "c-+1.json"] {
        if crate::folder::name_is_plain(name) {
            folder.create(name, Bytes::new()).await.unwrap();
        }
    }
    assert!(chain.numbers().await.unwrap().is_empty());
    claim(&chain, "a").await;
    assert_eq!(chain.numbers().await.unwrap(), [1]);
}
