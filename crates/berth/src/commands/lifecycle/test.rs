//! `berth lifecycle test`: expectations about a policy, for continuous integration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::inputs::load_policy;
use crate::failure::Failure;
use crate::lab::expectations::{Expectations, text};
use crate::lab::files::{SMALL_FILE_BYTES_MAX, read_text};
use crate::output::print_data;

/// Check a policy against a file of expectations, such as "v1.4.0, 400 days old, with 25 newer ones: kept"
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of expectations (TOML)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut all_passed = true;
    let mut results = Vec::new();
    for path in &args.files {
        let (source, file) = read_text(path, SMALL_FILE_BYTES_MAX)?;
        let expectations = Expectations::parse(&file, &source)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let policy = load_policy(&directory.join(&expectations.policy), expectations.repository.as_deref())?;
        let verdicts = expectations.verdicts(&policy);
        all_passed &= verdicts.iter().all(|verdict| verdict.passed);
        if args.json {
            results.push(json!({"file": file, "cases": verdicts}));
        } else {
            print_data(&text(&file, &verdicts))?;
        }
    }
    if args.json {
        print_data(&format!("{:#}\n", json!({"passed": all_passed, "files": results})))?;
    }
    Ok(if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
