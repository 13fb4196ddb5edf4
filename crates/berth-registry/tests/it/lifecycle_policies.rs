//! `PutLifecyclePolicy`, `GetLifecyclePolicy`, `DeleteLifecyclePolicy`.

use berth_registry::Error;

use crate::assert_error;
use crate::fixture::{World, assert_no_repository, nowhere, on_each_store, text};

on_each_store!(keeps_the_text_as_it_is, refuses_what_is_no_policy);

const POLICY: &str = r#"{ "rules": [ {"rulePriority": 1, "description": "ä  b",
    "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
    "action": {"type": "expire"}} ] }
"#;

async fn keeps_the_text_as_it_is(world: World) {
    let shop = world.create("shop/api").await;
    let (registry, caller) = (&world.registry, &world.caller);
    assert_error!(registry.lifecycle_policy(caller, &shop).await, Error::LifecyclePolicyNotFound { .. });
    registry.put_lifecycle_policy(caller, &shop, POLICY).await.unwrap();
    let stored = registry.lifecycle_policy(caller, &shop).await.unwrap();
    assert_eq!((stored.text.as_str(), stored.last_evaluated_at), (POLICY, 0.0));
    assert_eq!(registry.delete_lifecycle_policy(caller, &shop).await.unwrap(), stored);
    assert_eq!(
        text(registry.delete_lifecycle_policy(caller, &shop).await),
        "Lifecycle policy does not exist for the repository with name 'shop/api' in the registry with id '123456789012'"
    );
}

async fn refuses_what_is_no_policy(world: World) {
    let shop = world.create("shop/api").await;
    let (registry, caller) = (&world.registry, &world.caller);
    registry.put_lifecycle_policy(caller, &shop, POLICY).await.unwrap();
    let refused = registry.put_lifecycle_policy(caller, &shop, &POLICY.replace("untagged", "untaged")).await;
    assert!(text(refused).starts_with(
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure"
    ));
    assert_error!(registry.put_lifecycle_policy(caller, &shop, "{}").await, Error::InvalidParameter(_));
    assert_eq!(registry.lifecycle_policy(caller, &shop).await.unwrap().text, POLICY, "nothing changed");
    assert_no_repository(registry.put_lifecycle_policy(caller, &nowhere(), POLICY).await);
    assert_no_repository(registry.lifecycle_policy(caller, &nowhere()).await);
    assert_no_repository(registry.delete_lifecycle_policy(caller, &nowhere()).await);
}
