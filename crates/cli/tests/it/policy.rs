//! `hotcell policy`.

use serde_json::Value;

use crate::hotcell::{Place, text};

const RULE: &str = r#"
@id("no-nights")
@reason("nobody watches at night")
@remedy("wait until morning")
forbid(principal, action == Action::"run", resource);
"#;

const PROFILE: &str = "name = \"small\"\nextends = \"strict\"\n[limits]\nmemory = \"128MiB\"\n";

#[test]
fn sound_files_are_listed_with_what_they_hold() {
    let place = Place::new();
    place.file("rules.cedar", RULE);
    place.file("small.toml", PROFILE);
    let told = place.expect(0, &["policy", "check", "rules.cedar", "small.toml"]);
    assert!(told.contains("no-nights: nobody watches at night") && told.contains("profile small is sound"), "{told}");
    let told = place.json(0, &["--json", "policy", "check", "rules.cedar", "small.toml"]);
    assert_eq!(told[0]["rules"][0]["id"], "no-nights");
    assert_eq!(told[1]["profile"], "small");
    assert!(told.as_array().unwrap().iter().all(|file| file["errors"].as_array().unwrap().is_empty()));
}

#[test]
fn a_file_with_a_fault_is_a_no_and_the_fault_has_its_line() {
    for (name, content, code, says) in [
        ("p.cedar", "nonsense".to_owned(), "POL-020", "line 1"),
        ("p.cedar", format!("@colour(\"red\")\n{RULE}"), "POL-026", "colour"),
        ("p.cedar", RULE.replace("@remedy(\"wait until morning\")", ""), "POL-023", "@remedy"),
        ("p.cedar", format!("{RULE}{RULE}"), "POL-024", "no-nights"),
        ("p.cedar", RULE.replace("Action::\"", "Action::\"no-such-"), "POL-022", "line 2"),
        ("p.toml", "name = ".to_owned(), "POL-001", "line 1"),
        ("p.toml", PROFILE.replace("memory", "memroy"), "POL-001", "line 4"),
        ("p.toml", PROFILE.replace("strict", "lax"), "POL-003", "lax"),
        ("p.toml", PROFILE.replace("128MiB", "999GiB"), "POL-006", "limits.memory"),
        ("p.toml", PROFILE.replace("128MiB", "much"), "POL-005", "much"),
    ] {
        let place = Place::new();
        place.file(name, &content);
        place.file("good.toml", PROFILE);
        let told = place.json(1, &["--json", "policy", "check", name, "good.toml"]);
        let error = &told[0]["errors"][0];
        assert_eq!(error["code"], code, "{content}: {told}");
        assert!(error["message"].as_str().unwrap().contains(says), "{says}: {told}");
        assert_eq!(told[1]["profile"], "small", "the other file is checked all the same");
        let output = place.output(&["policy", "check", name]);
        assert!(text(&output.stderr).contains(code), "{}", text(&output.stderr));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_no_answer() {
    let place = Place::new();
    std::fs::write(place.path("bytes.cedar"), b"\xff\xfe").unwrap();
    for name in ["missing.cedar", "bytes.cedar", "."] {
        place.expect(125, &["policy", "check", name]);
    }
    place.file("long.toml", &"#".repeat(300 << 10));
    assert_eq!(place.json(1, &["--json", "policy", "check", "long.toml"])[0]["errors"][0]["code"], "POL-002");
}

#[test]
fn the_effective_values_name_who_set_them() {
    let place = Place::new();
    place.file("small.toml", PROFILE);
    for (words, profile, memory, origin) in [
        (&[][..], "strict", "512MiB", "built-in profile `strict`"),
        (&["--profile", "infer"], "infer", "", "built-in profile `infer`"),
        (&["--profile", "small.toml"], "small", "128MiB", "profile file `small.toml`"),
        (&["--limit", "memory=64MiB"], "strict", "64MiB", "`--limit memory=64MiB`"),
        (&["--limit", "memory=64MiB", "--limit", "memory=32MiB"], "strict", "32MiB", "`--limit memory=32MiB`"),
    ] {
        let told = place.json(0, &[&["--json", "policy", "explain"], words].concat());
        assert_eq!(told["profile"], profile);
        let row =
            told["settings"].as_array().unwrap().iter().find(|row| row["key"] == "limits.memory").unwrap().clone();
        assert_eq!(row["origin"], origin, "{words:?}");
        assert!(memory.is_empty() || row["value"] == memory, "{words:?}: {row}");
        let lines = place.expect(0, &[&["policy", "explain"], words].concat());
        assert!(lines.contains(origin), "{lines}");
    }
}

#[test]
fn a_profile_or_limit_that_cannot_be_is_refused() {
    let place = Place::new();
    for (words, status, code) in [
        (&["--profile", "lax"][..], 2, "POL-003"),
        (&["--profile", "missing.toml"], 125, "CLI-002"),
        (&["--limit", "memory"], 2, "POL-004"),
        (&["--limit", "memory=much"], 2, "POL-004"),
        (&["--limit", "moons=3"], 2, "POL-004"),
        (&["--limit", "memory=9999GiB"], 121, "POL-006"),
    ] {
        let told: Value = place.json(status, &[&["--json", "policy", "explain"], words].concat());
        assert_eq!(told["error"]["code"], code, "{words:?}: {told}");
    }
}
