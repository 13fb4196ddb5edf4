//! Which crate may use which: arrows point down only (ARCHITECTURE.md), and some crates stay free of some things.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

/// Each crate of the workspace and the crates of the workspace that it may use, lowest crate first. For tests a crate may
/// also use any crate above it in this list.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("berth-types", &[]),
    ("berth-lifecycle", &["berth-types"]),
    ("berth-scan", &["berth-types"]),
    ("berth-store", &["berth-types"]),
    ("berth-registry", &["berth-lifecycle", "berth-scan", "berth-store", "berth-types"]),
    ("berth-server", &["berth-registry", "berth-types"]),
    ("berth-stack", &["berth-lifecycle", "berth-types"]),
    // The binary wires everything together.
    (
        "berth",
        &[
            "berth-lifecycle",
            "berth-registry",
            "berth-scan",
            "berth-server",
            "berth-stack",
            "berth-store",
            "berth-types",
        ],
    ),
    ("berth-bench", &[]),
    // These judge us, so they share nothing with us, in tests neither.
    ("berth-e2e", &[]),
    ("xtask", &[]),
];

/// Crates that may not use anything of ours even in their tests.
const STRANGERS: [&str; 3] = ["berth-bench", "berth-e2e", "xtask"];

/// What must not be anywhere in the graph of a crate.
const NEVER_IN_GRAPH: [(&str, &[&str]); 3] = [
    ("berth-types", &["tokio", "hyper", "axum", "reqwest", "rusqlite"]),
    ("berth-lifecycle", &["tokio", "hyper", "axum", "reqwest", "rusqlite"]),
    ("berth-scan", &["tokio", "hyper", "axum", "reqwest"]),
];

/// What a crate must not name itself.
const NEVER_NAMED: [(&str, &[&str]); 2] = [
    ("berth-store", &["axum", "hyper", "hyper-util", "http", "http-body", "tower"]),
    ("berth-registry", &["axum", "hyper", "hyper-util", "http", "http-body", "tower", "rusqlite"]),
];

/// Complaints about the graph that `cargo metadata` describes.
pub(super) fn check(metadata: &Value) -> Result<Vec<String>> {
    let graph = Graph::read(metadata)?;
    let mut complaints = Vec::new();
    for (name, uses) in &graph.members {
        let Some(position) = ALLOWED.iter().position(|(allowed, _)| allowed == name) else {
            complaints.push(format!("{name} is not in the list of crates: say in xtask what it may use"));
            continue;
        };
        for (used, kind) in uses {
            if !graph.members.contains_key(used) {
                continue;
            }
            let below = ALLOWED[..position].iter().any(|(lower, _)| lower == used);
            let fine = match kind {
                Kind::Normal => ALLOWED[position].1.contains(&used.as_str()),
                Kind::Test => below && !STRANGERS.contains(&name.as_str()),
            };
            if !fine {
                complaints.push(format!("{name} must not use {used}"));
            }
        }
    }
    for (name, forbidden) in NEVER_NAMED {
        for (used, kind) in graph.members.get(name).into_iter().flatten() {
            if *kind == Kind::Normal && forbidden.contains(&used.as_str()) {
                complaints.push(format!("{name} must not name {used}"));
            }
        }
    }
    for (name, forbidden) in NEVER_IN_GRAPH {
        let reached = graph.closure(name);
        for found in forbidden.iter().filter(|crate_name| reached.contains(**crate_name)) {
            complaints.push(format!("{name} must not bring in {found}, directly or through another crate"));
        }
    }
    Ok(complaints)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Test,
}

struct Graph {
    /// Each member of the workspace and what it uses by itself.
    members: BTreeMap<String, Vec<(String, Kind)>>,
    /// What every package uses outside tests, by package id, after resolution.
    resolved: BTreeMap<String, Vec<String>>,
    names: BTreeMap<String, String>,
}

impl Graph {
    fn read(metadata: &Value) -> Result<Self> {
        let ids: BTreeSet<&str> = list(&metadata["workspace_members"]).filter_map(Value::as_str).collect();
        let mut members = BTreeMap::new();
        let mut names = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let id = text(package, "id")?;
            let name = text(package, "name")?;
            if ids.contains(id.as_str()) {
                let uses = list(&package["dependencies"])
                    .map(|used| Ok((text(used, "name")?, kind(&used["kind"]))))
                    .collect::<Result<Vec<_>>>()?;
                members.insert(name.clone(), uses);
            }
            names.insert(id, name);
        }
        let mut resolved = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let used = list(&node["deps"])
                .filter(|used| list(&used["dep_kinds"]).any(|entry| kind(&entry["kind"]) == Kind::Normal))
                .map(|used| text(used, "pkg"))
                .collect::<Result<Vec<_>>>()?;
            resolved.insert(text(node, "id")?, used);
        }
        anyhow::ensure!(!members.is_empty(), "cargo metadata names no members");
        Ok(Self { members, resolved, names })
    }

    /// The names of all packages that a member brings in outside tests.
    fn closure(&self, name: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let start = self.names.iter().find(|(_, found)| *found == name).map(|(id, _)| id.as_str());
        let mut open: Vec<&str> = start.into_iter().collect();
        while let Some(id) = open.pop() {
            for used in self.resolved.get(id).into_iter().flatten() {
                if let Some(name) = self.names.get(used)
                    && reached.insert(name.as_str())
                {
                    open.push(used);
                }
            }
        }
        reached
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value, member: &str) -> Result<String> {
    value[member].as_str().map(str::to_owned).with_context(|| format!("no {member} in cargo metadata"))
}

fn kind(value: &Value) -> Kind {
    // Absent and "build" end up in what is shipped.
    if value == "dev" { Kind::Test } else { Kind::Normal }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Value {
        let uses: Vec<Value> = uses.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        json!({"id": name, "name": name, "dependencies": uses})
    }

    fn node(name: &str, uses: &[&str]) -> Value {
        let uses: Vec<Value> =
            uses.iter().map(|used| json!({"pkg": used, "dep_kinds": [{"kind": null}]})).collect();
        json!({"id": name, "deps": uses})
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let metadata = json!({
            "workspace_members": ["berth-types", "berth-store"],
            "packages": [package("berth-types", &[("berth-store", None)]), package("berth-store", &[("berth-types", None)])],
            "resolve": {"nodes": []},
        });
        assert_eq!(check(&metadata).unwrap(), ["berth-types must not use berth-store"]);
    }

    #[test]
    fn tests_may_use_lower_crates_but_not_higher_ones() {
        let metadata = json!({
            "workspace_members": ["berth-server", "berth-store", "berth-e2e"],
            "packages": [
                package("berth-server", &[("berth-store", Some("dev"))]),
                package("berth-store", &[("berth-server", Some("dev"))]),
                package("berth-e2e", &[("berth-store", Some("dev"))]),
            ],
            "resolve": {"nodes": []},
        });
        assert_eq!(
            check(&metadata).unwrap(),
            ["berth-e2e must not use berth-store", "berth-store must not use berth-server"]
        );
    }

    #[test]
    fn what_comes_in_through_another_crate_is_found() {
        let metadata = json!({
            "workspace_members": ["berth-lifecycle"],
            "packages": [
                package("berth-lifecycle", &[("middle", None)]),
                package("middle", &[("tokio", None)]),
                package("tokio", &[]),
            ],
            "resolve": {"nodes": [node("berth-lifecycle", &["middle"]), node("middle", &["tokio"]), node("tokio", &[])]},
        });
        assert_eq!(
            check(&metadata).unwrap(),
            ["berth-lifecycle must not bring in tokio, directly or through another crate"]
        );
    }
}
