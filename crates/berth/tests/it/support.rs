//! A directory of its own for each test, and a program that sees nothing else of this machine.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub(crate) struct Sandbox {
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// Sets an environment variable for every later run.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A file in the directory.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Runs `berth` without a terminal.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(Path::new(env!("CARGO_BIN_EXE_berth")))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs `berth` without a terminal. The answer is its exit code and all that it printed, without what differs from run to
    /// run.
    pub(crate) fn berth(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let mut text = format!("exit code {}\n", output.status.code().unwrap());
        for (name, bytes) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            let printed = String::from_utf8(bytes).unwrap();
            assert!(!printed.contains('\x1b'), "colours without a terminal: {printed}");
            if !printed.is_empty() {
                let _ = write!(text, "--- {name}\n{printed}");
            }
        }
        text
    }
}
