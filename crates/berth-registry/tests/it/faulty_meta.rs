//! A metadata store around another that fails one call, or does it and loses the answer.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use berth_store::blob::ObjectId;
use berth_store::meta::*;
use berth_types::{Digest, Reference, RegistryId, RepositoryName, Tag, TagMutability, Timestamp, UploadId};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaFault {
    /// The call does nothing and answers with an error.
    Fail,
    /// The call does what it should and answers with an error.
    LoseReply,
}

#[derive(Debug)]
pub(crate) struct FaultyMeta {
    store: Arc<dyn MetaStore>,
    plan: Mutex<Option<(usize, MetaFault)>>,
}

impl FaultyMeta {
    pub(crate) fn new(store: Arc<dyn MetaStore>) -> Self {
        Self { store, plan: Mutex::default() }
    }

    /// Lets `fault` happen to the call that comes after `after` others.
    pub(crate) fn inject(&self, after: usize, fault: MetaFault) {
        *self.plan.lock().unwrap() = Some((after, fault));
    }

    /// Whether the fault has not happened yet; it is called off.
    pub(crate) fn call_off(&self) -> bool {
        self.plan.lock().unwrap().take().is_some()
    }

    fn enter(&self) -> Option<MetaFault> {
        let mut plan = self.plan.lock().unwrap();
        match *plan {
            Some((0, fault)) => {
                *plan = None;
                Some(fault)
            }
            Some((after, fault)) => {
                *plan = Some((after - 1, fault));
                None
            }
            None => None,
        }
    }
}

fn injected(action: &'static str) -> MetaError {
    MetaError::Backend { action, source: "injected fault".into() }
}

macro_rules! around {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl MetaStore for FaultyMeta {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, MetaError> {
                let fault = self.enter();
                if fault == Some(MetaFault::Fail) {
                    return Err(injected(stringify!($name)));
                }
                let answer = self.store.$name($($argument),*).await?;
                if fault.is_some() { Err(injected(stringify!($name))) } else { Ok(answer) }
            })*
        }
    };
}

