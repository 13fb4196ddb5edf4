//! The project's chores: `cargo xtask test | ci | tidy | soak | fuzz`.
//!
//! Nothing here is part of the product; it runs the tools that check it. What a step does is in its own file, and
//! `steps` is the list of them all.

mod conformance;
mod fuzz;
mod server;
mod shell;
mod steps;
mod tidy;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [--only STEP[,STEP...]]   install what is missing, then run every step (or those named)
  ci                             the same as `test`, for the machine that guards the main branch
  tidy                           the rules of this tree that no compiler knows
  soak                           the long form of the black-box tests: a layer of 4 GiB
  fuzz [SECONDS]                 every fuzz target, for a minute each unless told otherwise";

/// How long `cargo xtask fuzz` runs a target.
const FUZZ_SECONDS: u32 = 60;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["test" | "ci"] => steps::run(&steps::ALL.iter().collect::<Vec<_>>()),
        ["test" | "ci", "--only", names] => steps::named(names).and_then(|steps| steps::run(&steps)),
        ["tidy"] => tidy::run(),
        ["soak"] => steps::soak(),
        ["fuzz"] => fuzz::all(FUZZ_SECONDS),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::all(seconds),
            Err(_) => Err(anyhow::anyhow!("{seconds:?} is no number of seconds")),
        },
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}\n\nsteps: {}", steps::names());
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}\n\nsteps: {}", steps::names());
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
