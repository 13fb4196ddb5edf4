//! What a refused request looks like on the OCI plane: status, code, text and headers of every error, in one place.
//!
//! The codes are those of the distribution specification, and `TAG_INVALID`, which Amazon ECR answers when a tag may not be
//! moved. `docs/errors.md` repeats the table for readers.

use axum::body::Body;
use berth_registry::Error;
use berth_registry::error::BodyError;
use berth_types::digest::DigestError;
use berth_types::name::{NameError, TagError};
use berth_types::{ManifestError, RepositoryName, limits};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::location;
use crate::http::request_id::RequestId;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OciError {
    /// The registry refused it.
    #[error(transparent)]
    Registry(#[from] Error),
    /// No path of the specification.
    #[error("there is no such path in the distribution API")]
    Path,
    /// The path is there, but not for this method. The text is the `Allow` header.
    #[error("this path serves {0}")]
    Method(&'static str),
    /// No repository name.
    #[error("{0}")]
    Name(#[source] NameError),
    /// No digest.
    #[error("{0}")]
    Digest(#[source] DigestError),
    /// The parameter `digest` is needed.
    #[error("the parameter digest is missing")]
    DigestMissing,
    /// No tag.
    #[error("{0}")]
    Tag(#[source] TagError),
    /// No upload of ours has such an id.
    #[error("there is no upload with id {upload:?} in repository {name}")]
    UploadId {
        /// As the client wrote it.
        upload: String,
        /// The repository.
        name: RepositoryName,
    },
    /// `Content-Range` is not `<first>-<last>`.
    #[error("Content-Range {0:?} does not have the form <first>-<last>")]
    ContentRange(String),
    /// `Content-Range` and `Content-Length` contradict each other.
    #[error("Content-Range announces {range} bytes, but Content-Length is {length}")]
    ContentLength {
        /// By `Content-Range`.
        range: u64,
        /// By `Content-Length`.
        length: u64,
    },
    /// The content has no such bytes.
    #[error("the content has {bytes} bytes, none of them in the range asked for")]
    Range {
        /// How many it has.
        bytes: u64,
    },
    /// `n` is no number.
    #[error("the parameter n is not a number")]
    PageSize,
    /// `last`, or the cursor of a `Link`, is not one that we gave.
    #[error("the parameter last is not a place to go on from")]
    PageStart,
    /// More `tag` parameters than a push takes.
    #[error("a push sets at most {} tags", limits::BATCH_ITEMS_MAX)]
    TooManyTags,
}

/// The codes that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Unknown,
    Unsupported,
}

impl Code {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unknown => "UNKNOWN",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// Status and code of an error.
fn outcome(error: &OciError) -> (StatusCode, Code) {
    match error {
        OciError::Registry(error) => registry_outcome(error),
        OciError::Path => (StatusCode::NOT_FOUND, Code::Unsupported),
        OciError::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported),
        OciError::Name(_) => (StatusCode::BAD_REQUEST, Code::NameInvalid),
        OciError::Digest(_) | OciError::DigestMissing => (StatusCode::BAD_REQUEST, Code::DigestInvalid),
        OciError::Tag(_) => (StatusCode::BAD_REQUEST, Code::TagInvalid),
        OciError::UploadId { .. } => (StatusCode::NOT_FOUND, Code::BlobUploadUnknown),
        OciError::ContentRange(_) => (StatusCode::BAD_REQUEST, Code::BlobUploadInvalid),
        OciError::ContentLength { .. } => (StatusCode::BAD_REQUEST, Code::SizeInvalid),
        OciError::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, Code::SizeInvalid),
        OciError::PageSize | OciError::PageStart => (StatusCode::BAD_REQUEST, Code::Unsupported),
        OciError::TooManyTags => (StatusCode::URI_TOO_LONG, Code::TagInvalid),
    }
}

/// Status and code of what the registry refuses.
fn registry_outcome(error: &Error) -> (StatusCode, Code) {
    match error {
        Error::RepositoryNotFound { .. } => (StatusCode::NOT_FOUND, Code::NameUnknown),
        Error::RepositoryAlreadyExists { .. } | Error::RepositoryNotEmpty { .. } => {
            (StatusCode::CONFLICT, Code::Denied)
        }
        Error::ImageNotFound { .. } => (StatusCode::NOT_FOUND, Code::ManifestUnknown),
        Error::ImageAlreadyExists { .. } => (StatusCode::CONFLICT, Code::ManifestInvalid),
        Error::TagImmutable { .. } | Error::ImageTagDoesNotMatchDigest { .. } => {
            (StatusCode::BAD_REQUEST, Code::TagInvalid)
        }
        Error::ManifestInvalid(ManifestError::TooLarge(_)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, Code::ManifestInvalid)
        }
        Error::ManifestInvalid(_) => (StatusCode::BAD_REQUEST, Code::ManifestInvalid),
        Error::ManifestDigestMismatch { .. } | Error::BlobDigestMismatch { .. } => {
            (StatusCode::BAD_REQUEST, Code::DigestInvalid)
        }
        Error::LayersNotFound { .. } | Error::ReferencedImagesNotFound { .. } => {
            (StatusCode::BAD_REQUEST, Code::ManifestBlobUnknown)
        }
        Error::ImageReferencedByManifestList { .. } | Error::BlobInUse { .. } | Error::Unsupported(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported)
        }
        Error::BlobUnknown { .. } | Error::LayerInaccessible { .. } => {
            (StatusCode::NOT_FOUND, Code::BlobUnknown)
        }
        Error::UploadNotFound { .. } => (StatusCode::NOT_FOUND, Code::BlobUploadUnknown),
        Error::UploadOutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid),
        Error::PartLengthMismatch { .. } => (StatusCode::BAD_REQUEST, Code::SizeInvalid),
        Error::UploadBusy(_) | Error::LayerAlreadyExists { .. } => {
            (StatusCode::CONFLICT, Code::BlobUploadInvalid)
        }
        Error::UploadEmpty(_) | Error::LayerPartTooSmall => {
            (StatusCode::BAD_REQUEST, Code::BlobUploadInvalid)
        }
        Error::BlobTooLarge | Error::Body(BodyError::TooLarge(_)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid)
        }
        Error::LifecyclePolicyNotFound { .. } | Error::LifecyclePolicyPreviewNotFound { .. } => {
            (StatusCode::NOT_FOUND, Code::Unsupported)
        }
        Error::LifecyclePolicyPreviewInProgress { .. } => (StatusCode::CONFLICT, Code::Unsupported),
        Error::InvalidParameter(_)
        | Error::InvalidTagParameter(_)
        | Error::TooManyTags
        | Error::MissingDigestAndTag => (StatusCode::BAD_REQUEST, Code::Unsupported),
        // A quota that is used up does not come back by trying again, as 429 would say.
        Error::LimitExceeded(_) | Error::AccessDenied { .. } | Error::TokenExpired => {
            (StatusCode::FORBIDDEN, Code::Denied)
        }
        Error::TokenInvalid => (StatusCode::UNAUTHORIZED, Code::Unauthorized),
        Error::Body(BodyError::Idle(_)) => (StatusCode::REQUEST_TIMEOUT, Code::SizeInvalid),
        Error::Body(BodyError::Disconnected(_)) => (StatusCode::BAD_REQUEST, Code::SizeInvalid),
        Error::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, Code::Unknown),
        Error::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown),
    }
}

