//! Upload sessions: in order, cut off, in parallel, completed, cancelled, expired.

use std::time::Duration;

use berth_registry::Error;
use berth_registry::error::BodyError;
use berth_registry::uploads::Chunk;
use berth_types::{Algorithm, Digest, UploadId, limits};
use bytes::Bytes;

use crate::assert_error;
use crate::fixture::{World, assert_no_repository, chunk, nowhere, on_each_store, pieces, stalled, text};

on_each_store!(
    appends_in_order_and_completes,
    a_whole_blob_in_one_call,
    the_same_content_is_stored_once,
    out_of_order_is_refused,
    lengths_must_be_as_announced,
    what_is_too_large_is_refused,
    a_body_that_breaks_off_changes_nothing,
    a_client_that_goes_away_changes_nothing,
    one_request_writes_at_a_time,
    another_digest_ends_the_session,
    any_of_several_digests_will_do,
    sha512_announced_or_not,
    cancels,
    idle_sessions_expire,
    a_restart_loses_nothing_acknowledged,
    unknown_sessions_and_repositories,
    empty_chunks_and_empty_blobs,
);

async fn start(world: &World, repository: &berth_types::RepositoryName) -> UploadId {
    world.registry.start_upload(&world.caller, repository, None).await.unwrap()
}

fn at(first_byte: u64, content: &[u8]) -> Chunk<'static> {
    Chunk { first_byte: Some(first_byte), bytes: Some(content.len() as u64), ..chunk(content) }
}

fn broken_off(content: &[u8]) -> Chunk<'static> {
    let error = BodyError::Disconnected("connection reset".into());
    pieces(vec![Ok(Bytes::copy_from_slice(content)), Err(error)])
}

async fn appends_in_order_and_completes(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    let content: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(
        registry.append_upload(caller, &shop, upload, chunk(&content[..100_000])).await.unwrap(),
        100_000
    );
    let second = at(100_000, &content[100_000..250_000]);
    assert_eq!(registry.append_upload(caller, &shop, upload, second).await.unwrap(), 250_000);
    assert_eq!(registry.upload_bytes(caller, &shop, upload).await.unwrap(), 250_000);
    let digest = Digest::sha256(&content);
    let last = at(250_000, &content[250_000..]);
    let done = registry.complete_upload(caller, &shop, upload, last, &[digest]).await.unwrap();
    assert_eq!((done.blob.digest, done.blob.bytes, done.existed), (digest, 300_000, false));
    assert_eq!(world.read(&shop, &digest).await.unwrap(), content);
    // The session is over.
    let again = registry.complete_upload(caller, &shop, upload, chunk(b""), &[digest]).await;
    assert_error!(again, Error::UploadNotFound { .. });
}

async fn a_whole_blob_in_one_call(world: World) {
    let shop = world.create("shop/api").await;
    let done = world.push_blob(&shop, b"content").await.unwrap();
    assert_eq!((done.blob.bytes, done.existed), (7, false));
    let wrong = world.registry.put_blob(&world.caller, &shop, chunk(b"other"), &done.blob.digest).await;
    assert_eq!(
        text(wrong),
        format!(
            "None of the provided layer digests match the calculated layer digest '{}'",
            Digest::sha256(b"other")
        )
    );
    let broken = world.registry.put_blob(&world.caller, &shop, broken_off(b"con"), &done.blob.digest).await;
    assert_error!(broken, Error::Body(_));
    assert_eq!(world.registry.totals().await.unwrap().uploads, 0, "no session is left");
    assert_eq!(world.objects(), 1);
    assert_no_repository(world.push_blob(&nowhere(), b"content").await);
}

async fn the_same_content_is_stored_once(world: World) {
    let (shop, other) = (world.create("shop/api").await, world.create("shop/other").await);
    let content = vec![3; 150_000];
    assert!(!world.push_blob(&shop, &content).await.unwrap().existed);
    assert!(world.push_blob(&shop, &content).await.unwrap().existed);
    assert!(!world.push_blob(&other, &content).await.unwrap().existed);
    assert_eq!(world.objects(), 1);
    assert_eq!(world.read(&other, &Digest::sha256(&content)).await.unwrap(), content);
}

