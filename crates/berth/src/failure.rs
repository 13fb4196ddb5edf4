//! How a command that failed tells the user: what, why, and what to do.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use berth_stack::{ApiError, ApplyError, ConnectError, OutputsError, SpecError};

use crate::server::ServerError;
use crate::stack::ReadError;

/// A command that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    exit_code: u8,
}

impl Failure {
    /// From an error, with the chain of its sources.
    fn from_error(error: &(dyn Error + 'static)) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // A transparent wrapper says the same as what it wraps.
            if text != *causes.last().unwrap_or(&message) {
                causes.push(text);
            }
            source = cause.source();
        }
        message.truncate(message.trim_end().len());
        Self { message, causes, hints: Vec::new(), exit_code: 1 }
    }

    /// A failure of the command itself.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hints: Vec::new(), exit_code: 1 }
    }

    /// Something in how the command was called: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit_code: 2, ..Self::new(message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Prints it to stderr and gives the exit code. The one place where a failure is told.
    pub(crate) fn report(&self) -> ExitCode {
        anstream::eprint!("{}", self.render());
        ExitCode::from(self.exit_code)
    }

    fn render(&self) -> String {
        let bold_red = anstyle::AnsiColor::Red.on_default().bold();
        let bold_green = anstyle::AnsiColor::Green.on_default().bold();
        let mut text = format!("{bold_red}error:{bold_red:#} {}\n", self.message);
        for cause in &self.causes {
            let _ = writeln!(text, "  because: {}", cause.replace('\n', "\n           "));
        }
        for hint in &self.hints {
            let _ = writeln!(text, "{bold_green}hint:{bold_green:#} {hint}");
        }
        text
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let failure = Self::from_error(&error);
        match hint(&error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What to do about an error, for each kind that knows.
fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<SpecError>() {
        return match error {
            SpecError::Missing { .. } => {
                Some("`berth init` writes one, and -f names one elsewhere".to_owned())
            }
            SpecError::Unreadable { .. } | SpecError::Invalid { .. } => None,
        };
    }
    if let Some(error) = error.downcast_ref::<ServerError>() {
        return error.hint();
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
