//! kill -9 at every step of a push. What was acknowledged is there afterwards; what was not is not visible; trying again
//! succeeds.

use anyhow::{Context, Result, ensure};
use berth_e2e::image::{Image, index};
use berth_e2e::oci::{Repository, strings};
use berth_e2e::target::Target;
use bytes::Bytes;
use reqwest::Method;

/// A step of a push, as a client takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Created,
    UploadOpened,
    ChunkSent,
    LayerClosed,
    ConfigPushed,
    ManifestPutByDigest,
    TagPut,
    SecondTagPut,
    TagMoved,
    Deleted,
}

const STEPS: [Step; 10] = [
    Step::Created,
    Step::UploadOpened,
    Step::ChunkSent,
    Step::LayerClosed,
    Step::ConfigPushed,
    Step::ManifestPutByDigest,
    Step::TagPut,
    Step::SecondTagPut,
    Step::TagMoved,
    Step::Deleted,
];

/// Half of the layer goes in the chunk, half in the closing request.
const HALF: usize = 2048;

async fn repository_of(target: &Target, name: &str) -> Result<Repository> {
    Ok(target.oci().await?.repository(name))
}

/// Pushes until `last` has been acknowledged; returns the upload's location if it is still open.
async fn push_until(repository: &Repository, images: &[Image; 2], last: Step) -> Result<Option<String>> {
    let [image, other] = images;
    let layer = &image.layers[0];
    if last < Step::UploadOpened {
        return Ok(None);
    }
    let mut location = repository.start_upload().await?;
    if last >= Step::ChunkSent {
        let answer = repository.patch(&location, 0, layer.bytes.slice(..HALF)).await?.expect(&[202])?;
        answer.header_required("location")?.clone_into(&mut location);
    }
    if last < Step::LayerClosed {
        return Ok(Some(location));
    }
    repository.finish(&location, &layer.digest, layer.bytes.slice(HALF..)).await?.expect(&[201])?;
    if last >= Step::ConfigPushed {
        repository.push_blob(&image.config).await?;
    }
    if last >= Step::ManifestPutByDigest {
        repository.put_manifest(&image.manifest.digest, &image.manifest).await?.expect(&[201])?;
    }
    if last >= Step::TagPut {
        repository.put_manifest("v1", &image.manifest).await?.expect(&[201])?;
    }
    if last >= Step::SecondTagPut {
        repository.put_manifest("v2", &image.manifest).await?.expect(&[201])?;
    }
    if last >= Step::TagMoved {
        repository.push_image("v1", other).await?;
    }
    if last >= Step::Deleted {
        repository.delete(&format!("/manifests/{}", image.manifest.digest)).await?.expect(&[202])?;
    }
    Ok(None)
}

/// What must be visible after `last` was acknowledged, and what must not.
async fn assert_state(repository: &Repository, images: &[Image; 2], last: Step) -> Result<()> {
    let [image, other] = images;
    let tags: &[&str] = match last {
        Step::TagPut | Step::Deleted => &["v1"],
        Step::SecondTagPut | Step::TagMoved => &["v1", "v2"],
        _ => &[],
    };
    ensure!(repository.tags().await? == tags, "tags after {last:?}");
    let layer = repository.get(&format!("/blobs/{}", image.layers[0].digest)).await?;
    if last >= Step::LayerClosed && last < Step::Deleted {
        ensure!(layer.expect(&[200])?.body == image.layers[0].bytes);
    } else if last < Step::LayerClosed {
        layer.refused(&[404], "BLOB_UNKNOWN")?;
    }
    let by_digest = repository.manifest(&image.manifest.digest).await?;
    if last >= Step::ManifestPutByDigest && last < Step::Deleted {
        ensure!(by_digest.expect(&[200])?.body == image.manifest.bytes);
    } else {
        by_digest.refused(&[404], "MANIFEST_UNKNOWN")?;
    }
    if last >= Step::TagMoved {
        repository.check_image("v1", other).await?;
    }
    Ok(())
}

