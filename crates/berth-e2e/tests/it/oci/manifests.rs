//! Manifests: every kind, by tag and digest, and what deleting them does.

use anyhow::{Result, ensure};
use berth_e2e::image::{
    Blob, DOCKER_LIST, Image, Manifest, OCI_LAYER_ZSTD, OCI_MANIFEST, index, noise, oci_manifest_json, sha512,
};
use berth_e2e::oci::{Repository, strings, with_query};
use berth_e2e::target::Target;
use reqwest::Method;
use serde_json::json;

async fn assert_same(repository: &Repository, reference: &str, manifest: &Manifest) -> Result<()> {
    let answer = repository.manifest(reference).await?.expect(&[200])?;
    ensure!(answer.body == manifest.bytes, "{reference}: other bytes than were pushed");
    ensure!(answer.header("content-type") == Some(manifest.media_type.as_str()), "{:?}", answer.headers);
    ensure!(answer.header("docker-content-digest") == Some(manifest.digest.as_str()), "{:?}", answer.headers);
    Ok(())
}

#[tokio::test]
async fn an_image_comes_back_by_tag_and_by_digest() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("by tag and digest", 3);
    let put = repository.push_image("v1", &image).await?;
    ensure!(put.header("docker-content-digest") == Some(image.manifest.digest.as_str()), "{:?}", put.headers);
    ensure!(put.header("location").is_some(), "a 201 says where: {:?}", put.headers);
    assert_same(&repository, "v1", &image.manifest).await?;
    assert_same(&repository, &image.manifest.digest, &image.manifest).await?;
    repository.check_image("v1", &image).await
}

#[tokio::test]
async fn head_of_a_manifest_gives_size_type_and_digest() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("head", 1);
    repository.push_image("v1", &image).await?;
    for reference in ["v1", image.manifest.digest.as_str()] {
        let answer = repository.head(&format!("/manifests/{reference}")).await?.expect(&[200])?;
        let size = image.manifest.bytes.len().to_string();
        ensure!(answer.header("content-length") == Some(size.as_str()), "{:?}", answer.headers);
        ensure!(answer.header("content-type") == Some(OCI_MANIFEST), "{:?}", answer.headers);
        ensure!(answer.header("docker-content-digest") == Some(image.manifest.digest.as_str()));
        ensure!(answer.body.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn an_image_can_be_pushed_by_digest_alone() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("untagged", 1);
    let digest = image.manifest.digest.clone();
    repository.push_image(&digest, &image).await?;
    assert_same(&repository, &digest, &image.manifest).await?;
    ensure!(repository.tags().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn docker_schema_2_images_and_lists_are_kept_as_they_are() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::docker("schema 2");
    repository.push_image("v2s2", &image).await?;
    assert_same(&repository, "v2s2", &image.manifest).await?;
    let list = Manifest::of(&json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_LIST,
        "manifests": [{
            "mediaType": image.manifest.media_type,
            "digest": image.manifest.digest,
            "size": image.manifest.bytes.len(),
            "platform": {"architecture": "amd64", "os": "linux"},
        }],
    }));
    repository.put_manifest("list", &list).await?.expect(&[201])?;
    assert_same(&repository, "list", &list).await
}

#[tokio::test]
async fn an_index_of_two_architectures_and_an_index_of_indexes_are_kept() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let (amd64, arm64) = (Image::oci("amd64", 2), Image::oci("arm64", 2));
    repository.push_image(&amd64.manifest.digest, &amd64).await?;
    repository.push_image(&arm64.manifest.digest, &arm64).await?;
    let inner = index(&[&amd64.manifest, &arm64.manifest]);
    repository.put_manifest("inner", &inner).await?.expect(&[201])?;
    let outer = index(&[&inner]);
    repository.put_manifest("outer", &outer).await?.expect(&[201])?;
    assert_same(&repository, "inner", &inner).await?;
    assert_same(&repository, "outer", &outer).await
}

