//! Tokens, download URLs, and who the caller is.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use berth_e2e::api;
use berth_e2e::oci::Oci;
use berth_e2e::target::{Target, token};
use reqwest::Method;

#[tokio::test]
async fn a_token_is_one_entry_that_lives_twelve_hours() -> Result<()> {
    let target = Target::start().await?;
    let answer = target.api().get_authorization_token().send().await?;
    ensure!(answer.authorization_data().len() == 1);
    let data = &answer.authorization_data()[0];
    let expires = SystemTime::try_from(*data.expires_at().context("no expiry")?)?;
    // The file that is being written now has the machine's time, which this test may not ask for itself.
    let now = tempfile::NamedTempFile::new()?.as_file().metadata()?.modified()?;
    let left = expires.duration_since(now)?;
    let (least, most) = (Duration::from_secs(12 * 3600 - 120), Duration::from_secs(12 * 3600 + 120));
    ensure!(left > least && left < most, "{left:?}");
    ensure!(data.proxy_endpoint().is_some_and(|endpoint| endpoint.starts_with("http")), "{data:?}");
    let (user, password) = token(&target.api()).await?;
    ensure!(user == "AWS" && !password.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_proxy_endpoint_is_where_docker_logs_in() -> Result<()> {
    let target = Target::own(&[]).await?;
    let answer = target.api().get_authorization_token().send().await?;
    let endpoint = answer.authorization_data()[0].proxy_endpoint().context("no endpoint")?.to_owned();
    let port = target.url().rsplit_once(':').context("a port")?.1;
    ensure!(endpoint.ends_with(&format!("localhost:{port}")), "{endpoint}");
    Ok(())
}

#[tokio::test]
#[expect(deprecated, reason = "the ECS agent still names the registry that it wants a token for")]
async fn a_token_can_be_asked_for_by_registry() -> Result<()> {
    let target = Target::start().await?;
    let answer = target.api().get_authorization_token().registry_ids(berth_e2e::ACCOUNT).send().await?;
    ensure!(answer.authorization_data().len() == 1);
    Ok(())
}

#[tokio::test]
async fn a_token_of_one_account_opens_no_other() -> Result<()> {
    let target = Target::own(&[]).await?;
    let theirs = api::client(target.url(), "111111111111", berth_e2e::REGION);
    let (user, password) = token(&theirs).await?;
    let repository = target.repository().await?;
    repository.push_image("v1", &berth_e2e::image::Image::oci("mine", 1)).await?;
    let other = repository.oci.with_login(Some((&user, &password)));
    let answer = other.get(&repository.path("/manifests/v1")).await?;
    ensure!(answer.status != 200, "account 111111111111 reads an image of {}", berth_e2e::ACCOUNT);
    Ok(())
}

#[tokio::test]
async fn the_caller_identity_is_answered_for_terraform_and_others() -> Result<()> {
    let target = Target::own(&[]).await?;
    let oci = Oci::new(target.url(), None)?;
    let request = oci
        .request(Method::POST, "/")
        .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("X-Amz-Date", "20261123T120000Z")
        .header("Authorization", api::authorization("sts"))
        .body("Action=GetCallerIdentity&Version=2011-06-15");
    let answer = oci.send(request).await?.expect(&[200])?;
    let text = answer.text();
    ensure!(
        answer.header("content-type").is_some_and(|value| value.starts_with("text/xml")),
        "{:?}",
        answer.headers
    );
    ensure!(text.contains("<Account>000000000000</Account>"), "{text}");
    ensure!(text.contains("<Arn>arn:aws:") && text.contains("<UserId>"), "{text}");
    Ok(())
}
