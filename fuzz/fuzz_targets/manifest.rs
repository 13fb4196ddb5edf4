//! Manifests as clients push them.
#![no_main]

use berth_types::{Manifest, MediaType};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for declared in [None, Some(MediaType::OCI_MANIFEST), Some(MediaType::DOCKER_LIST)] {
        let declared = declared.map(MediaType::new);
        if let Ok(manifest) = Manifest::parse(bytes, declared.as_ref()) {
            assert!(manifest.required_blobs().count() <= manifest.blobs().count());
            let _ = (manifest.image_bytes(), manifest.artifact_media_type(), manifest.children());
        }
    }
});
