//! The steps of `cargo xtask test`, in order, and the runner.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::shell::{cargo, run as run_program, target};
use crate::tools::{self, Tool};
use crate::{conformance, fuzz, tidy};

/// How long the smoke run of a fuzz target takes.
const FUZZ_SMOKE_SECONDS: u32 = 5;

/// A part of the test run.
pub(crate) struct Step {
    name: &'static str,
    what: &'static str,
    tools: &'static [Tool],
    run: fn() -> Result<()>,
}

/// Cheap verdicts first; then what compiles the workspace; then what needs the release binary.
pub(crate) const ALL: [Step; 13] = [
    Step { name: "fmt", what: "rustfmt", tools: &[], run: fmt },
    Step { name: "tidy", what: "the rules of this tree", tools: &[], run: tidy::run },
    Step { name: "deny", what: "licences, bans, sources", tools: &[Tool::Deny], run: deny },
    Step { name: "clippy", what: "lints, all targets", tools: &[], run: clippy },
    Step { name: "doc", what: "rustdoc without warnings", tools: &[], run: doc },
    Step { name: "unit", what: "cargo test of the workspace", tools: &[], run: unit },
    Step {
        name: "fuzz",
        what: "every fuzz target, shortly",
        tools: &[],
        run: || fuzz::all(FUZZ_SMOKE_SECONDS),
    },
    Step { name: "oci", what: "the OCI protocol, black box", tools: &[], run: || e2e("oci::") },
    Step { name: "ecr", what: "the ECR API through the official SDK", tools: &[], run: || e2e("ecr::") },
    Step { name: "module", what: "plan, apply, destroy", tools: &[Tool::Python], run: || e2e("module::") },
    Step {
        name: "clients",
        what: "aws, boto3, skopeo, podman, buildah, docker",
        tools: &[Tool::Python, Tool::Clients],
        run: || e2e("clients::"),
    },
    Step {
        name: "faults",
        what: "kill -9, secrecy, memory, time",
        tools: &[Tool::Clock],
        run: || e2e("faults::"),
    },
    Step {
        name: "conformance",
        what: "the OCI conformance suite",
        tools: &[Tool::Python, Tool::Conformance],
        run: conformance::run,
    },
];

enum Verdict {
    Passed,
    Failed(anyhow::Error),
    NotRun(String),
}

/// The names of all steps.
pub(crate) fn names() -> String {
    ALL.iter().map(|step| step.name).collect::<Vec<_>>().join(" ")
}

/// The steps of a comma-separated list, in our order.
///
/// # Errors
/// When a name is unknown.
pub(crate) fn named(list: &str) -> Result<Vec<&'static Step>> {
    let wanted: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    for name in &wanted {
        if !ALL.iter().any(|step| step.name == *name || (*name == "e2e" && is_black_box(step))) {
            bail!("no step {name:?}; there are: {} (and e2e for the black-box ones)", names());
        }
    }
    let all_black_box = wanted.contains(&"e2e");
    Ok(ALL
        .iter()
        .filter(|step| wanted.contains(&step.name) || (all_black_box && is_black_box(step)))
        .collect())
}

fn is_black_box(step: &Step) -> bool {
    ["oci", "ecr", "module", "clients", "faults"].contains(&step.name)
}

/// Runs steps, all of them even if one fails, and says at the end how each went.
///
/// # Errors
/// When a step failed.
pub(crate) fn run(steps: &[&Step]) -> Result<()> {
    let begin = Instant::now();
    let mut results = Vec::new();
    for step in steps {
        println!("\n=== {} ({}) at {}", step.name, step.what, clock(begin.elapsed()));
        let started = Instant::now();
        let verdict = attempt(step);
        match &verdict {
            Verdict::Passed => {}
            Verdict::Failed(error) => println!("{} FAILED: {error:#}", step.name),
            Verdict::NotRun(reason) => println!("{} was not run: {reason}", step.name),
        }
        results.push((step, verdict, started.elapsed()));
    }
    println!("\n=== summary after {}", clock(begin.elapsed()));
    let mut failed = Vec::new();
    for (step, verdict, time) in &results {
        let text = match verdict {
            Verdict::Passed => "passed".to_owned(),
            Verdict::Failed(_) => {
                failed.push(step.name);
                "FAILED".to_owned()
            }
            Verdict::NotRun(reason) => format!("not run: {reason}"),
        };
        println!("{:<12} {:>7}  {text}", step.name, clock(*time));
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn attempt(step: &Step) -> Verdict {
    for tool in step.tools {
        match tools::ensure(*tool) {
            Ok(None) => {}
            Ok(Some(reason)) => return Verdict::NotRun(reason),
            Err(error) => return Verdict::Failed(error.context("install the tools of this step")),
        }
    }
    match (step.run)() {
        Ok(()) => Verdict::Passed,
        Err(error) => Verdict::Failed(error),
    }
}

/// The tests that are too long for every run.
///
/// # Errors
/// When one fails.
pub(crate) fn soak() -> Result<()> {
    let mut test = black_box()?;
    test.arg("faults::memory").env("BERTH_E2E_SOAK", "1");
    run_program(&mut test)
}

fn fmt() -> Result<()> {
    run_program(cargo()?.args(["fmt", "--all", "--check"]))
}

fn deny() -> Result<()> {
    let program = tools::bin()?.join("cargo-deny");
    let mut deny = Command::new(program);
    deny.current_dir(crate::shell::root()?);
    run_program(deny.args(["check", "licenses", "bans", "sources"]))
}

fn clippy() -> Result<()> {
    let lints = ["--", "-D", "warnings"];
    run_program(cargo()?.args(["clippy", "--quiet", "--workspace", "--all-targets"]).args(lints))
}

fn doc() -> Result<()> {
    let mut doc = cargo()?;
    doc.args(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    // Private items are documented as well, so a link from a public one to a private one leads somewhere.
    run_program(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
}

fn unit() -> Result<()> {
    // Stale snapshots fail instead of waiting for a review that nobody makes here.
    let mut test = cargo()?;
    test.args(["test", "--quiet", "--workspace", "--exclude", "berth-e2e"]).env("INSTA_UPDATE", "no");
    run_program(&mut test)
}

fn e2e(filter: &str) -> Result<()> {
    let mut test = black_box()?;
    test.arg(filter);
    run_program(&mut test)
}

/// `cargo test` of the black-box suite against the release binary, whose figures are the real ones. Tests that measure
/// print what they measured.
fn black_box() -> Result<Command> {
    release()?;
    let mut test = cargo()?;
    test.args(["test", "--quiet", "--package", "berth-e2e", "--test", "it", "--", "--show-output"]);
    test.env("BERTH_BIN", target()?.join("release").join("berth"));
    test.env("BERTH_E2E_VENV", tools::venv()?);
    Ok(test)
}

/// Builds the release binary, once: cargo sees that nothing changed.
///
/// # Errors
/// When it does not compile.
pub(crate) fn release() -> Result<()> {
    run_program(cargo()?.args(["build", "--quiet", "--release", "--package", "berth"]))
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_name_in_our_order() {
        let steps = named("unit, fmt").unwrap();
        assert_eq!(steps.iter().map(|step| step.name).collect::<Vec<_>>(), ["fmt", "unit"]);
        assert!(named("e2e").unwrap().len() > 3);
        assert!(named("nonsense").is_err());
    }
}
