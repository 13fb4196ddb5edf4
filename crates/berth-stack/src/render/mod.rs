//! A plan and its outputs as text for people and as JSON for programs.
//!
//! Text comes with ANSI colours; print it through something that drops them where they are not wanted (`anstream`).

mod json;
mod text;

pub use json::{outputs_to_json, to_json};
pub use text::{summary, to_text};
