//! Every call of the stores during a push fails, loses its answer, or is the last thing the process does. Whatever
//! happens: what was acknowledged is there, nothing half-written is visible, a retry succeeds, and nothing leaks.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use berth_registry::{Error, Result};
use berth_store::blob::fault::{Call, Crash, Fault, FaultyBlobs, Gate};
use berth_types::{Digest, RepositoryName, UploadId};
use serde_json::json;

use crate::assert_error;
use crate::faulty_meta::{FaultyMeta, MetaFault};
use crate::fixture::{World, chunk, image};

const CALLS: [Call; 6] = [Call::Create, Call::Append, Call::Flush, Call::Reopen, Call::Finish, Call::Delete];
/// More calls of one kind than a push makes.
const CALLS_MAX: usize = 200;

fn layer() -> String {
    "0123456789abcdef".repeat(20_000)
}

/// What a client was told.
#[derive(Debug, Default)]
struct Acknowledged {
    /// The session of the layer, and how far it is.
    session: Option<(UploadId, u64)>,
    blobs: Vec<String>,
    manifest: bool,
}

/// A push as a client does it, up to the first error: the layer in parts, with a cut-off in between, then again in one
/// request (so that an object is left over), the config, a session that is cancelled, and the manifest.
async fn push(world: &World, shop: &RepositoryName, told: &mut Acknowledged) -> Result<()> {
    let (registry, caller, layer) = (&world.registry, &world.caller, layer());
    let bytes = layer.as_bytes();
    let upload = registry.start_upload(caller, shop, None).await?;
    told.session = Some((upload, 0));
    for part in bytes.chunks(150_000) {
        let short = berth_registry::uploads::Chunk { bytes: Some(1), ..chunk(part) };
        match registry.append_upload(caller, shop, upload, short).await {
            Err(Error::PartLengthMismatch { .. }) => {}
            other => drop(other?),
        }
        told.session = Some((upload, registry.append_upload(caller, shop, upload, chunk(part)).await?));
    }
    registry.complete_upload(caller, shop, upload, chunk(b""), &[Digest::sha256(bytes)]).await?;
    told.session = None;
    told.blobs.push(layer.clone());
    world.push_blob(shop, bytes).await?;
    let upload = registry.start_upload(caller, shop, None).await?;
    registry.append_upload(caller, shop, upload, chunk(bytes)).await?;
    registry.cancel_upload(caller, shop, upload).await?;
    world.push_blob(shop, b"{}").await?;
    told.blobs.push("{}".to_owned());
    world.push_manifest(shop, &image(&layer, json!({})), &["v1"]).await?;
    told.manifest = true;
    Ok(())
}

/// After whatever went wrong, and a restart.
async fn check(world: &World, shop: &RepositoryName, told: &Acknowledged, case: &str) {
    for blob in &told.blobs {
        let digest = Digest::sha256(blob.as_bytes());
        assert!(world.read(shop, &digest).await.unwrap() == blob.as_bytes(), "{case}");
    }
    // What was not acknowledged is there whole, or not at all.
    for blob in [layer().as_str(), "{}"] {
        match world.read(shop, &Digest::sha256(blob.as_bytes())).await {
            Ok(found) => assert!(found == blob.as_bytes(), "{case}"),
            Err(error) => assert!(matches!(error, Error::BlobUnknown { .. }), "{case}: {error:?}"),
        }
    }
    match world.pull(shop, "v1").await {
        Ok(found) => assert_eq!(found, image(&layer(), json!({})), "{case}"),
        Err(error) => {
            assert!(!told.manifest && matches!(error, Error::ImageNotFound { .. }), "{case}: {error:?}");
        }
    }
    if let Some((upload, bytes)) = told.session {
        resume(world, shop, upload, bytes, case).await;
    }
    push(world, shop, &mut Acknowledged::default())
        .await
        .unwrap_or_else(|error| panic!("{case}: retry: {error:?}"));
    world.later(Duration::from_secs(25 * 3600));
    world.registry.expire_uploads().await.unwrap();
    assert_eq!(world.objects(), 2, "{case}: only the layer and the config are left");
    assert_eq!(world.registry.totals().await.unwrap().uploads, 0, "{case}");
}

/// A client that goes on with its session after an error: it asks how far the session is, and sends the rest.
async fn resume(world: &World, shop: &RepositoryName, upload: UploadId, bytes: u64, case: &str) {
    let (registry, caller, layer) = (&world.registry, &world.caller, layer());
    let stands_at = match registry.upload_bytes(caller, shop, upload).await {
        Ok(stands_at) => stands_at,
        // Completed or cancelled, and the answer was lost.
        Err(Error::UploadNotFound { .. }) => return,
        Err(error) => panic!("{case}: {error:?}"),
    };
    assert!(stands_at >= bytes, "{case}: {stands_at} of {bytes} acknowledged bytes");
    let rest = chunk(&layer.as_bytes()[usize::try_from(stands_at).unwrap()..]);
    let digest = Digest::sha256(layer.as_bytes());
    match registry.complete_upload(caller, shop, upload, rest, &[digest]).await {
        Ok(_) => assert!(world.read(shop, &digest).await.unwrap() == layer.as_bytes(), "{case}"),
        // The object was finished when it happened, so it cannot be gone on with.
        Err(Error::UploadNotFound { .. }) => {
            assert_error!(registry.upload_bytes(caller, shop, upload).await, Error::UploadNotFound { .. });
        }
        Err(error) => panic!("{case}: {error:?}"),
    }
}

