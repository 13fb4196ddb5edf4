//! Retentions as written → the lifecycle policy they stand for.

use berth_lifecycle::compile::{self, CompileError, Retention};

use super::input::RetentionInput;
use crate::desired::{Lifecycle, RetentionForm, RetentionPolicy};

/// What is wrong with a list of retentions: which one, if it is one, and why.
pub(super) struct RetentionProblem {
    pub(super) index: Option<usize>,
    pub(super) message: String,
}

/// The lifecycle of a repository with these retentions; `None` stands for the mission's three. An empty list means that
/// nothing is ever deleted.
pub(super) fn lifecycle(
    input: Option<&[RetentionInput]>,
    form: RetentionForm,
) -> Result<Lifecycle, RetentionProblem> {
    let intents = match input {
        None => compile::mission_default(),
        Some([]) => return Ok(Lifecycle::Keep),
        Some(input) => input.iter().map(retention).collect(),
    };
    let compiled = match form {
        RetentionForm::Compiled => compile::compile(&intents),
        RetentionForm::AsWritten => compile::as_written(&intents),
    };
    match compiled {
        Ok(compiled) => Ok(Lifecycle::Retention(RetentionPolicy { intents, form, compiled })),
        Err(error) => Err(problem(&error)),
    }
}

/// The compiler's texts begin with the number of the retention; a stack file has keys and lines for that.
fn problem(error: &CompileError) -> RetentionProblem {
    let index = match error {
        CompileError::Subject { index, .. }
        | CompileError::Measure { index, .. }
        | CompileError::Number { index, .. }
        | CompileError::EmptyPattern { index }
        | CompileError::Wildcards { index, .. }
        | CompileError::SeveralUntagged { second: index, .. } => Some(*index),
        CompileError::Empty | CompileError::TooManyRules { .. } | CompileError::Policy(_) => None,
    };
    let mut message = error.to_string();
    if let Some(number) = index.map(|index| index + 1) {
        let prefix = format!("retention {number}: ");
        if let Some(rest) = message.strip_prefix(&prefix) {
            message = rest.to_owned();
        }
    }
    if let CompileError::Policy(source) = error {
        message = format!("{message}: {source}");
    }
    RetentionProblem { index, message }
}

fn retention(input: &RetentionInput) -> Retention {
    Retention {
        description: input.description.clone(),
        any_of: input.any_of.clone().unwrap_or_default(),
        untagged: input.untagged.unwrap_or(false),
        keep_last: input.keep_last,
        expire_after_days: input.expire_after_days,
    }
}
