//! The bill of materials: CycloneDX 1.5, from cargo's own graph.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Release, build, files, sign};
use crate::command::{Error, Result, read, root, title};

/// The package that is shipped.
const SHIPPED: &str = "hotcell";

/// A package that is linked into the program, or runs while it is built.
pub(super) struct Linked {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) licence: String,
    /// Where its sources lie.
    pub(super) folder: PathBuf,
    id: String,
    source: Option<String>,
    description: String,
    repository: Option<String>,
    /// Whether it is in the program, and not only used to build it.
    is_inside: bool,
    depends_on: Vec<String>,
}

impl Linked {
    /// Whether it is somebody else's.
    pub(super) fn is_foreign(&self) -> bool {
        self.source.is_some()
    }

    /// Whether it is in the program, and not only used to build it.
    #[cfg(test)]
    pub(super) fn is_inside(&self) -> bool {
        self.is_inside
    }

    /// Its name in the world of packages.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }
}

/// Writes the document.
pub(super) fn write(release: &Release, output: &Path) -> Result<PathBuf> {
    title("bill of materials");
    let mut document = document(release)?;
    let text = serde_json::to_string_pretty(&document)?;
    document["serialNumber"] = serial_number(&sign::sha256_of(text.as_bytes())?)?.into();
    let to = output.join(format!("hotcell-{}.cdx.json", release.version));
    files::write(&to, format!("{}\n", serde_json::to_string_pretty(&document)?).as_bytes())?;
    Ok(to)
}

fn document(release: &Release) -> Result<Value> {
    let metadata = build::metadata()?;
    let linked = linked(&metadata)?;
    let sums = checksums(&fs::read_to_string(root().join("Cargo.lock"))?)?;
    let purls: BTreeMap<_, _> = linked.iter().map(|package| (package.id.clone(), package.purl())).collect();
    let (shipped, others): (Vec<_>, Vec<_>) = linked.iter().partition(|package| package.name == SHIPPED);
    let shipped = shipped.first().ok_or("cargo metadata does not name what is shipped")?;
    let compiler = read(Command::new("rustc").arg("--version"))?;
    let mut main = component(shipped, &sums);
    main["type"] = "application".into();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": release.times.rfc3339()?,
            "tools": { "components": [{ "type": "application", "name": "cargo xtask dist", "version": release.version }] },
            "component": main,
            "properties": [{ "name": "hotcell:compiler", "value": compiler.trim() }],
        },
        "components": others.iter().map(|package| component(package, &sums)).collect::<Vec<_>>(),
        "dependencies": linked.iter().map(|package| {
            let on: BTreeSet<_> = package.depends_on.iter().filter_map(|id| purls.get(id)).collect();
            json!({ "ref": package.purl(), "dependsOn": on })
        }).collect::<Vec<_>>(),
    }))
}

fn component(package: &Linked, sums: &BTreeMap<(String, String), String>) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": package.purl(),
        "name": package.name,
        "version": package.version,
        "description": package.description,
        "scope": if package.is_inside { "required" } else { "excluded" },
        "licenses": [{ "expression": package.licence }],
        "purl": package.purl(),
    });
    if let Some(sum) = sums.get(&(package.name.clone(), package.version.clone())) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// What is shipped and all that it depends on, tests apart, by name. What only runs during the build is marked.
pub(super) fn linked(metadata: &Value) -> Result<Vec<Linked>> {
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let packages: BTreeMap<&str, &Value> =
        list(&metadata["packages"]).filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let shipped = packages.iter().find(|(_, package)| package["name"] == SHIPPED && package["source"].is_null());
    let (shipped, _) = shipped.ok_or("cargo metadata does not name what is shipped")?;

    // Whatever is reached by way of a procedural macro or of a build script stays outside.
    let mut reached: BTreeMap<&str, bool> = BTreeMap::new();
    let mut todo = vec![(*shipped, true)];
    while let Some((id, is_inside)) = todo.pop() {
        let is_inside = is_inside && !packages.get(id).is_some_and(|package| is_macro(package));
        if reached.get(id).is_some_and(|known| *known || !is_inside) {
            continue;
        }
        reached.insert(id, is_inside);
        for dependency in nodes.get(id).into_iter().flat_map(|node| list(&node["deps"])) {
            let Some(to) = dependency["pkg"].as_str() else { continue };
            let kinds: Vec<_> = list(&dependency["dep_kinds"]).map(|kind| &kind["kind"]).collect();
            if kinds.iter().any(|kind| kind.is_null()) {
                todo.push((to, is_inside));
            } else if kinds.iter().any(|kind| *kind == "build") {
                todo.push((to, false));
            }
        }
    }
    let mut linked = Vec::new();
    for (id, is_inside) in reached {
        let package = packages.get(id).ok_or("cargo metadata lacks a package")?;
        let depends_on = nodes.get(id).into_iter().flat_map(|node| list(&node["deps"]));
        linked.push(read_package(package, is_inside, depends_on)?);
    }
    linked.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(linked)
}

fn read_package<'a>(package: &Value, is_inside: bool, deps: impl Iterator<Item = &'a Value>) -> Result<Linked> {
    let text = |name: &str| package[name].as_str().map(str::to_owned);
    let need =
        |name: &str| text(name).ok_or_else(|| Error::from(format!("a package has no {name}: {}", package["id"])));
    let manifest = PathBuf::from(need("manifest_path")?);
    Ok(Linked {
        id: need("id")?,
        name: need("name")?,
        version: need("version")?,
        licence: need("license")?.replace('/', " OR "),
        folder: manifest.parent().map(Path::to_owned).unwrap_or_default(),
        source: text("source"),
        description: text("description").unwrap_or_default().trim().to_owned(),
        repository: text("repository"),
        is_inside,
        depends_on: deps.filter_map(|dep| dep["pkg"].as_str().map(str::to_owned)).collect(),
    })
}

fn is_macro(package: &Value) -> bool {
    list(&package["targets"]).any(|target| list(&target["kind"]).any(|kind| kind == "proc-macro"))
}

/// The digests of the lock file, by name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse()?;
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let text =
        |package: &toml::Value, name: &str| package.get(name).and_then(|value| value.as_str().map(str::to_owned));
    Ok(packages
        .filter_map(|package| Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?)))
        .collect())
}

/// A UUID that follows from the content, so that the same content bears the same one (version 8, RFC 9562).
fn serial_number(sha256: &str) -> Result<String> {
    let part = |from: usize, to: usize| sha256.get(from..to).ok_or("a digest is too short");
    Ok(format!("urn:uuid:{}-{}-8{}-a{}-{}", part(0, 8)?, part(8, 12)?, part(12, 15)?, part(15, 18)?, part(18, 30)?))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