async fn world_on_faulty_blobs(on_disk: bool) -> (World, FaultyBlobs) {
    let mut faulty = None;
    let around = |store| -> Arc<dyn berth_store::blob::BlobStore> {
        let around = FaultyBlobs::new(store);
        faulty = Some(around.clone());
        Arc::new(around)
    };
    let world =
        if on_disk { World::on_disk_behind(around).await } else { World::in_memory_behind(around).await };
    (world, faulty.unwrap())
}

/// Runs `case` for the first call of each kind, the second and so on, until there are no more; it returns whether there
/// was such a call.
async fn for_every_call<F: Future<Output = bool>>(case: impl Fn(Call, usize) -> F) {
    for call in CALLS {
        let mut after = 0;
        while case(call, after).await {
            after += 1;
            assert!(after < CALLS_MAX, "{call:?}");
        }
        assert!(after > 0, "a push makes every kind of call, {call:?} too");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_blob_store_fails_in_turn() {
    for fault in [Fault::Fail, Fault::Full, Fault::LoseReply] {
        for restart in [false, true] {
            for_every_call(|call, after| {
                let fault = fault.clone();
                async move {
                    let (mut world, faulty) = world_on_faulty_blobs(false).await;
                    let shop = world.create("shop/api").await;
                    faulty.inject(call, after, fault.clone());
                    let mut told = Acknowledged::default();
                    let pushed = push(&world, &shop, &mut told).await;
                    if faulty.pending() > 0 {
                        return false;
                    }
                    let case = format!("{fault:?} {call:?} {after}, restart {restart}, {pushed:?}");
                    if let (Fault::Full, Err(error)) = (&fault, &pushed) {
                        assert!(matches!(error, Error::StorageFull), "{case}");
                    }
                    if restart {
                        faulty.crash(Crash::Process).await.unwrap();
                        world.restart().await;
                    }
                    check(&world, &shop, &told, &case).await;
                    true
                }
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_ends_at_every_call_of_the_blob_store() {
    for (crash, on_disk) in [(Crash::Process, false), (Crash::Machine, false), (Crash::Process, true)] {
        for_every_call(|call, after| async move {
            let (mut world, faulty) = world_on_faulty_blobs(on_disk).await;
            let shop = world.create("shop/api").await;
            // The call never comes to its end, and what waits for it never goes on: that process is dead.
            let gate = Gate::closed();
            faulty.inject(call, after, Fault::Wait(Arc::clone(&gate)));
            let mut told = Acknowledged::default();
            tokio::select! {
                pushed = push(&world, &shop, &mut told) => {
                    pushed.unwrap();
                    return false;
                }
                () = gate.arrival() => {}
            }
            faulty.crash(crash).await.unwrap();
            world.restart().await;
            let case = format!("{crash:?} at {call:?} {after}, on disk {on_disk}");
            check(&world, &shop, &told, &case).await;
            true
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_metadata_store_fails_in_turn() {
    for fault in [MetaFault::Fail, MetaFault::LoseReply] {
        for restart in [false, true] {
            let mut after = 0;
            loop {
                let mut world = World::in_memory().await;
                let shop = world.create("shop/api").await;
                let faulty = Arc::new(FaultyMeta::new(Arc::clone(&world.meta)));
                world.meta = faulty.clone();
                world.restart().await;
                faulty.inject(after, fault);
                let mut told = Acknowledged::default();
                let pushed = push(&world, &shop, &mut told).await;
                if faulty.call_off() {
                    break;
                }
                let case = format!("{fault:?} {after}, restart {restart}, {pushed:?}");
                if restart {
                    world.restart().await;
                }
                check(&world, &shop, &told, &case).await;
                after += 1;
            }
            assert!(after > 20, "a push asks the metadata store {after} times");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_machine_crash_took_is_said_to_be_gone() {
    let (mut world, faulty) = world_on_faulty_blobs(false).await;
    let shop = world.create("shop/api").await;
    let upload = world.registry.start_upload(&world.caller, &shop, None).await.unwrap();
    world.registry.append_upload(&world.caller, &shop, upload, chunk(layer().as_bytes())).await.unwrap();
    faulty.crash(Crash::Machine).await.unwrap();
    world.restart().await;
    let digest = Digest::sha256(layer().as_bytes());
    let completed = world.registry.complete_upload(&world.caller, &shop, upload, chunk(b""), &[digest]).await;
    assert_error!(completed, Error::UploadNotFound { .. });
    assert_eq!(world.registry.totals().await.unwrap().uploads, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_is_an_error_in_the_stream() {
    let (world, faulty) = world_on_faulty_blobs(false).await;
    let shop = world.create("shop/api").await;
    world.push_blob(&shop, layer().as_bytes()).await.unwrap();
    faulty.inject(Call::Read, 1, Fault::Fail);
    let read = world.read(&shop, &Digest::sha256(layer().as_bytes())).await;
    assert_error!(read, Error::Internal { .. });
    assert_eq!(faulty.pending(), 0);
}
