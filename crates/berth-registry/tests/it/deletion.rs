//! `BatchDeleteImage` and deletion over the OCI plane.

use berth_registry::images::BatchDeleted;
use berth_registry::{Error, ImageId};
use berth_types::{Digest, RepositoryName};
use serde_json::json;

use crate::assert_error;
use crate::fixture::{
    World, assert_no_repository, by_both, by_digest, by_tag, image, index, nowhere, on_each_store,
    reference_to, text,
};

on_each_store!(
    by_tag_the_image_goes_with_its_last_tag,
    by_digest_the_image_goes_with_all_tags,
    tag_and_digest_must_agree,
    the_output_of_list_images_deletes_everything,
    what_an_index_lists_stays,
    an_index_and_its_children_go_in_any_order,
    oci_deletes_only_what_is_named,
    a_deleted_tag_may_be_pushed_again,
);

async fn delete(world: &World, repository: &RepositoryName, ids: &[ImageId]) -> BatchDeleted {
    world.registry.batch_delete_images(&world.caller, repository, ids).await.unwrap()
}

async fn by_tag_the_image_goes_with_its_last_tag(world: World) {
    let shop = world.create("shop/api").await;
    let digest = world.push_image(&shop, "layer", &["a", "b"]).await.unwrap().digest;
    let done = delete(&world, &shop, &[by_tag("a"), by_tag("a"), by_tag("absent"), ImageId::default()]).await;
    assert_eq!(done.deleted, [by_both(digest, "a")], "an id given twice counts once");
    assert_eq!(done.failures[0].image, by_tag("absent"));
    assert!(matches!(done.failures[0].error, Error::ImageNotFound { .. }));
    assert!(matches!(done.failures[1].error, Error::MissingDigestAndTag));
    assert_eq!(
        done.failures[1].error.to_string(),
        "Invalid request parameters: both tag and digest cannot be null"
    );
    world.pull(&shop, &digest.to_string()).await.unwrap();
    assert_eq!(delete(&world, &shop, &[by_tag("b")]).await.deleted, [by_both(digest, "b")]);
    assert_error!(world.pull(&shop, &digest.to_string()).await, Error::ImageNotFound { .. });
    assert_no_repository(world.registry.batch_delete_images(&world.caller, &nowhere(), &[by_tag("a")]).await);
}

async fn by_digest_the_image_goes_with_all_tags(world: World) {
    let shop = world.create("shop/api").await;
    let tagged = world.push_image(&shop, "one", &["b", "a"]).await.unwrap().digest;
    let untagged = world.push_image(&shop, "two", &[]).await.unwrap().digest;
    let absent = Digest::sha256(b"absent");
    let done = delete(&world, &shop, &[by_digest(tagged), by_digest(untagged), by_digest(absent)]).await;
    assert_eq!(done.deleted, [by_both(tagged, "a"), by_both(tagged, "b"), by_digest(untagged)]);
    assert_eq!(done.failures.len(), 1);
    world.registry.delete_repository(&world.caller, &shop, false).await.unwrap();
}

async fn tag_and_digest_must_agree(world: World) {
    let shop = world.create("shop/api").await;
    let one = world.push_image(&shop, "one", &["a", "b"]).await.unwrap().digest;
    let two = world.push_image(&shop, "two", &["c"]).await.unwrap().digest;
    let done = delete(&world, &shop, &[by_both(two, "a"), by_both(one, "b")]).await;
    assert_eq!(done.deleted, [by_both(one, "b")]);
    assert!(matches!(done.failures[0].error, Error::ImageTagDoesNotMatchDigest { .. }));
    world.pull(&shop, "a").await.unwrap();
}

