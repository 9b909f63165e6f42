//! Profiles and policy files are refused, never a panic.

#![allow(missing_docs, reason = "tests")]

use hotcell_policy::{Engine, Profile, check_policy};
use hotcell_testkit::fuzz::Target;

#[test]
fn no_profile_file_makes_its_parser_panic() {
    Target::new(env!("CARGO_MANIFEST_DIR"), "profile").run(3000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(profile) = Profile::from_file(&text, "fuzz.toml") {
            assert!(!profile.effective().is_empty());
        }
    });
}

#[test]
fn no_policy_file_makes_its_parser_panic() {
    Target::new(env!("CARGO_MANIFEST_DIR"), "policy").run(60, |bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let _ = check_policy("fuzz.cedar", &text);
        let _ = Engine::with_layers(&[("fuzz.cedar".to_owned(), text)]);
    });
}
