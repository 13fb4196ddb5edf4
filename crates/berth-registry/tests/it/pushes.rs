//! Pushing manifests: what is checked, what changes, and tag mutability.

use berth_registry::Error;
use berth_registry::images::PutManifest;
use berth_types::{
    Algorithm, Digest, ManifestError, MediaType, TagMutability, TagMutabilityMode, WildcardPattern, limits,
};
use bytes::Bytes;
use serde_json::json;

use crate::assert_error;
use crate::fixture::{
    World, assert_no_repository, descriptor, image, index, nowhere, on_each_store, tag, text,
};

on_each_store!(
    comes_back_byte_for_byte,
    says_whether_anything_changed,
    blobs_and_children_must_be_there,
    what_is_no_manifest_is_refused,
    the_digest_must_be_right,
    the_four_modes_of_mutability,
    subjects_need_not_exist,
);

async fn comes_back_byte_for_byte(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &[]).await.unwrap();
    let odd = Bytes::from(format!("\n {}  \n", std::str::from_utf8(&image("layer", json!({}))).unwrap()));
    let stored = world.push_manifest(&shop, &odd, &["v1", "v2", "v1"]).await.unwrap();
    assert_eq!((stored.digest, stored.media_type.as_str()), (Digest::sha256(&odd), MediaType::OCI_MANIFEST));
    for reference in ["v1", "v2", &stored.digest.to_string()] {
        assert_eq!(world.pull(&shop, reference).await.unwrap(), odd);
    }
}

async fn says_whether_anything_changed(world: World) {
    let shop = world.create("shop/api").await;
    let manifest = image("layer", json!({}));
    assert!(world.push_image(&shop, "layer", &["v1"]).await.unwrap().changed, "new");
    assert!(!world.push_manifest(&shop, &manifest, &["v1"]).await.unwrap().changed, "the same again");
    assert!(!world.push_manifest(&shop, &manifest, &[]).await.unwrap().changed, "without a tag");
    assert!(world.push_manifest(&shop, &manifest, &["v2"]).await.unwrap().changed, "another tag");
    let other = world.push_image(&shop, "other", &["v1"]).await.unwrap();
    assert!(other.changed, "the tag moves");
    assert_eq!(Digest::sha256(&world.pull(&shop, "v1").await.unwrap()), other.digest);
}

