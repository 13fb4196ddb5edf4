//! What time does to tokens, download URLs and open uploads, by moving the server's clock.

use anyhow::{Context, Result, ensure};
use berth_e2e::image::{Blob, Image};
use berth_e2e::target::{Target, token};

#[tokio::test]
async fn a_token_is_good_for_less_than_thirteen_hours_and_more_than_eleven() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let (user, password) = token(&target.api()).await?;
    target.kill_and_restart_later(11).await?;
    let old = target.oci().await?.with_login(Some((&user, &password)));
    old.get("/v2/").await?.expect(&[200])?;
    target.kill_and_restart_later(13).await?;
    let old = target.oci().await?.with_login(Some((&user, &password)));
    let answer = old.get("/v2/").await?.refused(&[403], "DENIED")?;
    let message = answer.json()?["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
    ensure!(message == "Your authorization token has expired. Reauthenticate and try again.", "{message}");
    // A new login is all it takes.
    target.oci().await?.get("/v2/").await?.expect(&[200])?;
    Ok(())
}

#[tokio::test]
async fn a_download_url_expires() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let repository = target.repository().await?;
    let image = Image::oci("download", 1);
    repository.push_image("v1", &image).await?;
    let request = target.api().get_download_url_for_layer().repository_name(&repository.name);
    let answer = request.layer_digest(&image.layers[0].digest).send().await?;
    let url = answer.download_url().context("no URL")?.to_owned();
    let (_, path) =
        url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).context("a URL with a path")?;
    let path = format!("/{path}");
    // The restart gives another port; the rest of the URL is as good as before.
    target.kill_and_restart().await?;
    let nobody = target.oci().await?.with_login(None);
    ensure!(nobody.get(&path).await?.expect(&[200])?.body == image.layers[0].bytes);
    target.kill_and_restart_later(2).await?;
    let nobody = target.oci().await?.with_login(None);
    nobody.get(&path).await?.expect(&[400, 401, 403])?;
    Ok(())
}

#[tokio::test]
async fn an_upload_can_be_resumed_the_next_day() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("forgotten", 1000);
    let location = repository.start_upload().await?;
    let answer = repository.patch(&location, 0, blob.bytes.slice(..500)).await?.expect(&[202])?;
    let location = answer.header_required("location")?.replace(target.url(), "");
    let location = location.split_once("/v2/").map_or(location.clone(), |(_, rest)| format!("/v2/{rest}"));
    target.kill_and_restart_later(23).await?;
    let repository = target.oci().await?.repository(&repository.name);
    repository.oci.get(&location).await?.expect(&[204])?;
    repository.finish(&location, &blob.digest, blob.bytes.slice(500..)).await?.expect(&[201])?;
    ensure!(repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?.body == blob.bytes);
    Ok(())
}

#[tokio::test]
async fn an_upload_is_forgotten_a_day_after_its_last_byte() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let repository = target.repository().await?;
    let location = repository.start_upload().await?.replace(target.url(), "");
    target.kill_and_restart_later(26).await?;
    let oci = target.oci().await?;
    let mut asked = 0;
    // The server looks a few seconds after its start; until then the session may still be there.
    while oci.get(&location).await?.status != 404 {
        asked += 1;
        ensure!(asked < 150, "the session is still there");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}
