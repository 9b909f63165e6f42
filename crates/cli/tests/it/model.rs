//! `hotcell model`: scan, and the way of a model into the registry and into a task.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use hotcell_testkit::{require_program, skip, workspace};

use crate::hotcell::{Place, text};

/// A pickle that would run a program.
const HOSTILE: &[u8] = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.";

/// A place with a model, its author's key and signature.
fn place() -> Place {
    let place = Place::new();
    fs::copy(workspace().join("examples/biopsy/model.onnx"), place.path("biopsy.onnx")).unwrap();
    fs::copy(workspace().join("examples/biopsy/patients.csv"), place.path("patients.csv")).unwrap();
    place.expect(0, &["keygen", "--signing", "--output", "author"]);
    place.expect(0, &["model", "sign", "--key", "author", "--output", "biopsy.sig", "biopsy.onnx"]);
    place
}

fn add(place: &Place) {
    place.expect(
        0,
        &["model", "add", "--name", "biopsy", "--signature", "biopsy.sig", "--trust", "author.pub", "biopsy.onnx"],
    );
}

const RUN: &[&str] = &["run", "--model", "biopsy", "--input", "data=patients.csv", "--output", "out"];

#[test]
fn a_scan_says_what_files_are_and_why_they_are_refused() {
    let place = place();
    fs::create_dir(place.path("m")).unwrap();
    fs::write(place.path("m/good.json"), "{}").unwrap();
    place.expect(0, &["model", "scan", "m", "biopsy.onnx"]);
    fs::write(place.path("m/bad.bin"), HOSTILE).unwrap();
    let files = place.json(1, &["model", "scan", "--json", "m"]);
    let bad = files.as_array().unwrap().iter().find(|file| file["clean"] == false).unwrap();
    assert_eq!(bad["kind"], "pickle");
    let refusal = &bad["refused"][0];
    assert_eq!(refusal["kind"], "global");
    for part in ["place", "reason", "remedy"] {
        assert!(!refusal[part].as_str().unwrap().is_empty(), "{refusal}");
    }
    let told = place.expect(1, &["model", "scan", "m"]);
    assert!(told.contains("os.system") && told.contains("help: "), "{told}");
}

#[test]
fn a_model_runs_when_it_is_approved_and_neither_before_nor_after() {
    let place = place();
    add(&place);
    let refused = place.output(RUN);
    assert_eq!(refused.status.code(), Some(121));
    assert!(text(&refused.stderr).contains("hotcell model approve"), "{}", text(&refused.stderr));
    place.expect(0, &["model", "approve", "biopsy"]);
    place.expect(0, RUN);
    assert!(place.path("out/scores.csv").exists());
    place.expect(0, &["model", "verify", "biopsy"]);
    place.expect(0, &["model", "revoke", "biopsy"]);
    place.expect(121, RUN);
    place.expect(121, &["model", "approve", "biopsy"]);
    place.expect(0, &["model", "rm", "biopsy"]);
    place.expect(1, &["model", "show", "biopsy"]);
    let log = place.expect(0, &["audit", "show", "--json"]);
    for event in ["model-added", "model-approved", "model-revoked", "model-removed"] {
        assert!(log.contains(event), "{event}: {log}");
    }
    place.expect(0, &["audit", "verify"]);
}

#[test]
fn a_model_that_nobody_signed_is_taken_in_by_name_only() {
    let place = place();
    place.expect(121, &["model", "add", "--name", "biopsy", "biopsy.onnx"]);
    place.expect(2, &["model", "add", "--name", "biopsy", "--unsigned", "other", "biopsy.onnx"]);
    assert_eq!(place.json(0, &["model", "list", "--json"]).as_array().unwrap().len(), 0);
    place.expect(0, &["model", "add", "--name", "biopsy", "--unsigned", "biopsy", "biopsy.onnx"]);
    place.expect(0, &["model", "approve", "biopsy"]);
    place.expect(0, RUN);
    // The profile that demands a signature refuses it all the same.
    place.expect(121, &[RUN, &["--profile", "third-party"]].concat());
}

