//! Create, describe, delete, settings, encryption.

use berth_registry::repositories::RequestedEncryption;
use berth_registry::{Encryption, Error};
use berth_types::{TagMutability, TagMutabilityMode, WildcardPattern};

use crate::assert_error;
use crate::fixture::{
    World, assert_no_repository, caller, chunk, name, nowhere, on_each_store, registry_id, text,
};

on_each_store!(
    creates_and_describes,
    lists_in_pages,
    deletes,
    deleting_takes_the_objects_of_uploads_along,
    settings_change,
    registries_are_apart,
    kms_content_is_in_a_domain_of_its_own,
);

async fn creates_and_describes(world: World) {
    let shop = world.create("shop/api").await;
    let record = world.registry.repository(&world.caller, &shop).await.unwrap();
    assert_eq!((record.name.as_str(), record.created_at), ("shop/api", world.now()));
    assert_eq!((record.encryption, record.mutability), (Encryption::Aes256, TagMutability::mutable()));
    let again = world.create_with("shop/api", TagMutability::mutable(), RequestedEncryption::Aes256).await;
    assert_eq!(
        text(again),
        "The repository with name 'shop/api' already exists in the registry with id '123456789012'"
    );
    assert_no_repository(world.registry.repository(&world.caller, &nowhere()).await);
}

async fn lists_in_pages(world: World) {
    for repository in ["b/b", "a/a", "c/c"] {
        world.create(repository).await;
    }
    let first = world.registry.repositories(&world.caller, None, 2).await.unwrap();
    let names: Vec<_> = first.items.iter().map(|record| record.name.as_str()).collect();
    assert_eq!((names, first.next.as_ref()), (vec!["a/a", "b/b"], Some(&name("b/b"))));
    let second = world.registry.repositories(&world.caller, first.next.as_ref(), 2).await.unwrap();
    assert_eq!((second.items.len(), second.next), (1, None));
    let exact = world.registry.repositories(&world.caller, None, 3).await.unwrap();
    assert_eq!((exact.items.len(), exact.next), (3, None));
    assert!(world.registry.repositories(&world.caller, None, 0).await.unwrap().items.is_empty());
}

async fn deletes(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &[]).await.unwrap();
    let refused = world.registry.delete_repository(&world.caller, &shop, false).await;
    assert_eq!(
        text(refused),
        "The repository with name 'shop/api' in registry with id '123456789012' cannot be deleted because it still \
         contains images"
    );
    let deleted = world.registry.delete_repository(&world.caller, &shop, true).await.unwrap();
    assert_eq!(deleted.name, shop);
    assert_no_repository(world.registry.delete_repository(&world.caller, &shop, true).await);
    // The name may be used again, and nothing of the old one shows.
    let shop = world.create("shop/api").await;
    assert_error!(world.pull(&shop, "latest").await, Error::ImageNotFound { .. });
    world.registry.delete_repository(&world.caller, &shop, false).await.unwrap();
}

async fn deleting_takes_the_objects_of_uploads_along(world: World) {
    let shop = world.create("shop/api").await;
    let upload = world.registry.start_upload(&world.caller, &shop, None).await.unwrap();
    let content = vec![7; 200_000];
    world.registry.append_upload(&world.caller, &shop, upload, chunk(&content)).await.unwrap();
    assert_eq!(world.objects(), 1);
    world.registry.delete_repository(&world.caller, &shop, false).await.unwrap();
    assert_eq!(world.objects(), 0);
    assert_no_repository(world.registry.upload_bytes(&world.caller, &shop, upload).await);
}

async fn settings_change(world: World) {
    let shop = world.create("shop/api").await;
    let filters = vec![WildcardPattern::new("dev-*")];
    let rule = TagMutability::new(TagMutabilityMode::ImmutableWithExclusion, filters).unwrap();
    let set = world.registry.set_tag_mutability(&world.caller, &shop, &rule).await.unwrap();
    assert_eq!(set.mutability, rule);
    assert!(world.registry.set_scan_on_push(&world.caller, &shop, true).await.unwrap().scan_on_push);
    let record = world.registry.repository(&world.caller, &shop).await.unwrap();
    assert_eq!((record.mutability, record.scan_on_push), (rule.clone(), true));
    assert_no_repository(world.registry.set_tag_mutability(&world.caller, &nowhere(), &rule).await);
    assert_no_repository(world.registry.set_scan_on_push(&world.caller, &nowhere(), true).await);
}

