//! `berth lifecycle simulate`: what a policy would do to images, now and later.

use std::path::PathBuf;
use std::process::ExitCode;

use berth_types::Timestamp;
use serde_json::{Value, json};

use super::inputs::{InputArgs, Inputs, load_policy, parse_size};
use crate::failure::Failure;
use crate::lab::cost::average_image_bytes;
use crate::lab::forecast::{self, Assumptions, Day, PushRate};
use crate::lab::simulate::Simulation;
use crate::lab::{compare, units};
use crate::output::print_data;

/// Show what a policy would do: which images go, which stay, why, and when
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    inputs: InputArgs,
    /// Another policy for the same images: show what changes if one switches to it
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Run forward in time, once a day, up to this moment
    #[arg(long, value_name = "TIME", value_parser = units::parse_moment)]
    until: Option<Timestamp>,
    /// With --until: how often somebody pushes, for example 5/day, 10/week, 3/month
    #[arg(long, value_name = "RATE", value_parser = PushRate::parse, requires = "until")]
    push_rate: Option<PushRate>,
    /// With --until: the tags of each pushed image; `*` becomes a number, a tag without it moves to the newest image
    #[arg(long, value_name = "PATTERN", requires = "until", default_values_t = ["v*".to_owned()])]
    tag_pattern: Vec<String>,
    /// With --until: what a pushed image adds to the storage [default: the average]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "until")]
    image_size: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let inputs = args.inputs.load().await?;
    let Inputs { policy, policy_label, inventory, now } = &inputs;
    let other = args.compare.as_deref().map(|path| load_policy(path, None)).transpose()?;
    let simulation = Simulation::new(policy, inventory, *now);
    let changes =
        other.as_ref().map(|other| compare::changes(&simulation, &Simulation::new(other, inventory, *now)));
    let forecast = args.forecast(&inputs)?;
    if args.json {
        let mut report = serde_json::to_value(simulation.report())?;
        if let Value::Object(members) = &mut report {
            if let Some(changes) = &changes {
                members.insert("compared".to_owned(), json!(changes));
            }
            if let Some((_, days)) = &forecast {
                members.insert("forecast".to_owned(), json!(days));
            }
        }
        print_data(&format!("{report:#}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = simulation.text();
    if let (Some(changes), Some(path)) = (&changes, &args.compare) {
        text.push_str(&compare::text(changes, policy_label, &path.display().to_string()));
    }
    if let Some((assumptions, days)) = &forecast {
        text.push_str(&forecast::text(days, assumptions));
    }
    print_data(&text)?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn forecast(&self, inputs: &Inputs) -> Result<Option<(Assumptions, Vec<Day>)>, Failure> {
        let Some(until) = self.until else { return Ok(None) };
        let assumptions = Assumptions {
            until,
            rate: self.push_rate.unwrap_or(PushRate::NONE),
            tags: self.tag_pattern.clone(),
            image_bytes: self.image_size.unwrap_or_else(|| average_image_bytes(&inputs.inventory)),
        };
        let days = forecast::run(Some(&inputs.policy), &inputs.inventory, inputs.now, &assumptions);
        let days = days.map_err(Failure::usage)?;
        Ok(Some((assumptions, days)))
    }
}
