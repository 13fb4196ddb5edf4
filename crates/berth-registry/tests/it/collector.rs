//! The collector over real stores: what it takes, what it leaves, and clients that go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_registry::collector::{CollectLimits, Collected, GRACE_DEFAULT};
use berth_registry::{Error, Registry};
use berth_types::Digest;
use serde_json::json;

use crate::assert_error;
use crate::fixture::{World, by_tag, image, on_each_store, tag};

on_each_store!(
    gives_back_what_a_deleted_image_took,
    leaves_what_another_image_or_repository_needs,
    an_upload_that_is_never_used_goes_after_the_grace_period,
    a_client_that_was_told_of_a_blob_can_push_its_image,
    a_dry_run_counts_and_deletes_nothing,
    works_in_bounded_steps,
    clients_notice_nothing,
);

const ALL: CollectLimits = CollectLimits { grace: GRACE_DEFAULT, blobs_max: usize::MAX };

async fn collect(registry: &Registry) -> Collected {
    registry.collect(ALL).await.unwrap()
}

async fn gives_back_what_a_deleted_image_took(world: World) {
    let shop = world.create("shop").await;
    let empty = world.objects();
    world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    let full = world.objects();
    world.registry.batch_delete_images(&world.caller, &shop, &[by_tag("v1")]).await.unwrap();
    world.later(GRACE_DEFAULT);
    assert_eq!(collect(&world.registry).await, Collected::default(), "the grace period is not over");
    assert_eq!(world.objects(), full);
    world.later(Duration::from_millis(1));
    assert_eq!(collect(&world.registry).await, Collected { blobs: 2, bytes: 7, more: false });
    assert_eq!(world.objects(), empty);
    assert_error!(world.read(&shop, &Digest::sha256(b"layer")).await, Error::BlobUnknown { .. });
    world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    assert_eq!(world.read(&shop, &Digest::sha256(b"layer")).await.unwrap(), b"layer");
}

async fn leaves_what_another_image_or_repository_needs(world: World) {
    let (shop, other) = (world.create("shop").await, world.create("other").await);
    world.push_image(&shop, "shared", &["v1"]).await.unwrap();
    world.push_manifest(&shop, &image("shared", json!({"annotations": {"a": "b"}})), &["v2"]).await.unwrap();
    world.push_image(&shop, "mounted", &["v3"]).await.unwrap();
    let mounted = Digest::sha256(b"mounted");
    for digest in [mounted, Digest::sha256(b"{}")] {
        world.registry.mount_blob(&world.caller, &other, &digest, Some(&shop)).await.unwrap().unwrap();
    }
    world.push_manifest(&other, &image("mounted", json!({})), &["v1"]).await.unwrap();
    let ids = [by_tag("v1"), by_tag("v3")];
    world.registry.batch_delete_images(&world.caller, &shop, &ids).await.unwrap();
    world.later(GRACE_DEFAULT * 2);
    assert_eq!(collect(&world.registry).await, Collected::default());
    assert_eq!(world.read(&shop, &Digest::sha256(b"shared")).await.unwrap(), b"shared");
    assert_error!(world.read(&shop, &mounted).await, Error::BlobUnknown { .. });
    assert_eq!(world.read(&other, &mounted).await.unwrap(), b"mounted");
}

async fn an_upload_that_is_never_used_goes_after_the_grace_period(world: World) {
    let shop = world.create("shop").await;
    world.push_blob(&shop, b"never used").await.unwrap();
    world.later(GRACE_DEFAULT);
    assert_eq!(collect(&world.registry).await.blobs, 0);
    world.push_blob(&shop, b"never used").await.unwrap();
    world.later(GRACE_DEFAULT);
    assert_eq!(collect(&world.registry).await.blobs, 0, "it was pushed again");
    world.later(Duration::from_millis(1));
    assert_eq!(collect(&world.registry).await, Collected { blobs: 1, bytes: 10, more: false });
    assert_eq!(world.objects(), 0);
}

