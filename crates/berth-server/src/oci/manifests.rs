//! `/v2/<name>/manifests/<reference>`.
//!
//! A manifest is served as it was pushed, whatever the client says in `Accept`: converting it would change its digest.

use axum::body::Body;
use berth_registry::Error;
use berth_registry::error::BodyError;
use berth_registry::images::PutManifest;
use berth_types::{Digest, ManifestError, MediaType, Reference, RepositoryName, Tag, limits};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::error::OciError;
use super::{Answer, Request, empty, location};
use crate::http::{body, range};

pub(super) async fn get(request: &Request<'_>, name: &RepositoryName, reference: &Reference) -> Answer {
    let registry = &request.app.registry;
    let manifest = registry.manifest(&request.caller, name, reference).await?;
    let mut response = empty(StatusCode::OK);
    describe(response.headers_mut(), &manifest.digest, &manifest.media_type);
    if range::not_modified(request.headers, &manifest.digest) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(manifest.bytes);
    }
    Ok(response)
}

pub(super) async fn head(request: &Request<'_>, name: &RepositoryName, reference: &Reference) -> Answer {
    let registry = &request.app.registry;
    let (digest, media_type, bytes) = registry.manifest_head(&request.caller, name, reference).await?;
    let mut response = empty(StatusCode::OK);
    describe(response.headers_mut(), &digest, &media_type);
    response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    Ok(response)
}

pub(super) async fn put(
    request: &Request<'_>,
    name: &RepositoryName,
    reference: &Reference,
    body: Body,
) -> Answer {
    let (digest, tags) = match reference {
        Reference::Tag(tag) => (None, vec![tag.clone()]),
        Reference::Digest(digest) => (Some(*digest), tag_parameters(request)?),
    };
    let declared = request.headers.get(header::CONTENT_TYPE);
    let declared = declared.and_then(|declared| declared.to_str().ok()).map(MediaType::new);
    let manifest = PutManifest { bytes: read(body).await?, declared, digest, tags: tags.clone() };
    let stored = request.app.registry.put_manifest(&request.caller, name, manifest).await?;

    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    location::set(headers, header::LOCATION, location::manifest(name, reference));
    location::set(headers, location::CONTENT_DIGEST, stored.digest.to_string());
    if let Some(subject) = stored.subject {
        location::set(headers, location::OCI_SUBJECT, subject.to_string());
    }
    if digest.is_some() {
        for tag in &tags {
            if let Ok(tag) = HeaderValue::from_str(tag.as_str()) {
                headers.append(location::OCI_TAG, tag);
            }
        }
    }
    Ok(response)
}

pub(super) async fn delete(request: &Request<'_>, name: &RepositoryName, reference: &Reference) -> Answer {
    request.app.registry.delete_manifest(&request.caller, name, reference).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// `?tag=` of a push by digest, each once, in order.
fn tag_parameters(request: &Request<'_>) -> Result<Vec<Tag>, OciError> {
    let mut tags: Vec<Tag> = Vec::new();
    for text in request.query.all("tag") {
        let tag = Tag::parse(&text).map_err(OciError::Tag)?;
        if tags.contains(&tag) {
            continue;
        }
        if tags.len() == limits::BATCH_ITEMS_MAX {
            return Err(OciError::TooManyTags);
        }
        tags.push(tag);
    }
    Ok(tags)
}

async fn read(body: Body) -> Result<bytes::Bytes, Error> {
    body::read_whole(body, limits::MANIFEST_BYTES_MAX).await.map_err(|error| match error {
        BodyError::TooLarge(_) => {
            Error::ManifestInvalid(ManifestError::TooLarge(limits::MANIFEST_BYTES_MAX + 1))
        }
        other @ (BodyError::Disconnected(_) | BodyError::Idle(_)) => Error::Body(other),
    })
}

fn describe(headers: &mut HeaderMap, digest: &Digest, media_type: &MediaType) {
    location::set(headers, header::CONTENT_TYPE, media_type.as_str().to_owned());
    location::set(headers, location::CONTENT_DIGEST, digest.to_string());
    headers.insert(header::ETAG, range::entity_tag(digest));
}