async fn the_output_of_list_images_deletes_everything(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "one", &["a", "b"]).await.unwrap();
    world.push_image(&shop, "two", &[]).await.unwrap();
    world.push_manifest(&shop, &index(&[&image("one", json!({}))], json!({})), &["all"]).await.unwrap();
    let listed =
        world.registry.image_ids(&world.caller, &shop, berth_registry::TagStatus::Any, None, 100).await;
    let ids: Vec<_> = listed.unwrap().items;
    let ids: Vec<_> = ids.into_iter().map(|id| ImageId { digest: Some(id.digest), tag: id.tag }).collect();
    let done = delete(&world, &shop, &ids).await;
    assert_eq!((done.deleted.len(), done.failures.len()), (4, 0));
    world.registry.delete_repository(&world.caller, &shop, false).await.unwrap();
}

async fn what_an_index_lists_stays(world: World) {
    let shop = world.create("shop/api").await;
    let child = world.push_image(&shop, "one", &["child"]).await.unwrap().digest;
    let list = index(&[&image("one", json!({}))], json!({}));
    let parent = world.push_manifest(&shop, &list, &["all"]).await.unwrap().digest;
    let expected = format!("Requested image referenced by manifest list: [{parent}]");
    for id in [by_digest(child), by_tag("child"), by_both(child, "child")] {
        let done = delete(&world, &shop, std::slice::from_ref(&id)).await;
        assert!(done.deleted.is_empty());
        assert_eq!(done.failures[0].image, id);
        assert_eq!(done.failures[0].error.to_string(), expected);
    }
    let reference = reference_to(&child.to_string());
    assert_eq!(text(world.registry.delete_manifest(&world.caller, &shop, &reference).await), expected);
    world.pull(&shop, "child").await.unwrap();
    // With a second tag, the first may go.
    world.push_manifest(&shop, &image("one", json!({})), &["second"]).await.unwrap();
    assert_eq!(delete(&world, &shop, &[by_tag("child")]).await.deleted, [by_both(child, "child")]);
}

async fn an_index_and_its_children_go_in_any_order(world: World) {
    let shop = world.create("shop/api").await;
    let child = world.push_image(&shop, "one", &[]).await.unwrap().digest;
    let list = index(&[&image("one", json!({}))], json!({}));
    let parent = world.push_manifest(&shop, &list, &[]).await.unwrap().digest;
    let grandparent = index(&[&list], json!({}));
    let grandparent = world.push_manifest(&shop, &grandparent, &["top"]).await.unwrap().digest;
    let done = delete(&world, &shop, &[by_digest(child), by_digest(parent), by_tag("top")]).await;
    assert_eq!(done.deleted, [by_both(grandparent, "top"), by_digest(parent), by_digest(child)]);
    assert!(done.failures.is_empty());
}

async fn oci_deletes_only_what_is_named(world: World) {
    let shop = world.create("shop/api").await;
    let digest = world.push_image(&shop, "layer", &["a", "b", "c"]).await.unwrap().digest;
    let delete = |reference: String| {
        let (registry, caller, shop) = (&world.registry, &world.caller, &shop);
        async move { registry.delete_manifest(caller, shop, &reference_to(&reference)).await }
    };
    for gone in ["a", "b", "c"] {
        delete(gone.to_owned()).await.unwrap();
        assert_error!(delete(gone.to_owned()).await, Error::ImageNotFound { .. });
    }
    world.pull(&shop, &digest.to_string()).await.unwrap();
    delete(digest.to_string()).await.unwrap();
    assert_error!(delete(digest.to_string()).await, Error::ImageNotFound { .. });
    assert_error!(world.pull(&shop, &digest.to_string()).await, Error::ImageNotFound { .. });
    let elsewhere = world.registry.delete_manifest(&world.caller, &nowhere(), &reference_to("a")).await;
    assert_no_repository(elsewhere);
}

async fn a_deleted_tag_may_be_pushed_again(world: World) {
    let shop = world.create("shop/api").await;
    let rule = berth_types::TagMutability::immutable();
    world.registry.set_tag_mutability(&world.caller, &shop, &rule).await.unwrap();
    world.push_image(&shop, "one", &["v1"]).await.unwrap();
    assert_error!(world.push_image(&shop, "two", &["v1"]).await, Error::TagImmutable { .. });
    delete(&world, &shop, &[by_tag("v1")]).await;
    world.push_image(&shop, "two", &["v1"]).await.unwrap();
}
