//! A `berth serve` process of our own: started on a free port, watched, stopped by its pid.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::command::{Signal, signal};

/// How long a server may take before a test calls it broken. The target for a start is far below; a shared machine is
/// not the place to fail on it.
const START_SECONDS_MAX: u64 = 30;
/// How long a graceful stop may take.
const STOP_SECONDS_MAX: u64 = 20;
const DATA_DIRECTORY: &str = "data";
const LOG_FILE: &str = "server.log";

/// The program under test.
///
/// # Errors
/// When there is no such file; the message says how to build it.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("BERTH_BIN") {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        bail!("BERTH_BIN names {}, which is not a file", path.display());
    }
    let own = std::env::current_exe().context("find the test program's own path")?;
    // <target>/<profile>/deps/it-<hash>
    let target = own.ancestors().nth(3).context("the test program is not in a target directory")?;
    for profile in ["release", "debug"] {
        let path = target.join(profile).join("berth");
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "no berth program under {}: run `cargo build --release -p berth`, or set BERTH_BIN",
        target.display()
    );
}

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub struct Server {
    process: Process,
    root: TempDir,
    settings: Settings,
}

/// What a server is started with, every time.
#[derive(Debug, Default)]
struct Settings {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// One life of the server.
#[derive(Debug)]
struct Process {
    child: Child,
    url: String,
    start_time: Duration,
}

impl Server {
    /// Starts a server on an empty data directory.
    ///
    /// # Errors
    /// When it does not start, with what it logged.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more arguments after `berth serve`.
    ///
    /// # Errors
    /// When it does not start, with what it logged.
    pub async fn start_with(arguments: &[&str]) -> Result<Self> {
        Self::start_in(arguments, &[]).await
    }

    /// The same with environment variables on top of ours.
    ///
    /// # Errors
    /// When it does not start, with what it logged.
    pub async fn start_in(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("berth-e2e-").tempdir()?;
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = Settings { arguments, environment };
        let process = launch(root.path(), &settings).await?;
        Ok(Self { process, root, settings })
    }

    /// Kills the process as a power cut would (SIGKILL) and starts another one on the same data directory.
    ///
    /// # Errors
    /// When the new process does not start.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        stop(&mut self.process.child);
        self.process = launch(self.root.path(), &self.settings).await?;
        Ok(())
    }

    /// The same, with a clock that is ahead of the machine's by this many hours from now on.
    ///
    /// # Errors
    /// When libfaketime is not on this machine, or the new process does not start.
    pub async fn kill_and_restart_later(&mut self, hours: u32) -> Result<()> {
        let library = faketime()?.display().to_string();
        self.settings.environment.extend([
            ("LD_PRELOAD".to_owned(), library),
            ("FAKETIME".to_owned(), format!("+{hours}h")),
            // Timers run on the monotonic clock, which has to stay as it is.
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ]);
        self.kill_and_restart().await
    }

    /// `http://127.0.0.1:PORT`; another one after every start.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.process.url
    }

    /// From the start of the process to its ready file.
    #[must_use]
    pub fn start_time(&self) -> Duration {
        self.process.start_time
    }

    /// Asks the process to stop (SIGTERM), waits until it has, and returns how it ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        signal(&self.process.child, Signal::TERM)?;
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        loop {
            if let Some(status) = self.process.child.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(Instant::now() < deadline, "the server did not stop in {STOP_SECONDS_MAX} s");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The directory given as `--data-dir`.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.root.path().join(DATA_DIRECTORY)
    }

    /// What the server has logged, all its starts together.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.path().join(LOG_FILE)).unwrap_or_default()
    }

    /// Resident memory now (`VmRSS`), in bytes.
    ///
    /// # Errors
    /// When the process has gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.status_kibibytes("VmRSS:").map(|kib| kib * 1024)
    }

    /// The highest resident memory so far (`VmHWM`), in bytes.
    ///
    /// # Errors
    /// When the process has gone.
    pub fn resident_bytes_peak(&self) -> Result<u64> {
        self.status_kibibytes("VmHWM:").map(|kib| kib * 1024)
    }

    fn status_kibibytes(&self, field: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = text
            .lines()
            .find(|line| line.starts_with(field))
            .with_context(|| format!("no {field} in {path}"))?;
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse().ok())
            .with_context(|| format!("cannot read {line:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.process.child);
        if std::thread::panicking() {
            eprintln!("the log of the server:\n{}", self.log());
        }
    }
}

async fn launch(root: &Path, settings: &Settings) -> Result<Process> {
    let ready = root.join("ready");
    let _ = std::fs::remove_file(&ready);
    let log = std::fs::OpenOptions::new().create(true).append(true).open(root.join(LOG_FILE))?;
    let started = Instant::now();
    let mut child = serve_command(&root.join(DATA_DIRECTORY))?
        .arg("--ready-file")
        .arg(&ready)
        .args(&settings.arguments)
        .envs(settings.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("start berth serve")?;
    match wait_ready(&mut child, &ready, started).await {
        Ok(url) => Ok(Process { child, url, start_time: started.elapsed() }),
        Err(error) => {
            stop(&mut child);
            let log = std::fs::read_to_string(root.join(LOG_FILE)).unwrap_or_default();
            Err(error.context(format!("its log:\n{log}")))
        }
    }
}

/// `berth serve` on a free port of the loopback interface, sealed off from the caller's environment.
///
/// # Errors
/// When there is no program to run.
pub fn serve_command(data_dir: &Path) -> Result<Command> {
    let mut command = Command::new(program()?);
    command.arg("serve").args(["--listen", "127.0.0.1:0"]).arg("--data-dir").arg(data_dir);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("AWS_") || (text.starts_with("BERTH_") && text != "BERTH_BIN") {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// The library that shifts a process's clock, wherever Debian puts it on this architecture.
fn faketime() -> Result<PathBuf> {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    places
        .iter()
        .map(|place| Path::new(place).join("faketime/libfaketime.so.1"))
        .find(|path| path.is_file())
        .context("no libfaketime (`cargo xtask test` installs it)")
}

async fn wait_ready(child: &mut Child, ready: &Path, started: Instant) -> Result<String> {
    loop {
        if let Ok(text) = std::fs::read_to_string(ready)
            && text.ends_with('\n')
        {
            return Ok(text.trim().to_owned());
        }
        if let Some(status) = child.try_wait()? {
            bail!("berth serve ended with {status} before it was ready");
        }
        if started.elapsed() > Duration::from_secs(START_SECONDS_MAX) {
            bail!("berth serve wrote no ready file in {START_SECONDS_MAX} s");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// SIGKILL to this one process, and wait so that it is really gone.
fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
