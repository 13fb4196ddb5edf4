//! [`StackInput`] → [`StackSpec`]: every value checked, every default filled in, all problems collected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use berth_lifecycle::{Policy, Violation};
use berth_types::{Region, RepositoryName, TagMutability, TagMutabilityMode, WildcardPattern, limits};

use super::error::{Position, Problem, nearest, quoted_list};
use super::input::{RepositoryInput, RetentionInput, StackInput};
use super::source::Positions;
use super::{Endpoint, ReadFile, STACK_REPOSITORIES_MAX, StackSpec, own_tags, retention};
use crate::desired::{
    DesiredRepository, DesiredRepositoryPolicy, Encryption, Lifecycle, OWN_TAGS, RetentionForm,
};
use crate::outputs;
use crate::repository_policy::RepositoryPolicy;

/// The environment whose tags are immutable by default.
const PRODUCTION: &str = "prod";
/// Names that people give to the same thing, and for which the default is then not what they think.
const PRODUCTION_LIKE: &[&str] = &["production", "prd", "live", "Prod", "PROD", "Production", "PRODUCTION"];
/// The services of a stack file without `[repositories]`, with their descriptions.
const DEFAULT_REPOSITORIES: [(&str, &str); 3] = [
    ("api", "API service images"),
    ("realtime", "Socket.IO service images"),
    ("workers", "Background worker images"),
];
/// Longest name of a KMS key, in characters (ECR: `kmsKey`).
const KMS_KEY_CHARS_MAX: usize = 2_048;

pub(super) fn check(
    input: &StackInput,
    positions: &Positions,
    read_file: ReadFile<'_>,
) -> Result<StackSpec, Vec<Problem>> {
    let mut checker = Checker { input, positions, read_file, problems: Vec::new(), warnings: Vec::new() };
    checker.tag_text("project", &input.project);
    checker.tag_text("environment", &input.environment);
    let base = checker.base_name();
    let region = checker.parsed("region", input.region.as_deref(), Region::parse);
    let endpoint = checker.parsed("endpoint", input.endpoint.as_deref(), Endpoint::parse);
    checker.tags("tags", input.tags.as_ref());
    let repositories = base.map(|base| checker.repositories(&base)).unwrap_or_default();
    checker.environment_names();
    let Checker { mut problems, warnings, .. } = checker;
    if problems.is_empty() {
        Ok(StackSpec {
            project: input.project.clone(),
            environment: input.environment.clone(),
            region,
            endpoint,
            repositories,
            warnings,
        })
    } else {
        problems.sort_by_key(|problem| problem.position);
        problems.dedup();
        Err(problems)
    }
}

