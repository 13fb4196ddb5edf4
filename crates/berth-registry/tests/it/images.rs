//! Pulling, `BatchGetImage`, `DescribeImages` with ids, referrers, pull times.

use std::time::Duration;

use berth_registry::{Error, ImageId, Registry};
use berth_types::{Digest, MediaType};
use serde_json::json;

use crate::assert_error;
use crate::fixture::{
    World, assert_no_repository, by_both, by_digest, by_tag, descriptor, image, index, nowhere,
    on_each_store, reference_to, text,
};

on_each_store!(
    pulls_by_tag_and_by_digest,
    gets_in_batches,
    accepts_only_what_is_accepted,
    describes_by_id,
    sizes_are_those_of_content,
    lists_referrers,
    pull_times_are_written_in_batches,
);

async fn pulls_by_tag_and_by_digest(world: World) {
    let shop = world.create("shop/api").await;
    let pushed = world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    let bytes = image("layer", json!({}));
    let by_digest = pushed.digest.to_string();
    for reference in ["v1", &by_digest] {
        assert_eq!(world.pull(&shop, reference).await.unwrap(), bytes);
        let head =
            world.registry.manifest_head(&world.caller, &shop, &reference_to(reference)).await.unwrap();
        assert_eq!(head, (pushed.digest, MediaType::new(MediaType::OCI_MANIFEST), bytes.len() as u64));
    }
    assert_eq!(
        text(world.pull(&shop, "v2").await),
        "The image with imageId {imageDigest:null, imageTag:'v2'} does not exist within the repository with name \
         'shop/api' in the registry with id '123456789012'"
    );
    let head = world.registry.manifest_head(&world.caller, &shop, &reference_to("v2")).await;
    assert_error!(head, Error::ImageNotFound { .. });
    assert_no_repository(world.pull(&nowhere(), "v1").await);
    let head = world.registry.manifest_head(&world.caller, &nowhere(), &reference_to("v1")).await;
    assert_no_repository(head);
}

async fn gets_in_batches(world: World) {
    let shop = world.create("shop/api").await;
    let one = world.push_image(&shop, "one", &["v1"]).await.unwrap().digest;
    let two = world.push_image(&shop, "two", &["v2"]).await.unwrap().digest;
    let absent = Digest::sha256(b"absent");
    let ids = [
        by_tag("v1"),
        by_digest(two),
        by_both(one, "v1"),
        by_tag("v1"),
        by_both(two, "v1"),
        by_tag("v3"),
        by_digest(absent),
        by_both(one, "v3"),
        ImageId::default(),
    ];
    let (found, failures) = world.registry.batch_get_images(&world.caller, &shop, &ids, None).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|found| found.image).collect();
    assert_eq!(
        found,
        [by_both(one, "v1"), by_digest(two), by_both(one, "v1")],
        "an id given twice counts once"
    );
    let failed: Vec<_> = failures.iter().map(|failure| failure.image.clone()).collect();
    assert_eq!(failed, ids[4..]);
    let errors: Vec<_> = failures.into_iter().map(|failure| failure.error).collect();
    assert!(matches!(errors[0], Error::ImageTagDoesNotMatchDigest { .. }));
    assert!(errors[1..4].iter().all(|error| matches!(error, Error::ImageNotFound { .. })));
    assert!(matches!(errors[4], Error::MissingDigestAndTag));
    assert_no_repository(world.registry.batch_get_images(&world.caller, &nowhere(), &ids, None).await);
}

async fn accepts_only_what_is_accepted(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "one", &["v1"]).await.unwrap();
    for (accepted, is_found) in [(MediaType::OCI_MANIFEST, true), (MediaType::DOCKER_MANIFEST, false)] {
        let accepted = [MediaType::new(accepted)];
        let answer =
            world.registry.batch_get_images(&world.caller, &shop, &[by_tag("v1")], Some(&accepted)).await;
        let (found, failures) = answer.unwrap();
        assert_eq!((found.len() == 1, failures.is_empty()), (is_found, is_found));
    }
}

async fn describes_by_id(world: World) {
    let shop = world.create("shop/api").await;
    let one = world.push_image(&shop, "one", &["a", "b"]).await.unwrap().digest;
    let two = world.push_image(&shop, "two", &[]).await.unwrap().digest;
    let (registry, caller) = (&world.registry, &world.caller);
    let ids = [by_digest(two), by_tag("b"), by_tag("a"), by_digest(one), by_both(one, "a")];
    let images = registry.describe_images(caller, &shop, &ids).await.unwrap();
    let digests: Vec<_> = images.iter().map(|image| image.digest).collect();
    assert_eq!(digests, [two, one], "each image once, as first named");
    let tags: Vec<_> = images[1].tags.iter().map(berth_types::Tag::as_str).collect();
    assert_eq!((tags, images[1].pushed_at), (vec!["a", "b"], world.now()));
    for absent in [by_tag("c"), by_digest(Digest::sha256(b"absent")), by_both(two, "a")] {
        let described = registry.describe_images(caller, &shop, &[by_tag("a"), absent.clone()]).await;
        let expected = format!("The image with imageId {absent} does not exist");
        assert!(text(described).starts_with(&expected));
    }
    let nothing = registry.describe_images(caller, &shop, &[ImageId::default()]).await;
    assert_error!(nothing, Error::InvalidParameter(_));
    assert_no_repository(registry.describe_images(caller, &nowhere(), &ids).await);
}

