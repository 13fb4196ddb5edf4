//! A server on in-memory stores for the tests of the ECR API, and a client that says exactly what is to be sent.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use berth_registry::{Config, Registry, RegistryHost};
use berth_server::{ServerOptions, serve};
use berth_store::blob::memory::MemoryBlobs;
use berth_store::meta::SqliteMeta;
use berth_store::seal::RootKey;
use berth_types::{AccountId, Digest, ManualClock, Region, RegistryId, Timestamp};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921";
/// 2026-11-23 12:00 UTC, at which the registry's clock stands.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_435_200_000);

/// Every operation that there is.
pub(crate) const OPERATIONS: [&str; 24] = [
    "BatchCheckLayerAvailability",
    "BatchDeleteImage",
    "BatchGetImage",
    "CompleteLayerUpload",
    "CreateRepository",
    "DeleteLifecyclePolicy",
    "DeleteRepository",
    "DescribeImages",
    "DescribeRepositories",
    "GetAuthorizationToken",
    "GetDownloadUrlForLayer",
    "GetLifecyclePolicy",
    "GetLifecyclePolicyPreview",
    "InitiateLayerUpload",
    "ListImages",
    "ListTagsForResource",
    "PutImage",
    "PutImageScanningConfiguration",
    "PutImageTagMutability",
    "PutLifecyclePolicy",
    "StartLifecyclePolicyPreview",
    "TagResource",
    "UntagResource",
    "UploadLayerPart",
];

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) clock: Arc<ManualClock>,
    client: reqwest::Client,
    serving: tokio::task::JoinHandle<()>,
    _metadata: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metadata = tempfile::tempdir().unwrap();
        let config = Config {
            undo_window: berth_registry::lifecycle::UNDO_WINDOW_DEFAULT,
            default_registry: RegistryId {
                account: AccountId::parse(ACCOUNT).unwrap(),
                region: Region::parse("us-east-1").unwrap(),
            },
            host: RegistryHost::parse("{account}.dkr.ecr.{region}.amazonaws.com", address.port(), false)
                .unwrap(),
        };
        let clock = Arc::new(ManualClock::new(NOW));
        let meta = Arc::new(SqliteMeta::open(&metadata.path().join("meta.sqlite")).unwrap());
        let blobs = Arc::new(MemoryBlobs::new());
        let root_key = RootKey::generate().unwrap();
        let registry =
            Registry::open(config, meta, blobs, root_key, Arc::<ManualClock>::clone(&clock)).await.unwrap();
        let serving = tokio::spawn(async move {
            let pull_flush_interval = Duration::from_millis(20);
            let options = ServerOptions { pull_flush_interval, ..ServerOptions::default() };
            serve(listener, registry, options, std::future::pending()).await.unwrap();
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url: format!("http://{address}"), clock, client, serving, _metadata: metadata }
    }

    /// A server with the repository `shop/api`.
    pub(crate) async fn with_repository() -> Self {
        let server = Self::start().await;
        server.ok("CreateRepository", json!({"repositoryName": "shop/api"})).await;
        server
    }

    /// A request to the root, as it is.
    pub(crate) fn request(&self, method: Method) -> RequestBuilder {
        self.client.request(method, &self.url)
    }

    /// A GET of some URL.
    pub(crate) async fn get(&self, url: &str) -> (StatusCode, Vec<u8>) {
        let response = self.client.get(url).send().await.unwrap();
        (response.status(), response.bytes().await.unwrap().to_vec())
    }

    /// A signed call with any body.
    pub(crate) async fn raw(&self, operation: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.raw_as(operation, body, "AKIAIOSFODNN7EXAMPLE", "us-east-1").await
    }

    /// The same with any key and region.
    pub(crate) async fn raw_as(
        &self,
        operation: &str,
        body: impl Into<reqwest::Body>,
        key: &str,
        region: &str,
    ) -> Answer {
        let request = self
            .request(Method::POST)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("{TARGET}.{operation}"))
            .header("x-amz-date", "20261123T120000Z")
            .header("authorization", authorization(key, region, "ecr"))
            .body(body);
        Answer::of(request).await
    }

    pub(crate) async fn call(&self, operation: &str, input: Value) -> Answer {
        self.raw(operation, input.to_string()).await
    }

    /// A call that must succeed.
    pub(crate) async fn ok(&self, operation: &str, input: Value) -> Value {
        let answer = self.call(operation, input).await;
        assert_eq!(answer.status, StatusCode::OK, "{operation}: {}", answer.body);
        answer.body
    }

    /// `__type` and message of a call that must be refused with 400.
    pub(crate) async fn refused(&self, operation: &str, input: Value) -> (String, String) {
        let answer = self.call(operation, input).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{operation}: {}", answer.body);
        let text = |member: &str| answer.body[member].as_str().unwrap_or_default().to_owned();
        (text("__type"), text("message"))
    }

    /// Uploads a layer in one part.
    pub(crate) async fn push_layer(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let upload = self.ok("InitiateLayerUpload", json!({"repositoryName": repository})).await;
        let mut input = json!({"repositoryName": repository, "uploadId": upload["uploadId"]});
        input["partFirstByte"] = 0.into();
        input["partLastByte"] = (content.len() - 1).into();
        input["layerPartBlob"] = base64(content).into();
        self.ok("UploadLayerPart", input).await;
        let input =
            json!({"repositoryName": repository, "uploadId": upload["uploadId"], "layerDigests": [digest]});
        self.ok("CompleteLayerUpload", input).await;
        digest
    }

    /// Uploads an image of one config and one layer; returns the manifest's text.
    pub(crate) async fn push_image(&self, repository: &str, content: &str, tag: Option<&str>) -> String {
        let manifest = image(content);
        for layer in [&format!("{{\"of\":\"{content}\"}}"), content] {
            let digest = Digest::sha256(layer.as_bytes());
            let input = json!({"repositoryName": repository, "layerDigests": [digest]});
            let found = self.ok("BatchCheckLayerAvailability", input).await;
            if found["layers"][0]["layerAvailability"] != "AVAILABLE" {
                self.push_layer(repository, layer.as_bytes()).await;
            }
        }
        let mut input = json!({"repositoryName": repository, "imageManifest": manifest});
        if let Some(tag) = tag {
            input["imageTag"] = tag.into();
        }
        self.ok("PutImage", input).await;
        manifest
    }
}