struct Checker<'a> {
    input: &'a StackInput,
    positions: &'a Positions,
    read_file: ReadFile<'a>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Checker<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>, help: Option<String>) {
        let position = self.positions.find(key);
        self.problems.push(Problem { key: key.to_owned(), position, message: message.into(), help });
    }

    /// Parses an optional value, or notes why it cannot be.
    fn parsed<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, format!("{:?} will not do: {error}", text.unwrap_or_default()), None);
                None
            }
        }
    }

    /// `project` and `environment`: required, and fit for the value of a tag.
    fn tag_text(&mut self, key: &str, text: &str) {
        if text.is_empty() && self.positions.find(key).is_none() {
            self.problem(key, "this key is required", Some(format!("add a line like {key} = \"…\"")));
        } else if text.is_empty() {
            self.problem(key, "must not be empty", None);
        } else {
            self.tag_value(key, text);
        }
    }

    fn tag_value(&mut self, key: &str, value: &str) {
        if value.chars().count() > limits::RESOURCE_TAG_VALUE_CHARS_MAX || !value.chars().all(is_tag_char) {
            let message = format!(
                "the value of a tag has at most {} characters: letters, digits, spaces and _.:/=+-@",
                limits::RESOURCE_TAG_VALUE_CHARS_MAX
            );
            self.problem(key, message, None);
        }
    }

    fn tags(&mut self, path: &str, tags: Option<&BTreeMap<String, String>>) {
        for (name, value) in tags.into_iter().flatten() {
            let key = format!("{path}.{name}");
            let chars = name.chars().count();
            if OWN_TAGS.contains(&name.as_str()) {
                let message = format!("the tags {} are set by berth itself", quoted_list(&OWN_TAGS));
                self.problem(&key, message, None);
            } else if name.to_ascii_lowercase().starts_with("aws:") {
                self.problem(&key, "tags that begin with `aws:` belong to AWS", None);
            } else if !(1..=limits::RESOURCE_TAG_KEY_CHARS_MAX).contains(&chars)
                || !name.chars().all(is_tag_char)
            {
                let message = format!(
                    "the key of a tag has 1 to {} characters: letters, digits, spaces and _.:/=+-@",
                    limits::RESOURCE_TAG_KEY_CHARS_MAX
                );
                self.problem(&key, message, None);
            }
            self.tag_value(&key, value);
        }
    }

    /// `base_name` with its placeholders replaced.
    fn base_name(&mut self) -> Option<String> {
        let template = self.input.base_name.as_deref().unwrap_or("{project}");
        let base = match fill(template, &self.input.project, &self.input.environment) {
            Ok(base) => base,
            Err(message) => {
                let help = "the placeholders are {project} and {environment}".to_owned();
                self.problem("base_name", message, Some(help));
                return None;
            }
        };
        if self.input.project.is_empty() || self.input.environment.is_empty() {
            return None;
        }
        // A base of one letter is fine once a service follows it.
        if let Err(error) = RepositoryName::parse(&format!("{base}/x")) {
            let key = if self.input.base_name.is_some() { "base_name" } else { "project" };
            let message = format!("{base:?} cannot begin the name of a repository: {error}");
            let help = lower_case_help(&base);
            self.problem(key, message, help);
            return None;
        }
        Some(base)
    }

    fn repositories(&mut self, base: &str) -> Vec<DesiredRepository> {
        let defaults: BTreeMap<String, RepositoryInput>;
        let inputs = if let Some(inputs) = &self.input.repositories {
            inputs
        } else {
            defaults = default_repositories();
            &defaults
        };
        if inputs.is_empty() {
            let help = "remove the table to get `api`, `realtime` and `workers`, or add [repositories.NAME]";
            self.problem("repositories", "a stack has at least one repository", Some(help.to_owned()));
        }
        if inputs.len() > STACK_REPOSITORIES_MAX {
            let message = format!("a stack has at most {STACK_REPOSITORIES_MAX} repositories");
            self.problem("repositories", message, None);
            return Vec::new();
        }
        self.variable_collisions(inputs);
        inputs.iter().filter_map(|(service, input)| self.repository(base, service, input)).collect()
    }

    /// `my-api` and `my_api` are two repositories, and one variable in `outputs --format env`.
    fn variable_collisions(&mut self, inputs: &BTreeMap<String, RepositoryInput>) {
        let mut services_by_variable: BTreeMap<String, &str> = BTreeMap::new();
        for service in inputs.keys() {
            if let Some(other) = services_by_variable.insert(outputs::variable(service), service) {
                let message = format!(
                    "both this repository and `{other}` would be {} in the outputs",
                    outputs::variable(service)
                );
                self.problem(&format!("repositories.{service}"), message, None);
            }
        }
    }

    fn repository(
        &mut self,
        base: &str,
        service: &str,
        input: &RepositoryInput,
    ) -> Option<DesiredRepository> {
        let path = format!("repositories.{service}");
        let name = match RepositoryName::parse(&format!("{base}/{service}")) {
            Ok(name) => Some(name),
            Err(error) => {
                let message = format!("\"{base}/{service}\" is no name for a repository: {error}");
                self.problem(&path, message, lower_case_help(service));
                None
            }
        };
        let tag_mutability = self.tag_mutability(&path, input);
        let encryption = self.encryption(&path, input);
        let lifecycle = self.lifecycle(&path, input);
        let repository_policy = self.repository_policy(&path, input);
        self.tags(&format!("{path}.tags"), input.tags.as_ref());
        let tags = self.merged_tags(&path, service, input);
        Some(DesiredRepository {
            service: service.to_owned(),
            name: name?,
            description: input.description.clone(),
            scan_on_push: input.scan_on_push.unwrap_or(true),
            tag_mutability: tag_mutability?,
            encryption: encryption?,
            lifecycle: lifecycle?,
            repository_policy: repository_policy?,
            tags,
            protect: input.protect.unwrap_or(false),
        })
    }

    /// The stack's tags, over them the repository's, over them our own.
    fn merged_tags(
        &mut self,
        path: &str,
        service: &str,
        input: &RepositoryInput,
    ) -> BTreeMap<String, String> {
        let mut tags = self.input.tags.clone().unwrap_or_default();
        tags.extend(input.tags.clone().unwrap_or_default());
        tags.extend(own_tags(&self.input.project, &self.input.environment, service));
        if tags.len() > limits::RESOURCE_TAGS_MAX {
            let message = format!(
                "a repository has at most {} tags, {} of them berth's own; this one would have {}",
                limits::RESOURCE_TAGS_MAX,
                OWN_TAGS.len(),
                tags.len()
            );
            self.problem(&format!("{path}.tags"), message, None);
        }
        tags
    }

    fn tag_mutability(&mut self, path: &str, input: &RepositoryInput) -> Option<TagMutability> {
        const MODES: &[&str] = &["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION"];
        let key = format!("{path}.tag_mutability");
        let filters_key = format!("{path}.mutable_tags");
        let filters = input.mutable_tags.as_deref().unwrap_or_default();
        let is_production = self.input.environment == PRODUCTION;
        let mode = match input.tag_mutability.as_deref() {
            None if is_production => "IMMUTABLE",
            // A file that serves several environments may well name exceptions that matter in one of them only.
            None => return self.mutability(&filters_key, filters).map(|_| TagMutability::mutable()),
            Some(mode) if MODES.contains(&mode) => mode,
            Some(mode) => {
                self.unknown_value(&key, mode, MODES);
                return None;
            }
        };
        match (mode, filters) {
            ("MUTABLE", []) => Some(TagMutability::mutable()),
            ("MUTABLE", _) => {
                let message = "says which tags stay mutable, but every tag of this repository is mutable";
                let help = "set tag_mutability = \"IMMUTABLE\" or remove it".to_owned();
                self.problem(&filters_key, message, Some(help));
                None
            }
            ("IMMUTABLE", []) => Some(TagMutability::immutable()),
            (_, []) => {
                let help = "list the tags that stay mutable in `mutable_tags`".to_owned();
                self.problem(&key, "IMMUTABLE_WITH_EXCLUSION needs exclusions", Some(help));
                None
            }
            _ => self.mutability(&filters_key, filters),
        }
    }

    /// Immutable with these exclusions, if they are filters that ECR takes.
    fn mutability(&mut self, key: &str, filters: &[String]) -> Option<TagMutability> {
        if filters.is_empty() {
            return Some(TagMutability::immutable());
        }
        let patterns = filters.iter().map(|filter| WildcardPattern::new(filter)).collect();
        match TagMutability::new(TagMutabilityMode::ImmutableWithExclusion, patterns) {
            Ok(mutability) => Some(mutability),
            Err(error) => {
                self.problem(key, mutability_message(&error), None);
                None
            }
        }
    }

    fn encryption(&mut self, path: &str, input: &RepositoryInput) -> Option<Encryption> {
        const KINDS: &[&str] = &["AES256", "KMS"];
        let kms_key = format!("{path}.kms_key");
        match (input.encryption.as_deref(), input.kms_key.as_deref()) {
            (None | Some("AES256"), None) => Some(Encryption::Aes256),
            (None | Some("AES256"), Some(_)) => {
                let help = "set encryption = \"KMS\" to use it".to_owned();
                self.problem(&kms_key, "a key is used with encryption = \"KMS\" only", Some(help));
                None
            }
            (Some("KMS"), None) => Some(Encryption::Kms { key: None }),
            (Some("KMS"), Some(key)) => {
                if key.is_empty()
                    || key.chars().count() > KMS_KEY_CHARS_MAX
                    || key.contains(char::is_whitespace)
                {
                    let message = format!("{key:?} is not the ARN, id or alias of a key");
                    self.problem(&kms_key, message, None);
                    return None;
                }
                Some(Encryption::Kms { key: Some(key.to_owned()) })
            }
            (Some(kind), _) => {
                self.unknown_value(&format!("{path}.encryption"), kind, KINDS);
                None
            }
        }
    }

    fn unknown_value(&mut self, key: &str, value: &str, known: &[&str]) {
        let help = match nearest(value, known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("it is one of {}", quoted_list(known)),
        };
        self.problem(key, format!("{value:?} is not known here"), Some(help));
    }

    fn lifecycle(&mut self, path: &str, input: &RepositoryInput) -> Option<Lifecycle> {
        if let Some(file) = &input.lifecycle_policy_file {
            if input.retention.is_some() {
                let message = "a repository has either `retention` or `lifecycle_policy_file`";
                self.problem(&format!("{path}.lifecycle_policy_file"), message, None);
                return None;
            }
            return self.lifecycle_file(&format!("{path}.lifecycle_policy_file"), file);
        }
        let (form, form_key) = match &input.retention_form {
            Some(form) => (Some(form.as_str()), format!("{path}.retention_form")),
            None => (self.input.retention_form.as_deref(), "retention_form".to_owned()),
        };
        let form = self.retention_form(&form_key, form)?;
        let (retentions, key): (Option<&[RetentionInput]>, String) = match &input.retention {
            Some(retentions) => (Some(retentions), format!("{path}.retention")),
            None => (self.input.retention.as_deref(), "retention".to_owned()),
        };
        match retention::lifecycle(retentions, form) {
            Ok(lifecycle) => {
                self.retention_warnings(&lifecycle);
                Some(lifecycle)
            }
            Err(problem) => {
                let key = problem.index.map_or(key.clone(), |index| format!("{key}[{index}]"));
                self.problem(&key, problem.message, None);
                None
            }
        }
    }

    fn retention_warnings(&mut self, lifecycle: &Lifecycle) {
        let Lifecycle::Retention(retention) = lifecycle else { return };
        for warning in &retention.compiled.warnings {
            // The stack's own retentions are compiled for each repository.
            if !self.warnings.contains(warning) {
                self.warnings.push(warning.clone());
            }
        }
    }

    fn retention_form(&mut self, key: &str, form: Option<&str>) -> Option<RetentionForm> {
        const FORMS: [RetentionForm; 2] = [RetentionForm::Compiled, RetentionForm::AsWritten];
        let Some(form) = form else { return Some(RetentionForm::default()) };
        let found = FORMS.into_iter().find(|candidate| candidate.name() == form);
        if found.is_none() {
            self.unknown_value(key, form, &FORMS.map(RetentionForm::name));
        }
        found
    }

    fn lifecycle_file(&mut self, key: &str, file: &str) -> Option<Lifecycle> {
        let text = self.read(key, file)?;
        match Policy::parse(&text) {
            Ok(policy) => Some(Lifecycle::File { path: PathBuf::from(file), text, policy }),
            Err(error) => {
                for Violation { clause, pointer, span, hint, .. } in error.violations() {
                    let position = span.as_ref().map(|span| Position::of(&text, span.start));
                    let place = position.map_or(file.to_owned(), |position| format!("{file}:{position}"));
                    let separator = if pointer.is_empty() { "" } else { ": " };
                    let message = format!("{place}{separator}{pointer}: {hint} ({})", clause.id());
                    self.problem(key, message, None);
                }
                None
            }
        }
    }

    fn repository_policy(&mut self, path: &str, input: &RepositoryInput) -> Option<DesiredRepositoryPolicy> {
        let key = format!("{path}.repository_policy_file");
        let file = match input.repository_policy_file.as_deref() {
            None => return Some(DesiredRepositoryPolicy::Unmanaged),
            Some("") => return Some(DesiredRepositoryPolicy::Absent),
            Some(file) => file,
        };
        let text = self.read(&key, file)?;
        match RepositoryPolicy::parse(&text) {
            Ok(policy) => Some(DesiredRepositoryPolicy::Present(policy)),
            Err(error) => {
                self.problem(&key, format!("{file} is not a repository policy: {error}"), None);
                None
            }
        }
    }

    fn read(&mut self, key: &str, file: &str) -> Option<String> {
        match (self.read_file)(Path::new(file)) {
            Ok(text) => Some(text),
            Err(error) => {
                self.problem(key, format!("cannot read {file:?}: {error}"), None);
                None
            }
        }
    }

    fn environment_names(&mut self) {
        let environment = &self.input.environment;
        if PRODUCTION_LIKE.contains(&environment.as_str()) {
            self.warnings.push(format!(
                "environment = {environment:?} is not \"{PRODUCTION}\", so tags are mutable unless a repository sets \
                 tag_mutability"
            ));
        }
    }
}

