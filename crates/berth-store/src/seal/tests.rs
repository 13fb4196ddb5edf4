//! The format, exhaustively: with the shortest segments that are allowed, so that every length and place can be tried.

use std::sync::Arc;

use berth_types::{Algorithm, Digest};
use bytes::Bytes;
use futures_util::StreamExt as _;
use uuid::Uuid;

use super::format::{HEADER_BYTES, Layout, PREFIX_BYTES, SEGMENT_OVERHEAD};
use super::{BlobWriter, DomainKey, RootKey, SealError, SealedBlobs, sealed_length};
use crate::blob::memory::MemoryBlobs;
use crate::blob::{DomainId, ObjectId};

const SEGMENT: usize = 4096;
const SEALED_SEGMENT: usize = SEGMENT + SEGMENT_OVERHEAD;

struct Bench {
    store: MemoryBlobs,
    blobs: SealedBlobs,
    key: DomainKey,
}

impl Bench {
    fn new() -> Self {
        let store = MemoryBlobs::new();
        let mut blobs = SealedBlobs::new(Arc::new(store.clone()));
        blobs.layout = Layout::new(SEGMENT).unwrap();
        let root = RootKey::from_text(&"5a".repeat(32)).unwrap();
        let (key, _) = root.wrap_new_domain_key(DomainId(Uuid::new_v4())).unwrap();
        Self { store, blobs, key }
    }

    fn name(&self) -> ObjectId {
        ObjectId::random(self.key.domain())
    }

    async fn create(&self) -> BlobWriter {
        self.blobs.create(&self.key, self.name(), None).await.unwrap()
    }

    async fn put(&self, data: &Bytes) -> ObjectId {
        let mut writer = self.create().await;
        let object = writer.object();
        writer.append(data.clone()).await.unwrap();
        let finished = writer.finish().await.unwrap();
        assert_eq!((finished.bytes, finished.sha256), (data.len() as u64, Digest::sha256(data)));
        object
    }

    async fn get(&self, object: ObjectId) -> Result<Vec<u8>, SealError> {
        self.get_range(object, 0..u64::MAX).await
    }

    async fn get_range(&self, object: ObjectId, range: std::ops::Range<u64>) -> Result<Vec<u8>, SealError> {
        let reader = self.blobs.open(&self.key, object).await?;
        let mut pieces = std::pin::pin!(reader.stream(range));
        let mut plain = Vec::new();
        while let Some(piece) = pieces.next().await {
            plain.extend_from_slice(&piece?);
        }
        Ok(plain)
    }

    /// Whether `stored`, in the place of `object`, is found to be damaged.
    async fn notices(&self, object: ObjectId, stored: Vec<u8>) -> bool {
        self.store.replace(object, stored.into());
        match self.get(object).await {
            Ok(_) => false,
            Err(SealError::Corrupt { .. } | SealError::WrongKey { .. } | SealError::Version { .. }) => true,
            Err(other) => panic!("unexpected {other:?}"),
        }
    }
}

fn content(length: usize) -> Bytes {
    (0..length).map(|at| (at ^ (at >> 8) ^ 0x5a) as u8).collect()
}

fn segment(stored: &[u8], index: usize) -> &[u8] {
    let start = HEADER_BYTES + index * SEALED_SEGMENT;
    &stored[start..stored.len().min(start + SEALED_SEGMENT)]
}

#[tokio::test]
async fn round_trip_at_every_length_around_segment_borders() {
    let bench = Bench::new();
    let borders = [0, SEGMENT, 2 * SEGMENT, 8 * SEGMENT, 9 * SEGMENT, 17 * SEGMENT];
    for length in borders.iter().flat_map(|border| border.saturating_sub(40)..border + 40) {
        let data = content(length);
        let object = bench.put(&data).await;
        assert!(bench.get(object).await.unwrap() == data, "{length}");
        let stored = bench.store.bytes(object).unwrap();
        assert_eq!(stored.len() as u64, bench.blobs.layout.sealed_bytes(length as u64));
        bench.blobs.delete(object).await.unwrap();
    }
}

