//! Upload sessions: one request, two requests, chunks, streams, status, cancel, and everything in the wrong order.

use anyhow::{Result, ensure};
use berth_e2e::image::{Blob, noise, sha512};
use berth_e2e::oci::{Answer, Repository, with_query};
use berth_e2e::target::Target;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

async fn assert_stored(repository: &Repository, blob: &Blob) -> Result<()> {
    let answer = repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?;
    ensure!(answer.body == blob.bytes, "other bytes than were pushed");
    Ok(())
}

async fn assert_absent(repository: &Repository, blob: &Blob) -> Result<()> {
    repository.get(&format!("/blobs/{}", blob.digest)).await?.refused(&[404], "BLOB_UNKNOWN")?;
    Ok(())
}

fn next_location(answer: &Answer) -> Result<String> {
    answer.header_required("location").map(str::to_owned)
}

#[tokio::test]
async fn post_then_put_stores_a_blob_and_says_where() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("post put", 100_000);
    let answer = repository.push_blob(&blob).await?;
    let location = next_location(&answer)?;
    ensure!(answer.header("docker-content-digest") == Some(blob.digest.as_str()), "{:?}", answer.headers);
    ensure!(repository.oci.get(&location).await?.expect(&[200])?.body == blob.bytes);
    Ok(())
}

#[tokio::test]
async fn one_post_with_the_digest_stores_a_blob_or_falls_back_to_a_session() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("single post", 10_000);
    let path = repository.path(&format!("/blobs/uploads/?digest={}", blob.digest));
    let request = repository
        .oci
        .request(Method::POST, &path)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(blob.bytes.clone());
    let answer = repository.oci.send(request).await?.expect(&[201, 202])?;
    if answer.status == 202 {
        repository
            .finish(&next_location(&answer)?, &blob.digest, blob.bytes.clone())
            .await?
            .expect(&[201])?;
    }
    assert_stored(&repository, &blob).await
}

#[tokio::test]
async fn chunks_in_order_make_a_blob() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    // Sizes that fall on no border of anything.
    let blob = Blob::noise("chunks", 200_001);
    let mut location = repository.start_upload().await?;
    let mut offset = 0;
    for size in [1, 65_536, 70_000, 13] {
        let chunk = blob.bytes.slice(offset..offset + size);
        let answer = repository.patch(&location, offset, chunk).await?.expect(&[202])?;
        offset += size;
        let range = answer.header_required("range")?;
        ensure!(range == format!("0-{}", offset - 1), "Range after {offset} bytes: {range}");
        location = next_location(&answer)?;
    }
    repository.finish(&location, &blob.digest, blob.bytes.slice(offset..)).await?.expect(&[201])?;
    assert_stored(&repository, &blob).await
}

#[tokio::test]
async fn a_stream_of_unknown_length_makes_a_blob() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("stream", 500_000);
    let location = repository.start_upload().await?;
    let pieces: Vec<std::io::Result<Bytes>> =
        blob.bytes.chunks(30_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let request = repository
        .oci
        .request(Method::PATCH, &location)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)));
    let answer = repository.oci.send(request).await?.expect(&[202])?;
    let location = next_location(&answer)?;
    repository.finish(&location, &blob.digest, Bytes::new()).await?.expect(&[201])?;
    assert_stored(&repository, &blob).await
}

#[tokio::test]
async fn a_gap_between_chunks_is_416_and_loses_nothing() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("gap", 30_000);
    let location = repository.start_upload().await?;
    let answer = repository.patch(&location, 0, blob.bytes.slice(..10_000)).await?.expect(&[202])?;
    let location = next_location(&answer)?;
    repository
        .patch(&location, 20_000, blob.bytes.slice(20_000..))
        .await?
        .refused(&[416], "BLOB_UPLOAD_INVALID")?;
    // What was there is still there, and the upload goes on where it was.
    let status = repository.oci.get(&location).await?.expect(&[204])?;
    ensure!(status.header_required("range")? == "0-9999");
    let answer = repository.patch(&location, 10_000, blob.bytes.slice(10_000..)).await?.expect(&[202])?;
    repository.finish(&next_location(&answer)?, &blob.digest, Bytes::new()).await?.expect(&[201])?;
    assert_stored(&repository, &blob).await
}

#[tokio::test]
async fn a_first_chunk_that_does_not_begin_at_zero_is_416() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let location = repository.start_upload().await?;
    repository.patch(&location, 5, noise("late", 100)).await?.refused(&[416], "BLOB_UPLOAD_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn a_chunk_sent_twice_is_416() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("twice", 20_000);
    let location = repository.start_upload().await?;
    let answer = repository.patch(&location, 0, blob.bytes.slice(..10_000)).await?.expect(&[202])?;
    let location = next_location(&answer)?;
    repository
        .patch(&location, 0, blob.bytes.slice(..10_000))
        .await?
        .refused(&[416], "BLOB_UPLOAD_INVALID")?;
    repository.finish(&location, &blob.digest, blob.bytes.slice(10_000..)).await?.expect(&[201])?;
    assert_stored(&repository, &blob).await
}

