//! `hotcell doctor`, and the built-in runner, which is the same program under another name.

use std::os::unix::fs::symlink;
use std::process::Command;

use hotcell_isolate::filter::{Filter, FilterRules};
use hotcell_testkit::workspace;
use hotcell_types::Wall;
use syscalls::Sysno;

use crate::hotcell::{Place, text};
use crate::screen::Screen;

#[test]
fn every_control_is_told_and_the_status_says_whether_all_are_full() {
    let place = Place::new();
    let output = place.output(&["doctor", "--json"]);
    let controls: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let controls = controls.as_array().unwrap();
    let names: Vec<_> = controls.iter().map(|control| control["wall"].as_str().unwrap()).collect();
    let on_demand = ["write-xor-execute", "speculation", "core-scheduling", "page-sharing"];
    let always = Wall::ALL.iter().filter(|wall| !wall.is_on_demand()).map(|wall| wall.label());
    assert_eq!(names, always.chain(on_demand).collect::<Vec<_>>());
    let is_on_demand = |control: &&serde_json::Value| control["on_demand"] == true;
    let asked: Vec<_> = controls.iter().filter(is_on_demand).collect();
    assert_eq!(asked.iter().map(|control| control["wall"].as_str().unwrap()).collect::<Vec<_>>(), on_demand);
    // What doctor says of them is what a task that asks for them meets.
    for control in &asked {
        let wall = control["wall"].as_str().unwrap();
        let keys = match wall {
            "write-xor-execute" => "[memory]\nwrite_xor_execute = true\n",
            _ => "side_channels = \"hardened\"\n",
        };
        place.file("asking.toml", &format!("name = \"asking\"\nextends = \"strict\"\n{keys}"));
        let mut words = vec!["run", "--profile", "./asking.toml"];
        let others = on_demand.iter().filter(|other| **other != wall);
        words.extend(others.flat_map(|other| ["--best-effort", other]));
        words.extend(["--", "true"]);
        let ran = place.output(&words);
        let said = text(&ran.stderr);
        match control["enforcement"]["state"] == "full" {
            true => assert_eq!(ran.status.code(), Some(0), "{wall}: {said}"),
            false => assert!(ran.status.code() == Some(122) && said.contains(wall), "{wall}: {said}"),
        }
    }
    let controls: Vec<_> = controls.iter().filter(|control| !is_on_demand(control)).collect();
    let lacking: Vec<_> = controls.iter().filter(|control| control["enforcement"]["state"] != "full").collect();
    assert!(lacking.iter().all(|control| control["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty())));
    let status = i32::from(!lacking.is_empty());
    assert_eq!(output.status.code(), Some(status));

    let lines = place.expect(status, &["doctor"]);
    assert!(names.iter().all(|wall| lines.contains(wall)), "{lines}");
    assert!(lines.lines().last().unwrap().starts_with("this host can enforce "), "{lines}");
}

/// The filter of Docker as far as it concerns a sandbox: calls for namespaces, mounts and keys are refused, and
/// `clone3`, whose flags no filter can see, is not there. The rest passes.
fn dockers_filter() -> Filter {
    const REFUSED: &[&str] = &[
        "add_key",
        "bpf",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "keyctl",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "pivot_root",
        "request_key",
        "setns",
        "umount2",
        "unshare",
        "userfaultfd",
    ];
    let passing: Vec<_> = Sysno::iter().map(|call| call.name()).filter(|name| !REFUSED.contains(name)).collect();
    Filter::compile(&FilterRules {
        allowed: &passing,
        inet: true,
        write_xor_execute: false,
        unmerged: false,
        tsc: false,
        told: false,
    })
    .unwrap()
}

#[test]
fn in_a_container_with_dockers_filter_nothing_starts_and_doctor_says_with_which_options_it_would() {
    hotcell_testkit::require_program!("bwrap");
    let place = Place::new();
    std::fs::write(place.path("filter"), dockers_filter().bytes()).unwrap();
    std::fs::write(place.path("mark"), "").unwrap();
    // As Docker does it: no capabilities, parts of /proc covered, the filter; and podman's mark of a container.
    let contained = |words: &[&str]| {
        let script = "covered=/proc/kcore; [ -e $covered ] || covered=/proc/keys; \
                      exec bwrap --dev-bind / / --tmpfs /run --ro-bind \"$0\" /run/.containerenv --cap-drop ALL \
                      --ro-bind /dev/null $covered --seccomp 9 -- \"$@\" 9<filter";
        let mark = place.path("mark");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(mark).arg(env!("CARGO_BIN_EXE_hotcell")).arg("--state").arg(place.state());
        command.args(words).current_dir(place.path(".")).output().unwrap()
    };
    let output = contained(&["doctor", "--json"]);
    if text(&output.stderr).contains("bwrap:") {
        hotcell_testkit::skip!("bwrap cannot make a container here: {}", text(&output.stderr).trim());
    }
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let controls: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for control in controls.as_array().unwrap() {
        let wall = control["wall"].as_str().unwrap();
        if ["user-namespace", "pid-namespace", "mount-namespace", "network-namespace", "seccomp"].contains(&wall) {
            assert_eq!((&control["enforcement"]["state"], &control["cause"]), (&"absent".into(), &"container".into()));
            let commands = control["commands"].to_string();
            assert!(commands.contains("--security-opt seccomp=unconfined"), "{commands}");
            assert_eq!(control["fixable"], false);
        }
    }
    let told = text(&contained(&["doctor"]).stdout);
    assert!(told.contains("in Podman"), "{told}");
    assert!(
        told.contains("system call filter keeps programs from making namespaces, and it covers parts of /proc"),
        "{told}"
    );
    let refused = contained(&["run", "--", "true"]);
    assert_eq!(refused.status.code(), Some(122), "{}", text(&refused.stderr));
    let told = text(&refused.stderr);
    assert!(told.contains("ISO-010") && told.contains("user-namespace") && told.contains("hotcell doctor"), "{told}");
}

#[test]
fn nothing_is_changed_without_a_yes_and_by_nobody_but_root() {
    let place = Place::new();
    let output = place.output(&["doctor", "--yes"]);
    assert_eq!(output.status.code(), Some(2), "--yes is an answer to --fix");
    // On a host where nothing can be done, nothing is asked.
    let output = place.output(&["doctor", "--fix"]);
    let told = text(&output.stderr);
    let asked = told.contains("nothing that --fix could do") || told.contains("nobody at a terminal");
    assert!(asked || told.contains("only root can"), "{told}");
}

/// A host where user namespaces are switched off, in so far as a user namespace can be one: its root may set its own
/// `user.max_user_namespaces`. Behind doctor's words stands what became of the setting and of its file.
fn host_without_user_namespaces(place: &Place, language: &str) -> Command {
    let script = "mount -t tmpfs none /etc/sysctl.d && echo 0 > /proc/sys/user/max_user_namespaces || exit 9; trap : INT; \
                  \"$@\"; echo \"status $?, at most $(cat /proc/sys/user/max_user_namespaces), $(ls /etc/sysctl.d | wc -l) files\"";
    let hotcell = place.command(&["doctor", "--fix"]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(hotcell.get_program()).args(hotcell.get_args()).current_dir(place.path(".")).env("LC_ALL", language);
    command
}

/// Skips where no such host can be made.
macro_rules! require_host_without_user_namespaces {
    ($place:expr) => {
        hotcell_testkit::require_program!("unshare");
        let tried = host_without_user_namespaces($place, "C").stdin(std::process::Stdio::null()).output().unwrap();
        if tried.status.code() != Some(0) {
            hotcell_testkit::skip!("no user namespace can be changed here: {}", text(&tried.stderr).trim());
        }
    };
}

#[test]
fn fix_asks_at_a_terminal_and_only_a_yes_changes_the_host() {
    let place = Place::new();
    require_host_without_user_namespaces!(&place);
    for (keys, told) in [
        ("y\n", "wrote /etc/sysctl.d/60-hotcell-user-max_user_namespaces.conf"),
        ("yes\n", "set user.max_user_namespaces = 15000"),
        ("no\n", "cause user-namespaces-off: "),
        ("\n", "cause user-namespaces-off: "),
        ("yesterday\n", "cause user-namespaces-off: "),
        ("\x04", "cause user-namespaces-off: "),
        ("\x03", "status 130"),
    ] {
        let mut screen = Screen::of(host_without_user_namespaces(&place, "C.UTF-8"));
        // The question is broken where the terminal ends.
        let asked = screen.shows("? [y/N] ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(asked.contains("set user.max_user_namespaces = 15000, now and in /etc/sysctl.d/"), "{asked}");
        screen.types(keys);
        screen.shows(told);
        let (status, rest) = screen.ends();
        assert_eq!(status, Some(0), "{rest}");
        let (most, files) = if keys.starts_with('y') && !keys.contains("day") { (15000, 1) } else { (0, 0) };
        assert!(rest.contains(&format!(", at most {most}, {files} files")), "{keys:?}: {rest}");
    }
}

#[test]
fn fix_asks_in_chinese_where_that_is_the_language_and_nobody_without_a_terminal() {
    let place = Place::new();
    require_host_without_user_namespaces!(&place);
    let mut screen = Screen::of(host_without_user_namespaces(&place, "zh_CN.UTF-8"));
    screen.shows("？ [y/N] ");
    screen.types("是\n");
    screen.shows("已设置 user.max_user_namespaces = 15000");
    assert!(screen.ends().1.contains(", at most 15000, 1 files"));
    let output = host_without_user_namespaces(&place, "C.UTF-8").stdin(std::process::Stdio::null()).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(err.contains("nobody at a terminal") && out.contains("status 2, at most 0, 0 files"), "{out}{err}");
}

#[test]
fn under_the_name_of_the_runner_it_scores_and_is_no_other_command() {
    let place = Place::new();
    symlink(env!("CARGO_BIN_EXE_hotcell"), place.path("hotcell-runner")).unwrap();
    let run = |words: &[&str]| {
        let output =
            Command::new(place.path("hotcell-runner")).args(words).current_dir(place.path(".")).output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let biopsy = workspace().join("examples/biopsy");
    let (model, table) = (biopsy.join("model.onnx"), biopsy.join("patients.csv"));
    let (model, table) = (model.to_str().unwrap(), table.to_str().unwrap());
    for (words, status, code) in [
        (&[][..], 2, "MDL-041"),
        (&["doctor"], 2, "MDL-040"),
        (&["--model", "missing", "--input", table, "--output", "out.csv"], 125, "MDL-031"),
        (&["--model", table, "--input", table, "--output", "out.csv"], 125, "MDL-002"),
    ] {
        let (seen, told) = run(words);
        assert_eq!(seen, status, "{told}");
        assert!(told.contains(code) && told.contains("help: "), "{told}");
        assert!(!place.path("out.csv").exists());
    }
    let (status, told) = run(&["--model", model, "--input", table, "--output", "out.csv"]);
    assert_eq!(status, 0, "{told}");
    assert!(std::fs::read_to_string(place.path("out.csv")).unwrap().lines().count() > 100);
}