async fn out_of_order_is_refused(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    registry.append_upload(caller, &shop, upload, chunk(b"0123")).await.unwrap();
    for first_byte in [0, 3, 5, u64::MAX] {
        let refused = registry.append_upload(caller, &shop, upload, at(first_byte, b"45")).await;
        let expected = format!("First byte of the layer part is {first_byte} instead of 4");
        assert_eq!(text(refused), expected);
    }
    assert_eq!(registry.append_upload(caller, &shop, upload, at(4, b"45")).await.unwrap(), 6);
}

async fn lengths_must_be_as_announced(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    for announced in [1, 3] {
        let wrong = Chunk { bytes: Some(announced), ..chunk(b"ab") };
        let refused = registry.append_upload(caller, &shop, upload, wrong).await;
        assert_error!(refused, Error::PartLengthMismatch { found: 2, .. });
    }
    assert_eq!(registry.upload_bytes(caller, &shop, upload).await.unwrap(), 0);
    registry.append_upload(caller, &shop, upload, at(0, b"ab")).await.unwrap();
}

async fn what_is_too_large_is_refused(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    registry.append_upload(caller, &shop, upload, chunk(b"x")).await.unwrap();
    for bytes in [limits::BLOB_BYTES_MAX, u64::MAX] {
        let large = Chunk { bytes: Some(bytes), ..chunk(b"y") };
        assert_error!(registry.append_upload(caller, &shop, upload, large).await, Error::BlobTooLarge);
    }
    let large = Chunk { bytes: Some(limits::BLOB_BYTES_MAX + 1), ..chunk(b"y") };
    let refused = registry.put_blob(caller, &shop, large, &Digest::sha256(b"y")).await;
    assert_error!(refused, Error::BlobTooLarge);
    assert_eq!(registry.upload_bytes(caller, &shop, upload).await.unwrap(), 1);
}

async fn a_body_that_breaks_off_changes_nothing(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    let digest = Digest::sha256(b"one two three");
    // At the very start, where no object is recorded yet, and later.
    for (before, rest) in [(0, "one "), (4, "two ")] {
        let refused = registry.append_upload(caller, &shop, upload, broken_off(&[9; 100_000])).await;
        assert_error!(refused, Error::Body(BodyError::Disconnected(_)));
        let refused = registry.complete_upload(caller, &shop, upload, broken_off(b"zz"), &[digest]).await;
        assert_error!(refused, Error::Body(_));
        assert_eq!(registry.upload_bytes(caller, &shop, upload).await.unwrap(), before);
        registry.append_upload(caller, &shop, upload, at(before, rest.as_bytes())).await.unwrap();
    }
    registry.complete_upload(caller, &shop, upload, chunk(b"three"), &[digest]).await.unwrap();
    assert_eq!(world.read(&shop, &digest).await.unwrap(), b"one two three");
    assert_eq!(world.objects(), 1);
}

async fn a_client_that_goes_away_changes_nothing(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    let digest = Digest::sha256(b"one two");
    for (stands_at, rest) in [(0, "one "), (4, "two")] {
        // The request's future is dropped in the middle of the body.
        let request = registry.append_upload(caller, &shop, upload, stalled(&[9; 300_000]));
        assert!(tokio::time::timeout(Duration::from_millis(20), request).await.is_err());
        // The session is free again as soon as nothing is under way.
        let appended = loop {
            match registry.append_upload(caller, &shop, upload, at(stands_at, rest.as_bytes())).await {
                Err(Error::UploadBusy(_)) => tokio::task::yield_now().await,
                other => break other.unwrap(),
            }
        };
        assert_eq!(appended, stands_at + rest.len() as u64);
    }
    registry.complete_upload(caller, &shop, upload, chunk(b""), &[digest]).await.unwrap();
    assert_eq!(world.read(&shop, &digest).await.unwrap(), b"one two");

    // A blob in one request leaves nothing at all.
    let request = registry.put_blob(caller, &shop, stalled(&[9; 300_000]), &digest);
    assert!(tokio::time::timeout(Duration::from_millis(20), request).await.is_err());
    while registry.totals().await.unwrap().uploads > 0 || world.objects() > 1 {
        tokio::task::yield_now().await;
    }
}

