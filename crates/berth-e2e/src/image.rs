//! Small images built in memory: blobs of reproducible bytes, manifests, indexes, and their digests.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

/// Media type of an OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of an OCI layer, uncompressed tar.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Media type of an OCI layer, tar with gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Media type of an OCI layer, tar with zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Media type of the empty JSON object that artifacts use as config.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Media type of a Docker schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of a Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Media type of a Docker image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Media type of a Docker layer.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// `sha256:<hex>` of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)))
}

/// `sha512:<hex>` of `bytes`.
#[must_use]
pub fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", HEXLOWER.encode(&Sha512::digest(bytes)))
}

/// `size` bytes that do not compress and are the same on every run for the same `seed`.
#[must_use]
pub fn noise(seed: &str, size: usize) -> Bytes {
    let hash = Sha256::digest(seed.as_bytes());
    let mut state = hash.iter().take(8).fold(1_u64, |acc, byte| (acc << 8) | u64::from(*byte)) | 1;
    let mut out = Vec::with_capacity(size + 8);
    while out.len() < size {
        // xorshift64*: quick, and good enough to be incompressible.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    out.truncate(size);
    Bytes::from(out)
}

/// Bytes with their SHA-256 digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// The content.
    pub bytes: Bytes,
    /// `sha256:<hex>`.
    pub digest: String,
}

impl Blob {
    /// A blob of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        Self { bytes, digest }
    }

    /// A blob of [`noise`].
    #[must_use]
    pub fn noise(seed: &str, size: usize) -> Self {
        Self::new(noise(seed, size))
    }

    /// The empty JSON object, the config of most artifacts.
    #[must_use]
    pub fn empty_json() -> Self {
        Self::new(&b"{}"[..])
    }

    /// A descriptor of this blob.
    #[must_use]
    pub fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// A manifest as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The value of `Content-Type`.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Bytes,
    /// `sha256:<hex>` of the bytes.
    pub digest: String,
}

impl Manifest {
    /// A manifest of this JSON; the media type is its `mediaType` member, or OCI's image manifest.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let media_type = document["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
        Self::raw(&media_type, document.to_string())
    }

    /// A manifest of these bytes under that media type, right or wrong.
    #[must_use]
    pub fn raw(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        Self { media_type: media_type.to_owned(), bytes, digest }
    }

    /// A descriptor of this manifest, for an index or a subject.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }

    /// The manifest as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// An image: its blobs and the manifest that names them.
#[derive(Clone, Debug)]
pub struct Image {
    /// The configuration.
    pub config: Blob,
    /// The layers, lowest first.
    pub layers: Vec<Blob>,
    /// The manifest.
    pub manifest: Manifest,
}

impl Image {
    /// An OCI image with `layers` layers of 4 KiB, different for every `seed`.
    #[must_use]
    pub fn oci(seed: &str, layers: usize) -> Self {
        let config = Blob::new(config_json(seed));
        let layers: Vec<Blob> =
            (0..layers).map(|n| Blob::noise(&format!("{seed} layer {n}"), 4096)).collect();
        let manifest = Manifest::of(&oci_manifest_json(&config, &layers));
        Self { config, layers, manifest }
    }

    /// The same in Docker's schema 2.
    #[must_use]
    pub fn docker(seed: &str) -> Self {
        let config = Blob::new(config_json(seed));
        let layers = vec![Blob::noise(&format!("{seed} docker layer"), 4096)];
        let manifest = Manifest::of(&json!({
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": config.descriptor(DOCKER_CONFIG),
            "layers": layers.iter().map(|layer| layer.descriptor(DOCKER_LAYER)).collect::<Vec<_>>(),
        }));
        Self { config, layers, manifest }
    }

    /// An artifact of this type, attached to `subject` when there is one.
    #[must_use]
    pub fn artifact(seed: &str, artifact_type: &str, subject: Option<&Manifest>) -> Self {
        let config = Blob::empty_json();
        let layers = vec![Blob::noise(&format!("{seed} artifact"), 256)];
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": config.descriptor(OCI_EMPTY),
            "layers": layers.iter().map(|layer| layer.descriptor("application/octet-stream")).collect::<Vec<_>>(),
            "annotations": {"org.example.seed": seed},
        });
        if let Some(subject) = subject {
            document["subject"] = subject.descriptor();
        }
        Self { config, layers, manifest: Manifest::of(&document) }
    }

    /// Config and layers, in the order a client pushes them.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().chain(std::iter::once(&self.config))
    }
}

/// The configuration of an image that runs nowhere.
#[must_use]
pub fn config_json(seed: &str) -> String {
    json!({"architecture": "amd64", "os": "linux", "config": {"Labels": {"seed": seed}}, "rootfs": {"type": "layers", "diff_ids": []}})
        .to_string()
}

/// The JSON of an OCI image manifest, for tests that want to change something in it.
#[must_use]
pub fn oci_manifest_json(config: &Blob, layers: &[Blob]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(OCI_CONFIG),
        "layers": layers.iter().map(|layer| layer.descriptor(OCI_LAYER_GZIP)).collect::<Vec<_>>(),
    })
}

/// An OCI index of these manifests, each under its own architecture.
#[must_use]
pub fn index(children: &[&Manifest]) -> Manifest {
    let architectures = ["amd64", "arm64", "riscv64", "s390x"];
    let manifests: Vec<Value> = children
        .iter()
        .zip(architectures.iter().cycle())
        .map(|(child, architecture)| {
            let mut descriptor = child.descriptor();
            descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
            descriptor
        })
        .collect();
    Manifest::of(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}))
}
