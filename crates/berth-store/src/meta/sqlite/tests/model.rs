//! Random operations, done by the store and by a model that a reader can check by eye: they must agree on every answer and
//! on everything that can be seen afterwards.

use std::collections::{BTreeMap, BTreeSet};

use berth_types::{Digest, Tag, TagMutability};
use proptest::prelude::*;

use super::{SqliteMeta, assert_sound};
use crate::meta::conformance::fixture::{
    ALL, all_images, at, image, name, new_repository, registry, tag, upload_in,
};
use crate::meta::{
    MetaError, MetaStore as _, NewBlob, NewImage, RepositoryId, RepositoryRecord, TagChange, TagStatus,
};

const REPOSITORIES: u8 = 2;
const BLOBS: u8 = 4;
const TAGS: u8 = 3;
const IMAGES: u8 = 8;

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Drop { repository: u8, force: bool },
    Immutable { repository: u8, immutable: bool },
    Upload { repository: u8, blob: u8 },
    Mount { repository: u8, blob: u8, from: Option<u8> },
    DeleteBlob { repository: u8, blob: u8 },
    Put { repository: u8, image: u8, tags: Vec<u8> },
    DeleteTag { repository: u8, tag: u8, expected: Option<u8>, delete_untagged: bool },
    DeleteImage { repository: u8, image: u8 },
    Pull { repository: u8, image: u8, time: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (repository, blob, tag, image) = (0..REPOSITORIES, 0..BLOBS, 0..TAGS, 0..IMAGES);
    let some_repository = proptest::option::of(repository.clone());
    let some_image = proptest::option::weighted(0.3, image.clone());
    prop_oneof![
        2 => repository.clone().prop_map(Step::Create),
        1 => (repository.clone(), any::<bool>())
            .prop_map(|(repository, force)| Step::Drop { repository, force }),
        1 => (repository.clone(), any::<bool>())
            .prop_map(|(repository, immutable)| Step::Immutable { repository, immutable }),
        8 => (repository.clone(), blob.clone())
            .prop_map(|(repository, blob)| Step::Upload { repository, blob }),
        3 => (repository.clone(), blob.clone(), some_repository)
            .prop_map(|(repository, blob, from)| Step::Mount { repository, blob, from }),
        2 => (repository.clone(), blob).prop_map(|(repository, blob)| Step::DeleteBlob { repository, blob }),
        16 => (repository.clone(), image.clone(), proptest::collection::vec(tag.clone(), 0..3))
            .prop_map(|(repository, image, tags)| Step::Put { repository, image, tags }),
        4 => (repository.clone(), tag, some_image, any::<bool>()).prop_map(
            |(repository, tag, expected, delete_untagged)| Step::DeleteTag {
                repository, tag, expected, delete_untagged
            }),
        4 => (repository.clone(), image.clone())
            .prop_map(|(repository, image)| Step::DeleteImage { repository, image }),
        2 => (repository, image, 0..5_i64)
            .prop_map(|(repository, image, time)| Step::Pull { repository, image, time }),
    ]
}

fn content(blob: u8) -> Digest {
    Digest::sha256(&[blob])
}

fn image_digest(number: u8) -> Digest {
    Digest::sha256(format!("image {number}").as_bytes())
}

fn tag_name(number: u8) -> Tag {
    tag(&format!("t{number}"))
}

/// What the image of each number is: 0 to 4 have two blobs, even ones name a third that may be absent; 5 and 6 are
/// indexes, one of the other; 7 is about 0.
fn make(repository: RepositoryId, number: u8) -> NewImage {
    let plain = image(repository, &format!("image {number}"), &[]);
    let image_bytes = u64::from(number) * 10;
    match number {
        5 => NewImage { children: vec![image_digest(0), image_digest(1)], image_bytes: 0, ..plain },
        6 => NewImage { children: vec![image_digest(2), image_digest(5)], image_bytes: 0, ..plain },
        7 => NewImage { subject: Some(image_digest(0)), image_bytes, ..plain },
        _ => NewImage {
            blobs: vec![content(number % 3), content((number + 1) % 3)],
            optional_blobs: if number.is_multiple_of(2) { vec![content(3)] } else { Vec::new() },
            image_bytes,
            ..plain
        },
    }
}

#[derive(Clone, Debug, PartialEq)]
struct ModelImage {
    number: u8,
    image_bytes: u64,
    pulled: Option<i64>,
}

#[derive(Clone, Debug, Default)]
struct ModelRepository {
    immutable: bool,
    images: Vec<ModelImage>,
    tags: BTreeMap<u8, u8>,
    blobs: BTreeSet<u8>,
}

