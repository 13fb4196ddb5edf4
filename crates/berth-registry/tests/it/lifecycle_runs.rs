//! Lifecycle runs: what goes, what stays, what comes back, and who runs them when.

use std::sync::Arc;
use std::time::Duration;

use berth_registry::collector::{CollectLimits, GRACE_DEFAULT};
use berth_registry::lifecycle::{LifecycleRun, UNDO_WINDOW_DEFAULT};
use berth_registry::{Config, Error, Registry, TagStatus};
use berth_store::meta::MetaStore;
use berth_store::seal::RootKey;
use berth_types::{Digest, RepositoryName};
use serde_json::{Value, json};

use crate::assert_error;
use crate::faulty_meta::{FaultyMeta, MetaFault};
use crate::fixture::{
    ROOT_KEY, World, assert_no_repository, by_tag, config, image, index, nowhere, on_each_store,
};

on_each_store!(
    keeps_the_last_twenty,
    expired_images_are_hidden_and_come_back_with_their_tags,
    room_is_given_back_when_the_window_has_ended,
    without_a_window_nothing_comes_back,
    an_index_keeps_its_children_and_brings_them_back,
    signatures_go_and_come_back_with_their_image,
    what_was_pushed_again_is_left_as_it_is,
    archiving_is_said_to_be_not_carried_out,
    the_schedule_runs_each_policy_once_per_interval,
    an_undone_run_is_not_repeated_by_the_schedule,
    processes_share_the_work,
    documented_errors,
);

const INTERVAL: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn rule(priority: u32, selection: &Value, action: &str) -> Value {
    let action = match action {
        "archive" => json!({"type": "transition", "targetStorageClass": "archive"}),
        other => json!({"type": other}),
    };
    json!({"rulePriority": priority, "description": "a rule of a test, with words to fill it",
           "selection": selection, "action": action})
}

fn policy(rules: &[Value]) -> String {
    json!({ "rules": rules }).to_string()
}

fn keep_versions(count: u32) -> Value {
    json!({"tagStatus": "tagged", "tagPatternList": ["v*"], "countType": "imageCountMoreThan",
           "countNumber": count})
}

