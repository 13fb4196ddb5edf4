//! What others need to know of a stack that is there: names, ARNs and URLs, in forms for people and for programs.

use serde::Serialize;

use crate::actual::ActualState;
use crate::spec::StackSpec;

/// One repository, as users and task definitions need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The service that it is for.
    pub service: String,
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The account that has it.
    pub registry_id: String,
    /// What to push to and pull from, without a tag.
    pub repository_url: String,
    /// For people, as the stack file says it.
    pub description: Option<String>,
}

/// Repositories of the stack are not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not there yet: {}", missing.join(", "))]
pub struct OutputsError {
    /// Their names.
    pub missing: Vec<String>,
}

/// The outputs of every repository of the stack, in the stack's order.
///
/// # Errors
/// [`OutputsError`] if any of them does not exist: half a set of outputs would be taken for a whole one.
pub fn outputs(stack: &StackSpec, actual: &ActualState) -> Result<Vec<Output>, OutputsError> {
    let mut outputs = Vec::new();
    let mut missing = Vec::new();
    for desired in stack.repositories() {
        let Some(repository) = actual.get(desired.name.as_str()) else {
            missing.push(desired.name.to_string());
            continue;
        };
        let description = &repository.description;
        outputs.push(Output {
            service: desired.service.clone(),
            name: description.name.clone(),
            arn: description.arn.clone(),
            registry_id: description.registry_id.clone(),
            repository_url: description.uri.clone(),
            description: desired.description.clone(),
        });
    }
    if missing.is_empty() { Ok(outputs) } else { Err(OutputsError { missing }) }
}

/// The environment variable that holds the URL of a service's repository: `BERTH_API_REPOSITORY_URL` for `api`. Letters become
/// upper case; whatever is neither letter nor digit becomes `_`.
#[must_use]
pub fn variable(service: &str) -> String {
    let upper: String = service
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    format!("BERTH_{upper}_REPOSITORY_URL")
}

/// `NAME=value` lines, for `docker run --env-file`, `source` and task definitions.
#[must_use]
pub fn to_env(outputs: &[Output]) -> String {
    outputs
        .iter()
        .map(|output| format!("{}={}\n", variable(&output.service), output.repository_url))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_fit_for_a_shell() {
        assert_eq!(variable("api"), "BERTH_API_REPOSITORY_URL");
        assert_eq!(variable("team/my-api.v2"), "BERTH_TEAM_MY_API_V2_REPOSITORY_URL");
    }
}
