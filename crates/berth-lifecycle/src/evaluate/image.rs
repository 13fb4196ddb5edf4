//! What the evaluator needs to know about an image.

use berth_types::{Digest, Tag, Timestamp};

/// An image of the repository: anything with a manifest, so indexes and artifacts too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its tags, in any order.
    pub tags: Vec<Tag>,
    /// When the manifest came into this repository. Tagging it again does not move this.
    pub pushed_at: Timestamp,
    /// The last recorded pull.
    pub last_pulled_at: Option<Timestamp>,
    /// The last move to the archive.
    pub last_archived_at: Option<Timestamp>,
    /// The last restoration from the archive.
    pub last_activated_at: Option<Timestamp>,
    /// Where it is stored.
    pub storage: ImageStorage,
    /// Whether it lists other manifests.
    pub kind: ImageKind,
    /// The manifests that it lists, if it is an index.
    pub references: Vec<Digest>,
    /// The manifest that it is about, if it is a referrer.
    pub subject: Option<Digest>,
    /// Size in bytes, as `imageSizeInBytes` has it.
    pub size_bytes: Option<u64>,
}

/// The storage class of an image, as ECR's API has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageStorage {
    /// `STANDARD`.
    #[default]
    Standard,
    /// `ARCHIVE`.
    Archive,
    /// On its way back from the archive (`imageStatus` `ACTIVATING`).
    Activating,
}

/// Whether an image stands for itself or lists others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageKind {
    /// An image or an artifact.
    #[default]
    Image,
    /// A manifest list or an OCI index.
    Index,
}

impl Image {
    /// An image in standard storage without tags, relations and history.
    #[must_use]
    pub const fn new(digest: Digest, pushed_at: Timestamp) -> Self {
        Self {
            digest,
            tags: Vec::new(),
            pushed_at,
            last_pulled_at: None,
            last_archived_at: None,
            last_activated_at: None,
            storage: ImageStorage::Standard,
            kind: ImageKind::Image,
            references: Vec::new(),
            subject: None,
            size_bytes: None,
        }
    }

    /// When the image was pushed or, if that was later, restored from the archive: a restored image is as good as newly
    /// pushed, for its age and for its rank.
    #[must_use]
    pub fn effective_push(&self) -> Timestamp {
        self.last_activated_at.map_or(self.pushed_at, |activated| activated.max(self.pushed_at))
    }
}