#[tokio::test]
async fn after_a_kill_at_any_step_everything_acknowledged_is_there() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    for last in STEPS {
        let images = [Image::oci(&format!("{last:?} a"), 1), Image::oci(&format!("{last:?} b"), 1)];
        let name = target.repository().await?.name;
        let location = push_until(&repository_of(&target, &name).await?, &images, last).await?;
        let old_url = target.url().to_owned();
        target.kill_and_restart().await?;
        let repository = repository_of(&target, &name).await?;
        assert_state(&repository, &images, last)
            .await
            .with_context(|| format!("after {last:?} and a kill"))?;
        if let Some(location) = location {
            let location = location.replace(&old_url, target.url());
            resume(&repository, &images[0], &location)
                .await
                .with_context(|| format!("resume after {last:?}"))?;
        }
        // Whatever was there before, the same push once more succeeds.
        repository.push_image("v1", &images[0]).await?;
        repository.check_image("v1", &images[0]).await?;
    }
    Ok(())
}

/// Goes on with an upload that was open when the process died: from wherever the server says it is.
async fn resume(repository: &Repository, image: &Image, location: &str) -> Result<()> {
    let status = repository.oci.get(location).await?.expect(&[204])?;
    let offset = match status.header("range") {
        None | Some("0-0") => 0,
        Some(range) => {
            range.split_once('-').and_then(|(_, last)| last.parse::<usize>().ok()).context("a range")? + 1
        }
    };
    ensure!(offset == 0 || offset == HALF, "a chunk is there whole or not at all: {offset}");
    let layer = &image.layers[0];
    repository.finish(location, &layer.digest, layer.bytes.slice(offset..)).await?.expect(&[201])?;
    ensure!(repository.get(&format!("/blobs/{}", layer.digest)).await?.expect(&[200])?.body == layer.bytes);
    Ok(())
}

#[tokio::test]
async fn a_chunk_that_was_acknowledged_survives_a_kill() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let image = Image::oci("acknowledged chunk", 1);
    let name = target.repository().await?.name;
    let repository = repository_of(&target, &name).await?;
    let images = [image.clone(), image];
    let location = push_until(&repository, &images, Step::ChunkSent).await?.context("an open upload")?;
    let old_url = target.url().to_owned();
    target.kill_and_restart().await?;
    let repository = repository_of(&target, &name).await?;
    let status = repository.oci.get(&location.replace(&old_url, target.url())).await?.expect(&[204])?;
    ensure!(status.header("range") == Some(format!("0-{}", HALF - 1).as_str()), "{:?}", status.headers);
    Ok(())
}

/// Requests that are on their way when the process dies: answered or not, the state is one or the other, never between.
#[tokio::test]
async fn a_kill_in_the_middle_of_requests_leaves_whole_images_or_none() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let name = target.repository().await?.name;
    for round in 0..5 {
        let repository = repository_of(&target, &name).await?;
        let images: Vec<Image> =
            (0..24).map(|number| Image::oci(&format!("round {round} number {number}"), 2)).collect();
        let acknowledged = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut pushes = tokio::task::JoinSet::new();
        for (number, image) in images.iter().cloned().enumerate() {
            let (repository, acknowledged) = (repository.clone(), acknowledged.clone());
            pushes.spawn(async move {
                let pushed = repository.push_image(&format!("r{round}n{number}"), &image).await;
                if let (Ok(_), Ok(mut list)) = (pushed, acknowledged.lock()) {
                    list.push(number);
                }
            });
        }
        // Another moment in every round, from the first request to the last.
        let enough = |done: usize| done >= round * 5;
        while !enough(acknowledged.lock().map(|list| list.len()).unwrap_or_default()) {
            tokio::task::yield_now().await;
        }
        target.kill_and_restart().await?;
        while pushes.join_next().await.is_some() {}
        let repository = repository_of(&target, &name).await?;
        let known = acknowledged.lock().map(|list| list.clone()).unwrap_or_default();
        for number in known {
            let tag = format!("r{round}n{number}");
            repository
                .check_image(&tag, &images[number])
                .await
                .with_context(|| format!("{tag} was acknowledged"))?;
        }
        assert_whole(&repository, &images, round).await?;
    }
    Ok(())
}

