//! Paths and headers that tell a client where something is.
//!
//! Locations are relative (RFC 9110, section 10.2.2): they hold behind any proxy, whatever name and scheme the client used.

use berth_types::{Digest, Reference, RepositoryName, UploadId};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The digest of the content that an answer is about.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The id of an upload; old Docker clients read it.
pub(crate) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// The protocol; clients look for it to tell a registry from any other web server.
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The manifest that a pushed manifest is about: the registry keeps the list of referrers.
pub(crate) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag that a push by digest has set.
pub(crate) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// The filters that a list of referrers went through.
pub(crate) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Where a blob is.
pub(crate) fn blob(name: &RepositoryName, digest: &Digest) -> String {
    format!("/v2/{name}/blobs/{digest}")
}

/// Where a manifest is.
pub(crate) fn manifest(name: &RepositoryName, reference: &Reference) -> String {
    format!("/v2/{name}/manifests/{reference}")
}

/// Where an upload goes on.
pub(crate) fn upload(name: &RepositoryName, upload: UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{upload}")
}

/// The `Range` header of an upload that has `bytes` bytes. There is no way to write an empty range; `0-0` is what every
/// registry answers then, and no client tells it from one byte.
pub(crate) fn received(bytes: u64) -> String {
    format!("0-{}", bytes.saturating_sub(1))
}

/// Sets a header whose value was made from checked parts.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// Says where the next page is.
pub(crate) fn link(headers: &mut HeaderMap, path_and_query: &str) {
    set(headers, header::LINK, format!("<{path_and_query}>; rel=\"next\""));
}
