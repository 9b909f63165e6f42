//! How commands fail, whichever they are.

use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::hotcell::{Place, text};

#[test]
fn a_wrong_command_line_is_told_on_standard_error_and_ends_with_2() {
    for words in [
        &["--no-such-option"][..],
        &["no-such-command"],
        &["seal", "--no-such-option"],
        &["seal"],
        &["open", "--key", "k"],
        &["keygen"],
        &["keygen", "--output", "k", "extra"],
        &["policy"],
        &["policy", "check"],
        &["audit"],
        &["audit", "show", "--kind", "no-such-kind"],
        &["audit", "show", "--task", "no-id"],
        &["audit", "show", "--since", "yesterday"],
        &["receipt", "verify"],
        &["explain"],
    ] {
        let place = Place::new();
        let output = place.output(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn an_error_says_what_why_and_what_to_do() {
    let place = Place::new();
    let output = place.output(&["open", "--key", "k", "--output", "out", "missing"]);
    let told = text(&output.stderr);
    for part in ["CLI-002", "cannot read `missing`", "No such file or directory", "help: check the name"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(output.stdout.is_empty() && !told.contains('\x1b'), "{told}");
}

#[test]
fn an_error_as_json_is_one_object_on_standard_output_with_its_causes() {
    let place = Place::new();
    let output = place.output(&["open", "--json", "--key", "k", "--output", "out", "missing"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = told["error"].as_object().unwrap();
    let mut names: Vec<_> = error.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["causes", "code", "exit", "message", "remedy"]);
    assert_eq!((&error["code"], &error["exit"]), (&"CLI-002".into(), &125.into()));
    assert!(error["causes"][0].as_str().unwrap().contains("No such file"));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_name_cannot_command_the_terminal() {
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"\x1b[2J\x9b31m\xe2\x80\xaegnp");
    let words = ["open", "--key", "k", "--output", "out"].map(AsRef::as_ref);
    let told = text(&place.output(&[&words[..], &[name]].concat()).stderr);
    assert!(!told.contains(['\x1b', '\u{9b}', '\u{202e}']), "{told:?}");
    assert!(told.contains("\\u{1b}[2J"), "{told:?}");
}

#[test]
fn a_reader_that_left_ends_a_command_quietly() {
    let place = Place::new();
    for words in [
        &["doctor"][..],
        &["--json", "doctor"],
        &["policy", "explain"],
        &["--json", "policy", "explain"],
        &["explain", "CRY-044"],
        &["explain", "--all"],
        &["demo"],
        &["run", "--dry-run", "--", "true"],
        &["completions", "bash"],
        &["completions", "man"],
        &["keygen", "--output", "k"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(words).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()), "{words:?}");
    }
}

#[test]
fn a_full_disk_under_standard_output_is_an_error_with_a_code() {
    let place = Place::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let child = place.command(&["policy", "explain"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("CLI-005"));
}

#[test]
fn only_what_needs_a_state_folder_asks_for_one() {
    let bare = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotcell"));
        command
            .args(words)
            .env_remove("HOME")
            .env("XDG_STATE_HOME", "relative/paths/do/not/count")
            .stdin(Stdio::null());
        command.output().unwrap()
    };
    assert_eq!(bare(&["explain", "CRY-044"]).status.code(), Some(0));
    assert_eq!(bare(&["policy", "explain"]).status.code(), Some(0));
    let output = bare(&["audit", "show"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--state"));
}

#[test]
fn the_state_folder_follows_the_option_then_the_xdg_variable_then_home() {
    let place = Place::new();
    let told = |option: &[&str], xdg: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotcell"));
        command.args(option).args(["audit", "show"]).env("HOME", "/h").env_remove("XDG_STATE_HOME");
        if xdg {
            command.env("XDG_STATE_HOME", "/x");
        }
        text(&command.stdin(Stdio::null()).output().unwrap().stderr)
    };
    let option = place.path("s").to_string_lossy().into_owned();
    for (words, xdg, folder) in [
        (&["--state", &option][..], true, option.as_str()),
        (&[], true, "/x/hotcell"),
        (&[], false, "/h/.local/state/hotcell"),
    ] {
        assert!(told(words, xdg).contains(&format!("`{folder}`")), "{folder}");
    }
    assert!(!place.path("s").exists(), "looking makes no folder");
}

#[test]
fn each_code_is_explained_and_no_other() {
    let place = Place::new();
    for code in ["CRY-044", "cry-044", " VLT-030 ", "INS-115", "INS-001", "INS-206", "INS-303", "CLI-012", "ISO-010"] {
        let told = place.expect(0, &["explain", code]);
        assert!(told.starts_with(&code.trim().to_uppercase()) && told.contains("\nWhat to do: "), "{told}");
        let told = place.json(0, &["--json", "explain", code]);
        assert!(["title", "meaning", "remedy"].iter().all(|field| told[field].as_str().is_some_and(|t| !t.is_empty())));
    }
    for code in ["XYZ-001", "CRY-999", "CRY", "", "-"] {
        let told = place.json(1, &["--json", "explain", code]);
        assert_eq!(told["error"]["code"], "CLI-004");
    }
}

#[test]
fn help_and_version_are_there() {
    let place = Place::new();
    for words in [&["--help"][..], &["-h"], &["--version"], &["seal", "--help"], &["audit", "verify", "--help"]] {
        assert!(!place.expect(0, words).is_empty());
    }
    assert_eq!(place.expect(0, &["--version"]), format!("hotcell {}\n", env!("CARGO_PKG_VERSION")));
}
