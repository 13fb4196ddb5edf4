//! Each invariant of ARCHITECTURE.md names the tests that hold it, and those tests exist.
//!
//! The form: under a heading that begins with "Invariants", numbered items, each ending in
//! ``(held by `crate::path::test_name`, ...)``.

use anyhow::Result;

use super::Tree;

const DOCUMENT: &str = "ARCHITECTURE.md";
/// Fewer than this means that the section is not what this check thinks it is.
const INVARIANTS_MIN: usize = 5;

/// Complaints about invariants that no test holds.
pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    if !tree.contains(DOCUMENT) {
        return Ok(vec![format!("there is no {DOCUMENT}")]);
    }
    let items = items(&tree.read(DOCUMENT)?);
    let mut complaints = Vec::new();
    if items.len() < INVARIANTS_MIN {
        complaints.push(format!(
            "{DOCUMENT}: only {} invariants found, expected {INVARIANTS_MIN} or more",
            items.len()
        ));
    }
    for item in items {
        let tests = tests_of(&item);
        let title: String = item.chars().take(60).collect();
        if tests.is_empty() {
            complaints.push(format!("{DOCUMENT}: no test is named by \"{title}\""));
        }
        for test in tests {
            if !exists(tree, &test)? {
                complaints.push(format!("{DOCUMENT}: there is no test {test}, named by \"{title}\""));
            }
        }
    }
    Ok(complaints)
}

/// The numbered items of the section, each on one line.
fn items(document: &str) -> Vec<String> {
    let section = document
        .lines()
        .skip_while(|line| {
            !(line.starts_with('#') && line.trim_start_matches(['#', ' ']).starts_with("Invariants"))
        })
        .skip(1)
        .take_while(|line| !line.starts_with('#'));
    let mut items: Vec<String> = Vec::new();
    for line in section {
        let numbered = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        if numbered {
            items.push(line.to_owned());
        } else if let Some(item) = items.last_mut() {
            item.push(' ');
            item.push_str(line.trim());
        }
    }
    items
}

/// The names in back quotes after "held by".
fn tests_of(item: &str) -> Vec<String> {
    let Some((_, held)) = item.split_once("held by") else { return Vec::new() };
    held.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).map(str::to_owned).collect()
}

/// Whether a crate has a function of the test's name.
fn exists(tree: &Tree, test: &str) -> Result<bool> {
    let mut parts = test.split("::");
    let name = parts.next().unwrap_or_default().replace('_', "-");
    let function = parts.last().unwrap_or_default();
    let folder = if name == "xtask" { "xtask/".to_owned() } else { format!("crates/{name}/") };
    let needle = format!("fn {function}(");
    for path in tree.with_extension("rs").filter(|path| path.starts_with(&folder)) {
        if tree.read(path)?.contains(&needle) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_and_their_tests_are_read() {
        let document = "# A\n1. not this\n## Invariants\n\nEach holds.\n\n1. **One.** It is so\n   (held by `a::b`,\n   `a::c::d`).\n2. Two.\n## Next\n3. nor this";
        let items = items(document);
        assert_eq!(items.len(), 2);
        assert_eq!(tests_of(&items[0]), ["a::b", "a::c::d"]);
        assert!(tests_of(&items[1]).is_empty());
    }
}
