//! A small client of the OCI distribution API that lets a test do what a good client never would.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::image::{Blob, Image, Manifest};

/// A server that says nothing for this long has hung.
const ANSWER_SECONDS_MAX: u64 = 120;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `METHOD /path`, for messages.
    pub request: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// This answer, when its status is one of those.
    ///
    /// # Errors
    /// When it is another one.
    pub fn expect(self, statuses: &[u16]) -> Result<Self> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        bail!("{}: expected {statuses:?}, got {}: {}", self.request, self.status, self.text());
    }

    /// Checks that this is a refusal in the protocol's form: one of those statuses, JSON, and `errors[0].code`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn refused(self, statuses: &[u16], code: &str) -> Result<Self> {
        let answer = self.expect(statuses)?;
        ensure!(
            answer.header("content-type").is_some_and(|value| value.starts_with("application/json")),
            "{}: an error is JSON, got {:?}",
            answer.request,
            answer.headers
        );
        let body: Value = serde_json::from_slice(&answer.body)
            .with_context(|| format!("{}: {}", answer.request, answer.text()))?;
        let error = &body["errors"][0];
        ensure!(
            error["code"] == code,
            "{}: expected {code}, got {}: {}",
            answer.request,
            answer.status,
            answer.text()
        );
        ensure!(
            error["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{}: an error has a message: {}",
            answer.request,
            answer.text()
        );
        Ok(answer)
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header's value, which must be there.
    ///
    /// # Errors
    /// When it is absent.
    pub fn header_required(&self, name: &str) -> Result<&str> {
        self.header(name).with_context(|| {
            format!("{}: no header {name} in {} {:?}", self.request, self.status, self.headers)
        })
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{}: not JSON: {} {}", self.request, self.status, self.text()))
    }

    /// The beginning of the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(600)]).into_owned()
    }
}

/// A registry's `/v2/`, with the credentials of one login.
#[derive(Clone, Debug)]
pub struct Oci {
    http: Client,
    base: String,
    login: Option<(String, String)>,
}

impl Oci {
    /// A client of the registry at `base` (`http://host:port`).
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(base: &str, login: Option<(String, String)>) -> Result<Self> {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .no_proxy()
            .build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), login })
    }

    /// The same registry with other credentials, or none.
    #[must_use]
    pub fn with_login(&self, login: Option<(&str, &str)>) -> Self {
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Self { login, ..self.clone() }
    }

    /// The user and password in use.
    #[must_use]
    pub fn login(&self) -> Option<(&str, &str)> {
        self.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// `http://host:port`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `host:port`.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, host)| host)
    }

    /// A request to a path of this registry, or to a URL that it handed out.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http://") || path.starts_with("https://") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        let request = self.http.request(method, url);
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let request = request.build()?;
        let name = format!("{} {}", request.method(), request.url());
        let response = self.http.execute(request).await.with_context(|| name.clone())?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.bytes().await.with_context(|| format!("{name}: {status}, read the body"))?;
        Ok(Answer { request: name, status, headers, body })
    }

    /// GET.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// HEAD.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn head(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::HEAD, path)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// A repository of this registry.
    #[must_use]
    pub fn repository(&self, name: &str) -> Repository {
        Repository { oci: self.clone(), name: name.to_owned() }
    }
}

/// A repository over the OCI API.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The registry's client.
    pub oci: Oci,
    /// The repository's name.
    pub name: String,
}

