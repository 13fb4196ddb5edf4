//! `berth lifecycle lint`: what is probably wrong with policies, wherever they stand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use berth_lifecycle::Severity;
use berth_lifecycle::lint::Context;
use berth_types::{Clock as _, SystemClock, TagMutability, Timestamp};
use clap::ValueEnum;
use serde_json::json;

use super::inputs::{note_gaps, read_inventory};
use crate::failure::Failure;
use crate::lab::lint::{Report, lint, sarif, summary, text};
use crate::lab::sources::{Format, read};
use crate::lab::units::parse_moment;
use crate::output::{print_data, print_note};

/// Look for mistakes in lifecycle policies: in policy files, berth.toml, Terraform, CloudFormation and Pulumi
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files with policies; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What the files are [default: told by name and content]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// File with the images of the repository: the output of `aws ecr describe-images`
    #[arg(long, value_name = "FILE")]
    images: Option<PathBuf>,
    /// The moment to look at the images from [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_moment, requires = "images")]
    at: Option<Timestamp>,
    /// The tag mutability of the repository, where the file does not say it
    #[arg(long, value_enum)]
    tag_mutability: Option<Mutability>,
    /// How many images a rollback needs
    #[arg(long, value_name = "N", default_value_t = 3)]
    rollback: u32,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Print the findings as SARIF 2.1.0
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
    /// Fail not only for errors
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Denied>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mutability {
    #[value(name = "MUTABLE", alias = "mutable")]
    Mutable,
    #[value(name = "IMMUTABLE", alias = "immutable")]
    Immutable,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Denied {
    /// Warnings fail, too
    Warnings,
    /// Warnings and notes fail, too
    Notes,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut found = Vec::new();
    for file in &args.files {
        let policies = read(file, args.format)?;
        if policies.is_empty() {
            print_note(&format!("note: there is no lifecycle policy in {}", shown(file)));
        }
        found.extend(policies);
    }
    if found.is_empty() {
        return Err(Failure::new("there is no lifecycle policy in any of the files"));
    }
    let inventory = args.images.as_deref().map(read_inventory).transpose()?;
    if let Some(inventory) = &inventory {
        note_gaps(inventory);
    }
    let mutability = args.tag_mutability.map(|mode| match mode {
        Mutability::Mutable => TagMutability::mutable(),
        Mutability::Immutable => TagMutability::immutable(),
    });
    let now = args.at.unwrap_or_else(|| SystemClock.now());
    let context = Context {
        images: inventory.as_ref().map(|inventory| (inventory.images.as_slice(), now)),
        mutability: mutability.as_ref(),
        rollback_images: args.rollback,
    };
    let reports = lint(&found, &context);
    if args.sarif {
        print_data(&format!("{:#}\n", sarif(&reports)))?;
    } else if args.json {
        print_data(&format!("{:#}\n", json!({"policies": found.len(), "findings": reports})))?;
    } else {
        print_data(&text(&reports))?;
        print_note(&summary(&reports, found.len()));
    }
    let worst = reports.iter().map(Report::severity).max();
    let tolerated = match args.deny {
        None => Severity::Warning,
        Some(Denied::Warnings) => Severity::Note,
        Some(Denied::Notes) => return Ok(exit(worst.is_some())),
    };
    Ok(exit(worst > Some(tolerated)))
}

fn exit(is_failed: bool) -> ExitCode {
    if is_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn shown(file: &Path) -> String {
    if file == Path::new(crate::lab::files::STDIN) {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}
