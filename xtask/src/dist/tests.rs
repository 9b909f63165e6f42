//! The release is tried as its users meet it: installed, verified, used, removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use hotcell_testkit::{data_dir, require_program, require_root, skip};
use serde_json::Value;

use super::{Wishes, build, files, make, sbom, sign, wishes};
use crate::ordinary::Ordinary;

/// A release of the program that the tests were built beside, made once for all tests; none where it cannot be made.
static RELEASE: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = data_dir().join("release");
    let program = stripped()?;
    let wishes = Wishes { output: folder.clone(), binary: Some(program), sign: None, sources: false };
    make(&wishes).unwrap();
    Ok(folder)
});

/// The program without what a debugger wants, so that packing takes seconds.
fn stripped() -> Result<PathBuf, String> {
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("hotcell");
    if !built.is_file() {
        return Err(format!("needs the program hotcell, built before ({})", built.display()));
    }
    for tool in ["strip", "dpkg-deb", "git", "gzip", "tar"] {
        if !hotcell_testkit::have_program(tool) {
            return Err(format!("needs the program `{tool}`"));
        }
    }
    if !crate::command::root().join(".git").exists() {
        return Err("needs a checkout of the repository".to_owned());
    }
    let program = data_dir().join("hotcell-stripped");
    let mut command = Command::new("strip");
    said(command.arg("-o").arg(&program).arg(built));
    Ok(program)
}

macro_rules! release {
    () => {
        match &*RELEASE {
            Ok(folder) => folder,
            Err(reason) => skip!("{reason}"),
        }
    };
}

/// Runs, expects success and gives standard output.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The one file of the release that ends so.
fn file(folder: &Path, end: &str) -> PathBuf {
    let mut found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    found.find(|path| path.to_string_lossy().ends_with(end)).unwrap_or_else(|| panic!("no {end}"))
}

