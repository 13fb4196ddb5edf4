//! Building and running the fuzz targets of `fuzz/`, on the stable compiler.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::shell::{cargo, metadata, read, root, run, target};

/// What libFuzzer needs the compiler to put into the code. All of it is reachable with `-C` flags.
const INSTRUMENTATION: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];
/// An input that takes longer than this is a finding.
const INPUT_SECONDS_MAX: u32 = 5;
/// An input that makes the target need more than this is a finding.
const MEMORY_MIB_MAX: u32 = 1024;
/// Longest input tried, in bytes.
const INPUT_BYTES_MAX: u32 = 65_536;

/// Runs every target for `seconds`, beginning with its corpus. What is found on the way stays in the target directory.
///
/// # Errors
/// When a target cannot be built, or finds something: its input is then under `artifacts`.
pub(crate) fn all(seconds: u32) -> Result<()> {
    let targets = targets()?;
    let directory = target()?.join("fuzz");
    // With an explicit target, the flags do not apply to build scripts and macros.
    let host = host()?;
    let mut build = cargo()?;
    build
        .args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", &host])
        .arg("--target-dir")
        .arg(&directory)
        .env("RUSTFLAGS", INSTRUMENTATION.join(" "));
    run(&mut build)?;
    for name in &targets {
        let program = directory.join(&host).join("release").join(name);
        let [found, artifacts] = ["found", "artifacts"].map(|kind| directory.join(kind).join(name));
        for made in [&found, &artifacts] {
            std::fs::create_dir_all(made).with_context(|| format!("create {}", made.display()))?;
        }
        let mut fuzz = std::process::Command::new(program);
        fuzz.current_dir(root()?)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(["-verbosity=0", "-print_final_stats=1"])
            .arg(&found)
            .arg(corpus(name)?);
        run(&mut fuzz).with_context(|| format!("fuzz target {name}"))?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let metadata = metadata(&["--no-deps", "--manifest-path", "fuzz/Cargo.toml"])?;
    let targets = metadata["packages"][0]["targets"].as_array().context("fuzz/Cargo.toml has no targets")?;
    let name = |target: &serde_json::Value| target["name"].as_str().map(str::to_owned);
    targets.iter().map(|target| name(target).context("a fuzz target has no name")).collect()
}

/// A target without seeds finds little: that it has some is part of the check.
fn corpus(name: &str) -> Result<PathBuf> {
    let corpus = root()?.join("fuzz/corpus").join(name);
    let seeds = std::fs::read_dir(&corpus).with_context(|| format!("read {}", corpus.display()))?.count();
    if seeds == 0 {
        bail!("fuzz target {name} has no seeds in {}", corpus.display());
    }
    Ok(corpus)
}

fn host() -> Result<String> {
    let about = read(std::process::Command::new("rustc").arg("-vV"))?;
    let line = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}
