//! `hotcell selftest`: what it tells, what holds, and that it really tries.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use hotcell_selftest::{Attack, Class, Demand, attacks};
use hotcell_testkit::require_program;
use serde_json::Value;

use crate::hotcell::{Place, text};

#[test]
fn nothing_gets_through_in_any_profile_and_what_is_lacking_is_not_held() {
    for profile in ["strict", "third-party", "infer", "train"] {
        let place = Place::new();
        let output = place.output(&["--json", "selftest", "--profile", profile]);
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{profile}: {} {}", text(&output.stdout), text(&output.stderr)));
        let rows = told.as_array().unwrap();
        assert_eq!(rows.len(), attacks().count());
        let through: Vec<_> = rows.iter().filter(|row| row["held"] == false).collect();
        assert!(through.is_empty(), "{profile}: {through:#?}");
        assert_eq!(output.status.code(), Some(0));
        let mut held: BTreeMap<&str, usize> = BTreeMap::new();
        for row in rows {
            for key in ["attack", "class", "mechanism", "expected", "seen", "wall"] {
                assert!(row[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {row}");
            }
            let skipped = row["skipped"].as_str();
            assert_eq!(row["held"].is_null(), skipped.is_some_and(|why| !why.is_empty()), "{row}");
            if row["held"] == true {
                *held.entry(row["class"].as_str().unwrap()).or_default() += 1;
            }
        }
        // Some hosts have no sensors that could be read.
        let missing: Vec<_> =
            Class::ALL.iter().map(|class| class.label()).filter(|label| !held.contains_key(label)).collect();
        assert!(missing.is_empty(), "{profile}: nothing was tried of {missing:?}");
        summary_is_in_the_log(&place, profile, rows);
    }
}

fn summary_is_in_the_log(place: &Place, profile: &str, rows: &[Value]) {
    let log = place.expect(0, &["--json", "audit", "show"]);
    let line = log.lines().find(|line| line.contains("selftest-ended")).unwrap_or_else(|| panic!("{log}"));
    let held = rows.iter().filter(|row| row["held"] == true).count();
    assert!(line.contains(profile) && line.contains(&held.to_string()), "{line}");
    place.expect(0, &["audit", "verify"]);
}

#[test]
fn lines_for_people_end_with_the_figures_and_a_bad_profile_is_named() {
    let place = Place::new();
    let told = place.expect(0, &["selftest"]);
    let last = told.lines().last().unwrap();
    assert!(last.contains(" 0 not held"), "{last}");
    assert!(told.lines().filter(|line| line.starts_with("held ")).count() > 150, "{told}");
    let output = place.output(&["selftest", "--profile", "lenient"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("lenient"));
    place.file("closed.toml", "name = \"closed\"\nextends = \"strict\"\n[mounts]\ncode_exec = false\n");
    let output = place.output(&["selftest", "--profile", "./closed.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/code"));
}

#[test]
fn what_a_profile_grants_is_skipped_and_the_rest_holds() {
    let place = Place::new();
    let wider = "name = \"wider\"\nextends = \"strict\"\n[network]\nloopback = true\n[system_calls]\nallow = [\"msgget\", \"shmget\", \"semget\", \"mq_open\", \"memfd_create\"]\n";
    place.file("wider.toml", wider);
    let told = place.json(0, &["--json", "selftest", "--profile", "./wider.toml"]);
    let row = |name: &str| told.as_array().unwrap().iter().find(|row| row["attack"] == name).unwrap().clone();
    assert_eq!(row("memfd_create")["skipped"], "the profile grants memfd_create");
    assert_eq!(row("inet-stream")["skipped"], "the profile grants sockets for loopback");
    assert_eq!(row("connect-to-host")["wall"], "network-namespace");
    if row("queue-of-host")["held"] == true {
        assert_eq!(row("queue-of-host")["wall"], "ipc-namespace");
    }
}

#[test]
fn one_that_is_interrupted_takes_down_what_it_has_put_up() {
    let place = Place::new();
    let temporary = place.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut command = place.command(&["selftest"]);
    let mut child = command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Until a sandbox runs, so that there is everything to take down.
    let running = place.state().join("running");
    while !fs::read_dir(&running).is_ok_and(|mut tasks| tasks.next().is_some()) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&running).unwrap().count(), 0);
    place.expect(0, &["audit", "verify"]);
}

#[test]
fn each_attack_issues_its_calls() {
    require_program!("strace");
    issue_their_calls("strict", &[], &|attack| attack.demand.is_none());
}

#[test]
fn each_attack_on_a_wall_on_demand_issues_its_calls_and_is_held_where_a_profile_asks() {
    require_program!("strace");
    issue_their_calls("./asking.toml", GIVEN_UP, &|attack| attack.demand.is_some());
}

/// Asks for all walls on demand; what this host may not have of them is given up by name.
const ASKING: &str =
    "name = \"asking\"\nextends = \"strict\"\nside_channels = \"hardened\"\n[memory]\nwrite_xor_execute = true\n";
const GIVEN_UP: &[&str] = &["--best-effort", "speculation", "--best-effort", "core-scheduling"];

#[test]
fn nothing_gets_through_where_a_profile_asks_for_every_wall_and_what_is_given_up_is_not_held() {
    let place = Place::new();
    place.file("asking.toml", ASKING);
    let told = place.json(0, &[&["--json", "selftest", "--profile", "./asking.toml"][..], GIVEN_UP].concat());
    let rows = told.as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["attack"] == name).unwrap();
    for attack in attacks().filter(|attack| attack.demand.is_some()) {
        let row = row(attack.name);
        match attack.demand {
            Some(Demand::Hardened("speculation")) => {
                assert_eq!(row["skipped"], "speculation was given up by name");
                assert!(row["held"].is_null(), "{row}");
            }
            Some(Demand::Hardened(_)) => assert_ne!(row["held"], false, "{row}"),
            _ => assert_eq!(row["held"], true, "{row}"),
        }
    }
    // And where nobody asks there is nothing that could be held.
    let told = place.json(0, &["--json", "selftest"]);
    let asked = told.as_array().unwrap().iter().find(|row| row["attack"] == "map-writable-code").unwrap();
    assert_eq!(asked["skipped"], "the profile does not ask for memory.write_xor_execute");
}

