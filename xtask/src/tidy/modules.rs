//! Files that no `mod` line reaches: they look like code and tests, and nobody compiles them.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Tree;

/// Complaints about Rust files that are not part of any target, and about a second integration binary in a crate.
pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut reached = BTreeSet::new();
    for path in tree.with_extension("rs").filter(|path| is_target(path)) {
        reach(tree, path, true, &mut reached)?;
    }
    for path in tree.with_extension("rs") {
        let in_crate = path.contains("/src/") || path.contains("/tests/");
        if in_crate && !reached.contains(path) {
            complaints.push(format!("{path}: no `mod` line reaches this file"));
        }
        if is_plain_test(path) {
            complaints.push(format!("{path}: a crate has one integration binary, tests/it/main.rs"));
        }
    }
    Ok(complaints)
}

/// Whether cargo builds a target from this file.
fn is_target(path: &str) -> bool {
    let in_bin = path.contains("/src/bin/");
    let is_root =
        ["/src/lib.rs", "/src/main.rs", "/tests/it/main.rs"].iter().any(|root| path.ends_with(root));
    is_root || in_bin || is_plain_test(path)
}

/// `<crate>/tests/<file>.rs`, which cargo makes a program of its own. A module `tests` inside `src` is another thing.
fn is_plain_test(path: &str) -> bool {
    path.rsplit_once("/tests/").is_some_and(|(folder, file)| !file.contains('/') && !folder.contains("/src"))
}

/// Follows the `mod` lines of a file. `owns_folder`: its modules lie beside it (`lib.rs`, `main.rs`, `mod.rs`).
fn reach(tree: &Tree, path: &str, owns_folder: bool, reached: &mut BTreeSet<String>) -> Result<()> {
    if !reached.insert(path.to_owned()) {
        return Ok(());
    }
    let folder = match path.rsplit_once('/') {
        Some((folder, _)) if owns_folder => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    };
    for name in declared(&tree.read(path)?) {
        let file = format!("{folder}/{name}.rs");
        let index = format!("{folder}/{name}/mod.rs");
        if tree.contains(&file) {
            reach(tree, &file, false, reached)?;
        } else if tree.contains(&index) {
            reach(tree, &index, true, reached)?;
        }
    }
    Ok(())
}

/// The names in `mod name;` lines.
fn declared(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let line = match line.strip_prefix("pub") {
                Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
                Some(rest) => rest.strip_prefix(' ')?,
                None => line,
            };
            line.strip_prefix("mod ")?.strip_suffix(';')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mod_lines_are_read_with_any_visibility() {
        let text = "mod a;\npub mod b;\n    pub(crate) mod c;\n// mod d;\nmod e { }\nmodule;\n";
        assert_eq!(declared(text), ["a", "b", "c"]);
    }

    #[test]
    fn targets_are_known_by_their_place() {
        assert!(is_target("crates/a/src/lib.rs"));
        assert!(is_target("crates/a/tests/it/main.rs"));
        assert!(!is_target("crates/a/tests/it/oci.rs"));
        assert!(!is_target("crates/a/src/oci/mod.rs"));
        assert!(!is_target("crates/a/src/oci/tests/plans.rs"));
        assert!(is_plain_test("crates/a/tests/smoke.rs"));
    }
}
