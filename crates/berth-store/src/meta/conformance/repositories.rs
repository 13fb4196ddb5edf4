//! Repositories, their settings, resource tags and policies.

use berth_types::limits::RESOURCE_TAGS_MAX;
use berth_types::{TagMutability, TagMutabilityMode, WildcardPattern};

use super::fixture::{
    ALL, all_images, at, by_tag, domain_of, image, index, name, new_repository, push, push_with_blob,
    registry, registry_of, repository, repository_in, upload_in,
};
use crate::blob::DomainId;
use crate::meta::{Encryption, MetaError, MetaStore, NewRepository, RepositoryId};

fn pairs(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    texts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn many_tags(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("key-{number:03}"), "v".to_owned())).collect()
}

fn excluding(patterns: &[&str]) -> TagMutability {
    let filters = patterns.iter().map(|pattern| WildcardPattern::new(pattern)).collect();
    TagMutability::new(TagMutabilityMode::ImmutableWithExclusion, filters).unwrap()
}

pub(super) async fn creating_gives_back_what_was_asked_for(store: &dyn MetaStore) {
    let encryption = Encryption::Kms { key_arn: "arn:aws:kms:us-east-1:123456789012:key/1".to_owned() };
    let new = NewRepository {
        created_at: at(77),
        mutability: excluding(&["dev-*", "latest"]),
        scan_on_push: true,
        domain: domain_of(store, &registry(), &encryption).await,
        encryption,
        resource_tags: pairs(&[("b", "2"), ("a", "")]),
        ..new_repository(store, &registry(), "shop/api").await
    };
    let created = store.create_repository(&new).await.unwrap();
    assert_eq!(created.registry, new.registry);
    assert_eq!(created.name, new.name);
    assert_eq!(created.created_at, new.created_at);
    assert_eq!(created.mutability, new.mutability);
    assert!(created.scan_on_push);
    assert_eq!(created.encryption, new.encryption);
    assert_eq!(created.domain, new.domain);
    assert_eq!(store.repository(&registry(), &new.name).await.unwrap(), Some(created.clone()));
    assert_eq!(store.resource_tags(created.id).await.unwrap(), pairs(&[("a", ""), ("b", "2")]));
    assert_eq!(store.repository(&registry(), &name("shop/other")).await.unwrap(), None);
}

pub(super) async fn creating_again_is_refused(store: &dyn MetaStore) {
    let first = repository(store, "aa").await;
    let again = NewRepository { scan_on_push: true, ..new_repository(store, &registry(), "aa").await };
    assert!(matches!(store.create_repository(&again).await, Err(MetaError::RepositoryExists)));
    assert_eq!(store.repository(&registry(), &first.name).await.unwrap(), Some(first));
    assert_eq!(store.totals().await.unwrap().repositories, 1);
}

pub(super) async fn the_same_name_in_another_registry_is_another_repository(store: &dyn MetaStore) {
    let other = registry_of("999999999999");
    let (a, b) = (repository(store, "aa").await, repository_in(store, &other, "aa").await);
    assert_ne!(a.id, b.id);
    assert_eq!(store.repository(&registry(), &a.name).await.unwrap(), Some(a.clone()));
    assert_eq!(store.repository(&other, &a.name).await.unwrap(), Some(b.clone()));
    assert_eq!(store.repositories(&other, None, ALL).await.unwrap(), [b]);
}

pub(super) async fn a_repository_needs_its_domain(store: &dyn MetaStore) {
    let new = NewRepository {
        domain: DomainId(uuid::Uuid::new_v4()),
        ..new_repository(store, &registry(), "aa").await
    };
    assert!(matches!(store.create_repository(&new).await, Err(MetaError::Backend { .. })));
    assert_eq!(store.repository(&registry(), &new.name).await.unwrap(), None);
}

pub(super) async fn creating_with_too_many_resource_tags_is_refused(store: &dyn MetaStore) {
    let template = new_repository(store, &registry(), "aa").await;
    let new = NewRepository { resource_tags: many_tags(RESOURCE_TAGS_MAX + 1), ..template.clone() };
    assert!(matches!(store.create_repository(&new).await, Err(MetaError::TooManyResourceTags)));
    let new = NewRepository { resource_tags: many_tags(RESOURCE_TAGS_MAX), ..template };
    store.create_repository(&new).await.unwrap();
}

