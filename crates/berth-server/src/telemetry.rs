//! Logs: for a person on a terminal, one JSON object per line otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The environment variable that chooses what is logged, for example `debug` or `berth_server=debug,info`.
pub const FILTER_VARIABLE: &str = "BERTH_LOG";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// [`LogFormat::Human`] if standard error is a terminal, else [`LogFormat::Json`].
    #[default]
    Auto,
    /// For reading.
    Human,
    /// For machines.
    Json,
}

/// Logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("{FILTER_VARIABLE} is not a log filter")]
    Filter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something else has set up logs in this process.
    #[error("logs are set up already")]
    AlreadySet(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends logs to standard error. `filter` chooses what is logged, in the syntax of `tracing`'s `EnvFilter`; `None` is
/// `info`. The caller reads [`FILTER_VARIABLE`], so that this function does not depend on the environment.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), TelemetryError> {
    let filter =
        EnvFilter::try_new(filter.unwrap_or("info")).map_err(|error| TelemetryError::Filter(error.into()))?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Auto if !terminal => {
            builder.json().flatten_event(true).with_current_span(false).try_init()
        }
        LogFormat::Auto | LogFormat::Human => builder.with_ansi(terminal).with_target(false).try_init(),
    };
    set.map_err(TelemetryError::AlreadySet)
}

/// An error with everything that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_every_cause() {
        let error = berth_registry::Error::Internal {
            action: "read a manifest",
            source: std::io::Error::other("disk on fire").into(),
        };
        assert_eq!(chain(&error), "internal error while trying to read a manifest: disk on fire");
    }

    #[test]
    fn a_bad_filter_is_refused() {
        assert!(matches!(init(LogFormat::Human, Some("a=b=c")), Err(TelemetryError::Filter(_))));
    }
}
