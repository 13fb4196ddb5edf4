//! `berth init`: a first stack file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use berth_stack::{SpecError, StackSpec};

use crate::failure::Failure;
use crate::output::print_note;
use crate::stack::StackArgs;

/// Write a first stack file, with every setting explained
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stack: StackArgs,
    /// The project [default: the name of this directory]
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// The environment; in `prod` tags are immutable
    #[arg(long, value_name = "ENV", default_value = "dev")]
    environment: String,
    /// Where the ECR API is, if not at Amazon: http://HOST:PORT
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

/// The project if neither the user nor the directory gives one.
const FALLBACK_PROJECT: &str = "my-project";

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let project = args.project.clone().unwrap_or_else(project_of_directory);
    let text = stack_file(&project, &args.environment, args.endpoint.as_deref());
    let file = &args.stack.file;
    // What does not pass the check must not be written.
    StackSpec::parse("the new stack file", &text, &|path| std::fs::read_to_string(path))
        .map_err(|error| argument_failure(&error))?;
    match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(mut new) => new.write_all(text.as_bytes())?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Failure::new(format!("{} exists already and is left as it is", file.display()))
                .hint("remove it first, or name another with -f"));
        }
        Err(error) => {
            return Err(Failure::new(format!("cannot write {}: {error}", file.display())));
        }
    }
    print_note(&format!(
        "Wrote {} for project {project}, environment {}.\nNext: `berth plan` shows what it would make, `berth apply` makes it.",
        file.display(),
        args.environment
    ));
    Ok(ExitCode::SUCCESS)
}

/// The file is made from the arguments, and its keys are called like them.
fn argument_failure(error: &SpecError) -> Failure {
    let problems: Vec<String> = error.problems().iter().map(|problem| format!("--{problem}")).collect();
    Failure::usage(problems.join("\n"))
}

/// The name of the working directory, as far as it is fit for a repository's name.
fn project_of_directory() -> String {
    let directory = std::env::current_dir().unwrap_or_default();
    let name = directory.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let project = words.join("-");
    if project.is_empty() || Path::new(&name).is_absolute() { FALLBACK_PROJECT.to_owned() } else { project }
}

fn stack_file(project: &str, environment: &str, endpoint: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let endpoint = match endpoint {
        Some(endpoint) => format!("endpoint    = {}", quoted(endpoint)),
        None => "# endpoint  = \"http://localhost:5000\"".to_owned(),
    };
    TEMPLATE
        .replace("@project@", &quoted(project))
        .replace("@environment@", &quoted(environment))
        .replace("@endpoint@", &endpoint)
}

/// Everything but the first two settings is the default written out, or commented.
const TEMPLATE: &str = r#"# The container image repositories of this project.
# `berth plan` shows what would change, `berth apply` makes it so, `berth outputs` prints the URLs.

project     = @project@
environment = @environment@   # "prod": tags are immutable; anything else: mutable

# What stands before "/service" in a repository's name. When environments share an account: "{project}-{environment}".
# base_name = "{project}"

# The AWS region. Absent: what the AWS configuration says (AWS_REGION, profile).
# region    = "us-east-1"

# Where the ECR API is. Absent: AWS_ENDPOINT_URL_ECR, else Amazon ECR itself.
@endpoint@

# Tags for every repository, besides Project, Environment, Service and ManagedBy.
# tags      = { Team = "platform" }

[repositories.api]
description = "API service images"

[repositories.realtime]
description = "Socket.IO service images"

[repositories.workers]
description = "Background worker images"
# scan_on_push   = true
# tag_mutability = "IMMUTABLE"         # or "MUTABLE"
# mutable_tags   = ["latest"]          # tags that may be moved although the repository is immutable
# encryption     = "AES256"            # or "KMS"; cannot be changed later
# kms_key        = "alias/shop"        # with "KMS"; absent: the key that AWS manages for ECR
# lifecycle_policy_file  = "lifecycle.json"   # a policy in ECR's JSON, taken as it is instead of the retention below
# repository_policy_file = "access.json"      # who else may pull or push; absent: left alone, "": none
# tags           = { Team = "jobs" }
# protect        = true                # never delete it while it holds images, not even with --force

# What to keep. A pattern matches whole tags, * stands for any characters. Everything that a retention promises to keep is kept;
# `berth plan` shows the rules of the lifecycle policy that each becomes. For no policy at all: retention = [] above.
[[retention]]
description = "Keep last 20 version-tagged images (v*, sha-*)"
any_of      = ["v*", "sha-*"]
keep_last   = 20

[[retention]]
description = "Keep last 5 branch-tagged images (latest, main, dev)"
any_of      = ["latest*", "main*", "dev*"]
keep_last   = 5

[[retention]]
description = "Delete untagged images older than 7 days"
untagged    = true
expire_after_days = 7
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> StackSpec {
        StackSpec::parse("berth.toml", text, &|path| std::fs::read_to_string(path)).unwrap()
    }

    #[test]
    fn the_first_file_says_what_the_defaults_are() {
        assert_eq!(parse(&stack_file("shop", "prod", None)), StackSpec::new("shop", "prod").unwrap());
        let local = parse(&stack_file("shop", "dev", Some("http://localhost:5000")));
        assert_eq!(local.endpoint().unwrap().as_str(), "http://localhost:5000");
    }

    /// A comment that shows a setting must show one that is accepted.
    #[test]
    fn the_settings_in_comments_are_real() {
        let text: String = stack_file("shop", "prod", None)
            .lines()
            .filter(|line| !line.contains("_file"))
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") && !setting.contains("retention") => {
                    format!("{setting}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let text = text.replace("\"AES256\" ", "\"KMS\" ");
        let stack = parse(&text);
        let workers = stack.repositories().iter().find(|one| one.service == "workers").unwrap();
        assert!(workers.protect);
        assert_eq!(workers.tags["Team"], "jobs");
    }
}
