//! Blobs: pull, HEAD, Range, delete, mount.

use anyhow::{Result, ensure};
use berth_e2e::image::{Blob, noise, sha512};
use berth_e2e::oci::{Answer, Repository};
use berth_e2e::target::Target;
use bytes::Bytes;
use reqwest::Method;

async fn pushed(target: &Target, blob: &Blob) -> Result<Repository> {
    let repository = target.repository().await?;
    repository.push_blob(blob).await?;
    Ok(repository)
}

async fn range(repository: &Repository, blob: &Blob, range: &str) -> Result<Answer> {
    let path = repository.path(&format!("/blobs/{}", blob.digest));
    repository.oci.send(repository.oci.request(Method::GET, &path).header("Range", range)).await
}

#[tokio::test]
async fn a_blob_comes_back_as_it_was_pushed() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("whole", 3 * 1024 * 1024 + 17);
    let repository = pushed(&target, &blob).await?;
    let answer = repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?;
    ensure!(answer.body == blob.bytes);
    ensure!(answer.header("docker-content-digest") == Some(blob.digest.as_str()));
    ensure!(answer.header("content-length") == Some(blob.bytes.len().to_string().as_str()));
    Ok(())
}

#[tokio::test]
async fn head_gives_size_and_digest_without_a_body() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("head", 70_000);
    let repository = pushed(&target, &blob).await?;
    let answer = repository.head(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?;
    ensure!(answer.header("content-length") == Some("70000"), "{:?}", answer.headers);
    ensure!(answer.header("docker-content-digest") == Some(blob.digest.as_str()));
    ensure!(answer.body.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_empty_blob_can_be_pushed_and_pulled() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::new(Bytes::new());
    let repository = pushed(&target, &blob).await?;
    let answer = repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?;
    ensure!(answer.body.is_empty());
    Ok(())
}

#[tokio::test]
async fn any_byte_range_of_a_blob_can_be_pulled() -> Result<()> {
    let target = Target::start().await?;
    // Larger than any segment a store may cut blobs into, so that ranges begin, end and cross inside and on borders.
    let size = 300_000;
    let blob = Blob::noise("ranges", size);
    let repository = pushed(&target, &blob).await?;
    let last = size - 1;
    for (from, to) in
        [(0, 0), (0, 99), (1, 65_535), (65_535, 65_536), (65_536, 131_071), (100_000, last), (last, last)]
    {
        let answer = range(&repository, &blob, &format!("bytes={from}-{to}")).await?.expect(&[206])?;
        ensure!(answer.body == blob.bytes.slice(from..=to), "bytes={from}-{to}");
        let content_range = answer.header_required("content-range")?;
        ensure!(content_range == format!("bytes {from}-{to}/{size}"), "bytes={from}-{to}: {content_range}");
    }
    Ok(())
}

#[tokio::test]
async fn open_and_suffix_ranges_work() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("open ranges", 100_000);
    let repository = pushed(&target, &blob).await?;
    let open = range(&repository, &blob, "bytes=99990-").await?.expect(&[206])?;
    ensure!(open.body == blob.bytes.slice(99_990..));
    let suffix = range(&repository, &blob, "bytes=-10").await?.expect(&[206])?;
    ensure!(suffix.body == blob.bytes.slice(99_990..));
    let beyond = range(&repository, &blob, "bytes=99990-200000").await?.expect(&[206])?;
    ensure!(beyond.body == blob.bytes.slice(99_990..), "an end beyond the blob means its end");
    Ok(())
}

#[tokio::test]
async fn a_range_outside_the_blob_is_416() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("outside", 1000);
    let repository = pushed(&target, &blob).await?;
    let answer = range(&repository, &blob, "bytes=1000-2000").await?.expect(&[416])?;
    ensure!(answer.header("content-range") == Some("bytes */1000"), "RFC 9110, 14.4: {:?}", answer.headers);
    Ok(())
}

#[tokio::test]
async fn a_range_that_makes_no_sense_is_ignored() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("nonsense", 1000);
    let repository = pushed(&target, &blob).await?;
    for header in ["bytes=500-100", "lines=1-2", "bytes=", "bytes=a-b"] {
        // RFC 9110, 14.2: an invalid Range header may be ignored or refused, but gives no wrong bytes.
        let answer = range(&repository, &blob, header).await?.expect(&[200, 400, 416])?;
        ensure!(answer.status != 200 || answer.body == blob.bytes, "{header}");
    }
    Ok(())
}

