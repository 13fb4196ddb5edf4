//! `berth up`: serve on this machine, and make a stack's repositories real there.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use berth_stack::client::AwsEcr;
use berth_stack::{ActualState, Endpoint, Output, PlanOptions, StackSpec, outputs, plan};

use super::serve;
use crate::failure::Failure;
use crate::output::{print_data, print_note};
use crate::server::{Server, ServerArgs, asked_to_end};
use crate::stack::{self, carry_out};

/// The stack when there is no file.
const DEMO_PROJECT: &str = "demo";
const DEMO_ENVIRONMENT: &str = "dev";

/// Serve a registry on this machine and make a project's repositories in it; Ctrl-C stops
///
/// Without a berth.toml the project is "demo", its environment "dev". What the stack file says of `endpoint` does not count
/// here: the stack is applied to the registry that is served.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stack file [default: berth.toml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let stack = match stack::find(args.file.as_deref())? {
        Some(stack) => stack,
        None => StackSpec::new(DEMO_PROJECT, DEMO_ENVIRONMENT)?,
    };
    let mut server_args = args.server;
    server_args.prefer_region(stack.region());
    let server = serve::start(server_args, "warn").await?;
    match bring_up(stack, &server).await {
        Ok(made) => {
            print_data(&greeting(&server, &made))?;
            server.run_until(asked_to_end()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            server.run_until(std::future::ready(())).await?;
            Err(failure)
        }
    }
}

async fn bring_up(stack: StackSpec, server: &Server) -> Result<Vec<Output>, Failure> {
    let endpoint = Endpoint::parse(&server.url())?;
    let registry = server.default_registry();
    let api = AwsEcr::local(&endpoint, &registry.region, registry.account).await;
    let stack = stack.with_endpoint(endpoint);
    for warning in stack.warnings() {
        print_note(&format!("warning: {warning}"));
    }
    let actual = ActualState::read(&api, &stack).await?;
    let plan = plan(&stack, &actual, PlanOptions::default());
    carry_out(&api, &plan).await?;
    let actual = ActualState::read(&api, &stack).await?;
    Ok(outputs::outputs(&stack, &actual)?)
}

/// What a user needs to know next: where the repositories are, and how to push to one.
fn greeting(server: &Server, made: &[Output]) -> String {
    let bold = anstyle::Style::new().bold();
    let registry = server.default_registry();
    let host = server.host().host(registry);
    // docker and the AWS CLI then speak of one place by one name.
    let url = if host.starts_with("localhost:") { format!("http://{host}") } else { server.url() };
    let width = made.iter().map(|output| output.name.len()).max().unwrap_or(0);
    let url_width = made.iter().map(|output| output.repository_url.len()).max().unwrap_or(0);
    let mut text = format!(
        "\n{bold}berth is serving at {url}{bold:#} (account {}, region {})\n\n",
        registry.account, registry.region
    );
    for Output { name, repository_url, description, .. } in made {
        let description = description.as_deref().unwrap_or_default();
        let line = format!("  {name:width$}  {repository_url:url_width$}  {description}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = write!(
        text,
        "\nLog in, once:\n  \
           berth login --endpoint {url}\n  \
           aws ecr get-login-password --endpoint-url {url} --region {region} | docker login --username AWS --password-stdin {host}\n",
        region = registry.region
    );
    if let Some(Output { repository_url, .. }) = made.first() {
        let _ = write!(
            text,
            "\nPush:\n  docker tag IMAGE {repository_url}:TAG\n  docker push {repository_url}:TAG\n"
        );
    }
    text.push_str("\nCtrl-C stops; everything is kept.\n");
    text
}
