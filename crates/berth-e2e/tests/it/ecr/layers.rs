//! Pushing and pulling layers through the API alone, as the containerd resolver does.

use anyhow::{Context, Result, ensure};
use aws_sdk_ecr::primitives::Blob as Bytes;
use aws_sdk_ecr::types::{LayerAvailability, LayerFailureCode};
use berth_e2e::api::refusal;
use berth_e2e::image::{Blob, Image};
use berth_e2e::oci::Repository;
use berth_e2e::target::{Target, unique_name};

use super::repository_not_found;

const PART: usize = 5 * 1024 * 1024;

async fn initiate(target: &Target, repository: &Repository) -> Result<String> {
    let answer = target.api().initiate_layer_upload().repository_name(&repository.name).send().await?;
    ensure!(answer.part_size().is_some_and(|size| size >= 5 * 1024 * 1024), "{answer:?}");
    Ok(answer.upload_id().context("no upload id")?.to_owned())
}

async fn upload(target: &Target, repository: &Repository, blob: &Blob) -> Result<String> {
    let id = initiate(target, repository).await?;
    for (number, part) in blob.bytes.chunks(PART).enumerate() {
        let first = number * PART;
        let answer = target
            .api()
            .upload_layer_part()
            .repository_name(&repository.name)
            .upload_id(&id)
            .part_first_byte(i64::try_from(first)?)
            .part_last_byte(i64::try_from(first + part.len() - 1)?)
            .layer_part_blob(Bytes::new(part))
            .send()
            .await?;
        ensure!(answer.last_byte_received() == Some(i64::try_from(first + part.len() - 1)?), "{answer:?}");
    }
    Ok(id)
}

#[tokio::test]
async fn a_layer_in_parts_is_stored_and_can_be_pulled_over_oci() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("api parts", PART + 12_345);
    let id = upload(&target, &repository, &blob).await?;
    let request = target.api().complete_layer_upload().repository_name(&repository.name).upload_id(&id);
    let answer = request.layer_digests(&blob.digest).send().await?;
    ensure!(answer.layer_digest() == Some(blob.digest.as_str()), "{answer:?}");
    ensure!(repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?.body == blob.bytes);
    // The session is over.
    let request = target.api().complete_layer_upload().repository_name(&repository.name).upload_id(&id);
    let got = refusal(request.layer_digests(&blob.digest).send().await)?;
    ensure!(got.0 == "UploadNotFoundException", "{got:?}");
    Ok(())
}

#[tokio::test]
async fn a_layer_that_is_there_already_says_so() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("already", 5000);
    repository.push_blob(&blob).await?;
    let id = upload(&target, &repository, &blob).await?;
    let request = target.api().complete_layer_upload().repository_name(&repository.name).upload_id(&id);
    let got = refusal(request.layer_digests(&blob.digest).send().await)?;
    ensure!(got.0 == "LayerAlreadyExistsException", "{got:?}");
    Ok(())
}

#[tokio::test]
async fn a_part_that_leaves_a_gap_is_refused_with_the_last_valid_byte() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let id = initiate(&target, &repository).await?;
    let part = |first: i64, bytes: Vec<u8>| {
        let last = first + i64::try_from(bytes.len()).unwrap_or_default() - 1;
        let request = target.api().upload_layer_part().repository_name(&repository.name).upload_id(&id);
        request.part_first_byte(first).part_last_byte(last).layer_part_blob(Bytes::new(bytes)).send()
    };
    part(0, vec![1; 100]).await?;
    let got = part(200, vec![1; 100]).await;
    let error = got.err().context("a gap was accepted")?.into_service_error();
    ensure!(error.is_invalid_layer_part_exception(), "{error:?}");
    if let aws_sdk_ecr::operation::upload_layer_part::UploadLayerPartError::InvalidLayerPartException(inner) =
        &error
    {
        ensure!(inner.last_valid_byte_received() == Some(99), "{inner:?}");
        ensure!(inner.upload_id() == Some(id.as_str()), "{inner:?}");
    }
    part(100, vec![1; 100]).await?;
    Ok(())
}

