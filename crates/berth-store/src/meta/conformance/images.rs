//! Reading and deleting images, tags and blobs; mounting.

use berth_types::{Digest, Reference, TagMutability};

use super::fixture::{
    all_images, at, blob, by_tag, domain_of, image, index, new_repository, push, push_with_blob, registry,
    registry_of, repository, repository_in, tag, tags, tags_of, upload,
};
use crate::meta::{DeletedTag, Encryption, MetaError, MetaStore, NewImage, NewRepository, RepositoryId};

pub(super) async fn a_manifest_is_found_by_tag_and_by_digest(store: &dyn MetaStore) {
    let (repository, other) = (repository(store, "aa").await, repository(store, "bb").await);
    let new = NewImage {
        artifact_type: Some("application/x".to_owned()),
        ..image(repository.id, "image", &["v1", "v2"])
    };
    store.put_image(&new).await.unwrap();
    let found = store.manifest(repository.id, &by_tag("v1")).await.unwrap().unwrap();
    assert_eq!(found.digest, new.digest);
    assert_eq!(found.media_type, new.media_type);
    assert_eq!(found.artifact_type, new.artifact_type);
    assert_eq!(found.manifest_bytes, new.manifest_bytes);
    assert_eq!(found.sealed, new.sealed);
    assert_eq!(found.pushed_at, at(10));
    let by_digest = Reference::Digest(new.digest);
    assert_eq!(store.manifest(repository.id, &by_tag("v2")).await.unwrap().as_ref(), Some(&found));
    assert_eq!(store.manifest(repository.id, &by_digest).await.unwrap().as_ref(), Some(&found));
    assert_eq!(store.manifest(repository.id, &by_tag("v3")).await.unwrap(), None);
    assert_eq!(store.manifest(other.id, &by_tag("v1")).await.unwrap(), None);
    assert_eq!(store.manifest(other.id, &by_digest).await.unwrap(), None);
    assert_eq!(store.manifest(RepositoryId(99), &by_tag("v1")).await.unwrap(), None);
}

pub(super) async fn an_image_comes_with_its_tags_sorted(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let digest = push(store, &repository, "image", &["b", "_", "B", "10", "9", "a-b", "a.b"]).await;
    let expected = tags(&["10", "9", "B", "_", "a-b", "a.b", "b"]);
    assert_eq!(tags_of(store, repository.id, &digest).await, expected);
    assert_eq!(store.image(repository.id, &Digest::sha256(b"no")).await.unwrap(), None);
}

pub(super) async fn deleting_a_tag_leaves_the_image(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let digest = push(store, &repository, "image", &["v1"]).await;
    let deleted = store.delete_tag(repository.id, &tag("v1"), None, false, at(20)).await.unwrap();
    assert_eq!(deleted, DeletedTag { digest, image_deleted: false });
    assert_eq!(tags_of(store, repository.id, &digest).await, []);
    assert_eq!(store.manifest(repository.id, &by_tag("v1")).await.unwrap(), None);
}

pub(super) async fn deleting_the_last_tag_may_delete_the_image(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let (digest, layer) = push_with_blob(store, &repository, "image", "layer").await;
    store.put_image(&image(repository.id, "image", &["v1"])).await.unwrap();
    let deleted = store.delete_tag(repository.id, &tag("v1"), Some(&digest), true, at(20)).await.unwrap();
    assert_eq!(deleted, DeletedTag { digest, image_deleted: true });
    assert_eq!(all_images(store, repository.id).await, []);
    assert!(!store.blob_is_referenced(repository.id, &layer).await.unwrap());
}

pub(super) async fn deleting_one_of_two_tags_never_deletes_the_image(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let digest = push(store, &repository, "image", &["v1", "v2"]).await;
    let deleted = store.delete_tag(repository.id, &tag("v1"), None, true, at(20)).await.unwrap();
    assert_eq!(deleted, DeletedTag { digest, image_deleted: false });
    assert_eq!(tags_of(store, repository.id, &digest).await, tags(&["v2"]));
}