pub(super) async fn listing_is_by_name_and_continues_after_any_name(store: &dyn MetaStore) {
    let mut created = Vec::new();
    for text in ["b0", "a/b", "a-b", "ab", "a_b"] {
        created.push(repository(store, text).await);
    }
    created.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(store.repositories(&registry(), None, ALL).await.unwrap(), created);
    assert_eq!(store.repositories(&registry(), None, 2).await.unwrap(), created[..2]);
    assert_eq!(store.repositories(&registry(), Some(&created[1].name), 2).await.unwrap(), created[2..4]);
    store.delete_repository(&registry(), &created[1].name, false, at(9)).await.unwrap();
    assert_eq!(store.repositories(&registry(), Some(&created[1].name), 2).await.unwrap(), created[2..4]);
    assert_eq!(store.repositories(&registry(), Some(&name("zz")), ALL).await.unwrap(), []);
}

pub(super) async fn deleting_an_absent_one_is_an_error(store: &dyn MetaStore) {
    let result = store.delete_repository(&registry(), &name("aa"), true, at(9)).await;
    assert!(matches!(result, Err(MetaError::RepositoryMissing)));
}

pub(super) async fn deleting_one_with_images_needs_force(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    push(store, &repository, "image", &[]).await;
    let result = store.delete_repository(&registry(), &repository.name, false, at(9)).await;
    assert!(matches!(result, Err(MetaError::RepositoryNotEmpty)));
    assert_eq!(all_images(store, repository.id).await.len(), 1);
    let (deleted, _) = store.delete_repository(&registry(), &repository.name, true, at(9)).await.unwrap();
    assert_eq!(deleted, repository);
}

pub(super) async fn deleting_takes_everything_with_it(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let (digest, blob) = push_with_blob(store, &repository, "image", "layer").await;
    store.put_image(&image(repository.id, "image", &["v1"])).await.unwrap();
    store.put_image(&index(repository.id, "index", &[digest], &["v2"])).await.unwrap();
    store.set_resource_tags(repository.id, &pairs(&[("a", "b")])).await.unwrap();
    store.put_lifecycle_policy(repository.id, "policy").await.unwrap();
    let upload = upload_in(&repository);
    store.create_upload(&upload).await.unwrap();
    store.delete_repository(&registry(), &repository.name, true, at(9)).await.unwrap();

    let id = repository.id;
    assert_eq!(store.repository(&registry(), &repository.name).await.unwrap(), None);
    assert_eq!(store.manifest(id, &by_tag("v1")).await.unwrap(), None);
    assert_eq!(store.image(id, &digest).await.unwrap(), None);
    assert_eq!(store.blob(id, &blob).await.unwrap(), None);
    assert_eq!(store.upload(id, upload.id).await.unwrap(), None);
    assert_eq!(store.lifecycle_policy(id).await.unwrap(), None);
    assert!(matches!(store.resource_tags(id).await, Err(MetaError::RepositoryMissing)));
}

pub(super) async fn deleting_returns_the_objects_of_unfinished_uploads(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let (first, second) = (upload_in(&repository), upload_in(&repository));
    store.create_upload(&first).await.unwrap();
    store.create_upload(&second).await.unwrap();
    let (_, mut objects) =
        store.delete_repository(&registry(), &repository.name, false, at(9)).await.unwrap();
    objects.sort();
    let mut expected = vec![first.object, second.object];
    expected.sort();
    assert_eq!(objects, expected);
}

pub(super) async fn a_repository_created_again_is_new_and_empty(store: &dyn MetaStore) {
    let first = repository(store, "aa").await;
    push(store, &first, "image", &["v1"]).await;
    store.delete_repository(&registry(), &first.name, true, at(9)).await.unwrap();
    let second = repository(store, "aa").await;
    assert_ne!(first.id, second.id);
    assert_eq!(all_images(store, second.id).await, []);
    assert_eq!(all_images(store, first.id).await, []);
    assert!(matches!(
        store.put_image(&image(first.id, "image", &[])).await,
        Err(MetaError::RepositoryMissing)
    ));
}

