//! Images through the API: put, get, list, describe, delete.

use anyhow::{Context, Result, ensure};
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier, ListImagesFilter, TagStatus};
use berth_e2e::ACCOUNT;
use berth_e2e::api::refusal;
use berth_e2e::image::{Image, Manifest, OCI_MANIFEST, index};
use berth_e2e::oci::Repository;
use berth_e2e::target::{Target, unique_name};

use super::{assert_refusal, repository_not_found};

fn by_tag(tag: &str) -> ImageIdentifier {
    ImageIdentifier::builder().image_tag(tag).build()
}

fn by_digest(digest: &str) -> ImageIdentifier {
    ImageIdentifier::builder().image_digest(digest).build()
}

/// A repository with the blobs of an image, but not its manifest.
async fn with_blobs(target: &Target, image: &Image) -> Result<Repository> {
    let repository = target.repository().await?;
    for blob in image.blobs() {
        repository.push_blob(blob).await?;
    }
    Ok(repository)
}

#[tokio::test]
async fn put_image_and_a_docker_push_are_the_same_thing() -> Result<()> {
    let target = Target::start().await?;
    let image = Image::oci("put image", 2);
    let repository = with_blobs(&target, &image).await?;
    let request = target.api().put_image().repository_name(&repository.name).image_tag("v1");
    let answer =
        request.image_manifest(image.manifest.text()).image_digest(&image.manifest.digest).send().await?;
    let put = answer.image().context("no image")?;
    ensure!(put.image_manifest() == Some(image.manifest.text().as_str()), "the text is kept byte for byte");
    let id = put.image_id().context("no image id")?;
    ensure!(
        id.image_digest() == Some(image.manifest.digest.as_str()) && id.image_tag() == Some("v1"),
        "{id:?}"
    );
    repository.check_image("v1", &image).await
}

#[tokio::test]
async fn putting_the_same_image_under_the_same_tag_again_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let image = Image::oci("again", 1);
    let repository = target.repository().await?;
    repository.push_image("v1", &image).await?;
    let name = &repository.name;
    let put = |tag: &str| {
        let request = target.api().put_image().repository_name(name).image_tag(tag);
        request.image_manifest(image.manifest.text()).send()
    };
    let message = format!(
        "Image with digest '{}' and tag 'v1' already exists in the repository with name '{name}' in registry with id '{ACCOUNT}'",
        image.manifest.digest
    );
    assert_refusal(&refusal(put("v1").await)?, "ImageAlreadyExistsException", &message)?;
    put("v2").await?;
    Ok(())
}

