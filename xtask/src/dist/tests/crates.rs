//! `cargo install hotcell`: every crate that would be published is whole by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotcell_testkit::full_only;
use serde_json::Value;

use super::{fresh, outside, said};
use crate::command::cargo;
use crate::dist::{build, files};

/// The crates of the workspace that may be published.
fn published() -> Vec<Value> {
    let metadata = build::metadata().unwrap();
    let ours = metadata["packages"].as_array().unwrap().iter().filter(|package| package["source"].is_null());
    ours.filter(|package| package["publish"].is_null()).cloned().collect()
}

/// Packs every crate as for publishing and unpacks it again, into one folder.
fn unpacked(place: &Path) -> Vec<PathBuf> {
    let mut pack = cargo("package");
    pack.args(["--workspace", "--exclude", "hotcell-testkit", "--exclude", "xtask"]);
    pack.args(["--no-verify", "--allow-dirty", "--offline", "--quiet", "--target-dir"]).arg(place.join("packed"));
    said(&mut pack);
    let mut folders = Vec::new();
    for entry in fs::read_dir(place.join("packed/package")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "crate") {
            said(Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(place));
            folders.push(place.join(path.file_stem().unwrap()));
        }
    }
    folders.sort();
    folders
}

#[test]
fn every_published_crate_says_what_it_is() {
    let published = published();
    assert!(published.len() >= 12);
    for package in published {
        for field in ["description", "license", "repository"] {
            assert!(package[field].as_str().is_some_and(|text| !text.is_empty()), "{}: {field}", package["name"]);
        }
    }
}

#[test]
fn every_file_that_a_published_crate_embeds_is_in_it() {
    let place = fresh("published");
    let folders = unpacked(&place);
    assert_eq!(folders.len(), published().len());
    let mut embedded = 0;
    for source in folders.iter().flat_map(|folder| files::below(&folder.join("src")).unwrap()) {
        // What tests embed is theirs: they run in the checkout.
        if source.extension().is_none_or(|extension| extension != "rs") || source.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&source).unwrap();
        for macro_name in ["include_str!(\"", "include_bytes!(\""] {
            for path in text.split(macro_name).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                let file = source.parent().unwrap().join(path);
                let kind = fs::symlink_metadata(&file);
                assert!(kind.is_ok_and(|kind| kind.is_file()), "{} lacks {path}", source.display());
                assert!(fs::canonicalize(&file).unwrap().starts_with(fs::canonicalize(&place).unwrap()), "{path}");
                embedded += 1;
            }
        }
    }
    assert!(embedded >= 10, "{embedded} embedded files were seen");
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn what_is_published_installs_and_runs() {
    full_only!();
    // Outside of the checkout, whose configuration a user of a registry does not have.
    let place = outside("published");
    let folders = unpacked(&place);
    let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    install.args(["install", "--offline", "--debug", "--path"]).arg(place.join("hotcell-0.1.0")).current_dir(&place);
    install.env_remove("CARGO_TARGET_DIR");
    for folder in folders.iter().filter(|folder| !folder.ends_with("hotcell-0.1.0")) {
        let name = folder.file_name().unwrap().to_string_lossy().rsplit_once('-').unwrap().0.to_owned();
        install.args(["--config", &format!("patch.crates-io.{name}.path={folder:?}")]);
    }
    install.arg("--root").arg(place.join("installed"));
    said(&mut install);
    let demo = said(Command::new(place.join("installed/bin/hotcell")).args(["--json", "demo"]));
    let last: Value = serde_json::from_str(demo.lines().last().unwrap()).unwrap();
    assert_eq!(last["good"], true, "{last}");
    fs::remove_dir_all(place).unwrap();
}
