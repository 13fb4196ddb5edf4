//! The metadata store on SQLite: one thread that writes ([`writer`]), connections that read where they are called
//! ([`readers`]), and the driver between them and the operations ([`tx`]).
//!
//! The database is in WAL mode with `synchronous=FULL`: a commit is on the disk before it is acknowledged, readers never
//! wait for the writer, and the writer never waits for readers. Reads take some microseconds, less than handing them to
//! another thread would, so they run inline in the caller's task.

mod open;
mod readers;
#[cfg(test)]
mod tests;
mod tx;
mod writer;

use std::path::Path;

use async_trait::async_trait;
use berth_types::{Digest, Reference, RegistryId, RepositoryName, Tag, TagMutability, Timestamp, UploadId};

use self::readers::Readers;
use self::tx::{SqliteTx, now};
use self::writer::Writer;
use super::ops::{
    blobs, collector, dead_objects, expire, images, installation, lifecycle, preview, put_image,
    repositories, tags, uploads,
};
use super::{
    BlobRecord, ChildRecord, CollectableBlob, Collection, CompletedUpload, DeletedTag, DomainRecord,
    DueLifecycle, ExpireBatch, ExpiredBatch, ExpiredImageRecord, FinishedRun, ImageCursor, ImageIdCursor,
    ImageIdRecord, ImageRecord, LifecyclePolicyRecord, LifecycleRunId, LifecycleRunImage, LifecycleRunRecord,
    ManifestRecord, MetaError, MetaStore, NewBlob, NewImage, NewPreview, NewRepository, PreviewImage,
    PreviewRecord, PutOutcome, RepositoryId, RepositoryRecord, RestoredImage, StartedRun, TagStatus, Totals,
    UploadProgress, UploadRecord,
};
use crate::blob::ObjectId;

/// The metadata store on SQLite, in a file or in memory.
///
/// Dropping it waits for the writes under way and closes the database; whatever was acknowledged is there when it is
/// opened again, with or without a clean end.
#[derive(Debug)]
pub struct SqliteMeta {
    // In this order: the writer's connection is the last to close, and so clears the WAL away.
    readers: Readers,
    writer: Writer,
}

impl SqliteMeta {
    /// Opens the database at `path`, creates it if there is none (readable by its owner alone), and brings its schema up
    /// to date. Nobody else may have it open: the caller holds a lock on the data directory.
    ///
    /// # Errors
    /// [`MetaError::Backend`], with a [`SchemaError`](super::SchemaError) as its source if the database is a newer
    /// program's or another one's.
    pub fn open(path: &Path) -> Result<Self, MetaError> {
        let opened = open::file(path)?;
        Self::start(opened)
    }

    /// A database in memory, gone when it is dropped. Reads and writes take turns on one connection; otherwise it is the
    /// same code, and the same SQL, as with a file.
    ///
    /// # Errors
    /// [`MetaError::Backend`] if SQLite or the thread that writes cannot be started.
    pub fn in_memory() -> Result<Self, MetaError> {
        let opened = open::memory()?;
        Self::start(opened)
    }

    fn start(opened: open::Opened) -> Result<Self, MetaError> {
        Ok(Self { writer: Writer::start(opened.writer)?, readers: Readers::new(opened.readers) })
    }

    /// Ends writing: finishes what was asked for before, moves everything from the WAL into the database file, and refuses
    /// writes from then on. Reads still work.
    ///
    /// # Errors
    /// [`MetaError::Backend`] if the WAL could not be moved, in which case nothing is lost, or if writing has ended before.
    pub async fn close(&self) -> Result<(), MetaError> {
        self.writer.close().await
    }

    /// Runs an operation that only reads, here and now.
    fn read<T>(
        &self,
        operation: impl FnOnce(&mut SqliteTx<'_>) -> Result<T, MetaError>,
    ) -> Result<T, MetaError> {
        self.readers.run(operation)
    }

    /// Runs an operation on the thread that writes, and waits until it is committed.
    async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut SqliteTx<'_>) -> Result<T, MetaError> + Send + 'static,
    ) -> Result<T, MetaError> {
        self.writer.run(operation).await
    }
}

#[async_trait]
impl MetaStore for SqliteMeta {
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, MetaError> {
        self.read(|tx| now(installation::setting(tx, name)))
    }

    async fn setting_or_insert(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, MetaError> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.write(move |tx| now(installation::setting_or_insert(tx, &name, &value))).await
    }

    async fn domain(&self, name: &str) -> Result<Option<DomainRecord>, MetaError> {
        self.read(|tx| now(installation::domain(tx, name)))
    }

    async fn domain_or_insert(&self, domain: &DomainRecord) -> Result<DomainRecord, MetaError> {
        let domain = domain.clone();
        self.write(move |tx| now(installation::domain_or_insert(tx, &domain))).await
    }

