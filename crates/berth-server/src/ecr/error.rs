//! What a refused call of the ECR API looks like: status, `__type` and members of every error, in one place.
//!
//! The table of [`outcome`] is the only one; `docs/errors.md` repeats it for readers.

use berth_registry::Error;
use berth_registry::error::BodyError;
use berth_types::{AccountId, ManifestError, RepositoryName, UploadId};
use http::StatusCode;
use serde_json::{Map, Value};

use crate::auth::sigv4::SignatureError;
use crate::ecr::target::CONTENT_TYPE_JSON;

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The registry refused it.
    #[error(transparent)]
    Registry(#[from] Error),
    /// A layer part that does not fit the upload.
    #[error(
        "The layer part size is not valid, or the first byte specified is not consecutive to the last byte of a \
         previous layer part upload."
    )]
    LayerPart {
        /// The registry that has the upload.
        account: AccountId,
        /// The repository that has it.
        name: RepositoryName,
        /// The upload.
        upload: UploadId,
        /// How many bytes it has.
        received: u64,
    },
    /// The target names no operation; `None` if there is no target.
    #[error("{}", .0.as_ref().map_or_else(
        || "the request has no X-Amz-Target header".to_owned(),
        |target| format!("this registry has no operation '{target}'"),
    ))]
    UnknownOperation(Option<String>),
    /// The content type is not that of the protocol.
    #[error("the content type must be {CONTENT_TYPE_JSON}, not {0}")]
    ContentType(String),
    /// The body is not the JSON object that the operation takes. The text says where.
    #[error("{0}")]
    Serialization(String),
    /// The body is larger than the operation takes.
    #[error("Request body is larger than {0} bytes.")]
    BodyTooLarge(usize),
    /// The request is not signed, or not well.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// How an error is answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// `__type`.
    pub(crate) kind: &'static str,
    /// The text for the client.
    pub(crate) message: String,
    /// Members beside `__type` and `message`.
    pub(crate) members: Map<String, Value>,
}

impl Outcome {
    /// The body of the answer.
    #[must_use]
    pub(crate) fn body(self, request_id: &str) -> Value {
        let mut message = self.message;
        if self.status.is_server_error() {
            message.push_str(&format!(" (request id {request_id})"));
        }
        let mut body = Map::new();
        body.insert("__type".to_owned(), self.kind.into());
        body.insert("message".to_owned(), message.into());
        body.extend(self.members);
        Value::Object(body)
    }
}

/// How `error` is answered.
#[must_use]
pub(crate) fn outcome(error: &ApiError) -> Outcome {
    let (status, kind) = match error {
        ApiError::Registry(error) => status_and_kind(error),
        ApiError::LayerPart { .. } => (StatusCode::BAD_REQUEST, "InvalidLayerPartException"),
        ApiError::UnknownOperation(_) | ApiError::ContentType(_) => {
            (StatusCode::NOT_FOUND, "UnknownOperationException")
        }
        ApiError::Serialization(_) => (StatusCode::BAD_REQUEST, "SerializationException"),
        ApiError::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException"),
        ApiError::Signature(SignatureError::Missing) => {
            (StatusCode::FORBIDDEN, "MissingAuthenticationTokenException")
        }
        ApiError::Signature(SignatureError::Incomplete(_)) => {
            (StatusCode::FORBIDDEN, "IncompleteSignatureException")
        }
        ApiError::Signature(SignatureError::Invalid(_)) => {
            (StatusCode::FORBIDDEN, "InvalidSignatureException")
        }
    };
    Outcome { status, kind, message: message(error), members: members(error) }
}