async fn sizes_are_those_of_content(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "small", &[]).await.unwrap();
    world.push_image(&shop, "very large", &[]).await.unwrap();
    let (small, large) = (image("small", json!({})), image("very large", json!({})));
    world.push_manifest(&shop, &index(&[&small, &large], json!({})), &["all"]).await.unwrap();
    let describe = |id: ImageId| {
        let (registry, caller, shop): (&Registry, _, _) = (&world.registry, &world.caller, &shop);
        async move { registry.describe_images(caller, shop, &[id]).await.unwrap()[0].image_bytes }
    };
    assert_eq!(describe(by_digest(Digest::sha256(&small))).await, 2 + 5);
    assert_eq!(describe(by_tag("all")).await, 2 + 10, "the largest child");
}

async fn lists_referrers(world: World) {
    let shop = world.create("shop/api").await;
    let subject = world.push_image(&shop, "layer", &["v1"]).await.unwrap().digest;
    let about = descriptor(MediaType::OCI_MANIFEST, &image("layer", json!({})));
    let signature =
        image("layer", json!({"subject": about, "artifactType": "a/sig", "annotations": {"k": "1"}}));
    let other = image("layer", json!({"subject": about, "annotations": {"k": "2"}}));
    let list = index(&[], json!({"subject": about, "artifactType": "a/sig"}));
    for manifest in [&signature, &other, &list] {
        world.push_manifest(&shop, manifest, &[]).await.unwrap();
    }
    let (registry, caller) = (&world.registry, &world.caller);
    let all = registry.referrers(caller, &shop, &subject, None, None, 10).await.unwrap();
    assert_eq!(all.next, None);
    let first = &all.items[0];
    assert_eq!((first.digest, first.size), (Digest::sha256(&signature), signature.len() as u64));
    assert_eq!((first.artifact_type.as_deref(), first.annotations["k"].as_str()), (Some("a/sig"), "1"));
    assert_eq!(all.items[1].artifact_type.as_deref(), Some(MediaType::OCI_IMAGE_CONFIG), "the config's");
    assert_eq!(all.items[2].media_type.as_str(), MediaType::OCI_INDEX);

    let signatures = registry.referrers(caller, &shop, &subject, Some("a/sig"), None, 1).await.unwrap();
    assert_eq!(signatures.items[0].digest, Digest::sha256(&signature));
    let rest = registry.referrers(caller, &shop, &subject, Some("a/sig"), signatures.next, 1).await.unwrap();
    assert_eq!((rest.items[0].digest, rest.next), (Digest::sha256(&list), None));
    let nothing = registry.referrers(caller, &shop, &Digest::sha256(b"x"), None, None, 10).await.unwrap();
    assert!(nothing.items.is_empty());
    assert_no_repository(registry.referrers(caller, &nowhere(), &subject, None, None, 10).await);
}

async fn pull_times_are_written_in_batches(world: World) {
    let shop = world.create("shop/api").await;
    let digest = world.push_image(&shop, "layer", &["v1"]).await.unwrap().digest;
    let pulled_at = || async {
        let images = world.registry.describe_images(&world.caller, &shop, &[by_digest(digest)]).await;
        images.unwrap()[0].last_pulled_at
    };
    world.registry.manifest_head(&world.caller, &shop, &reference_to("v1")).await.unwrap();
    assert_eq!(world.registry.flush_pulls().await.unwrap(), 0, "looking is not pulling");
    world.pull(&shop, "v1").await.unwrap();
    world.later(Duration::from_secs(5));
    world.registry.batch_get_images(&world.caller, &shop, &[by_tag("v1")], None).await.unwrap();
    let last = world.now();
    assert_eq!(pulled_at().await, None, "nothing is written on the way");
    assert_eq!(world.registry.flush_pulls().await.unwrap(), 1);
    assert_eq!(pulled_at().await, Some(last));
    assert_eq!(world.registry.flush_pulls().await.unwrap(), 0);
    // An image that is gone by then is no error.
    world.pull(&shop, "v1").await.unwrap();
    world.registry.delete_repository(&world.caller, &shop, true).await.unwrap();
    world.registry.flush_pulls().await.unwrap();
}
