//! The contract of [`BlobStore`], as tests: one function per clause. A backend joins with one line,
//! [`blob_store_conformance!`](crate::blob_store_conformance), in its crate's integration tests.
#![expect(clippy::unwrap_used, reason = "these functions are tests")]

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::blob::{BlobError, BlobStore, DomainId, ObjectId, WriterState};

/// Makes a module `$name` with a test per clause. `$store` is evaluated for each and gives `(Arc<dyn BlobStore>, guard)`;
/// the guard is dropped when the test is over.
#[macro_export]
macro_rules! blob_store_conformance {
    ($name:ident, $store:expr) => {
        $crate::blob_store_conformance!(@clauses $name, $store,
            finished_object_reads_back,
            reads_any_range,
            empty_object_reads_back,
            long_object_reads_back,
            reopen_continues_where_flush_ended,
            reopen_goes_back_to_an_earlier_flush,
            reopen_before_anything_was_written,
            reopen_survives_storing_the_state,
            reopen_again_and_again,
            reopen_of_less_is_missing,
            reopen_ends_earlier_writers,
            unfinished_object_can_be_read,
            delete_is_idempotent,
            delete_of_an_unfinished_object,
            delete_ends_writers,
            readers_survive_delete,
            open_of_nothing_is_missing,
            objects_do_not_mix,
            writers_work_side_by_side,
            check_answers,
        );
    };
    (@clauses $name:ident, $store:expr, $($clause:ident,)*) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may name things of the module around it")]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $clause() {
                    let (store, _guard) = $store;
                    $crate::blob::conformance::$clause(store).await;
                }
            )*
        }
    };
}

type Store = Arc<dyn BlobStore>;

fn name() -> ObjectId {
    ObjectId::random(DomainId(Uuid::new_v4()))
}

