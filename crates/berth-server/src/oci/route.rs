//! From method and path to a typed operation.
//!
//! Repository names contain slashes and may contain every word that the paths use (`blobs`, `manifests`, `tags`,
//! `uploads`), so paths are read from their end. Each segment is decoded by itself: an escaped slash does not separate
//! segments and is in no name.

use std::borrow::Cow;

use berth_types::{Digest, Reference, RepositoryName, Tag, UploadId};
use http::Method;
use percent_encoding::percent_decode_str;

use super::error::OciError;

/// What a request to `/v2/` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `GET /v2/`
    Ping,
    /// `GET /v2/_catalog`
    ListRepositories,
    /// `GET /v2/<name>/tags/list`
    ListTags,
    /// `GET /v2/<name>/referrers/<digest>`
    ListReferrers(Digest),
    /// `GET /v2/<name>/blobs/<digest>`
    GetBlob(Digest),
    /// `HEAD /v2/<name>/blobs/<digest>`
    HeadBlob(Digest),
    /// `DELETE /v2/<name>/blobs/<digest>`
    DeleteBlob(Digest),
    /// `POST /v2/<name>/blobs/uploads/`
    StartUpload,
    /// `GET /v2/<name>/blobs/uploads/<id>`
    UploadStatus(UploadId),
    /// `PATCH /v2/<name>/blobs/uploads/<id>`
    AppendUpload(UploadId),
    /// `PUT /v2/<name>/blobs/uploads/<id>`
    CompleteUpload(UploadId),
    /// `DELETE /v2/<name>/blobs/uploads/<id>`
    CancelUpload(UploadId),
    /// `GET /v2/<name>/manifests/<reference>`
    GetManifest(Reference),
    /// `HEAD /v2/<name>/manifests/<reference>`
    HeadManifest(Reference),
    /// `PUT /v2/<name>/manifests/<reference>`
    PutManifest(Reference),
    /// `DELETE /v2/<name>/manifests/<reference>`
    DeleteManifest(Reference),
}

impl Operation {
    /// The name in logs and counters.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ping => "Ping",
            Self::ListRepositories => "ListRepositories",
            Self::ListTags => "ListTags",
            Self::ListReferrers(_) => "ListReferrers",
            Self::GetBlob(_) => "GetBlob",
            Self::HeadBlob(_) => "HeadBlob",
            Self::DeleteBlob(_) => "DeleteBlob",
            Self::StartUpload => "StartUpload",
            Self::UploadStatus(_) => "UploadStatus",
            Self::AppendUpload(_) => "AppendUpload",
            Self::CompleteUpload(_) => "CompleteUpload",
            Self::CancelUpload(_) => "CancelUpload",
            Self::GetManifest(_) => "GetManifest",
            Self::HeadManifest(_) => "HeadManifest",
            Self::PutManifest(_) => "PutManifest",
            Self::DeleteManifest(_) => "DeleteManifest",
        }
    }
}

/// A request, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// About the registry.
    Registry(Operation),
    /// About one repository.
    Repository(RepositoryName, Operation),
}

impl Route {
    /// What is asked for.
    pub(crate) const fn operation(&self) -> &Operation {
        match self {
            Self::Registry(operation) | Self::Repository(_, operation) => operation,
        }
    }
}

