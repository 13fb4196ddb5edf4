//! Media types of manifests.

use std::fmt;

/// A media type, as a manifest or a client writes it. Compared as text, without parameters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MediaType(Box<str>);

/// What a manifest of some media type contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestKind {
    /// One image or artifact: a config and layers.
    Image,
    /// An index or manifest list: other manifests.
    Index,
}

impl MediaType {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &'static str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &'static str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The config media type of an OCI image, as opposed to another artifact.
    pub const OCI_IMAGE_CONFIG: &'static str = "application/vnd.oci.image.config.v1+json";
    /// The descriptor media type of the OCI empty blob `{}`.
    pub const OCI_EMPTY: &'static str = "application/vnd.oci.empty.v1+json";

    /// Takes a media type; parameters (`; charset=utf-8`) are cut off, as no manifest type has any.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.split(';').next().unwrap_or_default().trim().into())
    }

    /// The media type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind of manifest it denotes; `None` for anything that is not a manifest this registry stores (Docker schema 1
    /// included, which no current client pushes).
    #[must_use]
    pub fn manifest_kind(&self) -> Option<ManifestKind> {
        match self.as_str() {
            Self::OCI_MANIFEST | Self::DOCKER_MANIFEST => Some(ManifestKind::Image),
            Self::OCI_INDEX | Self::DOCKER_LIST => Some(ManifestKind::Index),
            _ => None,
        }
    }

    /// Whether a layer of this type may live elsewhere, so that a manifest is complete without it (OCI image
    /// specification, "Non-Distributable Layers"; Docker "foreign" layers).
    #[must_use]
    pub fn is_non_distributable(&self) -> bool {
        self.0.starts_with("application/vnd.oci.image.layer.nondistributable.")
            || self.0.starts_with("application/vnd.docker.image.rootfs.foreign.diff.")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_manifests_it_stores() {
        assert_eq!(MediaType::new(MediaType::OCI_INDEX).manifest_kind(), Some(ManifestKind::Index));
        let with_parameter = format!("{}; charset=utf-8", MediaType::DOCKER_MANIFEST);
        assert_eq!(MediaType::new(&with_parameter).manifest_kind(), Some(ManifestKind::Image));
        assert_eq!(
            MediaType::new("application/vnd.docker.distribution.manifest.v1+prettyjws").manifest_kind(),
            None
        );
        assert!(
            MediaType::new("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
                .is_non_distributable()
        );
    }
}
