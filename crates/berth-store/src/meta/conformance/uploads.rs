//! Upload sessions.

use berth_types::limits::UPLOADS_PER_REPOSITORY_MAX;
use berth_types::{Digest, UploadId};

use super::fixture::{at, domain_of, new_repository, registry, repository, upload, upload_in};
use crate::meta::{
    BlobRecord, CompletedUpload, Encryption, MetaError, MetaStore, NewBlob, NewRepository, RepositoryId,
    UploadProgress, UploadRecord,
};

fn progress(bytes: u64) -> UploadProgress {
    UploadProgress { bytes, checkpoint: Some(vec![7; 9]), updated_at: at(100 + bytes as i64) }
}

fn new_blob(content: &str) -> NewBlob {
    NewBlob { digest: Digest::sha256(content.as_bytes()), bytes: content.len() as u64, created_at: at(50) }
}

pub(super) async fn an_upload_is_found_in_its_repository(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let upload = UploadRecord { progress: progress(3), ..upload_in(&here) };
    store.create_upload(&upload).await.unwrap();
    assert_eq!(store.upload(here.id, upload.id).await.unwrap(), Some(upload.clone()));
    assert_eq!(store.upload(there.id, upload.id).await.unwrap(), None);
    assert_eq!(store.upload(here.id, UploadId::random()).await.unwrap(), None);
}

pub(super) async fn an_upload_needs_a_repository(store: &dyn MetaStore) {
    let here = repository(store, "aa").await;
    let upload = UploadRecord { repository: RepositoryId(99), ..upload_in(&here) };
    assert!(matches!(store.create_upload(&upload).await, Err(MetaError::RepositoryMissing)));
}

pub(super) async fn a_repository_takes_so_many_uploads_and_no_more(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let mut last = upload_in(&here);
    // All at once: they share commits.
    let uploads: Vec<_> = (0..UPLOADS_PER_REPOSITORY_MAX).map(|_| upload_in(&here)).collect();
    let created =
        futures_util::future::join_all(uploads.iter().map(|upload| store.create_upload(upload))).await;
    assert!(created.iter().all(Result::is_ok));
    assert!(matches!(store.create_upload(&last).await, Err(MetaError::TooManyUploads)));
    store.create_upload(&upload_in(&there)).await.unwrap();
    store.cancel_upload(here.id, uploads[0].id).await.unwrap();
    store.create_upload(&last).await.unwrap();
    last = upload_in(&here);
    assert!(matches!(store.create_upload(&last).await, Err(MetaError::TooManyUploads)));
}

pub(super) async fn an_upload_advances_from_where_it_stands(store: &dyn MetaStore) {
    let here = repository(store, "aa").await;
    let upload = upload_in(&here);
    store.create_upload(&upload).await.unwrap();
    store.advance_upload(here.id, upload.id, 0, &progress(10)).await.unwrap();
    let found = store.upload(here.id, upload.id).await.unwrap().unwrap();
    assert_eq!(found, UploadRecord { progress: progress(10), ..upload.clone() });
    for wrong in [0, 9, 11] {
        let result = store.advance_upload(here.id, upload.id, wrong, &progress(20)).await;
        assert!(matches!(result, Err(MetaError::UploadMoved { found: 10 })), "{wrong}");
    }
    assert_eq!(store.upload(here.id, upload.id).await.unwrap(), Some(found));
    store.advance_upload(here.id, upload.id, 10, &progress(20)).await.unwrap();
}

pub(super) async fn an_upload_that_is_gone_does_not_advance(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let upload = upload_in(&here);
    store.create_upload(&upload).await.unwrap();
    let result = store.advance_upload(there.id, upload.id, 0, &progress(1)).await;
    assert!(matches!(result, Err(MetaError::UploadMissing)));
    store.cancel_upload(here.id, upload.id).await.unwrap();
    let result = store.advance_upload(here.id, upload.id, 0, &progress(1)).await;
    assert!(matches!(result, Err(MetaError::UploadMissing)));
}

pub(super) async fn completing_makes_a_blob(store: &dyn MetaStore) {
    let here = repository(store, "aa").await;
    let upload = upload_in(&here);
    store.create_upload(&upload).await.unwrap();
    let new = new_blob("layer");
    let completed = store.complete_upload(here.id, upload.id, &new).await.unwrap();
    let blob = BlobRecord { digest: new.digest, bytes: 5, object: upload.object };
    assert_eq!(completed, CompletedUpload { blob, existed_in_repository: false, surplus: None });
    assert_eq!(store.blob(here.id, &new.digest).await.unwrap(), Some(blob));
    assert_eq!(store.upload(here.id, upload.id).await.unwrap(), None);
}

pub(super) async fn completing_known_content_returns_the_surplus_object(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let first = upload(store, &there, "layer").await;
    let again = upload_in(&here);
    store.create_upload(&again).await.unwrap();
    let completed = store.complete_upload(here.id, again.id, &new_blob("layer")).await.unwrap();
    assert_eq!(completed.surplus, Some(again.object));
    assert_eq!(completed.blob, first.blob);
}

