//! `berth outputs`: what others need to know.

use std::process::ExitCode;

use berth_stack::outputs;

use crate::failure::Failure;
use crate::output::FormatArgs;
use crate::stack::{Session, StackArgs};

/// Print each repository's name, ARN, registry id and URL
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stack: StackArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let session = Session::open(&args.stack).await?;
    let actual = session.read().await?;
    let all = outputs::outputs(&session.stack, &actual)?;
    args.format.print(&session.stack, &session.target, &all)?;
    Ok(ExitCode::SUCCESS)
}