async fn one_request_writes_at_a_time(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    let mut first = Box::pin(registry.append_upload(caller, &shop, upload, stalled(b"first")));
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut first).await.is_err());
    for _ in 0..2 {
        let second = registry.append_upload(caller, &shop, upload, chunk(b"second")).await;
        assert_eq!(text(second), format!("another request is writing to upload '{upload}'"));
        let digest = Digest::sha256(b"");
        let second = registry.complete_upload(caller, &shop, upload, chunk(b""), &[digest]).await;
        assert_error!(second, Error::UploadBusy(_));
        assert_error!(registry.cancel_upload(caller, &shop, upload).await, Error::UploadBusy(_));
    }
    assert_eq!(registry.upload_bytes(caller, &shop, upload).await.unwrap(), 0);
    drop(first);
    while let Err(error) = registry.cancel_upload(caller, &shop, upload).await {
        assert!(matches!(error, Error::UploadBusy(_)));
        tokio::task::yield_now().await;
    }
    assert_eq!(world.objects(), 0);
}

async fn another_digest_ends_the_session(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    registry.append_upload(caller, &shop, upload, chunk(b"content")).await.unwrap();
    let wrong = [Digest::sha256(b"other"), Digest::of(Algorithm::Sha512, b"other")];
    let refused = registry.complete_upload(caller, &shop, upload, chunk(b""), &wrong).await;
    assert_error!(refused, Error::BlobDigestMismatch { .. });
    assert_error!(registry.upload_bytes(caller, &shop, upload).await, Error::UploadNotFound { .. });
    assert_eq!(world.objects(), 0);
}

async fn any_of_several_digests_will_do(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let digests = [Digest::sha256(b"other"), Digest::sha256(b"content")];
    let done = world
        .registry
        .complete_upload(&world.caller, &shop, upload, chunk(b"content"), &digests)
        .await
        .unwrap();
    assert_eq!(done.blob.digest, digests[1]);
}

async fn sha512_announced_or_not(mut world: World) {
    let shop = world.create("shop/api").await;
    for (content, announced, restart) in [
        (&b"announced"[..], Some(Algorithm::Sha512), false),
        (b"not announced", None, false),
        (b"announced and forgotten", Some(Algorithm::Sha512), true),
    ] {
        let upload = world.registry.start_upload(&world.caller, &shop, announced).await.unwrap();
        if restart {
            world.restart().await;
        }
        world.registry.append_upload(&world.caller, &shop, upload, chunk(content)).await.unwrap();
        let digest = Digest::of(Algorithm::Sha512, content);
        let done = world.registry.complete_upload(&world.caller, &shop, upload, chunk(b""), &[digest]).await;
        assert_eq!(done.unwrap().blob.digest, digest);
        assert_eq!(world.read(&shop, &digest).await.unwrap(), content);
    }
    let digest = Digest::of(Algorithm::Sha512, b"in one call");
    world.registry.put_blob(&world.caller, &shop, chunk(b"in one call"), &digest).await.unwrap();
    assert_eq!(world.read(&shop, &digest).await.unwrap(), b"in one call");
}

async fn cancels(world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    registry.append_upload(caller, &shop, upload, chunk(&[1; 100_000])).await.unwrap();
    registry.cancel_upload(caller, &shop, upload).await.unwrap();
    assert_error!(registry.cancel_upload(caller, &shop, upload).await, Error::UploadNotFound { .. });
    assert_eq!(world.objects(), 0);
}

async fn idle_sessions_expire(world: World) {
    let shop = world.create("shop/api").await;
    let (old, young) = (start(&world, &shop).await, start(&world, &shop).await);
    let (registry, caller) = (&world.registry, &world.caller);
    for upload in [old, young] {
        registry.append_upload(caller, &shop, upload, chunk(&[1; 100_000])).await.unwrap();
    }
    world.later(Duration::from_secs(23 * 3600));
    registry.append_upload(caller, &shop, young, chunk(b"more")).await.unwrap();
    assert_eq!(registry.expire_uploads().await.unwrap(), 0);
    world.later(Duration::from_secs(2 * 3600));
    assert_eq!(registry.expire_uploads().await.unwrap(), 1);
    assert_error!(registry.upload_bytes(caller, &shop, old).await, Error::UploadNotFound { .. });
    assert_eq!(registry.upload_bytes(caller, &shop, young).await.unwrap(), 100_004);
    assert_eq!(world.objects(), 1);
}

