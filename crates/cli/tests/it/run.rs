//! `hotcell run` as its users meet it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use hotcell_testkit::{require_program, workspace};
use serde_json::Value;

use crate::hotcell::{Place, text, with_signals};

fn biopsy(name: &str) -> String {
    workspace().join("examples/biopsy").join(name).to_string_lossy().into_owned()
}

#[test]
fn a_program_runs_on_data_and_its_output_comes_back() {
    require_program!("python3");
    let place = Place::new();
    fs::create_dir_all(place.path("code")).unwrap();
    place.file(
        "code/job.py",
        "rows = open('/input/data').read().split()\nopen('/output/n', 'w').write(str(len(rows)))\n",
    );
    place.file("table.csv", "a\nb\nc\n");
    let arguments =
        ["run", "--code", "code", "--input", "data=table.csv", "--output", "out", "--", "python3", "job.py"];
    place.expect(0, &arguments);
    assert_eq!(fs::read_to_string(place.path("out/n")).unwrap(), "3");
}

#[test]
fn an_input_may_lie_in_a_folder_that_only_its_owner_enters() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    for (name, mode) in [("open", 0o644), ("closed", 0o600)] {
        let folder = place.path(name);
        fs::create_dir(&folder).unwrap();
        let table = place.file(&format!("{name}/t.csv"), "a\n");
        fs::set_permissions(&table, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let input = format!("data={}", table.display());
        assert_eq!(place.expect(0, &["run", "--input", &input, "--", "/bin/cat", "/input/data"]), "a\n", "{name}");
    }
}

#[test]
fn a_model_scores_a_table() {
    let place = Place::new();
    let (model, table) = (biopsy("model.onnx"), format!("data={}", biopsy("patients.csv")));
    let report = place.json(0, &["--json", "run", "--model", &model, "--input", &table, "--output", "out"]);
    assert_eq!(report["outcome"], "released");
    assert_eq!(report["outputs"][0]["path"], "scores.csv");
    let scores = fs::read_to_string(place.path("out/scores.csv")).unwrap();
    assert_eq!(scores.lines().count(), 570);
    assert!(report["timings"]["run"].as_f64().unwrap() > 0.0);
}

