//! `berth serve`: the registry alone.

use std::process::ExitCode;

use berth_server::telemetry::{self, LogFormat};

use crate::failure::Failure;
use crate::server::{Server, ServerArgs, asked_to_end};

/// Serve a registry: docker push and pull, and the ECR API, on one port
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let server = start(args.server, "info").await?;
    server.run_until(asked_to_end()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Starts a server and its log, for every verb that serves. `logged` is what is logged unless the environment says.
pub(crate) async fn start(args: ServerArgs, logged: &str) -> Result<Server, Failure> {
    let config = args.resolve(&|name| std::env::var(name).ok())?;
    let filter = std::env::var(telemetry::FILTER_VARIABLE).ok();
    telemetry::init(LogFormat::Auto, Some(filter.as_deref().unwrap_or(logged)))?;
    Ok(Server::start(config).await?)
}
