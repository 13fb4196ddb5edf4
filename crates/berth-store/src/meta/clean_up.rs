//! What cleaning up takes and gives: collected blobs, lifecycle runs, expired images, previews.

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