/// Every image that can be seen can be pulled.
async fn assert_whole(repository: &Repository, images: &[Image], round: usize) -> Result<()> {
    let tags = repository.tags().await?;
    for (number, image) in images.iter().enumerate() {
        let tag = format!("r{round}n{number}");
        if tags.contains(&tag) {
            repository.check_image(&tag, image).await.with_context(|| format!("{tag} is listed"))?;
        } else {
            repository.push_image(&tag, image).await.with_context(|| format!("{tag}, pushed again"))?;
            repository.check_image(&tag, image).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_index_and_the_referrers_survive_a_kill() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let name = target.repository().await?.name;
    let repository = repository_of(&target, &name).await?;
    let (child, other) = (Image::oci("child", 1), Image::oci("other child", 1));
    repository.push_image(&child.manifest.digest, &child).await?;
    repository.push_image(&other.manifest.digest, &other).await?;
    let parent = index(&[&child.manifest, &other.manifest]);
    repository.put_manifest("multi", &parent).await?.expect(&[201])?;
    let sbom = Image::artifact("sbom", "application/vnd.example.sbom.v1", Some(&parent));
    repository.push_image(&sbom.manifest.digest, &sbom).await?;
    target.kill_and_restart().await?;
    let repository = repository_of(&target, &name).await?;
    ensure!(repository.manifest("multi").await?.expect(&[200])?.body == parent.bytes);
    let referrers = repository.get(&format!("/referrers/{}", parent.digest)).await?.expect(&[200])?.json()?;
    ensure!(referrers["manifests"][0]["digest"] == sbom.manifest.digest.as_str(), "{referrers}");
    Ok(())
}

#[tokio::test]
async fn settings_tags_and_policies_survive_a_kill() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let name = target.repository().await?.name;
    let policy = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":7},"action":{"type":"expire"}}]}"#;
    let api = target.api();
    api.put_lifecycle_policy().repository_name(&name).lifecycle_policy_text(policy).send().await?;
    let request = api.put_image_tag_mutability().repository_name(&name);
    request.image_tag_mutability(aws_sdk_ecr::types::ImageTagMutability::Immutable).send().await?;
    let before = api.describe_repositories().repository_names(&name).send().await?;
    target.kill_and_restart().await?;
    let api = target.api();
    let after = api.describe_repositories().repository_names(&name).send().await?;
    // The port is part of the URI, and it is another one now.
    let without_uri = |found: &aws_sdk_ecr::types::Repository| {
        (
            found.repository_arn().map(str::to_owned),
            found.created_at().copied(),
            found.image_tag_mutability().cloned(),
        )
    };
    ensure!(without_uri(&after.repositories()[0]) == without_uri(&before.repositories()[0]));
    let got = api.get_lifecycle_policy().repository_name(&name).send().await?;
    ensure!(got.lifecycle_policy_text() == Some(policy));
    Ok(())
}

#[tokio::test]
async fn a_graceful_stop_finishes_what_is_in_flight() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let repository = target.repository().await?;
    let blob = berth_e2e::image::Blob::noise("in flight", 4 * 1024 * 1024);
    let location = repository.start_upload().await?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|bytes| (Ok::<_, std::io::Error>(bytes), receiver))
    });
    let request = repository
        .oci
        .request(Method::PUT, &berth_e2e::oci::with_query(&location, "digest", &blob.digest))
        .header("Content-Type", "application/octet-stream")
        .header("Content-Length", blob.bytes.len())
        .body(reqwest::Body::wrap_stream(stream));
    let oci = repository.oci.clone();
    let push = tokio::spawn(async move { oci.send(request).await });
    let middle = blob.bytes.len() / 2;
    sender.send(blob.bytes.slice(..middle)).await?;
    // One more send goes through only when the first was taken, so the request is under way.
    sender.send(blob.bytes.slice(middle..middle + 1)).await?;
    let server = target.server_mut()?;
    let (stopped, pushed) = tokio::join!(server.terminate(), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        sender.send(blob.bytes.slice(middle + 1..)).await?;
        drop(sender);
        push.await?
    });
    pushed?.expect(&[201])?;
    let status = stopped?;
    ensure!(status.success(), "{status}");
    let name = repository.name.clone();
    target.kill_and_restart().await?;
    let repository = repository_of(&target, &name).await?;
    ensure!(repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?.body == blob.bytes);
    ensure!(strings(&repository.get("/tags/list").await?.json()?["tags"]).is_empty());
    Ok(())
}