/// What the client may do with more than a text.
fn detail(error: &OciError) -> Option<Value> {
    match error {
        OciError::Registry(
            Error::LayersNotFound { digests, .. } | Error::ReferencedImagesNotFound { digests, .. },
        ) => Some(json!({ "digests": digests })),
        OciError::Registry(Error::ImageReferencedByManifestList { parents, .. }) => {
            Some(json!({ "parents": parents }))
        }
        OciError::Registry(Error::RepositoryNotFound { name, .. }) => Some(json!({ "name": name })),
        OciError::Registry(Error::BlobUnknown { digest, .. }) => Some(json!({ "digest": digest })),
        _ => None,
    }
}

/// Headers that belong to an error.
fn headers(error: &OciError, headers: &mut HeaderMap) {
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    match error {
        OciError::Method(allowed) => put(header::ALLOW, allowed),
        OciError::Range { bytes } => put(header::CONTENT_RANGE, &format!("bytes */{bytes}")),
        OciError::Registry(Error::UploadOutOfOrder { upload, name, expected, .. }) => {
            put(header::LOCATION, &location::upload(name, *upload));
            put(header::RANGE, &location::received(*expected));
            put(location::UPLOAD_UUID, &upload.to_string());
        }
        OciError::Registry(Error::ImageReferencedByManifestList { .. }) => {
            put(header::ALLOW, "GET, HEAD, PUT");
        }
        OciError::Registry(Error::BlobInUse { .. }) => put(header::ALLOW, "GET, HEAD"),
        _ => {}
    }
}

