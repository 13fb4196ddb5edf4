//! The ECR API through the official SDK: every operation on a good day, and every documented refusal with its exact type
//! and text. Requests that the SDK would not send are in `protocol`.

mod images;
mod layers;
mod login;
mod mutability;
mod policies;
mod protocol;
mod repositories;
mod scanning;
mod tags;

use anyhow::{Result, ensure};

/// Checks type and text of a refusal.
fn assert_refusal(got: &(String, String), code: &str, message: &str) -> Result<()> {
    ensure!(got.0 == code, "expected {code}, got {}: {}", got.0, got.1);
    ensure!(got.1 == message, "{code} says\n  {}\nexpected\n  {message}", got.1);
    Ok(())
}

/// The text of `RepositoryNotFoundException`.
fn repository_not_found(name: &str) -> String {
    format!(
        "The repository with name '{name}' does not exist in the registry with id '{}'",
        berth_e2e::ACCOUNT
    )
}
