//! Opening, readiness, and who may do what.

use berth_registry::{Error, Operation, Registry};
use berth_store::seal::RootKey;

use crate::assert_error;
use crate::fixture::{World, caller, config, name, on_each_store, text};

on_each_store!(another_root_key_is_refused, answers_when_asked, other_accounts_are_refused);

async fn another_root_key_is_refused(world: World) {
    let other = RootKey::from_text(&"02".repeat(32)).unwrap();
    let opened =
        Registry::open(config(), world.meta.clone(), world.blobs.clone(), other, world.clock.clone()).await;
    let error = opened.unwrap_err();
    assert_eq!(error.to_string(), "cannot use this root key");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the root key is not the one that this data directory was made with");
}

async fn answers_when_asked(world: World) {
    world.registry.check().await.unwrap();
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    let totals = world.registry.totals().await.unwrap();
    assert_eq!((totals.repositories, totals.images, totals.uploads), (1, 1, 0));
}

async fn other_accounts_are_refused(world: World) {
    let shop = world.create("shop/api").await;
    let stranger = caller("999999999999", "123456789012");
    let refused = world.registry.authorize(&stranger, Operation::PutImage, Some(&shop));
    assert_eq!(
        text(refused),
        "User: arn:aws:iam::999999999999:root is not authorized to perform: ecr:PutImage on resource: \
         arn:aws:ecr:us-east-1:123456789012:repository/shop/api"
    );
    let refused = world.registry.authorize(&stranger, Operation::GetAuthorizationToken, None);
    assert!(text(refused).ends_with("perform: ecr:GetAuthorizationToken on resource: *"));
    // What exists and what does not look the same to a stranger.
    for repository in [shop, name("no/where")] {
        assert_error!(world.registry.repository(&stranger, &repository).await, Error::AccessDenied { .. });
    }
}
