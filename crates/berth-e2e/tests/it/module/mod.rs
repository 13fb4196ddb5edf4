//! The module from its command line: init, plan, apply, outputs, destroy and up against a running registry.

mod stack;
mod up;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use berth_e2e::command::{Output, aws_environment, run};
use berth_e2e::server;
use berth_e2e::target::Target;
use serde_json::Value;
use tempfile::TempDir;

/// A project directory and the registry that its stack file points at.
struct Project {
    target: Target,
    directory: TempDir,
}

impl Project {
    /// A project with a stack file of these two settings and whatever follows them.
    async fn new(environment: &str, rest: &str) -> Result<Self> {
        let target = Target::own(&[]).await?;
        let project = Self { target, directory: tempfile::tempdir()? };
        project.write(environment, rest)?;
        Ok(project)
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("berth.toml")
    }

    /// Writes the stack file anew.
    fn write(&self, environment: &str, rest: &str) -> Result<()> {
        let text = format!(
            "project = \"shop\"\nenvironment = \"{environment}\"\nregion = \"us-east-1\"\nendpoint = \"{}\"\n{rest}",
            self.target.url()
        );
        Ok(std::fs::write(self.file(), text)?)
    }

    /// `berth <arguments>` in the project's directory.
    async fn berth(&self, arguments: &[&str]) -> Result<Output> {
        let mut berth = Command::new(server::program()?);
        aws_environment(&mut berth);
        berth.env("NO_COLOR", "1").current_dir(self.directory.path()).args(arguments);
        run(berth, None).await
    }

    async fn apply(&self) -> Result<Output> {
        self.berth(&["apply", "--yes", "--format", "json"]).await?.success()
    }

    /// `berth plan --json`.
    async fn plan(&self) -> Result<Value> {
        self.berth(&["plan", "--json"]).await?.success()?.json()
    }

    /// The exit code of `berth plan --detailed-exitcode`: 0 nothing to do, 3 changes.
    async fn plan_code(&self) -> Result<i32> {
        Ok(self.berth(&["plan", "--detailed-exitcode"]).await?.code)
    }
}

/// The resources of a plan that something happens to.
fn changed(plan: &Value) -> Vec<&Value> {
    plan["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|resource| resource["action"] != "no-op")
        .collect()
}

/// A stack file's default retention with another number in the first entry.
fn retention(keep_last: u32) -> String {
    format!(
        "[[retention]]\ndescription = \"Versions\"\nany_of = [\"v*\", \"sha-*\"]\nkeep_last = {keep_last}\n\
         [[retention]]\ndescription = \"Untagged\"\nuntagged = true\nexpire_after_days = 7\n"
    )
}

/// A text member of a JSON object, which must be there.
fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str> {
    value[member].as_str().with_context(|| format!("no {member} in {value}"))
}
