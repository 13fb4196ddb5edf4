//! podman: it unpacks and packs layers itself, so the digest to compare with is the one it pushed.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use berth_e2e::command::{Output, run};

use super::Bench;

/// podman with storage of its own, which needs neither a daemon nor a kernel module.
fn podman(bench: &Bench) -> Command {
    let mut podman = Command::new("podman");
    podman.arg("--root").arg(bench.path("podman")).arg("--runroot").arg(bench.path("podman-run"));
    podman.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    podman
}

async fn with_auth(bench: &Bench, arguments: &[&str]) -> Result<Output> {
    let mut podman = podman(bench);
    let (verb, rest) = arguments.split_at(if arguments[0] == "manifest" { 2 } else { 1 });
    podman.args(verb).arg("--tls-verify=false").arg("--authfile").arg(bench.auth_file()).args(rest);
    run(podman, None).await?.success()
}

fn digest_in(file: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(file)?.trim().to_owned())
}

#[tokio::test]
async fn podman_logs_in_pushes_and_pulls_the_same_digest() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("podman/debian", &[]).await?;
    bench.push(&uri, "base").await?;
    bench.login(podman(&bench)).await?.success()?;
    with_auth(&bench, &["pull", &format!("{uri}:base")]).await?;
    let mut tag = podman(&bench);
    tag.args(["tag", &format!("{uri}:base"), &format!("{uri}:podman")]);
    run(tag, None).await?.success()?;
    let file = bench.path("digest");
    with_auth(&bench, &["push", "--digestfile", &file.display().to_string(), &format!("{uri}:podman")])
        .await?;
    let pushed = digest_in(&file)?;
    ensure!(bench.digest("podman/debian", "podman").await? == pushed);
    let mut remove = podman(&bench);
    remove.args(["rmi", "--all", "--force"]);
    run(remove, None).await?.success()?;
    with_auth(&bench, &["pull", &format!("{uri}@{pushed}")]).await?;
    let mut inspect = podman(&bench);
    inspect.args(["inspect", "--format", "{{.Digest}}", &format!("{uri}@{pushed}")]);
    let pulled = run(inspect, None).await?.success()?.stdout;
    ensure!(pulled.trim() == pushed, "{pulled} is not {pushed}");
    Ok(())
}

#[tokio::test]
async fn podman_pushes_an_index() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("podman/index", &[]).await?;
    bench.push(&uri, "base").await?;
    bench.login(podman(&bench)).await?.success()?;
    let mut create = podman(&bench);
    create.args(["manifest", "create", "idx"]);
    run(create, None).await?.success()?;
    with_auth(&bench, &["manifest", "add", "idx", &format!("docker://{uri}:base")]).await?;
    with_auth(&bench, &["manifest", "push", "--all", "idx", &format!("docker://{uri}:idx")]).await?;
    let details = bench.describe("podman/index", "idx").await?;
    ensure!(details["imageManifestMediaType"] == berth_e2e::image::OCI_INDEX, "{details}");
    Ok(())
}