#[tokio::test]
async fn images_that_cannot_be_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let image = Image::oci("refused", 1);
    let repository = with_blobs(&target, &image).await?;
    let put = |manifest: String, digest: Option<String>| {
        let request = target.api().put_image().repository_name(&repository.name).image_tag("v1");
        request.image_manifest(manifest).set_image_digest(digest).send()
    };
    let other = Image::oci("other", 1);
    let got = refusal(put(image.manifest.text(), Some(other.manifest.digest.clone())).await)?;
    ensure!(got.0 == "ImageDigestDoesNotMatchException", "{got:?}");
    let got = refusal(put(other.manifest.text(), None).await)?;
    ensure!(got.0 == "LayersNotFoundException", "{got:?}");
    let got = refusal(put(index(&[&other.manifest]).text(), None).await)?;
    ensure!(got.0 == "ReferencedImagesNotFoundException", "{got:?}");
    let got = refusal(put("{".to_owned(), None).await)?;
    assert_refusal(
        &got,
        "InvalidParameterException",
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
    )?;
    ensure!(repository.tags().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_manifest_that_does_not_name_its_type_needs_it_beside() -> Result<()> {
    let target = Target::start().await?;
    let image = Image::oci("typeless", 1);
    let repository = with_blobs(&target, &image).await?;
    let mut document: serde_json::Value = serde_json::from_slice(&image.manifest.bytes)?;
    document.as_object_mut().context("an object")?.remove("mediaType");
    let manifest = Manifest::raw(OCI_MANIFEST, document.to_string());
    let request = target.api().put_image().repository_name(&repository.name).image_manifest(manifest.text());
    let got = refusal(request.clone().send().await)?;
    ensure!(got.0 == "InvalidParameterException", "{got:?}");
    request.image_manifest_media_type(OCI_MANIFEST).send().await?;
    ensure!(repository.manifest(&manifest.digest).await?.expect(&[200])?.body == manifest.bytes);
    Ok(())
}

#[tokio::test]
async fn batch_get_gives_manifests_and_says_what_is_missing() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("batch get", 1);
    repository.push_image("v1", &image).await?;
    let absent = Image::oci("absent", 1);
    let answer = target
        .api()
        .batch_get_image()
        .repository_name(&repository.name)
        .image_ids(by_tag("v1"))
        .image_ids(by_digest(&image.manifest.digest))
        .image_ids(by_tag("absent"))
        .image_ids(by_digest(&absent.manifest.digest))
        .image_ids(by_digest("sha256:short"))
        .image_ids(ImageIdentifier::builder().build())
        .image_ids(ImageIdentifier::builder().image_tag("v1").image_digest(&absent.manifest.digest).build())
        .send()
        .await?;
    ensure!(!answer.images().is_empty(), "{answer:?}");
    for found in answer.images() {
        ensure!(found.image_manifest() == Some(image.manifest.text().as_str()));
        ensure!(found.image_manifest_media_type() == Some(OCI_MANIFEST), "{found:?}");
        ensure!(
            found.registry_id() == Some(ACCOUNT) && found.repository_name() == Some(repository.name.as_str())
        );
    }
    let mut codes: Vec<String> = answer
        .failures()
        .iter()
        .filter_map(|failure| failure.failure_code().map(|code| code.as_str().to_owned()))
        .collect();
    codes.sort();
    ensure!(
        codes
            == [
                "ImageNotFound",
                "ImageNotFound",
                "ImageTagDoesNotMatchDigest",
                "InvalidImageDigest",
                "MissingDigestAndTag"
            ],
        "{codes:?}"
    );
    let reason = answer
        .failures()
        .iter()
        .find(|failure| failure.failure_code() == Some(&ImageFailureCode::ImageNotFound));
    ensure!(
        reason.and_then(|failure| failure.failure_reason()) == Some("Requested image not found"),
        "{reason:?}"
    );
    Ok(())
}

#[tokio::test]
async fn list_images_gives_one_entry_per_tag_and_filters() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let tagged = Image::oci("tagged", 1);
    let untagged = Image::oci("untagged", 1);
    repository.push_image("v1", &tagged).await?;
    repository.put_manifest("v2", &tagged.manifest).await?.expect(&[201])?;
    repository.push_image(&untagged.manifest.digest, &untagged).await?;
    let list = async |status: Option<TagStatus>| {
        let filter = status.map(|status| ListImagesFilter::builder().tag_status(status).build());
        let answer =
            target.api().list_images().repository_name(&repository.name).set_filter(filter).send().await?;
        let mut found: Vec<(String, String)> = answer
            .image_ids()
            .iter()
            .map(|id| {
                (
                    id.image_digest().unwrap_or_default().to_owned(),
                    id.image_tag().unwrap_or_default().to_owned(),
                )
            })
            .collect();
        found.sort();
        anyhow::Ok(found)
    };
    let digest = &tagged.manifest.digest;
    let both = vec![(digest.clone(), "v1".to_owned()), (digest.clone(), "v2".to_owned())];
    let alone = vec![(untagged.manifest.digest.clone(), String::new())];
    let mut all = [both.clone(), alone.clone()].concat();
    all.sort();
    ensure!(list(None).await? == all);
    ensure!(list(Some(TagStatus::Any)).await? == all);
    ensure!(list(Some(TagStatus::Tagged)).await? == both);
    ensure!(list(Some(TagStatus::Untagged)).await? == alone);
    Ok(())
}

#[tokio::test]
async fn images_are_listed_in_pages() -> Result<()> {
    let target = Target::start().await?;
    let image = Image::oci("pages", 1);
    let repository = with_blobs(&target, &image).await?;
    for number in 0..7 {
        repository.put_manifest(&format!("v{number}"), &image.manifest).await?.expect(&[201])?;
    }
    let mut pages =
        target.api().list_images().repository_name(&repository.name).into_paginator().page_size(3).send();
    let mut tags = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page?;
        ensure!(page.image_ids().len() <= 3);
        tags.extend(page.image_ids().iter().filter_map(|id| id.image_tag().map(str::to_owned)));
    }
    tags.sort();
    ensure!(tags == ["v0", "v1", "v2", "v3", "v4", "v5", "v6"], "{tags:?}");
    Ok(())
}

