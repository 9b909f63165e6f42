//! All tests, with a count that does not flatter: what was skipped did not pass.

use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::command::{Result, cargo, is_root, program, target, title};
use crate::ordinary::Ordinary;
use crate::skips::{self, Skip};
use crate::{kernels, packages};

/// The packages whose tests run once more as an ordinary user when we are root: what they do
/// depends on who does it.
const BOTH_USERS: &[&str] =
    &["hotcell-inspect", "hotcell-oci", "hotcell-isolate", "hotcell-task", "hotcell-selftest", "hotcell"];

/// What the user asked for.
struct Wishes {
    checks: bool,
    full: bool,
    require_all: bool,
}

/// The sums of one or more test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Skips that are failures under `REQUIRE_ALL`.
    unexcused: u64,
    long: u64,
    /// What failed tests said, said once more at the end: where a log is cut, its end is kept.
    said: Vec<String>,
}

/// Lines of one test program's failures that are said once more.
const SAID_AGAIN: usize = 60;

/// `cargo xtask test`.
pub(crate) fn run(args: &[String]) -> Result {
    let require_all = std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == "1");
    let mut wishes = Wishes { checks: true, full: false, require_all };
    for arg in args {
        match arg.as_str() {
            "--full" => wishes.full = true,
            "--no-checks" => wishes.checks = false,
            _ => return Err(format!("`{arg}` is not understood; there are `--full` and `--no-checks`").into()),
        }
    }
    everything(&wishes)
}

/// `cargo xtask ci`.
pub(crate) fn ci(args: &[String]) -> Result {
    crate::command::no_arguments(args)?;
    everything(&Wishes { checks: true, full: false, require_all: true })
}

fn everything(wishes: &Wishes) -> Result {
    packages::provide(packages::TESTS);
    if wishes.full {
        packages::provide(packages::LONG);
        kernels::provide();
    }
    skips::begin()?;
    let mut count = Count::default();
    if wishes.checks {
        count.failed += crate::failed_checks();
        for skip in skips::take()? {
            count.add_skip(&skip);
        }
    }
    match tests(wishes) {
        Ok(tests) => count.add(tests),
        Err(error) => {
            println!("failed: {error}");
            count.failed += 1;
        }
    }
    conclude(&count, wishes)
}

fn tests(wishes: &Wishes) -> Result<Count> {
    let programs = build()?;
    let as_both = is_root();
    let mut count = as_ourselves(wishes, as_both)?;
    if as_both {
        count.add(as_ordinary_user(wishes, &programs)?);
    }
    Ok(count)
}

/// A compiled test program.
struct TestProgram {
    executable: PathBuf,
    folder: PathBuf,
    name: String,
}

