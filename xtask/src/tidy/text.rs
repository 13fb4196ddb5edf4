//! What no line of the tree may contain, and how long a file may be.

use anyhow::Result;

use super::Tree;

/// Longest source file, in lines.
const LINES_MAX: usize = 800;

/// In Rust: what says "later" or "not today". Written in halves so that this list does not find itself.
const UNFINISHED: [&str; 4] =
    [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[igno", "re"), concat!("FIX", "ME")];

/// In any text: paths of one machine, and hosts of package registries, which belong into the user's own configuration.
const PLACES: [&str; 10] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
    concat!("crates", ".io"),
    concat!("py", "pi.org"),
    concat!("files.python", "hosted"),
    concat!("registry.npm", "js"),
    concat!("proxy.go", "lang.org"),
];

/// Written by cargo; it names the registry by nature.
const EXEMPT: [&str; 1] = ["Cargo.lock"];

/// Complaints about the text of the files.
pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in tree.files.iter().filter(|path| !is_exempt(path)) {
        let text = tree.read(path)?;
        complaints.extend(check_file(path, &text));
    }
    Ok(complaints)
}

fn is_exempt(path: &str) -> bool {
    EXEMPT.iter().any(|name| path == *name || path.ends_with(&format!("/{name}")))
}

fn check_file(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let is_rust = path.ends_with(".rs");
    for (number, line) in (1..).zip(text.lines()) {
        let unfinished: &[&str] = if is_rust { &UNFINISHED } else { &[] };
        let unfinished = unfinished.iter().filter(|word| line.contains(**word));
        let places = PLACES.iter().filter(|place| names_place(line, place));
        for word in unfinished.chain(places) {
            complaints.push(format!("{path}:{number}: must not contain {word}"));
        }
    }
    let is_source = [".rs", ".sql", ".py", ".sh"].iter().any(|ending| path.ends_with(ending));
    let lines = text.lines().count();
    if is_source && lines > LINES_MAX {
        complaints.push(format!("{path}: {lines} lines, more than {LINES_MAX}"));
    }
    complaints
}

/// Whether a line has this place, and not as the tail of something longer: `label/x/` is no absolute path.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "/_-}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_and_a_forbidden_word_are_found() {
        let long = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(check_file("a.rs", &long), ["a.rs: 801 lines, more than 800"]);
        assert!(check_file("a.md", &long).is_empty());
        let later = format!("fn f() {{\n    {});\n}}", UNFINISHED[0]);
        assert_eq!(check_file("a.rs", &later).len(), 1);
        assert_eq!(check_file("notes.md", &format!("see {}berth", PLACES[0])).len(), 1);
    }
}
