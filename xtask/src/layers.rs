//! Who may depend on whom: the layers of `ARCHITECTURE.md` as data, held against the real graph.

use std::collections::BTreeSet;
use std::fs;

use crate::command::{Result, title};
use crate::metadata::{Package, Workspace};

/// The layers, from the bottom. A crate may depend on crates of lower layers only.
const LAYERS: &[(&str, &[&str])] = &[
    ("words", &["hotcell-types", "hotcell-sys"]),
    ("launcher", &["hotcell-launcher"]),
    ("proofs", &["hotcell-policy", "hotcell-crypto"]),
    // A proof too; it holds blobs against digests, which crypto makes.
    ("images", &["hotcell-oci"]),
    // So is this one; its fields are hashed and encrypted by crypto.
    ("views", &["hotcell-disclosure"]),
    (
        "engines",
        &[
            "hotcell-isolate",
            "hotcell-vault",
            "hotcell-models",
            "hotcell-inspect",
            "hotcell-audit",
            "hotcell-egress",
            "hotcell-selftest",
        ],
    ),
    ("spine", &["hotcell-task"]),
    ("edge", &["hotcell"]),
];

/// Crates that only tests may use.
const TESTS_ONLY: &[&str] = &["hotcell-testkit"];

/// Crates of the workspace that nothing may depend on.
const TOOLS: &[&str] = &["xtask"];

/// Crates of ours that only the named crates may use, whatever the layers say.
const USED_BY: &[(&str, &[&str])] = &[
    // The launcher is started by its engine and carried by the binary; nobody else knows its plan.
    ("hotcell-launcher", &["hotcell-isolate", "hotcell"]),
    // System calls that change a process are for those who contain one.
    ("hotcell-sys", &["hotcell-launcher", "hotcell-isolate", "hotcell-selftest", "hotcell"]),
];

/// Foreign crates that only the named crates may depend on directly (tests apart).
const FOREIGN_USED_BY: &[(&str, &[&str])] = &[
    ("clap", &["hotcell"]),
    ("clap_complete", &["hotcell"]),
    ("clap_mangen", &["hotcell"]),
    ("miette", &["hotcell"]),
    ("anyhow", &["hotcell"]),
    ("indicatif", &["hotcell"]),
    ("comfy-table", &["hotcell"]),
    ("tracing-subscriber", &["hotcell"]),
    ("cedar-policy", &["hotcell-policy"]),
    ("age", &["hotcell-crypto"]),
    ("aws-lc-rs", &["hotcell-crypto"]),
    ("hpke", &["hotcell-crypto"]),
    ("aes", &["hotcell-crypto"]),
    ("fpe", &["hotcell-crypto"]),
    ("rten", &["hotcell-models"]),
    ("ureq", &["hotcell-oci"]),
    ("libc", &["hotcell-sys"]),
];

/// Foreign crates that nothing shipped may reach, at any depth: everything is synchronous and
/// takes bytes, readers or descriptors, so that it can be tested without a network.
const NOT_REACHED: &[&str] = &["tokio", "async-std", "hyper", "reqwest", "openssl-sys"];

/// The only crate with `unsafe`, and so the only one that does not inherit the workspace's lints.
const OWN_LINTS: &[&str] = &["hotcell-sys"];

/// Checks the whole graph, and names every bad edge.
pub(crate) fn check(workspace: &Workspace) -> Result {
    title("dependencies between crates");
    let mut bad = bad_edges(workspace);
    for package in workspace.ours() {
        if !OWN_LINTS.contains(&package.name.as_str()) && !inherits_lints(&fs::read_to_string(&package.manifest)?) {
            bad.push(format!("{} does not inherit the workspace's lints", package.name));
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(bad.join("\n  ").into()) }
}

fn bad_edges(workspace: &Workspace) -> Vec<String> {
    let mut bad = Vec::new();
    for from in workspace.ours() {
        let known = rank(&from.name).is_some() || is_tool(&from.name);
        if !known {
            bad.push(format!("{} stands in no layer (xtask/src/layers.rs)", from.name));
            continue;
        }
        for (to, dev_only) in workspace.edges(from) {
            let reason = match to.source {
                None => own_edge(from, to, dev_only),
                Some(_) => foreign_edge(from, to, dev_only),
            };
            if let Some(reason) = reason {
                bad.push(format!("{} -> {}: {reason}", from.name, to.name));
            }
        }
        if rank(&from.name).is_some() {
            for name in reached(workspace, from) {
                bad.push(format!("{} reaches {name}: nothing shipped may", from.name));
            }
        }
    }
    bad
}

fn own_edge(from: &Package, to: &Package, dev_only: bool) -> Option<String> {
    let (from, to) = (from.name.as_str(), to.name.as_str());
    if TOOLS.contains(&to) {
        return Some("nothing depends on a tool".into());
    }
    if TESTS_ONLY.contains(&to) {
        return (!dev_only).then(|| "only a dev-dependency may name it".into());
    }
    if dev_only || is_tool(from) {
        return None;
    }
    let (above, below) = (rank(from)?, rank(to)?);
    if below >= above {
        let layer = |rank: usize| LAYERS.get(rank).map_or("", |layer| layer.0);
        return Some(format!("{} may not depend on {}", layer(above), layer(below)));
    }
    not_among(USED_BY, from, to)
}

fn foreign_edge(from: &Package, to: &Package, dev_only: bool) -> Option<String> {
    if dev_only || is_tool(&from.name) { None } else { not_among(FOREIGN_USED_BY, &from.name, &to.name) }
}

fn not_among(table: &[(&str, &[&str])], from: &str, to: &str) -> Option<String> {
    let (_, users) = table.iter().find(|(name, _)| *name == to)?;
    (!users.contains(&from)).then(|| format!("only {} may", users.join(", ")))
}

/// The forbidden foreign crates that a crate links, at any depth, tests apart.
fn reached<'a>(workspace: &'a Workspace, from: &'a Package) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(package) = todo.pop() {
        for (to, dev_only) in workspace.edges(package) {
            if !dev_only && seen.insert((to.name.as_str(), to.version.as_str())) {
                todo.push(to);
            }
        }
    }
    seen.into_iter().map(|(name, _)| name).filter(|name| NOT_REACHED.contains(name)).collect()
}