#[test]
fn live_streams_pass_and_json_keeps_them_apart() {
    let place = Place::new();
    let script = "echo out; echo err >&2";
    let output = place.output(&["run", "--", "/bin/sh", "-c", script]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    let report = place.json(0, &["--json", "run", "--", "/bin/sh", "-c", script]);
    assert_eq!((report["stdout"].as_str(), report["stderr"].as_str()), (Some("out\n"), Some("err\n")));
    assert_eq!(report["streams"][0]["disposition"], "live-uninspected");
}

#[test]
fn standard_input_is_handed_on_only_when_asked() {
    let place = Place::new();
    for (option, expected) in [(true, "hello"), (false, "")] {
        let mut arguments = vec!["run"];
        if option {
            arguments.push("--stdin");
        }
        arguments.extend(["--", "/bin/cat"]);
        let mut command = place.command(&arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Where it is not asked for nobody reads it, and the pipe may be closed already.
        let _ = child.stdin.take().unwrap().write_all(b"hello");
        assert_eq!(text(&child.wait_with_output().unwrap().stdout), expected);
    }
}

#[test]
fn statuses_are_passed_on_and_bad_wishes_are_named() {
    let place = Place::new();
    for (arguments, status, word) in [
        (&["run", "--", "/bin/sh", "-c", "exit 42"][..], 42, ""),
        (&["run", "--", "/bin/sh", "-c", "kill -9 $$"], 137, ""),
        (&["run", "--", "no-such-program"], 127, "no-such-program"),
        (&["run"], 2, "nothing to run"),
        (&["run", "--egress", "no host", "--", "true"], 2, "--egress"),
        (&["run", "--best-effort", "everything", "--", "true"], 2, "seccomp"),
        (&["run", "--limit", "wall=200ms", "--", "/bin/sleep", "9"], 124, "--limit wall"),
        (&["run", "--limit", "memory=1TiB", "--", "true"], 121, "at most 64GiB"),
        (&["run", "--limit", "tea=1", "--", "true"], 2, "tea"),
        (&["run", "--input", "data", "--", "true"], 2, "NAME=VALUE"),
        (&["run", "--input", "data=/no/such/file", "--", "true"], 125, "/no/such/file"),
        (&["run", "--task", "missing.toml"], 125, "missing.toml"),
        (&["run", "--profile", "lenient", "--", "true"], 2, "lenient"),
        (&["run", "--recipient", "age1wrong", "--", "true"], 2, "CRY-057"),
        (&["run", "--key", "k", "--", "true"], 2, "--model"),
    ] {
        let output = place.output(arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {told}");
        assert!(told.contains(word), "{arguments:?}: {told}");
    }
}

#[test]
fn bad_models_tables_and_task_files_are_named() {
    let place = Place::new();
    let table = format!("data={}", biopsy("patients.csv"));
    let model = biopsy("model.onnx");
    place.file("bad.onnx", "garbage");
    fs::write(place.path("cut.onnx"), &fs::read(&model).unwrap()[..30_000]).unwrap();
    place.file("bad.csv", "patient,x\nP1,notanumber\n");
    let score = |model: &str, table: &str| {
        let output = place.output(&["run", "--model", model, "--input", table, "--output", "out"]);
        (output.status.code(), text(&output.stderr))
    };
    for (model, table, status, word) in [
        ("bad.onnx", table.as_str(), Some(125), "MDL-002"),
        ("cut.onnx", &table, Some(125), "ends in the middle"),
        ("/dev/zero", &table, Some(2), "neither a file nor a folder"),
        ("/no/model", &table, Some(125), "/no/model"),
        (&model, "data=bad.csv", Some(125), "MDL-"),
    ] {
        let (found, told) = score(model, table);
        assert_eq!(found, status, "{model} {table}: {told}");
        assert!(told.contains(word), "{model} {table}: {told}");
    }
    let good = include_str!("../../../../examples/biopsy/task.toml");
    for (from, to, word) in [
        ("purpose", "porpoise", "porpoise"),
        ("precision = 2", "precision = 99", "precision"),
        ("\"third-party\"", "\"lenient\"", "lenient"),
        ("from = \"data.patient\"", "from = \"other.patient\"", "other.patient"),
        ("[runner]", "command = [\"true\"]\n[runner]", "command"),
        ("file = \"model.sealed\"", "file = \"/no/model\"", "/no/model"),
        ("hospital.key", "missing.key", "missing.key"),
    ] {
        assert!(good.contains(from), "{from}");
        place.file("task.toml", &good.replacen(from, to, 1));
        if !place.path("model.sealed").exists() {
            sealed(&place);
            fs::copy(biopsy("patients.csv"), place.path("patients.csv")).unwrap();
        }
        let output = place.output(&["run", "--task", "task.toml"]);
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(word), "{to}: {told}");
        assert!(!place.path("out/scores.csv.age").exists(), "{to}");
    }
}

#[test]
fn a_dry_run_tells_a_task_of_others_without_commanding_the_terminal() {
    let place = Place::new();
    let file = place.file("task.toml", "command = [\"sh\", \"-c\", \"\\u001b]0;x\\u0007 echo  two   three\"]\n");
    for locale in ["C.UTF-8", "zh_CN.UTF-8"] {
        let words = ["run", "--dry-run", "--task", file.to_str().unwrap()];
        let output = place.command(&words).env("LC_ALL", locale).output().unwrap();
        let told = text(&output.stdout);
        assert!(output.status.success() && told.contains("sh -c \\u{1b}]0;x\\u{7} echo  two   three\n"), "{told}");
        let is_harmless = |letter: char| letter == '\n' || !(letter.is_control() || letter >= '\u{f0000}');
        assert!(told.chars().all(is_harmless), "{told:?}");
    }
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let place = Place::new();
    let told = place.json(0, &["--json", "run", "--dry-run", "--output", "out", "--", "/bin/true"]);
    assert_eq!(told["profile"], "strict");
    assert!(told["rules"].as_array().unwrap().iter().any(|rule| rule == "owner-runs-own-task"));
    assert!(!place.path("out").exists() && !place.state().join("log").exists());
}

#[test]
fn a_sealed_model_is_opened_for_the_built_in_runner_only() {
    require_program!("age");
    let place = Place::new();
    sealed(&place);
    place.file("task.toml", include_str!("../../../../examples/biopsy/task.toml"));
    fs::copy(biopsy("patients.csv"), place.path("patients.csv")).unwrap();
    place.expect(0, &["run", "--task", "task.toml"]);
    let open = ["-d", "-i", "reader.key", "out/scores.csv.age"];
    let opened = Command::new("age").args(open).current_dir(place.path(".")).output().unwrap();
    let scores = text(&opened.stdout);
    assert_eq!(scores.lines().count(), 570, "the public age tool opens the result");
    assert!(scores.starts_with("patient,probability_malignant,malignant\nP0001,"));

    let with_model = ["run", "--model", "model.sealed", "--key", "hospital.key"];
    let copy = [&with_model[..], &["--output", "out", "--", "cp", "/model/model.onnx", "/output"]].concat();
    let told = place.output(&copy);
    assert_eq!(told.status.code(), Some(121), "{}", text(&told.stderr));
    assert!(text(&told.stderr).contains("the vendor's terms do not let this program read the model"));
    assert!(!place.path("out/model.onnx").exists());
}

#[test]
fn a_package_with_one_byte_changed_or_another_key_gives_123() {
    let place = Place::new();
    sealed(&place);
    fs::copy(biopsy("patients.csv"), place.path("patients.csv")).unwrap();
    place.file("task.toml", include_str!("../../../../examples/biopsy/task.toml"));
    let good = fs::read(place.path("model.sealed")).unwrap();
    for at in [good.len() - 1, good.len() / 2, 900, 20] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(place.path("model.sealed"), bad).unwrap();
        place.expect(123, &["run", "--task", "task.toml"]);
        assert!(!place.path("out/scores.csv.age").exists(), "byte {at}");
    }
    fs::write(place.path("model.sealed"), &good[..good.len() - 1]).unwrap();
    place.expect(123, &["run", "--task", "task.toml"]);
    fs::write(place.path("model.sealed"), good).unwrap();
    place.expect(123, &["run", "--task", "task.toml", "--model", "model.sealed", "--key", "reader.key"]);
    place.expect(0, &["run", "--task", "task.toml"]);
}

/// Keys, and the example's model sealed to the hospital.
fn sealed(place: &Place) {
    place.expect(0, &["keygen", "--output", "hospital.key"]);
    place.expect(0, &["keygen", "--output", "reader.key"]);
    place.expect(0, &["keygen", "--signing", "--output", "vendor.key"]);
    let model = biopsy("model.onnx");
    let seal = ["seal", "--model", "example/biopsy", "--model-version", "1", "--sign", "vendor.key"];
    let files = ["--recipient", "hospital.key.pub", "--output", "model.sealed", &model];
    place.expect(0, &[&seal[..], &files[..]].concat());
}

#[test]
fn a_finished_task_can_be_looked_at() {
    let place = Place::new();
    let report = place.json(0, &["--json", "run", "--receipt", "r.json", "--", "/bin/sh", "-c", "echo said"]);
    let task = report["task"].as_str().unwrap();
    assert_eq!(place.expect(0, &["logs", task]), "said\n");
    assert!(place.expect(0, &["show", task]).contains(task));
    let all = place.json(0, &["--json", "ps", "--all"]);
    assert_eq!((all[0]["task"].as_str(), all[0]["state"].as_str()), (Some(task), Some("released")));
    let trust = place.state().join("keys/signing.key.pub").to_string_lossy().into_owned();
    place.expect(0, &["receipt", "verify", "r.json", "--trust", &trust]);
    place.expect(1, &["receipt", "verify", "r.json"]);
    place.expect(1, &["show", "t-aaaaaaaaaaaaaaaa"]);
    place.expect(2, &["show", "nonsense"]);
    let events = place.json(0, &["--json", "audit", "show", "--task", task]);
    assert!(events.as_array().is_some_and(|events| events.len() >= 6), "{events}");
}

#[test]
fn a_signal_to_hotcell_ends_the_task_in_order() {
    let place = Place::new();
    let mut child = place.start(&["run", "--", "/bin/sh", "-c", "echo ready; sleep 60"]);
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let id = i32::try_from(child.id()).unwrap();
    assert!(Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let all: Value = place.json(0, &["--json", "ps", "--all"]);
    assert_eq!(all[0]["state"], "cancelled");
}

#[test]
fn the_program_that_is_shipped_cannot_leave_out_a_wall() {
    let mark = ["HOTCELL-DANGEROUS", "-WITHOUT-WALLS"].concat();
    let program = fs::read(env!("CARGO_BIN_EXE_hotcell")).unwrap();
    assert!(!program.windows(mark.len()).any(|bytes| bytes == mark.as_bytes()));
}

#[test]
fn the_state_is_out_of_sight_also_in_a_folder_that_holds_it() {
    let place = Place::new();
    place.expect(0, &["run", "--", "true"]);
    let keys = "ls /code/state/keys /input/all/state; ls -A /code/state /input/all/state | grep -c .";
    let output = place.output(&["run", "--code", ".", "--input", "all=.", "--", "sh", "-c", keys]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains("signing.key") && !said.contains("journal"), "{said}");
    // Two lines that name the folders, and none of what is in them.
    assert!(said.contains("\n2\n"), "{said}");
}

#[test]
fn a_workload_begins_with_every_signal_as_usual_whatever_its_caller_ignores_or_holds_back() {
    let place = Place::new();
    let hotcell = place.command(&["run", "--", "cat", "/proc/self/status"]);
    for options in [&["--ignore-signal"][..], &["--block-signal"], &["--ignore-signal", "--block-signal"]] {
        let output = with_signals(options, &hotcell).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let told = text(&output.stdout);
        for mask in ["SigBlk", "SigIgn", "SigCgt"] {
            assert!(told.contains(&format!("{mask}:\t0000000000000000\n")), "{options:?}: {told}");
        }
    }
    let child =
        with_signals(&["--ignore-signal"], &place.command(&["run", "--", "sh", "-c", "kill -TERM $$; echo on"]));
    assert_eq!({ child }.output().unwrap().status.code(), Some(128 + 15));
}

#[test]
fn what_its_caller_ignores_ends_no_task_and_a_cancellation_always_does() {
    let place = Place::new();
    let script = "echo on; read -r word; echo \"$word\"";
    let hotcell = place.command(&["run", "--stdin", "--", "sh", "-c", script]);
    let mut child = with_signals(&["--ignore-signal=HUP,INT"], &hotcell);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "on");
    for signal in ["-HUP", "-INT"] {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }
    child.stdin.take().unwrap().write_all(b"went on\n").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "went on");
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let hotcell = place.command(&["run", "--", "sh", "-c", "echo on; sleep 600"]);
    let mut child = with_signals(&["--ignore-signal", "--block-signal"], &hotcell);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "on");
    let running = place.json(0, &["--json", "ps"]);
    place.expect(0, &["cancel", running[0]["task"].as_str().unwrap()]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn an_input_has_a_name_of_its_own_that_leads_nowhere_else() {
    let place = Place::new();
    place.file("data", "x");
    for name in ["..", ".", "../x", "../../../../../../tmp/x", "a/b", "/x", "a\nb", &"n".repeat(256)] {
        let output = place.output(&["run", "--input", &format!("{name}=data"), "--", "true"]);
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains("TSK-001"), "{name}: {told}");
    }
    place.file("task.toml", "command = [\"true\"]\n[inputs]\n\"../x\" = \"data\"\n");
    place.expect(2, &["run", "--task", "task.toml"]);
    let twice = place.output(&["run", "--input", "a=data", "--input", "a=task.toml", "--", "true"]);
    assert!(text(&twice.stderr).contains("two inputs are named `a`"), "{}", text(&twice.stderr));
    for name in ["a b", "Ä.csv", "...", &"n".repeat(255)] {
        place.expect(0, &["run", "--input", &format!("{name}=data"), "--", "cat", &format!("/input/{name}")]);
    }
}
