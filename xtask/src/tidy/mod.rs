//! The rules of this tree that no compiler knows. A rule is a file here; it gets the tree and returns complaints.
//!
//! Functions over 70 lines are clippy's business (`clippy::too_many_lines`, switched on by the step `clippy`).

mod documents;
mod imports;
mod invariants;
mod modules;
mod text;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, read};

/// The files of the repository: those that git knows, and those that it would add.
pub(crate) struct Tree {
    root: PathBuf,
    /// Paths relative to the root, with `/`, sorted.
    files: Vec<String>,
}

impl Tree {
    fn load() -> Result<Self> {
        let root = shell::root()?;
        let mut git = Command::new("git");
        git.current_dir(&root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let listing = read(&mut git)?;
        let mut files: Vec<String> =
            listing.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
        // A file that was deleted and not yet committed is still listed.
        files.retain(|path| root.join(path).is_file());
        files.sort();
        files.dedup();
        Ok(Self { root, files })
    }

    fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a str> {
        self.files
            .iter()
            .map(String::as_str)
            .filter(move |path| Path::new(path).extension().is_some_and(|found| found == extension))
    }

    fn read(&self, path: &str) -> Result<String> {
        let bytes = std::fs::read(self.root.join(path)).with_context(|| format!("read {path}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn contains(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| file.as_str().cmp(path)).is_ok()
    }
}

/// Checks every rule.
///
/// # Errors
/// When something is wrong, after printing each complaint.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::load()?;
    let metadata = shell::metadata(&[])?;
    let rules: [(&str, Result<Vec<String>>); 5] = [
        ("imports", imports::check(&metadata)),
        ("text", text::check(&tree)),
        ("modules", modules::check(&tree)),
        ("documents", documents::check(&tree)),
        ("invariants", invariants::check(&tree)),
    ];
    let mut complaints = 0;
    for (rule, found) in rules {
        for complaint in found.with_context(|| format!("the rule {rule}"))? {
            eprintln!("{rule}: {complaint}");
            complaints += 1;
        }
    }
    if complaints > 0 {
        bail!("{complaints} complaints");
    }
    println!("{} files are tidy", tree.files.len());
    Ok(())
}
