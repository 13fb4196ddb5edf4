//! Previews of lifecycle policies: under way, cut off, replaced.

use std::sync::Arc;
use std::time::Duration;

use berth_registry::preview::{Preview, PreviewAction, PreviewQuery, PreviewState};
use berth_registry::{Error, Registry, TagStatus};
use berth_store::meta::{MetaStore, NewPreview};
use berth_store::seal::RootKey;
use berth_types::{Clock as _, RepositoryName};
use serde_json::json;

use crate::assert_error;
use crate::faulty_meta::{FaultyMeta, MetaFault};
use crate::fixture::{ROOT_KEY, World, config, image, on_each_store};

on_each_store!(
    one_preview_at_a_time_unless_it_was_cut_off,
    a_signature_is_listed_with_its_image,
    a_preview_is_what_a_run_does,
);

const POLICY: &str = r#"{"rules": [{"rulePriority": 3, "description": "Keep the newest version only",
    "selection": {"tagStatus": "tagged", "tagPatternList": ["v*"], "countType": "imageCountMoreThan",
    "countNumber": 1}, "action": {"type": "expire"}}]}"#;

const ALL: PreviewQuery<'_> = PreviewQuery::Page { filter: TagStatus::Any, after: None, limit: 100 };

async fn finished(world: &World, registry: &Registry, repository: &RepositoryName) -> Preview {
    loop {
        let preview = registry.lifecycle_preview(&world.caller, repository, ALL).await.unwrap();
        if preview.state != PreviewState::InProgress {
            return preview;
        }
        tokio::task::yield_now().await;
    }
}

async fn one_preview_at_a_time_unless_it_was_cut_off(world: World) {
    let shop = world.create("shop").await;
    let (registry, caller) = (&world.registry, &world.caller);
    let repository = registry.repository(caller, &shop).await.unwrap().id;
    // Begun by a process that has died since.
    let now = world.clock.now();
    let begun = NewPreview { repository, id: "dead", policy: Some(POLICY), now, stale_before: now };
    world.meta.begin_preview(&begun).await.unwrap();
    let refused = registry.start_lifecycle_preview(caller, &shop, Some(POLICY)).await;
    assert_error!(refused, Error::LifecyclePolicyPreviewInProgress { .. });
    world.later(Duration::from_secs(301));
    let preview = registry.lifecycle_preview(caller, &shop, ALL).await.unwrap();
    assert_eq!((preview.state, preview.policy.as_str()), (PreviewState::Failed, POLICY));
    registry.start_lifecycle_preview(caller, &shop, Some(POLICY)).await.unwrap();
    assert_eq!(finished(&world, registry, &shop).await.state, PreviewState::Complete);
}

async fn a_signature_is_listed_with_its_image(world: World) {
    let shop = world.create("shop").await;
    let subject = world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    let about = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject.digest,
                       "size": 100});
    let signature = image("layer", json!({"subject": about, "artifactType": "application/x.signature"}));
    let signature = world.push_manifest(&shop, &signature, &[]).await.unwrap();
    world.later(Duration::from_secs(1));
    world.push_image(&shop, "newer", &["v2"]).await.unwrap();
    let registry = &world.registry;
    registry.start_lifecycle_preview(&world.caller, &shop, Some(POLICY)).await.unwrap();
    let preview = finished(&world, registry, &shop).await;
    let found: Vec<_> =
        preview.images.items.iter().map(|image| (image.digest, image.action, image.rule)).collect();
    let expire = |digest| (digest, PreviewAction::Expire, 3);
    assert_eq!(found, [expire(subject.digest), expire(signature.digest)]);
    assert_eq!((preview.expire_count, preview.archive_count), (2, 0));
}

async fn a_preview_is_what_a_run_does(world: World) {
    let shop = world.create("shop").await;
    for version in 1..=7 {
        let tag = if version % 3 == 0 { "other".to_owned() } else { format!("v{version}") };
        world.push_image(&shop, &format!("layer {version}"), &[&tag]).await.unwrap();
        world.later(Duration::from_secs(1));
    }
    let (registry, caller) = (&world.registry, &world.caller);
    registry.put_lifecycle_policy(caller, &shop, POLICY).await.unwrap();
    registry.start_lifecycle_preview(caller, &shop, None).await.unwrap();
    let preview = finished(&world, registry, &shop).await;
    let run = registry.run_lifecycle(caller, &shop).await.unwrap();
    let ran = registry.lifecycle_run_images(caller, &shop, run.id, None, 100).await.unwrap().items;
    assert_eq!(ran.len(), 4);
    let previewed: Vec<_> = preview.images.items.iter().map(|image| (image.digest, image.rule)).collect();
    assert_eq!(previewed, ran.iter().map(|image| (image.digest, image.rule)).collect::<Vec<_>>());
}

/// Whatever call fails while a preview is computed: it is complete, or failed, or can be started again after a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_fails_says_so() {
    for calls in 0..6 {
        let world = World::in_memory().await;
        let shop = world.create("shop").await;
        world.push_image(&shop, "one", &["v1"]).await.unwrap();
        let meta = Arc::new(FaultyMeta::new(world.meta.clone()));
        let root_key = RootKey::from_text(ROOT_KEY).unwrap();
        let store: Arc<dyn MetaStore> = meta.clone();
        let faulty = Registry::open(config(), store, world.blobs.clone(), root_key, world.clock.clone())
            .await
            .unwrap();
        // Two calls before it is begun: the repository, and the beginning itself.
        meta.inject(calls + 2, MetaFault::Fail);
        faulty.start_lifecycle_preview(&world.caller, &shop, Some(POLICY)).await.unwrap();
        let mut asked = 0;
        let preview = loop {
            let preview = world.registry.lifecycle_preview(&world.caller, &shop, ALL).await.unwrap();
            if preview.state != PreviewState::InProgress {
                break preview;
            }
            asked += 1;
            if asked % 1_000 == 0 {
                world.later(Duration::from_secs(301));
            }
            tokio::task::yield_now().await;
        };
        assert_ne!(preview.state, PreviewState::Expired);
        world.later(Duration::from_secs(301));
        world.registry.start_lifecycle_preview(&world.caller, &shop, Some(POLICY)).await.unwrap();
        assert_eq!(finished(&world, &world.registry, &shop).await.state, PreviewState::Complete);
    }
}
