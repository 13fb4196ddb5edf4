//! Links in Markdown files: those into the tree must point at something.

use anyhow::Result;

use super::Tree;

/// Complaints about links to files that are not there.
pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in tree.with_extension("md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in links(&tree.read(path)?) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let full = resolve(folder, target);
            if !tree.root.join(&full).exists() {
                complaints.push(format!("{path}: links to {target}, which is not there"));
            }
        }
    }
    Ok(complaints)
}

/// The targets of `[text](target)`, code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, next)) = after.split_once(')') else { break };
            found.push(target.split_whitespace().next().unwrap_or_default().to_owned());
            rest = next;
        }
    }
    found
}

/// A relative link from a folder, as a path from the root.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "see [a](docs/a.md#x) and [b](https://b)\n```\n[c](d)\n```\n![e](f.png \"title\")";
        assert_eq!(links(text), ["docs/a.md#x", "https://b", "f.png"]);
    }

    #[test]
    fn links_are_relative_to_their_file() {
        assert_eq!(resolve("docs", "../README.md"), "README.md");
        assert_eq!(resolve("", "docs/module.md"), "docs/module.md");
        assert_eq!(resolve("docs", "./a/b.md"), "docs/a/b.md");
    }
}
