//! Real clients with a real image: AWS CLI, boto3, skopeo, podman, buildah and docker.

mod aws;
mod buildah;
mod docker;
mod podman;
mod skopeo;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use berth_e2e::command::{self, Output, run};
use berth_e2e::fixture::{self, Layout};
use berth_e2e::target::Target;
use serde_json::Value;
use tempfile::TempDir;

/// A server, a place for what clients keep, and an image to push.
struct Bench {
    target: Target,
    directory: TempDir,
    layout: Layout,
}

impl Bench {
    async fn start() -> Result<Self> {
        let layout = tokio::task::spawn_blocking(fixture::debian).await??;
        let directory = tempfile::Builder::new().prefix("berth-e2e-client-").tempdir()?;
        Ok(Self { target: Target::own(&[]).await?, directory, layout })
    }

    /// `aws ecr <arguments>`, its output as JSON.
    async fn aws(&self, arguments: &[&str]) -> Result<Value> {
        let mut aws = command::aws(self.target.url())?;
        aws.arg("ecr").args(arguments);
        let output = run(aws, None).await?.success()?;
        if output.stdout.trim().is_empty() { Ok(Value::Null) } else { output.json() }
    }

    /// Creates a repository with the AWS CLI and returns its URI, which is what docker push takes.
    async fn create(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let words = [&["create-repository", "--repository-name", name], arguments].concat();
        let answer = self.aws(&words).await?;
        answer["repository"]["repositoryUri"].as_str().map(str::to_owned).context("no repositoryUri")
    }

    /// What `aws ecr get-login-password` prints.
    async fn password(&self) -> Result<String> {
        let mut aws = command::aws(self.target.url())?;
        aws.args(["ecr", "get-login-password"]);
        Ok(run(aws, None).await?.success()?.stdout.trim().to_owned())
    }

    /// The registry as clients name it, `localhost:PORT`.
    fn host(&self) -> Result<String> {
        let port = self.target.url().rsplit_once(':').context("a port")?.1;
        Ok(format!("localhost:{port}"))
    }

    /// A file of this test's own.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The credentials file that skopeo, podman and buildah share.
    fn auth_file(&self) -> PathBuf {
        self.path("auth.json")
    }

    /// Logs in with a program of the containers family.
    async fn login(&self, mut program: Command) -> Result<Output> {
        let password = self.password().await?;
        program.args(["login", "--tls-verify=false", "--username", "AWS", "--password-stdin"]);
        program.arg("--authfile").arg(self.auth_file()).arg(self.host()?);
        run(program, Some(&password)).await
    }

    /// The digest that the registry has for a tag, by the AWS CLI.
    async fn digest(&self, name: &str, tag: &str) -> Result<String> {
        let details = self.describe(name, tag).await?;
        details["imageDigest"].as_str().map(str::to_owned).context("no digest")
    }

    /// `aws ecr describe-images` of one tag.
    async fn describe(&self, name: &str, tag: &str) -> Result<Value> {
        let id = format!("imageTag={tag}");
        let answer = self.aws(&["describe-images", "--repository-name", name, "--image-ids", &id]).await?;
        let details = answer["imageDetails"].as_array().context("no imageDetails")?;
        ensure!(details.len() == 1, "{answer}");
        Ok(details[0].clone())
    }

    /// Pushes the Debian image with skopeo and returns its digest.
    async fn push(&self, uri: &str, tag: &str) -> Result<String> {
        self.login(Command::new("skopeo")).await?.success()?;
        let to = format!("docker://{uri}:{tag}");
        self.skopeo_copy(&[], &self.layout.reference("debian"), &to).await?.success()?;
        self.layout.digest("debian")
    }

    async fn skopeo_copy(&self, arguments: &[&str], from: &str, to: &str) -> Result<Output> {
        fixture::skopeo_copy(arguments, &self.auth_file(), from, to).await
    }
}

/// What every client shows of the registry's words when an immutable tag is pushed again.
fn assert_tag_invalid(output: Output, tag: &str) -> Result<()> {
    let text = output.failure()?;
    ensure!(text.contains("tag invalid"), "{text}");
    ensure!(text.contains(&format!("The image tag '{tag}' already exists")), "{text}");
    Ok(())
}
