//! The bundle of sources, on a machine without network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotcell_testkit::{full_only, have_program, is_root, skip};

use super::{fresh, outside, said};
use crate::command::root;
use crate::dist::{Release, build, files, sources};

/// Makes the bundle and unpacks it, and gives the folder.
fn unpacked(place: &Path) -> PathBuf {
    let release = Release {
        version: build::version().unwrap(),
        architecture: "x86_64",
        times: files::Times(1_700_000_000),
        stage: place.join("stage"),
    };
    let bundle = sources::bundle(&release, place).unwrap();
    said(Command::new("tar").arg("-xzf").arg(&bundle).arg("-C").arg(place));
    place.join(format!("hotcell-{}-vendored", release.version))
}

/// Cargo in the unpacked folder, with a home that has nothing, and where we may, without a network interface.
fn cargo(folder: &Path, home: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = match is_root() && have_program("unshare") {
        true => {
            let mut command = Command::new("unshare");
            command.arg("--net").arg(cargo);
            command
        }
        false => Command::new(cargo),
    };
    command.current_dir(folder).env("CARGO_HOME", home).env("CARGO_NET_OFFLINE", "true");
    command.env_remove("CARGO_TARGET_DIR");
    command
}

#[test]
fn own_sources_are_complete_and_a_link_stays_one() {
    if !root().join(".git").exists() {
        skip!("needs a checkout of the repository");
    }
    let place = fresh("own-sources");
    sources::own(&place).unwrap();
    for name in ["Cargo.lock", "LICENSE", "crates/cli/src/main.rs", ".cargo/config.toml", "xtask/src/dist.rs"] {
        assert!(place.join(name).is_file(), "{name}");
    }
    let link = place.join("crates/cli/demo/model.onnx");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && link.is_file());
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn a_crate_that_is_not_needed_is_hollow_and_a_needed_one_is_whole() {
    let place = fresh("hollow");
    for name in ["needed-1.0.0", "other-2.0.0"] {
        let write = |file: &str, text: &str| files::write(&place.join(name).join(file), text.as_bytes()).unwrap();
        write(
            "Cargo.toml",
            "[package]\nname = \"x\"\nversion = \"2.0.0\"\n[lib]\npath = \"odd.rs\"\n[features]\nf = []\n",
        );
        write("odd.rs", "pub fn f() {}");
        write("lib/import.a", "large");
        write(".cargo-checksum.json", "{\"files\":{\"odd.rs\":\"00\"},\"package\":\"11\"}");
    }
    sources::hollow(&place, &BTreeSet::from(["needed-1.0.0".to_owned()])).unwrap();
    assert!(place.join("needed-1.0.0/lib/import.a").is_file() && place.join("needed-1.0.0/odd.rs").is_file());
    let other = place.join("other-2.0.0");
    assert!(!other.join("lib").exists() && !other.join("odd.rs").exists());
    let manifest = fs::read_to_string(other.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("[features]") && manifest.contains("build = false") && !manifest.contains("odd.rs"));
    let sums = fs::read_to_string(other.join(".cargo-checksum.json")).unwrap();
    assert_eq!(sums, "{\"files\":{},\"package\":\"11\"}");
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn the_bundle_builds_without_network_and_without_anything_of_this_machine() {
    full_only!();
    let place = outside("vendored");
    let folder = unpacked(&place);
    let home = place.join("home");
    let mut known = cargo(&folder, &home);
    said(known.args(["metadata", "--locked", "--offline", "--format-version", "1"]));
    let mut build = cargo(&folder, &home);
    build.args(["build", "--locked", "--offline", "--package", "hotcell"]);
    said(build.args(["--config", "profile.dev.package.'*'.opt-level=0"]));
    let triple = said(Command::new("rustc").arg("-vV"));
    let triple = triple.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    said(Command::new(folder.join("target").join(triple).join("debug/hotcell")).arg("--version"));
    fs::remove_dir_all(place).unwrap();
}
