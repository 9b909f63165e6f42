//! The policy in force: how it comes there, what it does to a task, and to one that runs.

use std::fs;
use std::path::PathBuf;

use hotcell_crypto::SigningKey;
use hotcell_policy::Grant;
use hotcell_task::{Observer, TaskError, bundle_policy, install_policy, open_log, policy_in_force, read_policy_folder};
use hotcell_types::{Clock, EventKind, Explain, Outcome};

use crate::harness::{Now, Place, command, input, shell};

const HEAD: &str = "@id(\"ours\") @reason(\"we say so\") @remedy(\"do not\")\n";

fn folder(place: &Place, version: u32, rules: &str) -> PathBuf {
    let folder = place.0.path().join(format!("policy-{version}"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("policy.toml"), format!("name = \"ours\"\nversion = {version}\nschema = 2\n")).unwrap();
    fs::write(folder.join("ours.cedar"), rules).unwrap();
    folder
}

fn install(place: &Place, path: &std::path::Path, trust: &[hotcell_crypto::VerifyingKey]) -> Result<(), TaskError> {
    fs::create_dir_all(place.state()).unwrap();
    let log = open_log(&place.state(), "test", Now.now()).unwrap();
    install_policy(&place.state(), path, trust, &log, Now.now()).map(drop)
}

fn bundle(place: &Place, version: u32, key: &SigningKey) -> PathBuf {
    let rules = format!(
        "{HEAD}forbid (principal, action == Action::\"run\", resource) when {{ context.purpose == \"{version}\" }};"
    );
    let files = read_policy_folder(&folder(place, version, &rules)).unwrap();
    let path = place.0.path().join(format!("bundle-{version}"));
    fs::write(&path, bundle_policy(&files, key)).unwrap();
    path
}

#[test]
fn a_policy_that_is_put_into_force_decides_the_next_start() {
    let place = Place::new();
    assert!(place.run_in_force(command(&["/bin/true"]), &mut hotcell_task::Silent).is_ok());
    let rules = format!("{HEAD}forbid (principal, action == Action::\"run\", resource);");
    install(&place, &folder(&place, 1, &rules), &[]).unwrap();
    let denied = place.run_in_force(command(&["/bin/true"]), &mut hotcell_task::Silent).unwrap_err();
    assert_eq!(denied.code(), "POL-101");
    assert!(place.events().contains(&EventKind::PolicyInstalled));
}

#[test]
fn a_faulty_policy_is_refused_and_the_last_good_one_stays() {
    let place = Place::new();
    let rules = format!("{HEAD}forbid (principal, action == Action::\"run\", resource);");
    install(&place, &folder(&place, 1, &rules), &[]).unwrap();
    let before = policy_in_force(&place.state()).unwrap().digest;
    let bad = folder(&place, 2, "forbid (principal, action, resource)");
    assert_eq!(install(&place, &bad, &[]).unwrap_err().code(), "POL-020");
    let failing = folder(&place, 3, &rules);
    let case =
        "[[case]]\nname = \"x\"\nexpect = \"allow\"\nask = { principal = \"a\", action = \"run\", resource = \"t\" }\n";
    fs::write(failing.join("x.test.toml"), case).unwrap();
    assert_eq!(install(&place, &failing, &[]).unwrap_err().code(), "POL-031");
    assert_eq!(policy_in_force(&place.state()).unwrap().digest, before);
    assert_eq!(place.events().iter().filter(|kind| **kind == EventKind::PolicyRefused).count(), 2);
}

#[test]
fn a_signed_policy_goes_neither_back_nor_to_another_signer() {
    let place = Place::new();
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let trust = [key.verifying()];
    assert_eq!(install(&place, &bundle(&place, 2, &key), &[]).unwrap_err().code(), "POL-131");
    assert_eq!(install(&place, &bundle(&place, 2, &other), &trust).unwrap_err().code(), "POL-131");
    install(&place, &bundle(&place, 2, &key), &trust).unwrap();
    install(&place, &bundle(&place, 2, &key), &trust).unwrap();
    assert_eq!(install(&place, &bundle(&place, 1, &key), &trust).unwrap_err().code(), "POL-133");
    assert_eq!(install(&place, &bundle(&place, 3, &other), &[other.verifying()]).unwrap_err().code(), "POL-132");
    let unsigned = folder(&place, 9, &format!("{HEAD}forbid (principal, action == Action::\"run\", resource);"));
    assert_eq!(install(&place, &unsigned, &[]).unwrap_err().code(), "POL-132");
    install(&place, &bundle(&place, 3, &key), &trust).unwrap();
    assert_eq!(policy_in_force(&place.state()).unwrap().manifest.unwrap().version, 3);
}

#[test]
fn a_policy_in_force_that_was_damaged_allows_nothing() {
    let place = Place::new();
    let key = SigningKey::generate();
    install(&place, &bundle(&place, 1, &key), &[key.verifying()]).unwrap();
    let current = place.state().join("policy/current");
    let text = fs::read_to_string(&current).unwrap().replacen("payload\":\"e", "payload\":\"f", 1);
    fs::write(&current, text).unwrap();
    let refused = place.run_in_force(command(&["/bin/true"]), &mut hotcell_task::Silent).unwrap_err();
    assert_eq!(refused.code(), "POL-134");
}

#[test]
fn what_leaves_is_capped_by_the_rule_that_allowed_the_task() {
    for (bits, outcome) in [(1000, Outcome::Released), (39, Outcome::Refused)] {
        let place = Place::new();
        let rules =
            format!("{HEAD}@obligation_capacity(\"{bits}\") permit (principal, action == Action::\"run\", resource);");
        install(&place, &folder(&place, 1, &rules), &[]).unwrap();
        let report = place
            .run_in_force(shell(&place, "printf 12345 > /output/x"), &mut hotcell_task::Silent)
            .unwrap_or_else(|error| panic!("{}: {error}", error.code()));
        assert_eq!(report.outcome, outcome, "{bits}: {:?}", report.problem);
        match outcome {
            Outcome::Released => assert_eq!(place.released(), ["x"]),
            _ => {
                assert_eq!(report.problem.unwrap().code, "POL-125");
                assert!(place.released().is_empty());
            }
        }
    }
}

#[test]
fn the_level_that_a_rule_demands_decides_what_is_recorded_and_never_content_nor_names() {
    const SECRET: &str = "4111-canary-of-the-content";
    let mut counts = Vec::new();
    for level in ["", "@obligation_audit(\"high\")", "@obligation_audit(\"very-high\")"] {
        let place = Place::new();
        let rules = format!("{HEAD}{level} permit (principal, action == Action::\"run\", resource);");
        install(&place, &folder(&place, 1, &rules), &[]).unwrap();
        let table = place.file("zhao-biopsy.csv", SECRET);
        let mut spec =
            shell(&place, "unshare -r true; cat /input/zhao-biopsy; cat /input/zhao-biopsy > /output/zhao-result");
        spec.inputs.push(input("zhao-biopsy", &table));
        spec.purpose = "about Mr Zhao".to_owned();
        let report = place.run_in_force(spec, &mut hotcell_task::Silent).unwrap();
        assert_eq!(report.outcome, Outcome::Released);
        let count = |kind| place.events().iter().filter(|event| **event == kind).count();
        counts.push(
            [
                EventKind::DataShown,
                EventKind::StreamJudged,
                EventKind::RightGiven,
                EventKind::WallObserved,
                EventKind::CallRefused,
                EventKind::ResourceUsed,
            ]
            .map(count),
        );
        let journal = fs::read_to_string(place.state().join("log/journal")).unwrap();
        for word in [SECRET, "zhao", "Zhao", "/bin/sh", "local:test"] {
            assert!(!journal.contains(word), "{level}: {word} stands in the log");
        }
        let key = hotcell_task::read_or_create_signing_key(&place.state(), Now.now()).unwrap().verifying();
        hotcell_audit::verify(&place.state().join("log"), &key).unwrap();
        // With the key, names are told.
        let keys = hotcell_audit::personal::PersonalKeys::of(&hotcell_task::personal_keys(&place.state()));
        let mut events = hotcell_audit::Events::open(&place.state().join("log"), Default::default()).unwrap();
        let mut asked =
            events.find(|entry| entry.as_ref().unwrap().event.kind == EventKind::TaskSubmitted).unwrap().unwrap();
        keys.reveal(&mut asked.event).unwrap();
        assert_eq!(asked.event.data["inputs"], serde_json::json!(["zhao-biopsy"]));
        assert_eq!(asked.event.data["workload"], "/bin/sh");
        assert_eq!(asked.event.data["facts"]["purpose"], "about Mr Zhao");
    }
    assert_eq!(counts[0], [0; 6]);
    assert_eq!((counts[1][0], &counts[1][2..]), (1, &[0; 4][..]), "{counts:?}");
    assert!(counts[1][1] == 2 && counts[2].iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
fn the_sandbox_is_shown_the_granted_columns_and_no_others() {
    let place = Place::new();
    let table = place.file("patients.csv", "name,age\nAnn,7\nBob,8\n");
    let run = || {
        let mut spec = shell(&place, "cat /input/p > /output/seen");
        spec.inputs.push(input("p", &table));
        place.run_in_force(spec, &mut hotcell_task::Silent)
    };
    let seen = || fs::read_to_string(place.output().join("seen")).unwrap();
    run().unwrap();
    assert_eq!(seen(), "name,age\nAnn,7\nBob,8\n", "without the rule everything is seen");
    fs::remove_file(place.output().join("seen")).unwrap();
    let rule = |column: &str| {
        format!(
            "{HEAD}permit (principal, action == Action::\"readField\", resource in Dataset::\"p\") when {{ resource.name == \"{column}\" }};"
        )
    };
    install(&place, &folder(&place, 1, &rule("age")), &[]).unwrap();
    run().unwrap();
    assert_eq!(seen(), "age\n7\n8\n");
    install(&place, &folder(&place, 2, &rule("height")), &[]).unwrap();
    assert_eq!(run().unwrap_err().code(), "POL-102");
    let left = fs::read_dir("/dev/shm")
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("hotcell-tsk"));
    assert_eq!(left.count(), 0, "no view keeps its name");
}

/// Changes the policy as soon as the workload says that it runs.
struct Changes<'a> {
    place: &'a Place,
    rules: String,
    changed: bool,
}

impl Observer for Changes<'_> {
    fn granted(&mut self, _grant: &Grant) {}

    fn stdout(&mut self, bytes: &[u8]) {
        if !self.changed && bytes.starts_with(b"ready") {
            install(self.place, &folder(self.place, 2, &self.rules), &[]).unwrap();
            self.changed = true;
        }
    }
}