fn default_repositories() -> BTreeMap<String, RepositoryInput> {
    DEFAULT_REPOSITORIES
        .into_iter()
        .map(|(service, description)| {
            let description = Some(description.to_owned());
            (service.to_owned(), RepositoryInput { description, ..RepositoryInput::default() })
        })
        .collect()
}

/// The characters that AWS allows in keys and values of tags.
fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

/// `{project}` and `{environment}` replaced.
fn fill(template: &str, project: &str, environment: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        filled.push_str(&rest[..open]);
        let after = &rest[open..];
        let close = after.find('}').filter(|close| *close > 0).ok_or("a brace without its partner")?;
        match &after[1..close] {
            "project" => filled.push_str(project),
            "environment" => filled.push_str(environment),
            other => return Err(format!("there is no placeholder {{{other}}}")),
        }
        rest = &after[close + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn lower_case_help(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    (lower != text).then(|| format!("write {lower:?}"))
}

/// ECR's texts speak of members of its API; these speak of the stack file.
fn mutability_message(error: &berth_types::MutabilityError) -> String {
    use berth_types::MutabilityError as E;
    match error {
        E::TooManyFilters => {
            format!("there can be at most {} of them", limits::MUTABILITY_FILTERS_MAX)
        }
        E::FilterForm(filter) => format!(
            "{filter:?} is no filter: 1 to {} letters, digits and . _ - *",
            limits::MUTABILITY_FILTER_CHARS_MAX
        ),
        E::TooManyWildcards(filter) => {
            format!("{filter:?} has more than {} `*`", limits::MUTABILITY_FILTER_WILDCARDS_MAX)
        }
        E::FiltersNotAllowed(_) | E::FiltersMissing(_) => error.to_string(),
    }
}
