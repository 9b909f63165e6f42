//! The licences of all foreign crates that are linked into the program, whose texts have to be passed on with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{build, sbom};
use crate::command::Result;

/// Files that hold a licence or a notice.
const NAMES: &[&str] = &["licen", "copying", "notice", "unlicense"];

/// Every text once, under the crates that it belongs to.
pub(super) fn text() -> Result<String> {
    let metadata = build::metadata()?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::new();
    for package in sbom::linked(&metadata)?.into_iter().filter(|package| package.is_foreign()) {
        let name = format!("{} {}", package.name, package.version);
        list.push_str(&format!("{name}: {}\n", package.licence));
        for text in of_folder(&package.folder)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    let mut whole = format!("Hotcell is linked with these crates:\n\n{list}");
    for (text, names) in texts {
        whole.push_str(&format!("\n{}\n{}\n\n{}\n", "-".repeat(80), names.join(", "), text.trim_end()));
    }
    Ok(whole)
}

fn of_folder(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if NAMES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            texts.push(String::from_utf8_lossy(&fs::read(entry.path())?).into_owned());
        }
    }
    Ok(texts)
}
