//! What the stores report, turned into what a caller can act on: the one place that maps [`MetaError`], [`SealError`] and
//! [`BlobError`] to [`Error`].

use berth_store::blob::BlobError;
use berth_store::meta::MetaError;
use berth_store::seal::SealError;
use berth_types::{AccountId, Digest, RepositoryName, UploadId, limits};

use crate::error::{Error, ImageId};

/// An error that is ours, not the caller's.
pub(crate) fn internal(
    action: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Internal { action, source: source.into() }
}

/// What sealing or the blob store below it reports.
pub(crate) fn sealed(action: &'static str, error: SealError) -> Error {
    match error {
        SealError::Store(BlobError::Full(_)) => Error::StorageFull,
        error => internal(action, error),
    }
}

/// What the metadata store reports about something that belongs to no repository.
pub(crate) fn installation(action: &'static str, error: MetaError) -> Error {
    internal(action, error)
}

/// The repository that a call is about: the context that every message needs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: RepositoryName,
    pub(crate) account: AccountId,
}

/// What a call of the metadata store was about, inside the repository.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    /// The repository itself.
    Repository,
    /// Its lifecycle policy.
    LifecyclePolicy,
    /// One of its images.
    Image(&'a ImageId),
    /// One of its blobs.
    Blob(&'a Digest),
    /// One of its upload sessions.
    Upload(UploadId),
}

impl Place {
    pub(crate) fn repository_not_found(&self) -> Error {
        Error::RepositoryNotFound { name: self.name.clone(), account: self.account }
    }

    pub(crate) fn image_not_found(&self, image: &ImageId) -> Error {
        Error::ImageNotFound { image: image.clone(), name: self.name.clone(), account: self.account }
    }

    pub(crate) fn blob_unknown(&self, digest: &Digest) -> Error {
        Error::BlobUnknown { digest: *digest, name: self.name.clone(), account: self.account }
    }

    pub(crate) fn upload_not_found(&self, upload: UploadId) -> Error {
        Error::UploadNotFound { upload: upload.to_string(), name: self.name.clone(), account: self.account }
    }

    pub(crate) fn policy_not_found(&self) -> Error {
        Error::LifecyclePolicyNotFound { name: self.name.clone(), account: self.account }
    }

    pub(crate) fn preview_not_found(&self) -> Error {
        Error::LifecyclePolicyPreviewNotFound { name: self.name.clone(), account: self.account }
    }

    /// The error for a call about the repository itself.
    pub(crate) fn failed(&self, action: &'static str, error: MetaError) -> Error {
        self.failed_about(action, Subject::Repository, error)
    }

    /// The error for a call about something in the repository.
    pub(crate) fn failed_about(&self, action: &'static str, subject: Subject<'_>, error: MetaError) -> Error {
        let (name, account) = (self.name.clone(), self.account);
        match (error, subject) {
            (MetaError::RepositoryMissing, _) => self.repository_not_found(),
            (MetaError::RepositoryExists, _) => Error::RepositoryAlreadyExists { name, account },
            (MetaError::RepositoryNotEmpty, _) => Error::RepositoryNotEmpty { name, account },
            (MetaError::TooManyRepositories, _) => Error::LimitExceeded(format!(
                "The registry with id '{account}' already has the maximum allowed number of repositories which is '{}'",
                limits::REPOSITORIES_PER_REGISTRY_MAX
            )),
            (MetaError::TooManyImages, _) => self.limit("images", limits::IMAGES_PER_REPOSITORY_MAX),
            (MetaError::TooManyUploads, _) => self.limit("layer uploads", limits::UPLOADS_PER_REPOSITORY_MAX),
            (MetaError::TooManyTags, _) => Error::LimitExceeded(format!(
                "The image in the repository with name '{name}' in registry with id '{account}' already has the \
                 maximum allowed number of tags which is '{}'",
                limits::TAGS_PER_IMAGE_MAX
            )),
            (MetaError::TooManyResourceTags, _) => Error::TooManyTags,
            (MetaError::BlobsMissing(digests), _) => Error::LayersNotFound { digests, name, account },
            (MetaError::ChildrenMissing(digests), _) => {
                Error::ReferencedImagesNotFound { digests, name, account }
            }
            (MetaError::PreviewInProgress, _) => Error::LifecyclePolicyPreviewInProgress { name, account },
            (MetaError::TagImmutable(tag), _) => Error::TagImmutable { tag, name },
            (MetaError::Missing, Subject::Repository) => self.repository_not_found(),
            (MetaError::Missing, Subject::LifecyclePolicy) => self.policy_not_found(),
            (MetaError::Missing, Subject::Image(image)) => self.image_not_found(image),
            (MetaError::Missing, Subject::Blob(digest)) => self.blob_unknown(digest),
            (MetaError::Missing | MetaError::UploadMissing, Subject::Upload(upload)) => {
                self.upload_not_found(upload)
            }
            (
                MetaError::TagDigestMismatch,
                Subject::Image(ImageId { digest: Some(digest), tag: Some(tag) }),
            ) => Error::ImageTagDoesNotMatchDigest { tag: tag.clone(), digest: *digest },
            (MetaError::ReferencedBy(parents), Subject::Image(ImageId { digest: Some(digest), .. })) => {
                Error::ImageReferencedByManifestList { digest: *digest, parents }
            }
            (MetaError::BlobInUse, Subject::Blob(digest)) => Error::BlobInUse { digest: *digest },
            (MetaError::UploadMoved { .. }, Subject::Upload(upload)) => Error::UploadBusy(upload),
            // The rest is the database's own failure, or an answer that does not belong to the question.
            (
                error @ (MetaError::Backend { .. }
                | MetaError::UploadMissing
                | MetaError::UploadMoved { .. }
                | MetaError::TagDigestMismatch
                | MetaError::ReferencedBy(_)
                | MetaError::BlobInUse),
                _,
            ) => internal(action, error),
        }
    }

    fn limit(&self, what: &str, allowed: usize) -> Error {
        Error::LimitExceeded(format!(
            "The repository with name '{}' in registry with id '{}' already has the maximum allowed number of {what} \
             which is '{allowed}'",
            self.name, self.account
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_types::Tag;

    fn place() -> Place {
        Place {
            name: RepositoryName::parse("shop/api").unwrap(),
            account: AccountId::parse("123456789012").unwrap(),
        }
    }

    #[test]
    fn the_texts_are_those_of_ecr() {
        let digest = Digest::sha256(b"x");
        let image = ImageId { digest: Some(digest), tag: Some(Tag::parse("v1").unwrap()) };
        let whole = "repository with name 'shop/api' in registry with id '123456789012'";
        for (error, expected) in [
            (
                place().failed("x", MetaError::RepositoryMissing),
                "The repository with name 'shop/api' does not exist in the registry with id '123456789012'".to_owned(),
            ),
            (
                place().failed("x", MetaError::TooManyImages),
                format!("The {whole} already has the maximum allowed number of images which is '100000'"),
            ),
            (
                place().failed_about("x", Subject::Image(&image), MetaError::Missing),
                format!(
                    "The image with imageId {{imageDigest:'{digest}', imageTag:'v1'}} does not exist within the \
                     repository with name 'shop/api' in the registry with id '123456789012'"
                ),
            ),
            (
                place().failed_about("x", Subject::Image(&image), MetaError::ReferencedBy(vec![digest])),
                format!("Requested image referenced by manifest list: [{digest}]"),
            ),
            (
                place().failed("x", MetaError::TagImmutable(Tag::parse("v1").unwrap())),
                "The image tag 'v1' already exists in the 'shop/api' repository and cannot be overwritten because the \
                 repository is immutable."
                    .to_owned(),
            ),
            (
                place().failed("put", MetaError::Backend { action: "commit", source: "disk".into() }),
                "internal error while trying to put".to_owned(),
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_full_store_is_said_to_be_full() {
        let object = berth_store::blob::ObjectId::random(berth_store::blob::DomainId(uuid::Uuid::nil()));
        assert!(matches!(sealed("x", SealError::Store(BlobError::Full(object))), Error::StorageFull));
        assert!(matches!(sealed("x", SealError::Store(BlobError::Missing(object))), Error::Internal { .. }));
    }
}