#[tokio::test]
async fn a_blob_by_sha512_keeps_its_digest() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let bytes = noise("sha512", 5000);
    let digest = sha512(&bytes);
    let location = repository.start_upload().await?;
    let pushed = repository.finish(&location, &digest, bytes.clone()).await?.expect(&[201])?;
    ensure!(pushed.header("docker-content-digest") == Some(digest.as_str()), "{:?}", pushed.headers);
    let pulled = repository.get(&format!("/blobs/{digest}")).await?.expect(&[200])?;
    ensure!(pulled.body == bytes);
    ensure!(pulled.header("docker-content-digest") == Some(digest.as_str()));
    Ok(())
}

#[tokio::test]
async fn a_deleted_blob_is_gone_at_once() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("deleted", 1000);
    let repository = pushed(&target, &blob).await?;
    let path = format!("/blobs/{}", blob.digest);
    repository.delete(&path).await?.expect(&[202])?;
    repository.get(&path).await?.refused(&[404], "BLOB_UNKNOWN")?;
    repository.head(&path).await?.expect(&[404])?;
    repository.delete(&path).await?.refused(&[404], "BLOB_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn a_deleted_blob_can_be_pushed_again() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("again", 1000);
    let repository = pushed(&target, &blob).await?;
    let path = format!("/blobs/{}", blob.digest);
    repository.delete(&path).await?.expect(&[202])?;
    repository.push_blob(&blob).await?;
    ensure!(repository.get(&path).await?.expect(&[200])?.body == blob.bytes);
    Ok(())
}

#[tokio::test]
async fn a_blob_is_not_visible_in_another_repository() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("private", 1000);
    let repository = pushed(&target, &blob).await?;
    let other = target.another_repository(&repository.oci).await?;
    other.get(&format!("/blobs/{}", blob.digest)).await?.refused(&[404], "BLOB_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn mounting_makes_a_blob_visible_without_sending_it() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("mount", 1000);
    let source = pushed(&target, &blob).await?;
    let other = target.another_repository(&source.oci).await?;
    let path = other.path(&format!("/blobs/uploads/?mount={}&from={}", blob.digest, source.name));
    let mounted = other.oci.send(other.oci.request(Method::POST, &path)).await?.expect(&[201])?;
    let location = mounted.header_required("location")?.to_owned();
    ensure!(mounted.header("docker-content-digest") == Some(blob.digest.as_str()));
    ensure!(other.oci.get(&location).await?.expect(&[200])?.body == blob.bytes);
    // The two repositories are independent afterwards.
    source.delete(&format!("/blobs/{}", blob.digest)).await?.expect(&[202])?;
    ensure!(other.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?.body == blob.bytes);
    Ok(())
}

#[tokio::test]
async fn a_mount_without_a_source_either_mounts_or_opens_an_upload() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("anonymous mount", 1000);
    let source = pushed(&target, &blob).await?;
    let other = target.another_repository(&source.oci).await?;
    let path = other.path(&format!("/blobs/uploads/?mount={}", blob.digest));
    let answer = other.oci.send(other.oci.request(Method::POST, &path)).await?.expect(&[201, 202])?;
    let location = answer.header_required("location")?.to_owned();
    if answer.status == 202 {
        other.finish(&location, &blob.digest, blob.bytes.clone()).await?.expect(&[201])?;
    }
    ensure!(other.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?.body == blob.bytes);
    Ok(())
}

#[tokio::test]
async fn a_mount_of_what_is_not_there_opens_an_upload() -> Result<()> {
    let target = Target::start().await?;
    let blob = Blob::noise("mount missing", 1000);
    let source = target.repository().await?;
    let other = target.another_repository(&source.oci).await?;
    let path = other.path(&format!("/blobs/uploads/?mount={}&from={}", blob.digest, source.name));
    let answer = other.oci.send(other.oci.request(Method::POST, &path)).await?.expect(&[202])?;
    let location = answer.header_required("location")?.to_owned();
    other.finish(&location, &blob.digest, blob.bytes.clone()).await?.expect(&[201])?;
    Ok(())
}