fn status_and_kind(error: &Error) -> (StatusCode, &'static str) {
    let bad = |kind| (StatusCode::BAD_REQUEST, kind);
    match error {
        Error::RepositoryNotFound { .. } => bad("RepositoryNotFoundException"),
        Error::RepositoryAlreadyExists { .. } => bad("RepositoryAlreadyExistsException"),
        Error::RepositoryNotEmpty { .. } => bad("RepositoryNotEmptyException"),
        // The two others are failures of single ids in batch calls; no call is refused with them as a whole.
        Error::ImageNotFound { .. } | Error::ImageTagDoesNotMatchDigest { .. } => {
            bad("ImageNotFoundException")
        }
        Error::ImageReferencedByManifestList { .. } => bad("InvalidParameterException"),
        Error::ImageAlreadyExists { .. } => bad("ImageAlreadyExistsException"),
        Error::TagImmutable { .. } => bad("ImageTagAlreadyExistsException"),
        Error::ManifestInvalid(_) => bad("InvalidParameterException"),
        Error::ManifestDigestMismatch { .. } => bad("ImageDigestDoesNotMatchException"),
        Error::LayersNotFound { .. } | Error::BlobUnknown { .. } => bad("LayersNotFoundException"),
        Error::ReferencedImagesNotFound { .. } => bad("ReferencedImagesNotFoundException"),
        // The API deletes no blobs; the OCI plane does.
        Error::BlobInUse { .. } => bad("InvalidParameterException"),
        Error::LayerInaccessible { .. } => bad("LayerInaccessibleException"),
        Error::UploadNotFound { .. } => bad("UploadNotFoundException"),
        Error::UploadOutOfOrder { .. } | Error::PartLengthMismatch { .. } => bad("InvalidLayerPartException"),
        // SDKs wait and try again on this one, which is what is to be done.
        Error::UploadBusy(_) => bad("ThrottlingException"),
        Error::UploadEmpty(_) => bad("EmptyUploadException"),
        Error::BlobDigestMismatch { .. } => bad("InvalidLayerException"),
        Error::LayerAlreadyExists { .. } => bad("LayerAlreadyExistsException"),
        Error::LayerPartTooSmall => bad("LayerPartTooSmallException"),
        Error::BlobTooLarge | Error::LimitExceeded(_) => bad("LimitExceededException"),
        Error::LifecyclePolicyNotFound { .. } => bad("LifecyclePolicyNotFoundException"),
        Error::LifecyclePolicyPreviewNotFound { .. } => bad("LifecyclePolicyPreviewNotFoundException"),
        Error::LifecyclePolicyPreviewInProgress { .. } => bad("LifecyclePolicyPreviewInProgressException"),
        Error::InvalidParameter(_) | Error::MissingDigestAndTag | Error::Unsupported(_) => {
            bad("InvalidParameterException")
        }
        Error::InvalidTagParameter(_) => bad("InvalidTagParameterException"),
        Error::TooManyTags => bad("TooManyTagsException"),
        Error::AccessDenied { .. } => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        Error::TokenInvalid => (StatusCode::FORBIDDEN, "UnrecognizedClientException"),
        Error::TokenExpired => (StatusCode::FORBIDDEN, "ExpiredTokenException"),
        Error::Body(BodyError::Disconnected(_)) => bad("RequestAbortedException"),
        Error::Body(BodyError::Idle(_)) => (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException"),
        Error::Body(BodyError::TooLarge(_)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException")
        }
        Error::StorageFull | Error::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "ServerException"),
    }
}

fn message(error: &ApiError) -> String {
    match error {
        ApiError::Registry(Error::ManifestInvalid(invalid)) => manifest_message(invalid),
        ApiError::Registry(Error::Body(cause)) => cause.to_string(),
        ApiError::Registry(Error::StorageFull) => "The registry has no room to store this".to_owned(),
        // What went wrong inside is for the log.
        ApiError::Registry(Error::Internal { .. }) => "The registry failed to handle the request".to_owned(),
        error => error.to_string(),
    }
}

