//! `berth lifecycle explain`: why one image goes or stays.

use std::process::ExitCode;

use super::inputs::{InputArgs, Inputs};
use crate::failure::Failure;
use crate::lab::explain::Subject;
use crate::output::print_data;

/// Explain one image: every rule, what it measures, and which one decides
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A tag, a digest, or the first characters of one
    #[arg(value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    inputs: InputArgs,
    /// Print the reasoning as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let Inputs { policy, inventory, now, .. } = args.inputs.load().await?;
    let place = inventory.find(&args.image).map_err(Failure::new)?;
    let subject = Subject::new(&policy, &inventory, now, place);
    let subject = subject.ok_or_else(|| Failure::new(format!("there is no image {}", args.image)))?;
    if args.json {
        print_data(&format!("{:#}\n", serde_json::to_value(subject.report())?))?;
    } else {
        print_data(&subject.text())?;
    }
    Ok(ExitCode::SUCCESS)
}
