//! Every ready policy of `policies/` is sound, meets its own cases, and has a page that says what it says;
//! `HOTCELL_WRITE=1 cargo test -p hotcell-policy --test ready` writes the second half of each page anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![allow(missing_docs, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hotcell_policy::{Answer, Case, CheckedPolicy, Obligations, PolicyFiles, RuleInfo, SCHEMA_VERSION, is_policy_file};

/// A ready policy: its rules, and what answers its cases.
struct Ready {
    name: String,
    rules: Vec<RuleInfo>,
    policy: CheckedPolicy,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(name)
}

fn files(name: &str) -> PolicyFiles {
    let mut files = PolicyFiles::new();
    for entry in fs::read_dir(folder(name)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if is_policy_file(&name) {
            files.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
    files
}

fn check(name: &str, files: &PolicyFiles) -> CheckedPolicy {
    CheckedPolicy::check(files).unwrap_or_else(|errors| panic!("{name}: {errors:?}"))
}

/// The rules of a file as it is laid out, each annotation on a line of its own: the default policy is no layer, so that
/// nothing checks it as one.
fn annotated(text: &str) -> Vec<RuleInfo> {
    let rule = |block: &str| {
        let note = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(&format!("@{name}(\"")));
            line.unwrap().strip_suffix("\")").unwrap().to_owned()
        };
        RuleInfo {
            id: note("id"),
            permits: block.contains("\npermit ("),
            reason: note("reason"),
            remedy: note("remedy"),
            obligations: Obligations::none(),
        }
    };
    text.split("\n\n").filter(|block| block.contains("@id(")).map(rule).collect()
}

/// The default policy lies under every layer: its cases are put to a layer without rules.
fn default_policy() -> Ready {
    let mut files = files("default");
    let texts: Vec<_> = files.extract_if(.., |name, _| name.ends_with(".cedar")).collect();
    let rules = texts.iter().flat_map(|(_, text)| annotated(text)).collect();
    let manifest = format!("name = \"default\"\nversion = 1\nschema = {SCHEMA_VERSION}\n");
    files.insert("policy.toml".to_owned(), manifest);
    Ready { name: "default".to_owned(), rules, policy: check("default", &files) }
}

fn ready_policies() -> Vec<Ready> {
    let mut all = vec![default_policy()];
    for entry in fs::read_dir(folder("")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && name != "default" {
            let policy = check(&name, &files(&name));
            all.push(Ready { rules: policy.rules(), policy, name });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

#[test]
fn every_ready_policy_is_sound_and_meets_its_cases() {
    let all = ready_policies();
    let names: Vec<_> = all.iter().map(|ready| ready.name.as_str()).collect();
    assert_eq!(names, ["agents", "bank", "default", "government", "hospital", "third-party"]);
    for Ready { name, policy, .. } in &all {
        for result in policy.test() {
            assert_eq!(result.problem, None, "{name}: {}", result.case);
        }
    }
}

#[test]
fn every_rule_of_a_ready_policy_decides_one_of_its_cases() {
    for Ready { name, rules, policy } in ready_policies() {
        let decided: BTreeSet<_> = policy.cases().filter_map(|case| case.rule.clone()).collect();
        let without: Vec<_> = rules.iter().filter(|rule| !decided.contains(&rule.id)).map(|rule| &rule.id).collect();
        assert!(without.is_empty(), "{name}: no case names {without:?}");
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

/// Where the written half of a page ends.
const MARK: &str = "<!-- What follows is made of the rules and the cases by `HOTCELL_WRITE=1 cargo test -p hotcell-policy --test ready`. -->\n";

fn demands(obligations: &Obligations) -> String {
    if obligations.is_none() {
        return String::new();
    }
    let serde_json::Value::Object(demands) = serde_json::to_value(obligations).unwrap() else { return String::new() };
    let one = |(name, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => format!("{name}: {text}"),
        serde_json::Value::Array(list) => {
            format!("{name}: {}", list.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(", "))
        }
        other => format!("{name}: {other}"),
    };
    demands.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn made_half(ready: &Ready) -> String {
    let mut page = String::from(
        "\n## Rules\n\n| rule | | why | what would change a no | demands in return |\n|---|---|---|---|---|\n",
    );
    for rule in &ready.rules {
        let effect = if rule.permits { "permits" } else { "forbids" };
        let demands = demands(&rule.obligations);
        page.push_str(&format!("| `{}` | {effect} | {} | {} | {demands} |\n", rule.id, rule.reason, rule.remedy));
    }
    page.push_str("\n## Cases that it meets\n\n| case | action | answer | decided by |\n|---|---|---|---|\n");
    for Case { name, ask, expect, rule, .. } in ready.policy.cases() {
        let answer = if *expect == Answer::Allow { "yes" } else { "no" };
        let rule = rule.as_ref().map_or_else(String::new, |rule| format!("`{rule}`"));
        page.push_str(&format!("| {name} | `{}` | {answer} | {rule} |\n", ask.action));
    }
    if ready.name != "default" {
        page.push_str(&format!(
            "\n## To use it\n\n```\nhotcell policy test policies/{0}\nhotcell policy install policies/{0}\n```\n\n\
             What it changes for tasks that were run before: `hotcell policy diff - policies/{0}`.\n",
            ready.name
        ));
    }
    page
}

#[test]
fn the_page_of_every_ready_policy_says_what_its_rules_and_cases_say() {
    for ready in ready_policies() {
        let path = folder(&ready.name).join("README.md");
        let page = fs::read_to_string(&path).unwrap_or_default();
        let written = page.split(MARK).next().unwrap_or_default().trim_end();
        assert!(written.lines().count() > 3, "{}: its README.md says for whom it is", ready.name);
        let wanted = format!("{written}\n\n{MARK}{}", made_half(&ready));
        if std::env::var_os("HOTCELL_WRITE").is_some() {
            fs::write(&path, &wanted).unwrap();
        } else {
            assert!(page == wanted, "{}: HOTCELL_WRITE=1 writes its README.md anew", ready.name);
        }
    }
}