impl Repository {
    /// `/v2/<name><rest>`.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/v2/{}{rest}", self.name)
    }

    /// GET of a path under the repository.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn get(&self, rest: &str) -> Result<Answer> {
        self.oci.get(&self.path(rest)).await
    }

    /// HEAD of a path under the repository.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn head(&self, rest: &str) -> Result<Answer> {
        self.oci.head(&self.path(rest)).await
    }

    /// DELETE of a path under the repository.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn delete(&self, rest: &str) -> Result<Answer> {
        self.oci.delete(&self.path(rest)).await
    }

    /// Opens an upload and returns its location.
    ///
    /// # Errors
    /// When it is not answered with 202 and a location.
    pub async fn start_upload(&self) -> Result<String> {
        let request = self.oci.request(Method::POST, &self.path("/blobs/uploads/")).header(CONTENT_LENGTH, 0);
        self.oci.send(request).await?.expect(&[202])?.header_required(LOCATION.as_str()).map(str::to_owned)
    }

    /// Sends a chunk with `Content-Range: <first>-<last>`.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn patch(&self, location: &str, first: usize, chunk: Bytes) -> Result<Answer> {
        let last = first + chunk.len().saturating_sub(1);
        let request = self
            .oci
            .request(Method::PATCH, location)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("Content-Range", format!("{first}-{last}"))
            .body(chunk);
        self.oci.send(request).await
    }

    /// Closes an upload as `digest`, with the last bytes if there are any.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn finish(&self, location: &str, digest: &str, rest: Bytes) -> Result<Answer> {
        let request = self
            .oci
            .request(Method::PUT, &with_query(location, "digest", digest))
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, rest.len())
            .body(rest);
        self.oci.send(request).await
    }

    /// Pushes a blob with POST and PUT.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn push_blob(&self, blob: &Blob) -> Result<Answer> {
        let location = self.start_upload().await?;
        self.finish(&location, &blob.digest, blob.bytes.clone()).await?.expect(&[201])
    }

    /// Puts a manifest under a tag or digest.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn put_manifest(&self, reference: &str, manifest: &Manifest) -> Result<Answer> {
        let request = self
            .oci
            .request(Method::PUT, &self.path(&format!("/manifests/{reference}")))
            .header(CONTENT_TYPE, &manifest.media_type)
            .body(manifest.bytes.clone());
        self.oci.send(request).await
    }

    /// Pushes an image as a client does: blobs, then the manifest under `tag`.
    ///
    /// # Errors
    /// When anything is not accepted.
    pub async fn push_image(&self, tag: &str, image: &Image) -> Result<Answer> {
        for blob in image.blobs() {
            self.push_blob(blob).await?;
        }
        self.put_manifest(tag, &image.manifest).await?.expect(&[201])
    }

    /// GET of a manifest, accepting every media type.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn manifest(&self, reference: &str) -> Result<Answer> {
        let request = self.oci.request(Method::GET, &self.path(&format!("/manifests/{reference}"))).header(
            "Accept",
            [
                crate::image::OCI_MANIFEST,
                crate::image::OCI_INDEX,
                crate::image::DOCKER_MANIFEST,
                crate::image::DOCKER_LIST,
            ]
            .join(", "),
        );
        self.oci.send(request).await
    }

    /// Checks that the image can be pulled whole: the manifest by tag and digest, and every blob.
    ///
    /// # Errors
    /// When a byte of it differs or is missing.
    pub async fn check_image(&self, reference: &str, image: &Image) -> Result<()> {
        let manifest = self.manifest(reference).await?.expect(&[200])?;
        ensure!(manifest.body == image.manifest.bytes, "{}: other bytes than were pushed", manifest.request);
        for blob in image.blobs() {
            let answer = self.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?;
            ensure!(answer.body == blob.bytes, "{}: other bytes than were pushed", answer.request);
        }
        Ok(())
    }

    /// The tags, all pages at once.
    ///
    /// # Errors
    /// When the list is not answered with 200.
    pub async fn tags(&self) -> Result<Vec<String>> {
        let body = self.get("/tags/list").await?.expect(&[200])?.json()?;
        Ok(strings(&body["tags"]))
    }
}

/// `url?name=value`, or `url&name=value` when it has a query.
#[must_use]
pub fn with_query(url: &str, name: &str, value: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{name}={value}")
}

/// The strings of a JSON array.
#[must_use]
pub fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The path and query of the `rel="next"` link of an answer, if there is a next page.
///
/// # Errors
/// When there is a `Link` header that cannot be read.
pub fn next_link(answer: &Answer) -> Result<Option<String>> {
    let Some(link) = answer.header("link") else { return Ok(None) };
    let (target, parameters) = link
        .strip_prefix('<')
        .and_then(|link| link.split_once('>'))
        .with_context(|| format!("{}: Link is {link:?}", answer.request))?;
    ensure!(
        parameters.contains("rel=\"next\"") || parameters.contains("rel=next"),
        "Link without rel=next: {link:?}"
    );
    Ok(Some(target.to_owned()))
}
