//! Resource tags of a repository.

use anyhow::{Context, Result, ensure};
use aws_sdk_ecr::types::Tag;
use berth_e2e::api::refusal;
use berth_e2e::target::{Target, unique_name};
use berth_e2e::{ACCOUNT, REGION};

use super::repository_not_found;

fn tag(key: &str, value: &str) -> Result<Tag> {
    Ok(Tag::builder().key(key).value(value).build()?)
}

async fn tagged(target: &Target, tags: Vec<Tag>) -> Result<String> {
    let request = target.api().create_repository().repository_name(unique_name()).set_tags(Some(tags));
    let answer = request.send().await?;
    let arn = answer.repository().and_then(|repository| repository.repository_arn());
    Ok(arn.context("no ARN")?.to_owned())
}

async fn listed(target: &Target, arn: &str) -> Result<Vec<(String, String)>> {
    let answer = target.api().list_tags_for_resource().resource_arn(arn).send().await?;
    let mut tags: Vec<(String, String)> =
        answer.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
    tags.sort();
    Ok(tags)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn tags_are_set_changed_and_removed() -> Result<()> {
    let target = Target::start().await?;
    let arn = tagged(&target, vec![tag("Project", "shop")?, tag("Empty", "")?]).await?;
    ensure!(listed(&target, &arn).await? == pairs(&[("Empty", ""), ("Project", "shop")]));
    let request = target.api().tag_resource().resource_arn(&arn);
    request.tags(tag("Project", "mart")?).tags(tag("Service", "api")?).send().await?;
    ensure!(listed(&target, &arn).await? == pairs(&[("Empty", ""), ("Project", "mart"), ("Service", "api")]));
    let request = target.api().untag_resource().resource_arn(&arn);
    request.tag_keys("Empty").tag_keys("Service").tag_keys("Never").send().await?;
    ensure!(listed(&target, &arn).await? == pairs(&[("Project", "mart")]));
    Ok(())
}

#[tokio::test]
async fn more_than_fifty_tags_are_refused_and_change_nothing() -> Result<()> {
    let target = Target::start().await?;
    let fifty = (0..50).map(|number| tag(&format!("k{number}"), "v")).collect::<Result<Vec<_>>>()?;
    let arn = tagged(&target, fifty).await?;
    let got =
        refusal(target.api().tag_resource().resource_arn(&arn).tags(tag("one-more", "v")?).send().await)?;
    ensure!(got.0 == "TooManyTagsException", "{got:?}");
    ensure!(listed(&target, &arn).await?.len() == 50);
    // Changing one that exists is no new tag.
    target.api().tag_resource().resource_arn(&arn).tags(tag("k0", "other")?).send().await?;
    Ok(())
}

#[tokio::test]
async fn bad_tags_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let arn = tagged(&target, Vec::new()).await?;
    for (key, value) in
        [("aws:reserved", "v"), ("", "v"), ("x".repeat(129).as_str(), "v"), ("k", "v".repeat(257).as_str())]
    {
        let got =
            refusal(target.api().tag_resource().resource_arn(&arn).tags(tag(key, value)?).send().await)?;
        ensure!(
            ["InvalidTagParameterException", "InvalidParameterException"].contains(&got.0.as_str()),
            "{key}: {got:?}"
        );
    }
    ensure!(listed(&target, &arn).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn tags_of_what_is_not_there_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    let arn = format!("arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}");
    let listed = refusal(target.api().list_tags_for_resource().resource_arn(&arn).send().await)?;
    ensure!(listed == ("RepositoryNotFoundException".to_owned(), repository_not_found(&name)), "{listed:?}");
    let put = refusal(target.api().tag_resource().resource_arn(&arn).tags(tag("k", "v")?).send().await)?;
    ensure!(put.0 == "RepositoryNotFoundException", "{put:?}");
    let removed = refusal(target.api().untag_resource().resource_arn(&arn).tag_keys("k").send().await)?;
    ensure!(removed.0 == "RepositoryNotFoundException", "{removed:?}");
    for malformed in ["nonsense", "arn:aws:s3:::bucket", "arn:aws:ecr:us-east-1:1:repository/x"] {
        let got = refusal(target.api().list_tags_for_resource().resource_arn(malformed).send().await)?;
        ensure!(got.0 == "InvalidParameterException", "{malformed}: {got:?}");
    }
    Ok(())
}