around! {
    fn setting(name: &str) -> Option<Vec<u8>>;
    fn setting_or_insert(name: &str, value: &[u8]) -> Vec<u8>;
    fn domain(name: &str) -> Option<DomainRecord>;
    fn domain_or_insert(domain: &DomainRecord) -> DomainRecord;
    fn check() -> ();
    fn create_repository(new: &NewRepository) -> RepositoryRecord;
    fn repository(registry: &RegistryId, name: &RepositoryName) -> Option<RepositoryRecord>;
    fn repositories(registry: &RegistryId, after: Option<&RepositoryName>, limit: usize) -> Vec<RepositoryRecord>;
    fn delete_repository(
        registry: &RegistryId, name: &RepositoryName, force: bool, now: Timestamp
    ) -> (RepositoryRecord, Vec<ObjectId>);
    fn set_tag_mutability(repository: RepositoryId, mutability: &TagMutability) -> RepositoryRecord;
    fn set_scan_on_push(repository: RepositoryId, scan_on_push: bool) -> RepositoryRecord;
    fn resource_tags(repository: RepositoryId) -> Vec<(String, String)>;
    fn set_resource_tags(repository: RepositoryId, tags: &[(String, String)]) -> ();
    fn remove_resource_tags(repository: RepositoryId, keys: &[String]) -> ();
    fn lifecycle_policy(repository: RepositoryId) -> Option<LifecyclePolicyRecord>;
    fn put_lifecycle_policy(repository: RepositoryId, text: &str) -> ();
    fn delete_lifecycle_policy(repository: RepositoryId) -> LifecyclePolicyRecord;
    fn put_image(image: &NewImage) -> PutOutcome;
    fn manifest(repository: RepositoryId, reference: &Reference) -> Option<ManifestRecord>;
    fn image(repository: RepositoryId, digest: &Digest) -> Option<ImageRecord>;
    fn images(
        repository: RepositoryId, filter: TagStatus, after: Option<ImageCursor>, limit: usize
    ) -> Vec<ImageRecord>;
    fn image_ids(
        repository: RepositoryId, filter: TagStatus, after: Option<&ImageIdCursor>, limit: usize
    ) -> Vec<ImageIdRecord>;
    fn tags(repository: RepositoryId, after: Option<&Tag>, limit: usize) -> Vec<Tag>;
    fn referrers(
        repository: RepositoryId, subject: &Digest, artifact_type: Option<&str>, after: Option<ImageCursor>,
        limit: usize
    ) -> Vec<ManifestRecord>;
    fn delete_tag(
        repository: RepositoryId, tag: &Tag, expected: Option<&Digest>, delete_untagged: bool, now: Timestamp
    ) -> DeletedTag;
    fn delete_image(repository: RepositoryId, digest: &Digest, now: Timestamp) -> Vec<Tag>;
    fn record_pulls(pulls: &[(RepositoryId, Digest, Timestamp)]) -> ();
    fn blob(repository: RepositoryId, digest: &Digest) -> Option<BlobRecord>;
    fn blob_is_referenced(repository: RepositoryId, digest: &Digest) -> bool;
    fn mount_blob(
        repository: RepositoryId, digest: &Digest, from: Option<RepositoryId>, now: Timestamp
    ) -> Option<BlobRecord>;
    fn delete_blob(repository: RepositoryId, digest: &Digest, now: Timestamp) -> ();
    fn create_upload(upload: &UploadRecord) -> ();
    fn upload(repository: RepositoryId, id: UploadId) -> Option<UploadRecord>;
    fn advance_upload(repository: RepositoryId, id: UploadId, expected: u64, progress: &UploadProgress) -> ();
    fn complete_upload(repository: RepositoryId, id: UploadId, blob: &NewBlob) -> CompletedUpload;
    fn cancel_upload(repository: RepositoryId, id: UploadId) -> ObjectId;
    fn expire_uploads(before: Timestamp, limit: usize) -> Vec<ObjectId>;
    fn dead_objects(limit: usize) -> Vec<ObjectId>;
    fn forget_dead_objects(objects: &[ObjectId]) -> ();
    fn collect_blobs(before: Timestamp, limit: usize) -> Collection;
    fn blob_waiting_since(repository: RepositoryId, digest: &Digest) -> Option<Timestamp>;
    fn renew_blob(repository: RepositoryId, digest: &Digest, now: Timestamp) -> ();
    fn collectable_blobs(before: Timestamp, after: i64, limit: usize) -> Vec<CollectableBlob>;
    fn lease_due_lifecycle(
        now: Timestamp, first_run: Timestamp, until: Timestamp, lease: &str
    ) -> Option<DueLifecycle>;
    fn renew_lifecycle_lease(repository: RepositoryId, lease: &str, until: Timestamp) -> bool;
    fn suspend_lifecycle(repository: RepositoryId, policy_version: i64) -> bool;
    fn begin_lifecycle_run(
        repository: RepositoryId, now: Timestamp, restorable_until: Option<Timestamp>
    ) -> StartedRun;
    fn finish_lifecycle_run(run: &FinishedRun<'_>) -> ();
    fn lifecycle_runs(
        repository: RepositoryId, before: Option<LifecycleRunId>, limit: usize
    ) -> Vec<LifecycleRunRecord>;
    fn lifecycle_run_images(
        repository: RepositoryId, run: LifecycleRunId, after: Option<ImageCursor>, limit: usize
    ) -> Vec<LifecycleRunImage>;
    fn index_children(
        repository: RepositoryId, after: Option<ImageCursor>, through: ImageCursor
    ) -> Vec<ChildRecord>;
    fn expire_images(batch: &ExpireBatch) -> ExpiredBatch;
    fn purge_expired_images(now: Timestamp, limit: usize) -> usize;
    fn restorable_images(
        repository: RepositoryId, run: LifecycleRunId, after: i64, limit: usize
    ) -> Vec<ExpiredImageRecord>;
    fn restore_image(repository: RepositoryId, digest: &Digest, now: Timestamp) -> RestoredImage;
    fn begin_preview(new: &NewPreview<'_>) -> String;
    fn record_preview_images(
        repository: RepositoryId, id: &str, images: &[PreviewImage], now: Timestamp
    ) -> ();
    fn finish_preview(repository: RepositoryId, outcome: &PreviewRecord) -> ();
    fn preview(repository: RepositoryId) -> Option<PreviewRecord>;
    fn preview_images(
        repository: RepositoryId, filter: TagStatus, after: i64, limit: usize
    ) -> Vec<PreviewImage>;
    fn totals() -> Totals;
}