fn older(status: &str, days: u32) -> Value {
    json!({"tagStatus": status, "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days})
}

impl World {
    async fn put_policy(&self, repository: &RepositoryName, rules: &[Value]) {
        self.registry.put_lifecycle_policy(&self.caller, repository, &policy(rules)).await.unwrap();
    }

    async fn run(&self, repository: &RepositoryName) -> LifecycleRun {
        self.registry.run_lifecycle(&self.caller, repository).await.unwrap()
    }

    /// Pushes `v1` to `v<count>`, a second apart.
    async fn push_versions(&self, repository: &RepositoryName, count: u32) {
        for version in 1..=count {
            self.push_image(repository, &format!("layer {version:02}"), &[&format!("v{version}")])
                .await
                .unwrap();
            self.later(Duration::from_secs(1));
        }
    }

    async fn tags_of(&self, repository: &RepositoryName) -> Vec<String> {
        let page = self.registry.tags(&self.caller, repository, None, 1_000).await.unwrap();
        page.items.iter().map(ToString::to_string).collect()
    }

    async fn image_count(&self, repository: &RepositoryName) -> usize {
        let page = self.registry.images(&self.caller, repository, TagStatus::Any, None, 1_000).await;
        page.unwrap().items.len()
    }

    async fn collect(&self) -> u64 {
        let limits = CollectLimits { grace: GRACE_DEFAULT, blobs_max: usize::MAX };
        self.registry.collect(limits).await.unwrap().bytes
    }
}

async fn keeps_the_last_twenty(world: World) {
    let shop = world.create("shop").await;
    world.push_versions(&shop, 25).await;
    world.put_policy(&shop, &[rule(1, &keep_versions(20), "expire")]).await;
    let started = world.now();
    let run = world.run(&shop).await;
    assert_eq!(run.images, 5);
    assert_eq!(run.freed_bytes, 5 * 8, "five layers; the config is everybody's");
    assert_eq!((run.started_at, run.finished_at), (started, Some(started)));
    assert_eq!(run.restorable_until, Some(started.plus(UNDO_WINDOW_DEFAULT)));
    let summary = run.summary.clone().unwrap();
    assert_eq!((summary.evaluated, summary.expired, summary.changed, summary.stopped), (25, 5, 0, false));
    let rule = &summary.rules[0];
    assert_eq!((rule.rule, rule.matched, rule.selected, rule.acted), (1, 25, 5, 5));
    let tags = world.tags_of(&shop).await;
    assert_eq!(tags.len(), 20);
    assert!((1..=5).all(|version| !tags.contains(&format!("v{version}"))), "{tags:?}");

    let (registry, caller) = (&world.registry, &world.caller);
    let runs = registry.lifecycle_runs(caller, &shop, None, 10).await.unwrap();
    assert_eq!((runs.items.as_slice(), runs.next), (std::slice::from_ref(&run), None));
    let images = registry.lifecycle_run_images(caller, &shop, run.id, None, 3).await.unwrap();
    let rest = registry.lifecycle_run_images(caller, &shop, run.id, images.next, 3).await.unwrap();
    let tags: Vec<_> =
        images.items.iter().chain(&rest.items).map(|image| image.tags[0].to_string()).collect();
    assert_eq!(tags, ["v1", "v2", "v3", "v4", "v5"]);
    assert_eq!(
        images.items[0].reason,
        "number 25 from the youngest of those that rule 1 counts, which keeps 20"
    );
    let stored = registry.lifecycle_policy(caller, &shop).await.unwrap();
    assert_eq!(stored.last_evaluated_at, started.epoch_seconds());

    for _ in 0..3 {
        world.later(INTERVAL);
        assert_eq!(world.run(&shop).await.images, 0);
    }
    let runs = registry.lifecycle_runs(caller, &shop, None, 10).await.unwrap();
    assert_eq!(runs.items.len(), 2, "of runs that found nothing only the last is remembered");
}

async fn expired_images_are_hidden_and_come_back_with_their_tags(world: World) {
    let shop = world.create("shop").await;
    let pushed = world.push_image(&shop, "layer", &["old", "older"]).await.unwrap();
    world.pull(&shop, "old").await.unwrap();
    world.registry.flush_pulls().await.unwrap();
    let (registry, caller) = (&world.registry, &world.caller);
    let before = registry.describe_images(caller, &shop, &[by_tag("old")]).await.unwrap();
    world.later(DAY * 2);
    world.put_policy(&shop, &[rule(1, &older("any", 1), "expire")]).await;
    let run = world.run(&shop).await;
    assert_eq!(run.images, 1);
    for reference in ["old", "older", &pushed.digest.to_string()] {
        assert_error!(world.pull(&shop, reference).await, Error::ImageNotFound { .. });
    }
    assert_eq!(world.tags_of(&shop).await, [""; 0]);
    assert_eq!(world.image_count(&shop).await, 0);
    assert_eq!(registry.image_ids(caller, &shop, TagStatus::Any, None, 10).await.unwrap().items.len(), 0);
    world.later(UNDO_WINDOW_DEFAULT - Duration::from_millis(1));
    world.collect().await;
    let undone = registry.undo_lifecycle_run(caller, &shop, run.id).await.unwrap();
    assert_eq!((undone.restored.len(), undone.failures.len(), undone.suspended), (1, 0, true));
    assert_eq!(world.tags_of(&shop).await, ["old", "older"]);
    let after = registry.describe_images(caller, &shop, &[by_tag("old")]).await.unwrap();
    assert_eq!(
        (after[0].pushed_at, after[0].last_pulled_at),
        (before[0].pushed_at, before[0].last_pulled_at)
    );
    assert_eq!(world.pull(&shop, "older").await.unwrap(), image("layer", json!({})));
    assert_eq!(world.read(&shop, &Digest::sha256(b"layer")).await.unwrap(), b"layer");
    let again = registry.undo_lifecycle_run(caller, &shop, run.id).await.unwrap();
    assert_eq!((again.restored.len(), again.failures.len(), again.suspended), (0, 0, false));
}

async fn room_is_given_back_when_the_window_has_ended(world: World) {
    let shop = world.create("shop").await;
    world.push_versions(&shop, 5).await;
    world.put_policy(&shop, &[rule(1, &keep_versions(2), "expire")]).await;
    let before = world.objects();
    let run = world.run(&shop).await;
    world.later(UNDO_WINDOW_DEFAULT - Duration::from_millis(1));
    assert_eq!(world.collect().await, 0);
    assert_eq!(world.objects(), before);
    world.later(Duration::from_millis(1));
    assert_eq!(world.collect().await, 0, "whoever was told that a layer is there still has the grace period");
    let (registry, caller) = (&world.registry, &world.caller);
    let undone = registry.undo_lifecycle_run(caller, &shop, run.id).await.unwrap();
    assert_eq!(undone.restored, []);
    world.later(GRACE_DEFAULT + Duration::from_millis(1));
    assert_eq!(world.collect().await, run.freed_bytes);
    assert_eq!(world.objects(), before - 3);
    assert_eq!(world.tags_of(&shop).await, ["v4", "v5"]);
    for tag in ["v4", "v5"] {
        world.pull(&shop, tag).await.unwrap();
    }
}

async fn without_a_window_nothing_comes_back(mut world: World) {
    let shop = world.create("shop").await;
    world.push_versions(&shop, 3).await;
    world.put_policy(&shop, &[rule(1, &keep_versions(1), "expire")]).await;
    world.registry = other_process(&world, world.meta.clone(), Duration::ZERO).await;
    let run = world.run(&shop).await;
    assert_eq!((run.images, run.restorable_until), (2, None));
    let undone = world.registry.undo_lifecycle_run(&world.caller, &shop, run.id).await.unwrap();
    assert_eq!(undone.restored, []);
    world.later(GRACE_DEFAULT + Duration::from_millis(1));
    assert_eq!(world.collect().await, run.freed_bytes);
}

/// Another process on the same stores.
async fn other_process(world: &World, meta: Arc<dyn MetaStore>, undo_window: Duration) -> Registry {
    let config = Config { undo_window, ..config() };
    let root_key = RootKey::from_text(ROOT_KEY).unwrap();
    Registry::open(config, meta, world.blobs.clone(), root_key, world.clock.clone()).await.unwrap()
}

async fn an_index_keeps_its_children_and_brings_them_back(world: World) {
    let shop = world.create("shop").await;
    for layer in ["amd64", "arm64"] {
        world.push_image(&shop, layer, &[]).await.unwrap();
    }
    let children = [image("amd64", json!({})), image("arm64", json!({}))];
    let list = index(&[&children[0], &children[1]], json!({}));
    world.push_manifest(&shop, &list, &["v1"]).await.unwrap();
    world.later(DAY * 8);
    world.put_policy(&shop, &[rule(1, &older("untagged", 7), "expire")]).await;
    let run = world.run(&shop).await;
    assert_eq!((run.images, run.summary.unwrap().blocked), (0, 2));
    world.put_policy(&shop, &[rule(1, &older("any", 7), "expire")]).await;
    let first = world.run(&shop).await;
    assert_eq!((first.images, first.freed_bytes), (1, 0), "the index; its children follow in the next run");
    assert_eq!(world.run(&shop).await.images, 2);
    let undone = world.registry.undo_lifecycle_run(&world.caller, &shop, first.id).await.unwrap();
    assert_eq!((undone.restored.len(), undone.failures.len()), (3, 0), "an index needs its children");
    assert_eq!(world.pull(&shop, "v1").await.unwrap(), list);
    for child in &children {
        world.pull(&shop, &Digest::sha256(child).to_string()).await.unwrap();
    }
}

async fn signatures_go_and_come_back_with_their_image(world: World) {
    let shop = world.create("shop").await;
    let subject = world.push_image(&shop, "layer", &["v1"]).await.unwrap();
    let about = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject.digest,
                       "size": 100});
    let signature = image("layer", json!({"subject": about, "artifactType": "application/x.signature"}));
    world.push_manifest(&shop, &signature, &[]).await.unwrap();
    world.push_image(&shop, "newer", &["v2"]).await.unwrap();
    world.put_policy(&shop, &[rule(1, &keep_versions(1), "expire")]).await;
    let run = world.run(&shop).await;
    assert_eq!(run.images, 2);
    let (registry, caller) = (&world.registry, &world.caller);
    let images = registry.lifecycle_run_images(caller, &shop, run.id, None, 10).await.unwrap().items;
    assert_eq!(images.iter().map(|image| image.subject).collect::<Vec<_>>(), [None, Some(subject.digest)]);
    let undone = registry.undo_lifecycle_run(caller, &shop, run.id).await.unwrap();
    assert_eq!(undone.restored.len(), 2);
    let referrers = registry.referrers(caller, &shop, &subject.digest, None, None, 10).await.unwrap();
    assert_eq!(referrers.items.len(), 1);
}

