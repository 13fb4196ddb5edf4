//! Bad input, as a table: each line gets the protocol's own error, and nothing is stored.

use anyhow::{Context, Result, ensure};
use berth_e2e::image::{
    Blob, DOCKER_MANIFEST, Image, Manifest, OCI_INDEX, OCI_MANIFEST, config_json, index, oci_manifest_json,
};
use berth_e2e::oci::Repository;
use berth_e2e::target::Target;
use bytes::Bytes;
use reqwest::Method;
use serde_json::json;

const ABSENT: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test]
async fn what_is_not_there_is_404_with_the_code_of_its_kind() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    repository.push_image("v1", &Image::oci("present", 1)).await?;
    let upload = "00000000-0000-4000-8000-000000000000";
    for (rest, code) in [
        (format!("/manifests/{ABSENT}"), "MANIFEST_UNKNOWN"),
        ("/manifests/absent".to_owned(), "MANIFEST_UNKNOWN"),
        (format!("/blobs/{ABSENT}"), "BLOB_UNKNOWN"),
        (format!("/blobs/uploads/{upload}"), "BLOB_UPLOAD_UNKNOWN"),
        ("/blobs/uploads/nonsense".to_owned(), "BLOB_UPLOAD_UNKNOWN"),
    ] {
        repository.get(&rest).await?.refused(&[404], code)?;
        if !rest.contains("uploads") {
            repository.head(&rest).await?.expect(&[404])?;
        }
        repository.delete(&rest).await?.refused(&[404], code)?;
    }
    let location = repository.path(&format!("/blobs/uploads/{upload}"));
    repository.patch(&location, 0, Bytes::from_static(b"x")).await?.refused(&[404], "BLOB_UPLOAD_UNKNOWN")?;
    repository.finish(&location, ABSENT, Bytes::new()).await?.refused(&[404], "BLOB_UPLOAD_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn a_repository_that_was_not_created_is_404_name_unknown_as_in_ecr() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.oci().await?.repository("never/created");
    for rest in ["/tags/list".to_owned(), "/manifests/latest".to_owned(), format!("/blobs/{ABSENT}")] {
        repository.get(&rest).await?.refused(&[404], "NAME_UNKNOWN")?;
    }
    let upload = repository.oci.request(Method::POST, &repository.path("/blobs/uploads/"));
    repository.oci.send(upload).await?.refused(&[404], "NAME_UNKNOWN")?;
    repository.put_manifest("v1", &index(&[])).await?.refused(&[404], "NAME_UNKNOWN")?;
    repository.delete(&format!("/manifests/{ABSENT}")).await?.refused(&[404], "NAME_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn malformed_names_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let oci = target.oci().await?;
    for name in [
        "Upper/case",
        "-dash",
        "a/-b",
        "a..b",
        "under___score",
        "a/b_",
        "%20",
        "a%00b",
        "x".repeat(300).as_str(),
    ] {
        let answer = oci.get(&format!("/v2/{name}/tags/list")).await?;
        answer.refused(&[400, 404], "NAME_INVALID").with_context(|| format!("the name {name:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn malformed_digests_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    for digest in [
        "sha256:abc",
        "sha256:ZZZZ",
        "sha256:",
        "sha256:000000000000000000000000000000000000000000000000000000000000000G",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha512:0000000000000000000000000000000000000000000000000000000000000000",
        ":abc",
        "latest",
    ] {
        let path = format!("/blobs/{digest}");
        repository.get(&path).await?.refused(&[400], "DIGEST_INVALID")?;
        repository.delete(&path).await?.refused(&[400], "DIGEST_INVALID")?;
    }
    for digest in ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        let path = format!("/manifests/{digest}");
        repository.get(&path).await?.refused(&[400], "DIGEST_INVALID")?;
        repository.put_manifest(digest, &index(&[])).await?.refused(&[400], "DIGEST_INVALID")?;
    }
    Ok(())
}

#[tokio::test]
async fn malformed_tags_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    for tag in ["-dash", ".dot", "a%20b", "a+b", "caf%C3%A9", "x".repeat(129).as_str()] {
        let answer = repository.put_manifest(tag, &index(&[])).await?.expect(&[400])?;
        let code = answer.json()?["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        ensure!(
            ["TAG_INVALID", "MANIFEST_INVALID", "NAME_INVALID"].contains(&code.as_str()),
            "{tag}: {code}"
        );
        repository.manifest(tag).await?.expect(&[400, 404])?;
    }
    ensure!(repository.tags().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn manifests_that_are_not_manifests_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let config = Blob::new(config_json("bad"));
    repository.push_blob(&config).await?;
    let good = oci_manifest_json(&config, &[]);
    let changed = |change: fn(&mut serde_json::Value)| {
        let mut document = good.clone();
        change(&mut document);
        document.to_string()
    };
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (what, text) in [
        ("nothing", String::new()),
        ("no JSON", "{".to_owned()),
        ("not an object", "[]".to_owned()),
        ("a string", "\"manifest\"".to_owned()),
        ("no members", "{}".to_owned()),
        ("text after the end", format!("{good}x")),
        ("deep nesting", deep),
        ("schema version 1", changed(|document| document["schemaVersion"] = json!(1))),
        ("schema version as text", changed(|document| document["schemaVersion"] = json!("2"))),
        ("config without a digest", changed(|document| document["config"] = json!({"size": 1}))),
        ("config with a bad digest", changed(|document| document["config"]["digest"] = json!("sha256:abc"))),
        ("layers that are no list", changed(|document| document["layers"] = json!("none"))),
        ("a negative size", changed(|document| document["config"]["size"] = json!(-1))),
        ("a fractional size", changed(|document| document["config"]["size"] = json!(1.5))),
        ("another media type inside", changed(|document| document["mediaType"] = json!(DOCKER_MANIFEST))),
        ("a subject without a digest", changed(|document| document["subject"] = json!({}))),
    ] {
        let manifest = Manifest::raw(OCI_MANIFEST, text);
        let answer = repository.put_manifest("bad", &manifest).await?;
        answer.refused(&[400], "MANIFEST_INVALID").context(what)?;
        repository.manifest(&manifest.digest).await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    }
    ensure!(repository.tags().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_manifest_that_is_not_utf8_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let bytes = Bytes::from_static(b"{\"schemaVersion\":2,\"x\":\"\xff\xfe\"}");
    let manifest = Manifest::raw(OCI_MANIFEST, bytes);
    repository.put_manifest("bad", &manifest).await?.refused(&[400], "MANIFEST_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn unknown_media_types_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("media types", 1);
    for blob in image.blobs() {
        repository.push_blob(blob).await?;
    }
    // What says nothing ("application/json") may be read as absent, since the manifest names its type itself.
    for media_type in
        ["text/html", "application/vnd.docker.distribution.manifest.v1+json", DOCKER_MANIFEST, "x"]
    {
        let manifest = Manifest { media_type: media_type.to_owned(), ..image.manifest.clone() };
        let answer = repository.put_manifest("bad", &manifest).await?.expect(&[400, 405, 415])?;
        let code = answer.json()?["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        ensure!(["MANIFEST_INVALID", "UNSUPPORTED"].contains(&code.as_str()), "{media_type}: {code}");
    }
    ensure!(repository.tags().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_manifest_under_a_digest_that_is_not_its_own_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let (image, other) = (Image::oci("own", 1), Image::oci("other", 1));
    for blob in image.blobs() {
        repository.push_blob(blob).await?;
    }
    let answer = repository.put_manifest(&other.manifest.digest, &image.manifest).await?.expect(&[400])?;
    let code = answer.json()?["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
    ensure!(["DIGEST_INVALID", "MANIFEST_INVALID"].contains(&code.as_str()), "{code}");
    repository.manifest(&other.manifest.digest).await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    repository.manifest(&image.manifest.digest).await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    Ok(())
}

/// Pushes `manifest` while one thing that it names is missing.
async fn assert_incomplete(repository: &Repository, manifest: &Manifest) -> Result<()> {
    repository.put_manifest("bad", manifest).await?.refused(&[400, 404], "MANIFEST_BLOB_UNKNOWN")?;
    repository.manifest(&manifest.digest).await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    repository.manifest("bad").await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn a_manifest_needs_its_layers_its_config_and_its_children() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("incomplete", 2);
    repository.push_blob(&image.config).await?;
    repository.push_blob(&image.layers[0]).await?;
    assert_incomplete(&repository, &image.manifest).await?;

    let other = Image::oci("no config", 1);
    repository.push_blob(&other.layers[0]).await?;
    assert_incomplete(&repository, &other.manifest).await?;

    let child = Image::oci("absent child", 1);
    assert_incomplete(&repository, &index(&[&child.manifest])).await
}

#[tokio::test]
async fn layers_of_another_repository_do_not_count() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("elsewhere", 1);
    repository.push_image("v1", &image).await?;
    let other = target.another_repository(&repository.oci).await?;
    assert_incomplete(&other, &image.manifest).await
}

#[tokio::test]
async fn a_manifest_over_four_mebibytes_is_413_and_changes_nothing() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let config = Blob::new(config_json("oversize"));
    repository.push_blob(&config).await?;
    let mut document = oci_manifest_json(&config, &[]);
    document["annotations"] = json!({"org.example.large": "x".repeat(4 * 1024 * 1024)});
    let manifest = Manifest::of(&document);
    let answer = repository.put_manifest("large", &manifest).await?;
    answer.refused(&[413], "MANIFEST_INVALID")?;
    repository.manifest("large").await?.refused(&[404], "MANIFEST_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn paths_that_do_not_exist_are_404_and_methods_that_do_not_are_405() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let digest = Blob::noise("x", 1).digest;
    repository.oci.get("/v2/nothing").await?.expect(&[404])?;
    repository.get("/unknown/thing").await?.expect(&[404])?;
    for (method, rest) in [
        (Method::PUT, "/tags/list".to_owned()),
        (Method::POST, "/manifests/v1".to_owned()),
        (Method::PATCH, format!("/blobs/{digest}")),
        (Method::DELETE, format!("/referrers/{digest}")),
    ] {
        let request = repository.oci.request(method, &repository.path(&rest));
        repository.oci.send(request).await?.refused(&[404, 405], "UNSUPPORTED")?;
    }
    Ok(())
}

#[tokio::test]
async fn an_index_with_a_child_deleted_behind_it_cannot_happen() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let child = Image::oci("child", 1);
    repository.push_image(&child.manifest.digest, &child).await?;
    let parent = Manifest::raw(OCI_INDEX, index(&[&child.manifest]).bytes);
    repository.put_manifest("index", &parent).await?.expect(&[201])?;
    // ECR refuses it with UNSUPPORTED; another registry may have its own way, but a pull of the index stays whole.
    let answer = repository.delete(&format!("/manifests/{}", child.manifest.digest)).await?;
    answer.expect(&[400, 403, 405, 409])?;
    repository.check_image(&child.manifest.digest, &child).await
}

#[tokio::test]
async fn deleting_a_blob_that_an_image_needs_leaves_the_image_whole() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let image = Image::oci("needed", 1);
    repository.push_image("v1", &image).await?;
    repository
        .delete(&format!("/blobs/{}", image.layers[0].digest))
        .await?
        .expect(&[202, 400, 403, 405, 409])?;
    repository.check_image("v1", &image).await
}