#[tokio::test]
async fn paging_goes_on_although_images_of_earlier_pages_were_deleted() -> Result<()> {
    // What the auto-delete handler of the CDK does.
    let target = Target::start().await?;
    let image = Image::oci("delete while paging", 1);
    let repository = with_blobs(&target, &image).await?;
    for number in 0..6 {
        repository.put_manifest(&format!("v{number}"), &image.manifest).await?.expect(&[201])?;
    }
    let mut token = None;
    let mut seen = 0;
    loop {
        let request = target.api().list_images().repository_name(&repository.name).max_results(2);
        let page = request.set_next_token(token.take()).send().await?;
        seen += page.image_ids().len();
        if !page.image_ids().is_empty() {
            let request = target.api().batch_delete_image().repository_name(&repository.name);
            request.set_image_ids(Some(page.image_ids().to_vec())).send().await?;
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    ensure!(seen == 6, "{seen} of 6 images seen");
    Ok(())
}

#[tokio::test]
async fn an_image_is_described_with_size_tags_type_and_time() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("described", 3);
    repository.push_image("v1", &image).await?;
    repository.put_manifest("latest", &image.manifest).await?.expect(&[201])?;
    let answer = target
        .api()
        .describe_images()
        .repository_name(&repository.name)
        .image_ids(by_tag("v1"))
        .send()
        .await?;
    let detail = answer.image_details().first().context("no detail")?;
    let mut tags = detail.image_tags().to_vec();
    tags.sort();
    ensure!(tags == ["latest", "v1"], "{tags:?}");
    let layers: usize = image.layers.iter().map(|layer| layer.bytes.len()).sum();
    let size = detail.image_size_in_bytes().context("no size")?;
    // AWS documents "compressed size" without saying whether config and manifest count.
    let most = layers + image.config.bytes.len() + image.manifest.bytes.len();
    ensure!(
        size >= i64::try_from(layers)? && size <= i64::try_from(most)?,
        "{size} is not within {layers} and {most}"
    );
    ensure!(detail.image_manifest_media_type() == Some(OCI_MANIFEST));
    ensure!(detail.artifact_media_type() == Some("application/vnd.oci.image.config.v1+json"), "{detail:?}");
    ensure!(detail.image_pushed_at().is_some());
    ensure!(detail.image_digest() == Some(image.manifest.digest.as_str()));
    Ok(())
}

#[tokio::test]
async fn pulling_an_image_records_when() -> Result<()> {
    let target = Target::own(&[]).await?;
    let repository = target.repository().await?;
    let image = Image::oci("pulled", 1);
    repository.push_image("v1", &image).await?;
    repository.manifest("v1").await?.expect(&[200])?;
    // Written in batches, so it may take a moment.
    let begin = std::time::Instant::now();
    loop {
        let answer = target.api().describe_images().repository_name(&repository.name).send().await?;
        if answer.image_details().first().and_then(|detail| detail.last_recorded_pull_time()).is_some() {
            return Ok(());
        }
        ensure!(begin.elapsed().as_secs() < 60, "no pull time after a minute");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_referrer_is_described_with_its_subject() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("subject", 1);
    let artifact = Image::artifact("sbom", "application/vnd.example.sbom.v1", Some(&image.manifest));
    repository.push_image("v1", &image).await?;
    repository.push_image(&artifact.manifest.digest, &artifact).await?;
    let request = target.api().describe_images().repository_name(&repository.name);
    let answer = request.image_ids(by_digest(&artifact.manifest.digest)).send().await?;
    let detail = answer.image_details().first().context("no detail")?;
    ensure!(detail.subject_manifest_digest() == Some(image.manifest.digest.as_str()), "{detail:?}");
    ensure!(detail.artifact_media_type() == Some("application/vnd.example.sbom.v1"), "{detail:?}");
    Ok(())
}

#[tokio::test]
async fn one_missing_image_fails_the_whole_description() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    repository.push_image("v1", &Image::oci("there", 1)).await?;
    let request = target.api().describe_images().repository_name(&repository.name);
    let got = refusal(request.image_ids(by_tag("v1")).image_ids(by_tag("gone")).send().await)?;
    ensure!(got.0 == "ImageNotFoundException", "{got:?}");
    ensure!(got.1.contains("imageTag:'gone'") && got.1.contains(&repository.name), "{got:?}");
    Ok(())
}

#[tokio::test]
async fn deleting_the_last_tag_deletes_the_image() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("last tag", 1);
    repository.push_image("v1", &image).await?;
    repository.put_manifest("v2", &image.manifest).await?.expect(&[201])?;
    let delete = |tag: &str| {
        target.api().batch_delete_image().repository_name(&repository.name).image_ids(by_tag(tag)).send()
    };
    let answer = delete("v1").await?;
    ensure!(answer.image_ids().len() == 1 && answer.failures().is_empty(), "{answer:?}");
    repository.check_image("v2", &image).await?;
    delete("v2").await?;
    repository.manifest(&image.manifest.digest).await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    let answer = delete("v2").await?;
    let failure = answer.failures().first().context("no failure")?;
    ensure!(failure.failure_code() == Some(&ImageFailureCode::ImageNotFound), "{failure:?}");
    ensure!(failure.failure_reason() == Some("Requested image not found"), "{failure:?}");
    Ok(())
}

