//! `/v2/<name>/blobs/uploads/…`: blobs on their way in.

use axum::body::Body;
use berth_registry::uploads::{Chunk, CompletedBlob};
use berth_types::digest::DigestError;
use berth_types::{Algorithm, Digest, RepositoryName, UploadId};
use http::{HeaderMap, Response, StatusCode, header};

use super::error::OciError;
use super::{Answer, Request, empty, location};
use crate::http::{body, range};

/// POST: takes a blob of another repository, or a whole blob in the body, or starts a session.
pub(super) async fn start(request: &Request<'_>, name: &RepositoryName, body: Body) -> Answer {
    let registry = &request.app.registry;
    if let Some(mount) = request.query.first("mount") {
        let digest = Digest::parse(&mount).map_err(OciError::Digest)?;
        let from = request.query.first("from").filter(|from| !from.is_empty());
        let from = from.map(|from| RepositoryName::parse(&from)).transpose().map_err(OciError::Name)?;
        let mounted = registry.mount_blob(&request.caller, name, &digest, from.as_ref()).await?;
        return match mounted {
            Some(blob) => Ok(created(name, &blob.digest)),
            None => start_session(request, name, Some(digest.algorithm())).await,
        };
    }
    if request.query.first("digest").is_some() {
        let digest = digest_parameter(request)?;
        let chunk = chunk(request.headers, body)?;
        let completed = registry.put_blob(&request.caller, name, chunk, &digest).await?;
        return Ok(completed_blob(name, &completed));
    }
    let algorithm = match request.query.first("digest-algorithm") {
        None => None,
        Some(text) => match Algorithm::from_name(&text) {
            Some(algorithm) => Some(algorithm),
            None => return Err(OciError::Digest(DigestError::Algorithm(text.into_owned()))),
        },
    };
    start_session(request, name, algorithm).await
}

async fn start_session(request: &Request<'_>, name: &RepositoryName, algorithm: Option<Algorithm>) -> Answer {
    let upload = request.app.registry.start_upload(&request.caller, name, algorithm).await?;
    Ok(session(StatusCode::ACCEPTED, name, upload, 0))
}

/// GET: how far a session has come.
pub(super) async fn status(request: &Request<'_>, name: &RepositoryName, upload: UploadId) -> Answer {
    let bytes = request.app.registry.upload_bytes(&request.caller, name, upload).await?;
    Ok(session(StatusCode::NO_CONTENT, name, upload, bytes))
}

/// PATCH: the next bytes.
pub(super) async fn append(
    request: &Request<'_>,
    name: &RepositoryName,
    upload: UploadId,
    body: Body,
) -> Answer {
    let chunk = chunk(request.headers, body)?;
    let bytes = request.app.registry.append_upload(&request.caller, name, upload, chunk).await?;
    Ok(session(StatusCode::ACCEPTED, name, upload, bytes))
}

/// PUT: the last bytes, if any, and the digest of the whole.
pub(super) async fn complete(
    request: &Request<'_>,
    name: &RepositoryName,
    upload: UploadId,
    body: Body,
) -> Answer {
    let digest = digest_parameter(request)?;
    let chunk = chunk(request.headers, body)?;
    let registry = &request.app.registry;
    let completed = registry.complete_upload(&request.caller, name, upload, chunk, &[digest]).await?;
    Ok(completed_blob(name, &completed))
}

/// DELETE: forgets a session.
pub(super) async fn cancel(request: &Request<'_>, name: &RepositoryName, upload: UploadId) -> Answer {
    request.app.registry.cancel_upload(&request.caller, name, upload).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn digest_parameter(request: &Request<'_>) -> Result<Digest, OciError> {
    let text = request.query.first("digest").ok_or(OciError::DigestMissing)?;
    Digest::parse(&text).map_err(OciError::Digest)
}

/// The body with what its headers announce.
fn chunk(headers: &HeaderMap, body: Body) -> Result<Chunk<'static>, OciError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let Some(range) = headers.get(header::CONTENT_RANGE) else {
        return Ok(Chunk { body: body::stream(body), first_byte: None, bytes: length });
    };
    let text = String::from_utf8_lossy(range.as_bytes());
    let range = range::content_range(&text).ok_or_else(|| OciError::ContentRange(text.into_owned()))?;
    let bytes = range.end - range.start;
    match length {
        Some(length) if length != bytes => Err(OciError::ContentLength { range: bytes, length }),
        _ => Ok(Chunk { body: body::stream(body), first_byte: Some(range.start), bytes: Some(bytes) }),
    }
}

fn session(status: StatusCode, name: &RepositoryName, upload: UploadId, bytes: u64) -> Response<Body> {
    let mut response = empty(status);
    let headers = response.headers_mut();
    location::set(headers, header::LOCATION, location::upload(name, upload));
    location::set(headers, header::RANGE, location::received(bytes));
    location::set(headers, location::UPLOAD_UUID, upload.to_string());
    response
}

fn completed_blob(name: &RepositoryName, completed: &CompletedBlob) -> Response<Body> {
    created(name, &completed.blob.digest)
}

fn created(name: &RepositoryName, digest: &Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    location::set(headers, header::LOCATION, location::blob(name, digest));
    location::set(headers, location::CONTENT_DIGEST, digest.to_string());
    response
}
