//! docker, with a daemon of the test's own: its socket, its data, no network.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth_e2e::command::{Signal, run, signal};

use super::{Bench, assert_tag_invalid};

/// A docker daemon. Dropping it ends it by its pid.
struct Daemon {
    child: Child,
    host: String,
    config: std::path::PathBuf,
    log: std::path::PathBuf,
}

impl Daemon {
    async fn start(bench: &Bench) -> Result<Self> {
        let directory = bench.path("docker");
        std::fs::create_dir_all(&directory)?;
        let host = format!("unix://{}", directory.join("docker.sock").display());
        let log = directory.join("dockerd.log");
        let child = Command::new("dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"])
            .arg("--data-root")
            .arg(directory.join("data"))
            .arg("--exec-root")
            .arg(directory.join("exec"))
            .arg("-p")
            .arg(directory.join("docker.pid"))
            .args(["-H", &host])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("start dockerd (`cargo xtask test` installs it)")?;
        let mut daemon = Self { child, host, config: directory.join("config"), log };
        daemon.wait().await?;
        Ok(daemon)
    }

    async fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut version = self.docker();
            version.arg("version");
            if run(version, None).await?.code == 0 {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            ensure!(
                ended.is_none() && Instant::now() < deadline,
                "dockerd does not run here ({ended:?}):\n{}",
                std::fs::read_to_string(&self.log).unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn docker(&self) -> Command {
        let mut docker = Command::new("docker");
        docker.env("DOCKER_HOST", &self.host).env("DOCKER_CONFIG", &self.config).env_remove("DOCKER_CONTEXT");
        docker
    }

    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut docker = self.docker();
        docker.args(arguments);
        Ok(run(docker, None).await?.success()?.stdout)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SIGTERM lets it end the containerd that it started; SIGKILL would leave that behind.
        let _ = signal(&self.child, Signal::TERM);
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn docker_logs_in_pulls_pushes_and_is_refused_an_immutable_tag() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("docker/app", &["--image-tag-mutability", "IMMUTABLE"]).await?;
    let base = bench.push(&uri, "base").await?;
    let daemon = Daemon::start(&bench).await?;

    let mut login = daemon.docker();
    login.args(["login", "--username", "AWS", "--password-stdin", &bench.host()?]);
    let wrong = run(login, Some("wrong")).await?.failure()?;
    ensure!(wrong.contains("unauthorized") || wrong.contains("401") || wrong.contains("denied"), "{wrong}");
    let mut login = daemon.docker();
    login.args(["login", "--username", "AWS", "--password-stdin", &bench.host()?]);
    run(login, Some(&bench.password().await?)).await?.success()?;

    let pulled = daemon.run(&["pull", &format!("{uri}:base")]).await?;
    ensure!(pulled.contains(&base), "{pulled}");

    daemon.run(&["tag", &format!("{uri}:base"), &format!("{uri}:docker")]).await?;
    let pushed = daemon.run(&["push", &format!("{uri}:docker")]).await?;
    let digest = bench.digest("docker/app", "docker").await?;
    ensure!(pushed.contains(&digest), "{pushed}");
    daemon.run(&["rmi", &format!("{uri}:docker")]).await?;
    let again = daemon.run(&["pull", &format!("{uri}@{digest}")]).await?;
    ensure!(again.contains(&digest), "{again}");

    // Another image to the tag is refused in the registry's words; the same one is fine.
    let context = bench.path("context");
    std::fs::create_dir_all(&context)?;
    std::fs::write(context.join("app"), "an application\n")?;
    std::fs::write(context.join("Dockerfile"), format!("FROM {uri}:base\nCOPY app /app\n"))?;
    let mut build = daemon.docker();
    build.env("DOCKER_BUILDKIT", "0").args(["build", "-t", &format!("{uri}:docker")]).arg(&context);
    run(build, None).await?.success()?;
    let mut push = daemon.docker();
    push.args(["push", &format!("{uri}:docker")]);
    assert_tag_invalid(run(push, None).await?, "docker")?;
    ensure!(bench.digest("docker/app", "docker").await? == digest);
    daemon.run(&["tag", &format!("{uri}:docker"), &format!("{uri}:new")]).await?;
    daemon.run(&["push", &format!("{uri}:new")]).await?;
    daemon.run(&["push", &format!("{uri}:new")]).await?;
    Ok(())
}
