//! The sources, with those of every foreign crate: what a machine without network needs to build Hotcell.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Release, files};
use crate::command::{Result, cargo, read, root, title};
use crate::metadata::Workspace;

/// What tells cargo to look in the folder and nowhere else.
pub(super) const CONFIG: &str = "
# The foreign crates lie in `vendor`; no network is needed.
[source.crates-io]
replace-with = \"vendored-sources\"

[source.vendored-sources]
directory = \"vendor\"

[net]
offline = true
";

/// Puts the bundle together.
pub(super) fn bundle(release: &Release, output: &Path) -> Result<PathBuf> {
    title("sources with their dependencies");
    let name = format!("hotcell-{}-vendored", release.version);
    let folder = release.stage.join(&name);
    own(&folder)?;
    let vendor = folder.join("vendor");
    read(cargo("vendor").args(["--quiet", "--versioned-dirs"]).arg(&vendor))?;
    let needed = Workspace::load()?;
    let needed = needed.packages.values().map(|package| format!("{}-{}", package.name, package.version)).collect();
    hollow(&vendor, &needed)?;
    let config = folder.join(".cargo/config.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(&config, format!("{text}{CONFIG}"))?;
    files::tar_gz(release, &release.stage, &name, &output.join(format!("{name}.tar.gz")))
}

/// Leaves of every crate that no platform of ours builds only what cargo reads to know it: half of the bundle would be
/// import libraries of another system.
pub(super) fn hollow(vendor: &Path, needed: &BTreeSet<String>) -> Result {
    for entry in fs::read_dir(vendor)? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if needed.contains(&name) {
            continue;
        }
        let mut manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml"))?.parse()?;
        for target in ["lib", "bin", "example", "test", "bench"] {
            manifest.remove(target);
        }
        if let Some(package) = manifest.get_mut("package").and_then(toml::Value::as_table_mut) {
            package.insert("build".to_owned(), false.into());
            // Both would name something that is gone.
            package.remove("links");
            package.remove("default-run");
        }
        let library = toml::Table::from_iter([("path".to_owned(), "src/lib.rs".into())]);
        manifest.insert("lib".to_owned(), library.into());
        let mut sums: serde_json::Value = serde_json::from_slice(&fs::read(folder.join(SUMS))?)?;
        sums["files"] = serde_json::json!({});
        fs::remove_dir_all(&folder)?;
        files::write(&folder.join("Cargo.toml"), toml::to_string(&manifest)?.as_bytes())?;
        files::write(&folder.join("src/lib.rs"), b"")?;
        files::write(&folder.join(SUMS), sums.to_string().as_bytes())?;
    }
    Ok(())
}

/// Cargo's digests of a vendored crate.
const SUMS: &str = ".cargo-checksum.json";

/// Every file of ours that the repository holds.
pub(super) fn own(folder: &Path) -> Result {
    let listed = read(files::git().args(["ls-files", "-z"]))?;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), folder.join(name));
        if let Some(above) = to.parent() {
            fs::create_dir_all(above)?;
        }
        match fs::symlink_metadata(&from).map_err(|error| format!("{name}: {error}"))?.is_symlink() {
            true => symlink(fs::read_link(&from)?, &to)?,
            false => fs::copy(&from, &to).map(drop)?,
        }
    }
    Ok(())
}
