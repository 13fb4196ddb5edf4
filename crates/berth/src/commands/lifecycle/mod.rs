//! `berth lifecycle`: the policy lab.

mod explain;
mod inputs;
mod lint;
mod simulate;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use inputs::{
    ConnectArgs, connect, inventory_of, load_policy, note_gaps, parse_size, read_inventory, read_repository,
};

use crate::failure::Failure;

/// Lifecycle policies: find mistakes, see what would go, ask why, and keep expectations
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Lint(lint::Args),
    Simulate(simulate::Args),
    Explain(explain::Args),
    Test(test::Args),
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Lint(args) => lint::run(&args),
        Command::Simulate(args) => simulate::run(&args).await,
        Command::Explain(args) => explain::run(&args).await,
        Command::Test(args) => test::run(&args),
    }
}