#[tokio::test]
async fn round_trip_with_segments_of_the_usual_length() {
    let mut bench = Bench::new();
    bench.blobs.layout = Layout::DEFAULT;
    for length in [0, 1, 65_535, 65_536, 65_537, 8 * 65_536, 8 * 65_536 + 1, 1_500_000] {
        let data = content(length);
        let object = bench.put(&data).await;
        assert!(bench.get(object).await.unwrap() == data, "{length}");
        assert_eq!(bench.store.bytes(object).unwrap().len() as u64, sealed_length(length as u64));
    }
}

#[test]
fn lengths_convert_both_ways() {
    let layout = Layout::new(SEGMENT).unwrap();
    let mut lengths = std::collections::HashSet::new();
    for plain in (0..3 * SEGMENT as u64 + 100).chain([1 << 40, (1 << 40) + 1]) {
        let sealed = layout.sealed_bytes(plain);
        assert_eq!(layout.plain_bytes(sealed), Some(plain));
        lengths.insert(sealed);
    }
    let none = (0..layout.sealed_bytes(3 * SEGMENT as u64)).filter(|sealed| !lengths.contains(sealed));
    for sealed in none {
        assert_eq!(layout.plain_bytes(sealed), None, "{sealed}");
    }
    for wrong in [0, 1, 2048, 4095, 4097, 3 * 4096, 2 * 1024 * 1024, usize::MAX] {
        assert_eq!(Layout::new(wrong), None);
    }
}

#[tokio::test]
async fn ranges_at_all_borders() {
    let bench = Bench::new();
    let data = content(3 * SEGMENT + 100);
    let object = bench.put(&data).await;
    let places: Vec<_> = [0, SEGMENT, 2 * SEGMENT, 3 * SEGMENT, data.len()]
        .iter()
        .flat_map(|border| border.saturating_sub(2)..=(border + 2).min(data.len()))
        .collect();
    for &from in &places {
        for &to in places.iter().filter(|to| **to >= from) {
            let range = bench.get_range(object, from as u64..to as u64).await.unwrap();
            assert!(range == data[from..to], "{from}..{to}");
        }
    }
    let beyond = bench.get_range(object, 5..u64::MAX).await.unwrap();
    assert!(beyond == data[5..]);
    assert!(bench.get_range(object, u64::MAX - 1..u64::MAX).await.unwrap().is_empty());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_is_the_slice(
        length in 0..600_000_usize, from in 0.0..1.0_f64, share in 0.0..1.0_f64, pieces in 1..20_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new();
            let data = content(length);
            let mut writer = bench.create().await;
            let object = writer.object();
            for piece in data.chunks((length / pieces).max(1)) {
                writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            writer.finish().await.unwrap();
            let from = (from * length as f64) as usize;
            let to = from + (share * (length - from) as f64) as usize;
            let range = bench.get_range(object, from as u64..to as u64).await.unwrap();
            assert!(range == data[from..to]);
        });
    }
}

#[tokio::test]
async fn every_single_bit_flip_is_noticed() {
    for length in [0, 1, 100] {
        let bench = Bench::new();
        let object = bench.put(&content(length)).await;
        let stored = bench.store.bytes(object).unwrap();
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(bench.notices(object, flipped).await, "bit {bit} of an object of {length} bytes");
        }
    }
}

#[tokio::test]
async fn truncation_at_every_length_is_noticed() {
    let bench = Bench::new();
    let object = bench.put(&content(2 * SEGMENT)).await;
    let stored = bench.store.bytes(object).unwrap();
    for length in 0..stored.len() {
        assert!(bench.notices(object, stored[..length].to_vec()).await, "{length}");
    }
    let mut longer = stored.to_vec();
    for added in [1, SEGMENT_OVERHEAD, SEGMENT_OVERHEAD + 1] {
        longer.resize(stored.len() + added, 0);
        assert!(bench.notices(object, longer.clone()).await, "{added} more");
    }
}