#[tokio::test]
async fn an_empty_index_is_accepted() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let empty = index(&[]);
    repository.put_manifest("empty", &empty).await?.expect(&[201])?;
    assert_same(&repository, "empty", &empty).await
}

#[tokio::test]
async fn artifacts_and_images_without_layers_are_accepted() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let artifact = Image::artifact("sbom", "application/vnd.example.sbom.v1", None);
    repository.push_image("sbom", &artifact).await?;
    assert_same(&repository, "sbom", &artifact.manifest).await?;
    let bare = Image::oci("no layers", 0);
    repository.push_image("bare", &bare).await?;
    assert_same(&repository, "bare", &bare.manifest).await
}

#[tokio::test]
async fn zstd_layers_and_unknown_members_are_kept() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let config = Blob::new(berth_e2e::image::config_json("zstd"));
    let layer = Blob::noise("zstd layer", 4096);
    let mut document = oci_manifest_json(&config, std::slice::from_ref(&layer));
    document["layers"][0]["mediaType"] = json!(OCI_LAYER_ZSTD);
    document["layers"][0]["org.example.member"] = json!({"kept": true});
    document["org.example.top"] = json!([1, 2, 3]);
    let image = Image { config, layers: vec![layer], manifest: Manifest::of(&document) };
    repository.push_image("zstd", &image).await?;
    assert_same(&repository, "zstd", &image.manifest).await
}

#[tokio::test]
async fn layers_that_may_not_be_distributed_need_not_be_there() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let config = Blob::new(berth_e2e::image::config_json("foreign"));
    let foreign = Blob::noise("never pushed", 4096);
    let mut document = oci_manifest_json(&config, std::slice::from_ref(&foreign));
    document["layers"][0]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    document["layers"][0]["urls"] = json!(["https://example.com/layer"]);
    repository.push_blob(&config).await?;
    let manifest = Manifest::of(&document);
    repository.put_manifest("foreign", &manifest).await?.expect(&[201])?;
    assert_same(&repository, "foreign", &manifest).await
}

#[tokio::test]
async fn white_space_of_a_manifest_is_kept() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("white space", 1);
    for blob in image.blobs() {
        repository.push_blob(blob).await?;
    }
    let document: serde_json::Value = serde_json::from_slice(&image.manifest.bytes)?;
    let pretty = Manifest::raw(OCI_MANIFEST, format!("\n{}\n\n", serde_json::to_string_pretty(&document)?));
    repository.put_manifest("pretty", &pretty).await?.expect(&[201])?;
    assert_same(&repository, "pretty", &pretty).await
}

#[tokio::test]
async fn a_manifest_of_nearly_four_mebibytes_is_accepted() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let config = Blob::new(berth_e2e::image::config_json("large"));
    repository.push_blob(&config).await?;
    let mut document = oci_manifest_json(&config, &[]);
    document["annotations"] = json!({"org.example.large": "x".repeat(4 * 1024 * 1024 - 2048)});
    let manifest = Manifest::of(&document);
    ensure!(manifest.bytes.len() < 4 * 1024 * 1024);
    repository.put_manifest("large", &manifest).await?.expect(&[201])?;
    assert_same(&repository, "large", &manifest).await
}

#[tokio::test]
async fn a_tag_moves_to_the_manifest_put_last() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let (old, new) = (Image::oci("old", 1), Image::oci("new", 1));
    repository.push_image("latest", &old).await?;
    repository.push_image("latest", &new).await?;
    assert_same(&repository, "latest", &new.manifest).await?;
    assert_same(&repository, &old.manifest.digest, &old.manifest).await
}