#[test]
fn a_running_task_that_the_policy_allows_no_longer_is_withdrawn_and_another_goes_on() {
    let forbid = |purpose: &str| {
        format!(
            "{HEAD}forbid (principal, action == Action::\"run\", resource) when {{ context.purpose == \"{purpose}\" }};"
        )
    };
    for (rules, script, outcome) in [
        (forbid(""), "echo ready; sleep 1000", Outcome::Withdrawn),
        (forbid("another"), "echo ready; sleep 0.1; echo done > /output/x", Outcome::Released),
    ] {
        let place = Place::new();
        let mut changes = Changes { place: &place, rules, changed: false };
        let report = place.run_in_force(shell(&place, script), &mut changes).unwrap();
        assert!(changes.changed);
        assert_eq!(report.outcome, outcome, "{:?}", report.problem);
        let withdrawn = outcome == Outcome::Withdrawn;
        assert_eq!(place.events().contains(&EventKind::TaskWithdrawn), withdrawn);
        assert_eq!(place.released().is_empty(), withdrawn);
        if withdrawn {
            let events = place.events();
            let at = |kind| events.iter().position(|seen| *seen == kind).unwrap();
            assert!(at(EventKind::TaskWithdrawn) < at(EventKind::WorkloadEnded), "told before it is done");
            assert_eq!(report.problem.unwrap().code, "POL-128");
        }
    }
}
