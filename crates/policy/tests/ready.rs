//! Every ready policy of `policies/` is sound, and meets its own cases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(missing_docs, reason = "tests")]

use std::fs;
use std::path::Path;

use hotcell_policy::{CheckedPolicy, PolicyFiles, is_policy_file};

fn files(name: &str) -> PolicyFiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(name);
    let mut files = PolicyFiles::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if is_policy_file(&name) {
            files.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
    files
}

#[test]
fn every_ready_policy_is_sound_and_meets_its_cases() {
    for name in ["bank", "hospital", "government", "third-party", "agents"] {
        let policy = CheckedPolicy::check(&files(name)).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        let results = policy.test();
        assert!(results.len() >= 3, "{name} has too few cases");
        for result in results {
            assert_eq!(result.problem, None, "{name}: {}", result.case);
        }
    }
}

#[test]
fn a_case_that_expects_what_is_not_so_fails_and_says_what_came() {
    let mut files = files("third-party");
    for (_, text) in files.iter_mut().filter(|(name, _)| name.ends_with(".test.toml")) {
        *text = text.replace("expect = \"allow\"", "expect = \"deny\"");
    }
    let failed: Vec<_> =
        CheckedPolicy::check(&files).unwrap().test().into_iter().filter_map(|case| case.problem).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].starts_with("allowed, by "), "{failed:?}");
}
