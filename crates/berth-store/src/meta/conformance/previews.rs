//! Previews of lifecycle policies.

use berth_types::Digest;

use super::fixture::{ALL, at, registry, repository, tags};
use crate::meta::{
    MetaError, MetaStore, NewPreview, PreviewAction, PreviewImage, PreviewRecord, PreviewStatus,
    RepositoryId, RepositoryRecord, TagStatus,
};

fn new<'a>(repository: &RepositoryRecord, id: &'a str, policy: Option<&'a str>) -> NewPreview<'a> {
    NewPreview { repository: repository.id, id, policy, now: at(100), stale_before: at(50) }
}

fn result(position: i64, tag_texts: &[&str]) -> PreviewImage {
    PreviewImage {
        position,
        digest: Digest::sha256(position.to_string().as_bytes()),
        tags: tags(tag_texts),
        pushed_at: at(position),
        action: if position == 2 { PreviewAction::Archive } else { PreviewAction::Expire },
        rule: 7,
    }
}

fn complete(id: &str) -> PreviewRecord {
    PreviewRecord {
        id: id.to_owned(),
        policy: String::new(),
        status: PreviewStatus::Complete,
        changed_at: at(110),
        expire_count: 2,
        archive_count: 1,
    }
}

pub(super) async fn a_preview_keeps_its_results(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    assert_eq!(store.preview(repository.id).await.unwrap(), None);
    assert_eq!(store.begin_preview(&new(&repository, "one", Some("text"))).await.unwrap(), "text");
    let begun = store.preview(repository.id).await.unwrap().unwrap();
    assert_eq!((begun.status, begun.policy.as_str()), (PreviewStatus::InProgress, "text"));
    let results = [result(1, &["v1", "v2"]), result(2, &[]), result(3, &["v3"])];
    store.record_preview_images(repository.id, "one", &results[..2], at(101)).await.unwrap();
    store.record_preview_images(repository.id, "one", &results[2..], at(102)).await.unwrap();
    store.finish_preview(repository.id, &complete("one")).await.unwrap();
    let found = store.preview(repository.id).await.unwrap().unwrap();
    assert_eq!(found, PreviewRecord { policy: "text".to_owned(), ..complete("one") });
    let page =
        async |filter, after, limit| store.preview_images(repository.id, filter, after, limit).await.unwrap();
    assert_eq!(page(TagStatus::Any, 0, ALL).await, results);
    assert_eq!(page(TagStatus::Any, 1, 1).await, results[1..2]);
    assert_eq!(page(TagStatus::Tagged, 0, ALL).await, [results[0].clone(), results[2].clone()]);
    assert_eq!(page(TagStatus::Untagged, 0, ALL).await, results[1..2]);
    store.delete_repository(&registry(), &repository.name, true, at(200)).await.unwrap();
    assert_eq!(store.preview(repository.id).await.unwrap(), None);
}

pub(super) async fn the_attached_policy_is_previewed_if_none_is_given(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let refused = store.begin_preview(&new(&repository, "one", None)).await;
    assert!(matches!(refused, Err(MetaError::Missing)));
    store.put_lifecycle_policy(repository.id, "attached").await.unwrap();
    assert_eq!(store.begin_preview(&new(&repository, "one", None)).await.unwrap(), "attached");
    let nowhere = NewPreview { repository: RepositoryId(99), ..new(&repository, "one", None) };
    assert!(matches!(store.begin_preview(&nowhere).await, Err(MetaError::RepositoryMissing)));
}

pub(super) async fn a_preview_under_way_is_waited_for_unless_it_is_stale(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    store.begin_preview(&new(&repository, "one", Some("first"))).await.unwrap();
    store.record_preview_images(repository.id, "one", &[result(1, &[])], at(100)).await.unwrap();
    let second = NewPreview { stale_before: at(100), ..new(&repository, "two", Some("second")) };
    assert!(matches!(store.begin_preview(&second).await, Err(MetaError::PreviewInProgress)));
    let second = NewPreview { stale_before: at(101), ..second };
    store.begin_preview(&second).await.unwrap();
    assert_eq!(store.preview_images(repository.id, TagStatus::Any, 0, ALL).await.unwrap(), []);
    let late = store.record_preview_images(repository.id, "one", &[result(1, &[])], at(100)).await;
    assert!(matches!(late, Err(MetaError::Missing)));
    let late = store.finish_preview(repository.id, &complete("one")).await;
    assert!(matches!(late, Err(MetaError::Missing)));
}

pub(super) async fn a_finished_preview_is_replaced(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    store.begin_preview(&new(&repository, "one", Some("first"))).await.unwrap();
    store.record_preview_images(repository.id, "one", &[result(1, &[])], at(100)).await.unwrap();
    let failed = PreviewRecord { status: PreviewStatus::Failed, ..complete("one") };
    store.finish_preview(repository.id, &failed).await.unwrap();
    assert_eq!(store.preview(repository.id).await.unwrap().unwrap().status, PreviewStatus::Failed);
    store.begin_preview(&new(&repository, "two", Some("second"))).await.unwrap();
    let found = store.preview(repository.id).await.unwrap().unwrap();
    assert_eq!((found.policy.as_str(), found.status), ("second", PreviewStatus::InProgress));
    assert_eq!((found.expire_count, found.archive_count), (0, 0));
    assert_eq!(store.preview_images(repository.id, TagStatus::Any, 0, ALL).await.unwrap(), []);
}
