//! Nothing of what was pushed can be read on the disk.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use berth_e2e::image::{Blob, Image, Manifest, oci_manifest_json};
use berth_e2e::target::Target;
use bytes::Bytes;

/// In every layer, config and manifest that these tests push.
const MARKER: &[u8] = b"MARKER-a-secret-that-must-not-be-on-disk";

/// A layer that is full of markers: whatever part of it were written as it is, one would be whole.
fn marked(size: usize) -> Blob {
    Blob::new(MARKER.iter().copied().cycle().take(size).collect::<Bytes>())
}

/// Files under a directory that contain the marker.
fn leaks(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    let mut files = 0;
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| format!("read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file() {
                files += 1;
                if contains_marker(&path)? {
                    found.push(path);
                }
            }
        }
    }
    ensure!(files >= 3, "only {files} files in {}: this is not a data directory", directory.display());
    Ok(found)
}

fn contains_marker(path: &Path) -> Result<bool> {
    let mut file = std::fs::File::open(path)?;
    let mut window = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(false);
        }
        window.extend_from_slice(&buffer[..read]);
        if window.windows(MARKER.len()).any(|bytes| bytes == MARKER) {
            return Ok(true);
        }
        let keep = window.len().saturating_sub(MARKER.len());
        window.drain(..keep);
    }
}

fn assert_no_leak(target: &Target, when: &str) -> Result<()> {
    let found = leaks(&target.server()?.data_dir())?;
    ensure!(found.is_empty(), "{when}: the marker is in {found:?}");
    let log = target.server()?.log();
    ensure!(
        !log.as_bytes().windows(MARKER.len()).any(|bytes| bytes == MARKER),
        "{when}: the marker is in the log"
    );
    Ok(())
}

#[tokio::test]
async fn the_search_finds_a_marker_where_there_is_one() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for name in ["a", "b", "c"] {
        std::fs::write(directory.path().join(name), vec![b'x'; 1 << 20])?;
    }
    ensure!(leaks(directory.path())?.is_empty());
    // Across the border of two reads, where a careless search would miss it.
    let mut bytes = vec![b'x'; (1 << 20) - 7];
    bytes.extend_from_slice(MARKER);
    std::fs::write(directory.path().join("b"), bytes)?;
    ensure!(leaks(directory.path())? == [directory.path().join("b")]);
    Ok(())
}

#[tokio::test]
async fn layers_configs_and_manifests_are_unreadable_at_every_moment() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let repository = target.repository().await?;
    let layer = marked(3_000_000);

    // Mid-upload: chunks that end on no border of anything, so that the server must keep a remainder somewhere.
    let mut location = repository.start_upload().await?;
    let mut offset = 0;
    for size in [10, 1_000, 70_001, 1_000_000] {
        let answer = repository
            .patch(&location, offset, layer.bytes.slice(offset..offset + size))
            .await?
            .expect(&[202])?;
        answer.header_required("location")?.clone_into(&mut location);
        offset += size;
        assert_no_leak(&target, "in the middle of an upload")?;
    }
    let old_url = target.url().to_owned();
    target.kill_and_restart().await?;
    assert_no_leak(&target, "after a kill in the middle of an upload")?;
    let repository = target.oci().await?.repository(&repository.name);
    let location = location.replace(&old_url, target.url());
    repository.finish(&location, &layer.digest, layer.bytes.slice(offset..)).await?.expect(&[201])?;
    assert_no_leak(&target, "after the layer was closed")?;

    let text = String::from_utf8_lossy(MARKER);
    let config = Blob::new(format!("{{\"secret\":\"{text}\"}}"));
    repository.push_blob(&config).await?;
    let mut document = oci_manifest_json(&config, std::slice::from_ref(&layer));
    document["annotations"] = serde_json::json!({"secret": text});
    let image = Image { config, layers: vec![layer], manifest: Manifest::of(&document) };
    repository.put_manifest("v1", &image.manifest).await?.expect(&[201])?;
    assert_no_leak(&target, "after the manifest")?;

    repository.check_image("v1", &image).await?;
    assert_no_leak(&target, "after a pull")?;
    target.kill_and_restart().await?;
    assert_no_leak(&target, "after a restart")?;
    target.oci().await?.repository(&repository.name).check_image("v1", &image).await
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing_readable() -> Result<()> {
    let target = Target::own(&[]).await?;
    let repository = target.repository().await?;
    let layer = marked(500_000);
    let location = repository.start_upload().await?;
    let wrong = Blob::noise("another", 10).digest;
    repository.finish(&location, &wrong, layer.bytes.clone()).await?.refused(&[400], "DIGEST_INVALID")?;
    let location = repository.start_upload().await?;
    let answer = repository.patch(&location, 0, layer.bytes.clone()).await?.expect(&[202])?;
    repository.oci.delete(answer.header_required("location")?).await?.expect(&[204])?;
    assert_no_leak(&target, "after a refused and a cancelled upload")
}
