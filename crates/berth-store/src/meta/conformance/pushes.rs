//! Pushing images.

use berth_types::limits::TAGS_PER_IMAGE_MAX;
use berth_types::{Algorithm, Digest, Reference, Tag, TagMutability, TagMutabilityMode, WildcardPattern};

use super::fixture::{
    all_images, at, blob, by_tag, image, index, push, repository, tag, tags, tags_of, upload,
};
use crate::meta::{MetaError, MetaStore, NewImage, PutOutcome, TagChange};

pub(super) async fn a_new_image_is_created_with_its_tags(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let layer = blob(store, &repository, "layer").await;
    let new = NewImage {
        artifact_type: Some("application/x".to_owned()),
        blobs: vec![layer],
        subject: Some(Digest::sha256(b"subject")),
        ..image(repository.id, "image", &["v1", "latest"])
    };
    let outcome = store.put_image(&new).await.unwrap();
    let expected = PutOutcome { created: true, tags: vec![TagChange::Created, TagChange::Created] };
    assert_eq!(outcome, expected);
    let found = store.image(repository.id, &new.digest).await.unwrap().unwrap();
    assert_eq!(found.digest, new.digest);
    assert_eq!(found.media_type, new.media_type);
    assert_eq!(found.artifact_type, new.artifact_type);
    assert_eq!(found.image_bytes, 100);
    assert_eq!(found.pushed_at, at(10));
    assert_eq!(found.last_pulled_at, None);
    assert_eq!(found.subject, new.subject);
    assert_eq!(found.tags, tags(&["latest", "v1"]));
}

pub(super) async fn pushing_again_changes_nothing_and_keeps_the_time(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let new = image(repository.id, "image", &["v1"]);
    store.put_image(&new).await.unwrap();
    let before = all_images(store, repository.id).await;
    let again = NewImage { pushed_at: at(99), sealed: b"sealed anew".to_vec(), ..new };
    let outcome = store.put_image(&again).await.unwrap();
    assert_eq!(outcome, PutOutcome { created: false, tags: vec![TagChange::Unchanged] });
    assert_eq!(all_images(store, repository.id).await, before);
}

pub(super) async fn pushing_again_adds_tags(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let digest = push(store, &repository, "image", &["v1"]).await;
    let outcome = store.put_image(&image(repository.id, "image", &["v2", "v1"])).await.unwrap();
    let expected = PutOutcome { created: false, tags: vec![TagChange::Created, TagChange::Unchanged] };
    assert_eq!(outcome, expected);
    assert_eq!(tags_of(store, repository.id, &digest).await, tags(&["v1", "v2"]));
}

pub(super) async fn pushing_into_an_absent_repository_is_refused(store: &dyn MetaStore) {
    let result = store.put_image(&image(crate::meta::RepositoryId(9), "image", &[])).await;
    assert!(matches!(result, Err(MetaError::RepositoryMissing)));
}

pub(super) async fn required_blobs_must_be_in_the_repository(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let here = blob(store, &repository, "here").await;
    let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
    let new = NewImage { blobs: vec![b, here, a, b], ..image(repository.id, "image", &["v1"]) };
    let Err(MetaError::BlobsMissing(missing)) = store.put_image(&new).await else { panic!("stored") };
    assert_eq!(missing, [b, a]);
    assert_eq!(all_images(store, repository.id).await, []);
}

pub(super) async fn a_blob_of_another_repository_does_not_count(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let layer = blob(store, &there, "layer").await;
    let new = NewImage { blobs: vec![layer], ..image(here.id, "image", &[]) };
    assert!(matches!(store.put_image(&new).await, Err(MetaError::BlobsMissing(_))));
}

pub(super) async fn optional_blobs_may_be_absent(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let here = blob(store, &repository, "here").await;
    let absent = Digest::sha256(b"absent");
    let new = NewImage { optional_blobs: vec![absent, here], ..image(repository.id, "image", &[]) };
    assert!(store.put_image(&new).await.unwrap().created);
    assert!(store.blob_is_referenced(repository.id, &here).await.unwrap());
    assert!(!store.blob_is_referenced(repository.id, &absent).await.unwrap());
}

