//! What the verbs of the module share: the stack file, the connection, carrying a plan out, and what to say when it fails.

use std::error::Error;
use std::path::PathBuf;

use berth_stack::{
    ActualState, ApiError, ApplyError, AwsEcr, ConnectError, EcrApi, OutputsError, Plan, Progress,
    STACK_FILE_NAME, SpecError, StackSpec, Target,
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

/// A checked stack and the registry that it is for.
pub(crate) struct Session {
    pub(crate) stack: StackSpec,
    pub(crate) api: AwsEcr,
    pub(crate) target: Target,
}

impl Session {
    /// Reads the stack file and makes a client. No call is made yet.
    pub(crate) async fn open(args: &StackArgs) -> Result<Self, Failure> {
        let stack = StackSpec::load(&args.file).map_err(failure)?;
        let (api, target) =
            berth_stack::connect(&stack, &|name| std::env::var(name).ok()).await.map_err(failure)?;
        Ok(Self { stack, api, target })
    }

    /// Reads what is there.
    pub(crate) async fn read(&self) -> Result<ActualState, Failure> {
        let actual = ActualState::read(&self.api, &self.stack).await;
        actual.map_err(|source| failure(ReadError { target: self.target.clone(), source }))
    }
}

/// What is there could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the repositories at {target}")]
struct ReadError {
    target: Target,
    #[source]
    source: ApiError,
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

/// The failure that an error of the module makes: its message, its causes, and what to do about it.
pub(crate) fn failure(error: impl Error + 'static) -> Failure {
    let hint = hint(&error);
    let failure = Failure::from_error(&error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<SpecError>() {
        return match error {
            SpecError::Missing { .. } => {
                Some("`berth init` writes one, and -f names one elsewhere".to_owned())
            }
            SpecError::Unreadable { .. } | SpecError::Invalid { .. } => None,
        };
    }
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return Some(error.hint().to_owned());
    }
    if let Some(ReadError { source, .. }) = error.downcast_ref() {
        return source.hint();
    }
    if let Some(error) = error.downcast_ref::<ApiError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<ApplyError>() {
        return error.hint();
    }
    error.downcast_ref::<OutputsError>().map(|_| "run `berth apply` first".to_owned())
}
