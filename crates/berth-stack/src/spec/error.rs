//! What is wrong with a stack file, and where.

use std::fmt;
use std::path::PathBuf;

/// Why a stack file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// There is no such file.
    #[error("there is no stack file {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file exists and cannot be read.
    #[error("cannot read the stack file {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file was read, and something in it is wrong. All problems that can be told apart are listed.
    #[error("{}", Listing { file, problems })]
    Invalid {
        /// The name of the file, for messages.
        file: String,
        /// At least one problem, in the order of the file.
        problems: Vec<Problem>,
    },
}

impl SpecError {
    /// The problems inside the file; empty when the file could not be read at all.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems, .. } => problems,
            Self::Missing { .. } | Self::Unreadable { .. } => &[],
        }
    }
}

/// One thing that is wrong in a stack file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as a dotted path: `repositories.api.kms_key`, `retention[1].keep_last`. Empty for a syntax error.
    pub key: String,
    /// Line and column, both from 1; absent when the problem is that something is missing, or when the stack was not
    /// written in a file.
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where that can be said.
    pub help: Option<String>,
}

/// A place in a text, both counts from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The place of the byte `offset` in `text`.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// `file:line:column: problem`, one to a line.
struct Listing<'a> {
    file: &'a str,
    problems: &'a [Problem],
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match problem.position {
                Some(position) => write!(f, "{}:{position}: {problem}", self.file)?,
                None => write!(f, "{}: {problem}", self.file)?,
            }
        }
        Ok(())
    }
}

/// The candidate nearest to `found`, if one is near enough to be what was meant.
pub(super) fn nearest<'a>(found: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let lower = found.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// Jaro-Winkler likeness, 0 to 1, from which a key counts as a slip of another. `enviroment` has 0.98, `repository`
/// against `repositories` 0.94, `name` against `base_name` 0.48.
const LIKENESS_MIN: f64 = 0.75;

/// `a, b and c`, each in backquotes.
pub(super) fn quoted_list(items: &[&str]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_and_in_characters() {
        let text = "a = 1\nä = \"x\"\n";
        assert_eq!(Position::of(text, 0), Position { line: 1, column: 1 });
        assert_eq!(Position::of(text, 6), Position { line: 2, column: 1 });
        assert_eq!(Position::of(text, 11), Position { line: 2, column: 5 });
        assert_eq!(Position::of(text, 999).line, 3);
    }

    #[test]
    fn the_nearest_key_is_offered_only_when_it_is_near() {
        let keys = ["project", "environment", "repositories", "base_name"];
        assert_eq!(nearest("enviroment", &keys), Some("environment"));
        assert_eq!(nearest("repository", &keys), Some("repositories"));
        assert_eq!(nearest("Project", &keys), Some("project"));
        assert_eq!(nearest("zzz", &keys), None);
    }
}