    async fn check(&self) -> Result<(), MetaError> {
        self.read(|tx| now(installation::check(tx)))?;
        self.write(|tx| now(installation::check(tx))).await
    }

    async fn create_repository(&self, new: &NewRepository) -> Result<RepositoryRecord, MetaError> {
        let new = new.clone();
        self.write(move |tx| now(repositories::create(tx, &new))).await
    }

    async fn repository(
        &self,
        registry: &RegistryId,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryRecord>, MetaError> {
        self.read(|tx| now(repositories::by_name(tx, registry, name)))
    }

    async fn repositories(
        &self,
        registry: &RegistryId,
        after: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<Vec<RepositoryRecord>, MetaError> {
        self.read(|tx| now(repositories::list(tx, registry, after, limit)))
    }

    async fn delete_repository(
        &self,
        registry: &RegistryId,
        name: &RepositoryName,
        force: bool,
        at: Timestamp,
    ) -> Result<(RepositoryRecord, Vec<ObjectId>), MetaError> {
        let (registry, name) = (registry.clone(), name.clone());
        self.write(move |tx| now(repositories::delete(tx, &registry, &name, force, at))).await
    }

    async fn set_tag_mutability(
        &self,
        repository: RepositoryId,
        mutability: &TagMutability,
    ) -> Result<RepositoryRecord, MetaError> {
        let mutability = mutability.clone();
        self.write(move |tx| now(repositories::set_tag_mutability(tx, repository, &mutability))).await
    }

    async fn set_scan_on_push(
        &self,
        repository: RepositoryId,
        scan_on_push: bool,
    ) -> Result<RepositoryRecord, MetaError> {
        self.write(move |tx| now(repositories::set_scan_on_push(tx, repository, scan_on_push))).await
    }

    async fn resource_tags(&self, repository: RepositoryId) -> Result<Vec<(String, String)>, MetaError> {
        self.read(|tx| now(repositories::resource_tags(tx, repository)))
    }

    async fn set_resource_tags(
        &self,
        repository: RepositoryId,
        tags: &[(String, String)],
    ) -> Result<(), MetaError> {
        let tags = tags.to_vec();
        self.write(move |tx| now(repositories::set_resource_tags(tx, repository, &tags))).await
    }

    async fn remove_resource_tags(&self, repository: RepositoryId, keys: &[String]) -> Result<(), MetaError> {
        let keys = keys.to_vec();
        self.write(move |tx| now(repositories::remove_resource_tags(tx, repository, &keys))).await
    }

    async fn lifecycle_policy(
        &self,
        repository: RepositoryId,
    ) -> Result<Option<LifecyclePolicyRecord>, MetaError> {
        self.read(|tx| now(repositories::lifecycle_policy(tx, repository)))
    }

    async fn put_lifecycle_policy(&self, repository: RepositoryId, text: &str) -> Result<(), MetaError> {
        let text = text.to_owned();
        self.write(move |tx| now(repositories::put_lifecycle_policy(tx, repository, &text))).await
    }

    async fn delete_lifecycle_policy(
        &self,
        repository: RepositoryId,
    ) -> Result<LifecyclePolicyRecord, MetaError> {
        self.write(move |tx| now(repositories::delete_lifecycle_policy(tx, repository))).await
    }

    async fn put_image(&self, image: &NewImage) -> Result<PutOutcome, MetaError> {
        let image = image.clone();
        self.write(move |tx| now(put_image::put_image(tx, &image))).await
    }

    async fn manifest(
        &self,
        repository: RepositoryId,
        reference: &Reference,
    ) -> Result<Option<ManifestRecord>, MetaError> {
        self.read(|tx| now(images::manifest(tx, repository, reference)))
    }

    async fn image(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<ImageRecord>, MetaError> {
        self.read(|tx| now(images::image(tx, repository, digest)))
    }

    async fn images(
        &self,
        repository: RepositoryId,
        filter: TagStatus,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Vec<ImageRecord>, MetaError> {
        self.read(|tx| now(images::list(tx, repository, filter, after, limit)))
    }

    async fn image_ids(
        &self,
        repository: RepositoryId,
        filter: TagStatus,
        after: Option<&ImageIdCursor>,
        limit: usize,
    ) -> Result<Vec<ImageIdRecord>, MetaError> {
        self.read(|tx| now(images::ids(tx, repository, filter, after, limit)))
    }

    async fn tags(
        &self,
        repository: RepositoryId,
        after: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<Tag>, MetaError> {
        self.read(|tx| now(tags::list(tx, repository, after, limit)))
    }

    async fn referrers(
        &self,
        repository: RepositoryId,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Vec<ManifestRecord>, MetaError> {
        self.read(|tx| now(images::referrers(tx, repository, subject, artifact_type, after, limit)))
    }

    async fn delete_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        expected: Option<&Digest>,
        delete_untagged: bool,
        at: Timestamp,
    ) -> Result<DeletedTag, MetaError> {
        let (tag, expected) = (tag.clone(), expected.copied());
        self.write(move |tx| now(tags::delete(tx, repository, &tag, expected.as_ref(), delete_untagged, at)))
            .await
    }

    async fn delete_image(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        at: Timestamp,
    ) -> Result<Vec<Tag>, MetaError> {
        let digest = *digest;
        self.write(move |tx| now(images::delete(tx, repository, &digest, at))).await
    }

    async fn record_pulls(&self, pulls: &[(RepositoryId, Digest, Timestamp)]) -> Result<(), MetaError> {
        let pulls = pulls.to_vec();
        self.write(move |tx| now(images::record_pulls(tx, &pulls))).await
    }

    async fn blob(&self, repository: RepositoryId, digest: &Digest) -> Result<Option<BlobRecord>, MetaError> {
        self.read(|tx| now(blobs::blob(tx, repository, digest)))
    }

    async fn blob_is_referenced(&self, repository: RepositoryId, digest: &Digest) -> Result<bool, MetaError> {
        self.read(|tx| now(blobs::is_referenced(tx, repository, digest)))
    }

    async fn mount_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        from: Option<RepositoryId>,
        at: Timestamp,
    ) -> Result<Option<BlobRecord>, MetaError> {
        let digest = *digest;
        self.write(move |tx| now(blobs::mount(tx, repository, &digest, from, at))).await
    }

    async fn delete_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        at: Timestamp,
    ) -> Result<(), MetaError> {
        let digest = *digest;
        self.write(move |tx| now(blobs::delete(tx, repository, &digest, at))).await
    }

    async fn create_upload(&self, upload: &UploadRecord) -> Result<(), MetaError> {
        let upload = upload.clone();
        self.write(move |tx| now(uploads::create(tx, &upload))).await
    }

    async fn upload(
        &self,
        repository: RepositoryId,
        id: UploadId,
    ) -> Result<Option<UploadRecord>, MetaError> {
        self.read(|tx| now(uploads::upload(tx, repository, id)))
    }

    async fn advance_upload(
        &self,
        repository: RepositoryId,
        id: UploadId,
        expected: u64,
        progress: &UploadProgress,
    ) -> Result<(), MetaError> {
        let progress = progress.clone();
        self.write(move |tx| now(uploads::advance(tx, repository, id, expected, &progress))).await
    }

    async fn complete_upload(
        &self,
        repository: RepositoryId,
        id: UploadId,
        blob: &NewBlob,
    ) -> Result<CompletedUpload, MetaError> {
        let blob = *blob;
        self.write(move |tx| now(uploads::complete(tx, repository, id, &blob))).await
    }

    async fn cancel_upload(&self, repository: RepositoryId, id: UploadId) -> Result<ObjectId, MetaError> {
        self.write(move |tx| now(uploads::cancel(tx, repository, id))).await
    }

    async fn expire_uploads(&self, before: Timestamp, limit: usize) -> Result<Vec<ObjectId>, MetaError> {
        self.write(move |tx| now(uploads::expire(tx, before, limit))).await
    }

    async fn dead_objects(&self, limit: usize) -> Result<Vec<ObjectId>, MetaError> {
        self.read(|tx| now(dead_objects::list(tx, limit)))
    }

    async fn forget_dead_objects(&self, objects: &[ObjectId]) -> Result<(), MetaError> {
        let objects = objects.to_vec();
        self.write(move |tx| now(dead_objects::forget(tx, &objects))).await
    }

    async fn collect_blobs(&self, before: Timestamp, limit: usize) -> Result<Collection, MetaError> {
        self.write(move |tx| now(collector::collect(tx, before, limit))).await
    }

    async fn blob_waiting_since(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<Timestamp>, MetaError> {
        self.read(|tx| now(collector::waiting_since(tx, repository, digest)))
    }

    async fn renew_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        time: Timestamp,
    ) -> Result<(), MetaError> {
        let digest = *digest;
        self.write(move |tx| now(collector::renew(tx, repository, &digest, time))).await
    }

    async fn collectable_blobs(
        &self,
        before: Timestamp,
        after: i64,
        limit: usize,
    ) -> Result<Vec<CollectableBlob>, MetaError> {
        self.read(|tx| now(collector::collectable(tx, before, after, limit)))
    }

    async fn lease_due_lifecycle(
        &self,
        now_is: Timestamp,
        first_run: Timestamp,
        until: Timestamp,
        lease: &str,
    ) -> Result<Option<DueLifecycle>, MetaError> {
        let lease = lease.to_owned();
        self.write(move |tx| now(lifecycle::lease_due(tx, now_is, first_run, until, &lease))).await
    }

    async fn renew_lifecycle_lease(
        &self,
        repository: RepositoryId,
        lease: &str,
        until: Timestamp,
    ) -> Result<bool, MetaError> {
        let lease = lease.to_owned();
        self.write(move |tx| now(lifecycle::renew_lease(tx, repository, &lease, until))).await
    }

    async fn suspend_lifecycle(
        &self,
        repository: RepositoryId,
        policy_version: i64,
    ) -> Result<bool, MetaError> {
        self.write(move |tx| now(lifecycle::suspend(tx, repository, policy_version))).await
    }

    async fn begin_lifecycle_run(
        &self,
        repository: RepositoryId,
        time: Timestamp,
        restorable_until: Option<Timestamp>,
    ) -> Result<StartedRun, MetaError> {
        self.write(move |tx| now(lifecycle::begin(tx, repository, time, restorable_until))).await
    }

    async fn finish_lifecycle_run(&self, run: &FinishedRun<'_>) -> Result<(), MetaError> {
        let FinishedRun { id, repository, finished_at, runs_kept, .. } = *run;
        let report = run.report.to_owned();
        let lease = run.lease.map(|(lease, next)| (lease.to_owned(), next));
        self.write(move |tx| {
            let lease = lease.as_ref().map(|(lease, next)| (lease.as_str(), *next));
            let run = FinishedRun { id, repository, finished_at, report: &report, runs_kept, lease };
            now(lifecycle::finish(tx, &run))
        })
        .await
    }

    async fn lifecycle_runs(
        &self,
        repository: RepositoryId,
        before: Option<LifecycleRunId>,
        limit: usize,
    ) -> Result<Vec<LifecycleRunRecord>, MetaError> {
        self.read(|tx| now(lifecycle::runs(tx, repository, before, limit)))
    }

    async fn lifecycle_run_images(
        &self,
        repository: RepositoryId,
        run: LifecycleRunId,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Vec<LifecycleRunImage>, MetaError> {
        self.read(|tx| now(lifecycle::run_images(tx, repository, run, after, limit)))
    }

    async fn index_children(
        &self,
        repository: RepositoryId,
        after: Option<ImageCursor>,
        through: ImageCursor,
    ) -> Result<Vec<ChildRecord>, MetaError> {
        self.read(|tx| now(lifecycle::children(tx, repository, after, through)))
    }

    async fn expire_images(&self, batch: &ExpireBatch) -> Result<ExpiredBatch, MetaError> {
        let batch = batch.clone();
        self.write(move |tx| now(expire::expire(tx, &batch))).await
    }

    async fn purge_expired_images(&self, time: Timestamp, limit: usize) -> Result<usize, MetaError> {
        self.write(move |tx| now(expire::purge(tx, time, limit))).await
    }

    async fn restorable_images(
        &self,
        repository: RepositoryId,
        run: LifecycleRunId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ExpiredImageRecord>, MetaError> {
        self.read(|tx| now(expire::restorable(tx, repository, run, after, limit)))
    }

    async fn restore_image(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        time: Timestamp,
    ) -> Result<RestoredImage, MetaError> {
        let digest = *digest;
        self.write(move |tx| now(expire::restore(tx, repository, &digest, time))).await
    }

    async fn begin_preview(&self, new: &NewPreview<'_>) -> Result<String, MetaError> {
        let NewPreview { repository, now: time, stale_before, .. } = *new;
        let (id, policy) = (new.id.to_owned(), new.policy.map(str::to_owned));
        self.write(move |tx| {
            let policy = policy.as_deref();
            now(preview::begin(tx, &NewPreview { repository, id: &id, policy, now: time, stale_before }))
        })
        .await
    }

    async fn record_preview_images(
        &self,
        repository: RepositoryId,
        id: &str,
        images: &[PreviewImage],
        time: Timestamp,
    ) -> Result<(), MetaError> {
        let (id, images) = (id.to_owned(), images.to_vec());
        self.write(move |tx| now(preview::record(tx, repository, &id, &images, time))).await
    }

    async fn finish_preview(
        &self,
        repository: RepositoryId,
        outcome: &PreviewRecord,
    ) -> Result<(), MetaError> {
        let outcome = outcome.clone();
        self.write(move |tx| now(preview::finish(tx, repository, &outcome))).await
    }

    async fn preview(&self, repository: RepositoryId) -> Result<Option<PreviewRecord>, MetaError> {
        self.read(|tx| now(preview::find(tx, repository)))
    }

    async fn preview_images(
        &self,
        repository: RepositoryId,
        filter: TagStatus,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PreviewImage>, MetaError> {
        self.read(|tx| now(preview::images(tx, repository, filter, after, limit)))
    }

    async fn totals(&self) -> Result<Totals, MetaError> {
        self.read(|tx| now(installation::totals(tx)))
    }
}