#[derive(Debug, Default)]
struct Model {
    repositories: BTreeMap<u8, ModelRepository>,
}

/// An answer in words, so that the two can be compared.
type Answer = Result<String, String>;

fn refuse<T>(why: impl Into<String>) -> Result<T, String> {
    Err(why.into())
}

impl ModelRepository {
    fn has(&self, number: u8) -> bool {
        self.images.iter().any(|image| image.number == number)
    }

    fn children(number: u8) -> &'static [u8] {
        match number {
            5 => &[0, 1],
            6 => &[2, 5],
            _ => &[],
        }
    }

    fn parents(&self, number: u8) -> Vec<Digest> {
        let lists = |image: &&ModelImage| Self::children(image.number).contains(&number);
        let mut parents: Vec<_> =
            self.images.iter().filter(lists).map(|image| image_digest(image.number)).collect();
        parents.sort();
        parents
    }

    fn uses(&self, blob: u8) -> bool {
        let image_uses = |number: u8| {
            let image = make(RepositoryId(0), number);
            image.blobs.contains(&content(blob)) || image.optional_blobs.contains(&content(blob))
        };
        self.blobs.contains(&blob) && self.images.iter().any(|image| image_uses(image.number))
    }

    fn put(&mut self, number: u8, tags: &[u8]) -> Answer {
        let new = make(RepositoryId(0), number);
        let created = !self.has(number);
        if created {
            let absent = |digest: &&Digest| !self.blobs.iter().any(|blob| content(*blob) == **digest);
            let missing: Vec<_> = new.blobs.iter().filter(absent).collect();
            if !missing.is_empty() {
                return refuse(format!("blobs {missing:?}"));
            }
            let children = Self::children(number).iter().copied();
            let missing: Vec<_> = children.filter(|child| !self.has(*child)).map(image_digest).collect();
            if !missing.is_empty() {
                return refuse(format!("children {missing:?}"));
            }
        }
        let mut changes = Vec::new();
        let mut next = self.tags.clone();
        for tag in tags {
            changes.push(match next.insert(*tag, number) {
                None => TagChange::Created,
                Some(before) if before == number => TagChange::Unchanged,
                Some(_) if self.immutable => return refuse(format!("immutable {}", tag_name(*tag))),
                Some(before) => TagChange::Moved { from: image_digest(before) },
            });
        }
        self.tags = next;
        if created {
            let largest = self.images.iter().filter(|image| Self::children(number).contains(&image.number));
            let image_bytes = largest.map(|image| image.image_bytes).max().unwrap_or(new.image_bytes);
            self.images.push(ModelImage { number, image_bytes, pulled: None });
        }
        Ok(format!("{created} {changes:?}"))
    }

    fn delete_image(&mut self, number: u8) -> Answer {
        if !self.has(number) {
            return refuse("missing");
        }
        let parents = self.parents(number);
        if !parents.is_empty() {
            return refuse(format!("referenced {parents:?}"));
        }
        let tags: Vec<_> =
            self.tags.iter().filter(|(_, image)| **image == number).map(|(tag, _)| tag_name(*tag)).collect();
        self.tags.retain(|_, image| *image != number);
        self.images.retain(|image| image.number != number);
        Ok(format!("{tags:?}"))
    }

    fn delete_tag(&mut self, tag: u8, expected: Option<u8>, delete_untagged: bool) -> Answer {
        let Some(number) = self.tags.get(&tag).copied() else { return refuse("missing") };
        if expected.is_some_and(|expected| expected != number) {
            return refuse("mismatch");
        }
        let last = self.tags.values().filter(|image| **image == number).count() == 1;
        let deleted = delete_untagged && last;
        if deleted {
            self.delete_image(number)?;
        }
        self.tags.remove(&tag);
        Ok(format!("{} {deleted}", image_digest(number)))
    }
}