async fn registries_are_apart(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    let other_account = caller("210987654321", "210987654321");
    assert_no_repository(world.registry.repository(&other_account, &shop).await);
    let mut other_region = world.caller.clone();
    other_region.registry = registry_id("123456789012", "eu-west-1");
    assert_no_repository(world.registry.repository(&other_region, &shop).await);
}

async fn kms_content_is_in_a_domain_of_its_own(world: World) {
    let create = |repository: &'static str, key: Option<&str>| {
        let encryption = RequestedEncryption::Kms(key.map(str::to_owned));
        world.create_with(repository, TagMutability::mutable(), encryption)
    };
    let arn = |record: &berth_registry::RepositoryRecord| match &record.encryption {
        Encryption::Kms { key_arn } => key_arn.clone(),
        Encryption::Aes256 => panic!("not KMS"),
    };
    let managed = create("kms/managed", None).await.unwrap();
    let prefix = "arn:aws:kms:us-east-1:123456789012:key/";
    assert!(arn(&managed).strip_prefix(prefix).is_some_and(|id| uuid::Uuid::parse_str(id).is_ok()));
    let alias = create("kms/alias", Some("alias/aws/ecr")).await.unwrap();
    assert_eq!((arn(&alias), alias.domain), (arn(&managed), managed.domain), "the same key, the same domain");
    let own = create("kms/own", Some("1234abcd-12ab-34cd-56ef-1234567890ab")).await.unwrap();
    assert_eq!(arn(&own), format!("{prefix}1234abcd-12ab-34cd-56ef-1234567890ab"));
    assert_ne!(own.domain, managed.domain);
    let by_arn = create("kms/arn", Some("arn:aws:kms:us-east-1:210987654321:key/x")).await.unwrap();
    assert_eq!(arn(&by_arn), "arn:aws:kms:us-east-1:210987654321:key/x");
    for bad in [
        "",
        "a b",
        "x:y",
        "arn:aws:kms:eu-west-1:123456789012:key/x",
        "arn:aws:s3:us-east-1:123456789012:key/x",
    ] {
        assert_error!(create("kms/bad", Some(bad)).await, Error::InvalidParameter(_));
    }

    // The same content in both domains is stored twice, and each opens under its own key.
    let content = vec![1; 100_000];
    let plain = world.create("plain/aes").await;
    let digest = world.push_blob(&plain, &content).await.unwrap().blob.digest;
    world.push_blob(&own.name, &content).await.unwrap();
    assert_eq!(world.objects(), 2);
    assert_eq!(world.read(&own.name, &digest).await.unwrap(), content);
    let mounted =
        world.registry.mount_blob(&world.caller, &managed.name, &digest, Some(&plain)).await.unwrap();
    assert_eq!(mounted, None, "no blob crosses domains");
    world.push_image(&own.name, "layer", &["v1"]).await.unwrap();
    world.pull(&own.name, "v1").await.unwrap();
}

#[test]
fn encryption_is_read_from_its_members() {
    assert_eq!(RequestedEncryption::parse("AES256", None).unwrap(), RequestedEncryption::Aes256);
    let key = Some("key".to_owned());
    assert_eq!(
        RequestedEncryption::parse("KMS", key.clone()).unwrap(),
        RequestedEncryption::Kms(key.clone())
    );
    assert_eq!(
        text(RequestedEncryption::parse("AES256", key)),
        "Invalid encryption configuration: Encryption key should not be set for AES256 encryption."
    );
    assert_error!(RequestedEncryption::parse("KMS_DSSE", None), Error::InvalidParameter(_));
}
