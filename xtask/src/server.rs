//! A `berth serve` for a step that needs one.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::target;

const START_SECONDS_MAX: u64 = 30;

/// A server on an empty data directory under the target directory. Dropping it kills the process.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl Server {
    /// Starts the release binary.
    ///
    /// # Errors
    /// When it does not become ready.
    pub(crate) fn start(name: &str) -> Result<Self> {
        let directory = target()?.join("xtask").join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory)?;
        let ready = directory.join("ready");
        let log = std::fs::File::create(directory.join("server.log"))?;
        let mut child = Command::new(target()?.join("release").join("berth"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start berth serve")?;
        let started = Instant::now();
        loop {
            match std::fs::read_to_string(&ready) {
                Ok(text) if text.ends_with('\n') => return Ok(Self { child, url: text.trim().to_owned() }),
                _ => {}
            }
            if let Some(status) = child.try_wait()? {
                bail!("berth serve ended with {status}; its log is in {}", directory.display());
            }
            if started.elapsed() > Duration::from_secs(START_SECONDS_MAX) {
                let _ = child.kill();
                let _ = child.wait();
                bail!(
                    "berth serve was not ready in {START_SECONDS_MAX} s; its log is in {}",
                    directory.display()
                );
            }
            pause();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A breath between two looks at the ready file.
fn pause() {
    let (_sender, receiver) = mpsc::channel::<()>();
    let _ = receiver.recv_timeout(Duration::from_millis(10));
}