/// Compiles all tests, and gives the programs that run as both users.
fn build() -> Result<Vec<TestProgram>> {
    title("building the tests");
    let mut command = cargo("test");
    command.args(["--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().ok_or("cargo gives no output")?).lines();
    let mut programs = Vec::new();
    for line in lines {
        programs.extend(test_program(&line?)?);
    }
    if !child.wait()?.success() {
        return Err("the tests do not compile".into());
    }
    Ok(programs)
}

fn test_program(line: &str) -> Result<Option<TestProgram>> {
    let message: Value = serde_json::from_str(line)?;
    let (Some(executable), Some(manifest)) = (message["executable"].as_str(), message["manifest_path"].as_str()) else {
        return Ok(None);
    };
    let package: toml::Table = fs::read_to_string(manifest)?.parse()?;
    let package = package.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let wanted = package.is_some_and(|name| BOTH_USERS.contains(&name));
    if message["profile"]["test"] != true || !wanted {
        return Ok(None);
    }
    let folder = Path::new(manifest).parent().ok_or("a manifest without a folder")?.to_owned();
    let name = format!("{} {}", package.unwrap_or_default(), message["target"]["name"].as_str().unwrap_or_default());
    Ok(Some(TestProgram { executable: executable.into(), folder, name }))
}

/// All tests and the examples in the documentation, as whoever we are.
fn as_ourselves(wishes: &Wishes, as_both: bool) -> Result<Count> {
    title(if as_both { "tests, as root" } else { "tests" });
    let mut command = cargo("test");
    command.args(["--workspace", "--no-fail-fast"]).env("HOTCELL_SKIPS", skips::path());
    command.env("HOTCELL_FULL", if wishes.full { "1" } else { "0" });
    let mut count = counted(&mut command, &mut stdout())?;
    for skip in skips::take()? {
        count.take_back(&skip, as_both && skip.reason == skips::NEEDS_ORDINARY_USER && runs_as_both(&skip));
    }
    Ok(count)
}

/// Whether the test's package gets its turn as an ordinary user. Records begin with the package.
fn runs_as_both(skip: &Skip) -> bool {
    skip.test.split_once(' ').is_some_and(|(package, _)| BOTH_USERS.contains(&package))
}

/// The tests of some packages once more, as somebody with no rights.
fn as_ordinary_user(wishes: &Wishes, programs: &[TestProgram]) -> Result<Count> {
    title("tests, as an ordinary user");
    let mut count = Count::default();
    if program("setpriv").is_none() || program("unshare").is_none() {
        skips::record("tests as an ordinary user", "needs the programs `setpriv` and `unshare`")?;
        skips::take()?.iter().for_each(|skip| count.add_skip(skip));
        return Ok(count);
    }
    let user = Ordinary::new(target().join("test-data/ordinary"))?;
    for test in programs {
        println!("     Running {}", test.name);
        let mut command = user.command(&test.executable);
        command.current_dir(&test.folder).env("CARGO_MANIFEST_DIR", &test.folder);
        command.env("HOTCELL_SKIPS", skips::path()).env("HOTCELL_TEST_DATA", user.home());
        command.env("HOTCELL_FULL", if wishes.full { "1" } else { "0" });
        count.add(counted(&mut command, &mut stdout())?);
    }
    for skip in skips::take()? {
        count.take_back(&skip, skip.reason == skips::NEEDS_ROOT);
    }
    Ok(count)
}

/// Runs test programs, passes on what they print and adds up their summaries.
fn counted(command: &mut Command, out: &mut dyn Write) -> Result<Count> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("the tests give no output")?);
    let mut count = Count::default();
    let mut line = Vec::new();
    let mut left = 0;
    while lines.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        out.flush()?;
        let text = String::from_utf8_lossy(&line);
        if let Some(counted) = summary(&text) {
            count.add(counted);
            left = 0;
        } else if text == "failures:\n" {
            left = SAID_AGAIN;
        } else if left > 0 && !text.trim().is_empty() {
            count.said.push(text.into_owned());
            left -= 1;
        }
        line.clear();
    }
    let status = child.wait()?;
    if !status.success() && count.failed == 0 {
        // A program that crashed, or an example that does not compile, has no summary.
        writeln!(out, "failed: the tests ended with {status}")?;
        count.failed = 1;
    }
    Ok(count)
}

/// Reads `test result: ok. 5 passed; 0 failed; 1 ignored; …`. An ignored test is one that was not run.
fn summary(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut count = Count::default();
    for part in numbers.split("; ") {
        match part.trim().split_once(' ') {
            Some((number, "passed")) => count.passed = number.parse().ok()?,
            Some((number, "failed")) => count.failed = number.parse().ok()?,
            Some((number, "ignored")) => count.skipped = number.parse().ok()?,
            _ => {}
        }
    }
    count.unexcused = count.skipped;
    Some(count)
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.unexcused += other.unexcused;
        self.long += other.long;
        self.said.extend(other.said);
    }

    /// A skip of something that is not counted among the passed.
    fn add_skip(&mut self, skip: &Skip) {
        self.skipped += 1;
        if skip.is_excused() {
            println!("skipped: {}: {} (cannot be had on this machine)", skip.test, skip.reason);
        } else {
            println!("skipped: {}: {}", skip.test, skip.reason);
            self.unexcused += 1;
        }
    }

    /// A skip of a test that its program counted as passed. It does not count at all when it is
    /// for the other user, whose turn comes or was.
    fn take_back(&mut self, skip: &Skip, for_the_other: bool) {
        self.passed = self.passed.saturating_sub(1);
        if skip.long {
            self.long += 1;
        } else if !for_the_other {
            self.add_skip(skip);
        }
    }
}

