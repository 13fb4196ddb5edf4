//! Creating, describing and deleting repositories.

use anyhow::{Context, Result, ensure};
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability, Tag,
};
use berth_e2e::api::{self, refusal};
use berth_e2e::image::Image;
use berth_e2e::target::{Target, unique_name};
use berth_e2e::{ACCOUNT, REGION};

use super::{assert_refusal, repository_not_found};

#[tokio::test]
async fn a_new_repository_has_the_documented_defaults() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    let answer = target.api().create_repository().repository_name(&name).send().await?;
    let repository = answer.repository().context("no repository")?;
    ensure!(repository.repository_name() == Some(name.as_str()));
    ensure!(repository.registry_id() == Some(ACCOUNT));
    let arn = format!("arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}");
    ensure!(repository.repository_arn() == Some(arn.as_str()), "{repository:?}");
    ensure!(
        repository.repository_uri().is_some_and(|uri| uri.ends_with(&format!("/{name}"))),
        "{repository:?}"
    );
    ensure!(repository.image_tag_mutability() == Some(&ImageTagMutability::Mutable));
    ensure!(repository.image_scanning_configuration().is_some_and(|scanning| !scanning.scan_on_push()));
    let encryption = repository.encryption_configuration().context("no encryption")?;
    ensure!(encryption.encryption_type() == &EncryptionType::Aes256 && encryption.kms_key().is_none());
    ensure!(repository.created_at().is_some());
    Ok(())
}

#[tokio::test]
async fn what_was_created_is_described_the_same() -> Result<()> {
    let target = Target::start().await?;
    let api = target.api();
    let name = unique_name();
    let created = api
        .create_repository()
        .repository_name(&name)
        .image_tag_mutability(ImageTagMutability::Immutable)
        .image_scanning_configuration(ImageScanningConfiguration::builder().scan_on_push(true).build())
        .tags(Tag::builder().key("Project").value("shop").build()?)
        .send()
        .await?;
    let described = api.describe_repositories().repository_names(&name).send().await?;
    ensure!(described.repositories() == [created.repository().context("no repository")?.clone()]);
    Ok(())
}

#[tokio::test]
async fn the_uri_follows_the_host_template() -> Result<()> {
    let target = Target::own(&["--registry-host", "{account}.dkr.ecr.{region}.amazonaws.com"]).await?;
    let answer = target.api().create_repository().repository_name("shop/api").send().await?;
    let uri = answer.repository().and_then(|repository| repository.repository_uri());
    ensure!(uri == Some("000000000000.dkr.ecr.us-east-1.amazonaws.com/shop/api"), "{uri:?}");
    Ok(())
}

#[tokio::test]
async fn account_and_region_can_be_chosen() -> Result<()> {
    let target = Target::own(&["--account-id", "123456789012", "--region", "eu-west-1"]).await?;
    let api = api::client(target.url(), "AKIAIOSFODNN7EXAMPLE", "eu-west-1");
    let answer = api.create_repository().repository_name("shop/api").send().await?;
    let arn = answer.repository().and_then(|repository| repository.repository_arn());
    ensure!(arn == Some("arn:aws:ecr:eu-west-1:123456789012:repository/shop/api"), "{arn:?}");
    Ok(())
}

#[tokio::test]
async fn accounts_and_regions_do_not_see_each_other() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    for (key, region) in
        [("111111111111", "us-east-1"), ("222222222222", "us-east-1"), ("111111111111", "eu-west-1")]
    {
        let api = api::client(target.url(), key, region);
        let nobody = refusal(api.describe_repositories().repository_names(&name).send().await)?;
        ensure!(nobody.0 == "RepositoryNotFoundException", "{key} {region}: {nobody:?}");
        let answer = api.create_repository().repository_name(&name).send().await?;
        let arn = answer.repository().and_then(|repository| repository.repository_arn());
        let expected = format!("arn:aws:ecr:{region}:{key}:repository/{name}");
        ensure!(arn == Some(expected.as_str()), "{arn:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_name_can_be_taken_once() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    target.api().create_repository().repository_name(&name).send().await?;
    let got = refusal(target.api().create_repository().repository_name(&name).send().await)?;
    let message =
        format!("The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'");
    assert_refusal(&got, "RepositoryAlreadyExistsException", &message)
}

#[tokio::test]
async fn malformed_names_are_refused() -> Result<()> {
    let target = Target::start().await?;
    for name in ["Upper", "a", "-a", "a//b", "a/", "/a", "a b", "a__", "x".repeat(257).as_str()] {
        let got = refusal(target.api().create_repository().repository_name(name).send().await)?;
        ensure!(got.0 == "InvalidParameterException", "{name}: {got:?}");
        ensure!(got.1.contains("repositoryName"), "{name}: {got:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_for_aes256_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let encryption = EncryptionConfiguration::builder()
        .encryption_type(EncryptionType::Aes256)
        .kms_key("arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555")
        .build()?;
    let request =
        target.api().create_repository().repository_name(unique_name()).encryption_configuration(encryption);
    let got = refusal(request.send().await)?;
    ensure!(got.0 == "InvalidParameterException", "{got:?}");
    ensure!(got.1.contains("Encryption key should not be set for AES256 encryption."), "{got:?}");
    Ok(())
}

#[tokio::test]
async fn repositories_are_described_in_pages() -> Result<()> {
    let target = Target::own(&[]).await?;
    let api = target.api();
    let mut expected: Vec<String> = (0..7).map(|number| format!("page/r{number}")).collect();
    for name in &expected {
        api.create_repository().repository_name(name).send().await?;
    }
    let mut pages = api.describe_repositories().into_paginator().page_size(3).send();
    let mut sizes = Vec::new();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page?;
        sizes.push(page.repositories().len());
        names.extend(
            page.repositories().iter().filter_map(|found| found.repository_name().map(str::to_owned)),
        );
    }
    names.sort();
    expected.sort();
    ensure!(names == expected && sizes.iter().all(|size| *size <= 3), "{sizes:?} {names:?}");
    Ok(())
}

#[tokio::test]
async fn one_unknown_name_fails_the_whole_description() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    target.api().create_repository().repository_name(&name).send().await?;
    let unknown = unique_name();
    let request = target.api().describe_repositories().repository_names(&name).repository_names(&unknown);
    let got = refusal(request.send().await)?;
    assert_refusal(&got, "RepositoryNotFoundException", &repository_not_found(&unknown))
}

#[tokio::test]
async fn names_and_paging_do_not_go_together() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    target.api().create_repository().repository_name(&name).send().await?;
    let got =
        refusal(target.api().describe_repositories().repository_names(&name).max_results(5).send().await)?;
    ensure!(got.0 == "InvalidParameterException", "{got:?}");
    Ok(())
}

