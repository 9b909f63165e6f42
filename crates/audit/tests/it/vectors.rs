//! The public proof vectors of transparency-dev/merkle; most of them must be refused.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotcell_audit::merkle::{leaf_hash, verify_consistency, verify_inclusion, verify_subtree};
use hotcell_types::Digest;
use serde_json::Value;

fn files(dir: &Path, to: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, to) } else { to.push(path) }
    }
}

fn bytes(case: &Value, name: &str) -> Vec<u8> {
    BASE64.decode(case[name].as_str().unwrap_or_default()).unwrap()
}

fn hash(bytes: Vec<u8>) -> Option<Digest> {
    Some(Digest(bytes.try_into().ok()?))
}

/// Some roots of consistency cases are not 32 bytes long; a stand-in keeps equal ones equal.
fn any_root(bytes: Vec<u8>) -> Option<Digest> {
    Some(hash(bytes.clone()).unwrap_or_else(|| leaf_hash(&bytes)))
}

/// Whether a case's proof is accepted; hashes that are not 32 bytes long cannot be.
fn accepted(kind: &str, case: &Value) -> Option<bool> {
    let number = |name: &str| case[name].as_u64().unwrap();
    let proof: Vec<Digest> = case["proof"]
        .as_array()
        .unwrap_or(&vec![])
        .iter()
        .map(|item| hash(BASE64.decode(item.as_str().unwrap()).unwrap()))
        .collect::<Option<_>>()?;
    Some(match kind {
        "inclusion" => {
            let (leaf, root) = (hash(bytes(case, "leafHash"))?, hash(bytes(case, "root"))?);
            verify_inclusion(number("leafIdx"), number("treeSize"), &leaf, &proof, &root).is_ok()
        }
        "subtreeinclusion" => {
            let (leaf, root) = (hash(bytes(case, "leafHash"))?, hash(bytes(case, "root"))?);
            let (index, start, end) = (number("leafIdx"), number("start"), number("end"));
            // A leaf in a subtree is a leaf in a tree of its length; that it is a subtree is checked apart.
            let span = end.checked_sub(start).filter(|length| *length > 0)?.checked_next_power_of_two()?;
            let index = index.checked_sub(start).filter(|_| start.is_multiple_of(span))?;
            verify_inclusion(index, end - start, &leaf, &proof, &root).is_ok()
        }
        "consistency" => {
            let (old, new) = (any_root(bytes(case, "root1"))?, any_root(bytes(case, "root2"))?);
            verify_consistency(number("size1"), number("size2"), &old, &new, &proof).is_ok()
        }
        "subtreeconsistency" => {
            let (old, new) = (any_root(bytes(case, "root1"))?, any_root(bytes(case, "root2"))?);
            verify_subtree(number("start"), number("end"), number("size"), &old, &new, &proof).is_ok()
        }
        other => panic!("unknown kind of case `{other}`"),
    })
}

#[test]
fn every_public_vector_is_judged_as_it_says() {
    let Some(data) = std::env::var_os("HOTCELL_TEST_DATA") else {
        hotcell_testkit::skip!("needs the folder HOTCELL_TEST_DATA, with transparency-dev's test data in merkle/");
    };
    let dir = PathBuf::from(data).join("merkle");
    assert!(dir.is_dir(), "no proof vectors at {}", dir.display());
    let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
    for kind in ["inclusion", "consistency", "subtreeinclusion", "subtreeconsistency"] {
        let mut paths = Vec::new();
        files(&dir.join(kind), &mut paths);
        for path in paths {
            let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let want = !case["wantErr"].as_bool().unwrap();
            if accepted(kind, &case).unwrap_or(false) != want {
                wrong.push(path);
            }
            *if want { &mut good } else { &mut bad } += 1;
        }
    }
    assert!(wrong.is_empty(), "{} wrongly judged: {wrong:#?}", wrong.len());
    assert_eq!((good, bad), (36, 482));
}
