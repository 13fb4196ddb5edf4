//! Tag mutability in all four modes, the same on both planes.

use anyhow::{Context, Result, ensure};
use aws_sdk_ecr::types::{
    ImageTagMutability, ImageTagMutabilityExclusionFilter, ImageTagMutabilityExclusionFilterType,
};
use berth_e2e::api::refusal;
use berth_e2e::image::Image;
use berth_e2e::oci::Repository;
use berth_e2e::target::Target;

use super::assert_refusal;

fn filter(pattern: &str) -> Result<ImageTagMutabilityExclusionFilter> {
    let kind = ImageTagMutabilityExclusionFilterType::Wildcard;
    Ok(ImageTagMutabilityExclusionFilter::builder().filter_type(kind).filter(pattern).build()?)
}

async fn with_mode(target: &Target, mode: ImageTagMutability, filters: &[&str]) -> Result<Repository> {
    let repository = target.repository().await?;
    let filters = filters.iter().map(|pattern| filter(pattern)).collect::<Result<Vec<_>>>()?;
    let mut request = target.api().put_image_tag_mutability().repository_name(&repository.name);
    request = request.image_tag_mutability(mode.clone());
    for filter in &filters {
        request = request.image_tag_mutability_exclusion_filters(filter.clone());
    }
    let answer = request.send().await?;
    ensure!(answer.image_tag_mutability() == Some(&mode), "{answer:?}");
    ensure!(answer.image_tag_mutability_exclusion_filters() == filters, "{answer:?}");
    Ok(repository)
}

fn immutable(repository: &Repository, tag: &str) -> String {
    format!(
        "The image tag '{tag}' already exists in the '{}' repository and cannot be overwritten because the repository is immutable.",
        repository.name
    )
}