/// Bytes that differ from place to place.
fn content(length: usize) -> Bytes {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

async fn put(store: &Store, object: ObjectId, data: Bytes) {
    let mut writer = store.create(object).await.unwrap();
    writer.append(data).await.unwrap();
    writer.finish().await.unwrap();
}

async fn get(store: &Store, object: ObjectId) -> Bytes {
    let reader = store.open(object).await.unwrap();
    let length = usize::try_from(reader.length()).unwrap();
    let bytes = reader.read_at(0, length).await.unwrap();
    assert_eq!(bytes.len(), length, "a read of the whole object is whole");
    bytes
}

async fn assert_missing(store: &Store, object: ObjectId) {
    match store.open(object).await {
        Err(BlobError::Missing(missing)) => assert_eq!(missing, object),
        other => panic!("expected Missing, got {other:?}"),
    }
}

/// What was finished reads back, whatever pieces it came in.
pub async fn finished_object_reads_back(store: Store) {
    for pieces in [1, 2, 7] {
        let (object, data) = (name(), content(10_000));
        let mut writer = store.create(object).await.unwrap();
        for piece in data.chunks(data.len() / pieces) {
            writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        writer.finish().await.unwrap();
        assert_eq!(get(&store, object).await, data);
    }
}

/// A range reads as it is in the object; there is less only at the end, and nothing beyond it.
pub async fn reads_any_range(store: Store) {
    let (object, data) = (name(), content(300_000));
    put(&store, object, data.clone()).await;
    let reader = store.open(object).await.unwrap();
    assert_eq!(reader.length(), 300_000);
    for (offset, length) in [(0, 1), (0, 300_000), (1, 299_999), (299_999, 1), (65_536, 200_000), (5, 0)] {
        let bytes = reader.read_at(offset as u64, length).await.unwrap();
        assert_eq!(bytes, data.slice(offset..offset + length), "{length} bytes from {offset}");
    }
    assert_eq!(reader.read_at(299_990, 1000).await.unwrap(), data.slice(299_990..));
    assert_eq!(reader.read_at(100_000, 1_000_000).await.unwrap(), data.slice(100_000..));
    assert!(reader.read_at(300_000, 10).await.unwrap().is_empty());
    assert!(reader.read_at(u64::MAX, 10).await.unwrap().is_empty());
}

/// An object may be empty.
pub async fn empty_object_reads_back(store: Store) {
    let object = name();
    store.create(object).await.unwrap().finish().await.unwrap();
    assert!(get(&store, object).await.is_empty());
}

/// An object may be long, and appended in pieces of any length.
pub async fn long_object_reads_back(store: Store) {
    let (object, data) = (name(), content(40_000_000));
    let mut writer = store.create(object).await.unwrap();
    let (mut at, mut step) = (0, 1);
    while at < data.len() {
        let end = (at + step).min(data.len());
        writer.append(data.slice(at..end)).await.unwrap();
        (at, step) = (end, (step * 3).min(2_000_000));
    }
    writer.finish().await.unwrap();
    assert!(get(&store, object).await == data);
}

/// After a crash, an object continues where the flush ended, and what came later is dropped.
pub async fn reopen_continues_where_flush_ended(store: Store) {
    for later in [0, 10, 200_000] {
        let (object, data) = (name(), content(100_000));
        let mut writer = store.create(object).await.unwrap();
        writer.append(data.slice(..60_000)).await.unwrap();
        let state = writer.flush().await.unwrap();
        assert_eq!(state.length, 60_000);
        writer.append(Bytes::from(vec![0xff; later])).await.unwrap();
        drop(writer);

        let mut writer = store.reopen(object, &state).await.unwrap();
        writer.append(data.slice(60_000..)).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(get(&store, object).await, data);
    }
}

/// A later flush does not make an earlier state worthless: the answer to the later one may have been lost.
pub async fn reopen_goes_back_to_an_earlier_flush(store: Store) {
    let (object, data) = (name(), content(200_000));
    let mut writer = store.create(object).await.unwrap();
    writer.append(data.slice(..50_000)).await.unwrap();
    let state = writer.flush().await.unwrap();
    writer.append(Bytes::from(vec![0xff; 100_000])).await.unwrap();
    writer.flush().await.unwrap();
    drop(writer);

    let mut writer = store.reopen(object, &state).await.unwrap();
    writer.append(data.slice(50_000..)).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(get(&store, object).await, data);
}

/// A flush before the first byte gives a state that can be continued.
pub async fn reopen_before_anything_was_written(store: Store) {
    let (object, data) = (name(), content(1000));
    let mut writer = store.create(object).await.unwrap();
    let state = writer.flush().await.unwrap();
    assert_eq!(state.length, 0);
    drop(writer);
    let mut writer = store.reopen(object, &state).await.unwrap();
    writer.append(data.clone()).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(get(&store, object).await, data);
}

/// The state can be stored and read back, as the metadata does.
pub async fn reopen_survives_storing_the_state(store: Store) {
    let object = name();
    let mut writer = store.create(object).await.unwrap();
    writer.append(content(70_000)).await.unwrap();
    let stored = serde_json::to_vec(&writer.flush().await.unwrap()).unwrap();
    drop(writer);
    let state: WriterState = serde_json::from_slice(&stored).unwrap();
    store.reopen(object, &state).await.unwrap().finish().await.unwrap();
    assert_eq!(get(&store, object).await, content(70_000));
}

/// An upload in many requests: every one reopens, appends, flushes.
pub async fn reopen_again_and_again(store: Store) {
    let (object, data) = (name(), content(500_000));
    let mut state = store.create(object).await.unwrap().flush().await.unwrap();
    for piece in data.chunks(41_000) {
        let mut writer = store.reopen(object, &state).await.unwrap();
        writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
        state = writer.flush().await.unwrap();
    }
    store.reopen(object, &state).await.unwrap().finish().await.unwrap();
    assert_eq!(get(&store, object).await, data);
}

/// An object of which less is there than the state says cannot be continued.
pub async fn reopen_of_less_is_missing(store: Store) {
    let object = name();
    let mut writer = store.create(object).await.unwrap();
    writer.append(content(100_000)).await.unwrap();
    let state = writer.flush().await.unwrap();
    drop(writer);
    let more = WriterState { length: state.length + 1, backend: state.backend.clone() };
    assert!(matches!(store.reopen(object, &more).await, Err(BlobError::Missing(_))));
    store.delete(object).await.unwrap();
    assert!(matches!(store.reopen(object, &state).await, Err(BlobError::Missing(_))));
}

/// A writer whose object was reopened cannot spoil what its successor writes.
pub async fn reopen_ends_earlier_writers(store: Store) {
    let (object, data) = (name(), content(300_000));
    let mut earlier = store.create(object).await.unwrap();
    earlier.append(data.slice(..100_000)).await.unwrap();
    let state = earlier.flush().await.unwrap();
    let mut writer = store.reopen(object, &state).await.unwrap();
    writer.append(data.slice(100_000..)).await.unwrap();

    let appended = earlier.append(Bytes::from(vec![0xff; 150_000])).await;
    assert!(appended.is_err() || earlier.flush().await.is_err());
    assert!(earlier.finish().await.is_err());
    drop(earlier);
    writer.finish().await.unwrap();
    assert_eq!(get(&store, object).await, data);
}

/// What was flushed can be read before the object is finished.
pub async fn unfinished_object_can_be_read(store: Store) {
    let (object, data) = (name(), content(100_000));
    let mut writer = store.create(object).await.unwrap();
    writer.append(data.clone()).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(get(&store, object).await, data);
    writer.finish().await.unwrap();
}

/// A deleted object is gone; that there is none to delete is no error.
pub async fn delete_is_idempotent(store: Store) {
    let object = name();
    store.delete(object).await.unwrap();
    put(&store, object, content(10)).await;
    store.delete(object).await.unwrap();
    store.delete(object).await.unwrap();
    assert_missing(&store, object).await;
}

/// An unfinished object can be deleted, with and without its writer.
pub async fn delete_of_an_unfinished_object(store: Store) {
    for flushed in [false, true] {
        let object = name();
        let mut writer = store.create(object).await.unwrap();
        writer.append(content(100_000)).await.unwrap();
        if flushed {
            writer.flush().await.unwrap();
        }
        drop(writer);
        store.delete(object).await.unwrap();
        assert_missing(&store, object).await;
    }
}

/// A writer whose object was deleted cannot bring it back.
pub async fn delete_ends_writers(store: Store) {
    for length in [10, 100_000] {
        let object = name();
        let mut writer = store.create(object).await.unwrap();
        writer.append(content(length)).await.unwrap();
        store.delete(object).await.unwrap();
        let appended = writer.append(content(100_000)).await;
        assert!(appended.is_err() || writer.finish().await.is_err());
        drop(writer);
        assert_missing(&store, object).await;
    }
}

/// Who has an object open goes on reading it when it is deleted.
pub async fn readers_survive_delete(store: Store) {
    let (object, data) = (name(), content(1_000_000));
    put(&store, object, data.clone()).await;
    let reader = store.open(object).await.unwrap();
    store.delete(object).await.unwrap();
    assert_eq!(reader.read_at(0, 1_000_000).await.unwrap(), data);
    assert_eq!(reader.read_at(999_000, 1000).await.unwrap(), data.slice(999_000..));
}

/// What was never written is missing.
pub async fn open_of_nothing_is_missing(store: Store) {
    assert_missing(&store, name()).await;
}

/// Objects of the same id in other domains, and of the same domain, are others.
pub async fn objects_do_not_mix(store: Store) {
    let one = name();
    let others = [
        ObjectId { domain: DomainId(Uuid::new_v4()), id: one.id },
        ObjectId { domain: one.domain, id: Uuid::new_v4() },
    ];
    put(&store, one, content(50)).await;
    for other in others {
        assert_missing(&store, other).await;
        put(&store, other, content(60)).await;
        assert_eq!(get(&store, one).await, content(50));
        store.delete(other).await.unwrap();
        assert_eq!(get(&store, one).await, content(50));
    }
}

/// Many writers at once do not disturb each other.
pub async fn writers_work_side_by_side(store: Store) {
    let domain = DomainId(Uuid::new_v4());
    let tasks: Vec<_> = (0..32)
        .map(|seed| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let object = ObjectId::random(domain);
                let data = content(20_000 * seed + seed);
                let mut writer = store.create(object).await.unwrap();
                for piece in data.chunks(7777) {
                    writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
                }
                writer.finish().await.unwrap();
                assert_eq!(get(&store, object).await, data);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// A store that works says so.
pub async fn check_answers(store: Store) {
    store.check().await.unwrap();
}
