//! Running real clients, with everything they keep in a directory of the test's own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

/// Sends a signal to a process that we started.
///
/// # Errors
/// When it is gone.
pub fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = Pid::from_child(child);
    kill_process(pid, signal).with_context(|| format!("send {signal:?} to process {}", child.id()))
}

/// What a finished program printed.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The command line, for messages.
    pub command: String,
}

impl Output {
    /// This output, when the program succeeded.
    ///
    /// # Errors
    /// When it did not, with all it printed.
    pub fn success(self) -> Result<Self> {
        if self.code == 0 {
            return Ok(self);
        }
        bail!("{} ended with {}:\n{}\n{}", self.command, self.code, self.stdout, self.stderr);
    }

    /// Standard error and output together, when the program failed.
    ///
    /// # Errors
    /// When it succeeded.
    pub fn failure(self) -> Result<String> {
        if self.code != 0 {
            return Ok(format!("{}\n{}", self.stderr, self.stdout));
        }
        bail!("{} succeeded and should not have:\n{}\n{}", self.command, self.stdout, self.stderr);
    }

    /// Standard output as JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("{}: not JSON: {}", self.command, self.stdout))
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started; the message says how to get the tools.
pub async fn run(mut command: Command, input: Option<&str>) -> Result<Output> {
    let line = describe(&command);
    let input = input.map(str::to_owned);
    let work = move || -> Result<Output> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().with_context(|| {
            format!("start {line} (`cargo xtask test` installs the clients that the tests use)")
        })?;
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            std::io::Write::write_all(&mut stdin, text.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        Ok(Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            command: line,
        })
    };
    tokio::task::spawn_blocking(work).await?
}

/// `program arguments`, for messages.
#[must_use]
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The target directory that the tests were built in.
///
/// # Errors
/// When the test program is elsewhere.
pub fn target_dir() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    own.ancestors().nth(3).map(Path::to_owned).context("the test program is not in a target directory")
}

/// The Python environment with the AWS CLI and boto3 that `cargo xtask test` prepares.
///
/// # Errors
/// When it is not there.
pub fn venv() -> Result<PathBuf> {
    let venv = match std::env::var_os("BERTH_E2E_VENV") {
        Some(path) => PathBuf::from(path),
        None => target_dir()?.join("venv"),
    };
    anyhow::ensure!(
        venv.join("bin/aws").is_file(),
        "no AWS CLI in {}: `cargo xtask test` prepares it",
        venv.display()
    );
    Ok(venv)
}

/// The AWS CLI against `url`, with credentials that mean nothing.
///
/// # Errors
/// When the Python environment is not there.
pub fn aws(url: &str) -> Result<Command> {
    let mut command = Command::new(venv()?.join("bin/aws"));
    aws_environment(&mut command);
    command.args(["--endpoint-url", url, "--region", crate::REGION, "--output", "json"]);
    Ok(command)
}

/// Credentials and region for any program built on an AWS SDK, and nothing of the caller's own.
pub fn aws_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(&name);
        }
    }
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "a secret that nobody checks")
        .env("AWS_REGION", crate::REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_PAGER", "");
}
