//! What the verbs of the module share: the stack file, the connection and carrying a plan out.

use std::path::{Path, PathBuf};

use berth_stack::{
    ActualState, ApiError, ApplyError, AwsEcr, EcrApi, Plan, Progress, STACK_FILE_NAME, StackSpec, Target,
};

use crate::failure::Failure;
use crate::output::print_note;

/// Which stack a verb is about.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StackArgs {
    /// The stack file
    #[arg(short, long, value_name = "FILE", default_value = STACK_FILE_NAME)]
    pub(crate) file: PathBuf,
}

/// The stack of `file`, or of the usual file if there is one: for verbs that can do without.
pub(crate) fn find(file: Option<&Path>) -> Result<Option<StackSpec>, Failure> {
    let usual = Path::new(STACK_FILE_NAME);
    match file.or_else(|| usual.exists().then_some(usual)) {
        Some(file) => Ok(Some(StackSpec::load(file)?)),
        None => Ok(None),
    }
}

/// A checked stack and the registry that it is for.
pub(crate) struct Session {
    pub(crate) stack: StackSpec,
    pub(crate) api: AwsEcr,
    pub(crate) target: Target,
}

impl Session {
    /// Reads the stack file and makes a client. No call is made yet.
    pub(crate) async fn open(args: &StackArgs) -> Result<Self, Failure> {
        let stack = StackSpec::load(&args.file)?;
        let (api, target) = berth_stack::connect(&stack, &|name| std::env::var(name).ok()).await?;
        Ok(Self { stack, api, target })
    }

    /// Reads what is there.
    pub(crate) async fn read(&self) -> Result<ActualState, Failure> {
        let actual = ActualState::read(&self.api, &self.stack).await;
        actual.map_err(|source| Failure::from(ReadError { target: self.target.clone(), source }))
    }
}

/// What is there could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the repositories at {target}")]
pub(crate) struct ReadError {
    target: Target,
    #[source]
    pub(crate) source: ApiError,
}

/// Carries out a plan and tells each step as it is done.
pub(crate) async fn carry_out(api: &dyn EcrApi, plan: &Plan) -> Result<(), ApplyError> {
    berth_stack::apply(api, plan, &mut |progress| {
        if let Progress::Finished { number, total, step, was_done } = progress {
            let already = if was_done { " (was done already)" } else { "" };
            print_note(&format!("[{number}/{total}] {step}{already}"));
        }
    })
    .await
}
