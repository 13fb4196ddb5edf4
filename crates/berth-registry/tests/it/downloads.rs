//! `GetDownloadUrlForLayer` and what its URLs give. The grammar of the URLs has unit tests.

use std::time::Duration;

use berth_registry::{DOWNLOAD_PATH_PREFIX, Error};
use berth_types::Digest;

use crate::assert_error;
use crate::fixture::{World, assert_no_repository, collect, nowhere, on_each_store};

on_each_store!(gives_the_layer_until_it_expires, only_layers_of_images_have_one);

async fn gives_the_layer_until_it_expires(mut world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    let layer = Digest::sha256(b"layer");
    let path = world.registry.layer_download_path(&world.caller, &shop, &layer).await.unwrap();
    assert!(path.starts_with(DOWNLOAD_PATH_PREFIX));
    world.restart().await;
    let (head, stream) = world.registry.read_download(&path, Some(1..3)).await.unwrap();
    assert_eq!((head.digest, head.bytes, collect(stream).await.unwrap()), (layer, 5, b"ay".to_vec()));
    let changed = path.replace("shop/api", "shop/apo");
    assert_error!(world.registry.read_download(&changed, None).await, Error::TokenInvalid);
    world.later(Duration::from_secs(3600));
    assert_error!(world.registry.read_download(&path, None).await, Error::TokenExpired);

    let path = world.registry.layer_download_path(&world.caller, &shop, &layer).await.unwrap();
    world.registry.delete_repository(&world.caller, &shop, true).await.unwrap();
    assert_error!(world.registry.read_download(&path, None).await, Error::BlobUnknown { .. });
}

async fn only_layers_of_images_have_one(world: World) {
    let shop = world.create("shop/api").await;
    let (registry, caller) = (&world.registry, &world.caller);
    let digest = Digest::sha256(b"content");
    assert_error!(registry.layer_download_path(caller, &shop, &digest).await, Error::BlobUnknown { .. });
    world.push_blob(&shop, b"content").await.unwrap();
    assert_error!(
        registry.layer_download_path(caller, &shop, &digest).await,
        Error::LayerInaccessible { .. }
    );
    assert_no_repository(registry.layer_download_path(caller, &nowhere(), &digest).await);
}
