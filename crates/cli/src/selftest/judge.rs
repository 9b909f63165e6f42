//! What an attack in a sandbox of its own came to, as it is seen from outside.

use std::fs;
use std::path::Path;

use hotcell_isolate::cgroup::{Cgroups, group_name};
use hotcell_selftest::{Judge, Seen, daemon_name};
use hotcell_task::TaskFolder;
use hotcell_types::Outcome;

use super::attacker::Ran;

/// `seen` is what the attacker itself has reported.
pub(super) fn judge(by: Judge, seen: Seen, ran: &Ran, state: &Path, token: &str) -> Seen {
    match by {
        Judge::Limit if ran.report.outcome == Outcome::LimitReached => Seen::Limit,
        // Hotcell's own process was the target, and is here to tell.
        Judge::Limit | Judge::Survival => seen,
        Judge::Output if ran.report.outcome == Outcome::Refused && !has_leaked(ran, token) => Seen::Refused,
        Judge::Output => output(seen, ran, token),
        Judge::Daemon if seen == Seen::Through => gone(!lives(&daemon_name(token))),
        Judge::Residue if seen == Seen::Through => gone(is_clean(ran, state, token)),
        Judge::Daemon | Judge::Residue => seen,
        Judge::Stream => stream(ran, state),
    }
}

fn gone(is_gone: bool) -> Seen {
    if is_gone { Seen::Gone } else { Seen::Through }
}

/// Released, though it tried: held only where nothing but its own plain file left.
fn output(seen: Seen, ran: &Ran, token: &str) -> Seen {
    let plain = ran.report.body.outputs.iter().all(|output| ["file", "selftest.csv"].contains(&output.path.as_str()));
    match seen {
        Seen::Through if plain && !has_leaked(ran, token) && ran.report.outcome == Outcome::Released => Seen::Nothing,
        Seen::Through => Seen::Through,
        other => other,
    }
}

/// Whether anything in the output folder holds the content of the host's file.
fn has_leaked(ran: &Ran, token: &str) -> bool {
    let files = fs::read_dir(&ran.output).into_iter().flatten().flatten();
    let holds = |bytes: Vec<u8>| bytes.windows(token.len()).any(|part| part == token.as_bytes());
    files.map(|file| file.path()).any(|path| path.is_symlink() || fs::read(path).is_ok_and(holds))
}

/// Whether a process of this name lives anywhere.
fn lives(name: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|process| fs::read_to_string(process.path().join("comm")).ok());
    names.into_iter().any(|comm| comm.trim_end() == name)
}

/// No control group, no mount, no mark of a running task, no file under the token's name.
fn is_clean(ran: &Ran, state: &Path, token: &str) -> bool {
    let task = ran.report.task;
    let groups = Cgroups::of_this_process().folders_of(&group_name(task));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let task_name = task.to_string();
    !groups.iter().any(|group| group.exists())
        && !mounts.contains(&task_name)
        && !state.join("running").join(&task_name).exists()
        && !holds_name(&state.join("tasks"), token)
        && !holds_name(&std::env::temp_dir(), token)
}

/// Whether a file of this name lies in a folder, or one folder below it.
fn holds_name(folder: &Path, name: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name() == name || entry.path().join(name).exists())
}

/// Whether no more than the limit was kept of what it wrote.
fn stream(ran: &Ran, state: &Path) -> Seen {
    const LIMIT_BYTES: u64 = 64 << 10;
    let written =
        ran.report.body.streams.iter().find(|stream| stream.name == "stderr").map_or(0, |stream| stream.bytes);
    let kept = fs::metadata(TaskFolder::of(state, ran.report.task).stream("stderr")).map_or(0, |file| file.len());
    match (written > LIMIT_BYTES, kept <= LIMIT_BYTES) {
        (true, true) => Seen::Limit,
        (true, false) => Seen::Through,
        (false, _) => Seen::NoAnswer,
    }
}
