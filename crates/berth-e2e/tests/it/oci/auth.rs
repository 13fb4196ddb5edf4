//! Login: who gets in, and what those outside are told.

use anyhow::{Result, ensure};
use berth_e2e::image::Blob;
use berth_e2e::server::Server;
use berth_e2e::target::{Target, token};
use reqwest::Method;

#[tokio::test]
async fn the_base_answers_a_client_that_is_logged_in() -> Result<()> {
    let target = Target::start().await?;
    let answer = target.oci().await?.get("/v2/").await?.expect(&[200])?;
    ensure!(answer.header("docker-distribution-api-version") == Some("registry/2.0"), "{:?}", answer.headers);
    Ok(())
}

#[tokio::test]
async fn without_credentials_every_path_is_401_with_a_basic_challenge() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let nobody = repository.oci.with_login(None);
    let blob = Blob::noise("secret", 1);
    for path in [
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        repository.path("/tags/list"),
        repository.path("/manifests/latest"),
        repository.path(&format!("/blobs/{}", blob.digest)),
        repository.path(&format!("/referrers/{}", blob.digest)),
        "/v2/no/such/repository/tags/list".to_owned(),
    ] {
        let answer = nobody.get(&path).await?.expect(&[401])?;
        let challenge = answer.header_required("www-authenticate")?;
        ensure!(challenge.starts_with("Basic realm=\""), "{path}: {challenge}");
        ensure!(challenge.contains("service=\"ecr.amazonaws.com\""), "{path}: {challenge}");
    }
    let upload = nobody.request(Method::POST, &repository.path("/blobs/uploads/"));
    nobody.send(upload).await?.expect(&[401])?;
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_are_401() -> Result<()> {
    let target = Target::start().await?;
    let oci = target.oci().await?;
    let (user, password) = token(&target.api()).await?;
    let mut tampered = password.clone();
    let last = if tampered.pop() == Some('A') { 'B' } else { 'A' };
    tampered.push(last);
    let half = &password[..password.len() / 2];
    for (user, password) in [
        (user.as_str(), "wrong"),
        (user.as_str(), ""),
        (user.as_str(), tampered.as_str()),
        (user.as_str(), half),
        ("root", password.as_str()),
        ("", password.as_str()),
    ] {
        oci.with_login(Some((user, password))).get("/v2/").await?.expect(&[401])?;
    }
    Ok(())
}

#[tokio::test]
async fn authorization_headers_that_are_not_basic_are_401() -> Result<()> {
    let target = Target::start().await?;
    let nobody = target.oci().await?.with_login(None);
    for value in ["Basic", "Basic !!!", "Basic QVdT", "Bearer abc", "nonsense"] {
        let request = nobody.request(Method::GET, "/v2/").header("Authorization", value);
        nobody.send(request).await?.expect(&[400, 401])?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_of_one_server_is_worth_nothing_at_another() -> Result<()> {
    let target = Target::start().await?;
    let other = Target::own(&[]).await?;
    let (user, password) = token(&other.api()).await?;
    target.oci().await?.with_login(Some((&user, &password))).get("/v2/").await?.expect(&[401])?;
    Ok(())
}

#[tokio::test]
async fn a_token_survives_a_restart() -> Result<()> {
    let mut target = Target::start().await?;
    let (user, password) = token(&target.api()).await?;
    target.kill_and_restart().await?;
    target.oci().await?.with_login(Some((&user, &password))).get("/v2/").await?.expect(&[200])?;
    Ok(())
}

#[tokio::test]
async fn a_web_page_in_a_browser_on_this_machine_gets_nothing() -> Result<()> {
    let target = Target::start().await?;
    let oci = target.oci().await?;
    for (name, value) in [("Host", "evil.example"), ("Origin", "http://evil.example")] {
        let request = oci.request(Method::GET, "/v2/_catalog").header(name, value);
        let answer = oci.send(request).await?.expect(&[400, 403, 421])?;
        ensure!(answer.header("access-control-allow-origin").is_none(), "{:?}", answer.headers);
    }
    Ok(())
}

#[tokio::test]
async fn the_token_is_never_logged() -> Result<()> {
    let target = Target::of(Server::start_in(&[], &[("RUST_LOG", "trace")]).await?);
    let (user, password) = token(&target.api()).await?;
    let oci = target.oci().await?.with_login(Some((&user, &password)));
    oci.get("/v2/_catalog").await?.expect(&[200])?;
    oci.get("/v2/no/such/manifests/latest").await?.expect(&[404])?;
    let log = target.server()?.log();
    ensure!(!log.contains(&password), "the password is in the log");
    ensure!(!log.is_empty(), "a log without a line proves nothing");
    Ok(())
}
