//! Backends against the contract, and what is particular to each.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_store::blob::fault::{Call, Crash, Fault, FaultyBlobs, Gate};
use berth_store::blob::fs::FsBlobs;
use berth_store::blob::memory::MemoryBlobs;
use berth_store::blob::{BlobError, BlobStore, DomainId, ObjectId};
use bytes::Bytes;
use tempfile::TempDir;
use uuid::Uuid;

fn memory() -> Arc<dyn BlobStore> {
    Arc::new(MemoryBlobs::new())
}

fn files() -> (Arc<dyn BlobStore>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Arc::new(FsBlobs::open(directory.path()).unwrap()), directory)
}

fn faulty_files() -> (Arc<dyn BlobStore>, TempDir) {
    let (store, directory) = files();
    (Arc::new(FaultyBlobs::new(store)), directory)
}

berth_store::blob_store_conformance!(memory_conforms, (memory(), ()));
berth_store::blob_store_conformance!(files_conform, files());
berth_store::blob_store_conformance!(faulty_without_faults_conforms, faulty_files());

fn object() -> ObjectId {
    ObjectId::random(DomainId(Uuid::new_v4()))
}

fn path(directory: &Path, object: ObjectId) -> PathBuf {
    let id = object.id.as_simple().to_string();
    directory.join("blobs").join(object.domain.0.as_simple().to_string()).join(&id[..2]).join(&id)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn files_and_directories_are_the_owners_alone() {
    let (store, directory) = files();
    let object = object();
    let mut writer = store.create(object).await.unwrap();
    writer.append(Bytes::from_static(b"x")).await.unwrap();
    writer.finish().await.unwrap();
    let mut path = path(directory.path(), object);
    assert_eq!(mode(&path), 0o600);
    while path.pop() && path != directory.path() {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
}

#[tokio::test]
async fn opening_the_store_makes_one_directory_and_creating_an_object_none() {
    let (store, directory) = files();
    let _writer = store.create(object()).await.unwrap();
    let found: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(found, ["blobs"]);
    assert_eq!(std::fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_directory_that_disappeared_is_made_again() {
    let (store, directory) = files();
    let domain = DomainId(Uuid::new_v4());
    for _ in 0..2 {
        let object = ObjectId { domain, id: Uuid::from_u128(Uuid::new_v4().as_u128() >> 8) };
        let mut writer = store.create(object).await.unwrap();
        writer.append(Bytes::from_static(b"x")).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(store.open(object).await.unwrap().length(), 1);
        std::fs::remove_dir_all(directory.path().join("blobs").join(domain.0.as_simple().to_string()))
            .unwrap();
    }
}

#[tokio::test]
async fn a_new_process_continues_what_another_began() {
    let (store, directory) = files();
    let object = object();
    let mut writer = store.create(object).await.unwrap();
    writer.append(Bytes::from(vec![1; 100_000])).await.unwrap();
    let state = writer.flush().await.unwrap();
    std::mem::forget(writer);
    let store = FsBlobs::open(directory.path()).unwrap();
    let mut writer = store.reopen(object, &state).await.unwrap();
    writer.append(Bytes::from_static(b"end")).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(store.open(object).await.unwrap().length(), 100_003);
}

#[tokio::test]
async fn an_upload_of_an_earlier_run_of_the_machine_is_missing() {
    let (store, _directory) = files();
    let object = object();
    let mut writer = store.create(object).await.unwrap();
    writer.append(Bytes::from(vec![1; 100_000])).await.unwrap();
    let mut state = writer.flush().await.unwrap();
    state.backend = b"00000000-0000-0000-0000-000000000000\n".to_vec();
    assert!(matches!(store.reopen(object, &state).await, Err(BlobError::Missing(_))));
}

#[tokio::test]
async fn check_fails_when_the_directory_is_gone() {
    let (store, directory) = files();
    std::fs::remove_dir(directory.path().join("blobs")).unwrap();
    assert!(store.check().await.is_err());
}

#[tokio::test]
async fn check_leaves_nothing_behind() {
    let (store, directory) = files();
    store.check().await.unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn faults_hit_the_chosen_call() {
    let store = FaultyBlobs::new(memory());
    store.inject(Call::Append, 1, Fault::Full);
    store.inject(Call::Append, 0, Fault::Fail);
    let mut first = store.create(object()).await.unwrap();
    assert!(matches!(first.append(Bytes::new()).await, Err(BlobError::Backend { .. })));
    assert!(first.append(Bytes::new()).await.is_err(), "a writer is of no use after an error");
    let mut second = store.create(object()).await.unwrap();
    assert!(matches!(second.append(Bytes::new()).await, Err(BlobError::Full(_))));
    let mut third = store.create(object()).await.unwrap();
    third.append(Bytes::new()).await.unwrap();
    assert_eq!((store.pending(), store.calls(Call::Append)), (0, 3));
}

#[tokio::test]
async fn a_lost_reply_is_for_work_that_was_done() {
    let store = FaultyBlobs::new(memory());
    let object = object();
    store.inject(Call::Finish, 0, Fault::LoseReply);
    store.inject(Call::Delete, 0, Fault::LoseReply);
    let mut writer = store.create(object).await.unwrap();
    assert!(writer.finish().await.is_err());
    store.open(object).await.unwrap();
    assert!(store.delete(object).await.is_err());
    assert!(store.open(object).await.is_err());
}

#[tokio::test]
async fn a_call_waits_at_the_gate() {
    let store = FaultyBlobs::new(memory());
    let gate = Gate::closed();
    store.inject(Call::Create, 0, Fault::Wait(Arc::clone(&gate)));
    let object = object();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.create(object).await.map(drop) }
    });
    gate.arrival().await;
    assert!(store.open(object).await.is_err());
    gate.open();
    waiting.await.unwrap().unwrap();
    store.open(object).await.unwrap();
}

#[tokio::test]
async fn a_crash_takes_what_was_not_promised() {
    for (crash, flushed_survives) in [(Crash::Process, true), (Crash::Machine, false)] {
        let (files, _directory) = files();
        let store = FaultyBlobs::new(files);
        let (finished, flushed, written) = (object(), object(), object());
        let mut writers = Vec::new();
        for object in [finished, flushed, written] {
            let mut writer = store.create(object).await.unwrap();
            writer.append(Bytes::from(vec![1; 100_000])).await.unwrap();
            writers.push(writer);
        }
        writers[0].finish().await.unwrap();
        let state = writers[1].flush().await.unwrap();
        writers[1].append(Bytes::from(vec![2; 100_000])).await.unwrap();
        let reader = store.open(finished).await.unwrap();
        store.crash(crash).await.unwrap();

        assert!(reader.read_at(0, 1).await.is_err());
        assert!(writers[1].append(Bytes::new()).await.is_err());
        assert!(writers[2].finish().await.is_err());
        assert_eq!(store.open(finished).await.unwrap().length(), 100_000);
        assert!(store.open(written).await.is_err());
        let reopened = store.reopen(flushed, &state).await;
        assert_eq!(reopened.is_ok(), flushed_survives, "{crash:?}");
        if flushed_survives {
            assert_eq!(store.open(flushed).await.unwrap().length(), 100_000);
        }
    }
}
