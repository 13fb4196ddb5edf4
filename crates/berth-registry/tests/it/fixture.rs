//! A registry on stores in memory or in a temporary directory, and short ways to push things into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_registry::blobs::ContentStream;
use berth_registry::images::{PutManifest, StoredManifest};
use berth_registry::repositories::{CreateRepository, RequestedEncryption};
use berth_registry::uploads::{Chunk, CompletedBlob};
use berth_registry::{
    Caller, Config, Error, ImageId, Principal, Registry, RegistryHost, RepositoryRecord, Result,
};
use berth_store::blob::fs::FsBlobs;
use berth_store::blob::memory::MemoryBlobs;
use berth_store::blob::{BlobStore, ObjectId};
use berth_store::meta::{MetaStore, SqliteMeta};
use berth_store::seal::RootKey;
use berth_types::{
    AccountId, Clock as _, Digest, ManualClock, MediaType, Reference, Region, RegistryId, RepositoryName,
    Tag, TagMutability, Timestamp,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

/// Runs each test on stores in memory and on SQLite and files.
macro_rules! on_each_store {
    ($($test:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::fixture::World::in_memory().await).await;
            })*
        }
        mod on_disk {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::fixture::World::on_disk().await).await;
            })*
        }
    };
}
pub(crate) use on_each_store;

pub(crate) const ROOT_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";

enum Place {
    Memory(MemoryBlobs),
    Disk(tempfile::TempDir),
}

pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) caller: Caller,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) meta: Arc<dyn MetaStore>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    place: Place,
}

impl World {
    pub(crate) async fn in_memory() -> Self {
        let objects = MemoryBlobs::new();
        Self::on(Place::Memory(objects.clone()), Arc::new(objects)).await
    }

    /// In memory, with `around` between the registry and the objects.
    pub(crate) async fn in_memory_behind(
        around: impl FnOnce(Arc<dyn BlobStore>) -> Arc<dyn BlobStore>,
    ) -> Self {
        let objects = MemoryBlobs::new();
        let blobs = around(Arc::new(objects.clone()));
        Self::on(Place::Memory(objects), blobs).await
    }

    pub(crate) async fn on_disk() -> Self {
        Self::on_disk_behind(|files| files).await
    }

    /// On disk, with `around` between the registry and the files.
    pub(crate) async fn on_disk_behind(
        around: impl FnOnce(Arc<dyn BlobStore>) -> Arc<dyn BlobStore>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let blobs = around(Arc::new(FsBlobs::open(directory.path()).unwrap()));
        Self::on(Place::Disk(directory), blobs).await
    }

    async fn on(place: Place, blobs: Arc<dyn BlobStore>) -> Self {
        let meta: Arc<dyn MetaStore> = match &place {
            Place::Memory(_) => Arc::new(SqliteMeta::in_memory().unwrap()),
            Place::Disk(directory) => Arc::new(SqliteMeta::open(&directory.path().join("meta.db")).unwrap()),
        };
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let registry = open(&meta, &blobs, &clock).await;
        let caller = caller("123456789012", "123456789012");
        Self { registry, caller, clock, meta, blobs, place }
    }

    /// As after a restart: a new registry on the same stores.
    pub(crate) async fn restart(&mut self) {
        self.clock.advance(Duration::from_secs(1));
        self.registry = open(&self.meta, &self.blobs, &self.clock).await;
    }

    /// How many objects there are, finished or not, named by the metadata or not.
    pub(crate) fn objects(&self) -> usize {
        match &self.place {
            Place::Memory(objects) => objects.objects().len(),
            Place::Disk(_) => self.files().len(),
        }
    }

