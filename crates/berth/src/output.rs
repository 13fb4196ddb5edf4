//! What a command prints: data to stdout, everything else to stderr, and the one question it may ask.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use berth_stack::{Output, Target, outputs, render};
use clap::ValueEnum;

use crate::failure::Failure;

/// Prints data. Colours are dropped where they are not wanted. A reader that has seen enough and closed the pipe is no failure.
pub(crate) fn print_data(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Tells the user something that is not data. If even stderr is gone there is nobody to tell.
pub(crate) fn print_note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Asks for a `yes` on the terminal. Anything else, the end of input included, is a no.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("stdin is not a terminal, so nobody can be asked whether to go on")
            .hint("look at the plan, then pass --yes"));
    }
    let _ = write!(anstream::stderr().lock(), "\n{question} Only `yes` is taken for yes: ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// How outputs are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns, for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// NAME=value lines, for `docker run --env-file`, shells and task definitions
    Env,
}

/// The choice of a [`Format`], for verbs that print outputs.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct FormatArgs {
    /// How to print the outputs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArgs {
    /// Prints the outputs of a stack.
    pub(crate) fn print(
        self,
        stack: &berth_stack::StackSpec,
        target: &Target,
        all: &[Output],
    ) -> Result<(), Failure> {
        let format = if self.json { Format::Json } else { self.format };
        match format {
            Format::Table => print_data(&format!("{}\n", table(all))),
            Format::Env => print_data(&outputs::to_env(all)),
            Format::Json => {
                let json = render::outputs_to_json(stack, target, all);
                print_data(&format!("{json:#}\n"))
            }
        }
    }
}

fn table(all: &[Output]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["SERVICE", "NAME", "REPOSITORY URL", "REGISTRY", "ARN"]);
    for one in all {
        table.add_row([&one.service, &one.name, &one.repository_url, &one.registry_id, &one.arn]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}