async fn a_restart_loses_nothing_acknowledged(mut world: World) {
    let shop = world.create("shop/api").await;
    let upload = start(&world, &shop).await;
    let content: Vec<u8> = (0..500_000_u32).map(|i| (i % 241) as u8).collect();
    let mut stands_at = 0;
    for part in content.chunks(170_000) {
        let bytes = world.registry.append_upload(&world.caller, &shop, upload, chunk(part)).await.unwrap();
        stands_at += part.len() as u64;
        assert_eq!(bytes, stands_at);
        world.restart().await;
        assert_eq!(world.registry.upload_bytes(&world.caller, &shop, upload).await.unwrap(), stands_at);
    }
    let digest = Digest::sha256(&content);
    world.registry.complete_upload(&world.caller, &shop, upload, chunk(b""), &[digest]).await.unwrap();
    world.restart().await;
    assert_eq!(world.read(&shop, &digest).await.unwrap(), content);
}

async fn unknown_sessions_and_repositories(world: World) {
    let (shop, other) = (world.create("shop/api").await, world.create("shop/other").await);
    let upload = start(&world, &shop).await;
    let (registry, caller) = (&world.registry, &world.caller);
    let digest = Digest::sha256(b"");
    for (repository, upload) in [(&shop, UploadId::random()), (&other, upload)] {
        let expected = format!(
            "The upload with id '{upload}' does not exist in the repository with name '{repository}' in the registry \
             with id '123456789012'"
        );
        assert_eq!(text(registry.upload_bytes(caller, repository, upload).await), expected);
        assert_eq!(text(registry.append_upload(caller, repository, upload, chunk(b"x")).await), expected);
        let completed = registry.complete_upload(caller, repository, upload, chunk(b""), &[digest]).await;
        assert_eq!(text(completed), expected);
        assert_eq!(text(registry.cancel_upload(caller, repository, upload).await), expected);
    }
    assert_no_repository(registry.start_upload(caller, &nowhere(), None).await);
    assert_no_repository(registry.upload_bytes(caller, &nowhere(), upload).await);
    assert_no_repository(registry.append_upload(caller, &nowhere(), upload, chunk(b"x")).await);
    assert_no_repository(registry.complete_upload(caller, &nowhere(), upload, chunk(b""), &[digest]).await);
    assert_no_repository(registry.cancel_upload(caller, &nowhere(), upload).await);
}

async fn empty_chunks_and_empty_blobs(world: World) {
    let shop = world.create("shop/api").await;
    let (registry, caller) = (&world.registry, &world.caller);
    let empty = Digest::sha256(b"");
    let upload = start(&world, &shop).await;
    assert_eq!(registry.append_upload(caller, &shop, upload, chunk(b"")).await.unwrap(), 0);
    assert_eq!(registry.append_upload(caller, &shop, upload, at(0, b"")).await.unwrap(), 0);
    registry.complete_upload(caller, &shop, upload, chunk(b""), &[empty]).await.unwrap();
    assert_eq!(world.read(&shop, &empty).await.unwrap(), b"");
    let upload = start(&world, &shop).await;
    registry.append_upload(caller, &shop, upload, chunk(b"x")).await.unwrap();
    assert_eq!(registry.append_upload(caller, &shop, upload, chunk(b"")).await.unwrap(), 1);
    registry.complete_upload(caller, &shop, upload, chunk(b""), &[Digest::sha256(b"x")]).await.unwrap();
}

#[tokio::test]
async fn a_repository_has_so_many_sessions_and_no_more() {
    let world = World::in_memory().await;
    let shop = world.create("shop/api").await;
    for _ in 0..limits::UPLOADS_PER_REPOSITORY_MAX {
        start(&world, &shop).await;
    }
    let refused = world.registry.start_upload(&world.caller, &shop, None).await;
    assert_error!(refused, Error::LimitExceeded(_));
}