pub(super) async fn an_optional_blob_that_comes_later_is_referenced(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let later = Digest::sha256(b"later");
    let new = NewImage { optional_blobs: vec![later], ..image(repository.id, "image", &[]) };
    store.put_image(&new).await.unwrap();
    upload(store, &repository, "later").await;
    assert!(store.blob_is_referenced(repository.id, &later).await.unwrap());
    assert!(matches!(store.delete_blob(repository.id, &later, at(20)).await, Err(MetaError::BlobInUse)));
    store.delete_image(repository.id, &new.digest, at(21)).await.unwrap();
    store.delete_blob(repository.id, &later, at(22)).await.unwrap();
}

pub(super) async fn children_must_be_in_the_repository(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let child = push(store, &here, "child", &[]).await;
    let other = push(store, &there, "other", &[]).await;
    let absent = Digest::sha256(b"absent");
    let new = index(here.id, "index", &[other, child, absent], &[]);
    let Err(MetaError::ChildrenMissing(missing)) = store.put_image(&new).await else { panic!("stored") };
    assert_eq!(missing, [other, absent]);
    assert!(store.put_image(&index(here.id, "index", &[child], &[])).await.unwrap().created);
}

pub(super) async fn an_index_is_as_large_as_its_largest_child(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let mut children = Vec::new();
    for (text, image_bytes) in [("small", 10), ("large", 5_000_000_000), ("middle", 70)] {
        let new = NewImage { image_bytes, ..image(repository.id, text, &[]) };
        store.put_image(&new).await.unwrap();
        children.push(new.digest);
    }
    let inner = index(repository.id, "inner", &children, &[]);
    store.put_image(&inner).await.unwrap();
    let outer = index(repository.id, "outer", &[inner.digest, children[0]], &[]);
    store.put_image(&outer).await.unwrap();
    for digest in [inner.digest, outer.digest] {
        let found = store.image(repository.id, &digest).await.unwrap().unwrap();
        assert_eq!(found.image_bytes, 5_000_000_000);
    }
}

pub(super) async fn a_refused_push_changes_nothing(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    push(store, &repository, "first", &["v1"]).await;
    store.set_tag_mutability(repository.id, &TagMutability::immutable()).await.unwrap();
    let before = all_images(store, repository.id).await;
    let result = store.put_image(&image(repository.id, "second", &["new", "v1", "other"])).await;
    let Err(MetaError::TagImmutable(refused)) = result else { panic!("stored") };
    assert_eq!(refused, tag("v1"));
    assert_eq!(all_images(store, repository.id).await, before);
    assert_eq!(store.tags(repository.id, None, 10).await.unwrap(), tags(&["v1"]));
}

pub(super) async fn a_mutable_tag_moves_and_leaves_its_image_untagged(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let first = push(store, &repository, "first", &["latest"]).await;
    let second = image(repository.id, "second", &["latest"]);
    let outcome = store.put_image(&second).await.unwrap();
    assert_eq!(outcome, PutOutcome { created: true, tags: vec![TagChange::Moved { from: first }] });
    assert_eq!(tags_of(store, repository.id, &first).await, []);
    assert_eq!(tags_of(store, repository.id, &second.digest).await, tags(&["latest"]));
    // And back, to an image that is there already.
    let outcome = store.put_image(&image(repository.id, "first", &["latest"])).await.unwrap();
    let expected = PutOutcome { created: false, tags: vec![TagChange::Moved { from: second.digest }] };
    assert_eq!(outcome, expected);
    assert_eq!(tags_of(store, repository.id, &first).await, tags(&["latest"]));
}

pub(super) async fn an_immutable_tag_does_not_move(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    store.set_tag_mutability(repository.id, &TagMutability::immutable()).await.unwrap();
    let first = push(store, &repository, "first", &["v1"]).await;
    let second = push(store, &repository, "second", &["v2"]).await;
    for text in ["second", "third"] {
        let result = store.put_image(&image(repository.id, text, &["v1"])).await;
        assert!(matches!(result, Err(MetaError::TagImmutable(refused)) if refused == tag("v1")));
    }
    assert_eq!(tags_of(store, repository.id, &first).await, tags(&["v1"]));
    assert_eq!(tags_of(store, repository.id, &second).await, tags(&["v2"]));
}

pub(super) async fn an_immutable_tag_may_be_pushed_to_its_own_image(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    store.set_tag_mutability(repository.id, &TagMutability::immutable()).await.unwrap();
    push(store, &repository, "first", &["v1"]).await;
    let outcome = store.put_image(&image(repository.id, "first", &["v1"])).await.unwrap();
    assert_eq!(outcome, PutOutcome { created: false, tags: vec![TagChange::Unchanged] });
}

