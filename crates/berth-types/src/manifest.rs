//! Reading manifests: what a manifest is, what it refers to, and what is wrong with one.
//!
//! A manifest is stored and served byte for byte as it was pushed. What is parsed here is only what the registry needs to
//! know: the kind, the references and the subject. Unknown members are allowed, as the OCI image specification demands.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::{Digest, DigestError};
use crate::limits;
use crate::media_type::{ManifestKind, MediaType};

/// What a manifest says about some other content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: MediaType,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes, as the manifest claims it.
    pub size: u64,
}

/// The references of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestBody {
    /// An image or artifact.
    Image {
        /// The configuration blob.
        config: Descriptor,
        /// The layers, base first.
        layers: Vec<Descriptor>,
    },
    /// An index or manifest list.
    Index {
        /// The manifests it lists.
        manifests: Vec<Descriptor>,
    },
}

/// A manifest that has been read and found in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The media type, from the text or, if absent there, as the client declared it.
    pub media_type: MediaType,
    /// What it refers to.
    pub body: ManifestBody,
    /// The manifest that this one is about (OCI referrers).
    pub subject: Option<Descriptor>,
    /// `artifactType`, as written.
    pub artifact_type: Option<String>,
    /// Annotations, which the referrers list repeats.
    pub annotations: BTreeMap<String, String>,
}

/// Why some bytes are not a manifest that this registry stores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Longer than [`limits::MANIFEST_BYTES_MAX`].
    #[error("manifest has {0} bytes, more than the {max} allowed", max = limits::MANIFEST_BYTES_MAX)]
    TooLarge(usize),
    /// Not JSON of the right shape; the text says where.
    #[error("manifest is not valid JSON: {0}")]
    Json(String),
    /// Neither the text nor the client says what it is.
    #[error("manifest has no mediaType and none was declared")]
    MediaTypeMissing,
    /// A media type that is not a manifest's, or one that is no longer stored.
    #[error("media type {0:?} is not a manifest type that this registry stores")]
    MediaTypeUnsupported(MediaType),
    /// Declared as one thing, written as another.
    #[error("manifest says mediaType {written:?} but was declared as {declared:?}")]
    MediaTypeMismatch {
        /// What the text says.
        written: MediaType,
        /// What the client says.
        declared: MediaType,
    },
    /// `schemaVersion` is not 2.
    #[error("schemaVersion is {0}, not 2")]
    SchemaVersion(u64),
    /// A member that this kind of manifest needs is absent.
    #[error("manifest has no {0:?}")]
    Missing(&'static str),
    /// A member of the other kind is present, so that two readers could disagree about what it is (CVE-2021-41190).
    #[error("manifest of type {media_type:?} must not have {member:?}")]
    Ambiguous {
        /// What the manifest is.
        media_type: MediaType,
        /// The member that does not belong.
        member: &'static str,
    },
    /// A descriptor's digest is malformed.
    #[error("{member} has a bad digest {text:?}")]
    Digest {
        /// Which descriptor.
        member: String,
        /// What it says.
        text: String,
        /// What is wrong with it.
        #[source]
        source: DigestError,
    },
    /// A size that no content can have.
    #[error("{member} has size {size}")]
    Size {
        /// Which descriptor.
        member: String,
        /// What it says.
        size: i64,
    },
    /// More descriptors than [`limits::MANIFEST_DESCRIPTORS_MAX`].
    #[error("manifest has {0} descriptors, more than the {max} allowed", max = limits::MANIFEST_DESCRIPTORS_MAX)]
    TooManyDescriptors(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
    subject: Option<RawDescriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: Option<String>,
    digest: String,
    size: i64,
}

impl Manifest {
    /// Reads `bytes`. `declared` is the `Content-Type` of a push or `imageManifestMediaType`, if there is one.
    ///
    /// # Errors
    /// [`ManifestError`] says what is wrong. Nothing about the references' existence is checked here.
    pub fn parse(bytes: &[u8], declared: Option<&MediaType>) -> Result<Self, ManifestError> {
        if bytes.len() > limits::MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        // Deserialising a struct would take a JSON array of its members, too.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(ManifestError::Json("a manifest is a JSON object".to_owned()));
        }
        let raw: RawManifest =
            serde_json::from_slice(bytes).map_err(|error| ManifestError::Json(error.to_string()))?;
        let media_type = media_type_of(&raw, declared)?;
        let kind = media_type
            .manifest_kind()
            .ok_or_else(|| ManifestError::MediaTypeUnsupported(media_type.clone()))?;
        match raw.schema_version {
            Some(2) => {}
            Some(other) => return Err(ManifestError::SchemaVersion(other)),
            None => return Err(ManifestError::Missing("schemaVersion")),
        }
        let body = match kind {
            ManifestKind::Image => {
                refuse(raw.manifests.is_some(), &media_type, "manifests")?;
                image_body(raw.config, raw.layers)?
            }
            ManifestKind::Index => {
                refuse(raw.layers.is_some(), &media_type, "layers")?;
                refuse(raw.config.is_some(), &media_type, "config")?;
                index_body(raw.manifests)?
            }
        };
        refuse(raw.fs_layers.is_some(), &media_type, "fsLayers")?;
        let subject = raw.subject.map(|subject| descriptor(subject, || "subject".to_owned())).transpose()?;
        let annotations = raw.annotations.unwrap_or_default();
        Ok(Self { media_type, body, subject, artifact_type: raw.artifact_type, annotations })
    }

    /// Image or index.
    #[must_use]
    pub const fn kind(&self) -> ManifestKind {
        match self.body {
            ManifestBody::Image { .. } => ManifestKind::Image,
            ManifestBody::Index { .. } => ManifestKind::Index,
        }
    }

    /// The blobs that must be in the repository before this manifest is: config and layers, but not layers that may live
    /// elsewhere. In order, repetitions included.
    pub fn required_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs().filter(|blob| !blob.media_type.is_non_distributable())
    }

    /// Every blob that this manifest names: config, then layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers) = match &self.body {
            ManifestBody::Image { config, layers } => (Some(config), layers.as_slice()),
            ManifestBody::Index { .. } => (None, &[][..]),
        };
        config.into_iter().chain(layers)
    }

    /// The manifests that this one lists; empty for an image.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        match &self.body {
            ManifestBody::Image { .. } => &[],
            ManifestBody::Index { manifests } => manifests,
        }
    }

    /// The type of artifact as the referrers list and ECR's `artifactMediaType` give it: `artifactType`, else the config's
    /// media type; an index without `artifactType` has none.
    #[must_use]
    pub fn artifact_media_type(&self) -> Option<&str> {
        let written = self.artifact_type.as_deref().filter(|text| !text.is_empty());
        written.or(match &self.body {
            ManifestBody::Image { config, .. } => Some(config.media_type.as_str()),
            ManifestBody::Index { .. } => None,
        })
    }

    /// Compressed size as ECR's `imageSizeInBytes` counts it for an image: config and layers, each blob once.
    #[must_use]
    pub fn image_bytes(&self) -> u64 {
        let unique: BTreeMap<&Digest, u64> = self.blobs().map(|blob| (&blob.digest, blob.size)).collect();
        unique.values().fold(0, |sum, size| sum.saturating_add(*size))
    }
}

