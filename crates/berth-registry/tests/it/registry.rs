//! Opening, readiness, and who may do what.

use std::sync::Arc;

use berth_registry::images::PutManifest;
use berth_registry::repositories::{CreateRepository, RequestedEncryption};
use berth_registry::{Caller, Error, Operation, Registry, TagStatus};
use berth_store::blob::fault::{Call, Fault, FaultyBlobs};
use berth_store::seal::RootKey;
use berth_types::{Digest, RepositoryArn, RepositoryName, TagMutability};

use crate::assert_error;
use crate::fixture::{
    World, by_tag, caller, chunk, config, image, name, on_each_store, reference_to, tag, text,
};

on_each_store!(
    another_root_key_is_refused,
    answers_when_asked,
    other_accounts_are_refused,
    every_method_asks_whether_the_caller_may,
);

async fn another_root_key_is_refused(world: World) {
    let other = RootKey::from_text(&"02".repeat(32)).unwrap();
    let opened =
        Registry::open(config(), world.meta.clone(), world.blobs.clone(), other, world.clock.clone()).await;
    let error = opened.unwrap_err();
    assert_eq!(error.to_string(), "cannot use this root key");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the root key is not the one that this data directory was made with");
}

async fn answers_when_asked(world: World) {
    world.registry.check().await.unwrap();
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    let totals = world.registry.totals().await.unwrap();
    assert_eq!((totals.repositories, totals.images, totals.uploads), (1, 1, 0));
}

async fn other_accounts_are_refused(world: World) {
    let shop = world.create("shop/api").await;
    let stranger = caller("999999999999", "123456789012");
    let refused = world.registry.authorize(&stranger, Operation::PutImage, Some(&shop));
    assert_eq!(
        text(refused),
        "User: arn:aws:iam::999999999999:root is not authorized to perform: ecr:PutImage on resource: \
         arn:aws:ecr:us-east-1:123456789012:repository/shop/api"
    );
    let refused = world.registry.authorize(&stranger, Operation::GetAuthorizationToken, None);
    assert!(text(refused).ends_with("perform: ecr:GetAuthorizationToken on resource: *"));
    // What exists and what does not look the same to a stranger.
    for repository in [shop, name("no/where")] {
        assert_error!(world.registry.repository(&stranger, &repository).await, Error::AccessDenied { .. });
    }
}

macro_rules! refused {
    ($($call:expr),* $(,)?) => {
        $(match $call.await {
            Err(Error::AccessDenied { .. }) => {}
            other => panic!("{}: {:?}", stringify!($call), other.err().map(|error| error.to_string())),
        })*
    };
}

async fn lifecycle_methods_ask(registry: &Registry, stranger: &Caller, shop: &RepositoryName) {
    let run = berth_store::meta::LifecycleRunId(1);
    let every_image = berth_registry::preview::PreviewQuery::Images { ids: &[], filter: TagStatus::Any };
    refused![
        registry.put_lifecycle_policy(stranger, shop, "{}"),
        registry.lifecycle_policy(stranger, shop),
        registry.delete_lifecycle_policy(stranger, shop),
        registry.start_lifecycle_preview(stranger, shop, None),
        registry.lifecycle_preview(stranger, shop, every_image),
        registry.run_lifecycle(stranger, shop),
        registry.lifecycle_runs(stranger, shop, None, 10),
        registry.lifecycle_run_images(stranger, shop, run, None, 10),
        registry.undo_lifecycle_run(stranger, shop, run),
    ];
}

async fn every_method_asks_whether_the_caller_may(world: World) {
    let shop = &world.create("shop/api").await;
    world.push_image(shop, "layer", &["v1"]).await.unwrap();
    let (registry, owner) = (&world.registry, &world.caller);
    let upload = registry.start_upload(owner, shop, None).await.unwrap();
    let stranger = &caller("999999999999", "123456789012");
    let (arn, digest) =
        (&RepositoryArn { registry: owner.registry.clone(), name: shop.clone() }, &Digest::sha256(b"layer"));
    let (v1, mutability) = (&reference_to("v1"), TagMutability::mutable());
    let create = CreateRepository {
        name: name("shop/new"),
        tags: Vec::new(),
        mutability: mutability.clone(),
        scan_on_push: false,
        encryption: RequestedEncryption::Aes256,
    };
    let manifest = PutManifest {
        bytes: image("layer", serde_json::json!({})),
        declared: None,
        digest: None,
        tags: vec![tag("v2")],
    };
    refused![
        registry.create_repository(stranger, create),
        registry.repository(stranger, shop),
        registry.repositories(stranger, None, 10),
        registry.delete_repository(stranger, shop, true),
        registry.set_tag_mutability(stranger, shop, &mutability),
        registry.set_scan_on_push(stranger, shop, true),
        registry.resource_tags(stranger, arn),
        registry.tag_resource(stranger, arn, &[]),
        registry.untag_resource(stranger, arn, &[]),
        registry.put_manifest(stranger, shop, manifest),
        registry.manifest(stranger, shop, v1),
        registry.manifest_head(stranger, shop, v1),
        registry.batch_get_images(stranger, shop, &[by_tag("v1")], None),
        registry.batch_delete_images(stranger, shop, &[by_tag("v1")]),
        registry.delete_manifest(stranger, shop, v1),
        registry.tags(stranger, shop, None, 10),
        registry.image_ids(stranger, shop, TagStatus::Any, None, 10),
        registry.images(stranger, shop, TagStatus::Any, None, 10),
        registry.describe_images(stranger, shop, &[by_tag("v1")]),
        registry.referrers(stranger, shop, digest, None, None, 10),
        registry.blob_head(stranger, shop, digest),
        registry.read_blob(stranger, shop, digest, None),
        registry.mount_blob(stranger, shop, digest, None),
        registry.delete_blob(stranger, shop, digest),
        registry.layer_availability(stranger, shop, &[*digest]),
        registry.layer_download_path(stranger, shop, digest),
        registry.start_upload(stranger, shop, None),
        registry.upload_bytes(stranger, shop, upload),
        registry.append_upload(stranger, shop, upload, chunk(b"x")),
        registry.complete_upload(stranger, shop, upload, chunk(b"x"), &[*digest]),
        registry.put_blob(stranger, shop, chunk(b"layer"), digest),
        registry.cancel_upload(stranger, shop, upload),
        std::future::ready(registry.issue_token(stranger)),
    ];
    lifecycle_methods_ask(registry, stranger, shop).await;
    world.pull(shop, "v1").await.unwrap();
    assert_eq!(registry.upload_bytes(owner, shop, upload).await.unwrap(), 0);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_ready() {
    let mut faulty = None;
    let world = World::in_memory_behind(|store| {
        let around = FaultyBlobs::new(store);
        faulty = Some(around.clone());
        Arc::new(around)
    });
    let (world, faulty) = (world.await, faulty.unwrap());
    faulty.inject(Call::Check, 0, Fault::Fail);
    assert_error!(world.registry.check().await, Error::Internal { .. });
    world.registry.check().await.unwrap();
}
