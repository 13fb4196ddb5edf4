//! Blobs: look, read, mount, delete, and URLs to download them by.

use std::ops::Range;
use std::pin::Pin;

use berth_store::meta::BlobRecord;
use berth_types::{Digest, RegistryId, RepositoryName};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::context::{Caller, Registry, Target};
use crate::download::Download;
use crate::error::{Error, Result};
use crate::failure::{self, Subject};
use crate::operation::Operation;

/// A stream of content.
pub type ContentStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send + 'static>>;

/// A blob, found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHead {
    /// Its digest.
    pub digest: Digest,
    /// Length in bytes.
    pub bytes: u64,
}

/// Whether a layer is there (`BatchCheckLayerAvailability`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerAvailability {
    /// Which.
    pub digest: Digest,
    /// Its length in bytes, if it is there.
    pub bytes: Option<u64>,
}

impl Registry {
    /// Whether the blob is in the repository, and how long it is.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `BlobUnknown`.
    pub async fn blob_head(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobHead> {
        let target = self.target(caller, Operation::BatchCheckLayerAvailability, name).await?;
        Ok(self.promised_blob(&target, digest).await?.into())
    }

    /// The content of a blob, or a part of it. `range` must lie within the blob; `None` is all of it.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `BlobUnknown`.
    pub async fn read_blob(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<(BlobHead, ContentStream)> {
        let target = self.target(caller, Operation::GetDownloadUrlForLayer, name).await?;
        self.content(&target, digest, range).await
    }

    /// Puts a blob of another repository, or of any of the registry, into this one; `None` if there is none to take, so
    /// that the client has to upload it.
    ///
    /// # Errors
    /// `RepositoryNotFound` for the target. A source that is not there, or not readable for the caller, is `None`.
    pub async fn mount_blob(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<Option<BlobHead>> {
        let target = self.target(caller, Operation::InitiateLayerUpload, name).await?;
        // Anonymous mount reads from repositories that the caller did not name; the right to read is the registry's.
        if self.authorize(caller, Operation::GetDownloadUrlForLayer, from).is_err() {
            return Ok(None);
        }
        let from = match from {
            None => None,
            Some(from) => match self.repository_of(&caller.registry, from).await {
                Ok(source) => Some(source.record.id),
                Err(Error::RepositoryNotFound { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let mounted = self.meta().mount_blob(target.record.id, digest, from, self.now()).await;
        let mounted = mounted.map_err(|error| target.place.failed("mount a blob", error))?;
        Ok(mounted.map(BlobHead::from))
    }

    /// Takes a blob out of the repository.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `BlobUnknown`, `BlobInUse`.
    pub async fn delete_blob(&self, caller: &Caller, name: &RepositoryName, digest: &Digest) -> Result<()> {
        // ECR has no such operation; who may delete images may delete what is part of none.
        let target = self.target(caller, Operation::BatchDeleteImage, name).await?;
        let deleted = self.meta().delete_blob(target.record.id, digest, self.now()).await;
        deleted.map_err(|error| target.place.failed_about("delete a blob", Subject::Blob(digest), error))
    }

    /// `BatchCheckLayerAvailability`, for digests that are well formed.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn layer_availability(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        digests: &[Digest],
    ) -> Result<Vec<LayerAvailability>> {
        let target = self.target(caller, Operation::BatchCheckLayerAvailability, name).await?;
        let mut layers = Vec::with_capacity(digests.len());
        for digest in digests {
            let bytes = match self.promised_blob(&target, digest).await {
                Ok(blob) => Some(blob.bytes),
                Err(Error::BlobUnknown { .. }) => None,
                Err(error) => return Err(error),
            };
            layers.push(LayerAvailability { digest: *digest, bytes });
        }
        Ok(layers)
    }

    /// `GetDownloadUrlForLayer`: the path and query of a URL on this server that is good for
    /// [`berth_types::limits::DOWNLOAD_URL_MINUTES`] and needs no other authentication; the protocol puts the endpoint in
    /// front.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `BlobUnknown`, `LayerInaccessible`.
    pub async fn layer_download_path(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<String> {
        let target = self.target(caller, Operation::GetDownloadUrlForLayer, name).await?;
        self.blob(&target, digest).await?;
        let referenced = self.meta().blob_is_referenced(target.record.id, digest).await;
        let referenced = referenced
            .map_err(|error| target.place.failed_about("look up a blob", Subject::Blob(digest), error))?;
        if !referenced {
            return Err(Error::LayerInaccessible { digest: *digest, name: name.clone() });
        }
        let download = Download { registry: caller.registry.clone(), name: name.clone(), digest: *digest };
        Ok(download.to_path(self.download_signer(), self.now()))
    }

    /// The content behind such a URL. `path_and_query` is what the client asked for.
    ///
    /// # Errors
    /// `TokenInvalid` if it is not one of ours, `TokenExpired` if it is too old; `BlobUnknown`.
    pub async fn read_download(
        &self,
        path_and_query: &str,
        range: Option<Range<u64>>,
    ) -> Result<(BlobHead, ContentStream)> {
        let Download { registry, name, digest } =
            Download::parse(path_and_query, self.download_signer(), self.now())?;
        // The right to read was checked when the URL was made; that the blob is still there is checked now.
        let unknown = |registry: &RegistryId| Error::BlobUnknown {
            digest,
            name: name.clone(),
            account: registry.account,
        };
        match self.repository_of(&registry, &name).await {
            Ok(target) => self.content(&target, &digest, range).await,
            Err(Error::RepositoryNotFound { .. }) => Err(unknown(&registry)),
            Err(error) => Err(error),
        }
    }

    async fn blob(&self, target: &Target, digest: &Digest) -> Result<BlobRecord> {
        match self.meta().blob(target.record.id, digest).await {
            Ok(Some(blob)) => Ok(blob),
            Ok(None) => Err(target.place.blob_unknown(digest)),
            Err(error) => Err(target.place.failed_about("look up a blob", Subject::Blob(digest), error)),
        }
    }

    /// A blob that the caller is told to be there, and may rely on for the collector's grace period. In this order: a blob that
    /// is found after its time began anew is not taken before it has passed.
    async fn promised_blob(&self, target: &Target, digest: &Digest) -> Result<BlobRecord> {
        let promised = self.promise_blob(target.record.id, digest).await;
        promised.map_err(|error| target.place.failed_about("keep a blob", Subject::Blob(digest), error))?;
        self.blob(target, digest).await
    }

    async fn content(
        &self,
        target: &Target,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<(BlobHead, ContentStream)> {
        const ACTION: &str = "read a blob";
        let blob = self.blob(target, digest).await?;
        let key = self.key_of(&target.record).await?;
        let reader = self.blobs().open(&key, blob.object).await;
        let reader = reader.map_err(|error| failure::sealed(ACTION, error))?;
        if reader.bytes() != blob.bytes {
            let found = format!("object {} holds {} bytes, not {}", blob.object, reader.bytes(), blob.bytes);
            return Err(failure::internal(ACTION, found));
        }
        let range = range.unwrap_or(0..blob.bytes);
        let stream = reader.stream(range).map(|piece| piece.map_err(|error| failure::sealed(ACTION, error)));
        Ok((blob.into(), Box::pin(stream)))
    }
}

impl From<BlobRecord> for BlobHead {
    fn from(record: BlobRecord) -> Self {
        Self { digest: record.digest, bytes: record.bytes }
    }
}