pub(super) async fn deleting_a_tag_checks_the_digest(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let digest = push(store, &repository, "image", &["v1"]).await;
    let other = push(store, &repository, "other", &["v2"]).await;
    let result = store.delete_tag(repository.id, &tag("v1"), Some(&other), true, at(20)).await;
    assert!(matches!(result, Err(MetaError::TagDigestMismatch)));
    assert_eq!(tags_of(store, repository.id, &digest).await, tags(&["v1"]));
}

pub(super) async fn deleting_an_absent_tag_is_an_error(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    for id in [repository.id, RepositoryId(99)] {
        let result = store.delete_tag(id, &tag("v1"), None, true, at(20)).await;
        assert!(matches!(result, Err(MetaError::Missing)));
    }
}

pub(super) async fn the_last_tag_of_a_child_stays_if_the_image_would_go(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let child = push(store, &repository, "child", &["v1"]).await;
    let parent = index(repository.id, "index", &[child], &["v2"]);
    store.put_image(&parent).await.unwrap();
    let result = store.delete_tag(repository.id, &tag("v1"), None, true, at(20)).await;
    let Err(MetaError::ReferencedBy(parents)) = result else { panic!("deleted") };
    assert_eq!(parents, [parent.digest]);
    assert_eq!(tags_of(store, repository.id, &child).await, tags(&["v1"]));
    let deleted = store.delete_tag(repository.id, &tag("v1"), None, false, at(20)).await.unwrap();
    assert_eq!(deleted, DeletedTag { digest: child, image_deleted: false });
}

pub(super) async fn deleting_an_image_returns_its_tags(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let digest = push(store, &repository, "image", &["b", "a"]).await;
    let kept = push(store, &repository, "kept", &["c"]).await;
    let deleted = store.delete_image(repository.id, &digest, at(20)).await.unwrap();
    assert_eq!(deleted, tags(&["a", "b"]));
    assert_eq!(store.tags(repository.id, None, 10).await.unwrap(), tags(&["c"]));
    assert_eq!(all_images(store, repository.id).await[0].digest, kept);
    let untagged = push(store, &repository, "untagged", &[]).await;
    assert_eq!(store.delete_image(repository.id, &untagged, at(20)).await.unwrap(), []);
}

pub(super) async fn deleting_an_absent_image_is_an_error(store: &dyn MetaStore) {
    let (repository, other) = (repository(store, "aa").await, repository(store, "bb").await);
    let digest = push(store, &repository, "image", &[]).await;
    for id in [other.id, RepositoryId(99)] {
        assert!(matches!(store.delete_image(id, &digest, at(20)).await, Err(MetaError::Missing)));
    }
}

pub(super) async fn a_child_cannot_be_deleted_and_its_parents_are_named_in_order(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let child = push(store, &repository, "child", &["v1"]).await;
    let mut expected = Vec::new();
    for text in ["one", "two", "three", "four"] {
        let parent = index(repository.id, text, &[child], &[]);
        store.put_image(&parent).await.unwrap();
        expected.push(parent.digest);
    }
    expected.sort();
    let result = store.delete_image(repository.id, &child, at(20)).await;
    let Err(MetaError::ReferencedBy(parents)) = result else { panic!("deleted") };
    assert_eq!(parents, expected);
    assert_eq!(tags_of(store, repository.id, &child).await, tags(&["v1"]));
}

pub(super) async fn a_child_can_be_deleted_after_its_parents(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let child = push(store, &repository, "child", &[]).await;
    let parent = index(repository.id, "index", &[child], &["v1"]);
    store.put_image(&parent).await.unwrap();
    store.delete_image(repository.id, &parent.digest, at(20)).await.unwrap();
    assert_eq!(tags_of(store, repository.id, &child).await, []);
    store.delete_image(repository.id, &child, at(20)).await.unwrap();
    assert_eq!(all_images(store, repository.id).await, []);
}

