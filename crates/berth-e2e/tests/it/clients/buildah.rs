//! buildah: an image built here and pushed.

use std::process::Command;

use anyhow::{Result, ensure};
use berth_e2e::command::run;

use super::Bench;

fn buildah(bench: &Bench) -> Command {
    let mut buildah = Command::new("buildah");
    buildah.arg("--root").arg(bench.path("buildah")).arg("--runroot").arg(bench.path("buildah-run"));
    buildah.args(["--storage-driver", "vfs"]);
    buildah
}

#[tokio::test]
async fn an_image_built_on_one_of_ours_is_pushed_and_pulled() -> Result<()> {
    let bench = Bench::start().await?;
    let uri = bench.create("buildah/app", &[]).await?;
    bench.push(&uri, "base").await?;
    bench.login(buildah(&bench)).await?.success()?;
    let context = bench.path("context");
    std::fs::create_dir_all(&context)?;
    std::fs::write(context.join("app"), "an application\n")?;
    std::fs::write(
        context.join("Containerfile"),
        format!("FROM {uri}:base\nCOPY app /app\nCMD [\"/app\"]\n"),
    )?;
    let auth = bench.auth_file();
    let image = format!("{uri}:app");
    let mut build = buildah(&bench);
    build.args(["bud", "--isolation", "chroot", "--tls-verify=false", "--authfile"]).arg(&auth);
    run(
        {
            build.args(["-t", &image]).arg(&context);
            build
        },
        None,
    )
    .await?
    .success()?;
    let digest_file = bench.path("digest");
    let mut push = buildah(&bench);
    push.args(["push", "--tls-verify=false", "--authfile"]).arg(&auth);
    push.arg("--digestfile").arg(&digest_file).arg(&image);
    run(push, None).await?.success()?;
    let pushed = std::fs::read_to_string(&digest_file)?.trim().to_owned();
    ensure!(bench.digest("buildah/app", "app").await? == pushed);
    let mut remove = buildah(&bench);
    remove.args(["rmi", "--all", "--force"]);
    run(remove, None).await?.success()?;
    let mut pull = buildah(&bench);
    pull.args(["pull", "--tls-verify=false", "--authfile"]).arg(&auth).arg(format!("{uri}@{pushed}"));
    run(pull, None).await?.success()?;
    Ok(())
}
