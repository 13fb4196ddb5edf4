//! One process per data directory, a quick start, a small idle process, and a root key that others cannot read.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use berth_e2e::command::run;
use berth_e2e::server::{Server, program, serve_command};
use berth_e2e::target::Target;

/// The targets are for the release binary; a debug one is several times slower and larger.
fn is_release() -> Result<bool> {
    Ok(!program()?.components().any(|part| part.as_os_str() == "debug"))
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_with_a_reason() -> Result<()> {
    let target = Target::own(&[]).await?;
    let server = target.server()?;
    let output = run(serve_command(&server.data_dir())?, None).await?;
    let said = output.failure()?;
    ensure!(said.contains(&server.pid().to_string()), "the message names the process that has it: {said}");
    // And the first one serves on.
    target.oci().await?.get("/v2/").await?.expect(&[200])?;
    Ok(())
}

#[tokio::test]
async fn a_lock_left_behind_by_a_dead_process_does_not_keep_anybody_out() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    target.kill_and_restart().await?;
    target.oci().await?.get("/v2/").await?.expect(&[200])?;
    Ok(())
}

#[tokio::test]
async fn the_root_key_is_for_its_owner_alone() -> Result<()> {
    let target = Target::own(&[]).await?;
    let data = target.server()?.data_dir();
    let key = std::fs::metadata(data.join("root.key"))?;
    ensure!(key.permissions().mode() & 0o777 == 0o600, "{:o}", key.permissions().mode());
    Ok(())
}

#[tokio::test]
async fn listening_to_the_world_needs_the_words_for_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut command = std::process::Command::new(program()?);
    command.args(["serve", "--listen", "0.0.0.0:0", "--data-dir"]).arg(directory.path().join("data"));
    let said = run(command, None).await?.failure()?;
    ensure!(said.contains("--anyone-may-do-anything"), "{said}");
    Ok(())
}

#[tokio::test]
async fn it_answers_within_300_ms_and_rests_below_40_mb() -> Result<()> {
    // The best of a few, because the tests beside this one want the processor too.
    let mut best = Duration::MAX;
    let mut resident = u64::MAX;
    for _ in 0..5 {
        let server = Server::start().await?;
        best = best.min(server.start_time());
        let target = Target::of(server);
        target.oci().await?.get("/v2/").await?.expect(&[200])?;
        resident = resident.min(target.server()?.resident_bytes()?);
    }
    eprintln!("start to ready: {best:?}; resident when idle: {} MB", resident_mb(resident));
    if is_release()? {
        ensure!(best <= Duration::from_millis(300), "start to ready took {best:?}");
        ensure!(resident <= 40_000_000, "{} MB resident", resident_mb(resident));
    }
    Ok(())
}

fn resident_mb(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}
