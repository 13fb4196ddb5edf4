//! `berth login`: a docker login, for those without the AWS CLI.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use berth_stack::client::{DockerLogin, connect_to};
use berth_stack::{Endpoint, StackSpec};
use berth_types::Region;

use crate::failure::Failure;
use crate::output::print_data;
use crate::stack;

/// Log docker (or another client) in to a registry: what `aws ecr get-login-password | docker login` does
///
/// The registry is that of --endpoint, or of the stack file, or of AWS_ENDPOINT_URL_ECR, or Amazon ECR.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// URL of the registry's API, for example http://localhost:5000
    #[arg(long, value_name = "URL", value_parser = Endpoint::parse)]
    endpoint: Option<Endpoint>,

    /// Region of the registry [default: the stack file's, else the AWS configuration's]
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,

    /// Stack file to take endpoint and region from [default: berth.toml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Client to log in; it must understand `CLIENT login --username … --password-stdin HOST`
    #[arg(long = "with", value_name = "CLIENT", default_value = "docker")]
    client: String,

    /// Print the password instead of logging a client in
    #[arg(long)]
    print_password: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let stack = match (&args.file, &args.endpoint) {
        (None, Some(_)) => None,
        (file, _) => stack::find(file.as_deref())?,
    };
    let region = args.region.as_ref().or_else(|| stack.as_ref().and_then(StackSpec::region));
    let endpoint = args.endpoint.as_ref().or_else(|| stack.as_ref().and_then(StackSpec::endpoint));
    let (api, _) = connect_to(region, endpoint, &|name| std::env::var(name).ok()).await.map_err(|error| {
        Failure::from(error).hint("for a registry on this machine: --endpoint http://localhost:5000")
    })?;
    let login = api.docker_login().await?;
    if args.print_password {
        print_data(&format!("{}\n", login.password))?;
        return Ok(ExitCode::SUCCESS);
    }
    hand_over(&args.client, &login)
}

/// Runs the client's own login, the password on its standard input.
fn hand_over(client: &str, login: &DockerLogin) -> Result<ExitCode, Failure> {
    let mut command = Command::new(client);
    command.args(["login", "--username", &login.username, "--password-stdin"]);
    // docker decides by itself that loopback speaks plain HTTP; the others want to be told.
    let loopback = login.server.starts_with("localhost") || login.server.starts_with("127.");
    match Path::new(client).file_name().and_then(|name| name.to_str()) {
        Some("podman" | "buildah" | "skopeo") if loopback => {
            command.arg("--tls-verify=false");
        }
        _ => {}
    }
    command.arg(&login.server);
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(|error| {
        Failure::new(format!("cannot run {client}: {error}")).hint(
            "name another client with --with podman, or pipe `berth login --print-password` into your client's own login",
        )
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A client that ends early says why itself, and its exit code counts.
        let _ = stdin.write_all(login.password.as_bytes());
    }
    let status = child.wait()?;
    if status.success() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::new(format!("{client} login failed ({status})")))
    }
}