async fn blobs_and_children_must_be_there(world: World) {
    let (shop, other) = (world.create("shop/api").await, world.create("shop/other").await);
    world.push_image(&other, "layer", &[]).await.unwrap();
    let manifest = image("layer", json!({}));
    let missing = [Digest::sha256(b"{}"), Digest::sha256(b"layer")];
    match world.push_manifest(&shop, &manifest, &["v1"]).await {
        Err(error @ Error::LayersNotFound { .. }) => {
            let message = error.to_string();
            assert!(message.ends_with("with id '123456789012' do not exist"), "{message}");
            assert!(missing.iter().all(|digest| message.contains(&digest.to_string())), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_error!(world.pull(&shop, "v1").await, Error::ImageNotFound { .. });
    let list = index(&[&manifest], json!({}));
    assert_error!(world.push_manifest(&shop, &list, &["v1"]).await, Error::ReferencedImagesNotFound { .. });
    world.push_manifest(&other, &list, &["v1"]).await.unwrap();
    // A layer that lives elsewhere need not be here.
    world.push_blob(&shop, b"{}").await.unwrap();
    let foreign = descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"elsewhere");
    let foreign = image("x", json!({"layers": [foreign]}));
    world.push_manifest(&shop, &foreign, &[]).await.unwrap();
    assert_no_repository(world.push_manifest(&nowhere(), &manifest, &[]).await);
}

async fn what_is_no_manifest_is_refused(world: World) {
    let shop = world.create("shop/api").await;
    let push = |bytes: Bytes| {
        let (world, shop) = (&world, &shop);
        async move { world.push_manifest(shop, &bytes, &[]).await }
    };
    assert_error!(push("{".into()).await, Error::ManifestInvalid(ManifestError::Json(_)));
    let large = Bytes::from(vec![b' '; limits::MANIFEST_BYTES_MAX + 1]);
    assert_error!(push(large).await, Error::ManifestInvalid(ManifestError::TooLarge(_)));
    assert_error!(
        push(image("layer", json!({"schemaVersion": 1}))).await,
        Error::ManifestInvalid(ManifestError::SchemaVersion(1))
    );
}

async fn the_digest_must_be_right(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &[]).await.unwrap();
    let bytes = image("layer", json!({"annotations": {"a": "b"}}));
    let put = |digest| {
        let manifest =
            PutManifest { bytes: bytes.clone(), declared: None, digest: Some(digest), tags: vec![tag("v1")] };
        world.registry.put_manifest(&world.caller, &shop, manifest)
    };
    let refused = put(Digest::sha256(b"other")).await;
    assert_eq!(
        text(refused),
        format!(
            "The image with digest '{}' does not match the image digest that was calculated: '{}'",
            Digest::sha256(b"other"),
            Digest::sha256(&bytes)
        )
    );
    assert_error!(world.pull(&shop, "v1").await, Error::ImageNotFound { .. });
    let sha512 = Digest::of(Algorithm::Sha512, &bytes);
    assert_eq!(put(sha512).await.unwrap().digest, sha512);
    assert_eq!(world.pull(&shop, &sha512.to_string()).await.unwrap(), bytes);
}

async fn the_four_modes_of_mutability(world: World) {
    let shop = world.create("shop/api").await;
    for (mode, filters, moves_latest, moves_version) in [
        (TagMutabilityMode::Mutable, &[][..], true, true),
        (TagMutabilityMode::Immutable, &[], false, false),
        (TagMutabilityMode::ImmutableWithExclusion, &["late*"], true, false),
        (TagMutabilityMode::MutableWithExclusion, &["late*"], false, true),
    ] {
        let mutable = TagMutability::mutable();
        world.registry.set_tag_mutability(&world.caller, &shop, &mutable).await.unwrap();
        let first = world.push_image(&shop, "first", &["latest", "v1"]).await.unwrap();
        let filters = filters.iter().map(|filter| WildcardPattern::new(filter)).collect();
        let rule = TagMutability::new(mode, filters).unwrap();
        world.registry.set_tag_mutability(&world.caller, &shop, &rule).await.unwrap();
        let again = world.push_manifest(&shop, &image("first", json!({})), &["latest", "v1"]).await.unwrap();
        assert!(!again.changed, "an identical push succeeds in every mode");
        for (moved, moves) in [("latest", moves_latest), ("v1", moves_version)] {
            let pushed = world.push_image(&shop, "second", &[moved]).await;
            if moves {
                assert!(pushed.unwrap().changed);
            } else {
                let expected = format!(
                    "The image tag '{moved}' already exists in the 'shop/api' repository and cannot be overwritten \
                     because the repository is immutable."
                );
                assert_eq!(text(pushed), expected);
                assert_eq!(Digest::sha256(&world.pull(&shop, moved).await.unwrap()), first.digest);
            }
        }
    }
}

async fn subjects_need_not_exist(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &[]).await.unwrap();
    let subject = descriptor(MediaType::OCI_MANIFEST, b"not pushed");
    let stored = world.push_manifest(&shop, &image("layer", json!({"subject": subject})), &[]).await.unwrap();
    assert_eq!(stored.subject, Some(Digest::sha256(b"not pushed")));
}

#[tokio::test]
async fn an_image_has_so_many_tags_and_no_more() {
    let world = World::in_memory().await;
    let shop = world.create("shop/api").await;
    let tags: Vec<_> = (0..=limits::TAGS_PER_IMAGE_MAX).map(|number| format!("t{number}")).collect();
    let tags: Vec<_> = tags.iter().map(String::as_str).collect();
    assert_error!(world.push_image(&shop, "layer", &tags).await, Error::LimitExceeded(_));
    world.push_image(&shop, "layer", &tags[1..]).await.unwrap();
    assert_error!(world.push_image(&shop, "layer", &tags[..1]).await, Error::LimitExceeded(_));
}

#[tokio::test]
async fn a_large_manifest_is_stored_whole() {
    let world = World::in_memory().await;
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &[]).await.unwrap();
    let head = image("layer", json!({}));
    let mut bytes = head.to_vec();
    bytes.resize(limits::MANIFEST_BYTES_MAX, b' ');
    let bytes = Bytes::from(bytes);
    world.push_manifest(&shop, &bytes, &["large"]).await.unwrap();
    assert_eq!(world.pull(&shop, "large").await.unwrap(), bytes);
}
