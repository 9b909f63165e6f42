//! Which tasks run, and what those that were killed left behind.
//!
//! A running task holds the lock of its file in `running/`. The kernel gives the lock back however the process ends,
//! so that a file which can be locked belongs to a task that was interrupted.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hotcell_audit::{Durability, Log};
use hotcell_isolate::cgroup::{Cgroups, group_name, remove_folder};
use hotcell_types::{Event, EventKind, TaskId, Timestamp};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::TaskError;
use crate::fields;

/// A task that runs now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunningTask {
    /// Which.
    pub task: TaskId,
    /// Process id of the Hotcell that runs it.
    pub process: u32,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// What it runs: the program, or `builtin-runner`.
    pub what: String,
    /// What has to be removed if that Hotcell is killed: folders of control groups.
    #[serde(default)]
    pub groups: Vec<PathBuf>,
    /// And folders in which outputs are gathered before they are released.
    #[serde(default)]
    pub staging: Option<PathBuf>,
    /// Whether it was found to be interrupted, and is still here because something of it could not be removed.
    #[serde(default)]
    pub interrupted: bool,
}

/// Our own file in `running/`.
#[derive(Debug)]
pub(crate) struct Marker {
    path: PathBuf,
    file: File,
    text: RunningTask,
    /// Whether it stays, for the next start to remove what could not be removed.
    stays: bool,
}

impl Marker {
    /// Says that this task runs.
    pub(crate) fn take(state: &Path, text: RunningTask) -> Result<Self, TaskError> {
        let folder = state.join("running");
        let path = folder.join(text.task.to_string());
        // It gets its name once it is locked: no sweeper takes a task that begins for one that was killed.
        let unnamed = folder.join(format!(".{}", text.task));
        let file = create_locked(&folder, &unnamed)?;
        let mut marker = Self { path: unnamed, file, text, stays: false };
        marker.write()?;
        fs::rename(&marker.path, &path).map_err(TaskError::file("write", &path))?;
        marker.path = path;
        Ok(marker)
    }

    /// Notes what has to be removed if we are killed.
    pub(crate) fn note(&mut self, groups: &[PathBuf], staging: Option<PathBuf>) -> Result<(), TaskError> {
        self.text.groups = groups.to_vec();
        self.text.staging = staging;
        self.write()
    }

    /// Leaves the file there: something of the task could not be removed, and the next start tries again.
    pub(crate) fn leave(&mut self) {
        self.stays = true;
    }

    fn write(&mut self) -> Result<(), TaskError> {
        let text = serde_json::to_vec(&self.text).unwrap_or_default();
        let write = |file: &mut File| -> std::io::Result<()> {
            file.rewind()?;
            file.write_all(&text)?;
            file.set_len(text.len() as u64)
        };
        write(&mut self.file).map_err(TaskError::file("write", &self.path))
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        if !self.stays {
            // What stays is found by the next start, which removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The tasks that run now, oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn running_tasks(state: &Path) -> Result<Vec<RunningTask>, TaskError> {
    let mut tasks = Vec::new();
    each(state, |path, file, is_alive| {
        if let (true, Some(task)) = (is_alive, read(path, &file)) {
            tasks.push(task);
        }
        Ok(())
    })?;
    tasks.sort_by_key(|task| task.submitted);
    Ok(tasks)
}

/// Asks the Hotcell that runs a task to end it, by SIGUSR1, and waits until it has. Says `false` when it does not run.
///
/// # Errors
/// When its process may not be signalled, or its file not be read.
pub fn cancel_task(state: &Path, task: TaskId) -> Result<bool, TaskError> {
    let path = state.join("running").join(task.to_string());
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(TaskError::file("read", &path))?,
    };
    let is_alive = || match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(TaskError::file("lock", &path)(error.into())),
    };
    let (true, Some(running)) = (is_alive()?, read(&path, &file)) else { return Ok(false) };
    let signalled = || TaskError::file("signal the Hotcell of", &path);
    let pid = i32::try_from(running.process)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| signalled()(std::io::Error::other("its process id is none")))?;
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| signalled()(error.into()))?;
    // Still locked: its holder lives, so that the descriptor is for it and for nobody who was given its id later.
    if !is_alive()? {
        return Ok(false);
    }
    pidfd_send_signal(&process, Signal::USR1).map_err(|error| signalled()(error.into()))?;
    loop {
        match flock(&file, FlockOperation::LockShared) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(TaskError::file("lock", &path)(error.into())),
        }
    }
}