fn media_type_of(raw: &RawManifest, declared: Option<&MediaType>) -> Result<MediaType, ManifestError> {
    // "application/json" and the like is what a client sends that does not say.
    let declared = declared.filter(|media_type| {
        !matches!(media_type.as_str(), "" | "application/json" | "application/octet-stream" | "text/plain")
    });
    let written = raw.media_type.as_deref().filter(|text| !text.is_empty()).map(MediaType::new);
    match (written, declared) {
        (Some(written), Some(declared)) if written != *declared => {
            Err(ManifestError::MediaTypeMismatch { written, declared: declared.clone() })
        }
        (Some(written), _) => Ok(written),
        (None, Some(declared)) => Ok(declared.clone()),
        (None, None) => Err(ManifestError::MediaTypeMissing),
    }
}

fn refuse(present: bool, media_type: &MediaType, member: &'static str) -> Result<(), ManifestError> {
    if present { Err(ManifestError::Ambiguous { media_type: media_type.clone(), member }) } else { Ok(()) }
}

fn image_body(
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
) -> Result<ManifestBody, ManifestError> {
    let config = config.ok_or(ManifestError::Missing("config"))?;
    let config = descriptor(config, || "config".to_owned())?;
    let layers = descriptors(layers.ok_or(ManifestError::Missing("layers"))?, "layers")?;
    Ok(ManifestBody::Image { config, layers })
}

fn index_body(manifests: Option<Vec<RawDescriptor>>) -> Result<ManifestBody, ManifestError> {
    let manifests = descriptors(manifests.ok_or(ManifestError::Missing("manifests"))?, "manifests")?;
    Ok(ManifestBody::Index { manifests })
}

fn descriptors(raw: Vec<RawDescriptor>, member: &str) -> Result<Vec<Descriptor>, ManifestError> {
    if raw.len() > limits::MANIFEST_DESCRIPTORS_MAX {
        return Err(ManifestError::TooManyDescriptors(raw.len()));
    }
    let numbered = raw.into_iter().enumerate();
    numbered.map(|(index, raw)| descriptor(raw, || format!("{member}[{index}]"))).collect()
}

