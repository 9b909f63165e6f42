//! The real binary, with a state folder of its own for each test.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a state, gone at the end.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A command of hotcell with this place's state, run in this place.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotcell"));
        command.arg("--state").arg(self.state()).args(arguments).stdin(Stdio::null());
        command.env_remove("XDG_STATE_HOME").env("HOME", self.0.path()).current_dir(self.0.path());
        // What is told is compared, so it does not depend on who runs the tests.
        command.env("LC_ALL", "C.UTF-8");
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
            command.env_remove(variable);
        }
        command
    }

    pub(crate) fn output<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs, expects this status, and gives standard output.
    pub(crate) fn expect<A: AsRef<OsStr> + std::fmt::Debug>(&self, status: i32, arguments: &[A]) -> String {
        let output = self.output(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
        out
    }

    /// Waits until a task of this place has its receipt.
    pub(crate) fn awaits_a_receipt(&self) {
        let begin = Instant::now();
        let tasks = || std::fs::read_dir(self.state().join("tasks")).into_iter().flatten().flatten();
        while !tasks().any(|task| task.path().join("receipt.json").exists()) {
            assert!(begin.elapsed() < Duration::from_secs(120), "there is no receipt after two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same, as JSON.
    pub(crate) fn json<A: AsRef<OsStr> + std::fmt::Debug>(&self, status: i32, arguments: &[A]) -> Value {
        serde_json::from_str(&self.expect(status, arguments)).unwrap()
    }
}

/// The same program, begun by somebody who ignores or holds back these signals (`--ignore-signal=HUP`).
pub(crate) fn with_signals(options: &[&str], hotcell: &Command) -> Command {
    let mut command = Command::new("env");
    command.args(options).arg(hotcell.get_program()).args(hotcell.get_args());
    command.envs(hotcell.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(hotcell.get_current_dir().unwrap_or(std::path::Path::new("."))).stdin(Stdio::null());
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