/// The answer to a request that was refused. What is wrong with the registry itself goes to the log, once, here.
pub(crate) fn answer(error: &OciError, request_id: RequestId) -> Response<Body> {
    let (status, code) = outcome(error);
    let (message, detail) = if status.is_server_error() {
        tracing::error!(%request_id, error = crate::telemetry::chain(error), "request failed");
        let message = match error {
            OciError::Registry(Error::StorageFull) => "the registry has no room to store this",
            _ => "internal error",
        };
        (message.to_owned(), Some(json!({ "requestId": request_id.to_string() })))
    } else {
        let message = match error {
            OciError::Registry(Error::Body(why)) => why.to_string(),
            other => other.to_string(),
        };
        (message, detail(error))
    };
    let mut response = body(status, code, &message, detail);
    headers(error, response.headers_mut());
    response
}

/// An answer in the form of the specification.
pub(crate) fn body(status: StatusCode, code: Code, message: &str, detail: Option<Value>) -> Response<Body> {
    let mut entry = json!({ "code": code.text(), "message": message });
    if let (Some(detail), Some(entry)) = (detail, entry.as_object_mut()) {
        entry.insert("detail".to_owned(), detail);
    }
    let mut response = Response::new(Body::from(json!({ "errors": [entry] }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use berth_types::UploadId;
    use http_body_util::BodyExt;

    use super::*;
    use crate::ecr::error::tests::{registry_errors, variant};
    use crate::http::request_id::RequestIds;

    /// One of every variant that is not the registry's.
    fn protocol_errors() -> Vec<OciError> {
        vec![
            OciError::Path,
            OciError::Method("GET, HEAD"),
            OciError::Name(RepositoryName::parse("No").unwrap_err()),
            OciError::Digest(berth_types::Digest::parse("sha256:0").unwrap_err()),
            OciError::DigestMissing,
            OciError::Tag(berth_types::Tag::parse("-").unwrap_err()),
            OciError::UploadId { upload: "x".to_owned(), name: RepositoryName::parse("shop/api").unwrap() },
            OciError::ContentRange("x".to_owned()),
            OciError::ContentLength { range: 5, length: 3 },
            OciError::Range { bytes: 10 },
            OciError::PageSize,
            OciError::PageStart,
            OciError::TooManyTags,
            OciError::Registry(Error::ManifestInvalid(ManifestError::TooLarge(
                limits::MANIFEST_BYTES_MAX + 1,
            ))),
        ]
    }

    /// An answer on one line: status, code, text, then what else it says.
    async fn row(error: OciError) -> String {
        let request_id = RequestIds::new().next();
        let response = answer(&error, request_id);
        let status = response.status();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let mut more = String::new();
        for (name, value) in response.headers() {
            if *name != header::CONTENT_TYPE {
                more.push_str(&format!(" [{name}: {}]", value.to_str().unwrap()));
            }
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let error = &body["errors"][0];
        let (code, message) = (error["code"].as_str().unwrap(), error["message"].as_str().unwrap());
        if status.is_server_error() {
            assert_eq!(error["detail"]["requestId"], request_id.to_string());
            assert!(!body.to_string().contains("/var/lib"), "{body}");
        } else if !error["detail"].is_null() {
            more.push_str(&format!(" {}", error["detail"]));
        }
        format!("{} {code}: {message}{more}", status.as_u16())
    }

    async fn rows(errors: Vec<OciError>) -> String {
        let mut rows = Vec::new();
        for error in errors {
            rows.push(row(error).await);
        }
        rows.join("\n")
    }

    #[tokio::test]
    async fn every_error_of_the_registry() {
        let errors = registry_errors().into_iter().map(OciError::Registry).collect();
        insta::assert_snapshot!(rows(errors).await);
    }

    #[tokio::test]
    async fn every_error_of_the_protocol() {
        insta::assert_snapshot!(rows(protocol_errors()).await);
    }

    #[test]
    fn the_documentation_says_the_same() {
        let page = include_str!("../../../../docs/errors.md");
        for error in registry_errors() {
            let variant = variant(&error);
            let (status, code) = registry_outcome(&error);
            let row = page.lines().find(|line| line.starts_with(&format!("| `{variant}`")));
            let row = row.unwrap_or_else(|| panic!("docs/errors.md has no row for {variant}"));
            let cell = format!("| {} {}", status.as_u16(), code.text());
            assert!(row.contains(&cell), "{row} should have {cell}");
        }
    }

    #[test]
    fn a_gap_says_where_to_go_on() {
        let upload = UploadId::random();
        let error = Error::UploadOutOfOrder {
            upload,
            name: RepositoryName::parse("shop/api").unwrap(),
            first_byte: 9,
            expected: 5,
        };
        let response = answer(&error.into(), RequestIds::new().next());
        assert_eq!(response.headers()[header::RANGE], "0-4");
        assert_eq!(response.headers()[header::LOCATION], format!("/v2/shop/api/blobs/uploads/{upload}"));
    }
}
