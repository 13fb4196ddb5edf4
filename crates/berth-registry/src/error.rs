//! What can go wrong, as a caller can act on it. `Display` is the text that Amazon ECR gives, where it is known
//! (sources: the API reference, and texts quoted by users; see `docs/errors.md`).

use berth_types::{AccountId, Digest, ManifestError, RepositoryName, Tag, UploadId};

/// The result of a registry operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An image as a caller named it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageId {
    /// By content.
    pub digest: Option<Digest>,
    /// By name.
    pub tag: Option<Tag>,
}

impl std::fmt::Display for ImageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digest = self.digest.map_or_else(|| "null".to_owned(), |digest| format!("'{digest}'"));
        let tag = self.tag.as_ref().map_or_else(|| "null".to_owned(), |tag| format!("'{tag}'"));
        write!(f, "{{imageDigest:{digest}, imageTag:{tag}}}")
    }
}

/// Why an operation did not happen. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such repository.
    #[error("The repository with name '{name}' does not exist in the registry with id '{account}'")]
    RepositoryNotFound {
        /// Its name.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// There is one already.
    #[error("The repository with name '{name}' already exists in the registry with id '{account}'")]
    RepositoryAlreadyExists {
        /// Its name.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// It holds images and was not to be deleted with them.
    #[error(
        "The repository with name '{name}' in registry with id '{account}' cannot be deleted because it still contains \
         images"
    )]
    RepositoryNotEmpty {
        /// Its name.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// There is no such image.
    #[error(
        "The image with imageId {image} does not exist within the repository with name '{name}' in the registry with id \
         '{account}'"
    )]
    ImageNotFound {
        /// As named.
        image: ImageId,
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// `PutImage` of a pair of digest and tag that is there.
    #[error(
        "Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}' in registry \
         with id '{account}'", tag = tag.as_ref().map_or("null", Tag::as_str)
    )]
    ImageAlreadyExists {
        /// The image.
        digest: Digest,
        /// Its tag.
        tag: Option<Tag>,
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// The tag names another image and may not be moved.
    #[error(
        "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the repository \
         is immutable."
    )]
    TagImmutable {
        /// The tag.
        tag: Tag,
        /// The repository.
        name: RepositoryName,
    },
    /// The bytes are no manifest that is stored here.
    #[error("{0}")]
    ManifestInvalid(#[source] ManifestError),
    /// The content has another digest than the client says.
    #[error(
        "The image with digest '{claimed}' does not match the image digest that was calculated: '{calculated}'"
    )]
    ManifestDigestMismatch {
        /// What the client says.
        claimed: Box<Digest>,
        /// What it is.
        calculated: Digest,
    },
    /// Blobs that the manifest names are not in the repository.
    #[error(
        "Layers with digests '[{}]' required for pushing image into repository with name '{name}' in the registry with id '{account}' do not exist",
        join(digests)
    )]
    LayersNotFound {
        /// Which.
        digests: Vec<Digest>,
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// Manifests that the index lists are not in the repository.
    #[error(
        "Images with digests '[{}]' required for pushing image into repository with name '{name}' in the registry with id '{account}' do not exist",
        join(digests)
    )]
    ReferencedImagesNotFound {
        /// Which.
        digests: Vec<Digest>,
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// An index lists the image, so it cannot be deleted.
    #[error("Requested image referenced by manifest list: [{}]", join(parents))]
    ImageReferencedByManifestList {
        /// The image.
        digest: Digest,
        /// The indexes.
        parents: Vec<Digest>,
    },
    /// Tag and digest name different images.
    #[error("The image tag '{tag}' does not name the image with digest '{digest}'")]
    ImageTagDoesNotMatchDigest {
        /// The tag.
        tag: Tag,
        /// The digest.
        digest: Digest,
    },
    /// An image id that names nothing.
    #[error("Invalid request parameters: both tag and digest cannot be null")]
    MissingDigestAndTag,
    /// The blob is not in the repository.
    #[error(
        "The layer with digest '{digest}' does not exist in the repository with name '{name}' in the registry with id '{account}'"
    )]
    BlobUnknown {
        /// Which.
        digest: Digest,
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// The blob is part of an image and cannot be deleted.
    #[error("The layer with digest '{digest}' is part of an image")]
    BlobInUse {
        /// Which.
        digest: Digest,
    },
    /// The blob is there, but no image refers to it, so ECR gives no URL for it.
    #[error("The layer with digest '{digest}' is not part of an image in the repository with name '{name}'")]
    LayerInaccessible {
        /// Which.
        digest: Digest,
        /// The repository.
        name: RepositoryName,
    },
    /// There is no such upload session.
    #[error(
        "The upload with id '{upload}' does not exist in the repository with name '{name}' in the registry with id \
         '{account}'"
    )]
    UploadNotFound {
        /// As the client wrote it.
        upload: String,
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// The chunk does not begin where the session stands.
    #[error("First byte of the layer part is {first_byte} instead of {expected}")]
    UploadOutOfOrder {
        /// The session.
        upload: UploadId,
        /// The repository.
        name: RepositoryName,
        /// Where the chunk begins.
        first_byte: u64,
        /// Where it should.
        expected: u64,
    },
    /// The length that was announced is not the length that came.
    #[error("the part was announced with {announced} bytes but has {found}")]
    PartLengthMismatch {
        /// By `Content-Range` or by the part's first and last byte.
        announced: u64,
        /// What came.
        found: u64,
    },
    /// Another request is writing to the session.
    #[error("another request is writing to upload '{0}'")]
    UploadBusy(UploadId),
    /// Completed before anything was sent.
    #[error("The upload with id '{0}' has no layer parts")]
    UploadEmpty(UploadId),
    /// The content has none of the digests that the client says.
    #[error("None of the provided layer digests match the calculated layer digest '{calculated}'")]
    BlobDigestMismatch {
        /// What it is.
        calculated: Digest,
    },
    /// `CompleteLayerUpload` of a layer that the repository has.
    #[error(
        "The layer with digest '{digest}' already exists in the repository with name '{name}' in the registry with id '{account}'"
    )]
    LayerAlreadyExists {
        /// Which.
        digest: Digest,
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// A part that is not the last one is too small (ECR data plane only).
    #[error(
        "Layer parts other than the last must have at least {} bytes",
        berth_types::limits::LAYER_PART_BYTES_MIN
    )]
    LayerPartTooSmall,
    /// The blob would be larger than [`berth_types::limits::BLOB_BYTES_MAX`].
    #[error("a layer has at most {} bytes", berth_types::limits::BLOB_BYTES_MAX)]
    BlobTooLarge,
    /// There is no lifecycle policy.
    #[error(
        "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{account}'"
    )]
    LifecyclePolicyNotFound {
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// There is no preview of a lifecycle policy.
    #[error(
        "Lifecycle policy preview does not exist for the repository with name '{name}' in the registry with id '{account}'"
    )]
    LifecyclePolicyPreviewNotFound {
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// A preview of a lifecycle policy is being computed.
    #[error(
        "Lifecycle policy preview is already in progress for the repository with name '{name}' in the registry with id \
         '{account}'"
    )]
    LifecyclePolicyPreviewInProgress {
        /// The repository.
        name: RepositoryName,
        /// The registry.
        account: AccountId,
    },
    /// A parameter breaks a rule. The text is complete, as ECR writes it.
    #[error("{0}")]
    InvalidParameter(String),
    /// A resource tag breaks a rule.
    #[error("{0}")]
    InvalidTagParameter(String),
    /// More resource tags than a repository may have.
    #[error("A repository has at most {} tags", berth_types::limits::RESOURCE_TAGS_MAX)]
    TooManyTags,
    /// A quota is used up. The text is complete.
    #[error("{0}")]
    LimitExceeded(String),
    /// The caller may not do this.
    #[error("User: {principal} is not authorized to perform: {action} on resource: {resource}")]
    AccessDenied {
        /// The caller's ARN.
        principal: String,
        /// `ecr:…`
        action: &'static str,
        /// The ARN of what it was about, or `*`.
        resource: String,
    },
    /// The docker token is not one of ours, or was tampered with.
    #[error("Not Authorized")]
    TokenInvalid,
    /// The docker token has expired.
    #[error("Your authorization token has expired. Reauthenticate and try again.")]
    TokenExpired,
    /// The request is one that this registry does not serve. The text says what.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The request's body ended early, stalled, or broke the framing.
    #[error("the request's body could not be read")]
    Body(#[source] BodyError),
    /// No room is left to store what was sent.
    #[error("no space left on the registry's storage")]
    StorageFull,
    /// Something is wrong with the registry itself. What it is goes to the log, not to the client.
    #[error("internal error while trying to {action}")]
    Internal {
        /// What was being done.
        action: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// ECR's text for a parameter that breaks a constraint.
    #[must_use]
    pub fn invalid_parameter(field: &str, constraint: impl std::fmt::Display) -> Self {
        Self::InvalidParameter(format!(
            "Invalid parameter at '{field}' failed to satisfy constraint: '{constraint}'"
        ))
    }
}

/// Why a request's body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client went away.
    #[error("the client closed the connection")]
    Disconnected(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client sent nothing for too long.
    #[error("the client sent nothing for {0} seconds")]
    Idle(u64),
    /// More bytes than announced or allowed.
    #[error("the body has more than {0} bytes")]
    TooLarge(u64),
}

fn join(digests: &[Digest]) -> String {
    digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