impl Model {
    fn apply(&mut self, step: &Step) -> Answer {
        match step {
            Step::Create(number) if self.repositories.contains_key(number) => return refuse("exists"),
            Step::Create(number) => {
                self.repositories.insert(*number, ModelRepository::default());
                return Ok(String::new());
            }
            Step::Mount { repository, blob, from } => return self.mount(*repository, *blob, *from),
            _ => {}
        }
        let found = self.repositories.get_mut(&step.repository());
        match (step, found) {
            (Step::Pull { .. }, None) => Ok(String::new()),
            (Step::DeleteBlob { .. } | Step::DeleteTag { .. } | Step::DeleteImage { .. }, None) => {
                refuse("missing")
            }
            (_, None) => refuse("no repository"),
            (Step::Drop { repository, force }, Some(found)) => {
                if !found.images.is_empty() && !force {
                    return refuse("not empty");
                }
                self.repositories.remove(repository);
                Ok(String::new())
            }
            (Step::Immutable { immutable, .. }, Some(found)) => {
                found.immutable = *immutable;
                Ok(String::new())
            }
            (Step::Upload { blob, .. }, Some(found)) => Ok(format!("{}", !found.blobs.insert(*blob))),
            (Step::DeleteBlob { blob, .. }, Some(found)) => {
                if found.uses(*blob) {
                    return refuse("in use");
                }
                if found.blobs.remove(blob) { Ok(String::new()) } else { refuse("missing") }
            }
            (Step::Put { image, tags, .. }, Some(found)) => found.put(*image, tags),
            (Step::DeleteTag { tag, expected, delete_untagged, .. }, Some(found)) => {
                found.delete_tag(*tag, *expected, *delete_untagged)
            }
            (Step::DeleteImage { image, .. }, Some(found)) => found.delete_image(*image),
            (Step::Pull { image, time, .. }, Some(found)) => {
                if let Some(image) = found.images.iter_mut().find(|known| known.number == *image) {
                    image.pulled = image.pulled.max(Some(*time));
                }
                Ok(String::new())
            }
            (Step::Create(_) | Step::Mount { .. }, Some(_)) => unreachable!("handled above"),
        }
    }

    fn mount(&mut self, repository: u8, blob: u8, from: Option<u8>) -> Answer {
        if !self.repositories.contains_key(&repository) {
            return refuse("no repository");
        }
        let has =
            |number: &u8| self.repositories.get(number).is_some_and(|found| found.blobs.contains(&blob));
        let there = match from {
            Some(from) => has(&from),
            None => self.repositories.keys().any(has),
        };
        if there && let Some(found) = self.repositories.get_mut(&repository) {
            found.blobs.insert(blob);
        }
        Ok(format!("{there}"))
    }
}

impl Step {
    fn repository(&self) -> u8 {
        match self {
            Self::Create(repository)
            | Self::Drop { repository, .. }
            | Self::Immutable { repository, .. }
            | Self::Upload { repository, .. }
            | Self::Mount { repository, .. }
            | Self::DeleteBlob { repository, .. }
            | Self::Put { repository, .. }
            | Self::DeleteTag { repository, .. }
            | Self::DeleteImage { repository, .. }
            | Self::Pull { repository, .. } => *repository,
        }
    }
}

/// The store, and the repositories by number: those that are gone keep the row they had.
struct Real {
    store: SqliteMeta,
    repositories: BTreeMap<u8, RepositoryRecord>,
}

fn words(error: MetaError) -> String {
    match error {
        MetaError::RepositoryMissing => "no repository".into(),
        MetaError::RepositoryExists => "exists".into(),
        MetaError::RepositoryNotEmpty => "not empty".into(),
        MetaError::BlobsMissing(digests) => format!("blobs {digests:?}"),
        MetaError::ChildrenMissing(digests) => format!("children {digests:?}"),
        MetaError::TagImmutable(tag) => format!("immutable {tag}"),
        MetaError::Missing => "missing".into(),
        MetaError::TagDigestMismatch => "mismatch".into(),
        MetaError::ReferencedBy(digests) => format!("referenced {digests:?}"),
        MetaError::BlobInUse => "in use".into(),
        other => format!("unexpected: {other:?}"),
    }
}

impl Real {
    fn id(&self, number: u8) -> RepositoryId {
        self.repositories.get(&number).map_or(RepositoryId(9_999), |record| record.id)
    }

