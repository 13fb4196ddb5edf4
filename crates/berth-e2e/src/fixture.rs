//! A real image to push: a minimal Debian in several layers, built once per target directory from the machine's own
//! package sources, and a multi-architecture index over it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};

use crate::command::{self, run};

/// Changes when the recipe changes, so that an old image is not taken for a new one.
const RECIPE: &str = "v1";

/// An OCI layout with the tags `debian` (three layers, gzip) and `multi` (an index of two images).
#[derive(Clone, Debug)]
pub struct Layout {
    path: PathBuf,
}

impl Layout {
    /// The image in skopeo's words.
    #[must_use]
    pub fn reference(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.path.display())
    }

    /// The directory of the layout.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The digest that the layout's index has for a tag.
    ///
    /// # Errors
    /// When the layout cannot be read.
    pub fn digest(&self, tag: &str) -> Result<String> {
        let text = std::fs::read_to_string(self.path.join("index.json"))?;
        let index: serde_json::Value = serde_json::from_str(&text)?;
        index["manifests"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag)
            .and_then(|entry| entry["digest"].as_str())
            .map(str::to_owned)
            .with_context(|| format!("no {tag} in {}", self.path.display()))
    }
}

/// The layout, built when this target directory has none yet. Tests that run side by side wait for one builder.
///
/// # Errors
/// When a tool is missing or fails.
pub fn debian() -> Result<Layout> {
    static BUILDER: Mutex<()> = Mutex::new(());
    let _one_at_a_time =
        BUILDER.lock().map_err(|_| anyhow::anyhow!("building the image failed in another test"))?;
    let directory = command::target_dir()?.join("e2e-images").join(RECIPE);
    let path = directory.join("layout");
    if path.join("index.json").is_file() {
        return Ok(Layout { path });
    }
    let work = tempfile::Builder::new().prefix("berth-e2e-image-").tempdir()?;
    let built = work.path().join("layout");
    build(work.path(), &built)?;
    std::fs::create_dir_all(&directory)?;
    // A copy and a rename, so that an interrupted build is never taken for an image.
    let staged = directory.join("staged");
    let _ = std::fs::remove_dir_all(&staged);
    shell(Command::new("cp").arg("-a").arg(&built).arg(&staged))?;
    std::fs::rename(&staged, &path).context("publish the image layout")?;
    Ok(Layout { path })
}

fn build(work: &Path, layout: &Path) -> Result<()> {
    let base = work.join("base.tar");
    // Essential packages only, and none of their documentation: a real Debian of about 30 MB compressed.
    shell(
        Command::new("mmdebstrap")
            .args(["--variant=essential", "--dpkgopt=path-exclude=/usr/share/doc/*"])
            .args(["--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/man/*"])
            .arg(codename()?)
            .arg(&base)
            .args(debian_sources()?),
    )?;
    shell(Command::new("umoci").args(["init", "--layout"]).arg(layout))?;
    for (tag, architecture) in [("debian", "amd64"), ("arm64", "arm64")] {
        let image = format!("{}:{tag}", layout.display());
        shell(Command::new("umoci").args(["new", "--image", &image]))?;
        if tag == "debian" {
            shell(Command::new("umoci").args(["raw", "add-layer", "--image", &image]).arg(&base))?;
        }
        for layer in ["etc/motd", "usr/local/share/service"] {
            let tar = layer_of_one_file(work, tag, layer)?;
            shell(Command::new("umoci").args(["raw", "add-layer", "--image", &image]).arg(&tar))?;
        }
        shell(
            Command::new("umoci")
                .args(["config", "--image", &image, "--os", "linux", "--architecture", architecture])
                .args(["--config.cmd", "/bin/sh"]),
        )?;
    }
    let layout = Layout { path: layout.to_owned() };
    add_index(&layout)
}

/// Writes the index of both images into the layout under the tag `multi`.
fn add_index(layout: &Layout) -> Result<()> {
    let path = layout.path.join("index.json");
    let mut top: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    let mut children = Vec::new();
    for (tag, architecture) in [("debian", "amd64"), ("arm64", "arm64")] {
        let digest = layout.digest(tag)?;
        let size = std::fs::metadata(layout.path.join("blobs").join(digest.replace(':', "/")))?.len();
        children.push(serde_json::json!({
            "mediaType": crate::image::OCI_MANIFEST,
            "digest": digest,
            "size": size,
            "platform": {"architecture": architecture, "os": "linux"},
        }));
    }
    let index =
        serde_json::json!({"schemaVersion": 2, "mediaType": crate::image::OCI_INDEX, "manifests": children});
    let bytes = index.to_string();
    let digest = crate::image::sha256(bytes.as_bytes());
    std::fs::write(layout.path.join("blobs").join(digest.replace(':', "/")), &bytes)?;
    let manifests = top["manifests"].as_array_mut().context("the layout has no manifests")?;
    manifests.push(serde_json::json!({
        "mediaType": crate::image::OCI_INDEX,
        "digest": digest,
        "size": bytes.len(),
        "annotations": {"org.opencontainers.image.ref.name": "multi"},
    }));
    std::fs::write(&path, top.to_string())?;
    Ok(())
}

fn layer_of_one_file(work: &Path, tag: &str, file: &str) -> Result<PathBuf> {
    let root = work.join(format!("{tag}-layer"));
    let _ = std::fs::remove_dir_all(&root);
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().context("a file in a directory")?)?;
    std::fs::write(&path, format!("{file} of {tag}\n"))?;
    let tar = work.join(format!("{tag}-{}.tar", file.replace('/', "-")));
    shell(
        Command::new("tar").arg("-C").arg(&root).args(["--owner=0", "--group=0", "-cf"]).arg(&tar).arg("."),
    )?;
    Ok(tar)
}

fn codename() -> Result<String> {
    let text = std::fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no VERSION_CODENAME")
}

/// The machine's own Debian source, without third-party ones, which a bootstrap must not depend on.
fn debian_sources() -> Result<Option<PathBuf>> {
    let deb822 = Path::new("/etc/apt/sources.list.d/debian.sources");
    if deb822.is_file() {
        return Ok(Some(deb822.to_owned()));
    }
    let list = Path::new("/etc/apt/sources.list");
    Ok(list.is_file().then(|| list.to_owned()))
}

fn shell(command: &mut Command) -> Result<()> {
    let line = command::describe(command);
    let output =
        command.output().with_context(|| format!("start {line} (`cargo xtask test` installs it)"))?;
    anyhow::ensure!(
        output.status.success(),
        "{line} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Copies with skopeo, trusting plain HTTP on both sides.
///
/// # Errors
/// When skopeo cannot be started.
pub async fn skopeo_copy(
    arguments: &[&str],
    auth_file: &Path,
    from: &str,
    to: &str,
) -> Result<command::Output> {
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    skopeo.arg("--authfile").arg(auth_file).args(arguments).args([from, to]);
    run(skopeo, None).await
}