fn conclude(count: &Count, wishes: &Wishes) -> Result {
    if !count.said.is_empty() {
        title("what failed");
        print!("{}", count.said.concat());
    }
    if count.long > 0 {
        println!("{} long tests are left to `cargo xtask test --full`", count.long);
    }
    let missing = if wishes.require_all { count.unexcused } else { 0 };
    if missing > 0 {
        println!("REQUIRE_ALL: {missing} of the skips count as failures");
    }
    println!("{} passed, {} failed, {} skipped", count.passed, count.failed + missing, count.skipped - missing);
    if count.failed + missing > 0 { Err("not everything passed".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read_and_other_lines_are_not() {
        let line =
            "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s\n";
        assert_eq!(
            summary(line),
            Some(Count { passed: 5, failed: 2, skipped: 1, unexcused: 1, long: 0, said: Vec::new() })
        );
        for other in
            ["", "test a ... ok", "test result: ok", "5 passed; 2 failed", "test result: ok. x passed; 0 failed"]
        {
            assert_eq!(summary(other), None, "{other}");
        }
    }

    #[test]
    fn a_skipped_test_is_not_a_passed_one() {
        let skip = |reason: &str, long| Skip { long, test: "t".into(), reason: reason.into() };
        let mut count = Count { passed: 4, ..Count::default() };
        count.take_back(&skip("no moon", false), false);
        count.take_back(&skip("needs cgroup v9", false), false);
        count.take_back(&skip(skips::NEEDS_ROOT, false), true);
        count.take_back(&skip("long", true), false);
        assert_eq!(count, Count { passed: 0, failed: 0, skipped: 2, unexcused: 2, long: 1, said: Vec::new() });
    }

    #[test]
    fn only_a_test_that_gets_its_turn_as_an_ordinary_user_waits_for_it() {
        let skip = |test: &str| Skip { long: false, test: test.into(), reason: skips::NEEDS_ORDINARY_USER.into() };
        assert!(runs_as_both(&skip("hotcell-isolate it::limits::pids")));
        for other in ["hotcell-audit it::limits", "hotcell-isolate", "hotcell-isolated x", ""] {
            assert!(!runs_as_both(&skip(other)), "{other:?}");
        }
    }

    #[test]
    fn a_skip_fails_the_run_only_when_all_is_required() {
        let wishes = |require_all| Wishes { checks: false, full: false, require_all };
        let count = |failed, skipped, unexcused| Count { failed, skipped, unexcused, ..Count::default() };
        assert!(conclude(&count(0, 2, 1), &wishes(false)).is_ok());
        assert!(conclude(&count(0, 2, 1), &wishes(true)).is_err());
        assert!(conclude(&count(0, 2, 0), &wishes(true)).is_ok());
        assert!(conclude(&count(1, 0, 0), &wishes(false)).is_err());
    }

    #[test]
    fn a_crashed_program_is_a_failure() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test result: ok. 1 passed; 0 failed'; kill -9 $$"]);
        let count = counted(&mut command, &mut Vec::new());
        assert_eq!(count.unwrap(), Count { passed: 1, failed: 1, ..Count::default() });
    }

    #[test]
    fn what_a_failed_test_said_is_kept_for_the_end() {
        let said = "failures:\n\n---- a stdout ----\nleft: 1\n\nfailures:\n    a\n";
        let result =
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let mut command = Command::new("printf");
        command.args(["%s\n%s\n%s\n", "running 1 test", said, result]);
        let count = counted(&mut command, &mut Vec::new()).unwrap();
        assert_eq!((count.failed, count.said.concat().as_str()), (1, "---- a stdout ----\nleft: 1\n    a\n"));
    }
}