#[tokio::test]
async fn completing_what_does_not_match_or_is_empty_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("no match", 5000);
    let other = Blob::noise("other", 5000);
    let complete = |id: String, digest: String| {
        let request = target.api().complete_layer_upload().repository_name(&repository.name).upload_id(id);
        request.layer_digests(digest).send()
    };
    let id = upload(&target, &repository, &blob).await?;
    let got = refusal(complete(id, other.digest.clone()).await)?;
    ensure!(got.0 == "InvalidLayerException", "{got:?}");
    let id = initiate(&target, &repository).await?;
    let got = refusal(complete(id, blob.digest.clone()).await)?;
    ensure!(got.0 == "EmptyUploadException", "{got:?}");
    let got =
        refusal(complete("00000000-0000-4000-8000-000000000000".to_owned(), blob.digest.clone()).await)?;
    ensure!(got.0 == "UploadNotFoundException", "{got:?}");
    Ok(())
}

#[tokio::test]
async fn availability_is_told_per_digest() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("available", 777);
    let absent = Blob::noise("absent", 777);
    repository.push_blob(&blob).await?;
    let answer = target
        .api()
        .batch_check_layer_availability()
        .repository_name(&repository.name)
        .layer_digests(&blob.digest)
        .layer_digests(&absent.digest)
        .layer_digests("nonsense")
        .send()
        .await?;
    let found = |digest: &str| answer.layers().iter().find(|layer| layer.layer_digest() == Some(digest));
    let there = found(&blob.digest).context("the layer is not in the answer")?;
    ensure!(
        there.layer_availability() == Some(&LayerAvailability::Available) && there.layer_size() == Some(777)
    );
    ensure!(
        found(&absent.digest).and_then(|layer| layer.layer_availability())
            == Some(&LayerAvailability::Unavailable),
        "{answer:?}"
    );
    let failure = answer.failures().first().context("the malformed digest is no failure")?;
    ensure!(failure.failure_code() == Some(&LayerFailureCode::InvalidLayerDigest), "{failure:?}");
    Ok(())
}

#[tokio::test]
async fn a_download_url_works_without_a_login() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("download", 1);
    repository.push_image("v1", &image).await?;
    let layer = &image.layers[0];
    let request = target.api().get_download_url_for_layer().repository_name(&repository.name);
    let answer = request.layer_digest(&layer.digest).send().await?;
    let url = answer.download_url().context("no URL")?.to_owned();
    let nobody = repository.oci.with_login(None);
    ensure!(nobody.get(&url).await?.expect(&[200])?.body == layer.bytes);
    let part = nobody.request(reqwest::Method::GET, &url).header("Range", "bytes=10-19");
    ensure!(nobody.send(part).await?.expect(&[206])?.body == layer.bytes.slice(10..20));
    // Not a letter of it may be changed: neither which layer, nor how long.
    let other = url.replace(&layer.digest, &image.config.digest);
    if other != url {
        nobody.get(&other).await?.expect(&[400, 401, 403, 404])?;
    }
    let mut forged = url.clone();
    let last = if forged.pop() == Some('0') { '1' } else { '0' };
    forged.push(last);
    nobody.get(&forged).await?.expect(&[400, 401, 403, 404])?;
    Ok(())
}

#[tokio::test]
async fn a_download_url_is_given_only_for_layers_of_images() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("loose", 100);
    repository.push_blob(&blob).await?;
    let url = |digest: String| {
        target
            .api()
            .get_download_url_for_layer()
            .repository_name(&repository.name)
            .layer_digest(digest)
            .send()
    };
    let loose = refusal(url(blob.digest.clone()).await)?;
    ensure!(loose.0 == "LayerInaccessibleException", "{loose:?}");
    let absent = refusal(url(Blob::noise("absent", 1).digest).await)?;
    ensure!(absent.0 == "LayersNotFoundException", "{absent:?}");
    Ok(())
}

#[tokio::test]
async fn layers_of_an_unknown_repository_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    let expected = ("RepositoryNotFoundException".to_owned(), repository_not_found(&name));
    let digest = Blob::noise("x", 1).digest;
    let api = target.api();
    ensure!(refusal(api.initiate_layer_upload().repository_name(&name).send().await)? == expected);
    let check = api.batch_check_layer_availability().repository_name(&name).layer_digests(&digest);
    ensure!(refusal(check.send().await)? == expected);
    let url = api.get_download_url_for_layer().repository_name(&name).layer_digest(&digest);
    ensure!(refusal(url.send().await)? == expected);
    Ok(())
}