fn descriptor(raw: RawDescriptor, member: impl Fn() -> String) -> Result<Descriptor, ManifestError> {
    let size =
        u64::try_from(raw.size).map_err(|_| ManifestError::Size { member: member(), size: raw.size })?;
    let digest = match Digest::parse(&raw.digest) {
        Ok(digest) => digest,
        Err(source) => return Err(ManifestError::Digest { member: member(), text: raw.digest, source }),
    };
    Ok(Descriptor { media_type: MediaType::new(raw.media_type.as_deref().unwrap_or_default()), digest, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn blob(media_type: &str, content: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::sha256(content.as_bytes()), "size": content.len()})
    }

    fn image() -> Value {
        json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST,
            "config": blob(MediaType::OCI_IMAGE_CONFIG, "{}"),
            "layers": [blob("application/vnd.oci.image.layer.v1.tar+zstd", "one"), blob("x/y", "one")],
            "annotations": {"a": "b"}, "unknown": {"kept": true},
        })
    }

    fn index() -> Value {
        json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [blob(MediaType::OCI_MANIFEST, "m")]})
    }

    fn parse(value: &Value) -> Result<Manifest, ManifestError> {
        Manifest::parse(value.to_string().as_bytes(), None)
    }

    fn with(mut base: Value, member: &str, value: Value) -> Value {
        base[member] = value;
        base
    }

    #[test]
    fn reads_an_image() {
        let manifest = parse(&image()).unwrap();
        assert_eq!(manifest.kind(), ManifestKind::Image);
        assert_eq!(manifest.required_blobs().count(), 3);
        assert_eq!(manifest.image_bytes(), 5, "a blob named twice is stored once");
        assert_eq!(manifest.artifact_media_type(), Some(MediaType::OCI_IMAGE_CONFIG));
    }

    #[test]
    fn reads_an_index_with_a_subject() {
        let value = with(index(), "subject", blob(MediaType::OCI_MANIFEST, "about this"));
        let manifest = parse(&value).unwrap();
        assert_eq!(manifest.children().len(), 1);
        assert_eq!(manifest.subject.unwrap().digest, Digest::sha256(b"about this"));
    }

    #[test]
    fn takes_the_declared_type_when_the_text_has_none() {
        let mut value = image();
        value.as_object_mut().unwrap().remove("mediaType");
        assert_eq!(parse(&value), Err(ManifestError::MediaTypeMissing));
        let declared = MediaType::new(MediaType::OCI_MANIFEST);
        let manifest = Manifest::parse(value.to_string().as_bytes(), Some(&declared)).unwrap();
        assert_eq!(manifest.media_type, declared);
        let generic = MediaType::new("application/json");
        assert!(Manifest::parse(image().to_string().as_bytes(), Some(&generic)).is_ok());
        let other = MediaType::new(MediaType::OCI_INDEX);
        let error = Manifest::parse(image().to_string().as_bytes(), Some(&other)).unwrap_err();
        assert!(matches!(error, ManifestError::MediaTypeMismatch { .. }));
    }

    #[test]
    fn foreign_layers_need_not_be_present() {
        let foreign = blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "elsewhere");
        let manifest = parse(&with(image(), "layers", json!([foreign]))).unwrap();
        assert_eq!(manifest.required_blobs().count(), 1, "the config");
        assert_eq!(manifest.blobs().count(), 2);
    }

    #[test]
    fn refuses_what_is_wrong() {
        let deep = "{\"a\":[".repeat(100_000);
        assert!(matches!(Manifest::parse(deep.as_bytes(), None), Err(ManifestError::Json(_))));
        assert!(matches!(Manifest::parse(b"", None), Err(ManifestError::Json(_))));
        assert!(matches!(Manifest::parse(b"[]", None), Err(ManifestError::Json(_))));
        let large = vec![b' '; limits::MANIFEST_BYTES_MAX + 1];
        assert_eq!(Manifest::parse(&large, None), Err(ManifestError::TooLarge(large.len())));
        let bad_digest = json!({"mediaType": "x/y", "digest": "sha256:0", "size": 1});
        let bad_size = with(blob("x/y", "z"), "size", json!(-1));
        let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        for (value, expected) in [
            (with(image(), "schemaVersion", json!(1)), "schemaVersion is 1, not 2"),
            (with(image(), "schemaVersion", Value::Null), "manifest has no \"schemaVersion\""),
            (with(image(), "config", Value::Null), "manifest has no \"config\""),
            (with(image(), "layers", Value::Null), "manifest has no \"layers\""),
            (with(index(), "manifests", Value::Null), "manifest has no \"manifests\""),
            (with(image(), "config", bad_digest.clone()), "config has a bad digest \"sha256:0\""),
            (with(image(), "layers", json!([bad_size])), "layers[0] has size -1"),
            (with(image(), "subject", bad_digest), "subject has a bad digest \"sha256:0\""),
            (
                with(image(), "mediaType", json!(schema1)),
                &format!("media type {schema1:?} is not a manifest type that this registry stores"),
            ),
            (
                with(image(), "manifests", json!([])),
                &format!("manifest of type {:?} must not have \"manifests\"", MediaType::OCI_MANIFEST),
            ),
            (
                with(index(), "layers", json!([])),
                &format!("manifest of type {:?} must not have \"layers\"", MediaType::OCI_INDEX),
            ),
        ] {
            assert_eq!(parse(&value).unwrap_err().to_string(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = Manifest::parse(&bytes, None);
        }
    }
}