async fn a_client_that_was_told_of_a_blob_can_push_its_image(world: World) {
    let shop = world.create("shop").await;
    world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    world.registry.batch_delete_images(&world.caller, &shop, &[by_tag("v1")]).await.unwrap();
    world.later(GRACE_DEFAULT);
    let digests = [Digest::sha256(b"layer"), Digest::sha256(b"{}")];
    world.registry.blob_head(&world.caller, &shop, &digests[0]).await.unwrap();
    world.registry.layer_availability(&world.caller, &shop, &digests[1..]).await.unwrap();
    world.later(GRACE_DEFAULT);
    assert_eq!(collect(&world.registry).await, Collected::default());
    world.push_manifest(&shop, &image("layer", json!({})), &["v1"]).await.unwrap();
    world.later(GRACE_DEFAULT * 2);
    assert_eq!(collect(&world.registry).await, Collected::default());
    assert_eq!(world.read(&shop, &digests[0]).await.unwrap(), b"layer");
}

async fn a_dry_run_counts_and_deletes_nothing(world: World) {
    let shop = world.create("shop").await;
    world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    world.push_blob(&shop, b"unused").await.unwrap();
    assert_eq!(world.registry.collectable(GRACE_DEFAULT).await.unwrap(), Collected::default());
    world.later(GRACE_DEFAULT * 2);
    let expected = Collected { blobs: 1, bytes: 6, more: false };
    for _ in 0..2 {
        assert_eq!(world.registry.collectable(GRACE_DEFAULT).await.unwrap(), expected);
    }
    assert_eq!(world.objects(), 3);
    assert_eq!(collect(&world.registry).await, expected);
    assert_eq!(world.registry.collectable(GRACE_DEFAULT).await.unwrap(), Collected::default());
}

async fn works_in_bounded_steps(world: World) {
    let shop = world.create("shop").await;
    for content in 0..7 {
        world.push_blob(&shop, format!("{content}").as_bytes()).await.unwrap();
    }
    world.later(GRACE_DEFAULT * 2);
    let limits = CollectLimits { blobs_max: 3, ..ALL };
    let steps = [(3, true), (3, true), (1, false), (0, false)];
    for (blobs, more) in steps {
        let step = world.registry.collect(limits).await.unwrap();
        assert_eq!((step.blobs, step.more), (blobs, more));
    }
}

/// Several clients push, pull and delete the same few images while the collector runs without any grace: a push may be
/// told that a layer is missing (then it uploads again, as a client does), but what was pushed can be pulled.
async fn clients_notice_nothing(world: World) {
    let shop = world.create("shop").await;
    let world = Arc::new(world);
    let done = Arc::new(AtomicBool::new(false));
    let collecting = tokio::spawn({
        let (world, done) = (Arc::clone(&world), Arc::clone(&done));
        async move {
            let limits = CollectLimits { grace: Duration::ZERO, blobs_max: usize::MAX };
            while !done.load(Ordering::Relaxed) {
                world.registry.collect(limits).await.unwrap();
                world.later(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        }
    });
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..4 {
        let (world, shop) = (Arc::clone(&world), shop.clone());
        clients.spawn(async move {
            let own = format!("client-{client}");
            for round in 0..20 {
                let layer = format!("layer {}", round % 3);
                let manifest = image(&layer, json!({"annotations": {"client": own}}));
                let pushed = loop {
                    for content in ["{}", &layer] {
                        world.push_blob(&shop, content.as_bytes()).await.unwrap();
                    }
                    match world.push_manifest(&shop, &manifest, &[&own]).await {
                        Ok(pushed) => break pushed,
                        Err(Error::LayersNotFound { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                };
                assert_eq!(world.pull(&shop, &own).await.unwrap(), manifest);
                let content = world.read(&shop, &Digest::sha256(layer.as_bytes())).await.unwrap();
                assert_eq!(content, layer.as_bytes());
                if round % 2 == 0 {
                    let id = berth_registry::ImageId { digest: Some(pushed.digest), tag: Some(tag(&own)) };
                    world.registry.batch_delete_images(&world.caller, &shop, &[id]).await.unwrap();
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    collecting.await.unwrap();
}