pub(super) async fn deleting_a_subject_leaves_its_referrers(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let subject = push(store, &repository, "subject", &[]).await;
    let referrer = NewImage { subject: Some(subject), ..image(repository.id, "referrer", &[]) };
    store.put_image(&referrer).await.unwrap();
    store.delete_image(repository.id, &subject, at(20)).await.unwrap();
    let left = store.referrers(repository.id, &subject, None, None, 10).await.unwrap();
    assert_eq!(left.iter().map(|found| found.digest).collect::<Vec<_>>(), [referrer.digest]);
}

pub(super) async fn an_image_pushed_after_its_deletion_is_new(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let new = image(repository.id, "image", &[]);
    store.put_image(&new).await.unwrap();
    let before = all_images(store, repository.id).await;
    store.record_pulls(&[(repository.id, new.digest, at(15))]).await.unwrap();
    store.delete_image(repository.id, &new.digest, at(20)).await.unwrap();
    let outcome = store.put_image(&NewImage { pushed_at: at(30), ..new }).await.unwrap();
    assert!(outcome.created);
    let after = all_images(store, repository.id).await;
    assert!(after[0].cursor > before[0].cursor);
    assert_eq!((after[0].pushed_at, after[0].last_pulled_at), (at(30), None));
}

pub(super) async fn pulls_are_recorded_and_never_go_back(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let digest = push(store, &repository, "image", &[]).await;
    let other = push(store, &repository, "other", &[]).await;
    let gone = Digest::sha256(b"gone");
    let pulls =
        [(repository.id, digest, at(50)), (repository.id, gone, at(51)), (repository.id, digest, at(40))];
    store.record_pulls(&pulls).await.unwrap();
    store.record_pulls(&[(repository.id, digest, at(30)), (RepositoryId(99), digest, at(60))]).await.unwrap();
    store.record_pulls(&[]).await.unwrap();
    let pulled_at = async |digest| store.image(repository.id, digest).await.unwrap().unwrap().last_pulled_at;
    assert_eq!(pulled_at(&digest).await, Some(at(50)));
    assert_eq!(pulled_at(&other).await, None);
    store.record_pulls(&[(repository.id, digest, at(60))]).await.unwrap();
    assert_eq!(pulled_at(&digest).await, Some(at(60)));
}

pub(super) async fn a_blob_is_found_in_its_repository_only(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let uploaded = upload(store, &here, "layer").await.blob;
    assert_eq!(store.blob(here.id, &uploaded.digest).await.unwrap(), Some(uploaded));
    assert_eq!(store.blob(there.id, &uploaded.digest).await.unwrap(), None);
    assert_eq!(store.blob(here.id, &Digest::sha256(b"no")).await.unwrap(), None);
}

pub(super) async fn a_blob_is_referenced_while_an_image_needs_it(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let (first, layer) = push_with_blob(store, &here, "first", "layer").await;
    let (second, _) = push_with_blob(store, &here, "second", "layer").await;
    blob(store, &there, "layer").await;
    assert!(store.blob_is_referenced(here.id, &layer).await.unwrap());
    assert!(!store.blob_is_referenced(there.id, &layer).await.unwrap());
    store.delete_image(here.id, &first, at(20)).await.unwrap();
    assert!(store.blob_is_referenced(here.id, &layer).await.unwrap());
    store.delete_image(here.id, &second, at(20)).await.unwrap();
    assert!(!store.blob_is_referenced(here.id, &layer).await.unwrap());
    assert!(store.blob(here.id, &layer).await.unwrap().is_some(), "the collector's business");
}

pub(super) async fn deleting_a_blob_takes_it_out_of_one_repository(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let layer = blob(store, &here, "layer").await;
    blob(store, &there, "layer").await;
    store.delete_blob(here.id, &layer, at(20)).await.unwrap();
    assert_eq!(store.blob(here.id, &layer).await.unwrap(), None);
    assert!(store.blob(there.id, &layer).await.unwrap().is_some());
    assert!(matches!(store.delete_blob(here.id, &layer, at(20)).await, Err(MetaError::Missing)));
}