    async fn apply(&mut self, step: &Step) -> Answer {
        let id = self.id(step.repository());
        let store = &self.store;
        let done = match step {
            Step::Create(number) => {
                let new = new_repository(store, &registry(), &format!("r{number}")).await;
                match store.create_repository(&new).await {
                    Ok(record) => {
                        self.repositories.insert(*number, record);
                        Ok(String::new())
                    }
                    Err(error) => Err(error),
                }
            }
            Step::Drop { repository, force } => store
                .delete_repository(&registry(), &name(&format!("r{repository}")), *force, at(100))
                .await
                .map(|_| String::new()),
            Step::Immutable { immutable, .. } => {
                let rule = if *immutable { TagMutability::immutable() } else { TagMutability::mutable() };
                store.set_tag_mutability(id, &rule).await.map(|_| String::new())
            }
            Step::Upload { repository, blob } => self.upload(*repository, *blob).await,
            Step::Mount { blob, from, .. } => {
                let from = from.map(|from| self.id(from));
                let mounted = store.mount_blob(id, &content(*blob), from, at(100)).await;
                mounted.map(|blob| format!("{}", blob.is_some()))
            }
            Step::DeleteBlob { blob, .. } => {
                store.delete_blob(id, &content(*blob), at(100)).await.map(|()| String::new())
            }
            Step::Put { image, tags, .. } => {
                let tags = tags.iter().copied().map(tag_name).collect();
                let outcome = store.put_image(&NewImage { tags, ..make(id, *image) }).await;
                outcome.map(|outcome| format!("{} {:?}", outcome.created, outcome.tags))
            }
            Step::DeleteTag { tag, expected, delete_untagged, .. } => {
                let expected = expected.map(image_digest);
                store
                    .delete_tag(id, &tag_name(*tag), expected.as_ref(), *delete_untagged, at(100))
                    .await
                    .map(|deleted| format!("{} {}", deleted.digest, deleted.image_deleted))
            }
            Step::DeleteImage { image, .. } => {
                let deleted = store.delete_image(id, &image_digest(*image), at(100)).await;
                deleted.map(|tags| format!("{tags:?}"))
            }
            Step::Pull { image, time, .. } => {
                let pulls = [(id, image_digest(*image), at(*time))];
                store.record_pulls(&pulls).await.map(|()| String::new())
            }
        };
        done.map_err(words)
    }

    async fn upload(&self, repository: u8, blob: u8) -> Result<String, MetaError> {
        let Some(record) = self.repositories.get(&repository) else {
            return Err(MetaError::RepositoryMissing);
        };
        let session = upload_in(record);
        self.store.create_upload(&session).await?;
        let new = NewBlob { digest: content(blob), bytes: 1, created_at: at(100) };
        let completed = self.store.complete_upload(record.id, session.id, &new).await?;
        Ok(format!("{}", completed.existed_in_repository))
    }

    /// Everything that can be seen of a repository is as the model has it.
    async fn compare(&self, number: u8, model: Option<&ModelRepository>) {
        let id = self.id(number);
        let empty = ModelRepository::default();
        let model = model.unwrap_or(&empty);
        let seen: Vec<_> = all_images(&self.store, id).await;
        let expected: Vec<_> = model.images.iter().map(|image| image_digest(image.number)).collect();
        assert_eq!(seen.iter().map(|image| image.digest).collect::<Vec<_>>(), expected);
        for (seen, expected) in seen.iter().zip(&model.images) {
            let tags = model.tags.iter().filter(|(_, image)| **image == expected.number);
            assert_eq!(seen.tags, tags.map(|(tag, _)| tag_name(*tag)).collect::<Vec<_>>());
            assert_eq!(seen.image_bytes, expected.image_bytes);
            assert_eq!(seen.last_pulled_at, expected.pulled.map(at));
        }
        for (filter, tagged) in [(TagStatus::Tagged, true), (TagStatus::Untagged, false)] {
            let listed = self.store.images(id, filter, None, ALL).await.unwrap();
            let expected = seen.iter().filter(|image| image.tags.is_empty() != tagged);
            assert!(listed.iter().eq(expected));
        }
        let tags = self.store.tags(id, None, ALL).await.unwrap();
        assert!(tags.into_iter().eq(model.tags.keys().copied().map(tag_name)));
        for blob in 0..BLOBS {
            let found = self.store.blob(id, &content(blob)).await.unwrap().is_some();
            assert_eq!(found, model.blobs.contains(&blob), "blob {blob}");
            let used = self.store.blob_is_referenced(id, &content(blob)).await.unwrap();
            assert_eq!(used, model.uses(blob), "use of blob {blob}");
        }
        let referrers = self.store.referrers(id, &image_digest(0), None, None, ALL).await.unwrap();
        assert_eq!(!referrers.is_empty(), model.has(7));
    }
}

async fn agree(steps: &[Step]) {
    let store = SqliteMeta::in_memory().unwrap();
    let mut real = Real { store, repositories: BTreeMap::new() };
    let mut model = Model::default();
    for (place, step) in steps.iter().enumerate() {
        let (expected, answer) = (model.apply(step), real.apply(step).await);
        assert_eq!(answer, expected, "step {place}: {step:?}");
        for number in 0..REPOSITORIES {
            real.compare(number, model.repositories.get(&number)).await;
        }
    }
    assert_sound(&real.store);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn store_and_model_agree(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agree(&steps));
    }
}