pub(super) async fn completing_links_what_another_repository_has(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let first = upload(store, &there, "layer").await;
    let second = upload(store, &here, "layer").await;
    assert!(!second.existed_in_repository);
    assert_eq!(store.blob(here.id, &first.blob.digest).await.unwrap(), Some(first.blob));
    // Also when no repository has it any more, but the domain still does.
    store.delete_blob(here.id, &first.blob.digest, at(60)).await.unwrap();
    store.delete_blob(there.id, &first.blob.digest, at(60)).await.unwrap();
    let third = upload(store, &here, "layer").await;
    assert_eq!(third.blob, first.blob);
    assert!(third.surplus.is_some());
    assert_eq!(store.blob(here.id, &first.blob.digest).await.unwrap(), Some(first.blob));
}

pub(super) async fn completing_again_what_the_repository_has_says_so(store: &dyn MetaStore) {
    let here = repository(store, "aa").await;
    assert!(!upload(store, &here, "layer").await.existed_in_repository);
    assert!(upload(store, &here, "layer").await.existed_in_repository);
}

pub(super) async fn domains_do_not_share_blobs(store: &dyn MetaStore) {
    let there = repository(store, "bb").await;
    let encryption = Encryption::Kms { key_arn: "arn:aws:kms:us-east-1:123456789012:key/1".to_owned() };
    let sealed_otherwise = NewRepository {
        domain: domain_of(store, &registry(), &encryption).await,
        encryption,
        ..new_repository(store, &registry(), "aa").await
    };
    let here = store.create_repository(&sealed_otherwise).await.unwrap();
    let (first, second) = (upload(store, &there, "layer").await, upload(store, &here, "layer").await);
    assert_eq!(second.surplus, None);
    assert_ne!(first.blob.object, second.blob.object);
}

pub(super) async fn completing_an_absent_upload_is_an_error(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let upload = upload_in(&here);
    store.create_upload(&upload).await.unwrap();
    for (repository, id) in [(&here, UploadId::random()), (&there, upload.id)] {
        let result = store.complete_upload(repository.id, id, &new_blob("layer")).await;
        assert!(matches!(result, Err(MetaError::UploadMissing)));
    }
    store.complete_upload(here.id, upload.id, &new_blob("layer")).await.unwrap();
    let result = store.complete_upload(here.id, upload.id, &new_blob("layer")).await;
    assert!(matches!(result, Err(MetaError::UploadMissing)));
}

pub(super) async fn completing_in_an_absent_repository_is_an_error(store: &dyn MetaStore) {
    let here = repository(store, "aa").await;
    let upload = upload_in(&here);
    store.create_upload(&upload).await.unwrap();
    store.delete_repository(&registry(), &here.name, true, at(60)).await.unwrap();
    let result = store.complete_upload(here.id, upload.id, &new_blob("layer")).await;
    assert!(matches!(result, Err(MetaError::RepositoryMissing)));
}

pub(super) async fn cancelling_returns_the_object(store: &dyn MetaStore) {
    let here = repository(store, "aa").await;
    let upload = upload_in(&here);
    store.create_upload(&upload).await.unwrap();
    assert_eq!(store.cancel_upload(here.id, upload.id).await.unwrap(), upload.object);
    assert_eq!(store.upload(here.id, upload.id).await.unwrap(), None);
}

pub(super) async fn cancelling_an_absent_upload_is_an_error(store: &dyn MetaStore) {
    let (here, there) = (repository(store, "aa").await, repository(store, "bb").await);
    let upload = upload_in(&here);
    store.create_upload(&upload).await.unwrap();
    let result = store.cancel_upload(there.id, upload.id).await;
    assert!(matches!(result, Err(MetaError::UploadMissing)));
    store.cancel_upload(here.id, upload.id).await.unwrap();
    let result = store.cancel_upload(here.id, upload.id).await;
    assert!(matches!(result, Err(MetaError::UploadMissing)));
}

pub(super) async fn old_uploads_expire_oldest_first(store: &dyn MetaStore) {
    let here = repository(store, "aa").await;
    let mut objects = Vec::new();
    for millis in [30, 10, 20, 40] {
        let mut upload = upload_in(&here);
        upload.progress.updated_at = at(millis);
        store.create_upload(&upload).await.unwrap();
        objects.push(upload.object);
    }
    assert_eq!(store.expire_uploads(at(10), 10).await.unwrap(), []);
    let mut expired = store.expire_uploads(at(40), 2).await.unwrap();
    expired.sort();
    let mut expected = vec![objects[1], objects[2]];
    expected.sort();
    assert_eq!(expired, expected);
    assert_eq!(store.expire_uploads(at(40), 2).await.unwrap(), [objects[0]]);
    assert_eq!(store.totals().await.unwrap().uploads, 1);
}

pub(super) async fn every_object_given_back_is_recorded_as_dead(store: &dyn MetaStore) {
    let here = repository(store, "aa").await;
    let kept = upload(store, &here, "layer").await.blob.object;
    let surplus = upload(store, &here, "layer").await.surplus.unwrap();
    let (cancelled, mut expired, dropped) = (upload_in(&here), upload_in(&here), upload_in(&here));
    expired.progress.updated_at = at(1);
    for upload in [&cancelled, &expired, &dropped] {
        store.create_upload(upload).await.unwrap();
    }
    store.cancel_upload(here.id, cancelled.id).await.unwrap();
    store.expire_uploads(at(2), 10).await.unwrap();
    store.delete_repository(&registry(), &here.name, true, at(60)).await.unwrap();
    let dead = store.dead_objects(10).await.unwrap();
    assert_eq!(dead, [surplus, cancelled.object, expired.object, dropped.object]);
    assert!(!dead.contains(&kept), "a blob's object is the collector's business");
}
