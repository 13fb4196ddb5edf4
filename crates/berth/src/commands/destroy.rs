//! `berth destroy`: remove what the stack owns.

use std::process::ExitCode;

use berth_stack::{PlanOptions, plan_destroy, render};

use crate::failure::Failure;
use crate::output::{confirm, print_note};
use crate::stack::{Session, StackArgs, carry_out};

/// Delete every repository that belongs to the stack by its tags, after showing which
///
/// Repositories that hold images are refused unless --force is given; those with `protect = true` are refused even then.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stack: StackArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Delete repositories although they hold images, unless they are protected
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let session = Session::open(&args.stack).await?;
    let actual = session.read().await?;
    let options = PlanOptions { allow_replace: false, force: args.force };
    let plan = plan_destroy(&session.stack, &actual, options);
    if plan.is_empty() {
        for warning in &plan.warnings {
            print_note(&format!("warning: {warning}"));
        }
        print_note("Nothing to delete: no repository carries this stack's tags.");
        return Ok(ExitCode::SUCCESS);
    }
    print_note(&render::to_text(&plan, &session.target));
    let is_refused = plan.refused().next().is_some();
    if !is_refused && !args.yes && !confirm("Delete these repositories?")? {
        return Err(Failure::new("not confirmed; nothing was deleted"));
    }
    carry_out(&session.api, &plan).await?;
    print_note("Done.");
    Ok(ExitCode::SUCCESS)
}