fn rank(name: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, crates)| crates.contains(&name))
}

fn is_tool(name: &str) -> bool {
    TOOLS.contains(&name) || TESTS_ONLY.contains(&name)
}

fn inherits_lints(manifest: &str) -> bool {
    let Ok(manifest) = manifest.parse::<toml::Table>() else { return false };
    manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A graph from `(from, to, kind)`; names without `hotcell` are foreign.
    fn graph(edges: &[(&str, &str, Option<&str>)]) -> Workspace {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        let source = |name: &str| if name.starts_with("hotcell") || name == "xtask" { None } else { Some("registry") };
        let packages = names.iter().map(
            |name| json!({"id": name, "name": name, "version": "1.0.0", "source": source(name), "manifest_path": "-"}),
        );
        let nodes = names.iter().map(|name| {
            let deps = edges.iter().filter(|(from, ..)| from == name);
            let deps = deps.map(|(_, to, kind)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]}));
            json!({"id": name, "deps": deps.collect::<Vec<_>>()})
        });
        let text = json!({
            "packages": packages.collect::<Vec<_>>(),
            "resolve": {"nodes": nodes.collect::<Vec<_>>()},
        });
        Workspace::parse(&text.to_string()).unwrap()
    }

    #[test]
    fn a_bad_edge_is_named_with_its_reason() {
        let dev = Some("dev");
        let build = Some("build");
        for (from, to, kind, expected) in [
            (
                "hotcell-audit",
                "hotcell-vault",
                None,
                "hotcell-audit -> hotcell-vault: engines may not depend on engines",
            ),
            ("hotcell-types", "hotcell-policy", None, "words may not depend on proofs"),
            ("hotcell-isolate", "hotcell-task", build, "engines may not depend on spine"),
            ("hotcell-crypto", "hotcell-policy", None, "proofs may not depend on proofs"),
            ("hotcell-vault", "hotcell-launcher", None, "only hotcell-isolate, hotcell may"),
            (
                "hotcell-inspect",
                "hotcell-sys",
                None,
                "only hotcell-launcher, hotcell-isolate, hotcell-selftest, hotcell may",
            ),
            ("hotcell-audit", "hotcell-testkit", None, "only a dev-dependency may name it"),
            ("hotcell-audit", "xtask", dev, "nothing depends on a tool"),
            ("hotcell-policy", "clap", None, "hotcell-policy -> clap: only hotcell may"),
            ("hotcell-task", "miette", None, "only hotcell may"),
            ("hotcell-vault", "aws-lc-rs", None, "only hotcell-crypto may"),
            ("hotcell-audit", "tokio", None, "hotcell-audit reaches tokio"),
            ("hotcell-new", "serde", None, "hotcell-new stands in no layer"),
        ] {
            let bad = bad_edges(&graph(&[(from, to, kind)]));
            assert!(bad.iter().any(|line| line.contains(expected)), "{from} -> {to} gave {bad:?}");
        }
    }

    #[test]
    fn a_forbidden_crate_is_found_below_a_harmless_one() {
        let bad = bad_edges(&graph(&[("hotcell-audit", "harmless", None), ("harmless", "tokio", None)]));
        assert_eq!(bad, ["hotcell-audit reaches tokio: nothing shipped may"]);
    }

    #[test]
    fn good_edges_pass() {
        for (from, to, kind) in [
            ("hotcell-task", "hotcell-vault", None),
            ("hotcell-isolate", "hotcell-launcher", None),
            ("hotcell", "clap", None),
            ("hotcell-audit", "hotcell-testkit", Some("dev")),
            ("hotcell-audit", "clap", Some("dev")),
            ("xtask", "toml", None),
        ] {
            assert_eq!(bad_edges(&graph(&[(from, to, kind)])), Vec::<String>::new(), "{from} -> {to}");
        }
    }

    #[test]
    fn lints_are_inherited_only_by_saying_so() {
        assert!(inherits_lints("[lints]\nworkspace = true"));
        assert!(!inherits_lints("[lints]\nworkspace = false"));
        assert!(!inherits_lints("[lints.rust]\nunsafe_code = \"warn\""));
        assert!(!inherits_lints("[package]\nname = \"x\""));
    }
}
