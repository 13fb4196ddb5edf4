//! What the metadata store takes and gives. These are records, not wire types.

use berth_types::{Digest, MediaType, RegistryId, RepositoryName, Tag, TagMutability, Timestamp, UploadId};

use crate::blob::{DomainId, ObjectId};

/// The row of a repository. Never reused: a repository that is deleted and created again has a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryId(pub i64);

/// How a repository's content is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// `AES256`: under the registry's own domain key.
    Aes256,
    /// `KMS`: under the domain key of a named key.
    Kms {
        /// The key's ARN.
        key_arn: String,
    },
}

/// A repository to be created.
#[derive(Clone, Debug)]
pub struct NewRepository {
    /// The registry that gets it.
    pub registry: RegistryId,
    /// Its name.
    pub name: RepositoryName,
    /// Now.
    pub created_at: Timestamp,
    /// The rule about moving tags.
    pub mutability: TagMutability,
    /// Whether images are scanned when pushed.
    pub scan_on_push: bool,
    /// How content is sealed.
    pub encryption: Encryption,
    /// The domain of that encryption in this registry.
    pub domain: DomainId,
    /// Resource tags, keys distinct.
    pub resource_tags: Vec<(String, String)>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRecord {
    /// Its row.
    pub id: RepositoryId,
    /// The registry that has it.
    pub registry: RegistryId,
    /// Its name.
    pub name: RepositoryName,
    /// When it was created.
    pub created_at: Timestamp,
    /// The rule about moving tags.
    pub mutability: TagMutability,
    /// Whether images are scanned when pushed.
    pub scan_on_push: bool,
    /// How content is sealed.
    pub encryption: Encryption,
    /// The encryption domain.
    pub domain: DomainId,
}

/// A lifecycle policy as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecyclePolicyRecord {
    /// The text, byte for byte.
    pub text: String,
    /// When it was last evaluated; `None` before the first run.
    pub last_evaluated_at: Option<Timestamp>,
}

/// A manifest to be stored.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// Where.
    pub repository: RepositoryId,
    /// The digest of the manifest's text.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// The manifest's text, sealed.
    pub sealed: Vec<u8>,
    /// Length of the text in bytes.
    pub manifest_bytes: u64,
    /// Config and layers, each once, in bytes; for an index the store takes the largest child.
    pub image_bytes: u64,
    /// Blobs that must be in the repository.
    pub blobs: Vec<Digest>,
    /// Blobs that the manifest names but that may be absent (non-distributable layers).
    pub optional_blobs: Vec<Digest>,
    /// Manifests that an index lists; they must be in the repository.
    pub children: Vec<Digest>,
    /// The manifest that this one is about; it need not exist.
    pub subject: Option<Digest>,
    /// Tags to set.
    pub tags: Vec<Tag>,
    /// Now.
    pub pushed_at: Timestamp,
}

/// What [`super::MetaStore::put_image`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOutcome {
    /// The manifest was not there before.
    pub created: bool,
    /// What happened to each tag, in the order given.
    pub tags: Vec<TagChange>,
}

/// What happened to a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagChange {
    /// It is new.
    Created,
    /// It named this image already.
    Unchanged,
    /// It named another image before.
    Moved {
        /// Which.
        from: Digest,
    },
}

/// A manifest with its sealed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRecord {
    /// Its place in the order of pushes.
    pub cursor: ImageCursor,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// Length of the text in bytes.
    pub manifest_bytes: u64,
    /// The text, sealed.
    pub sealed: Vec<u8>,
    /// When it was first pushed into this repository.
    pub pushed_at: Timestamp,
}

/// An image with its tags, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its place in the order of pushes.
    pub cursor: ImageCursor,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// Compressed size in bytes; for an index, that of its largest child.
    pub image_bytes: u64,
    /// When it was first pushed into this repository.
    pub pushed_at: Timestamp,
    /// When it was last pulled, if ever.
    pub last_pulled_at: Option<Timestamp>,
    /// The manifest that it is about.
    pub subject: Option<Digest>,
    /// Its tags in byte order.
    pub tags: Vec<Tag>,
}

/// A place in the order of pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageCursor(pub i64);

/// A place in the order of (image, tag) pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageIdCursor {
    /// The image.
    pub image: ImageCursor,
    /// Its tag; `None` for an untagged image.
    pub tag: Option<Tag>,
}

/// An image and one of its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageIdRecord {
    /// Its place.
    pub image: ImageCursor,
    /// The image's digest.
    pub digest: Digest,
    /// One tag; `None` if the image has none.
    pub tag: Option<Tag>,
}

/// Which images a listing gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TagStatus {
    /// All.
    #[default]
    Any,
    /// With at least one tag.
    Tagged,
    /// Without.
    Untagged,
}

/// What [`super::MetaStore::delete_tag`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTag {
    /// The image that had the tag.
    pub digest: Digest,
    /// Whether the image was deleted, too.
    pub image_deleted: bool,
}

/// A blob in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its digest.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub bytes: u64,
    /// Where it is kept.
    pub object: ObjectId,
}

/// A blob that an upload has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewBlob {
    /// Its digest.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub bytes: u64,
    /// Now.
    pub created_at: Timestamp,
}

/// What [`super::MetaStore::complete_upload`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedUpload {
    /// The blob as it is in the repository.
    pub blob: BlobRecord,
    /// The repository had this blob before.
    pub existed_in_repository: bool,
    /// The upload's object, if another object already holds the same content.
    pub surplus: Option<ObjectId>,
}

/// An upload session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRecord {
    /// Its id.
    pub id: UploadId,
    /// The repository that the blob is for.
    pub repository: RepositoryId,
    /// The object being written.
    pub object: ObjectId,
    /// When it was started.
    pub created_at: Timestamp,
    /// How far it has come.
    pub progress: UploadProgress,
}

/// How far an upload has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadProgress {
    /// Bytes of content acknowledged.
    pub bytes: u64,
    /// The writer's state at that point, sealed; `None` before the first byte.
    pub checkpoint: Option<Vec<u8>>,
    /// When the last byte came.
    pub updated_at: Timestamp,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Repositories in all registries.
    pub repositories: u64,
    /// Manifests in all repositories.
    pub images: u64,
    /// Unfinished uploads.
    pub uploads: u64,
}
