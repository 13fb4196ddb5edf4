//! A second implementation of the storage format, written from `docs/storage-format.md`: slow, and with no code in common
//! with the first but AES-GCM, HMAC and SHA-256 themselves. And samples of every format version, read again.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use berth_store::blob::memory::MemoryBlobs;
use berth_store::blob::{DomainId, ObjectId};
use berth_store::seal::{RootKey, SealedBlobs};
use berth_types::Digest;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::StreamExt as _;
use uuid::Uuid;

const ROOT: [u8; 32] = [0x2a; 32];
const DOMAIN: u128 = 0x00112233445566778899aabbccddeeff;

fn hkdf(key: &[u8], info: &[u8]) -> Vec<u8> {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]), key);
    let expanded = hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref());
    hmac::sign(&expanded, &[info, &[1]].concat()).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn cipher(key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

/// Ciphertext and tag in, plaintext out.
fn decrypt(key: &[u8], nonce: &[u8], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    let mut text = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    cipher(key).open_in_place(nonce, Aad::from(aad), &mut text).expect("it opens").to_vec()
}

fn encrypt(key: &[u8], nonce: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut text = plain.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    cipher(key).seal_in_place_append_tag(nonce, Aad::from(aad), &mut text).unwrap();
    text
}

/// Domain key from its wrapped form.
fn domain_key(wrapped: &[u8]) -> Vec<u8> {
    assert_eq!((wrapped[0], wrapped.len()), (1, 61));
    let aad = [&[1][..], &DOMAIN.to_be_bytes()].concat();
    decrypt(&hkdf(&ROOT, b"berth/v1/root/domain-keys"), &wrapped[1..13], &aad, &wrapped[13..])
}

fn open_object(domain_key: &[u8], id: Uuid, object: &[u8]) -> Vec<u8> {
    let fixed = [&b"BERTHOBJ\0\x01\0\0\0\x01\0\0"[..], &DOMAIN.to_be_bytes(), id.as_bytes()].concat();
    assert_eq!(object[..48], fixed);
    assert_eq!(object[48..56], hkdf(domain_key, b"berth/v1/domain/id")[..8]);
    let aad = sha256(&fixed);
    let data_key =
        decrypt(&hkdf(domain_key, b"berth/v1/domain/data-keys"), &object[56..68], &aad, &object[68..116]);
    let segments: Vec<_> = object[116..].chunks(7 + 65_536 + 16).collect();
    let mut plain = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let last = u8::from(index + 1 == segments.len());
        let nonce = [&segment[..7], &(index as u32).to_be_bytes(), &[last]].concat();
        plain.extend(decrypt(&data_key, &nonce, &aad, &segment[7..]));
    }
    plain
}

fn seal_object(domain_key: &[u8], id: Uuid, plain: &[u8]) -> Vec<u8> {
    let mut object = [&b"BERTHOBJ\0\x01\0\0\0\x01\0\0"[..], &DOMAIN.to_be_bytes(), id.as_bytes()].concat();
    let aad = sha256(&object);
    let (data_key, nonce) = ([0x77; 32], [0x88; 12]);
    object.extend(&hkdf(domain_key, b"berth/v1/domain/id")[..8]);
    object.extend(nonce);
    object.extend(encrypt(&hkdf(domain_key, b"berth/v1/domain/data-keys"), &nonce, &aad, &data_key));
    let mut segments: Vec<_> = plain.chunks(65_536).collect();
    if segments.is_empty() {
        segments.push(&[]);
    }
    for (index, segment) in segments.iter().enumerate() {
        // Each segment could come from another session.
        let prefix = [index as u8; 7];
        let last = u8::from(index + 1 == segments.len());
        let nonce = [&prefix[..], &(index as u32).to_be_bytes(), &[last]].concat();
        object.extend(prefix);
        object.extend(encrypt(&data_key, &nonce, &aad, segment));
    }
    object
}

fn record_aad(purpose: &[u8], context: &[&[u8]]) -> Vec<u8> {
    let mut aad = vec![1];
    for part in std::iter::once(&purpose).chain(context) {
        aad.extend((part.len() as u64).to_be_bytes());
        aad.extend(*part);
    }
    aad
}