/// What a path is of, before the method says what to do with it.
#[derive(Debug, PartialEq, Eq)]
enum Resource<'a> {
    Base,
    Catalog,
    Tags,
    Referrers(&'a str),
    Blob(&'a str),
    Uploads,
    Upload(&'a str),
    Manifest(&'a str),
}

/// Reads method and path (still escaped, without query). The path begins with `/v2`.
///
/// # Errors
/// What is wrong with it, most basic first: no such path, bad name, bad digest, tag or upload id, wrong method.
pub(crate) fn parse(method: &Method, path: &str) -> Result<Route, OciError> {
    let (name, resource) = split(path)?;
    let Some(name) = name else {
        let operation = match resource {
            Resource::Catalog => Operation::ListRepositories,
            _ => Operation::Ping,
        };
        return match *method {
            Method::GET | Method::HEAD => Ok(Route::Registry(operation)),
            _ => Err(OciError::Method("GET, HEAD")),
        };
    };
    let name = repository_name(name)?;
    let operation = operation(method, &name, &resource)?;
    Ok(Route::Repository(name, operation))
}

/// Reads the path from its end: the segments of the name, and what is behind them.
fn split(path: &str) -> Result<(Option<&str>, Resource<'_>), OciError> {
    let rest = path.strip_prefix("/v2").ok_or(OciError::Path)?;
    let rest = match rest.strip_prefix('/') {
        Some(rest) => rest,
        None if rest.is_empty() => rest,
        None => return Err(OciError::Path),
    };
    match rest {
        "" => return Ok((None, Resource::Base)),
        "_catalog" => return Ok((None, Resource::Catalog)),
        _ => {}
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Ok((Some(name), Resource::Tags));
    }
    let uploads = rest.strip_suffix("/blobs/uploads").or_else(|| rest.strip_suffix("/blobs/uploads/"));
    if let Some(name) = uploads {
        return Ok((Some(name), Resource::Uploads));
    }
    let (before, last) = rest.rsplit_once('/').ok_or(OciError::Path)?;
    if last.is_empty() {
        return Err(OciError::Path);
    }
    // A name may be missing here ("/v2/manifests/x"): it is then empty, which is no name.
    let (name, kind) = before.rsplit_once('/').unwrap_or(("", before));
    match kind {
        "manifests" => Ok((Some(name), Resource::Manifest(last))),
        "blobs" => Ok((Some(name), Resource::Blob(last))),
        "referrers" => Ok((Some(name), Resource::Referrers(last))),
        "uploads" => match name.rsplit_once('/').unwrap_or(("", name)) {
            (name, "blobs") => Ok((Some(name), Resource::Upload(last))),
            _ => Err(OciError::Path),
        },
        _ => Err(OciError::Path),
    }
}

fn operation(method: &Method, name: &RepositoryName, resource: &Resource<'_>) -> Result<Operation, OciError> {
    match (resource, method.as_str()) {
        (Resource::Tags, "GET" | "HEAD") => Ok(Operation::ListTags),
        (Resource::Referrers(digest), "GET" | "HEAD") => Ok(Operation::ListReferrers(parse_digest(digest)?)),
        (Resource::Blob(digest), "GET") => Ok(Operation::GetBlob(parse_digest(digest)?)),
        (Resource::Blob(digest), "HEAD") => Ok(Operation::HeadBlob(parse_digest(digest)?)),
        (Resource::Blob(digest), "DELETE") => Ok(Operation::DeleteBlob(parse_digest(digest)?)),
        (Resource::Uploads, "POST") => Ok(Operation::StartUpload),
        (Resource::Upload(id), "GET" | "HEAD") => Ok(Operation::UploadStatus(upload_id(name, id)?)),
        (Resource::Upload(id), "PATCH") => Ok(Operation::AppendUpload(upload_id(name, id)?)),
        (Resource::Upload(id), "PUT") => Ok(Operation::CompleteUpload(upload_id(name, id)?)),
        (Resource::Upload(id), "DELETE") => Ok(Operation::CancelUpload(upload_id(name, id)?)),
        (Resource::Manifest(text), "GET") => Ok(Operation::GetManifest(reference(text)?)),
        (Resource::Manifest(text), "HEAD") => Ok(Operation::HeadManifest(reference(text)?)),
        (Resource::Manifest(text), "PUT") => Ok(Operation::PutManifest(reference(text)?)),
        (Resource::Manifest(text), "DELETE") => Ok(Operation::DeleteManifest(reference(text)?)),
        (Resource::Base | Resource::Catalog | Resource::Tags | Resource::Referrers(_), _) => {
            Err(OciError::Method("GET, HEAD"))
        }
        (Resource::Blob(_), _) => Err(OciError::Method("GET, HEAD, DELETE")),
        (Resource::Uploads, _) => Err(OciError::Method("POST")),
        (Resource::Upload(_), _) => Err(OciError::Method("GET, HEAD, PATCH, PUT, DELETE")),
        (Resource::Manifest(_), _) => Err(OciError::Method("GET, HEAD, PUT, DELETE")),
    }
}

/// Decodes one segment. What is no UTF-8 becomes U+FFFD, which no grammar accepts.
fn decode(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

fn repository_name(escaped: &str) -> Result<RepositoryName, OciError> {
    if !escaped.contains('%') {
        return RepositoryName::parse(escaped).map_err(OciError::Name);
    }
    let segments: Vec<Cow<'_, str>> = escaped.split('/').map(decode).collect();
    if segments.iter().any(|segment| segment.contains('/')) {
        return Err(OciError::Name(berth_types::name::NameError::Grammar));
    }
    RepositoryName::parse(&segments.join("/")).map_err(OciError::Name)
}

fn parse_digest(escaped: &str) -> Result<Digest, OciError> {
    Digest::parse(&decode(escaped)).map_err(OciError::Digest)
}

/// What contains a colon is meant as a digest: no tag does.
fn reference(escaped: &str) -> Result<Reference, OciError> {
    let text = decode(escaped);
    if text.contains(':') {
        Digest::parse(&text).map(Reference::Digest).map_err(OciError::Digest)
    } else {
        Tag::parse(&text).map(Reference::Tag).map_err(OciError::Tag)
    }
}

fn upload_id(name: &RepositoryName, escaped: &str) -> Result<UploadId, OciError> {
    let text = decode(escaped);
    UploadId::parse(&text).ok_or_else(|| OciError::UploadId { upload: text.into_owned(), name: name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const UPLOAD: &str = "7f3cbd27-2c3f-4b1f-8d1a-0e6a4a2d9f10";

    fn get(path: &str) -> Result<Route, OciError> {
        parse(&Method::GET, path)
    }

    fn of(name: &str, operation: Operation) -> Route {
        Route::Repository(RepositoryName::parse(name).unwrap(), operation)
    }

    fn digest() -> Digest {
        Digest::sha256(b"")
    }

    fn tag(text: &str) -> Reference {
        Reference::Tag(Tag::parse(text).unwrap())
    }

    #[test]
    fn the_registry_itself() {
        for path in ["/v2", "/v2/"] {
            assert_eq!(get(path).unwrap(), Route::Registry(Operation::Ping), "{path}");
        }
        assert_eq!(get("/v2/_catalog").unwrap(), Route::Registry(Operation::ListRepositories));
        for path in ["/v2x", "/v2//", "/v2/_catalog/", "/v2/_other", "/v2/name", "/v2/name/", "/v1/", "", "/"]
        {
            assert!(matches!(get(path), Err(OciError::Path)), "{path}");
        }
    }

    #[test]
    fn every_method_of_every_resource() {
        let upload = UploadId::parse(UPLOAD).unwrap();
        let manifest = "/v2/shop/api/manifests/v1".to_owned();
        let blob = format!("/v2/shop/api/blobs/sha256:{HEX}");
        let session = format!("/v2/shop/api/blobs/uploads/{UPLOAD}");
        for (method, path, expected) in [
            (Method::GET, &manifest, Operation::GetManifest(tag("v1"))),
            (Method::HEAD, &manifest, Operation::HeadManifest(tag("v1"))),
            (Method::PUT, &manifest, Operation::PutManifest(tag("v1"))),
            (Method::DELETE, &manifest, Operation::DeleteManifest(tag("v1"))),
            (Method::GET, &blob, Operation::GetBlob(digest())),
            (Method::HEAD, &blob, Operation::HeadBlob(digest())),
            (Method::DELETE, &blob, Operation::DeleteBlob(digest())),
            (Method::POST, &"/v2/shop/api/blobs/uploads/".to_owned(), Operation::StartUpload),
            (Method::POST, &"/v2/shop/api/blobs/uploads".to_owned(), Operation::StartUpload),
            (Method::GET, &session, Operation::UploadStatus(upload)),
            (Method::PATCH, &session, Operation::AppendUpload(upload)),
            (Method::PUT, &session, Operation::CompleteUpload(upload)),
            (Method::DELETE, &session, Operation::CancelUpload(upload)),
            (Method::GET, &"/v2/shop/api/tags/list".to_owned(), Operation::ListTags),
            (
                Method::GET,
                &format!("/v2/shop/api/referrers/sha256:{HEX}"),
                Operation::ListReferrers(digest()),
            ),
        ] {
            assert_eq!(parse(&method, path).unwrap(), of("shop/api", expected), "{method} {path}");
        }
        for (path, allowed) in [
            ("/v2/", "GET, HEAD"),
            ("/v2/_catalog", "GET, HEAD"),
            ("/v2/shop/api/tags/list", "GET, HEAD"),
            (blob.as_str(), "GET, HEAD, DELETE"),
            ("/v2/shop/api/blobs/uploads/", "POST"),
            (session.as_str(), "GET, HEAD, PATCH, PUT, DELETE"),
            (manifest.as_str(), "GET, HEAD, PUT, DELETE"),
        ] {
            let refused = parse(&Method::OPTIONS, path);
            assert!(
                matches!(refused, Err(OciError::Method(allow)) if allow == allowed),
                "{path}: {refused:?}"
            );
        }
    }

    #[test]
    fn names_may_contain_the_words_of_the_paths() {
        let words = ["blobs", "manifests", "tags", "list", "uploads", "referrers", "catalog", "v2"];
        let mut names: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        for first in words {
            for second in words {
                names.push(format!("{first}/{second}"));
                names.push(format!("shop/{first}/{second}"));
                names.push(format!("{first}/{second}/shop"));
                names.extend(words.map(|third| format!("{first}/{second}/{third}")));
            }
        }
        let upload = UploadId::parse(UPLOAD).unwrap();
        for name in names {
            for (path, expected) in [
                (format!("/v2/{name}/tags/list"), of(&name, Operation::ListTags)),
                (format!("/v2/{name}/manifests/list"), of(&name, Operation::GetManifest(tag("list")))),
                (format!("/v2/{name}/manifests/uploads"), of(&name, Operation::GetManifest(tag("uploads")))),
                (
                    format!("/v2/{name}/manifests/sha256:{HEX}"),
                    of(&name, Operation::GetManifest(Reference::Digest(digest()))),
                ),
                (format!("/v2/{name}/blobs/sha256:{HEX}"), of(&name, Operation::GetBlob(digest()))),
                (format!("/v2/{name}/referrers/sha256:{HEX}"), of(&name, Operation::ListReferrers(digest()))),
                (format!("/v2/{name}/blobs/uploads/{UPLOAD}"), of(&name, Operation::UploadStatus(upload))),
            ] {
                assert_eq!(get(&path).unwrap(), expected, "{path}");
            }
            let start = parse(&Method::POST, &format!("/v2/{name}/blobs/uploads/")).unwrap();
            assert_eq!(start, of(&name, Operation::StartUpload), "{name}");
        }
    }

    #[test]
    fn escapes_are_undone_once_and_do_not_make_segments() {
        let escaped = format!("/v2/sh%6Fp/api/blobs/sha256%3A{HEX}");
        assert_eq!(get(&escaped).unwrap(), of("shop/api", Operation::GetBlob(digest())));
        let escaped = format!("/v2/shop/manifests/sha256%3a{HEX}");
        assert_eq!(get(&escaped).unwrap(), of("shop", Operation::GetManifest(Reference::Digest(digest()))));
        assert_eq!(get("/v2/shop/manifests/v%31").unwrap(), of("shop", Operation::GetManifest(tag("v1"))));
        for path in [
            "/v2/shop%2Fapi/tags/list",
            "/v2/shop%252Fapi/tags/list",
            "/v2/%2e%2e/tags/list",
            "/v2/shop/%2e%2e/api/tags/list",
            "/v2/sh%C3%B6p/tags/list",
            "/v2/sh%FFop/tags/list",
            "/v2/sh%ZZop/tags/list",
            "/v2/shop%00/tags/list",
            "/v2/shop%20/tags/list",
        ] {
            assert!(matches!(get(path), Err(OciError::Name(_))), "{path}");
        }
        // Words of the path are not looked for behind escapes.
        assert!(matches!(get("/v2/shop/tag%73/list"), Err(OciError::Path)));
    }

    #[test]
    fn bad_names_digests_tags_and_ids() {
        for name in [
            "Shop", "a", "-a", "a..b", "a/../b", ".", "..", "a//b", "/a", "a/", "_a", "a_", "a___b", "a b",
            "",
        ] {
            let path = format!("/v2/{name}/tags/list");
            assert!(matches!(get(&path), Err(OciError::Name(_))), "{path}: {:?}", get(&path));
        }
        assert!(matches!(get("/v2/manifests/x"), Err(OciError::Name(_))));
        assert!(matches!(get("/v2/tags/list"), Err(OciError::Path)), "a path without a name");
        for digest in ["sha256:0", "md5:d41d8cd98f00b204e9800998ecf8427e", "x", "sha256:", ":", "sha256%3A0"]
        {
            let path = format!("/v2/shop/blobs/{digest}");
            assert!(matches!(get(&path), Err(OciError::Digest(_))), "{path}");
        }
        assert!(matches!(get("/v2/shop/manifests/sha256:0"), Err(OciError::Digest(_))));
        let long = "a".repeat(129);
        for tag in [".x", "-x", "a+b", "%20", "a%2Fb", "..", long.as_str()] {
            let path = format!("/v2/shop/manifests/{tag}");
            assert!(matches!(get(&path), Err(OciError::Tag(_))), "{path}");
        }
        for id in ["x", "7f3cbd272c3f4b1f8d1a0e6a4a2d9f10", "manifests", ".."] {
            let path = format!("/v2/shop/blobs/uploads/{id}");
            assert!(matches!(get(&path), Err(OciError::UploadId { .. })), "{path}");
        }
    }

    #[test]
    fn trailing_slashes_are_other_paths() {
        for path in [
            "/v2/shop/tags/list/",
            "/v2/shop/manifests/v1/",
            "/v2/shop/manifests/",
            "/v2/shop/blobs/",
            "/v2/shop/blobs/uploads//",
            "/v2/shop/referrers/",
        ] {
            assert!(matches!(get(path), Err(OciError::Path)), "{path}: {:?}", get(path));
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(path: String, method in proptest::sample::select(vec!["GET", "PUT", "POST", "DELETE"])) {
            let method: Method = method.parse().unwrap();
            let _ = parse(&method, &path);
            let _ = parse(&method, &format!("/v2/{path}"));
        }

        #[test]
        fn whatever_is_read_is_in_the_path(name in "[a-z0-9]{1,5}(/[a-z0-9._-]{1,6}){0,3}", text in "[a-zA-Z0-9._-]{1,9}") {
            let path = format!("/v2/{name}/manifests/{text}");
            if let Ok(Route::Repository(read, Operation::GetManifest(Reference::Tag(tag)))) = get(&path) {
                proptest::prop_assert_eq!(read.as_str(), name);
                proptest::prop_assert_eq!(tag.as_str(), text);
            }
        }
    }
}
