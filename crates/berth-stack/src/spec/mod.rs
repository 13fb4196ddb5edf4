//! The stack file: what a project wants, read, checked and with every default filled in.
//!
//! A [`StackSpec`] is valid by construction: its names are names that ECR accepts, its policies are policies, its files
//! were read. What has to be done to get there is `plan`'s business, and nothing here talks to a registry.

mod check;
mod endpoint;
mod error;
mod input;
mod retention;
mod source;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use berth_types::Region;

pub use endpoint::{Endpoint, EndpointError};
pub use error::{Position, Problem, SpecError};
pub use input::{RepositoryInput, RetentionInput, StackInput};

use crate::desired::{
    DesiredRepository, MANAGED_BY, TAG_ENVIRONMENT, TAG_MANAGED_BY, TAG_PROJECT, TAG_SERVICE,
};

/// The name that a stack file has unless one says otherwise.
pub const STACK_FILE_NAME: &str = "berth.toml";
/// Longest stack file, in bytes.
pub const STACK_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most repositories in one stack.
pub const STACK_REPOSITORIES_MAX: usize = 1_000;

/// A checked stack.
#[derive(Clone, Debug, PartialEq)]
pub struct StackSpec {
    project: String,
    environment: String,
    region: Option<Region>,
    endpoint: Option<Endpoint>,
    repositories: Vec<DesiredRepository>,
    warnings: Vec<String>,
}

/// Reads a file that the stack names, as text. Given to [`StackSpec::parse`] so that the source can be anything.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> std::io::Result<String>;

impl StackSpec {
    /// The stack that a file with nothing but these two lines gives: the repositories `api`, `realtime` and `workers`.
    ///
    /// # Errors
    /// [`SpecError::Invalid`] if the project does not make valid repository names, or a text does not fit into a tag.
    pub fn new(project: &str, environment: &str) -> Result<Self, SpecError> {
        let input = StackInput {
            project: project.to_owned(),
            environment: environment.to_owned(),
            ..StackInput::default()
        };
        Self::from_input(&input, &|path| std::fs::read_to_string(path))
    }

    /// Checks a stack that a program has put together. `read_file` reads the policy files that it names.
    ///
    /// # Errors
    /// [`SpecError::Invalid`] with everything that is wrong.
    pub fn from_input(input: &StackInput, read_file: ReadFile<'_>) -> Result<Self, SpecError> {
        check::check(input, &source::Positions::default(), read_file)
            .map_err(|problems| SpecError::Invalid { file: "stack".to_owned(), problems })
    }

    /// Reads a stack from the text of a stack file. `file` is its name, for messages; `read_file` reads the policy files
    /// that it names.
    ///
    /// # Errors
    /// [`SpecError::Invalid`] with everything that is wrong, each with its line.
    pub fn parse(file: &str, text: &str, read_file: ReadFile<'_>) -> Result<Self, SpecError> {
        let invalid = |problems| SpecError::Invalid { file: file.to_owned(), problems };
        let (input, positions) = source::read(text).map_err(invalid)?;
        check::check(&input, &positions, read_file).map_err(invalid)
    }

    /// Reads a stack file. Files that it names are looked for beside it.
    ///
    /// # Errors
    /// [`SpecError`]: absent, unreadable, or wrong inside.
    pub fn load(path: &Path) -> Result<Self, SpecError> {
        let text = read_bounded(path, STACK_FILE_BYTES_MAX).map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                SpecError::Missing { path: path.to_owned() }
            } else {
                SpecError::Unreadable { path: path.to_owned(), source }
            }
        })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let read_file = |file: &Path| read_bounded(&directory.join(file), STACK_FILE_BYTES_MAX);
        Self::parse(&path.display().to_string(), &text, &read_file)
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The region, if the stack names one.
    #[must_use]
    pub const fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    /// Where the ECR API is, if the stack says so.
    #[must_use]
    pub const fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// The repositories, ordered by service.
    #[must_use]
    pub fn repositories(&self) -> &[DesiredRepository] {
        &self.repositories
    }

    /// What is allowed and probably not meant, as sentences.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The same stack at another endpoint, for a program that starts the registry itself.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// The tags by which this stack knows what is its own.
    #[must_use]
    pub fn ownership_tags(&self) -> BTreeMap<String, String> {
        ownership_tags(&self.project, &self.environment)
    }
}

fn ownership_tags(project: &str, environment: &str) -> BTreeMap<String, String> {
    [(TAG_PROJECT, project), (TAG_ENVIRONMENT, environment), (TAG_MANAGED_BY, MANAGED_BY)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Every tag that this crate itself puts on the repository of `service`.
fn own_tags(project: &str, environment: &str, service: &str) -> BTreeMap<String, String> {
    let mut tags = ownership_tags(project, environment);
    tags.insert(TAG_SERVICE.to_owned(), service.to_owned());
    tags
}

fn read_bounded(path: &Path, bytes_max: u64) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(std::io::Error::other(format!("it is longer than {bytes_max} bytes")));
    }
    Ok(text)
}
