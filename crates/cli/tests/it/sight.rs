//! What a terminal shows: its width, its colours, its signs. The terminal is made by `script`.

use hotcell_testkit::require_program;
use unicode_width::UnicodeWidthStr;

use crate::hotcell::{Place, text};

/// What a command writes to a terminal of this width, in this environment.
fn seen(place: &Place, columns: u16, environment: &[(&str, &str)], words: &str) -> String {
    let program = env!("CARGO_BIN_EXE_hotcell");
    let shell = format!("stty cols {columns} rows 24; '{program}' --state '{}' {words}", place.state().display());
    let mut script = std::process::Command::new("script");
    script.args(["-q", "-e", "-c", &shell, "/dev/null"]).env_clear().current_dir(place.path("."));
    script.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", place.path("")).env("TERM", "xterm-256color");
    script.env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh").envs(environment.iter().copied());
    script.stdin(std::process::Stdio::null());
    text(&script.output().unwrap().stdout).replace("\r\n", "\n")
}

/// A line without its colours.
fn bare(line: &str) -> String {
    let mut runs = line.split('\x1b');
    let first = runs.next().unwrap_or_default().to_owned();
    runs.fold(first, |line, run| line + run.split_once('m').map_or(run, |(_, text)| text))
}

const COMMANDS: &[&str] =
    &["explain --all", "doctor", "policy explain", "run", "open --key k --output o missing", "run --dry-run -- true"];

#[test]
fn no_line_is_wider_than_the_terminal_unless_it_is_one_word() {
    require_program!("script");
    let place = Place::new();
    for locale in ["C", "C.UTF-8", "zh_CN.UTF-8"] {
        for columns in [80, 200] {
            for words in COMMANDS {
                let said = seen(&place, columns, &[("LC_ALL", locale)], words);
                assert!(!said.trim().is_empty(), "{words}");
                for line in said.lines().map(bare) {
                    let longest = line.split_whitespace().map(UnicodeWidthStr::width).max().unwrap_or(0);
                    let fits = line.width() <= usize::from(columns) || longest > usize::from(columns) / 2;
                    assert!(fits, "{locale}, {words}, {columns} columns: {line:?}");
                }
            }
        }
    }
}

#[test]
fn colour_is_for_terminals_that_have_it_and_users_who_want_it() {
    require_program!("script");
    let place = Place::new();
    for words in ["doctor", "open --key k --output o missing", "--help"] {
        let colours = |environment: &[(&str, &str)]| seen(&place, 80, environment, words).contains("\x1b[");
        assert!(colours(&[]) || words == "doctor", "{words}");
        for environment in [&[("NO_COLOR", "1")][..], &[("TERM", "dumb")], &[("CLICOLOR", "0")]] {
            assert!(!colours(environment), "{words}: {environment:?}");
        }
    }
    let said = seen(&place, 80, &[], "open --key k --output o missing");
    let deep = ["[38;2;", "[38;5;", "[48;"].iter().any(|code| said.contains(code));
    assert!(!deep, "only the sixteen colours, which the terminal's owner chooses: {said:?}");
}

#[test]
fn a_locale_without_unicode_has_plain_lines_and_arrows() {
    require_program!("script");
    let place = Place::new();
    for words in COMMANDS {
        let said = seen(&place, 80, &[("LC_ALL", "C")], words);
        assert!(said.is_ascii(), "{words}: {said}");
    }
    assert!(seen(&place, 80, &[], "policy explain").contains('─'));
}