    /// All stored bytes of all objects and of the database.
    pub(crate) fn stored_bytes(&self) -> Vec<u8> {
        match &self.place {
            Place::Memory(objects) => {
                let all = objects.objects().into_iter().filter_map(|object: ObjectId| objects.bytes(object));
                all.flat_map(|bytes| bytes.to_vec()).collect()
            }
            Place::Disk(directory) => {
                let mut files = self.files();
                files.extend(
                    ["meta.db", "meta.db-wal"]
                        .map(|name| directory.path().join(name))
                        .into_iter()
                        .filter(|f| f.exists()),
                );
                files.into_iter().flat_map(|file| std::fs::read(file).unwrap()).collect()
            }
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let Place::Disk(directory) = &self.place else { return Vec::new() };
        let mut files = Vec::new();
        let mut directories = vec![directory.path().join("blobs")];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { directories.push(path) } else { files.push(path) }
            }
        }
        files
    }

    pub(crate) async fn create(&self, repository: &str) -> RepositoryName {
        self.create_with(repository, TagMutability::mutable(), RequestedEncryption::Aes256)
            .await
            .unwrap()
            .name
    }

    pub(crate) async fn create_with(
        &self,
        repository: &str,
        mutability: TagMutability,
        encryption: RequestedEncryption,
    ) -> Result<RepositoryRecord> {
        let request = CreateRepository {
            name: name(repository),
            tags: Vec::new(),
            mutability,
            scan_on_push: false,
            encryption,
        };
        self.registry.create_repository(&self.caller, request).await
    }

    pub(crate) async fn push_blob(
        &self,
        repository: &RepositoryName,
        content: &[u8],
    ) -> Result<CompletedBlob> {
        let digest = Digest::sha256(content);
        self.registry.put_blob(&self.caller, repository, chunk(content), &digest).await
    }

    /// Pushes an image of one layer and an empty config, with its blobs.
    pub(crate) async fn push_image(
        &self,
        repository: &RepositoryName,
        layer: &str,
        tags: &[&str],
    ) -> Result<StoredManifest> {
        for content in ["{}", layer] {
            self.push_blob(repository, content.as_bytes()).await?;
        }
        self.push_manifest(repository, &image(layer, json!({})), tags).await
    }

    pub(crate) async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &Bytes,
        tags: &[&str],
    ) -> Result<StoredManifest> {
        let tags = tags.iter().map(|text| tag(text)).collect();
        let manifest = PutManifest { bytes: manifest.clone(), declared: None, digest: None, tags };
        self.registry.put_manifest(&self.caller, repository, manifest).await
    }

    pub(crate) async fn pull(&self, repository: &RepositoryName, reference: &str) -> Result<Bytes> {
        let found = self.registry.manifest(&self.caller, repository, &reference_to(reference)).await?;
        assert!(found.digest.matches(&found.bytes));
        Ok(found.bytes)
    }

    pub(crate) async fn read(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<u8>> {
        let (head, stream) = self.registry.read_blob(&self.caller, repository, digest, None).await?;
        let content = collect(stream).await?;
        assert_eq!(head.bytes, content.len() as u64);
        Ok(content)
    }

    pub(crate) fn later(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(crate) fn config() -> Config {
    Config {
        default_registry: registry_id("123456789012", "us-east-1"),
        host: RegistryHost::parse("localhost:{port}", 5000, false).unwrap(),
        undo_window: berth_registry::lifecycle::UNDO_WINDOW_DEFAULT,
    }
}

async fn open(meta: &Arc<dyn MetaStore>, blobs: &Arc<dyn BlobStore>, clock: &Arc<ManualClock>) -> Registry {
    let root_key = RootKey::from_text(ROOT_KEY).unwrap();
    Registry::open(config(), meta.clone(), blobs.clone(), root_key, clock.clone()).await.unwrap()
}

/// A principal of one account that asks about the registry of another.
pub(crate) fn caller(principal: &str, registry: &str) -> Caller {
    let account = AccountId::parse(principal).unwrap();
    let arn = format!("arn:aws:iam::{account}:root");
    Caller {
        principal: Principal { account, arn, user_id: account.to_string() },
        registry: registry_id(registry, "us-east-1"),
    }
}

pub(crate) fn registry_id(account: &str, region: &str) -> RegistryId {
    RegistryId { account: AccountId::parse(account).unwrap(), region: Region::parse(region).unwrap() }
}

pub(crate) fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

pub(crate) fn by_tag(text: &str) -> ImageId {
    ImageId { digest: None, tag: Some(tag(text)) }
}

pub(crate) fn by_digest(digest: Digest) -> ImageId {
    ImageId { digest: Some(digest), tag: None }
}

pub(crate) fn by_both(digest: Digest, text: &str) -> ImageId {
    ImageId { digest: Some(digest), tag: Some(tag(text)) }
}

pub(crate) fn reference_to(text: &str) -> Reference {
    match Digest::parse(text) {
        Ok(digest) => Reference::Digest(digest),
        Err(_) => Reference::Tag(tag(text)),
    }
}

/// A chunk that says nothing about itself.
pub(crate) fn chunk(content: &[u8]) -> Chunk<'static> {
    pieces(vec![Ok(Bytes::copy_from_slice(content))])
}

/// A chunk that arrives in these pieces.
pub(crate) fn pieces(
    pieces: Vec<std::result::Result<Bytes, berth_registry::error::BodyError>>,
) -> Chunk<'static> {
    Chunk { body: stream::iter(pieces).boxed(), first_byte: None, bytes: None }
}

/// A chunk that never goes on after `content`.
pub(crate) fn stalled(content: &[u8]) -> Chunk<'static> {
    let first = stream::iter([Ok(Bytes::copy_from_slice(content))]);
    Chunk { body: first.chain(stream::pending()).boxed(), first_byte: None, bytes: None }
}

pub(crate) async fn collect(stream: ContentStream) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat())
}

pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(content), "size": content.len()})
}

/// An image manifest with the config `{}` and one layer; `members` are added to it.
pub(crate) fn image(layer: &str, members: Value) -> Bytes {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": descriptor(MediaType::OCI_IMAGE_CONFIG, b"{}"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer.as_bytes())],
    });
    add(&mut manifest, members);
    manifest.to_string().into()
}

/// An index of image manifests.
pub(crate) fn index(children: &[&Bytes], members: Value) -> Bytes {
    let children: Vec<_> = children.iter().map(|child| descriptor(MediaType::OCI_MANIFEST, child)).collect();
    let mut manifest = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children});
    add(&mut manifest, members);
    manifest.to_string().into()
}

fn add(manifest: &mut Value, members: Value) {
    let Value::Object(members) = members else { panic!("members are an object") };
    manifest.as_object_mut().unwrap().extend(members);
}

/// The error's text, which must be of the given variant.
#[macro_export]
macro_rules! assert_error {
    ($result:expr, $pattern:pat) => {
        match $result {
            Err($pattern) => {}
            Err(other) => panic!("another error: {other:?}"),
            Ok(_) => panic!("no error"),
        }
    };
}

/// The repository that is in no test.
pub(crate) fn nowhere() -> RepositoryName {
    name("no/where")
}

pub(crate) fn text(error: Result<impl Sized>) -> String {
    match error {
        Err(error) => error.to_string(),
        Ok(_) => panic!("no error"),
    }
}

/// Asserts that a call about a repository that does not exist says so.
pub(crate) fn assert_no_repository(result: Result<impl Sized>) {
    assert!(
        matches!(&result, Err(Error::RepositoryNotFound { .. })),
        "{:?}",
        result.err().map(|error| error.to_string())
    );
}
