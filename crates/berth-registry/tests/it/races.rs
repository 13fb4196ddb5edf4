//! Requests at the same time.

use berth_registry::Error;
use berth_types::{Digest, TagMutability};
use futures_util::future::join_all;
use serde_json::json;

use crate::fixture::{World, by_digest, image, index, on_each_store};

on_each_store!(
    the_same_blob_at_once_is_stored_once,
    one_of_many_gets_an_immutable_tag,
    a_domain_is_made_once,
    an_image_and_the_index_that_lists_it,
);

const CLIENTS: usize = 16;

async fn the_same_blob_at_once_is_stored_once(world: World) {
    let shop = world.create("shop/api").await;
    let content = vec![5; 300_000];
    let pushed = join_all((0..CLIENTS).map(|_| world.push_blob(&shop, &content))).await;
    let first = pushed.into_iter().filter(|done| !done.as_ref().unwrap().existed).count();
    assert_eq!(first, 1, "one of them brought it");
    assert_eq!(world.objects(), 1);
    assert_eq!(world.read(&shop, &Digest::sha256(&content)).await.unwrap(), content);
}

async fn one_of_many_gets_an_immutable_tag(world: World) {
    let shop = world.create("shop/api").await;
    world.registry.set_tag_mutability(&world.caller, &shop, &TagMutability::immutable()).await.unwrap();
    world.push_image(&shop, "layer", &[]).await.unwrap();
    let manifests: Vec<_> = (0..CLIENTS)
        .map(|number| image("layer", json!({"annotations": {"n": number.to_string()}})))
        .collect();
    let pushed =
        join_all(manifests.iter().map(|manifest| world.push_manifest(&shop, manifest, &["v1"]))).await;
    let winners: Vec<_> = pushed.iter().filter_map(|done| done.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1);
    assert!(
        pushed.iter().flat_map(|done| done.as_ref().err()).all(|e| matches!(e, Error::TagImmutable { .. }))
    );
    assert_eq!(Digest::sha256(&world.pull(&shop, "v1").await.unwrap()), winners[0].digest);
}

async fn a_domain_is_made_once(world: World) {
    let names: Vec<_> = (0..CLIENTS).map(|number| format!("shop/n{number}")).collect();
    let created = join_all(names.iter().map(|name| world.create(name))).await;
    let mut domains = Vec::new();
    for name in &created {
        domains.push(world.registry.repository(&world.caller, name).await.unwrap().domain);
        world.push_image(name, "layer", &["v1"]).await.unwrap();
    }
    domains.dedup();
    assert_eq!(domains.len(), 1);
    assert_eq!(world.objects(), 2);
}

/// Either the index comes first, and then its child stays; or the child goes first, and then the index is refused.
async fn an_image_and_the_index_that_lists_it(world: World) {
    let shop = world.create("shop/api").await;
    for number in 0..CLIENTS {
        world.push_image(&shop, "layer", &[]).await.unwrap();
        let child = image("layer", json!({"annotations": {"n": number.to_string()}}));
        let child_digest = world.push_manifest(&shop, &child, &[]).await.unwrap().digest;
        let list = index(&[&child], json!({}));
        let ids = [by_digest(child_digest)];
        let (pushed, deleted) = tokio::join!(
            world.push_manifest(&shop, &list, &[]),
            world.registry.batch_delete_images(&world.caller, &shop, &ids),
        );
        let is_there = world.pull(&shop, &child_digest.to_string()).await.is_ok();
        match pushed {
            Ok(_) => assert!(is_there),
            Err(error) => assert!(matches!(error, Error::ReferencedImagesNotFound { .. })),
        }
        assert_eq!(is_there, deleted.unwrap().deleted.is_empty());
    }
}