#[test]
fn a_signature_by_another_key_or_over_another_model_is_refused() {
    let place = place();
    place.expect(0, &["keygen", "--signing", "--output", "other"]);
    let with = |key: &str| {
        ["model", "add", "--name", "biopsy", "--signature", "biopsy.sig", "--trust", key, "biopsy.onnx"]
            .map(str::to_owned)
    };
    let add = |key: &str, status: i32| place.expect(status, &with(key).each_ref().map(String::as_str));
    add("other.pub", 123);
    let mut model = fs::read(place.path("biopsy.onnx")).unwrap();
    *model.last_mut().unwrap() ^= 1;
    fs::write(place.path("biopsy.onnx"), model).unwrap();
    add("author.pub", 123);
}

#[test]
fn what_the_scan_refuses_does_not_come_in_and_leaves_nothing() {
    let place = place();
    fs::create_dir(place.path("m")).unwrap();
    fs::write(place.path("m/model.pkl"), HOSTILE).unwrap();
    let refused = place.output(&["model", "add", "--unsigned", "m", "m"]);
    assert_eq!(refused.status.code(), Some(121));
    assert!(text(&refused.stderr).contains("os.system"), "{}", text(&refused.stderr));
    fs::remove_file(place.path("m/model.pkl")).unwrap();
    symlink("/etc/passwd", place.path("m/model.txt")).unwrap();
    place.expect(121, &["model", "add", "--unsigned", "m", "m"]);
    assert_eq!(place.json(0, &["model", "list", "--json"]).as_array().unwrap().len(), 0);
    assert!(place.expect(0, &["audit", "show", "--json"]).contains("model-refused"));
}

#[test]
fn a_model_that_is_altered_in_the_registry_is_not_used() {
    let place = place();
    add(&place);
    place.expect(0, &["model", "approve", "biopsy"]);
    let shown = place.json(0, &["model", "show", "--json", "biopsy"]);
    let digest = shown["model"]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let file = place.state().join("models").join(digest).join("model/biopsy.onnx");
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    place.expect(123, &["model", "verify", "biopsy"]);
    place.expect(123, RUN);
}

#[test]
fn a_signed_model_of_the_registry_meets_a_profile_that_demands_a_signature() {
    let place = place();
    add(&place);
    place.expect(0, &["model", "approve", "biopsy"]);
    let asked = place.expect(0, &[RUN, &["--profile", "third-party", "--dry-run"]].concat());
    assert!(asked.contains("third-party"), "{asked}");
}

/// Bundles as the public tool makes them. It needs the network's package registry, once.
#[test]
fn a_bundle_of_model_signing_verifies_and_one_of_altered_files_does_not() {
    require_program!("python3");
    require_program!("openssl");
    let place = place();
    let run = |program: &str, words: &[&str]| {
        let made = Command::new(program).args(words).current_dir(place.path(".")).output();
        made.is_ok_and(|made| made.status.success())
    };
    if !run("python3", &["-m", "venv", "venv"]) {
        skip!("python3 makes no virtual environment here");
    }
    if !run("venv/bin/pip", &["install", "-q", "--retries", "0", "model-signing", "pyOpenSSL"]) {
        skip!("the registry of Python packages is not reached");
    }
    assert!(run("openssl", &["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "ec.pem"]));
    assert!(run("openssl", &["ec", "-in", "ec.pem", "-pubout", "-out", "ec.pub"]));
    fs::create_dir_all(place.path("m/sub")).unwrap();
    fs::write(place.path("m/config.json"), "{}").unwrap();
    fs::write(place.path("m/sub/vocab.txt"), "a\nb\n").unwrap();
    assert!(run("venv/bin/model_signing", &["sign", "key", "m", "--private_key", "ec.pem", "--signature", "m.sig"]));
    let add = ["model", "add", "--signature", "m.sig", "--trust", "ec.pub", "m"];
    fs::write(place.path("m/sub/vocab.txt"), "a\nc\n").unwrap();
    place.expect(123, &add);
    fs::write(place.path("m/sub/vocab.txt"), "a\nb\n").unwrap();
    fs::write(place.path("m/more.txt"), "x").unwrap();
    place.expect(123, &add);
    fs::remove_file(place.path("m/more.txt")).unwrap();
    place.expect(0, &add);
    assert!(run("openssl", &["ecparam", "-genkey", "-name", "secp384r1", "-noout", "-out", "other.pem"]));
    assert!(run("openssl", &["ec", "-in", "other.pem", "-pubout", "-out", "other.pub"]));
    place.expect(0, &["model", "rm", "m"]);
    place.expect(123, &["model", "add", "--signature", "m.sig", "--trust", "other.pub", "m"]);
}
