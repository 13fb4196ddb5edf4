//! What a start costs when there is much stored.

use std::time::Duration;

use anyhow::{Result, ensure};
use berth_e2e::image::Image;
use berth_e2e::target::Target;
use futures_util::{StreamExt, TryStreamExt, stream};

/// Enough that reading it all would show: some thousand objects.
const IMAGES: usize = 1_000;
/// Pushes at once.
const CLIENTS: usize = 16;

#[tokio::test]
async fn a_start_takes_no_longer_with_a_thousand_images() -> Result<()> {
    let mut target = Target::own(&[]).await?;
    let empty = target.server()?.start_time();
    let repository = target.repository().await?;
    stream::iter(0..IMAGES)
        .map(|number| {
            let repository = &repository;
            async move {
                let image = Image::oci(&format!("start {number}"), 2);
                repository.push_image(&format!("v{number}"), &image).await
            }
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let mut best = Duration::MAX;
    for _ in 0..3 {
        target.kill_and_restart().await?;
        best = best.min(target.server()?.start_time());
    }
    eprintln!("start to ready: {empty:?} empty, {best:?} with {IMAGES} images after a kill");
    // Not the ratio to the empty start, which is a few milliseconds of a machine that does other things as well.
    ensure!(best <= Duration::from_millis(300), "start to ready took {best:?}");
    Ok(())
}