/// A new folder of this name.
fn fresh(name: &str) -> PathBuf {
    let folder = data_dir().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A new folder outside of the checkout.
fn outside(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hotcell-{name}-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    folder
}

#[test]
fn the_debian_package_is_installed_used_by_an_ordinary_user_and_removed() {
    require_root!();
    let release = release!();
    let place = fresh("deb-root");
    fs::create_dir_all(place.join("var/lib/dpkg/updates")).unwrap();
    fs::create_dir_all(place.join("var/lib/dpkg/info")).unwrap();
    fs::write(place.join("var/lib/dpkg/status"), "").unwrap();
    let dpkg = |words: &[&str]| {
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", place.display())).arg("--force-script-chrootless").args(words);
        said(&mut command)
    };
    dpkg(&["--install", &file(release, ".deb").to_string_lossy()]);
    assert_eq!(dpkg(&["--verify", "hotcell"]), "", "what was installed is what was packed");
    let listed: BTreeSet<String> = dpkg(&["--listfiles", "hotcell"]).lines().map(str::to_owned).collect();
    for path in [
        "/usr/bin/hotcell",
        "/usr/share/man/man1/hotcell.1.gz",
        "/usr/share/man/man1/hotcell-audit-verify.1.gz",
        "/usr/share/bash-completion/completions/hotcell",
        "/usr/share/zsh/vendor-completions/_hotcell",
        "/usr/share/fish/vendor_completions.d/hotcell.fish",
        "/usr/share/doc/hotcell/copyright",
        "/usr/share/doc/hotcell/changelog.gz",
        "/usr/share/doc/hotcell/THIRD-PARTY-LICENCES",
    ] {
        assert!(listed.contains(path), "{path} is missing: {listed:?}");
    }

    let user = Ordinary::new(data_dir().join("deb-user")).unwrap();
    let installed = place.join("usr/bin/hotcell");
    assert_eq!(
        said(user.command(&installed).arg("--version")).trim(),
        format!("hotcell {}", build::version().unwrap())
    );
    let demo = said(user.command(&installed).args(["--json", "demo"]));
    let last: Value = serde_json::from_str(demo.lines().last().unwrap()).unwrap();
    assert_eq!((&last["good"], &last["rows_scored"]), (&true.into(), &569.into()), "{last}");

    dpkg(&["--remove", "hotcell"]);
    assert!(!installed.exists());
    let rest = files::below(&place.join("usr")).unwrap_or_default();
    assert!(rest.iter().all(|path| path.is_dir()), "{rest:?}");
    fs::remove_dir_all(place).unwrap();
}

/// Whether a program (64 bits, little-endian) has a header of the kind `PT_INTERP`.
fn names_a_loader(elf: &[u8]) -> bool {
    const PT_INTERP: [u8; 4] = 3u32.to_le_bytes();
    let word =
        |at: usize, length: usize| elf[at..at + length].iter().rev().fold(0, |sum, byte| sum << 8 | *byte as usize);
    let (headers, size, count) = (word(32, 8), word(54, 2), word(56, 2));
    (0..count).any(|number| elf[headers + number * size..].starts_with(&PT_INTERP))
}

#[test]
fn the_tarball_holds_a_static_program_with_its_manual_and_completions() {
    let release = release!();
    let place = fresh("tarball");
    said(Command::new("tar").arg("-xzf").arg(file(release, "-linux.tar.gz")).arg("-C").arg(&place));
    let folder = fs::read_dir(&place).unwrap().next().unwrap().unwrap().path();
    let program = folder.join("bin/hotcell");
    said(Command::new(&program).arg("--version"));
    let elf = fs::read(&program).unwrap();
    assert!(!names_a_loader(&elf), "it names a dynamic loader");
    for document in ["README.md", "LICENSE", "CHANGELOG.md", "THIRD-PARTY-LICENCES"] {
        assert!(folder.join(document).is_file(), "{document}");
    }
    let manual = fs::read_to_string(folder.join("share/man/man1/hotcell-run.1")).unwrap();
    assert!(manual.contains(".SH NAME") && manual.contains("best\\-effort"), "{manual}");
    let licences = fs::read_to_string(folder.join("THIRD-PARTY-LICENCES")).unwrap();
    assert!(licences.contains("serde 1.") && licences.contains("Permission is hereby granted"));
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn bash_completes_commands_options_and_values() {
    require_program!("bash");
    let release = release!();
    let place = fresh("completion");
    said(Command::new("tar").arg("-xzf").arg(file(release, "-linux.tar.gz")).arg("-C").arg(&place));
    let folder = fs::read_dir(&place).unwrap().next().unwrap().unwrap().path();
    let script = folder.join("share/bash-completion/completions/hotcell");
    for (words, expected) in
        [("hotcell rec", "receipt"), ("hotcell receipt ver", "verify"), ("hotcell run --best", "--best-effort")]
    {
        let last = words.rsplit(' ').next().unwrap();
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _hotcell hotcell '{last}' ''; echo ${{COMPREPLY[*]}}",
            script.display()
        );
        assert_eq!(said(Command::new("bash").args(["-c", &ask])).trim(), expected, "{words}");
    }
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn two_releases_of_one_commit_are_the_same_bytes() {
    let release = release!();
    let again = data_dir().join("release-again");
    // Another folder, another mask for new files, other times of the files.
    make(&Wishes { output: again.clone(), binary: Some(stripped().unwrap()), sign: None, sources: false }).unwrap();
    let (one, other) = (release.join(sign::SUMS), again.join(sign::SUMS));
    assert_eq!(fs::read_to_string(one).unwrap(), fs::read_to_string(other).unwrap());
    fs::remove_dir_all(again).unwrap();
}

#[test]
fn the_checksums_and_their_signature_are_checked_by_public_tools_and_notice_a_change() {
    require_program!("minisign");
    let release = release!();
    let place = fresh("signed");
    for entry in fs::read_dir(release).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, place.join(path.file_name().unwrap())).unwrap();
    }
    let (key, public) = (place.join("key"), place.join("key.pub"));
    said(Command::new("minisign").args(["-G", "-W", "-s"]).arg(&key).arg("-p").arg(&public));
    let signed = super::Release {
        version: "0".to_owned(),
        architecture: "x86_64",
        times: files::Times(0),
        stage: PathBuf::new(),
    };
    sign::sign(&signed, &key, &place).unwrap();
    let verify = || {
        let mut signature = Command::new("minisign");
        signature.args(["-V", "-m", sign::SUMS, "-p"]).arg(&public).current_dir(&place);
        let mut sums = Command::new("sha256sum");
        sums.args(["--check", "--strict", sign::SUMS]).current_dir(&place);
        (signature.output().unwrap().status.success(), sums.output().unwrap().status.success())
    };
    assert_eq!(verify(), (true, true));
    let package = file(&place, ".deb");
    let mut bytes = fs::read(&package).unwrap();
    bytes[100] ^= 1;
    fs::write(&package, &bytes).unwrap();
    assert_eq!(verify(), (true, false));
    let sums = place.join(sign::SUMS);
    fs::write(&sums, fs::read_to_string(&sums).unwrap().replacen('a', "b", 1)).unwrap();
    assert_eq!(verify(), (false, false));
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn the_bill_of_materials_has_what_the_schema_demands_and_what_is_linked() {
    let release = release!();
    let document: Value = serde_json::from_slice(&fs::read(file(release, ".cdx.json")).unwrap()).unwrap();
    assert_eq!((&document["bomFormat"], &document["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(document["version"], 1);
    let serial = document["serialNumber"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
    assert_eq!(serial.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert_eq!(document["metadata"]["component"]["name"], "hotcell");
    let components = document["components"].as_array().unwrap();
    let mut refs: BTreeSet<&str> = components.iter().map(|part| part["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(refs.len(), components.len(), "each has a reference of its own");
    refs.insert(document["metadata"]["component"]["bom-ref"].as_str().unwrap());
    for part in components {
        for field in ["type", "name", "version", "purl"] {
            assert!(part[field].as_str().is_some_and(|text| !text.is_empty()), "{part}");
        }
        assert!(part["licenses"][0]["expression"].as_str().is_some_and(|text| !text.contains('/')), "{part}");
        let is_ours = part["name"].as_str().unwrap().starts_with("hotcell-");
        assert_eq!(part["hashes"][0]["content"].as_str().map_or(0, str::len), if is_ours { 0 } else { 64 }, "{part}");
    }
    for dependency in document["dependencies"].as_array().unwrap() {
        assert!(refs.contains(dependency["ref"].as_str().unwrap()));
        for on in dependency["dependsOn"].as_array().unwrap() {
            assert!(refs.contains(on.as_str().unwrap()), "{dependency}");
        }
    }
    let scope = |name: &str| components.iter().find(|part| part["name"] == name).map(|part| part["scope"].clone());
    for (name, expected) in
        [("aws-lc-sys", Some("required")), ("serde_derive", Some("excluded")), ("cc", Some("excluded"))]
    {
        assert_eq!(scope(name), expected.map(Value::from), "{name}");
    }
    for absent in ["hotcell-testkit", "xtask", "trybuild", "proptest", "windows-sys"] {
        assert_eq!(scope(absent), None, "{absent} is not shipped");
    }
}

#[test]
fn folders_of_the_building_machine_are_found_in_a_program() {
    let folders = [PathBuf::from("/home/somebody/hotcell"), PathBuf::from("/opt/elsewhere")];
    let told = |text: &str| build::told(text.as_bytes(), &folders);
    assert_eq!(told("x\0/home/somebody/hotcell/src/main.rs\0"), ["/home/somebody/hotcell/"]);
    assert_eq!(told("hotcell/src/main.rs /home/somebody/hotcell-two /opt"), Vec::<String>::new());
}

#[test]
fn a_release_overwrites_nothing_but_a_release() {
    let place = fresh("not-a-release");
    fs::write(place.join("thesis.txt"), "years of work").unwrap();
    let mine = Wishes { output: place.clone(), binary: Some(place.join("thesis.txt")), sign: None, sources: false };
    assert!(make(&mine).unwrap_err().to_string().contains("holds something else"));
    assert!(place.join("thesis.txt").is_file());
    fs::remove_dir_all(place).unwrap();
    assert!(wishes(&["--outptu".to_owned()]).is_err() && wishes(&["--sign".to_owned()]).is_err());
}

#[test]
fn what_only_runs_during_the_build_is_outside_of_the_program() {
    let package = |name: &str, kind: &str| {
        serde_json::json!({
            "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "manifest_path": format!("/x/{name}/Cargo.toml"),
            "source": if name == "hotcell" { Value::Null } else { "registry".into() }, "targets": [{ "kind": [kind] }],
        })
    };
    let dep = |to: &str, kind: Value| serde_json::json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] });
    let metadata = serde_json::json!({
        "packages": [package("hotcell", "bin"), package("inside", "lib"), package("macros", "proc-macro"), package("syn", "lib"),
            package("cc", "lib"), package("tests", "lib"), package("both", "lib")],
        "resolve": { "nodes": [
            { "id": "hotcell", "deps": [dep("inside", Value::Null), dep("macros", Value::Null),
                dep("tests", "dev".into())] },
            { "id": "inside", "deps": [dep("cc", "build".into()), dep("both", Value::Null)] },
            { "id": "macros", "deps": [dep("syn", Value::Null)] },
            { "id": "syn", "deps": [dep("both", Value::Null)] },
        ] },
    });
    let linked = sbom::linked(&metadata).unwrap();
    let read: Vec<_> = linked.iter().map(|package| (package.name.as_str(), package.is_inside())).collect();
    let expected =
        [("both", true), ("cc", false), ("hotcell", true), ("inside", true), ("macros", false), ("syn", false)];
    assert_eq!(read, expected);
    assert_eq!(linked[0].licence, "MIT OR Apache-2.0");
}

mod crates;
mod offline;