#[tokio::test]
async fn segments_stay_in_their_place_and_object() {
    let bench = Bench::new();
    let data = content(4 * SEGMENT);
    let (one, two) = (bench.put(&data).await, bench.put(&data).await);
    let (stored, other) = (bench.store.bytes(one).unwrap(), bench.store.bytes(two).unwrap());
    let header = &stored[..HEADER_BYTES];
    for order in [[1, 0, 2, 3], [0, 2, 1, 3], [0, 1, 3, 2], [0, 1, 1, 3], [3, 1, 2, 0]] {
        let mut swapped = header.to_vec();
        order.iter().for_each(|index| swapped.extend_from_slice(segment(&stored, *index)));
        assert!(bench.notices(one, swapped).await, "{order:?}");
    }
    for foreign in 0..4 {
        let mut mixed = stored.to_vec();
        let start = HEADER_BYTES + foreign * SEALED_SEGMENT;
        mixed[start..start + SEALED_SEGMENT].copy_from_slice(segment(&other, foreign));
        assert!(bench.notices(one, mixed).await, "segment {foreign} of another object");
    }
    assert!(bench.notices(one, other.to_vec()).await, "another object under this name");
    let foreign_header = [&other[..HEADER_BYTES], &stored[HEADER_BYTES..]].concat();
    assert!(bench.notices(one, foreign_header).await);
    assert!(!bench.notices(one, stored.to_vec()).await, "the object itself is as it was");
}

#[tokio::test]
async fn another_domain_key_opens_nothing() {
    let bench = Bench::new();
    let object = bench.put(&content(10)).await;
    let root = RootKey::generate().unwrap();
    let (wrong, _) = root.wrap_new_domain_key(bench.key.domain()).unwrap();
    assert!(matches!(bench.blobs.open(&wrong, object).await, Err(SealError::WrongKey { .. })));
    let mut writer = bench.create().await;
    let checkpoint = writer.checkpoint().await.unwrap();
    let resumed = bench.blobs.resume(&wrong, writer.object(), &checkpoint).await;
    assert!(matches!(resumed, Err(SealError::Record)));
}

/// Writes `data` in two halves, with a crash between them: what was written after the checkpoint is other content.
async fn resume_at(bench: &Bench, data: &Bytes, split: usize) -> Bytes {
    let mut writer = bench.blobs.create(&bench.key, bench.name(), Some(Algorithm::Sha512)).await.unwrap();
    let object = writer.object();
    writer.append(data.slice(..split)).await.unwrap();
    let checkpoint = writer.checkpoint().await.unwrap();
    writer.append(Bytes::from(vec![0xee; 2 * SEGMENT])).await.unwrap();
    writer.checkpoint().await.unwrap();
    let abandoned = bench.store.bytes(object).unwrap();
    drop(writer);

    let mut writer = bench.blobs.resume(&bench.key, object, &checkpoint).await.unwrap();
    assert_eq!(writer.bytes(), split as u64);
    writer.append(data.slice(split..)).await.unwrap();
    let finished = writer.finish().await.unwrap();
    assert_eq!(finished.sha256, Digest::sha256(data), "{split}");
    assert_eq!(finished.sha512, Some(Digest::of(Algorithm::Sha512, data)), "{split}");
    assert!(bench.get(object).await.unwrap() == *data, "{split}");

    // The segment that was sealed twice has another nonce the second time.
    let stored = bench.store.bytes(object).unwrap();
    let index = split.saturating_sub(1) / SEGMENT;
    assert_ne!(segment(&abandoned, index)[..PREFIX_BYTES], segment(&stored, index)[..PREFIX_BYTES]);
    bench.blobs.delete(object).await.unwrap();
    stored
}

#[tokio::test]
async fn resume_at_every_split() {
    let bench = Bench::new();
    let data = content(2 * SEGMENT + 77);
    for split in (0..=data.len()).step_by(13).chain(SEGMENT - 3..SEGMENT + 3).chain([2 * SEGMENT]) {
        resume_at(&bench, &data, split).await;
    }
}

#[tokio::test]
async fn one_prefix_per_session() {
    let bench = Bench::new();
    let stored = resume_at(&bench, &content(6 * SEGMENT), 3 * SEGMENT).await;
    let prefixes: Vec<_> = (0..6).map(|index| segment(&stored, index)[..PREFIX_BYTES].to_vec()).collect();
    // Two segments were certainly not the last at the checkpoint; the third was kept back.
    assert!(prefixes[..2].iter().all(|prefix| *prefix == prefixes[0]));
    assert!(prefixes[2..].iter().all(|prefix| *prefix == prefixes[2]));
    assert_ne!(prefixes[0], prefixes[2]);
}