#[tokio::test]
async fn a_chunk_range_that_contradicts_its_body_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let location = repository.start_upload().await?;
    for range in ["0-9", "10-5", "a-b", "0"] {
        let request = repository
            .oci
            .request(Method::PATCH, &location)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("Content-Range", range)
            .body(noise("contradiction", 100));
        let answer = repository.oci.send(request).await?.expect(&[400, 416])?;
        let code = answer.json()?["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        ensure!(["BLOB_UPLOAD_INVALID", "SIZE_INVALID"].contains(&code.as_str()), "{range}: {code}");
    }
    // None of it counts as a byte of the upload.
    let blob = Blob::noise("after the contradictions", 100);
    repository.finish(&location, &blob.digest, blob.bytes.clone()).await?.expect(&[201])?;
    assert_stored(&repository, &blob).await?;
    Ok(())
}

#[tokio::test]
async fn the_status_of_an_upload_says_how_far_it_is() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let location = repository.start_upload().await?;
    let answer = repository.patch(&location, 0, noise("status", 5_000)).await?.expect(&[202])?;
    let status = repository.oci.get(&next_location(&answer)?).await?.expect(&[204])?;
    ensure!(status.header_required("range")? == "0-4999");
    ensure!(status.header("location").is_some(), "the status names the place to go on");
    Ok(())
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("cancel", 5_000);
    let location = repository.start_upload().await?;
    let answer = repository.patch(&location, 0, blob.bytes.clone()).await?.expect(&[202])?;
    let location = next_location(&answer)?;
    repository.oci.delete(&location).await?.expect(&[204])?;
    repository.oci.get(&location).await?.refused(&[404], "BLOB_UPLOAD_UNKNOWN")?;
    repository.finish(&location, &blob.digest, Bytes::new()).await?.refused(&[404], "BLOB_UPLOAD_UNKNOWN")?;
    assert_absent(&repository, &blob).await
}

#[tokio::test]
async fn a_finished_upload_is_gone() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("finished", 5_000);
    let location = repository.start_upload().await?;
    repository.finish(&location, &blob.digest, blob.bytes.clone()).await?.expect(&[201])?;
    repository.oci.get(&location).await?.refused(&[404], "BLOB_UPLOAD_UNKNOWN")?;
    assert_stored(&repository, &blob).await
}

#[tokio::test]
async fn a_wrong_digest_is_refused_and_stores_nothing() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("right", 5_000);
    let other = Blob::noise("wrong", 5_000);
    let location = repository.start_upload().await?;
    repository
        .finish(&location, &other.digest, blob.bytes.clone())
        .await?
        .refused(&[400], "DIGEST_INVALID")?;
    assert_absent(&repository, &other).await?;
    assert_absent(&repository, &blob).await
}

#[tokio::test]
async fn a_malformed_digest_is_refused_and_stores_nothing() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("malformed", 5_000);
    for digest in ["sha256:abc", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", "nothing", ""] {
        let location = repository.start_upload().await?;
        repository.finish(&location, digest, blob.bytes.clone()).await?.refused(&[400], "DIGEST_INVALID")?;
    }
    assert_absent(&repository, &blob).await
}

#[tokio::test]
async fn closing_an_upload_without_a_digest_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let location = repository.start_upload().await?;
    let request = repository.oci.request(Method::PUT, &location).body(noise("no digest", 10));
    repository.oci.send(request).await?.refused(&[400], "DIGEST_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn an_upload_of_another_repository_is_unknown() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let other = target.another_repository(&repository.oci).await?;
    let location = repository.start_upload().await?;
    let moved = location.replace(&repository.name, &other.name);
    let blob = Blob::noise("moved", 10);
    other.finish(&moved, &blob.digest, blob.bytes.clone()).await?.expect(&[400, 404])?;
    assert_absent(&other, &blob).await
}

#[tokio::test]
async fn two_uploads_of_the_same_blob_at_once_both_succeed() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("concurrent", 2_000_000);
    let (first, second) = tokio::join!(repository.push_blob(&blob), repository.push_blob(&blob));
    first?;
    second?;
    assert_stored(&repository, &blob).await
}

#[tokio::test]
async fn chunks_under_sha512_make_a_blob() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let bytes = noise("chunks sha512", 100_000);
    let digest = sha512(&bytes);
    let path = with_query(&repository.path("/blobs/uploads/"), "digest-algorithm", "sha512");
    let opened = repository.oci.send(repository.oci.request(Method::POST, &path)).await?.expect(&[202])?;
    let answer =
        repository.patch(&next_location(&opened)?, 0, bytes.slice(..60_000)).await?.expect(&[202])?;
    let answer =
        repository.patch(&next_location(&answer)?, 60_000, bytes.slice(60_000..)).await?.expect(&[202])?;
    repository.finish(&next_location(&answer)?, &digest, Bytes::new()).await?.expect(&[201])?;
    ensure!(repository.get(&format!("/blobs/{digest}")).await?.expect(&[200])?.body == bytes);
    Ok(())
}
