//! The command line.

mod apply;
mod cost;
mod destroy;
mod init;
mod lifecycle;
mod login;
mod outputs;
mod plan;
mod serve;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// A project's container image repositories, in Amazon ECR or in a registry of its own
#[derive(Debug, Parser)]
#[command(
    name = "berth",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Serve(serve::Args),
    Login(login::Args),
    Init(init::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Destroy(destroy::Args),
    Outputs(outputs::Args),
    Lifecycle(lifecycle::Args),
    Cost(cost::Args),
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match self.command {
                Command::Up(args) => up::run(args).await,
                Command::Serve(args) => serve::run(args).await,
                Command::Login(args) => login::run(args).await,
                Command::Init(args) => init::run(&args),
                Command::Plan(args) => plan::run(&args).await,
                Command::Apply(args) => apply::run(&args).await,
                Command::Destroy(args) => destroy::run(&args).await,
                Command::Outputs(args) => outputs::run(&args).await,
                Command::Lifecycle(args) => lifecycle::run(args).await,
                Command::Cost(args) => cost::run(&args).await,
            }
        })
    }
}
