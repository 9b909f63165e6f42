//! A state folder of its own for each test, and few words to run a task in it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hotcell_audit::{Events, Filter};
use hotcell_policy::Engine;
use hotcell_task::{Context, Observer, Silent, TaskError, TaskInput, TaskReport, TaskSpec, Work, run_task};
use hotcell_types::{Clock, EventKind, Timestamp};
use tempfile::TempDir;

pub(crate) struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
    }
}

/// A folder with a state and an output folder, gone at the end.
pub(crate) struct Place(pub(crate) TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.0.path().join("out")
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn run(&self, spec: TaskSpec) -> Result<TaskReport, TaskError> {
        self.run_seen(spec, &mut Silent)
    }

    /// Runs by the policy that is in force in the state.
    pub(crate) fn run_in_force(&self, spec: TaskSpec, observer: &mut dyn Observer) -> Result<TaskReport, TaskError> {
        let policy = hotcell_task::policy_in_force(&self.state())?;
        let mut context = Context {
            state: &self.state(),
            version: "test",
            clock: &Now,
            principal: "local:test".to_owned(),
            engine: &policy.engine,
            shell: None,
            cancel: None,
            onwards: [None, None],
            observer,
        };
        run_task(spec, &mut context)
    }

    pub(crate) fn run_seen(&self, spec: TaskSpec, observer: &mut dyn Observer) -> Result<TaskReport, TaskError> {
        let mut context = Context {
            state: &self.state(),
            version: "test",
            clock: &Now,
            principal: "local:test".to_owned(),
            engine: &Engine::default(),
            shell: None,
            cancel: None,
            onwards: [None, None],
            observer,
        };
        run_task(spec, &mut context)
    }

    /// The kinds of all events, in order.
    pub(crate) fn events(&self) -> Vec<EventKind> {
        let events = Events::open(&self.state().join("log"), Filter::default()).unwrap();
        events.map(|entry| entry.unwrap().event.kind).collect()
    }

    /// Every byte of the log, as it lies on the disk and as its events say.
    pub(crate) fn log(&self) -> String {
        let mut text = format!("{:?}", self.events());
        let mut folders = vec![self.state().join("log")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap())),
                }
            }
        }
        text
    }

    /// What lies in the output folder, sorted; nothing when there is none.
    pub(crate) fn released(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.output()) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// A command in the profile that fits.
pub(crate) fn command(words: &[&str]) -> TaskSpec {
    TaskSpec::new(Work::Command(words.iter().map(Into::into).collect()))
}

/// A shell command that may leave files.
pub(crate) fn shell(place: &Place, script: &str) -> TaskSpec {
    TaskSpec { output: Some(place.output()), ..command(&["/bin/sh", "-c", script]) }
}

pub(crate) fn input(name: &str, path: &Path) -> TaskInput {
    TaskInput { name: name.to_owned(), path: path.to_owned() }
}
