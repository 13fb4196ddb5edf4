//! `berth cost`: what repositories cost now, after their policies, and over a year.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use berth_lifecycle::Policy;
use berth_stack::client::Manifests;
use berth_stack::{ApiErrorKind, STACK_FILE_NAME, StackSpec};
use berth_types::{Clock as _, SystemClock, Timestamp};

use super::lifecycle::{
    ConnectArgs, connect, inventory_of, load_policy, note_gaps, parse_size, read_inventory, read_repository,
};
use crate::failure::Failure;
use crate::lab::cost::{Future, Prices, Repository, estimate, text};
use crate::lab::files::{SMALL_FILE_BYTES_MAX, read_text};
use crate::lab::forecast::PushRate;
use crate::lab::images::Inventory;
use crate::lab::units::parse_moment;
use crate::output::{print_data, print_note};

/// Estimate what repositories cost now, after their lifecycle policy, and over the next 12 months
///
/// Without --images and --repository: the repositories of the stack file, with the policies it gives them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files with the images of one repository each: the output of `aws ecr describe-images`
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "repository")]
    images: Vec<PathBuf>,
    /// Repositories to read from the registry
    #[arg(long, value_name = "NAME", num_args = 1..)]
    repository: Vec<String>,
    /// File with the policy for all of them [default: with --repository the one it has]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The stack file, when neither --images nor --repository is given
    #[arg(short, long, value_name = "FILE", default_value = STACK_FILE_NAME)]
    file: PathBuf,
    #[command(flatten)]
    connect: ConnectArgs,
    /// The moment to look from [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    at: Option<Timestamp>,
    /// How often somebody pushes to each repository, for example 5/day, 10/week, 3/month
    #[arg(long, value_name = "RATE", value_parser = PushRate::parse, default_value = "0/day")]
    push_rate: PushRate,
    /// The tags of each pushed image; `*` becomes a number, a tag without it moves to the newest image
    #[arg(long, value_name = "PATTERN", default_values_t = ["v*".to_owned()])]
    tag_pattern: Vec<String>,
    /// What a pushed image adds to the storage [default: the average]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    image_size: Option<u64>,
    /// GB that leave AWS in a month, all repositories together
    #[arg(long, value_name = "GB", default_value_t = 0.0, value_parser = parse_gb)]
    transfer_out: f64,
    /// File with other prices (TOML)
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Do not read manifests from the registry: shared layers count several times, and nothing looks like a pull
    #[arg(long)]
    no_manifests: bool,
    /// Print the estimate as JSON
    #[arg(long)]
    json: bool,
}

fn parse_gb(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number of GB"))?;
    if (0.0..=1e9).contains(&number) { Ok(number) } else { Err(format!("{text:?} is no number of GB")) }
}

/// A repository with all that is known about it.
struct Known {
    name: String,
    inventory: Inventory,
    policy: Option<Policy>,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let now = args.at.unwrap_or_else(|| SystemClock.now());
    let prices = match &args.prices {
        Some(path) => {
            let (text, file) = read_text(path, SMALL_FILE_BYTES_MAX)?;
            Prices::parse(&file, &text)?
        }
        None => Prices::default(),
    };
    let known = args.read().await?;
    known.iter().for_each(|one| note_gaps(&one.inventory));
    let repositories: Vec<Repository<'_>> = known
        .iter()
        .map(|one| Repository {
            name: one.name.clone(),
            inventory: &one.inventory,
            policy: one.policy.as_ref(),
        })
        .collect();
    let future = Future {
        rate: args.push_rate,
        tags: args.tag_pattern.clone(),
        image_bytes: args.image_size,
        transfer_gb: args.transfer_out,
    };
    let estimate = estimate(&repositories, now, prices, &future).map_err(Failure::usage)?;
    if args.json {
        print_data(&format!("{:#}\n", serde_json::to_value(&estimate)?))?;
    } else {
        print_data(&text(&estimate, &future))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    async fn read(&self) -> Result<Vec<Known>, Failure> {
        let policy = self.policy.as_deref().map(|path| load_policy(path, None)).transpose()?;
        if !self.images.is_empty() {
            return self.images.iter().map(|path| offline(path, policy.clone())).collect();
        }
        if self.repository.is_empty() {
            return self.read_stack(policy).await;
        }
        let api = connect(&self.connect).await?;
        let mut known = Vec::new();
        for name in &self.repository {
            let inventory = read_repository(&api, name, self.manifests()).await?;
            let policy = match &policy {
                Some(policy) => Some(policy.clone()),
                None => {
                    use berth_stack::EcrApi as _;
                    let text = api.get_lifecycle_policy(name).await?;
                    text.map(|text| Policy::parse(&text)).transpose()?
                }
            };
            known.push(Known { name: name.clone(), inventory, policy });
        }
        Ok(known)
    }

    async fn read_stack(&self, policy: Option<Policy>) -> Result<Vec<Known>, Failure> {
        let stack = StackSpec::load(&self.file)?;
        let connected = berth_stack::client::connect_to(
            self.connect.region.as_ref().or(stack.region()),
            self.connect.endpoint.as_ref().or(stack.endpoint()),
            &|name| std::env::var(name).ok(),
        );
        let (api, _) = connected.await?;
        let mut known = Vec::new();
        for repository in stack.repositories() {
            let name = repository.name.to_string();
            let inventory = match api.list_images(&name, self.manifests()).await {
                Err(error) if *error.kind() == ApiErrorKind::RepositoryNotFound => {
                    print_note(&format!(
                        "note: the repository {name} does not exist yet and counts as empty"
                    ));
                    Inventory { repository: Some(name.clone()), ..Inventory::default() }
                }
                Err(error) => return Err(error.into()),
                Ok(listed) => inventory_of(&name, listed),
            };
            let policy = policy.clone().or_else(|| repository.lifecycle.policy().cloned());
            known.push(Known { name, inventory, policy });
        }
        Ok(known)
    }

    fn manifests(&self) -> Manifests {
        if self.no_manifests { Manifests::None } else { Manifests::All }
    }
}

fn offline(path: &Path, policy: Option<Policy>) -> Result<Known, Failure> {
    let inventory = read_inventory(path)?;
    let name = inventory.repository.clone().unwrap_or_else(|| path.display().to_string());
    Ok(Known { name, inventory, policy })
}