pub(super) async fn exclusions_decide_per_tag(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let filters = || vec![WildcardPattern::new("dev-*")];
    for (mode, moves_dev) in
        [(TagMutabilityMode::ImmutableWithExclusion, true), (TagMutabilityMode::MutableWithExclusion, false)]
    {
        store.set_tag_mutability(repository.id, &TagMutability::mutable()).await.unwrap();
        push(store, &repository, "first", &["dev-1", "v1"]).await;
        let rule = TagMutability::new(mode, filters()).unwrap();
        store.set_tag_mutability(repository.id, &rule).await.unwrap();
        let dev = store.put_image(&image(repository.id, "second", &["dev-1"])).await;
        let version = store.put_image(&image(repository.id, "second", &["v1"])).await;
        assert_eq!(dev.is_ok(), moves_dev, "{mode:?}");
        assert_eq!(version.is_ok(), !moves_dev, "{mode:?}");
    }
}

pub(super) async fn the_rule_is_the_one_of_the_moment(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    push(store, &repository, "first", &["v1"]).await;
    push(store, &repository, "second", &["v1"]).await;
    store.set_tag_mutability(repository.id, &TagMutability::immutable()).await.unwrap();
    let result = store.put_image(&image(repository.id, "first", &["v1"])).await;
    assert!(matches!(result, Err(MetaError::TagImmutable(_))));
}

pub(super) async fn a_tag_given_twice_is_set_once(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    push(store, &repository, "first", &["v1"]).await;
    let second = image(repository.id, "second", &["v1", "v2", "v1", "v2"]);
    let outcome = store.put_image(&second).await.unwrap();
    assert_eq!(outcome.tags[1..], [TagChange::Created, TagChange::Unchanged, TagChange::Unchanged]);
    assert_eq!(tags_of(store, repository.id, &second.digest).await, tags(&["v1", "v2"]));
    // The counts behind the filters are right: deleting both tags leaves it untagged, and deletes it then.
    store.delete_tag(repository.id, &tag("v1"), None, true, at(20)).await.unwrap();
    assert!(store.delete_tag(repository.id, &tag("v2"), None, true, at(20)).await.unwrap().image_deleted);
}

pub(super) async fn things_named_twice_count_once(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let layer = blob(store, &repository, "layer").await;
    let new = NewImage {
        blobs: vec![layer, layer],
        optional_blobs: vec![layer],
        ..image(repository.id, "image", &[])
    };
    store.put_image(&new).await.unwrap();
    store.put_image(&index(repository.id, "index", &[new.digest, new.digest], &[])).await.unwrap();
    let result = store.delete_image(repository.id, &new.digest, at(20)).await;
    let Err(MetaError::ReferencedBy(parents)) = result else { panic!("deleted") };
    assert_eq!(parents.len(), 1);
}

pub(super) async fn an_image_takes_so_many_tags_and_no_more(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let numbered = |number: usize| Tag::parse(&format!("t{number}")).unwrap();
    let new = image(repository.id, "image", &[]);
    let too_many = NewImage { tags: (0..=TAGS_PER_IMAGE_MAX).map(numbered).collect(), ..new.clone() };
    assert!(matches!(store.put_image(&too_many).await, Err(MetaError::TooManyTags)));
    assert_eq!(all_images(store, repository.id).await, []);
    let full = NewImage { tags: (0..TAGS_PER_IMAGE_MAX).map(numbered).collect(), ..new.clone() };
    store.put_image(&full).await.unwrap();
    let one_more = NewImage { tags: vec![tag("extra")], ..new.clone() };
    assert!(matches!(store.put_image(&one_more).await, Err(MetaError::TooManyTags)));
    store.put_image(&NewImage { tags: vec![numbered(0)], ..new.clone() }).await.unwrap();
    store.delete_tag(repository.id, &numbered(7), None, false, at(20)).await.unwrap();
    store.put_image(&one_more).await.unwrap();
    assert_eq!(tags_of(store, repository.id, &new.digest).await.len(), TAGS_PER_IMAGE_MAX);
}

pub(super) async fn long_digests_are_digests(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let digest = Digest::of(Algorithm::Sha512, b"image");
    let new = NewImage { digest, ..image(repository.id, "image", &["v1"]) };
    store.put_image(&new).await.unwrap();
    let found = store.manifest(repository.id, &Reference::Digest(digest)).await.unwrap();
    assert_eq!(found, store.manifest(repository.id, &by_tag("v1")).await.unwrap());
    assert_eq!(found.unwrap().digest, digest);
}
