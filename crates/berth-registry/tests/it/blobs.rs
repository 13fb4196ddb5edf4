//! Blobs: look, read in parts, mount, delete, availability; nothing in plaintext on disk.

use berth_registry::Error;
use berth_registry::blobs::{BlobHead, LayerAvailability};
use berth_types::Digest;
use serde_json::json;

use crate::assert_error;
use crate::fixture::{World, assert_no_repository, collect, image, nowhere, on_each_store, text};

on_each_store!(
    reads_any_range,
    absent_blobs,
    mounts,
    deletes_what_no_image_needs,
    says_which_layers_are_there,
    nothing_is_stored_in_plain_text,
);

async fn reads_any_range(world: World) {
    let shop = world.create("shop/api").await;
    let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 253) as u8).collect();
    let digest = world.push_blob(&shop, &content).await.unwrap().blob.digest;
    let head = world.registry.blob_head(&world.caller, &shop, &digest).await.unwrap();
    assert_eq!(head, BlobHead { digest, bytes: 200_000 });
    for range in [0..0, 0..1, 65_535..65_537, 199_999..200_000, 0..200_000, 70_000..140_001] {
        let read = world.registry.read_blob(&world.caller, &shop, &digest, Some(range.clone())).await;
        let expected = &content[range.start as usize..range.end as usize];
        assert!(collect(read.unwrap().1).await.unwrap() == expected, "{range:?}");
    }
}

async fn absent_blobs(world: World) {
    let (shop, other) = (world.create("shop/api").await, world.create("shop/other").await);
    let digest = world.push_blob(&other, b"content").await.unwrap().blob.digest;
    let (registry, caller) = (&world.registry, &world.caller);
    let expected = format!(
        "The layer with digest '{digest}' does not exist in the repository with name 'shop/api' in the registry with id \
         '123456789012'"
    );
    assert_eq!(text(registry.blob_head(caller, &shop, &digest).await), expected);
    assert_eq!(text(registry.read_blob(caller, &shop, &digest, None).await), expected);
    assert_eq!(text(registry.delete_blob(caller, &shop, &digest).await), expected);
    assert_no_repository(registry.blob_head(caller, &nowhere(), &digest).await);
    assert_no_repository(registry.read_blob(caller, &nowhere(), &digest, None).await);
    assert_no_repository(registry.delete_blob(caller, &nowhere(), &digest).await);
    assert_no_repository(registry.mount_blob(caller, &nowhere(), &digest, None).await);
    assert_no_repository(registry.layer_availability(caller, &nowhere(), &[digest]).await);
}

async fn mounts(world: World) {
    let (shop, other, third) =
        (world.create("shop/api").await, world.create("shop/other").await, world.create("shop/third").await);
    let head = world.push_blob(&other, b"content").await.unwrap().blob;
    let (registry, caller) = (&world.registry, &world.caller);
    let nowhere = nowhere();
    let mount = |from| registry.mount_blob(caller, &shop, &head.digest, from);
    assert_eq!(mount(Some(&third)).await.unwrap(), None, "the source does not have it");
    assert_eq!(mount(Some(&nowhere)).await.unwrap(), None, "there is no source");
    assert_eq!(mount(Some(&other)).await.unwrap(), Some(head));
    assert_eq!(world.read(&shop, &head.digest).await.unwrap(), b"content");
    let anywhere = registry.mount_blob(caller, &third, &head.digest, None).await.unwrap();
    assert_eq!(anywhere, Some(head));
    let nothing = registry.mount_blob(caller, &third, &Digest::sha256(b"never pushed"), None).await.unwrap();
    assert_eq!(nothing, None);
    assert_eq!(world.objects(), 1);
}

async fn deletes_what_no_image_needs(world: World) {
    let shop = world.create("shop/api").await;
    let manifest = world.push_image(&shop, "layer", &[]).await.unwrap();
    let (registry, caller, layer) = (&world.registry, &world.caller, Digest::sha256(b"layer"));
    assert_error!(registry.delete_blob(caller, &shop, &layer).await, Error::BlobInUse { .. });
    let reference = berth_types::Reference::Digest(manifest.digest);
    registry.delete_manifest(caller, &shop, &reference).await.unwrap();
    registry.delete_blob(caller, &shop, &layer).await.unwrap();
    assert_error!(registry.blob_head(caller, &shop, &layer).await, Error::BlobUnknown { .. });
    let again = world.push_manifest(&shop, &image("layer", json!({})), &[]).await;
    assert_error!(again, Error::LayersNotFound { .. });
}

async fn says_which_layers_are_there(world: World) {
    let shop = world.create("shop/api").await;
    let there = world.push_blob(&shop, b"content").await.unwrap().blob.digest;
    let absent = Digest::sha256(b"absent");
    let layers = world.registry.layer_availability(&world.caller, &shop, &[absent, there]).await.unwrap();
    let expected = [
        LayerAvailability { digest: absent, bytes: None },
        LayerAvailability { digest: there, bytes: Some(7) },
    ];
    assert_eq!(layers, expected);
}

async fn nothing_is_stored_in_plain_text(world: World) {
    const MARKER: &str = "PLAIN-TEXT-MARKER";
    let shop = world.create("shop/api").await;
    world.push_image(&shop, &MARKER.repeat(10_000), &[]).await.unwrap();
    world
        .push_manifest(&shop, &image(&MARKER.repeat(10_000), json!({"annotations": {"x": MARKER}})), &["v1"])
        .await
        .unwrap();
    let upload = world.registry.start_upload(&world.caller, &shop, None).await.unwrap();
    let unfinished = crate::fixture::chunk(MARKER.repeat(10_000).as_bytes());
    world.registry.append_upload(&world.caller, &shop, upload, unfinished).await.unwrap();
    let stored = world.stored_bytes();
    assert!(stored.len() > 170_000 + 100_000, "it is stored");
    assert!(!stored.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()));
}
