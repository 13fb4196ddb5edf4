//! Settings, domains, checks and totals.

use super::fixture::{at, blob, image, index, push, registry, repository, upload_in};
use crate::blob::DomainId;
use crate::meta::{DomainRecord, MetaStore, Totals};

pub(super) async fn a_setting_keeps_its_first_value(store: &dyn MetaStore) {
    assert_eq!(store.setting("instance").await.unwrap(), None);
    assert_eq!(store.setting_or_insert("instance", b"one").await.unwrap(), b"one");
    assert_eq!(store.setting_or_insert("instance", b"two").await.unwrap(), b"one");
    assert_eq!(store.setting("instance").await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.setting_or_insert("empty", b"").await.unwrap(), b"");
    assert_eq!(store.setting("empty").await.unwrap().as_deref(), Some(&b""[..]));
}

pub(super) async fn a_domain_keeps_its_first_key(store: &dyn MetaStore) {
    let first =
        DomainRecord { name: "a".into(), id: DomainId(uuid::Uuid::new_v4()), wrapped_key: vec![1; 60] };
    let second =
        DomainRecord { name: "a".into(), id: DomainId(uuid::Uuid::new_v4()), wrapped_key: vec![2; 60] };
    assert_eq!(store.domain("a").await.unwrap(), None);
    assert_eq!(store.domain_or_insert(&first).await.unwrap(), first);
    assert_eq!(store.domain_or_insert(&second).await.unwrap(), first);
    assert_eq!(store.domain("a").await.unwrap(), Some(first));
}

pub(super) async fn it_answers_a_check(store: &dyn MetaStore) {
    store.check().await.unwrap();
}

pub(super) async fn totals_count_everything(store: &dyn MetaStore) {
    assert_eq!(store.totals().await.unwrap(), Totals::default());
    let (a, b) = (repository(store, "aa").await, repository(store, "bb").await);
    let child = push(store, &a, "child", &["x"]).await;
    store.put_image(&index(a.id, "index", &[child], &[])).await.unwrap();
    store.put_image(&image(b.id, "other", &[])).await.unwrap();
    blob(store, &a, "done").await;
    store.create_upload(&upload_in(&a)).await.unwrap();
    assert_eq!(store.totals().await.unwrap(), Totals { repositories: 2, images: 3, uploads: 1 });
    store.delete_image(b.id, &image(b.id, "other", &[]).digest, at(20)).await.unwrap();
    store.delete_repository(&registry(), &a.name, true, at(20)).await.unwrap();
    assert_eq!(store.totals().await.unwrap(), Totals { repositories: 1, images: 0, uploads: 0 });
}

pub(super) async fn dead_objects_are_listed_longest_dead_first_and_forgotten(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let mut objects = Vec::new();
    for _ in 0..3 {
        let upload = upload_in(&repository);
        store.create_upload(&upload).await.unwrap();
        objects.push(store.cancel_upload(repository.id, upload.id).await.unwrap());
    }
    assert_eq!(store.dead_objects(2).await.unwrap(), objects[..2]);
    assert_eq!(store.dead_objects(10).await.unwrap(), objects);
    let unknown = upload_in(&repository).object;
    store.forget_dead_objects(&[objects[1], unknown]).await.unwrap();
    assert_eq!(store.dead_objects(10).await.unwrap(), [objects[0], objects[2]]);
    store.forget_dead_objects(&[]).await.unwrap();
    store.forget_dead_objects(&objects).await.unwrap();
    assert_eq!(store.dead_objects(10).await.unwrap(), []);
}
