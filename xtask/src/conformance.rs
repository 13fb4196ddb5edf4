//! The conformance suite of the OCI Distribution Spec against a `berth serve`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::server::Server;
use crate::shell::{read, target};
use crate::{steps, tools};

/// Fewer tests than this means that the suite did not run as meant (it runs about a thousand).
const TESTS_MIN: u64 = 900;

const REPOSITORIES: [&str; 2] = ["conformance/repo1", "conformance/repo2"];

/// Everything that version 1.1 leaves off by default, on. `OCI_DATA_SPARSE` stays off: it pushes manifests whose layers
/// are missing, and this registry demands its layers, as the specification allows and ECR does.
const SWITCHES: [(&str, &str); 6] = [
    ("OCI_VERSION", "1.1"),
    ("OCI_API_BLOBS_DIGEST_HEADER", "true"),
    ("OCI_API_BLOBS_UPLOAD_CANCEL", "true"),
    ("OCI_API_MANIFESTS_DIGEST_HEADER", "true"),
    ("OCI_API_MANIFESTS_TAG_PARAM", "true"),
    ("OCI_DATA_SHA512", "true"),
];

/// Runs the suite and prints its totals.
///
/// # Errors
/// When a test fails or errors, or when too few ran: the suite's exit code is 0 also when it could not start.
pub(crate) fn run() -> Result<()> {
    steps::release()?;
    let server = Server::start("conformance")?;
    for repository in REPOSITORIES {
        read(aws(&server.url)?.args(["create-repository", "--repository-name", repository]))?;
    }
    let password = read(aws(&server.url)?.arg("get-login-password"))?;
    let host = server.url.strip_prefix("http://").context("the server's URL")?;
    let results = target()?.join("xtask").join("conformance-results");
    let _ = std::fs::remove_dir_all(&results);
    std::fs::create_dir_all(&results)?;
    let output = Command::new(tools::bin()?.join("conformance"))
        .current_dir(&results)
        .env("OCI_REGISTRY", host)
        .env("OCI_TLS", "disabled")
        .env("OCI_USERNAME", "AWS")
        .env("OCI_PASSWORD", password.trim())
        .env("OCI_REPO1", REPOSITORIES[0])
        .env("OCI_REPO2", REPOSITORIES[1])
        .env("OCI_RESULTS_DIR", &results)
        .envs(SWITCHES)
        .output()
        .context("start the conformance suite")?;
    std::fs::write(results.join("output.log"), &output.stdout)?;
    for line in String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains("failed test")) {
        println!("{line}");
    }
    let totals = Totals::read(&results)?;
    println!(
        "{} tests: {} failed, {} errors, {} skipped; the report is {}",
        totals.tests,
        totals.failures,
        totals.errors,
        totals.skipped,
        results.join("report.html").display()
    );
    print_unsupported(&results)?;
    ensure!(totals.tests >= TESTS_MIN, "only {} tests ran, expected {TESTS_MIN} or more", totals.tests);
    if totals.failures + totals.errors > 0 || !output.status.success() {
        bail!("{} conformance tests failed", totals.failures + totals.errors);
    }
    Ok(())
}

/// Names each API and kind of data that the suite did not call passed, so that a skip is seen.
fn print_unsupported(results: &Path) -> Result<()> {
    let text = std::fs::read_to_string(results.join("results.yaml"))?;
    for line in text.lines().filter(|line| line.ends_with(": Skip") || line.ends_with(": Disabled")) {
        println!("{}", line.trim());
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Totals {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

impl Totals {
    fn read(results: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(results.join("junit.xml")).context("the suite wrote no report")?;
        Self::parse(&text)
    }

    fn parse(junit: &str) -> Result<Self> {
        let suite = junit.split_once("<testsuite ").context("no <testsuite> in the report")?.1;
        let head = suite.split_once('>').map_or(suite, |(head, _)| head);
        let number = |name: &str| -> Result<u64> {
            let (_, rest) =
                head.split_once(&format!("{name}=\"")).with_context(|| format!("no {name} in the report"))?;
            let (value, _) = rest.split_once('"').context("a closed attribute")?;
            value.parse().with_context(|| format!("{name} is {value:?}"))
        };
        Ok(Self {
            tests: number("tests")?,
            failures: number("failures")?,
            errors: number("errors")?,
            // The suite leaves this one out when nothing was skipped.
            skipped: number("skipped").unwrap_or(0),
        })
    }
}

/// `aws ecr` against a server that checks no signatures.
fn aws(url: &str) -> Result<Command> {
    let mut aws = Command::new(tools::venv()?.join("bin").join("aws"));
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "a secret that nobody checks"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ] {
        aws.env(name, value);
    }
    aws.env_remove("AWS_PROFILE").args(["--endpoint-url", url, "--region", "us-east-1", "ecr"]);
    Ok(aws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_from_the_report() {
        let text = r#"<testsuites time="4.6" tests="9" failures="1" skipped="6">
            <testsuite name="OCI Conformance Test" tests="990" failures="153" errors="2" skipped="61" time="4.6">"#;
        let totals = Totals::parse(text).unwrap();
        assert_eq!(totals, Totals { tests: 990, failures: 153, errors: 2, skipped: 61 });
        let clean = r#"<testsuite name="x" tests="986" failures="0" errors="0" time="4.0">"#;
        assert_eq!(Totals::parse(clean).unwrap(), Totals { tests: 986, failures: 0, errors: 0, skipped: 0 });
        assert!(Totals::parse("<html>").is_err());
    }
}