async fn what_was_pushed_again_is_left_as_it_is(world: World) {
    let shop = world.create("shop").await;
    world.push_versions(&shop, 2).await;
    world.put_policy(&shop, &[rule(1, &keep_versions(1), "expire")]).await;
    let run = world.run(&shop).await;
    assert_eq!(world.tags_of(&shop).await, ["v2"]);
    world.later(DAY / 2);
    world.push_image(&shop, "layer 01", &["again"]).await.unwrap();
    world.push_image(&shop, "other", &["v1"]).await.unwrap();
    let other = world.pull(&shop, "v1").await.unwrap();
    world.later(DAY);
    world.collect().await;
    world.later(GRACE_DEFAULT * 2);
    world.collect().await;
    world.pull(&shop, "again").await.unwrap();
    assert_eq!(world.read(&shop, &Digest::sha256(b"layer 01")).await.unwrap(), b"layer 01");
    let undone = world.registry.undo_lifecycle_run(&world.caller, &shop, run.id).await.unwrap();
    assert_eq!(undone.restored, []);
    assert_eq!(world.pull(&shop, "v1").await.unwrap(), other);
}

async fn archiving_is_said_to_be_not_carried_out(world: World) {
    let shop = world.create("shop").await;
    world.push_versions(&shop, 3).await;
    world.put_policy(&shop, &[rule(1, &keep_versions(1), "archive")]).await;
    let run = world.run(&shop).await;
    assert_eq!((run.images, run.summary.unwrap().not_archived), (0, 2));
    assert_eq!(world.tags_of(&shop).await.len(), 3);
}