/// The manifest of an image of one config and one layer, both made of `content`.
pub(crate) fn image(content: &str) -> String {
    let config = format!("{{\"of\":\"{content}\"}}");
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", content.as_bytes())],
    })
    .to_string()
}

pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(content), "size": content.len()})
}

pub(crate) fn base64(content: &[u8]) -> String {
    data_encoding::BASE64.encode(content)
}

/// A well-formed signature that nobody checks.
pub(crate) fn authorization(key: &str, region: &str, service: &str) -> String {
    let signature = "0".repeat(64);
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20261123/{region}/{service}/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={signature}"
    )
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Answer {
    /// Sends a request and checks what every answer of the JSON protocol has.
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("content-type").as_deref(), Some("application/x-amz-json-1.1"));
        assert_eq!(header("x-amzn-requestid").map(|id| id.len()), Some(36));
        let status = response.status();
        let text = response.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        Self { status, body }
    }
}

/// What was asked and what was answered, for a snapshot.
pub(crate) struct Transcript<'a> {
    server: &'a Server,
    text: String,
    /// Upload ids that the server gave, and may repeat in messages.
    uploads: Vec<String>,
}

impl<'a> Transcript<'a> {
    pub(crate) const fn new(server: &'a Server) -> Self {
        Self { server, text: String::new(), uploads: Vec::new() }
    }

    pub(crate) async fn call(&mut self, operation: &str, input: Value) -> Value {
        let answer = self.server.call(operation, input.clone()).await;
        if let Some(id) = answer.body["uploadId"].as_str() {
            assert!(berth_types::UploadId::parse(id).is_some(), "{id}");
            self.uploads.push(id.to_owned());
        }
        let body = redacted(answer.body.clone());
        let body = serde_json::to_string_pretty(&body).unwrap();
        writeln!(self.text, "> {operation} {}\n{} {body}\n", redacted(input), answer.status.as_u16())
            .unwrap();
        answer.body
    }

    pub(crate) fn text(self) -> String {
        let text = self.text.replace(&self.server.url, "http://SERVER");
        self.uploads.iter().fold(text, |text, id| text.replace(id, "UPLOAD-ID"))
    }
}

/// Replaces what is random, after checking that it looks as it must.
fn redacted(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => *items = items.drain(..).map(redacted).collect(),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                *member = match (name.as_str(), member.as_str()) {
                    ("authorizationToken", Some(text)) => {
                        let decoded = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
                        assert!(decoded.starts_with(b"AWS:") && decoded.len() > 20);
                        "TOKEN".into()
                    }
                    ("nextToken", Some(_)) => "NEXT-TOKEN".into(),
                    ("layerPartBlob", Some(text)) if text.len() > 100 => "LARGE BLOB".into(),
                    ("downloadUrl", Some(text)) => {
                        let (path, query) = text.split_once('?').unwrap();
                        assert!(query.len() > 20, "{query}");
                        format!("{path}?QUERY").into()
                    }
                    _ => redacted(member.take()),
                };
            }
        }
        _ => {}
    }
    value
}
