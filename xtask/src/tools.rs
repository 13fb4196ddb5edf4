//! What the tests need beyond Rust and a C compiler, installed when it is missing: container clients from Debian, the AWS
//! CLI in a Python environment, cargo-deny, and the OCI conformance suite when Go is there.
//!
//! Everything but Debian's packages goes under the target directory, at a pinned version.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{cargo, find, read, run, target};

const CARGO_DENY: &str = "cargo-deny@0.20.2";
const CONFORMANCE: &str =
    "github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111";
const PYTHON_PACKAGES: [&str; 2] = ["awscli==1.46.3", "boto3==1.44.5"];

/// Programs that the client tests run, and the Debian package that brings each.
const CLIENTS: [(&str, &str); 8] = [
    ("skopeo", "skopeo"),
    ("podman", "podman"),
    ("buildah", "buildah"),
    ("dockerd", "docker.io"),
    ("docker", "docker-cli"),
    ("umoci", "umoci"),
    ("mmdebstrap", "mmdebstrap"),
    ("crun", "crun"),
];

/// Something that a step cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// skopeo, podman, buildah, docker, and what builds the image that they push.
    Clients,
    /// faketime, which moves a server's clock.
    Clock,
    /// The AWS CLI and boto3.
    Python,
    /// cargo-deny.
    Deny,
    /// The OCI conformance suite. Needs Go, which is not installed.
    Conformance,
}

/// Makes sure that a tool is there. `Ok(Some(reason))`: it cannot be had on this machine, and the step does not run.
pub(crate) fn ensure(tool: Tool) -> Result<Option<String>> {
    match tool {
        Tool::Clients => clients().map(|()| None),
        Tool::Clock => clock().map(|()| None),
        Tool::Python => python().map(|()| None),
        Tool::Deny => deny().map(|()| None),
        Tool::Conformance => conformance(),
    }
}

/// `target/tools/bin`.
pub(crate) fn bin() -> Result<PathBuf> {
    Ok(target()?.join("tools").join("bin"))
}

/// `target/venv`.
pub(crate) fn venv() -> Result<PathBuf> {
    Ok(target()?.join("venv"))
}

fn clients() -> Result<()> {
    let missing = || CLIENTS.iter().filter(|(program, _)| find(program).is_none()).collect::<Vec<_>>();
    let packages: Vec<&str> = missing()
        .iter()
        .map(|(_, package)| *package)
        // Up to Debian 12 the client is in docker.io itself.
        .filter(|package| *package != "docker-cli" || find("dockerd").is_some())
        .collect();
    install(&packages)?;
    if find("docker").is_none() {
        install(&["docker-cli"])?;
    }
    let still: Vec<&str> = missing().iter().map(|(program, _)| *program).collect();
    if !still.is_empty() {
        bail!("still missing after installing packages: {}", still.join(", "));
    }
    Ok(())
}

fn clock() -> Result<()> {
    if find("faketime").is_none() { install(&["faketime"]) } else { Ok(()) }
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let wanted = packages.join(" ");
    if find("apt-get").is_none() {
        bail!("this machine has no apt-get; install what these Debian packages bring: {wanted}");
    }
    apt(&["update", "--quiet"])?;
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments).with_context(|| format!("install {wanted}"))
}

/// apt-get as root, or through sudo when that asks for no password.
fn apt(arguments: &[&str]) -> Result<()> {
    let root = read(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if root {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "apt-get"]);
        sudo
    };
    run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn python() -> Result<()> {
    let venv = venv()?;
    let marker = venv.join("berth-packages.txt");
    let wanted = PYTHON_PACKAGES.join("\n");
    if std::fs::read_to_string(&marker).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    if find("python3").is_none() {
        install(&["python3", "python3-venv"])?;
    }
    let create = || run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    if create().is_err() {
        // Debian ships venv apart from Python.
        install(&["python3-venv"])?;
        create()?;
    }
    let mut pip = Command::new(venv.join("bin").join("pip"));
    run(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES))?;
    std::fs::write(&marker, wanted).with_context(|| format!("write {}", marker.display()))
}

fn deny() -> Result<()> {
    let (_, version) = CARGO_DENY.split_once('@').context("a pinned version")?;
    let program = bin()?.join("cargo-deny");
    if program.is_file()
        && read(Command::new(&program).arg("--version")).is_ok_and(|text| text.contains(version))
    {
        return Ok(());
    }
    // A debug build: it is compiled once and runs for a second.
    let mut install = cargo()?;
    install.args(["install", "--quiet", "--debug", "--locked", CARGO_DENY]);
    install
        .arg("--root")
        .arg(target()?.join("tools"))
        .arg("--target-dir")
        .arg(target()?.join("tools").join("build"));
    run(&mut install)
}

fn conformance() -> Result<Option<String>> {
    let bin = bin()?;
    let marker = bin.join("conformance.version");
    if bin.join("conformance").is_file()
        && std::fs::read_to_string(&marker).is_ok_and(|text| text == CONFORMANCE)
    {
        return Ok(None);
    }
    let Some(go) = find("go") else {
        return Ok(Some("Go is not on this machine; the step `oci` covers the same ground".to_owned()));
    };
    std::fs::create_dir_all(&bin)?;
    run(Command::new(go).args(["install", CONFORMANCE]).env("GOBIN", &bin))?;
    std::fs::write(&marker, CONFORMANCE)?;
    Ok(None)
}
