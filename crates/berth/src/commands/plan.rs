//! `berth plan`: what would change.

use std::process::ExitCode;

use berth_stack::{PlanOptions, plan, render};

use crate::failure::Failure;
use crate::output::print_data;
use crate::stack::{Session, StackArgs};

/// Show what apply would change, and change nothing
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stack: StackArgs,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 3 if there is something to do, 0 if not
    #[arg(long)]
    detailed_exitcode: bool,
    /// Plan to delete and create anew what cannot be changed in place
    #[arg(long)]
    allow_replace: bool,
}

/// The exit code for "there is something to do".
const EXIT_CHANGES: u8 = 3;

pub(crate) async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let session = Session::open(&args.stack).await?;
    let actual = session.read().await?;
    let options = PlanOptions { allow_replace: args.allow_replace, force: false };
    let plan = plan(&session.stack, &actual, options);
    if args.json {
        print_data(&format!("{:#}\n", render::to_json(&plan, &session.target)))?;
    } else {
        print_data(&render::to_text(&plan, &session.target))?;
    }
    if args.detailed_exitcode && !plan.is_empty() {
        return Ok(ExitCode::from(EXIT_CHANGES));
    }
    Ok(ExitCode::SUCCESS)
}