fn content(length: usize) -> Bytes {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

fn root() -> RootKey {
    RootKey::from_text(&HEXLOWER.encode(&ROOT)).unwrap()
}

async fn read(blobs: &SealedBlobs, key: &berth_store::seal::DomainKey, object: ObjectId) -> Vec<u8> {
    let reader = blobs.open(key, object).await.unwrap();
    let bytes = reader.bytes();
    let mut pieces = std::pin::pin!(reader.stream(0..bytes));
    let mut plain = Vec::new();
    while let Some(piece) = pieces.next().await {
        plain.extend_from_slice(&piece.unwrap());
    }
    plain
}

#[tokio::test]
async fn each_implementation_reads_what_the_other_wrote() {
    let store = MemoryBlobs::new();
    let blobs = SealedBlobs::new(Arc::new(store.clone()));
    let domain = DomainId(Uuid::from_u128(DOMAIN));
    let (key, wrapped) = root().wrap_new_domain_key(domain).unwrap();
    let raw = domain_key(&wrapped);
    for length in [0, 1, 1000, 65_535, 65_536, 65_537, 131_072, 1_000_000] {
        let (object, data) = (ObjectId::random(domain), content(length));
        let mut writer = blobs.create(&key, object, None).await.unwrap();
        writer.append(data.clone()).await.unwrap();
        writer.finish().await.unwrap();
        assert!(open_object(&raw, object.id, &store.bytes(object).unwrap()) == data, "{length}");

        let foreign = ObjectId::random(domain);
        store.replace(foreign, seal_object(&raw, foreign.id, &data).into());
        assert!(read(&blobs, &key, foreign).await == data, "{length}");
    }
}

#[test]
fn records_and_derived_keys_are_as_the_page_says() {
    let root = root();
    let (key, wrapped) = root.wrap_new_domain_key(DomainId(Uuid::from_u128(DOMAIN))).unwrap();
    let records = hkdf(&domain_key(&wrapped), b"berth/v1/domain/records");
    let sealed = key.seal("manifest", &[b"one", b""], b"text").unwrap();
    assert_eq!(sealed[0], 1);
    let aad = record_aad(b"manifest", &[b"one", b""]);
    assert_eq!(decrypt(&records, &sealed[1..13], &aad, &sealed[13..]), b"text");
    let foreign = [&[1][..], &[5; 12], &encrypt(&records, &[5; 12], &aad, b"other")].concat();
    assert_eq!(key.open("manifest", &[b"one", b""], &foreign).unwrap(), b"other");

    assert_eq!(root.verifier()[1..], hkdf(&ROOT, b"berth/v1/root/verifier"));
    assert_eq!(root.derive("tokens")[..], hkdf(&ROOT, b"berth/v1/use/tokens"));
}

/// A sample: lines of `name hexadecimal`.
fn sample(name: &str) -> Vec<u8> {
    let text = include_str!("samples/v1.txt");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    HEXLOWER.decode(line.expect("the sample is there").as_bytes()).unwrap()
}

#[tokio::test]
async fn samples_of_version_1_are_still_read() {
    let root = root();
    root.verify(&sample("verifier")).unwrap();
    let domain = DomainId(Uuid::from_u128(DOMAIN));
    let key = root.unwrap_domain_key(domain, &sample("wrapped-domain-key")).unwrap();
    assert_eq!(key.open("manifest", &[b"context"], &sample("record")).unwrap(), b"a record of version 1");

    let store = MemoryBlobs::new();
    let blobs = SealedBlobs::new(Arc::new(store.clone()));
    let object = ObjectId { domain, id: Uuid::from_u128(1) };
    store.replace(object, sample("object").into());
    assert_eq!(read(&blobs, &key, object).await, b"an object of version 1");

    // An upload of 64 bytes so far, none of which is in the store yet.
    let unfinished = ObjectId { domain, id: Uuid::from_u128(2) };
    drop(blobs.create(&key, unfinished, None).await.unwrap());
    let mut writer = blobs.resume(&key, unfinished, &sample("checkpoint")).await.unwrap();
    assert_eq!(writer.bytes(), 64);
    writer.append(Bytes::from_static(b"end")).await.unwrap();
    let expected = [&[b'x'; 64][..], b"end"].concat();
    assert_eq!(writer.finish().await.unwrap().sha256, Digest::sha256(&expected));
}
