//! What `cargo metadata` says, as far as the checks need it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::command::{Result, cargo, read};

/// The platforms that releases are made for; the graph is that of their union.
const PLATFORMS: &[&str] = &["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// Every package of the graph.
pub(crate) struct Workspace {
    /// By package id, those of the workspace and foreign ones.
    pub(crate) packages: BTreeMap<String, Package>,
}

/// One package.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where it comes from; none for a package of this workspace.
    pub(crate) source: Option<String>,
    pub(crate) manifest: String,
    /// Ids of what it is linked or built with, on our platforms.
    pub(crate) depends_on: Vec<Edge>,
}

/// A dependency.
pub(crate) struct Edge {
    pub(crate) to: String,
    /// Whether it is there for tests only.
    pub(crate) dev_only: bool,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        let mut command = cargo("metadata");
        command.args(["--format-version", "1"]);
        for platform in PLATFORMS {
            command.args(["--filter-platform", platform]);
        }
        Self::parse(&read(&mut command)?)
    }

    /// Reads cargo's answer.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let root: Value = serde_json::from_str(text)?;
        let mut edges = BTreeMap::new();
        for node in items(&root["resolve"]["nodes"]) {
            edges.insert(string(&node["id"])?, items(&node["deps"]).map(edge).collect::<Result<Vec<_>>>()?);
        }
        let mut packages = BTreeMap::new();
        for package in items(&root["packages"]) {
            let id = string(&package["id"])?;
            // A package without a node is for another platform.
            let Some(depends_on) = edges.remove(&id) else { continue };
            packages.insert(
                id,
                Package {
                    name: string(&package["name"])?,
                    version: string(&package["version"])?,
                    source: package["source"].as_str().map(str::to_owned),
                    manifest: string(&package["manifest_path"])?,
                    depends_on,
                },
            );
        }
        if packages.is_empty() {
            return Err("cargo metadata names no package".into());
        }
        Ok(Self { packages })
    }

    /// The packages of this workspace.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| package.source.is_none())
    }

    /// The packages that a package depends on, with whether for tests only.
    pub(crate) fn edges<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = (&'a Package, bool)> {
        package.depends_on.iter().filter_map(|edge| Some((self.packages.get(&edge.to)?, edge.dev_only)))
    }
}

fn edge(dep: &Value) -> Result<Edge> {
    let dev_only = items(&dep["dep_kinds"]).all(|kind| kind["kind"] == "dev");
    Ok(Edge { to: string(&dep["pkg"])?, dev_only })
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn string(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "cargo metadata has another form than expected".into())
}
