//! Sealing over real backends: what reaches the disk, what survives faults and crashes.

use std::sync::Arc;

use berth_store::blob::fault::{Call, Crash, Fault, FaultyBlobs, Gate};
use berth_store::blob::fs::FsBlobs;
use berth_store::blob::memory::MemoryBlobs;
use berth_store::blob::{BlobError, BlobStore, DomainId, ObjectId};
use berth_store::seal::{DomainKey, RootKey, SealError, SealedBlobs};
use berth_types::{Algorithm, Digest};
use bytes::Bytes;
use futures_util::StreamExt as _;
use uuid::Uuid;

const MARKER: &[u8] = b"the plaintext marker that must not be found";

fn domain_key() -> DomainKey {
    let root = RootKey::generate().unwrap();
    root.wrap_new_domain_key(DomainId(Uuid::new_v4())).unwrap().0
}

fn marked(length: usize) -> Bytes {
    MARKER.iter().copied().cycle().take(length).collect()
}

fn has_marker(bytes: &[u8]) -> bool {
    bytes.windows(12).any(|window| window == &MARKER[..12])
}

/// Every file below `directory`.
fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

async fn read(blobs: &SealedBlobs, key: &DomainKey, object: ObjectId) -> Result<Vec<u8>, SealError> {
    let reader = blobs.open(key, object).await?;
    let bytes = reader.bytes();
    let mut pieces = std::pin::pin!(reader.stream(0..bytes));
    let mut plain = Vec::new();
    while let Some(piece) = pieces.next().await {
        plain.extend_from_slice(&piece?);
    }
    Ok(plain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_object_goes_through_files_and_leaves_no_plaintext() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = SealedBlobs::new(Arc::new(FsBlobs::open(directory.path()).unwrap()));
    let key = domain_key();
    let object = ObjectId::random(key.domain());
    let data = marked(20_000_001);
    let mut writer = blobs.create(&key, object, Some(Algorithm::Sha512)).await.unwrap();
    for piece in data.chunks(100_003) {
        writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let checkpoint = writer.checkpoint().await.unwrap();
    assert!(!has_marker(&checkpoint));
    let finished = writer.finish().await.unwrap();
    assert_eq!(finished.bytes, 20_000_001);
    assert_eq!(finished.sha256, Digest::sha256(&data));
    assert_eq!(finished.sha512, Some(Digest::of(Algorithm::Sha512, &data)));
    assert!(read(&blobs, &key, object).await.unwrap() == data);
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        assert_eq!(blobs.digest(&key, object, algorithm).await.unwrap(), Digest::of(algorithm, &data));
    }

    let stored = files(directory.path());
    assert_eq!(stored.len(), 1);
    let stored = std::fs::read(&stored[0]).unwrap();
    assert_eq!(stored.len() as u64, berth_store::seal::sealed_length(20_000_001));
    assert!(!has_marker(&stored));
    blobs.delete(object).await.unwrap();
    assert!(matches!(
        blobs.open(&key, object).await.map(drop),
        Err(SealError::Store(BlobError::Missing(missing))) if missing == object
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = SealedBlobs::new(Arc::new(FsBlobs::open(directory.path()).unwrap()));
    let key = domain_key();
    let tasks: Vec<_> = (0..300_usize)
        .map(|seed| {
            let (blobs, key) = (blobs.clone(), key.clone());
            tokio::spawn(async move {
                let data = marked(1000 * seed + seed);
                let object = ObjectId::random(key.domain());
                let mut writer = blobs.create(&key, object, None).await.unwrap();
                for piece in data.chunks(16_384) {
                    writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
                }
                assert_eq!(writer.finish().await.unwrap().sha256, Digest::sha256(&data));
                assert!(read(&blobs, &key, object).await.unwrap() == data);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Uploads in pieces; whenever the store fails or crashes, goes on at the last checkpoint as a client would.
async fn upload_stubbornly(
    store: &FaultyBlobs,
    key: &DomainKey,
    data: &Bytes,
    piece: usize,
) -> (ObjectId, Digest) {
    let blobs = SealedBlobs::new(Arc::new(store.clone()));
    let mut object = ObjectId::random(key.domain());
    let mut checkpoint: Option<(Vec<u8>, u64)> = None;
    for _ in 0..10 {
        if checkpoint.is_none() {
            // Nothing to go back to: a name is used once only.
            object = ObjectId::random(key.domain());
        }
        let attempt = async {
            let mut writer = match &checkpoint {
                None => blobs.create(key, object, None).await?,
                Some((checkpoint, _)) => blobs.resume(key, object, checkpoint).await?,
            };
            let from = checkpoint.as_ref().map_or(0, |(_, bytes)| *bytes);
            assert_eq!(writer.bytes(), from);
            for piece in data.slice(from as usize..).chunks(piece) {
                writer.append(Bytes::copy_from_slice(piece)).await?;
                checkpoint = Some((writer.checkpoint().await?, writer.bytes()));
            }
            writer.finish().await
        };
        match attempt.await {
            Ok(finished) => return (object, finished.sha256),
            Err(SealError::Store(_)) => {}
            Err(other) => panic!("unexpected {other:?}"),
        }
    }
    panic!("no success in ten attempts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_a_fault_of_any_call() {
    let data = marked(700_000);
    let key = domain_key();
    for (call, after) in [
        (Call::Append, 0),
        (Call::Append, 1),
        (Call::Append, 3),
        (Call::Flush, 0),
        (Call::Flush, 1),
        (Call::Flush, 4),
        (Call::Finish, 0),
    ] {
        for fault in [Fault::Fail, Fault::Full, Fault::LoseReply] {
            if call == Call::Finish && matches!(fault, Fault::LoseReply) {
                continue; // The object is finished: the registry begins a new one.
            }
            let store = FaultyBlobs::new(Arc::new(MemoryBlobs::new()));
            // A create is an upload's first call and has no checkpoint to go back to: its failure is the client's.
            store.inject(call, after, fault);
            if matches!(call, Call::Append | Call::Flush) && after == 0 {
                // Nothing was acknowledged yet, so the caller would take a new name.
                let blobs = SealedBlobs::new(Arc::new(store.clone()));
                let mut writer = blobs.create(&key, ObjectId::random(key.domain()), None).await.unwrap();
                let appended = writer.append(data.clone()).await;
                assert!(appended.is_err() || writer.checkpoint().await.is_err());
                assert!(matches!(writer.append(data.clone()).await, Err(SealError::Interrupted)));
            }
            let (object, digest) = upload_stubbornly(&store, &key, &data, 150_000).await;
            assert_eq!(store.pending(), 0, "{call:?} {after}");
            assert_eq!(digest, Digest::sha256(&data));
            let blobs = SealedBlobs::new(Arc::new(store));
            assert!(read(&blobs, &key, object).await.unwrap() == data);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_a_crash_between_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let store = FaultyBlobs::new(Arc::new(FsBlobs::open(directory.path()).unwrap()));
    let blobs = SealedBlobs::new(Arc::new(store.clone()));
    let key = domain_key();
    let object = ObjectId::random(key.domain());
    let data = marked(3_000_000);
    let mut writer = blobs.create(&key, object, None).await.unwrap();
    writer.append(data.slice(..1_000_000)).await.unwrap();
    let checkpoint = writer.checkpoint().await.unwrap();
    writer.append(Bytes::from(vec![0xff; 2_000_000])).await.unwrap();
    store.crash(Crash::Process).await.unwrap();
    assert!(writer.checkpoint().await.is_err());

    let mut writer = blobs.resume(&key, object, &checkpoint).await.unwrap();
    writer.append(data.slice(1_000_000..)).await.unwrap();
    assert_eq!(writer.finish().await.unwrap().sha256, Digest::sha256(&data));
    assert!(read(&blobs, &key, object).await.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_left_behind_cannot_spoil_its_successor() {
    let directory = tempfile::tempdir().unwrap();
    let store = FaultyBlobs::new(Arc::new(FsBlobs::open(directory.path()).unwrap()));
    let blobs = SealedBlobs::new(Arc::new(store.clone()));
    let key = domain_key();
    let object = ObjectId::random(key.domain());
    let data = marked(3_000_000);
    let mut writer = blobs.create(&key, object, None).await.unwrap();
    writer.append(data.slice(..100_000)).await.unwrap();
    let checkpoint = writer.checkpoint().await.unwrap();
    // The client goes away while a write is under way, and comes back before that write is done.
    let gate = Gate::closed();
    store.inject(Call::Append, 0, Fault::Wait(Arc::clone(&gate)));
    let abandoned =
        tokio::spawn(async move { writer.append(Bytes::from(vec![0xff; 2_500_000])).await.map(|()| writer) });
    gate.arrival().await;
    abandoned.abort();
    assert!(abandoned.await.is_err_and(|error| error.is_cancelled()));
    let mut writer = blobs.resume(&key, object, &checkpoint).await.unwrap();
    gate.open();
    writer.append(data.slice(100_000..)).await.unwrap();
    writer.finish().await.unwrap();
    assert!(read(&blobs, &key, object).await.unwrap() == data);
}

#[tokio::test]
async fn a_failed_read_ends_the_stream() {
    let store = FaultyBlobs::new(Arc::new(MemoryBlobs::new()));
    let blobs = SealedBlobs::new(Arc::new(store.clone()));
    let key = domain_key();
    let object = ObjectId::random(key.domain());
    let mut writer = blobs.create(&key, object, None).await.unwrap();
    writer.append(marked(3_000_000)).await.unwrap();
    writer.finish().await.unwrap();
    store.inject(Call::Read, 2, Fault::Fail);
    let mut pieces = std::pin::pin!(blobs.open(&key, object).await.unwrap().stream(0..3_000_000));
    let mut bytes = 0;
    let error = loop {
        match pieces.next().await.unwrap() {
            Ok(piece) => bytes += piece.len(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SealError::Store(_)));
    assert!(bytes > 0);
    assert!(pieces.next().await.is_none());
}

#[tokio::test]
async fn readiness_is_the_stores() {
    let store = FaultyBlobs::new(Arc::new(MemoryBlobs::new()) as Arc<dyn BlobStore>);
    let blobs = SealedBlobs::new(Arc::new(store.clone()));
    blobs.check().await.unwrap();
    store.inject(Call::Check, 0, Fault::Fail);
    assert!(blobs.check().await.is_err());
}
