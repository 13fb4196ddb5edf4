//! `berth up`: one command from nothing to a registry that takes a push.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth_e2e::api;
use berth_e2e::command::{Signal, aws_environment, signal};
use berth_e2e::image::Image;
use berth_e2e::oci::Oci;
use berth_e2e::server;
use berth_e2e::target::token;
use tempfile::TempDir;

/// A running `berth up` in a directory of its own. Dropping it kills the process.
struct Up {
    child: Child,
    directory: TempDir,
    url: String,
}

impl Up {
    async fn start(stack_file: Option<&str>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        if let Some(text) = stack_file {
            std::fs::write(directory.path().join("berth.toml"), text)?;
        }
        let mut command = Command::new(server::program()?);
        aws_environment(&mut command);
        let mut child = command
            .args(["up", "--listen", "127.0.0.1:0", "--ready-file", "ready"])
            .env("NO_COLOR", "1")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(directory.path().join("stdout"))?)
            .stderr(std::fs::File::create(directory.path().join("stderr"))?)
            .spawn()
            .context("start berth up")?;
        let begin = Instant::now();
        loop {
            let url = std::fs::read_to_string(directory.path().join("ready")).unwrap_or_default();
            let said = std::fs::read_to_string(directory.path().join("stdout"))?;
            if url.ends_with('\n') && said.contains("docker push") {
                return Ok(Self { child, url: url.trim().to_owned(), directory });
            }
            let ended = child.try_wait()?;
            if ended.is_some() || begin.elapsed() > Duration::from_secs(30) {
                let _ = child.kill();
                let _ = child.wait();
                let errors = std::fs::read_to_string(directory.path().join("stderr"))?;
                anyhow::bail!("berth up is not up ({ended:?}):\n{said}\n{errors}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.directory.path().join("stdout"))?)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn without_a_file_the_demo_repositories_are_there_and_take_a_push() -> Result<()> {
    let up = Up::start(None).await?;
    let said = up.said()?;
    let port = up.url.rsplit_once(':').context("a port")?.1;
    for name in ["demo/api", "demo/realtime", "demo/workers"] {
        ensure!(said.contains(&format!("localhost:{port}/{name}")), "{said}");
    }
    let api = api::client(&up.url, "AKIAIOSFODNN7EXAMPLE", berth_e2e::REGION);
    let repository = Oci::new(&up.url, Some(token(&api).await?))?.repository("demo/api");
    let (first, second) = (Image::oci("first", 1), Image::oci("second", 1));
    repository.push_image("latest", &first).await?;
    repository.push_image("latest", &second).await?;
    repository.check_image("latest", &second).await
}

#[tokio::test]
async fn with_a_file_its_stack_is_made() -> Result<()> {
    let up = Up::start(Some("project = \"shop\"\nenvironment = \"prod\"\n[repositories.web]\n")).await?;
    let said = up.said()?;
    ensure!(said.contains("shop/web") && !said.contains("shop/api"), "{said}");
    Ok(())
}

#[tokio::test]
async fn it_ends_when_it_is_asked_to() -> Result<()> {
    let mut up = Up::start(None).await?;
    signal(&up.child, Signal::INT)?;
    let begin = Instant::now();
    loop {
        if let Some(status) = up.child.try_wait()? {
            ensure!(status.success(), "{status}");
            return Ok(());
        }
        ensure!(begin.elapsed() < Duration::from_secs(20), "Ctrl-C did not end it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