pub(super) async fn a_blob_in_use_is_not_deleted(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let (digest, layer) = push_with_blob(store, &repository, "image", "layer").await;
    assert!(matches!(store.delete_blob(repository.id, &layer, at(20)).await, Err(MetaError::BlobInUse)));
    assert!(store.blob(repository.id, &layer).await.unwrap().is_some());
    store.delete_image(repository.id, &digest, at(20)).await.unwrap();
    store.delete_blob(repository.id, &layer, at(20)).await.unwrap();
}

pub(super) async fn mounting_takes_from_the_repository_named(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let third = repository(store, "cc").await;
    let uploaded = upload(store, &there, "layer").await.blob;
    let digest = uploaded.digest;
    assert_eq!(store.mount_blob(here.id, &digest, Some(third.id), at(20)).await.unwrap(), None);
    assert_eq!(store.mount_blob(here.id, &digest, Some(RepositoryId(99)), at(20)).await.unwrap(), None);
    assert_eq!(store.blob(here.id, &digest).await.unwrap(), None);
    assert_eq!(store.mount_blob(here.id, &digest, Some(there.id), at(20)).await.unwrap(), Some(uploaded));
    assert_eq!(store.blob(here.id, &digest).await.unwrap(), Some(uploaded));
    let new = NewImage { blobs: vec![digest], ..image(here.id, "image", &[]) };
    store.put_image(&new).await.unwrap();
}

pub(super) async fn mounting_from_anywhere_stays_in_the_registry(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let elsewhere = repository_in(store, &registry_of("999999999999"), "cc").await;
    let near = upload(store, &there, "near").await.blob;
    let far = upload(store, &elsewhere, "far").await.blob;
    assert_eq!(store.mount_blob(here.id, &near.digest, None, at(20)).await.unwrap(), Some(near));
    assert_eq!(store.mount_blob(here.id, &far.digest, None, at(20)).await.unwrap(), None);
    // A blob that no repository has any more is not there to take, although the collector has not come yet.
    let lost = upload(store, &there, "lost").await.blob;
    store.delete_blob(there.id, &lost.digest, at(20)).await.unwrap();
    assert_eq!(store.mount_blob(here.id, &lost.digest, None, at(20)).await.unwrap(), None);
}

pub(super) async fn mounting_stays_in_the_encryption_domain(store: &dyn MetaStore) {
    let there = repository(store, "bb").await;
    let encryption = Encryption::Kms { key_arn: "arn:aws:kms:us-east-1:123456789012:key/1".to_owned() };
    let sealed_otherwise = NewRepository {
        domain: domain_of(store, &registry(), &encryption).await,
        encryption,
        mutability: TagMutability::mutable(),
        ..new_repository(store, &registry(), "aa").await
    };
    let here = store.create_repository(&sealed_otherwise).await.unwrap();
    let digest = blob(store, &there, "layer").await;
    assert_eq!(store.mount_blob(here.id, &digest, Some(there.id), at(20)).await.unwrap(), None);
    assert_eq!(store.mount_blob(here.id, &digest, None, at(20)).await.unwrap(), None);
}

pub(super) async fn mounting_what_is_there_already_is_fine(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let uploaded = upload(store, &here, "layer").await.blob;
    let digest = uploaded.digest;
    for from in [None, Some(here.id)] {
        assert_eq!(store.mount_blob(here.id, &digest, from, at(20)).await.unwrap(), Some(uploaded));
    }
    assert_eq!(store.mount_blob(here.id, &digest, Some(there.id), at(20)).await.unwrap(), None);
    assert_eq!(store.blob(here.id, &digest).await.unwrap(), Some(uploaded));
}

pub(super) async fn mounting_into_an_absent_repository_is_an_error(store: &dyn MetaStore) {
    let there = repository(store, "bb").await;
    let digest = blob(store, &there, "layer").await;
    for from in [None, Some(there.id)] {
        let result = store.mount_blob(RepositoryId(99), &digest, from, at(20)).await;
        assert!(matches!(result, Err(MetaError::RepositoryMissing)));
    }
}
