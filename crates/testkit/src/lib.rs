//! What the tests of all crates share. Not shipped: only a `[dev-dependencies]` entry may name it.
//!
//! A test that cannot run on this machine says so instead of passing:
//!
//! ```no_run
//! fn memory_over_the_limit_kills_the_workload() {
//!     hotcell_testkit::require_root!();
//!     hotcell_testkit::require_program!("python3");
//!     if !std::path::Path::new("/sys/fs/cgroup/memory").exists() {
//!         hotcell_testkit::skip!("no memory control group here");
//!     }
//!     // …
//! }
//! ```
//!
//! The line goes to standard error and to the file that `cargo xtask test` names in
//! `HOTCELL_SKIPS`, from which it counts: a skipped test is not a passed one.

pub mod fuzz;
pub mod machine;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Ends the test as skipped, with a reason that says what is missing: `skip!("no {thing} here")`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        fn here() {}
        $crate::record("skip", env!("CARGO_PKG_NAME"), $crate::test_name(&here), &::std::format!($($reason)*));
        return;
    }};
}

/// Ends the test as skipped unless the process is root.
#[macro_export]
macro_rules! require_root {
    () => {
        if !$crate::is_root() {
            $crate::skip!("{}", $crate::NEEDS_ROOT);
        }
    };
}

/// Ends the test as skipped if the process is root. The same test runs in the pass that
/// `cargo xtask test` makes as an ordinary user.
#[macro_export]
macro_rules! require_ordinary_user {
    () => {
        if $crate::is_root() {
            $crate::skip!("{}", $crate::NEEDS_ORDINARY_USER);
        }
    };
}

/// Ends the test as skipped unless the program is on the search path.
#[macro_export]
macro_rules! require_program {
    ($name:expr) => {
        if !$crate::have_program($name) {
            $crate::skip!("needs the program `{}`", $name);
        }
    };
}

/// Ends a long test that only `cargo xtask test --full` runs. It counts neither as passed nor as skipped.
#[macro_export]
macro_rules! full_only {
    () => {
        if !$crate::is_full() {
            fn here() {}
            $crate::record("long", env!("CARGO_PKG_NAME"), $crate::test_name(&here), "long: cargo xtask test --full");
            return;
        }
    };
}

/// The reason that [`require_root!`] gives.
pub const NEEDS_ROOT: &str = "needs root";

/// The reason that [`require_ordinary_user!`] gives.
pub const NEEDS_ORDINARY_USER: &str = "needs an ordinary user";

/// Whether the process is root on this host. Reads the owner of its own `/proc` entry, which
/// follows the effective id.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

/// Whether long tests are asked for.
pub fn is_full() -> bool {
    env::var_os("HOTCELL_FULL").is_some_and(|value| value == "1")
}

/// Whether a program of this name can be executed from the search path.
pub fn have_program(name: &str) -> bool {
    which(name).is_some()
}

/// Where the program of this name is that is found on the search path.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    env::split_paths(&path).map(|dir| dir.join(name)).find(|path| is_executable(path))
}

/// A folder on a real disk that this process may write, the same for all tests of a run: name
/// what you make in it after your test, and remove it.
///
/// # Panics
/// When it cannot be made, because no test can go on without it.
pub fn data_dir() -> PathBuf {
    let dir = match env::var_os("HOTCELL_TEST_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => workspace().join("target/test-data").join(if is_root() { "root" } else { "user" }),
    };
    if let Err(error) = fs::create_dir_all(&dir) {
        stop(&format!("cannot make the test data folder {}: {error}", dir.display()));
    }
    dir
}

/// The root of the checkout.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Writes one line to the record of tests that did not run. The macros call this.
#[doc(hidden)]
pub fn record(kind: &str, package: &str, test: &str, reason: &str) {
    let reason = reason.replace(['\n', '\t'], " ");
    eprintln!("skipped: {test}: {reason}");
    let Some(path) = env::var_os("HOTCELL_SKIPS") else { return };
    // One write of one short line in append mode: processes and threads do not mix their lines.
    let line = format!("{kind}\t{package} {test}\t{reason}\n");
    let written = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        stop(&format!("cannot record a skipped test in {}: {error}", Path::new(&path).display()));
    }
}

/// The name of the test around the function item `_here`. The macros call this.
#[doc(hidden)]
pub fn test_name<T>(_here: &T) -> &'static str {
    std::any::type_name::<T>().trim_end_matches("::here")
}

/// Three plain English words in a row, outside of backticks and of what is to be typed: a line that should be in
/// another language has none.
pub fn english_in(line: &str) -> Option<String> {
    if line.trim_start().starts_with("hotcell ") {
        return None;
    }
    let own: String = line.split('`').step_by(2).collect::<Vec<_>>().join("·");
    let words: Vec<&str> = own.split(' ').collect();
    let is_plain = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b',');
    words.windows(3).find(|three| three.iter().all(is_plain)).map(|three| three.join(" "))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|entry| entry.is_file() && entry.permissions().mode() & 0o111 != 0)
}

#[expect(clippy::panic, reason = "only tests call this; a test that cannot be counted must fail")]
fn stop(why: &str) -> ! {
    panic!("{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_only_by_its_whole_name() {
        assert!(have_program("sh"));
        assert!(!have_program("s"));
        assert!(!have_program("no-such-program-anywhere"));
    }

    /// The body of the next test's child: skipped there, and nothing at all in an ordinary run.
    #[test]
    fn skipped_when_asked() {
        if env::var_os("TESTKIT_SKIP").is_some() {
            skip!("no {}\there", "moon");
            #[expect(unreachable_code, reason = "that it is unreachable is what is tested")]
            {
                panic!("went on after the skip");
            }
        }
    }

    #[test]
    fn a_skipped_test_is_recorded_by_name_with_its_reason() {
        let file = data_dir().join(format!("testkit-skips-{}", std::process::id()));
        let child = std::process::Command::new(env::current_exe().unwrap())
            .args(["--exact", "tests::skipped_when_asked"])
            .env("TESTKIT_SKIP", "1")
            .env("HOTCELL_SKIPS", &file)
            .output()
            .unwrap();
        let recorded = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(child.status.success());
        assert_eq!(recorded, "skip\thotcell-testkit hotcell_testkit::tests::skipped_when_asked\tno moon here\n");
    }

    #[test]
    fn the_data_folder_can_be_written() {
        let file = data_dir().join(format!("testkit-{}", std::process::id()));
        fs::write(&file, b"x").unwrap();
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn the_workspace_holds_its_manifest() {
        assert!(workspace().join("Cargo.toml").is_file());
        assert!(workspace().join("xtask").is_dir());
    }
}