fn issue_their_calls(profile: &str, options: &[&str], wanted: &dyn Fn(&Attack) -> bool) {
    let place = Place::new();
    place.file("asking.toml", ASKING);
    let trace = place.path("trace");
    let mut command = Command::new("strace");
    // All calls: a tracer that is older than a call does not let it be chosen, and shows it by its number.
    command.args(["-f", "-qqq", "-s", "80", "-o"]).arg(&trace);
    let inner = place.command(&[&["--json", "selftest", "--profile", profile][..], options].concat());
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(place.path("."));
    let output = command.output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{} {}", text(&output.stdout), text(&output.stderr)));
    let windows = windows(&String::from_utf8_lossy(&fs::read(&trace).unwrap()));
    let mut missing = Vec::new();
    for attack in attacks().filter(|attack| wanted(attack)) {
        let row = told.as_array().unwrap().iter().find(|row| row["attack"] == attack.name).unwrap();
        if !row["skipped"].is_null() {
            assert!(!windows.contains_key(attack.name) || row["seen"] == "not tried", "{row}");
            continue;
        }
        let Some(lines) = windows.get(attack.name) else {
            missing.push(format!("{} was not begun", attack.name));
            continue;
        };
        let number = attack.call.map(|call| format!("syscall_{:#x}(", call.id()));
        let seen = |call: &str| {
            let name = format!("{call}(");
            let mut words = lines.iter().filter_map(|line| line.split_whitespace().nth(1));
            words.any(|word| word.starts_with(&name) || number.as_ref().is_some_and(|number| word.starts_with(number)))
        };
        for call in attack.issues.iter().filter(|call| !seen(call)) {
            missing.push(format!("{} has not called {call}", attack.name));
        }
        // An instruction, or an entry that is no call of this architecture, is seen by its signal.
        if attack.issues.is_empty() && !lines.iter().any(|line| line.contains("SIGSEGV") || line.contains("SIGSYS")) {
            missing.push(format!("{} met no signal", attack.name));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// What was traced between the beginning of each attack and its end.
fn windows(trace: &str) -> BTreeMap<String, Vec<String>> {
    let mut windows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in trace.lines() {
        if let Some((_, rest)) = line.split_once("write(1, \"> ") {
            open = rest.split_once("\\n").map(|(name, _)| name.to_owned());
            if let Some(name) = &open {
                windows.entry(name.clone()).or_default();
            }
        } else if line.contains("write(1, \"< ") {
            open = None;
        } else if let Some(window) = open.as_ref().and_then(|name| windows.get_mut(name)) {
            window.push(line.to_owned());
        }
    }
    windows
}
