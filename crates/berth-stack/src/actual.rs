//! What is there: the repositories that a stack names, and those that it owns by tag.
//!
//! There is no state file. Everything is read, every time, from the registry itself.

use std::collections::{BTreeMap, BTreeSet};

use berth_types::limits;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::client::{ApiError, ApiErrorKind, EcrApi, RepositoryDescription};
use crate::desired::{MANAGED_BY, TAG_ENVIRONMENT, TAG_MANAGED_BY, TAG_PROJECT, TAG_SERVICE};
use crate::spec::StackSpec;

/// Calls in flight at a time while reading.
const CONCURRENT_READS_MAX: usize = 16;

/// Everything a plan has to know about a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActualState {
    repositories: BTreeMap<String, ActualRepository>,
    warnings: Vec<String>,
}

/// One repository as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActualRepository {
    /// What ECR says of it.
    pub description: RepositoryDescription,
    /// Its resource tags.
    pub tags: BTreeMap<String, String>,
    /// The text of its lifecycle policy.
    pub lifecycle_policy: Option<String>,
    /// The text of its repository policy.
    pub repository_policy: Option<String>,
    /// Whether it holds any image.
    pub holds_images: bool,
}

/// Whose a repository is, by its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The stack's own.
    ThisStack,
    /// Another project's or another environment's, which berth manages too.
    OtherStack {
        /// Its tag `Project`.
        project: String,
        /// Its tag `Environment`.
        environment: String,
    },
    /// Nobody that this program knows.
    Nobody,
}

impl ActualRepository {
    /// Its service, by its tag.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.tags.get(TAG_SERVICE).map(String::as_str)
    }

    /// Whose it is, as seen by the stack of this project and environment.
    #[must_use]
    pub fn owner(&self, project: &str, environment: &str) -> Owner {
        owner(&self.tags, project, environment)
    }
}

fn owner(tags: &BTreeMap<String, String>, project: &str, environment: &str) -> Owner {
    let tag = |key: &str| tags.get(key).map(String::as_str).unwrap_or_default();
    if tag(TAG_MANAGED_BY) != MANAGED_BY {
        return Owner::Nobody;
    }
    if (tag(TAG_PROJECT), tag(TAG_ENVIRONMENT)) == (project, environment) {
        return Owner::ThisStack;
    }
    Owner::OtherStack { project: tag(TAG_PROJECT).to_owned(), environment: tag(TAG_ENVIRONMENT).to_owned() }
}

impl ActualState {
    /// A state put together by hand.
    #[must_use]
    pub fn new(repositories: impl IntoIterator<Item = ActualRepository>) -> Self {
        let by_name = |repository: ActualRepository| (repository.description.name.clone(), repository);
        Self { repositories: repositories.into_iter().map(by_name).collect(), warnings: Vec::new() }
    }

    /// Reads what concerns `stack`: the repositories of its names, and all that its tags own. Tags of other repositories
    /// are read too, because ECR has no list by tag; nothing else of theirs is.
    ///
    /// # Errors
    /// The first call that failed. A repository that disappears meanwhile is no error. Nor is one of a name that the
    /// stack does not use whose tags may not be read: it becomes a warning.
    pub async fn read(api: &dyn EcrApi, stack: &StackSpec) -> Result<Self, ApiError> {
        let wanted: BTreeSet<&str> = stack.repositories().iter().map(|one| one.name.as_str()).collect();
        let descriptions = all_repositories(api).await?;
        let wanted = &wanted;
        let found: Vec<Found> = stream::iter(descriptions)
            .map(|description| async move {
                let is_wanted = wanted.contains(description.name.as_str());
                find(api, stack, description, is_wanted).await
            })
            .buffered(CONCURRENT_READS_MAX)
            .try_collect()
            .await?;
        let mut state = Self::default();
        let mut hidden = 0_usize;
        for found in found {
            match found {
                Found::Concerned(repository) => {
                    state.repositories.insert(repository.description.name.clone(), *repository);
                }
                Found::Hidden => hidden += 1,
                Found::Unconcerned => {}
            }
        }
        if hidden > 0 {
            let noun = if hidden == 1 { "repository" } else { "repositories" };
            state.warnings.push(format!(
                "the tags of {hidden} other {noun} may not be read (ecr:ListTagsForResource): what belongs to this stack \
                 there and is no longer in its file is not seen"
            ));
        }
        Ok(state)
    }

    /// The repository of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ActualRepository> {
        self.repositories.get(name)
    }

    /// All of them, by name.
    pub fn repositories(&self) -> impl Iterator<Item = &ActualRepository> {
        self.repositories.values()
    }

    /// What could not be read and does not stop a plan, as sentences.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

enum Found {
    Concerned(Box<ActualRepository>),
    Unconcerned,
    Hidden,
}

async fn all_repositories(api: &dyn EcrApi) -> Result<Vec<RepositoryDescription>, ApiError> {
    let mut all = Vec::new();
    let mut next = None;
    // No registry has more pages than repositories; a server that never ends its list must not keep us here.
    for _ in 0..limits::REPOSITORIES_PER_REGISTRY_MAX {
        let page = api.describe_repositories(next).await?;
        all.extend(page.items);
        next = page.next;
        if next.is_none() {
            return Ok(all);
        }
    }
    Err(ApiError::new("DescribeRepositories", "", ApiErrorKind::NotEcr))
}

async fn find(
    api: &dyn EcrApi,
    stack: &StackSpec,
    description: RepositoryDescription,
    is_wanted: bool,
) -> Result<Found, ApiError> {
    let tags = match api.list_tags(&description.arn).await {
        Ok(tags) => tags,
        Err(error) => {
            return match error.kind() {
                ApiErrorKind::RepositoryNotFound => Ok(Found::Unconcerned),
                ApiErrorKind::AccessDenied(_) if !is_wanted => Ok(Found::Hidden),
                _ => Err(error),
            };
        }
    };
    if !is_wanted && owner(&tags, stack.project(), stack.environment()) != Owner::ThisStack {
        return Ok(Found::Unconcerned);
    }
    match details(api, description, tags).await {
        Ok(repository) => Ok(Found::Concerned(Box::new(repository))),
        Err(error) if *error.kind() == ApiErrorKind::RepositoryNotFound => Ok(Found::Unconcerned),
        Err(error) => Err(error),
    }
}

async fn details(
    api: &dyn EcrApi,
    description: RepositoryDescription,
    tags: BTreeMap<String, String>,
) -> Result<ActualRepository, ApiError> {
    let name = description.name.clone();
    let (lifecycle_policy, repository_policy, holds_images) = tokio::try_join!(
        api.get_lifecycle_policy(&name),
        api.get_repository_policy(&name),
        api.has_images(&name)
    )?;
    Ok(ActualRepository { description, tags, lifecycle_policy, repository_policy, holds_images })
}