#[tokio::test]
async fn deleting_by_digest_lists_every_tag() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("all tags", 1);
    repository.push_image("v1", &image).await?;
    repository.put_manifest("v2", &image.manifest).await?.expect(&[201])?;
    let request = target.api().batch_delete_image().repository_name(&repository.name);
    let answer = request.image_ids(by_digest(&image.manifest.digest)).send().await?;
    let mut tags: Vec<&str> = answer.image_ids().iter().filter_map(|id| id.image_tag()).collect();
    tags.sort_unstable();
    ensure!(tags == ["v1", "v2"], "{answer:?}");
    ensure!(repository.tags().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_child_of_an_index_cannot_be_deleted_before_it() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let child = Image::oci("child", 1);
    repository.push_image("child", &child).await?;
    let parent = index(&[&child.manifest]);
    repository.put_manifest("multi", &parent).await?.expect(&[201])?;
    for id in [by_digest(&child.manifest.digest), by_tag("child")] {
        let request = target.api().batch_delete_image().repository_name(&repository.name);
        let answer = request.image_ids(id).send().await?;
        let failure = answer.failures().first().context("the child was deleted")?;
        ensure!(
            failure.failure_code() == Some(&ImageFailureCode::ImageReferencedByManifestList),
            "{failure:?}"
        );
        let reason = format!("Requested image referenced by manifest list: [{}]", parent.digest);
        ensure!(failure.failure_reason() == Some(reason.as_str()), "{failure:?}");
    }
    let request = target.api().batch_delete_image().repository_name(&repository.name);
    request.image_ids(by_tag("multi")).send().await?;
    let request = target.api().batch_delete_image().repository_name(&repository.name);
    let answer = request.image_ids(by_tag("child")).send().await?;
    ensure!(answer.failures().is_empty(), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn images_of_an_unknown_repository_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    let expected = ("RepositoryNotFoundException".to_owned(), repository_not_found(&name));
    let api = target.api();
    ensure!(refusal(api.list_images().repository_name(&name).send().await)? == expected);
    ensure!(refusal(api.describe_images().repository_name(&name).send().await)? == expected);
    ensure!(
        refusal(api.batch_get_image().repository_name(&name).image_ids(by_tag("v1")).send().await)?
            == expected
    );
    ensure!(
        refusal(api.batch_delete_image().repository_name(&name).image_ids(by_tag("v1")).send().await)?
            == expected
    );
    let manifest = Image::oci("x", 0).manifest.text();
    ensure!(
        refusal(api.put_image().repository_name(&name).image_manifest(manifest).send().await)? == expected
    );
    Ok(())
}

#[tokio::test]
async fn batches_out_of_bounds_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let many: Vec<ImageIdentifier> = (0..101).map(|number| by_tag(&format!("v{number}"))).collect();
    for ids in [Vec::new(), many] {
        let request =
            target.api().batch_get_image().repository_name(&repository.name).set_image_ids(Some(ids.clone()));
        let got = refusal(request.send().await)?;
        ensure!(got.0 == "InvalidParameterException", "{got:?}");
        let request =
            target.api().batch_delete_image().repository_name(&repository.name).set_image_ids(Some(ids));
        let got = refusal(request.send().await)?;
        ensure!(got.0 == "InvalidParameterException", "{got:?}");
    }
    Ok(())
}
