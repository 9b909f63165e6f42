//! What others read: a reader in another language that shares no code with ours, and a public DSSE implementation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotcell_audit::Durability;
use hotcell_audit::Origin;
use hotcell_audit::receipt::issue;
use hotcell_audit::witness::Witness;
use hotcell_types::{Digest, Timestamp};
use serde_json::{Value, json};

use crate::receipt::body;
use crate::support::{Key, event, folder, open, origin};

/// The system's own interpreter, for which the packages are.
const PYTHON: &str = "/usr/bin/python3";

/// Why the reader cannot run here, if it cannot.
fn lacks(module: &str) -> Option<String> {
    let found = Command::new(PYTHON).args(["-c", &format!("import {module}")]).output();
    match found {
        Ok(output) if output.status.success() => None,
        _ => Some(format!("{PYTHON} with the module {module} is not installed")),
    }
}

/// An interpreter that has the public implementation, fetched once from the package index.
fn with_dsse() -> Result<PathBuf, String> {
    let place = hotcell_testkit::data_dir().join("python-dsse");
    let python = place.join("bin/python3");
    let has_it = || Command::new(&python).args(["-c", "import securesystemslib.dsse"]).output();
    if has_it().is_ok_and(|output| output.status.success()) {
        return Ok(python);
    }
    let made = Command::new(PYTHON).args(["-m", "venv", "--clear", "--system-site-packages"]).arg(&place).output();
    let made = made.is_ok_and(|output| output.status.success());
    let pip = || Command::new(&python).args(["-m", "pip", "install", "--quiet", "securesystemslib==1.3.0"]).output();
    match made && pip().is_ok_and(|output| output.status.success()) {
        true => Ok(python),
        false => Err("the Python package securesystemslib cannot be installed".to_owned()),
    }
}

fn read(arguments: &[&str]) -> Result<Value, String> {
    read_with(Path::new(PYTHON), arguments)
}

fn read_with(python: &Path, arguments: &[&str]) -> Result<Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/reader.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn public(key: &Key) -> String {
    Digest(*key.verifying().as_bytes()).hex()
}

#[test]
fn another_reader_agrees_with_a_published_log_and_finds_what_is_altered() {
    if let Some(reason) = lacks("cryptography") {
        hotcell_testkit::skip!("{reason}");
    }
    let key = Key::new();
    for size in [1u64, 2, 255, 256, 257, 700] {
        let dir = folder();
        let log = open(dir.path(), &key);
        let at = log.append(&(0..size).map(event).collect::<Vec<_>>(), Durability::Durable).unwrap();
        log.checkpoint(&at).unwrap();
        log.publish().unwrap();
        let path = dir.path().to_str().unwrap();
        let told = read(&["log", path, &public(&key), origin().as_str()]).unwrap();
        assert_eq!((&told["size"], &told["kinds"]["task-submitted"]), (&json!(size), &json!(size)), "{told}");
        assert!(read(&["log", path, &public(&Key::new()), origin().as_str()]).is_err());
        assert!(read(&["log", path, &public(&key), "example.org/other"]).is_err());
        let tile = dir.path().join(match size {
            1 | 2 | 255 => format!("tile/entries/000.p/{size}"),
            _ => "tile/entries/000".to_owned(),
        });
        let mut bytes = fs::read(&tile).unwrap();
        bytes[10] ^= 1;
        fs::write(&tile, bytes).unwrap();
        assert!(read(&["log", path, &public(&key), origin().as_str()]).is_err());
    }
}

#[test]
fn another_reader_checks_proofs_and_countersignatures() {
    if let Some(reason) = lacks("cryptography") {
        hotcell_testkit::skip!("{reason}");
    }
    let (dir, key, witness_key) = (folder(), Key::new(), Key::new());
    let log = open(dir.path(), &key);
    let at = log.append(&(0..300).map(event).collect::<Vec<_>>(), Durability::Durable).unwrap();
    let checkpoint = log.checkpoint(&at).unwrap();
    let file = dir.path().join("file");
    let path = file.to_str().unwrap();
    for index in [0, 255, 256, 299] {
        fs::write(&file, log.prove_entry(index, &checkpoint).unwrap()).unwrap();
        let entry = |number| String::from_utf8(hotcell_audit::canonical(&event(number)).unwrap()).unwrap();
        let told = read(&["proof", path, &entry(index), &public(&key)]).unwrap();
        assert_eq!(told, json!({ "index": index, "size": 300 }));
        assert!(read(&["proof", path, &entry(index + 1), &public(&key)]).is_err());
    }
    let name = Origin::parse("witness.example/w1").unwrap();
    let witness = Witness::new(name, witness_key.signing(), &dir.path().join("memory"));
    let signed = witness.countersign(&log.request(0).unwrap(), &key.verifying(), Timestamp(1_700_000_000_000)).unwrap();
    fs::write(&file, signed.text()).unwrap();
    let told = read(&["cosignature", path, &public(&witness_key), "witness.example/w1"]).unwrap();
    assert_eq!(told, json!({ "time": 1_700_000_000, "size": 300 }));
    assert!(read(&["cosignature", path, &public(&key), "witness.example/w1"]).is_err());
    fs::write(&file, signed.text().replace("\n300\n", "\n301\n")).unwrap();
    assert!(read(&["cosignature", path, &public(&witness_key), "witness.example/w1"]).is_err());
}

#[test]
fn a_public_implementation_of_dsse_verifies_a_receipt_and_refuses_an_altered_one() {
    if let Some(reason) = lacks("cryptography") {
        hotcell_testkit::skip!("{reason}");
    }
    let python = match with_dsse() {
        Ok(python) => python,
        Err(reason) => hotcell_testkit::skip!("{reason}"),
    };
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let receipt = issue(&log, &body(2), Timestamp(9), &[event(1)]).unwrap();
    let file = dir.path().join("receipt.json");
    let path = file.to_str().unwrap();
    fs::write(&file, receipt.as_bytes()).unwrap();
    let want = json!({ "subjects": ["out/0.csv", "out/1.csv"], "index": 1 });
    assert_eq!(read_with(&python, &["dsse", path, &public(&key)]).unwrap(), want);
    assert_eq!(read(&["receipt", path, &public(&key)]).unwrap(), want);
    assert!(read_with(&python, &["dsse", path, &public(&Key::new())]).is_err());
    // An envelope whose signature was altered: our own reader of the proof does not look at it.
    let text = String::from_utf8(receipt.as_bytes().to_vec()).unwrap();
    let (before, after) = text.split_once("\"sig\": \"").unwrap();
    let flipped = if after.starts_with('A') { 'B' } else { 'A' };
    fs::write(&file, format!("{before}\"sig\": \"{flipped}{}", &after[1..])).unwrap();
    assert!(read(&["receipt", path, &public(&key)]).is_ok());
    assert!(read_with(&python, &["dsse", path, &public(&key)]).is_err());
}
