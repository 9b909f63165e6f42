//! Tests that did not run: who says so, and when that is a failure.
//!
//! A test that cannot run appends `kind TAB test TAB reason` to the file named by `HOTCELL_SKIPS`
//! (the crate `testkit` does it). With `REQUIRE_ALL=1` each is a failure, except where the table
//! below asks the machine and finds that it really cannot.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Result, target};

/// The reason of the advisory check.
pub(crate) const NO_ADVISORIES: &str = "the advisory database cannot be reached";

/// The reasons that testkit gives for a test that is for the other kind of user.
pub(crate) const NEEDS_ROOT: &str = "needs root";
pub(crate) const NEEDS_ORDINARY_USER: &str = "needs an ordinary user";

/// One test that did not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    /// Whether it is a long one, which only `--full` runs.
    pub(crate) long: bool,
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// Something that some machines cannot do.
struct Impossible {
    /// A part of the reason that the test gives.
    reason: &'static str,
    /// Whether this machine can do it after all.
    possible: fn() -> bool,
}

/// What may be skipped even where all is required.
const IMPOSSIBLE: &[Impossible] = &[
    // Recorded only after the fetch failed.
    Impossible { reason: NO_ADVISORIES, possible: || false },
    // Recorded only after the fetch failed.
    Impossible { reason: "numpy cannot be fetched", possible: || false },
    // Data of others, which is not part of this project.
    Impossible {
        reason: "needs the folder HOTCELL_TEST_DATA",
        possible: || std::env::var_os("HOTCELL_TEST_DATA").is_some(),
    },
    Impossible {
        reason: "needs cgroup v2 with the memory controller",
        possible: || fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|list| list.contains("memory")),
    },
    Impossible {
        reason: "root may not raise limits here",
        possible: || {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
            mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> 24 & 1 == 1)
        },
    },
    // That alone: whatever else its test leaves out stands before `here` too.
    Impossible { reason: "this host itself refuses core-of-a-crash here", possible: leaves_dumps },
    // Processors that cannot shut it, and those on which it is shut for everybody.
    Impossible {
        reason: "this host itself makes nothing of speculate-over-stores, speculate-over-branches",
        possible: || {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            status.lines().any(|line| line.starts_with("Speculation_Store_Bypass:\tthread"))
        },
    },
    // The toolchain's own; nothing here can bring them where rustup cannot.
    Impossible { reason: "needs the compiler's libraries for", possible: || false },
    Impossible {
        reason: "there is one processor only",
        possible: || std::thread::available_parallelism().is_ok_and(|count| count.get() > 1),
    },
    Impossible {
        reason: "needs cgroup v1 with the memory controller",
        possible: || Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists(),
    },
];

/// Whether a program that crashes leaves a dump: limits, patterns and helpers for dumps differ from host to host.
fn leaves_dumps() -> bool {
    let folder = target().join("dump");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -S -c $(ulimit -H -c); kill -ABRT $$"]).current_dir(&folder);
    let dumped = fs::create_dir_all(&folder).and_then(|()| shell.status()).is_ok_and(|status| status.core_dumped());
    let _ = fs::remove_dir_all(&folder);
    dumped
}

impl Skip {
    /// Whether this machine cannot do it, whoever runs the test.
    pub(crate) fn is_excused(&self) -> bool {
        IMPOSSIBLE.iter().any(|entry| self.reason.contains(entry.reason) && !(entry.possible)())
    }
}

/// The record of the present run.
pub(crate) fn path() -> PathBuf {
    target().join("test-skips.tsv")
}

/// Begins an empty record, which ordinary users may write too.
pub(crate) fn begin() -> Result {
    let path = path();
    fs::create_dir_all(target())?;
    fs::write(&path, b"")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(())
}

/// Adds one of our own.
pub(crate) fn record(what: &str, reason: &str) -> Result {
    println!("skipped: {what}: {reason}");
    let mut file = OpenOptions::new().append(true).create(true).open(path())?;
    file.write_all(format!("skip\t{what}\t{reason}\n").as_bytes())?;
    Ok(())
}

/// What was recorded since the last time, in the order of recording.
pub(crate) fn take() -> Result<Vec<Skip>> {
    let text = fs::read_to_string(path())?;
    begin()?;
    text.lines().map(parse).collect()
}

fn parse(line: &str) -> Result<Skip> {
    match line.split('\t').collect::<Vec<_>>()[..] {
        [kind @ ("skip" | "long"), test, reason] => {
            Ok(Skip { long: kind == "long", test: test.to_owned(), reason: reason.to_owned() })
        }
        _ => Err(format!("the record of skipped tests holds the odd line `{}`", line.escape_debug()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_an_odd_one_refused() {
        let skip = parse("skip\ta::b\tneeds root").unwrap();
        assert_eq!(skip, Skip { long: false, test: "a::b".into(), reason: NEEDS_ROOT.into() });
        assert!(parse("long\ta::b\tlong").unwrap().long);
        for odd in ["", "skip", "skip\ta", "skip\ta\tb\tc", "pass\ta\tb", "\t\t"] {
            assert!(parse(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn only_what_the_table_names_is_excused() {
        let skip = |reason: &str| Skip { long: false, test: "t".into(), reason: reason.into() };
        assert!(skip(NO_ADVISORIES).is_excused());
        assert!(!skip("needs the program `age`").is_excused());
        assert!(!skip("this host itself refuses io_uring_setup here").is_excused());
        assert!(!skip("this host itself refuses core-of-a-crash, io_uring_setup here").is_excused());
        assert!(!skip("").is_excused());
    }

    #[test]
    fn the_reasons_are_those_of_testkit() {
        let testkit = fs::read_to_string(crate::command::root().join("crates/testkit/src/lib.rs")).unwrap();
        for (name, reason) in [("NEEDS_ROOT", NEEDS_ROOT), ("NEEDS_ORDINARY_USER", NEEDS_ORDINARY_USER)] {
            assert!(testkit.contains(&format!("pub const {name}: &str = \"{reason}\";")), "{name}");
        }
    }
}