/// Pushes two images to a tag and says whether the second one was let through, on each plane.
async fn can_move(target: &Target, repository: &Repository, tag: &str) -> Result<bool> {
    let (first, second, third) = (Image::oci("first", 1), Image::oci("second", 1), Image::oci("third", 1));
    repository.push_image(tag, &first).await?;
    for blob in second.blobs().chain(third.blobs()) {
        repository.push_blob(blob).await?;
    }
    let over_oci = repository.put_manifest(tag, &second.manifest).await?.expect(&[201, 400])?;
    let request = target.api().put_image().repository_name(&repository.name).image_tag(tag);
    let over_api = request.image_manifest(third.manifest.text()).send().await;
    let moved = over_oci.status == 201;
    ensure!(moved == over_api.is_ok(), "{tag}: OCI {}, API {over_api:?}", over_oci.status);
    if !moved {
        let text = immutable(repository, tag);
        let answer = over_oci.refused(&[400], "TAG_INVALID")?;
        let message = answer.json()?["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
        ensure!(message == text, "{message}");
        assert_refusal(&refusal(over_api)?, "ImageTagAlreadyExistsException", &text)?;
        repository.check_image(tag, &first).await?;
    }
    Ok(moved)
}

#[tokio::test]
async fn immutable_tags_stay_on_both_planes() -> Result<()> {
    let target = Target::start().await?;
    let repository = with_mode(&target, ImageTagMutability::Immutable, &[]).await?;
    ensure!(!can_move(&target, &repository, "v1").await?);
    Ok(())
}

#[tokio::test]
async fn mutable_tags_move_on_both_planes() -> Result<()> {
    let target = Target::start().await?;
    let repository = with_mode(&target, ImageTagMutability::Mutable, &[]).await?;
    ensure!(can_move(&target, &repository, "v1").await?);
    Ok(())
}

#[tokio::test]
async fn immutable_with_exclusion_lets_the_named_tags_move() -> Result<()> {
    let target = Target::start().await?;
    let mode = ImageTagMutability::ImmutableWithExclusion;
    let repository = with_mode(&target, mode, &["latest", "dev-*"]).await?;
    ensure!(can_move(&target, &repository, "latest").await?);
    ensure!(can_move(&target, &repository, "dev-1").await?);
    ensure!(!can_move(&target, &repository, "latest-2").await?, "a filter without a star is an exact tag");
    ensure!(!can_move(&target, &repository, "v1").await?);
    Ok(())
}

#[tokio::test]
async fn mutable_with_exclusion_holds_the_named_tags() -> Result<()> {
    let target = Target::start().await?;
    let repository = with_mode(&target, ImageTagMutability::MutableWithExclusion, &["v*"]).await?;
    ensure!(!can_move(&target, &repository, "v1").await?);
    ensure!(can_move(&target, &repository, "latest").await?);
    Ok(())
}

#[tokio::test]
async fn pushing_the_same_image_to_its_immutable_tag_again_succeeds() -> Result<()> {
    let target = Target::start().await?;
    let repository = with_mode(&target, ImageTagMutability::Immutable, &[]).await?;
    let image = Image::oci("same", 1);
    repository.push_image("v1", &image).await?;
    repository.push_image("v1", &image).await?;
    // Another tag for the same image is no change of a tag.
    repository.put_manifest("v2", &image.manifest).await?.expect(&[201])?;
    Ok(())
}

#[tokio::test]
async fn an_immutable_tag_that_was_deleted_can_be_given_again() -> Result<()> {
    let target = Target::start().await?;
    let repository = with_mode(&target, ImageTagMutability::Immutable, &[]).await?;
    repository.push_image("v1", &Image::oci("first", 1)).await?;
    repository.delete("/manifests/v1").await?.expect(&[202])?;
    repository.push_image("v1", &Image::oci("second", 1)).await?;
    Ok(())
}

#[tokio::test]
async fn of_two_pushes_to_an_immutable_tag_at_once_one_wins() -> Result<()> {
    let target = Target::start().await?;
    let repository = with_mode(&target, ImageTagMutability::Immutable, &[]).await?;
    for round in 0..10 {
        let images = [0, 1, 2, 3].map(|number| Image::oci(&format!("round {round} number {number}"), 1));
        for blob in images.iter().flat_map(Image::blobs) {
            repository.push_blob(blob).await?;
        }
        let tag = format!("v{round}");
        let put = |number: usize| repository.put_manifest(&tag, &images[number].manifest);
        let (a, b, c, d) = tokio::try_join!(put(0), put(1), put(2), put(3))?;
        let won: Vec<usize> = [&a, &b, &c, &d]
            .iter()
            .enumerate()
            .filter(|(_, put)| put.status == 201)
            .map(|(n, _)| n)
            .collect();
        ensure!(won.len() == 1, "{tag}: {won:?} won");
        repository.check_image(&tag, &images[won[0]]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn filters_and_modes_that_do_not_fit_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let put = |mode: ImageTagMutability, filters: Option<Vec<ImageTagMutabilityExclusionFilter>>| {
        let request = target.api().put_image_tag_mutability().repository_name(&repository.name);
        request.image_tag_mutability(mode).set_image_tag_mutability_exclusion_filters(filters).send()
    };
    let got = refusal(put(ImageTagMutability::Immutable, Some(vec![filter("v*")?])).await)?;
    assert_refusal(
        &got,
        "InvalidParameterException",
        "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set as IMMUTABLE'",
    )?;
    let got = refusal(put(ImageTagMutability::ImmutableWithExclusion, None).await)?;
    assert_refusal(
        &got,
        "InvalidParameterException",
        "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION'",
    )?;
    let six = (0..6).map(|number| filter(&format!("a{number}"))).collect::<Result<Vec<_>>>()?;
    for filters in [six, vec![filter("a b")?], vec![filter("a*b*c*")?], vec![filter(&"a".repeat(129))?]] {
        let got = refusal(put(ImageTagMutability::ImmutableWithExclusion, Some(filters)).await)?;
        ensure!(got.0 == "InvalidParameterException", "{got:?}");
    }
    let described = target.api().describe_repositories().repository_names(&repository.name).send().await?;
    let mode =
        described.repositories().first().and_then(|found| found.image_tag_mutability()).context("no mode")?;
    ensure!(mode == &ImageTagMutability::Mutable, "a refused setting must change nothing");
    Ok(())
}
