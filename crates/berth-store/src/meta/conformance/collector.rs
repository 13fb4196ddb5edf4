//! The collector's steps.

use berth_types::Digest;

use super::fixture::{ALL, at, blob, image, push_with_blob, registry, repository, upload};
use crate::meta::{Collection, MetaError, MetaStore, NewImage, RepositoryRecord};

async fn collect(store: &dyn MetaStore, before: i64) -> Collection {
    store.collect_blobs(at(before), ALL).await.unwrap()
}

async fn is_there(store: &dyn MetaStore, repository: &RepositoryRecord, digest: &Digest) -> bool {
    store.blob(repository.id, digest).await.unwrap().is_some()
}

pub(super) async fn an_unused_blob_is_collected_after_its_time(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let uploaded = upload(store, &repository, "layer").await.blob;
    assert_eq!(collect(store, 6).await, Collection::default(), "the time is not up");
    assert_eq!(store.collectable_blobs(at(6), 0, ALL).await.unwrap(), []);
    let due = store.collectable_blobs(at(7), 0, ALL).await.unwrap();
    assert_eq!(due.iter().map(|blob| blob.bytes).collect::<Vec<_>>(), [5]);
    let expected = Collection { examined: 1, blobs: 1, bytes: 5, objects: vec![uploaded.object] };
    assert_eq!(collect(store, 7).await, expected);
    assert_eq!(store.blob(repository.id, &uploaded.digest).await.unwrap(), None);
    assert_eq!(store.dead_objects(ALL).await.unwrap(), [uploaded.object]);
    assert_eq!(collect(store, 7).await, Collection::default());
}

pub(super) async fn a_blob_of_an_image_is_kept_until_the_image_goes(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let (image, layer) = push_with_blob(store, &repository, "image", "layer").await;
    assert_eq!(store.collectable_blobs(at(1_000), 0, ALL).await.unwrap(), []);
    assert_eq!(collect(store, 1_000).await, Collection { examined: 1, ..Collection::default() });
    assert!(is_there(store, &repository, &layer).await);
    store.delete_image(repository.id, &image, at(1_000)).await.unwrap();
    assert_eq!(collect(store, 1_000).await.examined, 0, "the time runs from the deletion");
    assert_eq!(collect(store, 1_001).await.blobs, 1);
    assert!(!is_there(store, &repository, &layer).await);
}

pub(super) async fn a_blob_goes_with_its_last_repository(store: &dyn MetaStore) {
    let (first, second) = (repository(store, "aa").await, repository(store, "bb").await);
    let layer = blob(store, &first, "layer").await;
    store.mount_blob(second.id, &layer, Some(first.id), at(20)).await.unwrap();
    let before = collect(store, 10).await;
    assert_eq!((before.examined, before.blobs), (1, 0));
    assert!(!is_there(store, &first, &layer).await);
    assert!(is_there(store, &second, &layer).await);
    assert_eq!(collect(store, 21).await.blobs, 1);
    assert!(!is_there(store, &second, &layer).await);
}

pub(super) async fn a_blob_taken_out_stays_until_its_time_is_up_everywhere(store: &dyn MetaStore) {
    let (first, second) = (repository(store, "aa").await, repository(store, "bb").await);
    let layer = blob(store, &first, "layer").await;
    store.mount_blob(second.id, &layer, Some(first.id), at(20)).await.unwrap();
    store.delete_blob(second.id, &layer, at(30)).await.unwrap();
    assert_eq!(store.collectable_blobs(at(10), 0, ALL).await.unwrap(), []);
    assert_eq!(collect(store, 10).await.blobs, 0);
    let again = upload(store, &second, "layer").await;
    assert!(again.surplus.is_some(), "its content is still known");
    assert_eq!(collect(store, 31).await.blobs, 1);
}

pub(super) async fn using_a_blob_again_starts_its_time_anew(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let layer = blob(store, &repository, "layer").await;
    store.mount_blob(repository.id, &layer, None, at(100)).await.unwrap();
    assert_eq!(collect(store, 100).await, Collection::default());
    assert!(is_there(store, &repository, &layer).await);
    assert_eq!(collect(store, 101).await.blobs, 1);
}

pub(super) async fn telling_that_a_blob_is_there_starts_its_time_anew(store: &dyn MetaStore) {
    let (repository, other) = (repository(store, "aa").await, repository(store, "bb").await);
    let layer = blob(store, &repository, "layer").await;
    assert_eq!(store.blob_waiting_since(repository.id, &layer).await.unwrap(), Some(at(6)));
    assert_eq!(store.blob_waiting_since(other.id, &layer).await.unwrap(), None);
    store.renew_blob(other.id, &layer, at(500)).await.unwrap();
    store.renew_blob(repository.id, &layer, at(100)).await.unwrap();
    assert_eq!(store.blob_waiting_since(repository.id, &layer).await.unwrap(), Some(at(100)));
    assert_eq!(collect(store, 100).await, Collection::default());
    assert_eq!(collect(store, 101).await.blobs, 1);
    store.renew_blob(repository.id, &layer, at(600)).await.unwrap();
    assert_eq!(store.blob_waiting_since(repository.id, &layer).await.unwrap(), None);
}

pub(super) async fn a_manifest_that_comes_too_late_is_refused(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let layer = blob(store, &repository, "layer").await;
    collect(store, 7).await;
    let late = NewImage { blobs: vec![layer], ..image(repository.id, "image", &[]) };
    assert!(
        matches!(store.put_image(&late).await, Err(MetaError::BlobsMissing(missing)) if missing == [layer])
    );
    let again = upload(store, &repository, "layer").await;
    assert_eq!(again.surplus, None, "the object is a new one");
    store.put_image(&late).await.unwrap();
}

pub(super) async fn the_blobs_of_a_deleted_repository_are_collected(store: &dyn MetaStore) {
    let (first, second) = (repository(store, "aa").await, repository(store, "bb").await);
    push_with_blob(store, &first, "image", "layer").await;
    push_with_blob(store, &second, "image", "layer").await;
    store.delete_repository(&registry(), &first.name, true, at(50)).await.unwrap();
    assert_eq!(collect(store, 51).await.blobs, 0, "another repository has it");
    store.delete_repository(&registry(), &second.name, true, at(60)).await.unwrap();
    assert_eq!(collect(store, 61).await.blobs, 1);
}

pub(super) async fn a_step_is_as_large_as_asked_for_and_oldest_first(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let mut digests = Vec::new();
    for (content, time) in [("one", 30), ("two", 10), ("three", 20)] {
        let digest = blob(store, &repository, content).await;
        store.mount_blob(repository.id, &digest, None, at(time)).await.unwrap();
        digests.push(digest);
    }
    let page = store.collectable_blobs(at(100), 0, 2).await.unwrap();
    let rest = store.collectable_blobs(at(100), page[1].cursor, 2).await.unwrap();
    assert_eq!([&page[..], &rest[..]].concat().iter().map(|blob| blob.bytes).sum::<u64>(), 11);
    assert_eq!(store.collectable_blobs(at(100), rest[0].cursor, 2).await.unwrap(), []);
    for (step, gone) in [1, 2, 0].into_iter().enumerate() {
        assert_eq!(store.collect_blobs(at(100), 1).await.unwrap().blobs, 1, "step {step}");
        assert!(!is_there(store, &repository, &digests[gone]).await);
    }
    assert_eq!(store.collect_blobs(at(100), 1).await.unwrap().examined, 0);
}