#[tokio::test]
async fn a_made_up_page_token_is_refused() -> Result<()> {
    let target = Target::start().await?;
    for token in ["nonsense", "AAAA", "eyJhIjoxfQ=="] {
        let got = refusal(target.api().describe_repositories().next_token(token).send().await)?;
        ensure!(got.0 == "InvalidParameterException", "{token}: {got:?}");
    }
    Ok(())
}

#[tokio::test]
async fn page_sizes_out_of_bounds_are_refused() -> Result<()> {
    let target = Target::start().await?;
    for size in [0, -1, 1001] {
        let got = refusal(target.api().describe_repositories().max_results(size).send().await)?;
        ensure!(got.0 == "InvalidParameterException" && got.1.contains("maxResults"), "{size}: {got:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_repository_is_deleted_and_returned() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    target.api().create_repository().repository_name(&name).send().await?;
    let answer = target.api().delete_repository().repository_name(&name).send().await?;
    ensure!(answer.repository().and_then(|deleted| deleted.repository_name()) == Some(name.as_str()));
    let got = refusal(target.api().delete_repository().repository_name(&name).send().await)?;
    assert_refusal(&got, "RepositoryNotFoundException", &repository_not_found(&name))
}

#[tokio::test]
async fn a_repository_with_images_is_deleted_only_by_force() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("kept", 1);
    repository.push_image("v1", &image).await?;
    let name = &repository.name;
    let got = refusal(target.api().delete_repository().repository_name(name).send().await)?;
    let message = format!(
        "The repository with name '{name}' in registry with id '{ACCOUNT}' cannot be deleted because it still contains images"
    );
    assert_refusal(&got, "RepositoryNotEmptyException", &message)?;
    repository.check_image("v1", &image).await?;
    target.api().delete_repository().repository_name(name).force(true).send().await?;
    repository.manifest("v1").await?.refused(&[404], "NAME_UNKNOWN")?;
    // A repository of the same name starts empty.
    target.api().create_repository().repository_name(name).send().await?;
    repository.manifest("v1").await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    repository.get(&format!("/blobs/{}", image.layers[0].digest)).await?.refused(&[404], "BLOB_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn scanning_is_switched_in_place() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    target.api().create_repository().repository_name(&name).send().await?;
    for wanted in [true, false] {
        let scanning = ImageScanningConfiguration::builder().scan_on_push(wanted).build();
        let request = target.api().put_image_scanning_configuration().repository_name(&name);
        let answer = request.image_scanning_configuration(scanning).send().await?;
        ensure!(answer.image_scanning_configuration().is_some_and(|found| found.scan_on_push() == wanted));
        let described = target.api().describe_repositories().repository_names(&name).send().await?;
        let found = described.repositories()[0].image_scanning_configuration().context("no scanning")?;
        ensure!(found.scan_on_push() == wanted);
    }
    Ok(())
}

#[tokio::test]
async fn a_foreign_registry_id_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let got = refusal(target.api().describe_repositories().registry_id("999999999999").send().await);
    // Nothing was ever created there: an empty list is as true as a refusal, another account's data is not.
    if let Err(answered) = &got {
        ensure!(answered.to_string().contains("repositories: Some([])"), "{answered}");
    }
    let malformed = refusal(target.api().describe_repositories().registry_id("12").send().await)?;
    ensure!(malformed.0 == "InvalidParameterException", "{malformed:?}");
    Ok(())
}
