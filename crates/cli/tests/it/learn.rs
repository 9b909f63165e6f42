//! Training inside of a sandbox: the example with scikit-learn, killed in the middle, gone on with, and what may take its
//! weights out.

use std::fs;
use std::path::Path;

use hotcell_testkit::{skip, workspace};

use crate::hotcell::{Place, text};

const SKLEARN: &str = "/usr/lib/python3/dist-packages/sklearn";
const GOAL: u32 = 1500;

/// The example with a key of the reader; nothing where scikit-learn lacks.
fn example() -> Option<Place> {
    if !Path::new(SKLEARN).exists() {
        return None;
    }
    let place = Place::new();
    fs::create_dir_all(place.path("code/policy")).unwrap();
    for name in
        ["learn.py", "learn.toml", "patients.csv", "diagnosis.csv", "policy/policy.toml", "policy/weights.cedar"]
    {
        fs::copy(workspace().join("examples/biopsy").join(name), place.path("code").join(name)).unwrap();
    }
    place.expect(0, &["keygen", "--output", "reader.key"]);
    fs::copy(place.path("reader.key.pub"), place.path("code/reader.key.pub")).unwrap();
    Some(place)
}

/// The task file, with changes; its results go to a folder of the same name.
fn task(place: &Place, name: &str, changes: &[(&str, &str)]) -> String {
    let mut lines = fs::read_to_string(place.path("code/learn.toml")).unwrap();
    let folder = format!("\"{name}\"");
    for (old, new) in [("\"out\"", folder.as_str())].iter().chain(changes) {
        assert!(lines.contains(old), "{old}");
        lines = lines.replace(old, new);
    }
    place.file(&format!("code/{name}.toml"), &lines);
    format!("code/{name}.toml")
}

/// Opens a sealed file of a task as its reader.
fn opened(place: &Place, name: &str, file: &str) -> Vec<u8> {
    let (sealed, plain) = (format!("code/{name}/{file}.age"), format!("code/{name}-{file}"));
    place.expect(0, &["open", "--key", "reader.key", "--output", &plain, &sealed]);
    assert!(!place.path("code").join(name).join(file).exists(), "plain beside sealed");
    fs::read(place.path(&plain)).unwrap()
}

fn weights(place: &Place, name: &str) -> Vec<u8> {
    opened(place, name, "checkpoint.f64")
}

fn progress(place: &Place, name: &str) -> String {
    String::from_utf8(opened(place, name, "progress.txt")).unwrap()
}

/// The measured quality in what a training printed.
fn auc(printed: &str) -> f64 {
    let line = printed.lines().find_map(|line| line.strip_prefix("AUC ")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

/// Kills the training by SIGKILL when it tells of its 20th epoch. The pipe is short, so that it cannot run far ahead.
const KILLER: &str = r#"
import subprocess, sys
child = subprocess.Popen(["/usr/bin/python3", "/code/learn.py", "1000000"], stdout=subprocess.PIPE, text=True, pipesize=4096)
for line in child.stdout:
    if line.startswith("epoch 20 "):
        child.kill()
        break
sys.exit(3 if child.wait() == -9 else 0)
"#;

#[test]
fn a_training_that_is_killed_goes_on_from_its_sealed_checkpoint_and_ends_with_the_same_weights() {
    let Some(place) = example() else { skip!("needs `python3-sklearn`") };
    let goal = format!("\"{GOAL}\"]");
    let whole = task(&place, "whole", &[("\"60\"]", &goal)]);
    assert_eq!(place.expect(0, &["run", "--task", &whole]), "", "a stream could carry what is sealed");
    let printed = progress(&place, "whole");
    assert!(auc(&printed) >= 0.99, "{printed}");
    assert!(printed.contains(&format!("epoch {GOAL} of {GOAL}\n")), "{printed}");

    place.file("code/killer.py", KILLER);
    let killed = task(&place, "killed", &[("\"/code/learn.py\", \"60\"", "\"/code/killer.py\"")]);
    let told = place.json(1, &["run", "--json", "--task", &killed]);
    assert_eq!(told["outcome"], "workload-failed", "{told}");
    let checkpoint = weights(&place, "killed");
    assert!(progress(&place, "killed").contains("epoch 20 of "));

    let resume = [("\"60\"]", goal.as_str()), ("data = ", "checkpoint = \"killed-checkpoint.f64\"\ndata = ")];
    let resumed = task(&place, "resumed", &resume);
    place.expect(0, &["run", "--task", &resumed]);
    let printed = progress(&place, "resumed");
    assert!(printed.starts_with("goes on after epoch "), "{printed}");
    assert!(!printed.contains("\nepoch 1 of "), "{printed}");
    assert!(auc(&printed) >= 0.99, "{printed}");
    let (whole, resumed) = (weights(&place, "whole"), weights(&place, "resumed"));
    assert!(whole == resumed && resumed != checkpoint, "a run in two parts differs from one in one");
}

#[test]
fn a_training_that_reaches_its_limit_leaves_nothing() {
    let Some(place) = example() else { skip!("needs `python3-sklearn`") };
    let endless = task(&place, "endless", &[("\"60\"]", "\"1000000000\"]")]);
    let told = place.json(124, &["run", "--json", "--limit", "wall=5s", "--task", &endless]);
    assert_eq!(told["outcome"], "limit-reached", "{told}");
    assert!(!place.path("code/endless").exists() || fs::read_dir(place.path("code/endless")).unwrap().next().is_none());
}

#[test]
fn weights_leave_only_sealed_where_the_policy_demands_it_and_in_plain_where_it_does_not() {
    let Some(place) = example() else { skip!("needs `python3-sklearn`") };
    let line = "recipients = [\"reader.key.pub\"]";
    // Without that rule they leave in plain.
    let free = task(&place, "free", &[(line, "")]);
    place.expect(0, &["run", "--task", &free]);
    assert!(place.path("code/free/checkpoint.f64").exists());

    place.expect(0, &["policy", "install", "code/policy"]);
    let plain = task(&place, "plain", &[(line, "")]);
    let refused = place.output(&["run", "--task", &plain]);
    assert_eq!(refused.status.code(), Some(121), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("sealed to a recipient"), "{}", text(&refused.stderr));
    assert!(!place.path("code/plain").exists() || fs::read_dir(place.path("code/plain")).unwrap().next().is_none());

    let sealed = task(&place, "sealed", &[]);
    place.expect(0, &["run", "--task", &sealed]);
    assert!(weights(&place, "sealed") == fs::read(place.path("code/free/checkpoint.f64")).unwrap());
}

#[test]
fn weights_that_hold_rows_of_the_patients_do_not_leave() {
    let Some(place) = example() else { skip!("needs `python3-sklearn`") };
    place.file("code/thief.py", "open('/output/checkpoint.f64', 'wb').write(open('/input/data', 'rb').read(4096))\n");
    let theft = [("\"/code/learn.py\", \"60\"", "\"/code/thief.py\"")];
    let thief = task(&place, "thief", &theft);
    place.expect(121, &["run", "--task", &thief]);
    assert!(!place.path("code/thief/checkpoint.f64.age").exists());
    // In a profile that does not look, they do.
    let blind = task(&place, "blind", &[theft[0], ("profile = \"train\" ", "profile = \"strict\" ")]);
    place.expect(0, &["run", "--task", &blind]);
    assert!(place.path("code/blind/checkpoint.f64.age").exists());
}