#[tokio::test]
async fn a_writer_goes_on_after_a_checkpoint() {
    let bench = Bench::new();
    let data = content(5 * SEGMENT);
    let mut writer = bench.create().await;
    let object = writer.object();
    for piece in data.chunks(1000) {
        writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
        writer.checkpoint().await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap().sha256, Digest::sha256(&data));
    assert!(bench.get(object).await.unwrap() == data);
}

#[tokio::test]
async fn a_checkpoint_is_sealed_for_its_object() {
    let bench = Bench::new();
    let marker = b"find me in the checkpoint if you can";
    let mut writer = bench.create().await;
    let object = writer.object();
    writer.append(Bytes::from_static(marker)).await.unwrap();
    let checkpoint = writer.checkpoint().await.unwrap();
    assert!(!checkpoint.windows(8).any(|window| window == &marker[..8]));
    drop(writer);

    let resume =
        async |object, checkpoint: &[u8]| bench.blobs.resume(&bench.key, object, checkpoint).await.map(drop);
    assert!(matches!(resume(bench.name(), &checkpoint).await, Err(SealError::Record)));
    for length in 0..checkpoint.len() {
        assert!(resume(object, &checkpoint[..length]).await.is_err());
    }
    for byte in 1..checkpoint.len() {
        let mut changed = checkpoint.clone();
        changed[byte] ^= 0x10;
        assert!(matches!(resume(object, &changed).await, Err(SealError::Record)));
    }
    let mut newer = checkpoint.clone();
    newer[0] = 2;
    assert!(matches!(resume(object, &newer).await, Err(SealError::Version { found: 2 })));
    resume(object, &checkpoint).await.unwrap();
}

#[test]
fn records_open_for_their_purpose_and_context_only() {
    let root = RootKey::generate().unwrap();
    let (key, _) = root.wrap_new_domain_key(DomainId(Uuid::new_v4())).unwrap();
    let sealed = key.seal("manifest", &[b"ab", b"c"], b"plaintext").unwrap();
    assert_eq!(sealed.len(), b"plaintext".len() + 29);
    assert_ne!(sealed, key.seal("manifest", &[b"ab", b"c"], b"plaintext").unwrap());
    assert_eq!(key.open("manifest", &[b"ab", b"c"], &sealed).unwrap(), b"plaintext");
    let contexts: [&[&[u8]]; 5] = [&[b"a", b"bc"], &[b"abc"], &[b"ab"], &[b"ab", b"c", b""], &[]];
    for context in contexts {
        assert!(matches!(key.open("manifest", context, &sealed), Err(SealError::Record)));
    }
    assert!(matches!(key.open("manifests", &[b"ab", b"c"], &sealed), Err(SealError::Record)));
    for bit in 8..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(key.open("manifest", &[b"ab", b"c"], &flipped), Err(SealError::Record)));
    }
    for length in 0..sealed.len() {
        assert!(key.open("manifest", &[b"ab", b"c"], &sealed[..length]).is_err());
    }
    let empty = key.seal("manifest", &[], b"").unwrap();
    assert_eq!(key.open("manifest", &[], &empty).unwrap(), b"");
}

#[test]
fn hash_states_survive_storing() {
    use super::checkpoint::{Checkpoint, Hashes};
    use crate::blob::WriterState;

    let (key, object) = (Bench::new().key, ObjectId::random(DomainId(Uuid::nil())));
    let data = content(1000);
    for split in 0..300 {
        let mut hashes = Hashes::new(Some(Algorithm::Sha512));
        hashes.update(&data[..split]);
        let state = WriterState { length: 7, backend: vec![1, 2] };
        let checkpoint =
            Checkpoint { state, header: [9; HEADER_BYTES], bytes: 5, hashes, tail: vec![3; split] };
        let sealed = checkpoint.seal(&key.checkpoint_key(object)).unwrap();
        let mut opened = Checkpoint::open(&key.checkpoint_key(object), &sealed).unwrap();
        assert_eq!((opened.state, opened.header, opened.bytes), (checkpoint.state, checkpoint.header, 5));
        assert_eq!(opened.tail, checkpoint.tail);
        opened.hashes.update(&data[split..]);
        let expected = (Digest::sha256(&data), Some(Digest::of(Algorithm::Sha512, &data)));
        assert_eq!(opened.hashes.finish(), expected);
    }
}