async fn the_schedule_runs_each_policy_once_per_interval(world: World) {
    let (shop, other) = (world.create("shop").await, world.create("other").await);
    for repository in [&shop, &other] {
        world.push_versions(repository, 3).await;
        world.put_policy(repository, &[rule(1, &keep_versions(1), "expire")]).await;
    }
    let registry = &world.registry;
    assert_eq!(registry.run_due_lifecycle(INTERVAL).await.unwrap(), None, "time to think again is left");
    world.later(INTERVAL);
    let mut done = Vec::new();
    while let Some((name, run)) = registry.run_due_lifecycle(INTERVAL).await.unwrap() {
        assert_eq!(run.images, 2);
        done.push(name);
    }
    done.sort();
    assert_eq!(done, [other, shop.clone()]);
    world.later(INTERVAL - Duration::from_millis(1));
    assert_eq!(registry.run_due_lifecycle(INTERVAL).await.unwrap(), None);
    world.later(Duration::from_millis(1));
    assert!(registry.run_due_lifecycle(INTERVAL).await.unwrap().is_some());
    registry.delete_lifecycle_policy(&world.caller, &shop).await.unwrap();
}

async fn an_undone_run_is_not_repeated_by_the_schedule(world: World) {
    let shop = world.create("shop").await;
    world.push_versions(&shop, 3).await;
    let rules = [rule(1, &keep_versions(1), "expire")];
    world.put_policy(&shop, &rules).await;
    let (registry, caller) = (&world.registry, &world.caller);
    registry.run_due_lifecycle(INTERVAL).await.unwrap();
    world.later(INTERVAL);
    let (_, run) = registry.run_due_lifecycle(INTERVAL).await.unwrap().unwrap();
    assert!(registry.undo_lifecycle_run(caller, &shop, run.id).await.unwrap().suspended);
    world.later(DAY * 300);
    assert_eq!(registry.run_due_lifecycle(INTERVAL).await.unwrap(), None);
    assert_eq!(world.tags_of(&shop).await.len(), 3);
    world.put_policy(&shop, &rules).await;
    assert_eq!(registry.run_due_lifecycle(INTERVAL).await.unwrap(), None);
    world.later(INTERVAL);
    assert_eq!(registry.run_due_lifecycle(INTERVAL).await.unwrap().unwrap().1.images, 2);
}