pub(super) async fn mutability_changes_whole(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    for mutability in [excluding(&["v*", "dev-*-x"]), TagMutability::immutable(), TagMutability::mutable()] {
        let changed = store.set_tag_mutability(repository.id, &mutability).await.unwrap();
        assert_eq!(changed.mutability, mutability);
        assert_eq!(store.repository(&registry(), &repository.name).await.unwrap(), Some(changed));
    }
}

pub(super) async fn scan_on_push_changes(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    for scan in [true, false] {
        let changed = store.set_scan_on_push(repository.id, scan).await.unwrap();
        assert_eq!(changed.scan_on_push, scan);
        assert_eq!(store.repository(&registry(), &repository.name).await.unwrap(), Some(changed));
    }
}

pub(super) async fn resource_tags_are_sorted_and_overwritten(store: &dyn MetaStore) {
    let id = repository(store, "aa").await.id;
    assert_eq!(store.resource_tags(id).await.unwrap(), []);
    store.set_resource_tags(id, &pairs(&[("b", "1"), ("B", "2"), ("a b", "3")])).await.unwrap();
    store.set_resource_tags(id, &pairs(&[("b", "4"), ("c", "")])).await.unwrap();
    let expected = pairs(&[("B", "2"), ("a b", "3"), ("b", "4"), ("c", "")]);
    assert_eq!(store.resource_tags(id).await.unwrap(), expected);
}

pub(super) async fn too_many_resource_tags_change_nothing(store: &dyn MetaStore) {
    let id = repository(store, "aa").await.id;
    store.set_resource_tags(id, &many_tags(RESOURCE_TAGS_MAX)).await.unwrap();
    let result = store.set_resource_tags(id, &pairs(&[("key-000", "new"), ("one-more", "")])).await;
    assert!(matches!(result, Err(MetaError::TooManyResourceTags)));
    assert_eq!(store.resource_tags(id).await.unwrap(), many_tags(RESOURCE_TAGS_MAX));
    store.set_resource_tags(id, &pairs(&[("key-000", "new")])).await.unwrap();
    assert_eq!(store.resource_tags(id).await.unwrap()[0].1, "new");
}

pub(super) async fn resource_tags_are_removed_by_key(store: &dyn MetaStore) {
    let id = repository(store, "aa").await.id;
    store.set_resource_tags(id, &pairs(&[("a", "1"), ("b", "2")])).await.unwrap();
    store.remove_resource_tags(id, &["a".to_owned(), "absent".to_owned()]).await.unwrap();
    assert_eq!(store.resource_tags(id).await.unwrap(), pairs(&[("b", "2")]));
}

pub(super) async fn a_lifecycle_policy_is_put_replaced_and_deleted(store: &dyn MetaStore) {
    let id = repository(store, "aa").await.id;
    assert_eq!(store.lifecycle_policy(id).await.unwrap(), None);
    assert!(matches!(store.delete_lifecycle_policy(id).await, Err(MetaError::Missing)));
    for text in ["{\"rules\": [] }\n", "other"] {
        store.put_lifecycle_policy(id, text).await.unwrap();
        let found = store.lifecycle_policy(id).await.unwrap().unwrap();
        assert_eq!((found.text.as_str(), found.last_evaluated_at), (text, None));
    }
    assert_eq!(store.delete_lifecycle_policy(id).await.unwrap().text, "other");
    assert_eq!(store.lifecycle_policy(id).await.unwrap(), None);
}

pub(super) async fn what_is_done_to_an_absent_repository_fails(store: &dyn MetaStore) {
    let id = RepositoryId(4_711);
    let missing = |result: Result<(), MetaError>| matches!(result, Err(MetaError::RepositoryMissing));
    assert!(missing(store.set_tag_mutability(id, &TagMutability::mutable()).await.map(drop)));
    assert!(missing(store.set_scan_on_push(id, true).await.map(drop)));
    assert!(missing(store.set_resource_tags(id, &[]).await));
    assert!(missing(store.remove_resource_tags(id, &[]).await));
    assert!(missing(store.resource_tags(id).await.map(drop)));
    assert!(missing(store.put_lifecycle_policy(id, "policy").await));
    assert!(matches!(store.delete_lifecycle_policy(id).await, Err(MetaError::Missing)));
    assert_eq!(store.lifecycle_policy(id).await.unwrap(), None);
}
