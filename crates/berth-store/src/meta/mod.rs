//! What the registry knows: repositories, images, tags, blobs, upload sessions, keys.
//!
//! [`MetaStore`] has coarse methods, one per thing the registry does, each of which is one transaction: it happens whole
//! or not at all, and what it acknowledged survives a crash of the machine. Nothing outside this module composes
//! transactions out of smaller ones.

mod clean_up;
#[cfg(test)]
mod conformance;
mod ops;
pub mod records;
mod sql;
pub mod sqlite;
mod tx;

use std::fmt;

use async_trait::async_trait;
use berth_types::{
    AccountId, Digest, Region, RegistryId, RepositoryName, Tag, TagMutability, Timestamp, UploadId,
};

pub use clean_up::*;
pub use records::*;
pub use sql::SchemaError;
pub use sqlite::SqliteMeta;

use crate::blob::{DomainId, ObjectId};

/// What went wrong in the metadata store.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The repository is not there (any more).
    #[error("repository is not there")]
    RepositoryMissing,
    /// A repository of that name exists.
    #[error("repository exists")]
    RepositoryExists,
    /// The repository still has images.
    #[error("repository has images")]
    RepositoryNotEmpty,
    /// The registry has as many repositories as it may have.
    #[error("registry has as many repositories as it may have")]
    TooManyRepositories,
    /// The repository has as many images as it may have.
    #[error("repository has as many images as it may have")]
    TooManyImages,
    /// The image has as many tags as it may have.
    #[error("image has as many tags as it may have")]
    TooManyTags,
    /// The repository would have more than [`berth_types::limits::RESOURCE_TAGS_MAX`] resource tags.
    #[error("repository has as many resource tags as it may have")]
    TooManyResourceTags,
    /// The repository has as many unfinished uploads as it may have.
    #[error("repository has as many uploads as it may have")]
    TooManyUploads,
    /// Blobs that a manifest needs are not in the repository.
    #[error("blobs are not there: {0:?}")]
    BlobsMissing(Vec<Digest>),
    /// Manifests that an index lists are not in the repository.
    #[error("manifests are not there: {0:?}")]
    ChildrenMissing(Vec<Digest>),
    /// The tag names another image and may not be moved.
    #[error("tag {0} may not be moved")]
    TagImmutable(Tag),
    /// The image, tag, policy or blob is not there.
    #[error("it is not there")]
    Missing,
    /// Tag and digest were both given and do not belong together.
    #[error("tag names another image")]
    TagDigestMismatch,
    /// Indexes list the image, so it may not be deleted.
    #[error("image is listed by {0:?}")]
    ReferencedBy(Vec<Digest>),
    /// The blob is part of an image of this repository.
    #[error("blob is part of an image")]
    BlobInUse,
    /// The upload session is not there: never was, completed, cancelled or expired.
    #[error("upload is not there")]
    UploadMissing,
    /// The upload session is further along, or less far, than the caller thinks: another request wrote to it.
    #[error("upload is at {found}, not where the caller thinks")]
    UploadMoved {
        /// Bytes acknowledged so far.
        found: u64,
    },
    /// A preview of the repository's lifecycle policy is being computed.
    #[error("a preview is being computed")]
    PreviewInProgress,
    /// The database reports an error.
    #[error("metadata store failed to {action}")]
    Backend {
        /// What was being done.
        action: &'static str,
        /// The driver's own error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The metadata store. Every method is one transaction. Listings are in a total order that does not change while rows are
/// added or removed, and continue after the last row of the page before, whether or not that row still exists.
#[async_trait]
pub trait MetaStore: fmt::Debug + Send + Sync + 'static {
    // ---- the installation -------------------------------------------------------------------------------------------

    /// The value of an installation-wide setting.
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, MetaError>;

    /// Stores a setting unless it has a value; returns the value it has now.
    async fn setting_or_insert(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, MetaError>;

    /// The wrapped key of an encryption domain by its name (for example `123456789012/us-east-1/AES256`).
    async fn domain(&self, name: &str) -> Result<Option<DomainRecord>, MetaError>;

    /// Stores a domain unless it exists; returns the one that exists now.
    async fn domain_or_insert(&self, domain: &DomainRecord) -> Result<DomainRecord, MetaError>;

    /// Whether the database answers, for readiness checks.
    async fn check(&self) -> Result<(), MetaError>;

    // ---- repositories -----------------------------------------------------------------------------------------------

    /// Creates a repository with its resource tags. [`MetaError::RepositoryExists`], [`MetaError::TooManyRepositories`].
    async fn create_repository(&self, new: &NewRepository) -> Result<RepositoryRecord, MetaError>;

    /// One repository by name.
    async fn repository(
        &self,
        registry: &RegistryId,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryRecord>, MetaError>;

    /// Repositories in the order of their names (byte order), after `after`.
    async fn repositories(
        &self,
        registry: &RegistryId,
        after: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<Vec<RepositoryRecord>, MetaError>;

    /// Deletes a repository with everything in it: tags, manifests, uploads, policies, resource tags. Without `force`, one
    /// that has any manifest is refused with [`MetaError::RepositoryNotEmpty`]. Returns what was deleted and the objects
    /// of its unfinished uploads, which the caller deletes. Blobs that lose their last reference are queued for the
    /// collector.
    async fn delete_repository(
        &self,
        registry: &RegistryId,
        name: &RepositoryName,
        force: bool,
        now: Timestamp,
    ) -> Result<(RepositoryRecord, Vec<ObjectId>), MetaError>;

    /// Changes the rule about moving tags. Returns the repository as it is now.
    async fn set_tag_mutability(
        &self,
        repository: RepositoryId,
        mutability: &TagMutability,
    ) -> Result<RepositoryRecord, MetaError>;

    /// Changes whether images are scanned when pushed. Returns the repository as it is now.
    async fn set_scan_on_push(
        &self,
        repository: RepositoryId,
        scan_on_push: bool,
    ) -> Result<RepositoryRecord, MetaError>;

    /// The resource tags, in the order of their keys.
    async fn resource_tags(&self, repository: RepositoryId) -> Result<Vec<(String, String)>, MetaError>;

    /// Adds resource tags and overwrites those with the same keys. [`MetaError::TooManyResourceTags`] changes nothing.
    async fn set_resource_tags(
        &self,
        repository: RepositoryId,
        tags: &[(String, String)],
    ) -> Result<(), MetaError>;

    /// Removes the resource tags with these keys; absent ones are no error.
    async fn remove_resource_tags(&self, repository: RepositoryId, keys: &[String]) -> Result<(), MetaError>;

    /// The lifecycle policy, if there is one.
    async fn lifecycle_policy(
        &self,
        repository: RepositoryId,
    ) -> Result<Option<LifecyclePolicyRecord>, MetaError>;

    /// Stores the lifecycle policy, replacing any. `last_evaluated_at` starts anew as `None`.
    async fn put_lifecycle_policy(&self, repository: RepositoryId, text: &str) -> Result<(), MetaError>;

    /// Removes the lifecycle policy and returns it. [`MetaError::Missing`].
    async fn delete_lifecycle_policy(
        &self,
        repository: RepositoryId,
    ) -> Result<LifecyclePolicyRecord, MetaError>;

    // ---- images -----------------------------------------------------------------------------------------------------

    /// Stores a manifest and its tags, in one transaction with the checks: every required blob is in the repository
    /// ([`MetaError::BlobsMissing`]), every child is ([`MetaError::ChildrenMissing`]), each tag is new, or names this image
    /// already, or may be moved ([`MetaError::TagImmutable`], decided by the repository's rule as it is in this
    /// transaction), and the quotas hold. An image that loses its last tag to a move stays, untagged. Pushing a manifest
    /// that is there keeps its push time.
    async fn put_image(&self, image: &NewImage) -> Result<PutOutcome, MetaError>;

    /// The manifest that a tag names or that has a digest, in one read; `None` if it, or the repository, is not there.
    async fn manifest(
        &self,
        repository: RepositoryId,
        reference: &berth_types::Reference,
    ) -> Result<Option<ManifestRecord>, MetaError>;

    /// An image with its tags.
    async fn image(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<ImageRecord>, MetaError>;

    /// Images with their tags, oldest push first, after `after`.
    async fn images(
        &self,
        repository: RepositoryId,
        filter: TagStatus,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Vec<ImageRecord>, MetaError>;

    /// Pairs of image and tag (or image alone, if untagged), in the order of [`MetaStore::images`] and then of the tags.
    async fn image_ids(
        &self,
        repository: RepositoryId,
        filter: TagStatus,
        after: Option<&ImageIdCursor>,
        limit: usize,
    ) -> Result<Vec<ImageIdRecord>, MetaError>;

    /// Tags in byte order, after `after` (which need not exist).
    async fn tags(
        &self,
        repository: RepositoryId,
        after: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<Tag>, MetaError>;

    /// Manifests whose subject is `subject`, oldest push first, optionally of one artifact type only. The subject itself
    /// need not exist.
    async fn referrers(
        &self,
        repository: RepositoryId,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Vec<ManifestRecord>, MetaError>;

    /// Removes a tag. With `delete_untagged`, an image that loses its last tag is deleted with it, unless indexes list it:
    /// then nothing happens and the answer is [`MetaError::ReferencedBy`]. With `expected`, the tag must name that digest
    /// ([`MetaError::TagDigestMismatch`]). [`MetaError::Missing`] if there is no such tag.
    async fn delete_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        expected: Option<&Digest>,
        delete_untagged: bool,
        now: Timestamp,
    ) -> Result<DeletedTag, MetaError>;

    /// Deletes an image with all its tags, which are returned. [`MetaError::Missing`], [`MetaError::ReferencedBy`].
    async fn delete_image(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<Vec<Tag>, MetaError>;

    /// Records when images were last pulled; older times than the recorded ones, and images that are gone, are ignored.
    async fn record_pulls(&self, pulls: &[(RepositoryId, Digest, Timestamp)]) -> Result<(), MetaError>;

    // ---- blobs ------------------------------------------------------------------------------------------------------

    /// A blob, if it is in the repository.
    async fn blob(&self, repository: RepositoryId, digest: &Digest) -> Result<Option<BlobRecord>, MetaError>;

    /// Whether an image of the repository refers to the blob.
    async fn blob_is_referenced(&self, repository: RepositoryId, digest: &Digest) -> Result<bool, MetaError>;

    /// Puts a blob of another repository (`Some`), or of any repository of the same registry (`None`), into this one, if
    /// both belong to one encryption domain. `None` if there is no such blob to take.
    async fn mount_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        from: Option<RepositoryId>,
        now: Timestamp,
    ) -> Result<Option<BlobRecord>, MetaError>;

    /// Takes a blob out of the repository. [`MetaError::Missing`]; [`MetaError::BlobInUse`] if an image refers to it.
    async fn delete_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(), MetaError>;

    // ---- uploads ----------------------------------------------------------------------------------------------------

    /// Starts an upload session. [`MetaError::RepositoryMissing`], [`MetaError::TooManyUploads`].
    async fn create_upload(&self, upload: &UploadRecord) -> Result<(), MetaError>;

    /// An upload session of this repository.
    async fn upload(&self, repository: RepositoryId, id: UploadId)
    -> Result<Option<UploadRecord>, MetaError>;

    /// Records how far an upload has come. It must stand at `expected` bytes ([`MetaError::UploadMoved`],
    /// [`MetaError::UploadMissing`]).
    async fn advance_upload(
        &self,
        repository: RepositoryId,
        id: UploadId,
        expected: u64,
        progress: &UploadProgress,
    ) -> Result<(), MetaError>;

    /// Ends an upload: its object becomes the blob of `digest` in the repository. If the domain has that blob already, the
    /// existing one is linked, and the upload's own object is returned as surplus for the caller to delete.
    /// [`MetaError::UploadMissing`], [`MetaError::RepositoryMissing`].
    async fn complete_upload(
        &self,
        repository: RepositoryId,
        id: UploadId,
        blob: &NewBlob,
    ) -> Result<CompletedUpload, MetaError>;

    /// Ends an upload without a blob; returns the object, which the caller deletes. [`MetaError::UploadMissing`].
    async fn cancel_upload(&self, repository: RepositoryId, id: UploadId) -> Result<ObjectId, MetaError>;

    /// Ends uploads that have not moved since `before`, at most `limit`; returns their objects.
    async fn expire_uploads(&self, before: Timestamp, limit: usize) -> Result<Vec<ObjectId>, MetaError>;

    // ---- dead objects -----------------------------------------------------------------------------------------------

    /// Objects that no row names any more and that are still to be deleted, longest dead first. [`MetaStore::delete_repository`],
    /// [`MetaStore::complete_upload`], [`MetaStore::cancel_upload`] and [`MetaStore::expire_uploads`] record every object
    /// that they return as dead in their own transaction, so that a crash before the caller deleted it leaks nothing.
    async fn dead_objects(&self, limit: usize) -> Result<Vec<ObjectId>, MetaError>;

    /// Forgets dead objects, once the blob store no longer has them. Unknown ones are no error.
    async fn forget_dead_objects(&self, objects: &[ObjectId]) -> Result<(), MetaError>;

    // ---- cleaning up ------------------------------------------------------------------------------------------------

    /// One step of the collector: looks at most at `limit` blobs that lost their last reference in some repository, or came
    /// to it and got none, before `before`; those without a reference now are taken out of that repository. A blob
    /// that is then in no repository is deleted, and its object, which is returned, recorded as dead. Everything is decided
    /// in the one transaction: a push that needs a blob either has linked its manifest before, and the blob stays, or finds
    /// the blob absent.
    async fn collect_blobs(&self, before: Timestamp, limit: usize) -> Result<Collection, MetaError>;

    /// Since when a blob of a repository waits for the collector to look at it; `None` if it does not wait, or is not there.
    /// A blob that an image refers to may wait all the same.
    async fn blob_waiting_since(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<Timestamp>, MetaError>;

    /// Lets a blob wait from `now` on: somebody was told that it is there. One that does not wait, or is not there, is no
    /// error.
    async fn renew_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(), MetaError>;

    /// Blobs that [`MetaStore::collect_blobs`] would delete if it were called until nothing is left. The first page comes
    /// after 0. Pages can be shorter than `limit`; the last one is empty.
    async fn collectable_blobs(
        &self,
        before: Timestamp,
        after: i64,
        limit: usize,
    ) -> Result<Vec<CollectableBlob>, MetaError>;

    // ---- lifecycle runs -----------------------------------------------------------------------------------------------

    /// The repository whose lifecycle policy has been due longest at `now`, leased to the caller: nobody else gets it
    /// before `until`, when the lease ends unless it is renewed. A policy that was put since the last call becomes due
    /// at `first_run`. `lease` must be new.
    async fn lease_due_lifecycle(
        &self,
        now: Timestamp,
        first_run: Timestamp,
        until: Timestamp,
        lease: &str,
    ) -> Result<Option<DueLifecycle>, MetaError>;

    /// Makes a lease longer; `false` if it is another's by now, or the policy was put anew.
    async fn renew_lifecycle_lease(
        &self,
        repository: RepositoryId,
        lease: &str,
        until: Timestamp,
    ) -> Result<bool, MetaError>;

    /// Takes a policy out of the schedule until it is put anew, unless that has happened: `false`.
    async fn suspend_lifecycle(
        &self,
        repository: RepositoryId,
        policy_version: i64,
    ) -> Result<bool, MetaError>;

    /// Begins a run of the repository's policy as it is now. [`MetaError::Missing`] if there is none,
    /// [`MetaError::RepositoryMissing`].
    async fn begin_lifecycle_run(
        &self,
        repository: RepositoryId,
        now: Timestamp,
        restorable_until: Option<Timestamp>,
    ) -> Result<StartedRun, MetaError>;

    /// Ends a run: the policy, if it is the same, counts as evaluated when the run began; a lease is given back; runs beyond
    /// those to be remembered are forgotten, as is the run before if both did nothing and report the same.
    /// [`MetaError::Missing`].
    async fn finish_lifecycle_run(&self, run: &FinishedRun<'_>) -> Result<(), MetaError>;

    /// Runs, the latest first, before `before`.
    async fn lifecycle_runs(
        &self,
        repository: RepositoryId,
        before: Option<LifecycleRunId>,
        limit: usize,
    ) -> Result<Vec<LifecycleRunRecord>, MetaError>;

    /// Images that a run of this repository deleted, oldest push first, after `after`.
    async fn lifecycle_run_images(
        &self,
        repository: RepositoryId,
        run: LifecycleRunId,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Vec<LifecycleRunImage>, MetaError>;

    /// What the indexes among the images after `after` and up to `through` list.
    async fn index_children(
        &self,
        repository: RepositoryId,
        after: Option<ImageCursor>,
        through: ImageCursor,
    ) -> Result<Vec<ChildRecord>, MetaError>;

    /// Deletes images for a run, each as [`MetaStore::delete_image`] does and only if the policy and the image still are
    /// what was evaluated; remembers each in the history, and if they are to be restorable, all that takes.
    async fn expire_images(&self, batch: &ExpireBatch) -> Result<ExpiredBatch, MetaError>;

    /// Gives up restorable images whose time was up at `now`, at most `limit`; their blobs go to the collector. Returns how
    /// many.
    async fn purge_expired_images(&self, now: Timestamp, limit: usize) -> Result<usize, MetaError>;

    /// Images of a run that can be restored, in the order in which they were deleted. The first page comes after 0.
    async fn restorable_images(
        &self,
        repository: RepositoryId,
        run: LifecycleRunId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ExpiredImageRecord>, MetaError>;

    /// Brings an expired image back, with its push time, its last pull and those of its tags that name no other image by now.
    /// One that was pushed again meanwhile gets its tags. [`MetaError::Missing`]; and as with [`MetaStore::put_image`],
    /// [`MetaError::BlobsMissing`], [`MetaError::ChildrenMissing`], [`MetaError::TooManyImages`],
    /// [`MetaError::TooManyTags`].
    async fn restore_image(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<RestoredImage, MetaError>;

    // ---- previews -----------------------------------------------------------------------------------------------------

    /// Begins a preview and forgets the one before with its results. Returns the policy. [`MetaError::PreviewInProgress`],
    /// [`MetaError::RepositoryMissing`]; [`MetaError::Missing`] if no policy is given and the repository has none.
    async fn begin_preview(&self, new: &NewPreview<'_>) -> Result<String, MetaError>;

    /// Adds results to a preview under way. [`MetaError::Missing`] if it was replaced or is finished.
    async fn record_preview_images(
        &self,
        repository: RepositoryId,
        id: &str,
        images: &[PreviewImage],
        now: Timestamp,
    ) -> Result<(), MetaError>;

    /// Ends a preview under way: status, time and counts become those of `outcome`. [`MetaError::Missing`] if it was replaced
    /// or is finished.
    async fn finish_preview(
        &self,
        repository: RepositoryId,
        outcome: &PreviewRecord,
    ) -> Result<(), MetaError>;

    /// The last preview.
    async fn preview(&self, repository: RepositoryId) -> Result<Option<PreviewRecord>, MetaError>;

    /// Results of the last preview by position, after `after`.
    async fn preview_images(
        &self,
        repository: RepositoryId,
        filter: TagStatus,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PreviewImage>, MetaError>;

    // ---- numbers ----------------------------------------------------------------------------------------------------

    /// How much there is, for metrics.
    async fn totals(&self) -> Result<Totals, MetaError>;
}

/// The name under which the domain of a registry is kept: one domain per registry and key.
#[must_use]
pub fn domain_name(account: AccountId, region: &Region, encryption: &Encryption) -> String {
    match encryption {
        Encryption::Aes256 => format!("{account}/{region}/AES256"),
        Encryption::Kms { key_arn } => format!("{account}/{region}/KMS/{key_arn}"),
    }
}

/// A domain as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRecord {
    /// See [`domain_name`].
    pub name: String,
    /// Its id, which names its objects' directory.
    pub id: DomainId,
    /// The domain key, wrapped by the root key.
    pub wrapped_key: Vec<u8>,
}
