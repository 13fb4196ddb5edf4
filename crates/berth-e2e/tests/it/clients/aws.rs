//! The AWS CLI and boto3.

use std::process::Command;

use anyhow::{Result, ensure};
use berth_e2e::command::{aws_environment, run, venv};

use super::Bench;

#[tokio::test]
async fn describe_images_shows_size_tags_type_and_push_time() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("aws/debian", &[]).await?;
    let digest = bench.push(&uri, "v1").await?;
    let details = bench.describe("aws/debian", "v1").await?;
    ensure!(details["imageDigest"] == digest.as_str(), "{details}");
    ensure!(details["imageTags"] == serde_json::json!(["v1"]), "{details}");
    ensure!(details["imageManifestMediaType"] == berth_e2e::image::OCI_MANIFEST, "{details}");
    // A Debian is tens of megabytes, compressed.
    ensure!(details["imageSizeInBytes"].as_u64().is_some_and(|size| size > 10_000_000), "{details}");
    // Version 1 of the CLI prints a time as it came, version 2 in ISO 8601.
    let time = &details["imagePushedAt"];
    ensure!(
        time.as_f64().is_some_and(|time| time > 1.7e9)
            || time.as_str().is_some_and(|time| time.starts_with("20"))
    );
    ensure!(
        details["repositoryName"] == "aws/debian" && details["registryId"] == berth_e2e::ACCOUNT,
        "{details}"
    );
    Ok(())
}

#[tokio::test]
async fn boto3_pages_through_repositories_and_images() -> Result<()> {
    let bench = Bench::start().await?;
    let mut python = Command::new(venv()?.join("bin/python"));
    aws_environment(&mut python);
    python.arg("-c").arg(include_str!("paginators.py")).arg(bench.target.url());
    let output = run(python, None).await?.success()?;
    ensure!(output.stdout.trim() == "ok", "{output:?}");
    Ok(())
}

#[tokio::test]
async fn the_caller_is_known_to_sts() -> Result<()> {
    let bench = Bench::start().await?;
    let mut aws = berth_e2e::command::aws(bench.target.url())?;
    aws.args(["sts", "get-caller-identity"]);
    let identity = run(aws, None).await?.success()?.json()?;
    ensure!(identity["Account"] == berth_e2e::ACCOUNT, "{identity}");
    Ok(())
}

#[tokio::test]
async fn operations_that_are_not_there_say_so() -> Result<()> {
    let bench = Bench::start().await?;
    let mut aws = berth_e2e::command::aws(bench.target.url())?;
    aws.args(["ecr", "describe-registry"]);
    let text = run(aws, None).await?.failure()?;
    ensure!(text.contains("UnknownOperationException"), "{text}");
    Ok(())
}