/// ECR's texts for a manifest that it does not take, where they are known; ours otherwise, in ECR's frame.
fn manifest_message(invalid: &ManifestError) -> String {
    let (field, constraint) = match invalid {
        ManifestError::Json(_) => ("ImageManifest", "Invalid JSON syntax".to_owned()),
        ManifestError::MediaTypeMissing => ("imageManifestMediaType", invalid.to_string()),
        invalid => ("ImageManifest", invalid.to_string()),
    };
    Error::invalid_parameter(field, constraint).to_string()
}

fn members(error: &ApiError) -> Map<String, Value> {
    let mut members = Map::new();
    let ApiError::LayerPart { account, name, upload, received } = error else { return members };
    members.insert("registryId".to_owned(), account.as_str().into());
    members.insert("repositoryName".to_owned(), name.as_str().into());
    members.insert("uploadId".to_owned(), upload.to_string().into());
    // Nothing received: there is no last byte, and 0 would mean that there is one.
    if let Some(last) = received.checked_sub(1) {
        members.insert("lastValidByteReceived".to_owned(), last.into());
    }
    members
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use berth_registry::ImageId;
    use berth_types::digest::DigestError;
    use berth_types::{Digest, Tag};

    fn name() -> RepositoryName {
        RepositoryName::parse("shop/api").unwrap()
    }

    fn account() -> AccountId {
        AccountId::parse("123456789012").unwrap()
    }

    fn source() -> Box<dyn std::error::Error + Send + Sync> {
        std::io::Error::other("/var/lib/berth/blobs is gone").into()
    }

    /// One of every variant. A new one does not compile until it is answered for in `status_and_kind`; this list is
    /// what shows how.
    pub(crate) fn registry_errors() -> Vec<Error> {
        let (digest, tag, upload) =
            (Digest::sha256(b"x"), Tag::parse("v1").unwrap(), UploadId::parse(UPLOAD).unwrap());
        let (name, account) = (name(), account());
        let digests = vec![digest];
        let image = ImageId { digest: Some(digest), tag: None };
        let bad_digest = ManifestError::Digest {
            member: "config".to_owned(),
            text: "x".to_owned(),
            source: DigestError::Form,
        };
        vec![
            Error::RepositoryNotFound { name: name.clone(), account },
            Error::RepositoryAlreadyExists { name: name.clone(), account },
            Error::RepositoryNotEmpty { name: name.clone(), account },
            Error::ImageNotFound { image, name: name.clone(), account },
            Error::ImageAlreadyExists { digest, tag: Some(tag.clone()), name: name.clone(), account },
            Error::TagImmutable { tag: tag.clone(), name: name.clone() },
            Error::ManifestInvalid(ManifestError::Json("eof".to_owned())),
            Error::ManifestInvalid(ManifestError::MediaTypeMissing),
            Error::ManifestInvalid(bad_digest),
            Error::ManifestDigestMismatch { claimed: Box::new(digest), calculated: digest },
            Error::LayersNotFound { digests: digests.clone(), name: name.clone(), account },
            Error::ReferencedImagesNotFound { digests: digests.clone(), name: name.clone(), account },
            Error::ImageReferencedByManifestList { digest, parents: digests },
            Error::ImageTagDoesNotMatchDigest { tag, digest },
            Error::BlobUnknown { digest, name: name.clone(), account },
            Error::BlobInUse { digest },
            Error::LayerInaccessible { digest, name: name.clone() },
            Error::UploadNotFound { upload: "u".to_owned(), name: name.clone(), account },
            Error::UploadOutOfOrder { upload, name: name.clone(), first_byte: 5, expected: 3 },
            Error::PartLengthMismatch { announced: 5, found: 3 },
            Error::UploadBusy(upload),
            Error::UploadEmpty(upload),
            Error::BlobDigestMismatch { calculated: digest },
            Error::LayerAlreadyExists { digest, name: name.clone(), account },
            Error::LayerPartTooSmall,
            Error::BlobTooLarge,
            Error::LifecyclePolicyPreviewNotFound { name: name.clone(), account },
            Error::LifecyclePolicyPreviewInProgress { name: name.clone(), account },
            Error::LifecyclePolicyNotFound { name, account },
            Error::InvalidParameter("whole text".to_owned()),
            Error::MissingDigestAndTag,
            Error::InvalidTagParameter("whole text".to_owned()),
            Error::TooManyTags,
            Error::LimitExceeded("whole text".to_owned()),
            Error::AccessDenied {
                principal: "arn:aws:iam::123456789012:root".to_owned(),
                action: "ecr:PutImage",
                resource: "*".to_owned(),
            },
            Error::TokenInvalid,
            Error::TokenExpired,
            Error::Unsupported("not here"),
            Error::Body(BodyError::Disconnected(source())),
            Error::Body(BodyError::Idle(60)),
            Error::Body(BodyError::TooLarge(9)),
            Error::StorageFull,
            Error::Internal { action: "write a blob", source: source() },
        ]
    }

    const UPLOAD: &str = "2f1a7e7a-7b55-4c0c-9a43-1d7a64b7f0a1";

    fn row(error: &ApiError) -> String {
        let outcome = outcome(error);
        let (status, body) = (outcome.status.as_u16(), outcome.body("REQUEST-ID"));
        assert_eq!(body["__type"], outcome_kind(error));
        let mut members = body.as_object().unwrap().clone();
        let (kind, message) = (members.remove("__type").unwrap(), members.remove("message").unwrap());
        let more = if members.is_empty() { String::new() } else { format!(" {}", Value::Object(members)) };
        let (kind, message) = (kind.as_str().unwrap().to_owned(), message.as_str().unwrap().to_owned());
        format!("{status} {kind}: {message}{more}")
    }

    fn outcome_kind(error: &ApiError) -> &'static str {
        outcome(error).kind
    }

    #[test]
    fn every_error_of_the_registry() {
        let rows: Vec<String> = registry_errors().into_iter().map(|error| row(&error.into())).collect();
        insta::assert_snapshot!(rows.join("\n"));
        for row in rows.iter().filter(|row| row.starts_with('5')) {
            assert!(row.contains("REQUEST-ID") && !row.contains("/var/lib"), "{row}");
        }
    }

    /// The variant's name, as `docs/errors.md` has it.
    pub(crate) fn variant(error: &Error) -> String {
        let debug = format!("{error:?}");
        let name = |text: &str| text.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
        match debug.strip_prefix("Body(") {
            Some(cause) => format!("Body({})", name(cause)),
            None => name(&debug),
        }
    }

    #[test]
    fn the_documentation_says_the_same() {
        let page = include_str!("../../../../docs/errors.md");
        for error in registry_errors() {
            let variant = variant(&error);
            let outcome = outcome(&error.into());
            let row = page.lines().find(|line| line.starts_with(&format!("| `{variant}`")));
            let row = row.unwrap_or_else(|| panic!("docs/errors.md has no row for {variant}"));
            let cell = format!("| {} {}", outcome.status.as_u16(), outcome.kind);
            assert!(row.contains(&cell), "{row} should have {cell}");
        }
    }

    #[test]
    fn every_error_of_the_protocol() {
        let part = |received| ApiError::LayerPart {
            account: account(),
            name: name(),
            upload: UploadId::parse(UPLOAD).unwrap(),
            received,
        };
        let errors = [
            part(0),
            part(10),
            ApiError::UnknownOperation(None),
            ApiError::UnknownOperation(Some("x.Y".to_owned())),
            ApiError::ContentType("text/xml".to_owned()),
            ApiError::Serialization("expected value at line 1 column 1".to_owned()),
            ApiError::BodyTooLarge(9),
            SignatureError::Missing.into(),
            SignatureError::Incomplete("why".to_owned()).into(),
            SignatureError::Invalid("why".to_owned()).into(),
        ];
        let rows: Vec<String> = errors.iter().map(row).collect();
        insta::assert_snapshot!(rows.join("\n"));
    }
}
