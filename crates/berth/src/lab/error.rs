//! What can be wrong with what a user gives to the lab: always with the file, and with the place in it where there is one.

use std::io;

/// Why an input cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabError {
    /// The file is not there or cannot be read.
    #[error("cannot read {file}")]
    Unreadable {
        file: String,
        #[source]
        source: io::Error,
    },
    /// The file is longer than anything that is meant to be read here.
    #[error("{file} is longer than {bytes_max} bytes")]
    TooLarge { file: String, bytes_max: u64 },
    /// The file is not UTF-8.
    #[error("{file}: byte {offset} is not UTF-8 text")]
    NotText { file: String, offset: usize },
    /// Something in the file, at a place.
    #[error("{file}:{line}:{column}: {message}")]
    At { file: String, line: usize, column: usize, message: String },
    /// Something about the file as a whole.
    #[error("{file}: {message}")]
    Whole { file: String, message: String },
}

impl LabError {
    /// From an error of the JSON reader.
    pub(crate) fn from_json(file: &str, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let message =
            text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
        let file = file.to_owned();
        if line == 0 { Self::Whole { file, message } } else { Self::At { file, line, column, message } }
    }

    /// From an error of the TOML reader.
    pub(crate) fn from_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().to_owned();
        match error.span() {
            Some(span) => Self::at(file, text, span.start, message),
            None => Self::Whole { file: file.to_owned(), message },
        }
    }

    /// Something at a byte of a text.
    pub(crate) fn at(file: &str, text: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = position(text, offset);
        Self::At { file: file.to_owned(), line, column, message: message.into() }
    }

    /// Something about the file as a whole.
    pub(crate) fn whole(file: &str, message: impl Into<String>) -> Self {
        Self::Whole { file: file.to_owned(), message: message.into() }
    }
}

/// Line and column of a byte, both from 1; columns count characters.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
