//! A server on a port of its own, and what a test says to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_registry::repositories::{CreateRepository, RequestedEncryption};
use berth_registry::{Caller, Config, Principal, Registry, RegistryHost};
use berth_server::{ServeError, ServerOptions, Timeouts};
use berth_store::blob::memory::MemoryBlobs;
use berth_store::meta::SqliteMeta;
use berth_store::seal::RootKey;
use berth_types::{Clock, Digest, ManualClock, RegistryId, SystemClock, TagMutability, TagMutabilityMode};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry with repositories `shop/api` and `shop/web`.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) caller: Caller,
    pub(crate) password: String,
    pub(crate) clock: Arc<ManualClock>,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
    _metadata: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(ServerOptions::default()).await
    }

    /// A server that loses patience soon.
    pub(crate) async fn impatient() -> Self {
        let patience = Duration::from_millis(300);
        let timeouts = Timeouts { head: patience, idle: patience, linger: patience };
        Self::with(ServerOptions { timeouts, ..ServerOptions::default() }).await
    }

    pub(crate) async fn with(options: ServerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let default_registry =
            RegistryId { account: "123456789012".parse().unwrap(), region: "eu-west-1".parse().unwrap() };
        let config = Config {
            undo_window: berth_registry::lifecycle::UNDO_WINDOW_DEFAULT,
            host: RegistryHost::parse("localhost:{port}", address.port(), false).unwrap(),
            default_registry: default_registry.clone(),
        };
        let metadata = tempfile::tempdir().unwrap();
        let meta = Arc::new(SqliteMeta::open(&metadata.path().join("meta.sqlite")).unwrap());
        let blobs = Arc::new(MemoryBlobs::new());
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let shown: Arc<dyn Clock> = clock.clone();
        let registry =
            Registry::open(config, meta, blobs, RootKey::generate().unwrap(), shown).await.unwrap();

        let account = default_registry.account;
        let arn = format!("arn:aws:iam::{account}:root");
        let principal = Principal { account, arn, user_id: account.to_string() };
        let caller = Caller { principal, registry: default_registry };
        let password = registry.issue_token(&caller).unwrap().password;
        let (stop, stopped) = oneshot::channel();
        let serving = registry.clone();
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            berth_server::serve(listener, serving, options, stopped).await
        });
        let client = Client::builder().build().unwrap();
        let server = Self {
            address,
            registry,
            caller,
            password,
            clock,
            client,
            stop: Some(stop),
            task,
            _metadata: metadata,
        };
        for name in ["shop/api", "shop/web"] {
            server.create(name, TagMutabilityMode::Mutable).await;
        }
        server
    }

    pub(crate) async fn create(&self, name: &str, mode: TagMutabilityMode) {
        let request = CreateRepository {
            name: name.parse().unwrap(),
            tags: Vec::new(),
            mutability: TagMutability::new(mode, Vec::new()).unwrap(),
            scan_on_push: false,
            encryption: RequestedEncryption::default(),
        };
        self.registry.create_repository(&self.caller, request).await.unwrap();
    }

    /// A request without credentials.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// A request with a docker token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).basic_auth("AWS", Some(&self.password))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn send(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.unwrap()
    }

    /// Pushes a blob in one request and returns its digest.
    pub(crate) async fn push_blob(&self, name: &str, content: impl AsRef<[u8]>) -> Digest {
        let content = content.as_ref().to_vec();
        let digest = Digest::sha256(&content);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let response = self.request(Method::POST, &path).body(content).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        digest
    }

    /// Starts an upload and returns its path.
    pub(crate) async fn start_upload(&self, name: &str) -> String {
        let response = self.send(Method::POST, &format!("/v2/{name}/blobs/uploads/")).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        header(&response, "location").to_owned()
    }

    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        media_type: &str,
        text: &str,
    ) -> Response {
        let path = format!("/v2/{name}/manifests/{reference}");
        let request = self.request(Method::PUT, &path).header("content-type", media_type);
        request.body(text.to_owned()).send().await.unwrap()
    }

    /// Pushes an image of one layer under a tag, and returns the manifest's text.
    pub(crate) async fn push_image(&self, name: &str, tag: &str, layer: &str) -> String {
        let text = self.image(name, layer, None).await;
        let response = self.put_manifest(name, tag, MANIFEST, &text).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{}", response.text().await.unwrap());
        text
    }

    /// The manifest of an image whose config and layer are in the repository.
    pub(crate) async fn image(&self, name: &str, layer: &str, subject: Option<&str>) -> String {
        let config = self.push_blob(name, "{}").await;
        let layer_digest = self.push_blob(name, layer).await;
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": layer_digest,
                "size": layer.len()
            }],
        });
        if let Some(subject) = subject {
            manifest["subject"] = json!({
                "mediaType": MANIFEST,
                "digest": Digest::sha256(subject.as_bytes()),
                "size": subject.len()
            });
        }
        manifest.to_string()
    }

    /// Sends bytes as they are and reads until the server closes, or for ten seconds.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect().await;
        socket.write_all(bytes).await.unwrap();
        read_to_close(&mut socket).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The `Authorization` header as a raw request writes it.
    pub(crate) fn authorization(&self) -> String {
        let credentials = format!("AWS:{}", self.password);
        format!("Authorization: Basic {}\r\n", data_encoding::BASE64.encode(credentials.as_bytes()))
    }

    /// Asks the server to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has.
    pub(crate) async fn stopped(self) {
        let stopped = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        stopped.expect("the server stops").unwrap().unwrap();
    }
}

/// Everything that still comes on a connection. A reset is an end like any other.
pub(crate) async fn read_to_close(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = socket.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            answer.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The value of a header that must be there.
pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no {name} in {response:?}"));
    value.to_str().unwrap()
}

/// Checks a refusal: status, code and form.
pub(crate) async fn refused(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
    assert!(!header(&response, "x-request-id").is_empty());
    assert_eq!(header(&response, "content-type"), "application/json");
    let found = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!((found, body["errors"][0]["code"].as_str().unwrap()), (status, code), "{body}");
    assert!(!body["errors"][0]["message"].as_str().unwrap().is_empty());
    body["errors"][0].clone()
}