/// Removes what killed tasks left, and records each as interrupted.
pub(crate) fn sweep(state: &Path, log: &Log, now: Timestamp) -> Result<(), TaskError> {
    sweep_scratch(state)?;
    each(state, |path, file, is_alive| {
        if is_alive {
            return Ok(());
        }
        let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<TaskId>().ok());
        // `file` holds the lock now: two who sweep at once do not both record it.
        if !path.exists() {
            return Ok(());
        }
        let left = read(path, &file);
        let was_told = left.as_ref().is_some_and(|left| left.interrupted);
        let stays = remove_what_is_left(id, left.as_ref());
        if let (Some(task), false) = (id, was_told) {
            let mut event = Event::of_task(now, task, EventKind::TaskInterrupted);
            if !stays.is_empty() {
                event = event.with("stays", stays.clone());
            }
            log.append(&[event], Durability::Lazy).map_err(TaskError::part)?;
        }
        match left {
            // Somebody else holds it: the next start tries again, and this one goes on.
            Some(left) if !stays.is_empty() => {
                let text = serde_json::to_vec(&RunningTask { interrupted: true, ..left }).unwrap_or_default();
                fs::write(path, text).map_err(TaskError::file("write", path))
            }
            _ => fs::remove_file(path).map_err(TaskError::file("remove", path)),
        }
    })
}

/// Removes the control groups, the views of inputs and the staging folder of a task that was killed. Gives what cannot be removed, as when
/// somebody has put a process into a group, or mounted something there.
fn remove_what_is_left(task: Option<TaskId>, left: Option<&RunningTask>) -> Vec<String> {
    let mut groups = left.map(|left| left.groups.clone()).unwrap_or_default();
    // It may have been killed before it could note them.
    groups.extend(task.into_iter().flat_map(|task| Cgroups::of_this_process().folders_of(&group_name(task))));
    // What lies within another is removed before it.
    groups.sort_by(|one, other| other.cmp(one));
    groups.dedup();
    task.into_iter().for_each(fields::remove_left);
    let mut stays: Vec<PathBuf> = groups.into_iter().filter(|group| remove_folder(group).is_err()).collect();
    if let Some(staging) = left.and_then(|left| left.staging.clone()).filter(|staging| staging.exists()) {
        stays.extend(fs::remove_dir_all(&staging).is_err().then_some(staging));
    }
    stays.into_iter().map(|path| path.display().to_string()).collect()
}

/// Removes backing files of encrypted scratch that have a name: those of a Hotcell that was killed between making one
/// and removing its name, on a file system where there is a between. Nothing is in them.
fn sweep_scratch(state: &Path) -> Result<(), TaskError> {
    for entry in fs::read_dir(state.join("scratch")).into_iter().flatten().flatten() {
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(TaskError::file("remove", &entry.path())(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes a file and locks it. A sweeper that meets it in between may lock and remove it: then once more.
fn create_locked(folder: &Path, path: &Path) -> Result<File, TaskError> {
    loop {
        let file = match OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
                made.map_err(TaskError::file("make", folder))?;
                continue;
            }
            other => other.map_err(TaskError::file("write", path))?,
        };
        flock(&file, FlockOperation::LockExclusive).map_err(|error| TaskError::file("lock", path)(error.into()))?;
        if file.metadata().map_err(TaskError::file("read", path))?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Calls `with` for each file in `running/`, whether its task is alive, and the file, locked if it is not.
fn each(state: &Path, mut with: impl FnMut(&Path, File, bool) -> Result<(), TaskError>) -> Result<(), TaskError> {
    let folder = state.join("running");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(TaskError::file("read", &folder))?,
    };
    for entry in entries {
        let path = entry.map_err(TaskError::file("read", &folder))?.path();
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(TaskError::file("read", &path))?,
        };
        let is_alive = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => false,
            Err(rustix::io::Errno::WOULDBLOCK) => true,
            Err(error) => return Err(TaskError::file("lock", &path)(error.into())),
        };
        with(&path, file, is_alive)?;
    }
    Ok(())
}

fn read(path: &Path, _locked: &File) -> Option<RunningTask> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
