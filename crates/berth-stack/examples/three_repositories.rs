//! The module as a library: three repositories with the defaults, one of them with exceptions, planned, applied and printed.
//!
//! `cargo run -p berth-stack --example three_repositories` speaks to what the AWS configuration names, or to the endpoint given
//! as the only argument, for example `http://localhost:5000`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use berth_stack::{
    ActualState, PlanOptions, Progress, RepositoryInput, StackInput, StackSpec, apply, connect, outputs,
    plan, render,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let service = |description: &str| RepositoryInput {
        description: Some(description.to_owned()),
        ..RepositoryInput::default()
    };
    let api = RepositoryInput {
        mutable_tags: Some(vec!["latest".to_owned()]),
        protect: Some(true),
        ..service("API service images")
    };
    let input = StackInput {
        project: "shop".to_owned(),
        environment: "prod".to_owned(),
        endpoint: std::env::args().nth(1),
        repositories: Some(BTreeMap::from([
            ("api".to_owned(), api),
            ("realtime".to_owned(), service("Socket.IO service images")),
            ("workers".to_owned(), service("Background worker images")),
        ])),
        ..StackInput::default()
    };
    // The same checks as for a file; everything that is wrong comes in one error.
    let stack = StackSpec::from_input(&input, &|path| std::fs::read_to_string(path))?;

    let (ecr, target) = connect(&stack, &|name| std::env::var(name).ok()).await?;
    let actual = ActualState::read(&ecr, &stack).await?;
    let plan = plan(&stack, &actual, PlanOptions::default());
    println!("{}", render::to_json(&plan, &target));

    apply(&ecr, &plan, &mut |progress| {
        if let Progress::Finished { number, total, step, .. } = progress {
            eprintln!("{number}/{total} {step}");
        }
    })
    .await?;

    let actual = ActualState::read(&ecr, &stack).await?;
    print!("{}", outputs::to_env(&outputs::outputs(&stack, &actual)?));
    Ok(())
}
