//! The protocol between push, mount, delete, expire, restore and collect, in every order.
//!
//! An actor is a client or the collector; its steps are its transactions and its deletions of objects. Steps of
//! different actors can fall in any order, so every order is tried, from every starting position, with a grace period
//! of nothing. After each step, whatever a manifest refers to must be readable: the blob is in the repository, and its
//! object is in the blob store.

use std::collections::{BTreeSet, VecDeque};

use berth_types::Digest;

use super::fixture::{at, image, registry_of, repository_in, upload_in};
use crate::blob::ObjectId;
use crate::meta::{
    ExpireBatch, ExpireImage, ExpireOutcome, MetaError, MetaStore, NewBlob, NewImage, RepositoryId,
    RepositoryRecord, SqliteMeta, UploadRecord,
};

/// What one actor does, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    /// Uploads the blob to the first repository, then pushes a manifest that needs it.
    Push,
    /// Pushes a manifest to the first repository, believing that the blob is there.
    PushOnly,
    /// Mounts the blob from the first repository into the second, then pushes a manifest there.
    Mount,
    /// Deletes the first image of the first repository.
    DeleteImage,
    /// Deletes the blob from the first repository.
    DeleteBlob,
    /// Expires the first image, which can be restored.
    Expire,
    /// Restores the first image.
    Restore,
    /// Gives up what could be restored.
    Purge,
    /// Collects, then deletes the objects, then forgets them.
    Collect,
}

impl Actor {
    const fn steps(self) -> usize {
        match self {
            Self::PushOnly
            | Self::DeleteImage
            | Self::DeleteBlob
            | Self::Expire
            | Self::Restore
            | Self::Purge => 1,
            Self::Push | Self::Mount => 2,
            Self::Collect => 3,
        }
    }
}

/// What there is before anybody begins.
#[derive(Clone, Copy, Debug)]
enum Start {
    Nothing,
    UnusedBlob,
    Image,
    DeletedImage,
    ExpiredImage,
}

struct Scene<'s> {
    store: &'s SqliteMeta,
    first: RepositoryRecord,
    second: RepositoryRecord,
    content: Digest,
    /// What the blob store holds.
    objects: BTreeSet<ObjectId>,
    /// What collectors have still to delete and to forget.
    collected: VecDeque<Vec<ObjectId>>,
    deleted: VecDeque<Vec<ObjectId>>,
    upload: Option<UploadRecord>,
    manifests: Vec<(RepositoryId, Digest)>,
}

impl<'s> Scene<'s> {
    /// Repositories in a registry of their own, so that one store serves all scenes.
    async fn new(store: &'s SqliteMeta, number: usize, start: Start) -> Self {
        let registry = registry_of(&format!("{number:012}"));
        let mut scene = Self {
            store,
            first: repository_in(store, &registry, "first").await,
            second: repository_in(store, &registry, "second").await,
            content: Digest::sha256(b"content"),
            objects: BTreeSet::new(),
            collected: VecDeque::new(),
            deleted: VecDeque::new(),
            upload: None,
            manifests: Vec::new(),
        };
        store.put_lifecycle_policy(scene.first.id, "policy").await.unwrap();
        scene.begin_upload().await;
        match start {
            Start::Nothing | Start::ExpiredImage => {}
            Start::UnusedBlob => scene.complete_upload().await,
            Start::Image => {
                scene.complete_upload().await;
                scene.put(scene.first.id, "first image").await;
            }
            Start::DeletedImage => {
                scene.complete_upload().await;
                scene.put(scene.first.id, "first image").await;
                scene.delete_image().await;
            }
        }
        if matches!(start, Start::ExpiredImage) {
            scene.complete_upload().await;
            scene.put(scene.first.id, "first image").await;
            scene.expire().await;
        }
        if scene.upload.is_none() {
            scene.begin_upload().await;
        }
        scene
    }

    async fn begin_upload(&mut self) {
        let session = upload_in(&self.first);
        self.store.create_upload(&session).await.unwrap();
        // The object is written and synced before the session is completed.
        self.objects.insert(session.object);
        self.upload = Some(session);
    }

    async fn complete_upload(&mut self) {
        let session = self.upload.take().unwrap();
        let blob = NewBlob { digest: self.content, bytes: 7, created_at: at(10) };
        let completed = self.store.complete_upload(self.first.id, session.id, &blob).await.unwrap();
        if let Some(surplus) = completed.surplus {
            self.objects.remove(&surplus);
        }
    }