async fn processes_share_the_work(world: World) {
    let mut names = Vec::new();
    for number in 0..6 {
        let name = world.create(&format!("shop-{number}")).await;
        world.push_versions(&name, 3).await;
        world.put_policy(&name, &[rule(1, &keep_versions(1), "expire")]).await;
        names.push(name);
    }
    let other = other_process(&world, world.meta.clone(), UNDO_WINDOW_DEFAULT).await;
    world.registry.run_due_lifecycle(INTERVAL).await.unwrap();
    world.later(INTERVAL);
    let mut workers = tokio::task::JoinSet::new();
    for registry in [world.registry.clone(), other] {
        workers.spawn(async move {
            let mut done = Vec::new();
            while let Some((name, run)) = registry.run_due_lifecycle(INTERVAL).await.unwrap() {
                assert_eq!((run.images, run.summary.unwrap().changed), (2, 0));
                done.push(name);
            }
            done
        });
    }
    let mut done = workers.join_all().await.concat();
    done.sort();
    assert_eq!(done, names);
}

async fn documented_errors(world: World) {
    let shop = world.create("shop").await;
    let (registry, caller) = (&world.registry, &world.caller);
    assert_error!(registry.run_lifecycle(caller, &shop).await, Error::LifecyclePolicyNotFound { .. });
    assert_no_repository(registry.run_lifecycle(caller, &nowhere()).await);
    assert_no_repository(registry.lifecycle_runs(caller, &nowhere(), None, 10).await);
    world.put_policy(&shop, &[rule(1, &keep_versions(1), "expire")]).await;
    let run = world.run(&shop).await.id;
    assert_no_repository(registry.lifecycle_run_images(caller, &nowhere(), run, None, 10).await);
    assert_no_repository(registry.undo_lifecycle_run(caller, &nowhere(), run).await);
    let other = world.create("other").await;
    assert_error!(registry.undo_lifecycle_run(caller, &other, run).await, Error::InvalidParameter(_));
}

/// Whatever call of the metadata store fails, or happens and loses its answer: the repository's turn comes again, and then
/// everything is as if nothing had been wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_is_made_up_for() {
    for fault in [MetaFault::Fail, MetaFault::LoseReply] {
        let mut calls = 0;
        loop {
            let world = World::in_memory().await;
            let shop = world.create("shop").await;
            world.push_versions(&shop, 4).await;
            world.put_policy(&shop, &[rule(1, &keep_versions(1), "expire")]).await;
            world.registry.run_due_lifecycle(INTERVAL).await.unwrap();
            world.later(INTERVAL);
            let meta = Arc::new(FaultyMeta::new(world.meta.clone()));
            let faulty = other_process(&world, meta.clone(), UNDO_WINDOW_DEFAULT).await;
            meta.inject(calls, fault);
            let _ = faulty.run_due_lifecycle(INTERVAL).await;
            let spared = meta.call_off();
            world.later(INTERVAL);
            while world.registry.run_due_lifecycle(INTERVAL).await.unwrap().is_some() {}
            assert_eq!(world.tags_of(&shop).await, ["v4"], "call {calls}");
            let runs = world.registry.lifecycle_runs(&world.caller, &shop, None, 10).await.unwrap().items;
            assert_eq!(runs.iter().map(|run| run.images).sum::<u64>(), 3, "call {calls}");
            let mut restored = 0;
            for run in runs {
                let undone = world.registry.undo_lifecycle_run(&world.caller, &shop, run.id).await.unwrap();
                restored += undone.restored.len();
            }
            assert_eq!(restored, 3);
            if spared {
                break;
            }
            calls += 1;
        }
        assert!(calls >= 6, "only {calls} calls were made to fail");
    }
}
