//! Wiring: a data directory and some settings become a running registry.

mod clean_up;
mod config;
mod data_dir;
mod run;

pub(crate) use config::ServerArgs;
pub(crate) use run::{Server, ServerError, asked_to_end};
