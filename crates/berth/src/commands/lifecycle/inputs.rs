//! What the verbs of the lab read: a policy and images, from files or from a registry.

use std::path::{Path, PathBuf};

use berth_lifecycle::{ImageKind, Policy, PolicyError, Severity};
use berth_stack::client::{ListedImage, Manifests, connect_to};
use berth_stack::{AwsEcr, EcrApi as _, Endpoint};
use berth_types::{Clock as _, Region, SystemClock, Timestamp};

use crate::failure::Failure;
use crate::lab::files::{IMAGES_FILE_BYTES_MAX, read_text};
use crate::lab::images::{Inventory, Layer};
use crate::lab::snippet::{Message, render};
use crate::lab::sources::{self, Found, PolicyText};
use crate::lab::units::{count_of, parse_moment};
use crate::output::print_note;

/// Which registry to read from.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    /// URL of the registry's API, for example http://localhost:5000 [default: Amazon ECR]
    #[arg(long, value_name = "URL", value_parser = Endpoint::parse)]
    pub(crate) endpoint: Option<Endpoint>,
    /// Region of the registry [default: the AWS configuration's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<Region>,
}

/// A policy, images and a moment.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// File with the policy; any file that `lint` reads
    #[arg(long, value_name = "FILE", required_unless_present = "repository")]
    policy: Option<PathBuf>,
    /// Which policy of that file, if it has several: the resource or the repository
    #[arg(long, value_name = "NAME", requires = "policy")]
    policy_name: Option<String>,
    /// File with the images: the output of `aws ecr describe-images`; - is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "repository")]
    images: Option<PathBuf>,
    /// Repository to read the images from, and the policy unless --policy is given
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// The moment to look from, for example 2026-01-31T12:00:00Z or 2026-01-31 [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    at: Option<Timestamp>,
}

/// What was read.
pub(super) struct Inputs {
    pub(super) policy: Policy,
    /// What to call it.
    pub(super) policy_label: String,
    pub(super) inventory: Inventory,
    pub(super) now: Timestamp,
}

impl InputArgs {
    pub(super) async fn load(&self) -> Result<Inputs, Failure> {
        let now = self.at.unwrap_or_else(|| SystemClock.now());
        let local =
            self.policy.as_deref().map(|path| load_policy(path, self.policy_name.as_deref())).transpose()?;
        let policy_label = match (&self.policy, &self.repository) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(repository)) => format!("the policy of {repository}"),
            (None, None) => String::new(),
        };
        let (inventory, policy) = match (&self.images, &self.repository) {
            (Some(path), None) => (read_inventory(path)?, local),
            (images, Some(repository)) => {
                let api = connect(&self.connect).await?;
                let inventory = match images {
                    Some(path) => read_inventory(path)?,
                    None => read_repository(&api, repository, Manifests::Indexes).await?,
                };
                let policy = match local {
                    Some(policy) => Some(policy),
                    None => Some(live_policy(&api, repository).await?),
                };
                (inventory, policy)
            }
            (None, None) => {
                return Err(Failure::usage("there are no images to look at: give --images or --repository"));
            }
        };
        note_gaps(&inventory);
        let policy =
            policy.ok_or_else(|| Failure::usage("there is no policy: give --policy or --repository"))?;
        Ok(Inputs { policy, policy_label, inventory, now })
    }
}

/// Makes a client.
pub(crate) async fn connect(args: &ConnectArgs) -> Result<AwsEcr, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let connected = connect_to(args.region.as_ref(), args.endpoint.as_ref(), &environment).await;
    let (api, _) = connected.map_err(|error| {
        Failure::from(error).hint("for a registry on this machine: --endpoint http://localhost:5000")
    })?;
    Ok(api)
}

/// Reads the images of a repository.
pub(crate) async fn read_repository(
    api: &AwsEcr,
    repository: &str,
    manifests: Manifests,
) -> Result<Inventory, Failure> {
    let listed = api.list_images(repository, manifests).await?;
    Ok(inventory_of(repository, listed))
}

/// The images of a repository as the lab has them.
pub(crate) fn inventory_of(repository: &str, listed: Vec<ListedImage>) -> Inventory {
    let mut inventory = Inventory { repository: Some(repository.to_owned()), ..Inventory::default() };
    for one in listed {
        let layers =
            one.blobs.map(|blobs| blobs.into_iter().map(|(digest, size)| Layer { digest, size }).collect());
        inventory.images.push(one.image);
        inventory.layers.push(layers);
    }
    inventory
}

