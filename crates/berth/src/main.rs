//! `berth`: a project's container image repositories, in Amazon ECR or in a registry of its own.
//!
//! A verb is a file in [`commands`]: an `Args` that clap fills and a `run` that does it.

mod commands;
mod failure;
mod lab;
mod output;
mod server;
mod stack;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
