//! skopeo: it copies exactly what it is given, so digests must be identical to those of the source.

use std::process::Command;

use anyhow::{Result, ensure};
use berth_e2e::command::{aws_environment, run};

use super::{Bench, assert_tag_invalid};

#[tokio::test]
async fn a_debian_image_goes_in_and_comes_out_with_the_same_digest() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("skopeo/debian", &[]).await?;
    let digest = bench.push(&uri, "v1").await?;
    ensure!(bench.digest("skopeo/debian", "v1").await? == digest);
    let out = format!("oci:{}:v1", bench.path("out").display());
    bench.skopeo_copy(&[], &format!("docker://{uri}:v1"), &out).await?.success()?;
    let text = std::fs::read_to_string(bench.path("out").join("index.json"))?;
    ensure!(text.contains(&digest), "{text}");
    // By digest as well, which lets skopeo check every byte against the name.
    let by_digest = format!("oci:{}:v1", bench.path("by-digest").display());
    bench.skopeo_copy(&[], &format!("docker://{uri}@{digest}"), &by_digest).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn an_index_goes_in_and_comes_out_whole() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("skopeo/multi", &[]).await?;
    bench.login(Command::new("skopeo")).await?.success()?;
    let to = format!("docker://{uri}:multi");
    bench.skopeo_copy(&["--all"], &bench.layout.reference("multi"), &to).await?.success()?;
    let digest = bench.layout.digest("multi")?;
    ensure!(bench.digest("skopeo/multi", "multi").await? == digest);
    let out = format!("oci:{}:multi", bench.path("out").display());
    bench.skopeo_copy(&["--all"], &to, &out).await?.success()?;
    ensure!(std::fs::read_to_string(bench.path("out").join("index.json"))?.contains(&digest));
    // Both images of the index are there by themselves.
    for tag in ["debian", "arm64"] {
        let child = bench.layout.digest(tag)?;
        let answer = bench
            .aws(&[
                "batch-get-image",
                "--repository-name",
                "skopeo/multi",
                "--image-ids",
                &format!("imageDigest={child}"),
            ])
            .await?;
        ensure!(answer["images"][0]["imageId"]["imageDigest"] == child.as_str(), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn schema_2_is_kept() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("skopeo/v2s2", &[]).await?;
    bench.login(Command::new("skopeo")).await?.success()?;
    let to = format!("docker://{uri}:v2s2");
    bench.skopeo_copy(&["--format", "v2s2"], &bench.layout.reference("debian"), &to).await?.success()?;
    let details = bench.describe("skopeo/v2s2", "v2s2").await?;
    ensure!(details["imageManifestMediaType"] == berth_e2e::image::DOCKER_MANIFEST, "{details}");
    let out = format!("dir:{}", bench.path("out").display());
    bench.skopeo_copy(&[], &to, &out).await?.success()?;
    let manifest = std::fs::read(bench.path("out").join("manifest.json"))?;
    ensure!(details["imageDigest"] == berth_e2e::image::sha256(&manifest).as_str());
    Ok(())
}

#[tokio::test]
async fn zstd_layers_are_kept() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("skopeo/zstd", &[]).await?;
    bench.login(Command::new("skopeo")).await?.success()?;
    let to = format!("docker://{uri}:zstd");
    let flags = ["--dest-compress", "--dest-compress-format", "zstd"];
    // From uncompressed layers: skopeo leaves layers alone that are compressed in any way.
    let plain = format!("dir:{}", bench.path("plain").display());
    bench.skopeo_copy(&["--dest-decompress"], &bench.layout.reference("debian"), &plain).await?.success()?;
    bench.skopeo_copy(&flags, &plain, &to).await?.success()?;
    let mut inspect = Command::new("skopeo");
    inspect.args(["inspect", "--raw", "--tls-verify=false", "--authfile"]).arg(bench.auth_file()).arg(&to);
    let manifest = run(inspect, None).await?.success()?.json()?;
    ensure!(manifest["layers"][0]["mediaType"] == berth_e2e::image::OCI_LAYER_ZSTD, "{manifest}");
    let out = format!("dir:{}", bench.path("out").display());
    bench.skopeo_copy(&[], &to, &out).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn another_image_to_an_immutable_tag_is_refused_and_the_same_one_is_not() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("skopeo/immutable", &["--image-tag-mutability", "IMMUTABLE"]).await?;
    let digest = bench.push(&uri, "v1").await?;
    let to = format!("docker://{uri}:v1");
    let other = bench.skopeo_copy(&[], &bench.layout.reference("arm64"), &to).await?;
    assert_tag_invalid(other, "v1")?;
    ensure!(bench.digest("skopeo/immutable", "v1").await? == digest);
    bench.skopeo_copy(&[], &bench.layout.reference("debian"), &to).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn tags_are_listed_and_images_deleted() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("skopeo/delete", &[]).await?;
    bench.push(&uri, "v1").await?;
    let mut list = Command::new("skopeo");
    list.args(["list-tags", "--tls-verify=false", "--authfile"])
        .arg(bench.auth_file())
        .arg(format!("docker://{uri}"));
    let tags = run(list, None).await?.success()?.json()?;
    ensure!(tags["Tags"] == serde_json::json!(["v1"]), "{tags}");
    let mut delete = Command::new("skopeo");
    delete
        .args(["delete", "--tls-verify=false", "--authfile"])
        .arg(bench.auth_file())
        .arg(format!("docker://{uri}:v1"));
    run(delete, None).await?.success()?;
    let left = bench.aws(&["list-images", "--repository-name", "skopeo/delete"]).await?;
    ensure!(left["imageIds"] == serde_json::json!([]), "{left}");
    Ok(())
}

#[tokio::test]
async fn berth_login_does_it_without_the_aws_cli() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("skopeo/berth-login", &[]).await?;
    let mut login = Command::new(berth_e2e::server::program()?);
    aws_environment(&mut login);
    login.args(["login", "--endpoint", bench.target.url(), "--with", "skopeo"]);
    run(
        {
            login.env("REGISTRY_AUTH_FILE", bench.auth_file());
            login
        },
        None,
    )
    .await?
    .success()?;
    let to = format!("docker://{uri}:v1");
    bench.skopeo_copy(&[], &bench.layout.reference("arm64"), &to).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_no_login() -> Result<()> {
    let bench = Bench::start().await?;
    let mut login = Command::new("skopeo");
    login.args(["login", "--tls-verify=false", "--username", "AWS", "--password-stdin", "--authfile"]);
    login.arg(bench.auth_file()).arg(bench.host()?);
    let text = run(login, Some("wrong")).await?.failure()?;
    ensure!(text.contains("invalid username/password") || text.contains("unauthorized"), "{text}");
    Ok(())
}