/// Reads the images of a file.
pub(crate) fn read_inventory(path: &Path) -> Result<Inventory, Failure> {
    let (text, file) = read_text(path, IMAGES_FILE_BYTES_MAX)?;
    Ok(Inventory::parse(&file, &text)?)
}

/// Tells what the images do not say and what that means.
pub(crate) fn note_gaps(inventory: &Inventory) {
    if inventory.repeated > 0 {
        print_note(&format!(
            "note: {} with a digest that was there before, taken once",
            count_of(inventory.repeated, "entry", "entries")
        ));
    }
    let is_blind =
        |image: &&berth_lifecycle::Image| image.kind == ImageKind::Index && image.references.is_empty();
    let blind = inventory.images.iter().filter(is_blind).count();
    if blind > 0 {
        print_note(&format!(
            "note: the children of {} are not known, so images that ECR would hold back may be shown as going; \
             --repository reads them, and so does the member `references` in the file",
            count_of(blind, "index", "indexes")
        ));
    }
}

async fn live_policy(api: &AwsEcr, repository: &str) -> Result<Policy, Failure> {
    let text = api.get_lifecycle_policy(repository).await?;
    let Some(text) = text else {
        return Err(Failure::new(format!("the repository {repository} has no lifecycle policy"))
            .hint("try one on it with --policy FILE"));
    };
    Policy::parse(&text).map_err(|error| {
        let found = Found::whole(format!("the policy of {repository}"), text.clone());
        refused(&found, &PolicyText::whole(text.clone()), &error)
    })
}

/// Reads the one policy of a file, or the one with this name.
pub(crate) fn load_policy(path: &Path, name: Option<&str>) -> Result<Policy, Failure> {
    let found = sources::read_policy(path)?;
    let mut matching: Vec<&Found> =
        found.iter().filter(|one| name.is_none_or(|name| one.label == name)).collect();
    // A stack gives several repositories the same policy.
    matching.dedup_by(|one, other| one.policy == other.policy);
    let file = path.display();
    let one = match matching.as_slice() {
        [one] => *one,
        [] => {
            let which = name.map_or_else(String::new, |name| format!(" of {name}"));
            return Err(
                Failure::new(format!("there is no lifecycle policy{which} in {file}")).hint(names(&found))
            );
        }
        _ => {
            return Err(Failure::new(format!("there are {} lifecycle policies in {file}", matching.len()))
                .hint(format!("choose one with --policy-name; {}", names(&found))));
        }
    };
    let policy = one.policy.as_ref().map_err(|unreadable| {
        let (line, column) = crate::lab::error::position(&one.document.text, unreadable.span.start);
        Failure::new(format!(
            "{}:{line}:{column}: this policy cannot be read here: {}",
            one.document.name, unreadable.what
        ))
    })?;
    Policy::parse(&policy.json).map_err(|error| refused(one, policy, &error))
}

fn names(found: &[Found]) -> String {
    let names: Vec<&str> =
        found.iter().map(|one| one.label.as_str()).filter(|label| !label.is_empty()).collect();
    if names.is_empty() { "the file names none".to_owned() } else { format!("it has: {}", names.join(", ")) }
}

/// A policy that ECR would refuse: its words, then each mistake where it stands.
fn refused(found: &Found, policy: &PolicyText, error: &PolicyError) -> Failure {
    let mut message = format!("{}\n", error.aws_message());
    for violation in error.violations() {
        let outer = policy.outer(&violation.span.clone().unwrap_or(0..0));
        let said = Message {
            severity: Severity::Error,
            id: violation.clause.id(),
            title: &violation.aws_text,
            label: &violation.pointer,
            help: Some(&violation.hint),
            note: None,
        };
        message.push('\n');
        message.push_str(&render(&said, &found.document.name, &found.document.text, &outer));
    }
    Failure::new(message.trim_end().to_owned())
}

/// Reads a size: `1234`, `250MB`, `1.5 GiB`. All units are powers of 1024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size like 250MiB");
    let digits = text.trim().find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.trim().len());
    let (number, unit) = text.trim().split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * crate::lab::units::to_f64(factor);
    if !(0.0..=crate::lab::units::to_f64(1 << 50)).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above and below")]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("7", 7), ("1.5 GiB", 3 << 29), ("250MB", 250 << 20), ("1k", 1024)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "x", "1 parsec", "-1", "1e9GB", "."] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