    async fn put(&mut self, repository: RepositoryId, text: &str) {
        let new = NewImage { blobs: vec![self.content], ..image(repository, text, &[]) };
        match self.store.put_image(&new).await {
            Ok(_) => self.manifests.push((repository, new.digest)),
            Err(MetaError::BlobsMissing(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn delete_image(&mut self) {
        let digest = Digest::sha256(b"first image");
        match self.store.delete_image(self.first.id, &digest, at(20)).await {
            Ok(_) => self.manifests.retain(|found| *found != (self.first.id, digest)),
            Err(MetaError::Missing) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn expire(&mut self) {
        let (repository, digest) = (self.first.id, Digest::sha256(b"first image"));
        let run = self.store.begin_lifecycle_run(repository, at(20), Some(at(25))).await.unwrap();
        let Some(found) = self.store.image(repository, &digest).await.unwrap() else { return };
        let expired = ExpireImage {
            digest,
            cursor: found.cursor,
            tags: found.tags,
            rule: 1,
            reason: String::new(),
            subject: None,
            follows: None,
        };
        let batch = ExpireBatch {
            run: run.id,
            repository,
            policy_version: run.policy_version,
            restorable_until: Some(at(25)),
            now: at(20),
            images: vec![expired],
        };
        assert_eq!(self.store.expire_images(&batch).await.unwrap().outcomes, [ExpireOutcome::Expired]);
        self.manifests.retain(|found| *found != (repository, digest));
    }

    async fn restore(&mut self) {
        let (repository, digest) = (self.first.id, Digest::sha256(b"first image"));
        match self.store.restore_image(repository, &digest, at(30)).await {
            Ok(_) => self.manifests.push((repository, digest)),
            Err(MetaError::Missing | MetaError::BlobsMissing(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn step(&mut self, actor: Actor, step: usize) {
        match (actor, step) {
            (Actor::Push, 0) => self.complete_upload().await,
            (Actor::Push, _) => self.put(self.first.id, "pushed").await,
            (Actor::PushOnly, _) => self.put(self.first.id, "pushed blindly").await,
            (Actor::Mount, 0) => {
                let from = Some(self.first.id);
                self.store.mount_blob(self.second.id, &self.content, from, at(30)).await.unwrap();
            }
            (Actor::Mount, _) => self.put(self.second.id, "mounted").await,
            (Actor::DeleteImage, _) => self.delete_image().await,
            (Actor::DeleteBlob, _) => {
                match self.store.delete_blob(self.first.id, &self.content, at(20)).await {
                    Ok(()) | Err(MetaError::Missing | MetaError::BlobInUse) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (Actor::Expire, _) => self.expire().await,
            (Actor::Restore, _) => self.restore().await,
            (Actor::Purge, _) => {
                self.store.purge_expired_images(at(1_000), 100).await.unwrap();
            }
            (Actor::Collect, 0) => {
                let collection = self.store.collect_blobs(at(1_000), 100).await.unwrap();
                self.collected.push_back(collection.objects);
            }
            (Actor::Collect, 1) => {
                let objects = self.collected.pop_front().unwrap();
                self.objects.retain(|object| !objects.contains(object));
                self.deleted.push_back(objects);
            }
            (Actor::Collect, _) => {
                let objects = self.deleted.pop_front().unwrap();
                self.store.forget_dead_objects(&objects).await.unwrap();
            }
        }
    }

    async fn assert_readable(&self, history: &[(Actor, usize)]) {
        for (repository, manifest) in &self.manifests {
            let image = self.store.image(*repository, manifest).await.unwrap();
            assert!(image.is_some(), "an image was lost: {history:?}");
            let blob = self.store.blob(*repository, &self.content).await.unwrap();
            let blob = blob.unwrap_or_else(|| panic!("a manifest points at nothing: {history:?}"));
            assert!(self.objects.contains(&blob.object), "a blob has no object: {history:?}");
        }
    }
}

/// Every order of the actors' steps that keeps each actor's own order.
fn orders(actors: &[Actor]) -> Vec<Vec<(Actor, usize)>> {
    fn extend(
        actors: &[Actor],
        done: &mut [usize],
        order: &mut Vec<(Actor, usize)>,
        all: &mut Vec<Vec<(Actor, usize)>>,
    ) {
        let mut is_complete = true;
        for (place, actor) in actors.iter().enumerate() {
            if done[place] < actor.steps() {
                is_complete = false;
                order.push((*actor, done[place]));
                done[place] += 1;
                extend(actors, done, order, all);
                done[place] -= 1;
                order.pop();
            }
        }
        if is_complete {
            all.push(order.clone());
        }
    }
    let mut all = Vec::new();
    extend(actors, &mut vec![0; actors.len()], &mut Vec::new(), &mut all);
    all
}

/// Plays every order of a cast from every starting position; returns how many scenes that were.
async fn play(cast: &'static [Actor]) -> usize {
    const STARTS: [Start; 5] =
        [Start::Nothing, Start::UnusedBlob, Start::Image, Start::DeletedImage, Start::ExpiredImage];
    let store = SqliteMeta::in_memory().unwrap();
    let mut scenes = 0;
    for order in orders(cast) {
        for start in STARTS {
            scenes += 1;
            let mut scene = Scene::new(&store, scenes, start).await;
            for (done, (actor, step)) in order.iter().enumerate() {
                scene.step(*actor, *step).await;
                scene.assert_readable(&order[..=done]).await;
            }
        }
    }
    scenes
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_of_steps_leaves_a_manifest_without_its_blob() {
    use Actor::{Collect, DeleteBlob, DeleteImage, Expire, Mount, Purge, Push, PushOnly, Restore};
    const CASTS: [&[Actor]; 10] = [
        &[Push, Collect],
        &[PushOnly, Collect, Collect],
        &[Push, Mount, Collect],
        &[Push, DeleteImage, Collect],
        &[Mount, DeleteImage, Collect],
        &[Mount, DeleteBlob, Collect],
        &[PushOnly, Mount, DeleteImage, Collect],
        &[Expire, Restore, Collect],
        &[Restore, Purge, Mount, Collect],
        &[Restore, DeleteBlob, Push, Collect],
    ];
    let casts: tokio::task::JoinSet<usize> = CASTS.into_iter().map(play).collect();
    let scenes: usize = casts.join_all().await.into_iter().sum();
    // (2+3)!/(2!3!) orders of the first cast, and so on, from each of five starting positions.
    assert_eq!(scenes, 5 * (10 + 140 + 210 + 60 + 60 + 60 + 420 + 20 + 420 + 420));
}
