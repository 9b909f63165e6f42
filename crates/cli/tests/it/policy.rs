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
        (&["--profile", "train"], "train", "4GiB", "built-in profile `train`"),
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

const OFFICE: &str = r#"{"role": "health_department", "permissions": ["inference:execute", "data:read:epidemic"], "resources": ["model/v1/epi-forecast"]}"#;

const DAY_RULE: &str = r#"
@id("days-only")
@reason("only what was asked for by day")
@remedy("state the purpose day")
permit(principal, action == Action::"run", resource) when { context.purpose == "day" };
"#;

fn policy(place: &Place, name: &str, rules: &str) {
    std::fs::create_dir(place.path(name)).unwrap();
    place.file(&format!("{name}/policy.toml"), &format!("name = \"{name}\"\nversion = 1\nschema = 2\n"));
    place.file(&format!("{name}/rules.cedar"), rules);
}

#[test]
fn an_imported_rule_lets_the_department_use_its_model_and_names_the_rule_that_refuses_another() {
    let place = Place::new();
    place.file("office.json", OFFICE);
    place.expect(0, &["policy", "import", "office.json", "--output", "office"]);
    place.expect(0, &["policy", "test", "office"]);
    let ask = |model: &str| {
        format!(r#"{{"principal":"chen","roles":["health_department"],"action":"useModel","resource":"{model}"}}"#)
    };
    let told =
        place.json(0, &["--json", "policy", "explain", "--policy", "office", "--ask", &ask("model/v1/epi-forecast")]);
    assert_eq!(told["answer"], "allow");
    let told = place.json(1, &["--json", "policy", "explain", "--policy", "office", "--ask", &ask("model/v1/finance")]);
    assert_eq!(told["forbids"][0]["id"], "health_department-infers-listed-only", "{told}");
    assert!(told["ways"].to_string().contains("model/v1/epi-forecast"), "{told}");
    let words = place.expect(1, &["policy", "explain", "--policy", "office", "--ask", &ask("model/v1/finance")]);
    assert!(words.contains("forbidden by health_department-infers-listed-only"), "{words}");
}

#[test]
fn a_file_that_is_not_understood_leaves_no_folder_and_a_folder_is_never_overwritten() {
    let place = Place::new();
    place.file("office.json", &OFFICE.replace("inference:execute", "inference:train"));
    let told = place.json(2, &["--json", "policy", "import", "office.json", "--output", "office"]);
    assert!(told["error"]["message"].as_str().unwrap().contains("inference:train"), "{told}");
    assert!(!place.path("office").exists());
    place.file("office.json", OFFICE);
    place.expect(0, &["policy", "import", "office.json", "--output", "office"]);
    let told = place.json(125, &["--json", "policy", "import", "office.json", "--output", "office"]);
    assert_eq!(told["error"]["code"], "CLI-002");
    assert_eq!(
        place.json(2, &["--json", "policy", "import", "office.json", "--output", "a b"])["error"]["code"],
        "CLI-001"
    );
    let left = std::fs::read_dir(place.path("."))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_bundle_is_taken_by_who_trusts_its_signer_and_a_faulty_folder_is_not_signed() {
    let place = Place::new();
    policy(&place, "days", DAY_RULE);
    place.expect(0, &["keygen", "--signing", "--output", "signer"]);
    place.expect(0, &["keygen", "--signing", "--output", "other"]);
    let told = place.json(0, &["--json", "policy", "bundle", "days", "--key", "signer", "--output", "days.bundle"]);
    assert_eq!(told["name"], "days");
    place.expect(0, &["policy", "test", "days.bundle", "--trust", "signer.pub"]);
    assert_eq!(
        place.json(123, &["--json", "policy", "test", "days.bundle", "--trust", "other.pub"])["error"]["code"],
        "POL-131"
    );
    place.expect(0, &["policy", "install", "days.bundle", "--trust", "signer.pub"]);
    place.expect(2, &["policy", "bundle", "days", "--key", "signer", "--output", "days.bundle"]);
    place.file("days/rules.cedar", "nonsense");
    place.expect(1, &["policy", "bundle", "days", "--key", "signer", "--output", "bad.bundle"]);
    assert!(!place.path("bad.bundle").exists());
}

#[test]
fn two_policies_that_differ_are_told_apart_without_any_history() {
    let place = Place::new();
    policy(&place, "days", DAY_RULE);
    policy(&place, "nights", &DAY_RULE.replace("\"day\"", "\"night\""));
    let told = place.json(1, &["--json", "policy", "diff", "days", "nights"]);
    assert_eq!(told["history"]["tasks"], 0);
    let changed = told["generated"]["changed"].as_array().unwrap();
    let of = |purpose: &str| changed.iter().find(|change| change["ask"]["context"]["purpose"] == purpose).unwrap();
    assert_eq!((&of("day")["old"]["answer"], &of("day")["new"]["answer"]), (&"allow".into(), &"deny".into()));
    assert_eq!(of("night")["new"]["answer"], "allow");
    assert!(place.expect(1, &["policy", "diff", "days", "nights"]).contains("denied by days-only"));
    place.expect(0, &["policy", "diff", "days", "days"]);
    place.expect(1, &["policy", "diff", "-", "days"]);
}

#[test]
fn a_question_that_cannot_be_put_is_a_usage_error() {
    let place = Place::new();
    for ask in [
        "{",
        "{}",
        r#"{"principal":"a","action":"fly","resource":"x"}"#,
        r#"{"principal":"a","action":"run","resource":"x","context":{"moon":1}}"#,
    ] {
        assert_eq!(place.json(2, &["--json", "policy", "explain", "--ask", ask])["error"]["code"], "CLI-001", "{ask}");
    }
    place.expect(125, &["policy", "explain", "--ask", "missing.json"]);
    place.file("ask.json", r#"{"principal":"a","action":"run","resource":"x"}"#);
    assert!(place.expect(0, &["policy", "explain", "--ask", "ask.json"]).contains("permitted by owner-runs-own-task"));
}

#[test]
fn without_a_history_nothing_is_learnt() {
    let place = Place::new();
    assert_eq!(place.json(1, &["--json", "policy", "learn", "--output", "learnt"])["error"]["code"], "CLI-004");
    assert!(!place.path("learnt").exists());
}

#[test]
fn what_was_run_is_learnt_and_after_it_is_installed_runs_again_and_nothing_else_does() {
    let place = Place::new();
    place.file("rows.csv", "a,b\n1,2\n");
    let run = |purpose: &'static str| ["run", "--purpose", purpose, "--input", "rows=rows.csv", "--", "/bin/true"];
    place.expect(0, &run("counting"));
    let told = place.json(0, &["--json", "policy", "learn", "--output", "learnt"]);
    assert_eq!(told["tasks"], 1, "{told}");
    place.expect(0, &["policy", "install", "learnt"]);
    place.expect(0, &run("counting"));
    place.expect(121, &run("something-else"));
    place.expect(121, &["run", "--purpose", "counting", "--input", "others=rows.csv", "--", "/bin/true"]);
    policy(&place, "days", DAY_RULE);
    let told = place.json(1, &["--json", "policy", "diff", "-", "days"]);
    assert_eq!(told["history"]["unreadable"], 0, "{told}");
    assert!(
        told["history"]["changed"]
            .as_array()
            .unwrap()
            .iter()
            .any(|change| change["ask"]["context"]["purpose"] == "counting"),
        "{told}"
    );
    // Who asked, and for what, stands in the log sealed, in what policy was told too.
    let log = place.expect(0, &["audit", "show", "--kind", "task-submitted"]);
    assert!(log.contains("counting"), "{log}");
    for entry in std::fs::read_dir(place.state().join("log")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(8).any(|part| part == b"counting"), "the purpose stands in the log in plain");
    }
}
