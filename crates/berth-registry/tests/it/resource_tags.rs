//! `TagResource`, `UntagResource`, `ListTagsForResource`. The rules for single tags have unit tests.

use berth_registry::Error;
use berth_registry::repositories::{CreateRepository, RequestedEncryption};
use berth_types::{RepositoryArn, TagMutability};

use crate::assert_error;
use crate::fixture::{World, assert_no_repository, caller, name, nowhere, on_each_store, registry_id};

on_each_store!(
    sets_lists_and_removes,
    come_with_a_new_repository,
    refuses_what_breaks_a_rule,
    the_arn_names_the_repository,
);

fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn arn(world: &World, name: &berth_types::RepositoryName) -> RepositoryArn {
    RepositoryArn { registry: world.caller.registry.clone(), name: name.clone() }
}

async fn sets_lists_and_removes(world: World) {
    let arn = arn(&world, &world.create("shop/api").await);
    let (registry, caller) = (&world.registry, &world.caller);
    registry.tag_resource(caller, &arn, &pairs(&[("b", "1"), ("a", "2")])).await.unwrap();
    registry.tag_resource(caller, &arn, &pairs(&[("b", "3")])).await.unwrap();
    assert_eq!(registry.resource_tags(caller, &arn).await.unwrap(), pairs(&[("a", "2"), ("b", "3")]));
    registry.untag_resource(caller, &arn, &["a".to_owned(), "absent".to_owned()]).await.unwrap();
    assert_eq!(registry.resource_tags(caller, &arn).await.unwrap(), pairs(&[("b", "3")]));
}

async fn come_with_a_new_repository(world: World) {
    let create = |tags| {
        let request = CreateRepository {
            name: name("shop/api"),
            tags,
            mutability: TagMutability::mutable(),
            scan_on_push: true,
            encryption: RequestedEncryption::Aes256,
        };
        world.registry.create_repository(&world.caller, request)
    };
    let many: Vec<_> = (0..51).map(|i| (format!("k{i}"), String::new())).collect();
    assert_error!(create(many).await, Error::TooManyTags);
    assert_error!(create(pairs(&[("a", "1"), ("a", "2")])).await, Error::InvalidTagParameter(_));
    assert_no_repository(world.registry.repository(&world.caller, &name("shop/api")).await);
    let record = create(pairs(&[("b", ""), ("a", "1")])).await.unwrap();
    assert!(record.scan_on_push);
    let tags = world.registry.resource_tags(&world.caller, &arn(&world, &record.name)).await.unwrap();
    assert_eq!(tags, pairs(&[("a", "1"), ("b", "")]));
}

async fn refuses_what_breaks_a_rule(world: World) {
    let arn = arn(&world, &world.create("shop/api").await);
    let (registry, caller) = (&world.registry, &world.caller);
    let reserved = registry.tag_resource(caller, &arn, &pairs(&[("aws:x", "1")])).await;
    assert_error!(reserved, Error::InvalidTagParameter(_));
    assert_error!(
        registry.untag_resource(caller, &arn, &[String::new()]).await,
        Error::InvalidTagParameter(_)
    );
    let fill: Vec<_> = (0..50).map(|i| (format!("k{i}"), String::new())).collect();
    registry.tag_resource(caller, &arn, &fill).await.unwrap();
    registry.tag_resource(caller, &arn, &fill).await.unwrap();
    assert_error!(registry.tag_resource(caller, &arn, &pairs(&[("one more", "")])).await, Error::TooManyTags);
    assert_eq!(registry.resource_tags(caller, &arn).await.unwrap().len(), 50);
}

async fn the_arn_names_the_repository(world: World) {
    let shop = world.create("shop/api").await;
    let (registry, caller_here) = (&world.registry, &world.caller);
    let absent = arn(&world, &nowhere());
    assert_no_repository(registry.resource_tags(caller_here, &absent).await);
    assert_no_repository(registry.tag_resource(caller_here, &absent, &[]).await);
    assert_no_repository(registry.untag_resource(caller_here, &absent, &[]).await);
    let elsewhere = RepositoryArn { registry: registry_id("123456789012", "eu-west-1"), name: shop.clone() };
    assert_no_repository(registry.resource_tags(caller_here, &elsewhere).await);
    let stranger = caller("999999999999", "999999999999");
    let refused = registry.resource_tags(&stranger, &arn(&world, &shop)).await;
    assert_error!(refused, Error::AccessDenied { .. });
}