#[tokio::test]
async fn deleting_by_digest_removes_the_manifest_and_its_tags() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("deleted", 1);
    repository.push_image("one", &image).await?;
    repository.put_manifest("two", &image.manifest).await?.expect(&[201])?;
    let path = format!("/manifests/{}", image.manifest.digest);
    repository.delete(&path).await?.expect(&[202])?;
    for reference in ["one", "two", image.manifest.digest.as_str()] {
        repository.manifest(reference).await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    }
    ensure!(repository.tags().await?.is_empty());
    repository.delete(&path).await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn deleting_by_tag_leaves_other_tags() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("two tags", 1);
    repository.push_image("one", &image).await?;
    repository.put_manifest("two", &image.manifest).await?.expect(&[201])?;
    repository.delete("/manifests/one").await?.expect(&[202])?;
    repository.manifest("one").await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    assert_same(&repository, "two", &image.manifest).await?;
    ensure!(repository.tags().await? == ["two"]);
    Ok(())
}

#[tokio::test]
async fn a_deleted_image_can_be_pushed_again() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("back again", 2);
    repository.push_image("v1", &image).await?;
    repository.delete(&format!("/manifests/{}", image.manifest.digest)).await?.expect(&[202])?;
    repository.push_image("v1", &image).await?;
    repository.check_image("v1", &image).await
}

#[tokio::test]
async fn a_manifest_by_sha512_is_found_by_it() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("sha512 manifest", 1);
    for blob in image.blobs() {
        repository.push_blob(blob).await?;
    }
    let digest = sha512(&image.manifest.bytes);
    let put = repository.put_manifest(&digest, &image.manifest).await?.expect(&[201])?;
    ensure!(put.header("docker-content-digest") == Some(digest.as_str()), "{:?}", put.headers);
    let answer = repository.manifest(&digest).await?.expect(&[200])?;
    ensure!(answer.body == image.manifest.bytes);
    ensure!(answer.header("docker-content-digest") == Some(digest.as_str()), "{:?}", answer.headers);
    Ok(())
}

#[tokio::test]
async fn tags_given_as_parameters_of_a_push_by_digest_are_set() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("tag parameters", 1);
    for blob in image.blobs() {
        repository.push_blob(blob).await?;
    }
    let path = repository.path(&format!("/manifests/{}", image.manifest.digest));
    let path = with_query(&with_query(&path, "tag", "one"), "tag", "two");
    let request = repository
        .oci
        .request(Method::PUT, &path)
        .header("Content-Type", OCI_MANIFEST)
        .body(image.manifest.bytes.clone());
    let answer = repository.oci.send(request).await?.expect(&[201])?;
    let given: Vec<&str> =
        answer.headers.get_all("oci-tag").iter().filter_map(|value| value.to_str().ok()).collect();
    ensure!(given.join(", ") == "one, two", "OCI-Tag: {given:?}");
    ensure!(repository.tags().await? == ["one", "two"]);
    assert_same(&repository, "two", &image.manifest).await
}

#[tokio::test]
async fn the_catalog_lists_repositories_in_pages() -> Result<()> {
    let target = Target::start().await?;
    let first = target.repository().await?;
    let second = target.another_repository(&first.oci).await?;
    for repository in [&first, &second] {
        repository.push_image("v1", &Image::oci("catalog", 1)).await?;
    }
    let mut names = Vec::new();
    let mut next = Some("/v2/_catalog?n=1".to_owned());
    while let Some(path) = next {
        let page = first.oci.get(&path).await?.expect(&[200])?;
        let items = strings(&page.json()?["repositories"]);
        ensure!(items.len() <= 1, "a page of one: {items:?}");
        names.extend(items);
        next = berth_e2e::oci::next_link(&page)?;
    }
    ensure!(names.contains(&first.name) && names.contains(&second.name), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn a_manifest_is_not_visible_in_another_repository() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("private", 1);
    repository.push_image("v1", &image).await?;
    let other = target.another_repository(&repository.oci).await?;
    other.push_blob(&Blob::new(noise("so that it exists", 10))).await?;
    other.manifest(&image.manifest.digest).await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    Ok(())
}
