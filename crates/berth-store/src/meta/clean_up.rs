//! What cleaning up takes and gives: collected blobs, lifecycle runs, expired images, previews.

use berth_types::{Digest, Tag, Timestamp};

use super::{ImageCursor, RepositoryId, RepositoryRecord};
use crate::blob::ObjectId;

/// What one step of the collector did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// Entries of the queue that were looked at. Fewer than asked for: nothing more is due.
    pub examined: usize,
    /// Blobs that no repository had any more and that were deleted.
    pub blobs: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Their objects, which the caller deletes.
    pub objects: Vec<ObjectId>,
}

/// A blob that the collector would delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectableBlob {
    /// Its place in the listing.
    pub cursor: i64,
    /// Length in bytes.
    pub bytes: u64,
}

/// The row of a lifecycle run. Later runs have larger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LifecycleRunId(pub i64);

/// A repository whose lifecycle policy is to be run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueLifecycle {
    /// The repository.
    pub repository: RepositoryRecord,
    /// Who has it to run: given by the caller.
    pub lease: String,
}

/// A run that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedRun {
    /// The run.
    pub id: LifecycleRunId,
    /// The policy as it is when the run begins.
    pub policy: String,
    /// Which put of the policy that is.
    pub policy_version: i64,
}

/// A run that is over.
#[derive(Clone, Copy, Debug)]
pub struct FinishedRun<'a> {
    /// The run.
    pub id: LifecycleRunId,
    /// Its repository.
    pub repository: RepositoryId,
    /// Now.
    pub finished_at: Timestamp,
    /// What the registry has to say about it.
    pub report: &'a str,
    /// How many runs of the repository are remembered.
    pub runs_kept: usize,
    /// The lease to give back, and when the next run may begin.
    pub lease: Option<(&'a str, Timestamp)>,
}

/// A run in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleRunRecord {
    /// The run.
    pub id: LifecycleRunId,
    /// The policy that was run.
    pub policy: String,
    /// Which put of the policy that was.
    pub policy_version: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` if it is under way or was cut off.
    pub finished_at: Option<Timestamp>,
    /// Images deleted.
    pub images: u64,
    /// Bytes of the blobs that only those images needed.
    pub blob_bytes: u64,
    /// Until when they can be restored.
    pub restorable_until: Option<Timestamp>,
    /// What the registry had to say about it.
    pub report: Option<String>,
}

/// An image that a run deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleRunImage {
    /// Its place in the order of pushes.
    pub cursor: ImageCursor,
    /// Its digest.
    pub digest: Digest,
    /// The tags that it had.
    pub tags: Vec<Tag>,
    /// Its size in bytes.
    pub image_bytes: u64,
    /// The rule that took it, or its subject.
    pub rule: u32,
    /// The image that it followed.
    pub subject: Option<Digest>,
    /// Why, in words.
    pub reason: String,
    /// Whether it was restored.
    pub restored: bool,
}

/// Images to be deleted by a run.
#[derive(Clone, Debug)]
pub struct ExpireBatch {
    /// The run.
    pub run: LifecycleRunId,
    /// Its repository.
    pub repository: RepositoryId,
    /// The policy that was evaluated.
    pub policy_version: i64,
    /// Until when the images can be restored; `None`: not at all.
    pub restorable_until: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
    /// Which, each after the one that it follows.
    pub images: Vec<ExpireImage>,
}

/// An image to be deleted if it still is what was evaluated.
#[derive(Clone, Debug)]
pub struct ExpireImage {
    /// Its digest.
    pub digest: Digest,
    /// Its row: an image that was deleted and pushed again has another one.
    pub cursor: ImageCursor,
    /// Its tags when it was evaluated, in byte order.
    pub tags: Vec<Tag>,
    /// The rule that takes it, or its subject.
    pub rule: u32,
    /// Why, in words.
    pub reason: String,
    /// The subject that it goes with.
    pub subject: Option<Digest>,
    /// The place in the batch of the image that must have gone for this one to go.
    pub follows: Option<usize>,
}

/// What became of an image of an [`ExpireBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpireOutcome {
    /// It was deleted.
    Expired,
    /// It is not there any more, or was pushed anew.
    Gone,
    /// It has other tags than when it was evaluated.
    Retagged,
    /// An index lists it now.
    Referenced,
    /// The image that it would have followed stays.
    SubjectStays,
    /// The policy is not the one that was evaluated; nothing was deleted.
    PolicyChanged,
}

/// What became of an [`ExpireBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredBatch {
    /// One outcome for each image.
    pub outcomes: Vec<ExpireOutcome>,
    /// Bytes of the blobs that only the deleted images needed.
    pub blob_bytes: u64,
}

/// An image that can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiredImageRecord {
    /// Its place in the listing.
    pub cursor: i64,
    /// Its digest.
    pub digest: Digest,
}

/// An image that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredImage {
    /// Tags that it has again.
    pub tags: Vec<Tag>,
    /// Tags that name another image by now, and stay there.
    pub tags_taken: Vec<Tag>,
}

/// An index and one of the images that it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildRecord {
    /// The index.
    pub parent: ImageCursor,
    /// The image.
    pub child: Digest,
}

/// A preview of a lifecycle policy, to be begun.
#[derive(Clone, Copy, Debug)]
pub struct NewPreview<'a> {
    /// The repository.
    pub repository: RepositoryId,
    /// A new id.
    pub id: &'a str,
    /// The policy to be previewed; `None`: the one that the repository has.
    pub policy: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
    /// A preview that has not moved since then is not waited for.
    pub stale_before: Timestamp,
}

/// A preview of a lifecycle policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewRecord {
    /// Its id: another preview of the repository has another one.
    pub id: String,
    /// The policy, byte for byte.
    pub policy: String,
    /// How far it is.
    pub status: PreviewStatus,
    /// When it was begun or, later, finished.
    pub changed_at: Timestamp,
    /// Images that would be deleted.
    pub expire_count: u64,
    /// Images that would be archived.
    pub archive_count: u64,
}

/// How far a preview is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreviewStatus {
    /// Being computed.
    InProgress,
    /// All results are there.
    Complete,
    /// It could not be computed.
    Failed,
}

/// An image that a previewed policy would act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewImage {
    /// Its place among the results.
    pub position: i64,
    /// Its digest.
    pub digest: Digest,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// When it was pushed.
    pub pushed_at: Timestamp,
    /// What would happen to it.
    pub action: PreviewAction,
    /// The rule that acts on it, or on the image that it follows.
    pub rule: u32,
}

/// What a policy would do to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreviewAction {
    /// Delete it.
    Expire,
    /// Move it to the archive.
    Archive,
}
