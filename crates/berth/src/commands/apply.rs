//! `berth apply`: make it so.

use std::process::ExitCode;

use berth_stack::{PlanOptions, outputs, plan, render};

use crate::failure::Failure;
use crate::output::{FormatArgs, confirm, print_note};
use crate::stack::{Session, StackArgs, carry_out};

/// Make the repositories what the stack file says, after showing the plan
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stack: StackArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Delete and create anew what cannot be changed in place
    #[arg(long)]
    allow_replace: bool,
    /// Delete repositories although they hold images, unless they are protected
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let session = Session::open(&args.stack).await?;
    let actual = session.read().await?;
    let options = PlanOptions { allow_replace: args.allow_replace, force: args.force };
    let plan = plan(&session.stack, &actual, options);
    print_note(&render::to_text(&plan, &session.target));
    if !plan.is_empty() {
        let is_refused = plan.refused().next().is_some();
        if !is_refused && !args.yes && !confirm("Make these changes?")? {
            return Err(Failure::new("not confirmed; nothing was changed"));
        }
        carry_out(&session.api, &plan).await?;
        print_note("Done.\n");
    }
    let actual = session.read().await?;
    let all = outputs::outputs(&session.stack, &actual)?;
    args.format.print(&session.stack, &session.target, &all)?;
    Ok(ExitCode::SUCCESS)
}
