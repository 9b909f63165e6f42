//! Ends that somebody stands in the way of: a full process table, a volume and a control group that others hold, a
//! selftest that is killed; and what is dead when the program says so.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hotcell_testkit::{is_root, require_program, require_root, skip};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::crash::{family, groups_of, mounts, processes_with, tasks_of, wait_until};
use crate::hotcell::{Place, text};

const ENCRYPTED: &str = "name = \"encrypted\"\nextends = \"strict\"\n[scratch]\nkind = \"encrypted\"\n";

fn has_fuse() -> bool {
    fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok()
}

/// A task of this place that says when it is at work.
struct AtWork {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl AtWork {
    fn start(place: &Place, options: &[&str], script: &str) -> Self {
        Self::try_start(place, options, script).unwrap_or_else(|(_, said)| panic!("{said}"))
    }

    /// The same; gives the status and what was said where it ends before it is at work.
    fn try_start(place: &Place, options: &[&str], script: &str) -> Result<Self, (Option<i32>, String)> {
        let arguments = [&["run"], options, &["--", "/bin/sh", "-c", script]].concat();
        let mut child = place.start(&arguments);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        if line == "ready\n" {
            return Ok(Self { child, out });
        }
        let output = child.wait_with_output().unwrap();
        Err((output.status.code(), format!("{line}{}", text(&output.stderr))))
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for its end: its status and what it said on standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), text(&output.stderr))
    }
}

/// A limit on the number of processes of a command and all that it starts.
struct Table {
    /// A control group of our own; without one, the limit of a user in a namespace of its own.
    group: Option<PathBuf>,
}

impl Table {
    /// `None` where there is no way to make one.
    fn new() -> Option<Self> {
        if !is_root() {
            let probe = Command::new("unshare").args(["--user", "--map-current-user", "prlimit", "--nproc"]).output();
            let probe = probe.map(|output| output.status);
            return probe.is_ok_and(|status| status.success()).then_some(Self { group: None });
        }
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let below = own.lines().find_map(|line| line.split_once(":pids:")).map(|(_, path)| path.to_owned())?;
        let name = format!("table-{}", std::process::id());
        let group = Path::new("/sys/fs/cgroup/pids").join(below.trim_start_matches('/')).join(name);
        fs::create_dir(&group).ok()?;
        Some(Self { group: Some(group) })
    }

    /// The command with room for so many processes, itself among them.
    fn with_room(&self, processes: usize, command: &Command) -> Command {
        let mut limited = match &self.group {
            Some(group) => {
                fs::write(group.join("pids.max"), processes.to_string()).unwrap();
                let mut limited = Command::new("sh");
                limited.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(group);
                limited
            }
            None => {
                let mut limited = Command::new("unshare");
                limited.args(["--user", "--map-current-user", "prlimit", &format!("--nproc={processes}"), "--"]);
                limited
            }
        };
        limited.arg(command.get_program()).args(command.get_args()).current_dir(command.get_current_dir().unwrap());
        limited.stdin(Stdio::null());
        limited
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            wait_until("the group of the test is empty", || fs::remove_dir(group).is_ok());
        }
    }
}

#[test]
fn a_full_process_table_is_a_clear_error_wherever_it_is_met_and_leaves_nothing() {
    let Some(table) = Table::new() else { skip!("no limit on processes can be set for a test here") };
    let place = Place::new();
    place.file("p.toml", ENCRYPTED);
    place.expect(0, &["run", "--", "/bin/true"]);
    let before = mounts(&place);
    let kinds: &[&[&str]] = if has_fuse() { &[&[], &["--profile", "p.toml"]] } else { &[&[]] };
    for options in kinds {
        let word = format!("crowded-{}", std::process::id());
        let arguments = [&["run"], *options, &["--output", "out", "--", "/bin/sh", "-c", "echo > /output/a", &word]];
        let arguments = arguments.concat();
        let mut refused = 0;
        let enough = (1..40).find(|room| {
            let output = table.with_room(*room, &place.command(&arguments)).output().unwrap();
            let said = text(&output.stderr);
            let left = || (processes_with(&word), fs::read_dir(place.state().join("running")).unwrap().count());
            wait_until("all processes are dead", || left().0.is_empty());
            assert_eq!(left().1, 0, "{said}");
            if output.status.success() {
                return true;
            }
            refused += 1;
            assert_eq!(output.status.code(), Some(125), "room for {room}: {said}");
            assert!(said.contains("ISO-020") && said.contains("pids.max"), "room for {room}: {said}");
            assert!(!place.path("out/a").exists(), "room for {room}");
            false
        });
        assert!(enough.is_some_and(|room| room > 2), "{options:?}: there was enough room with {enough:?}");
        assert!(refused >= 2, "the launcher, and the sandbox's first process: {refused}");
        fs::remove_dir_all(place.path("out")).unwrap();
    }
    assert_eq!(groups_of(&tasks_of(&place)), Vec::<PathBuf>::new());
    assert_eq!(mounts(&place), before);
    place.expect(0, &["run", "--", "/bin/true"]);
    place.expect(0, &["audit", "verify"]);
    // Those that were refused at their start tell so; none is taken for running.
    let states = place.json(0, &["--json", "ps", "--all"]);
    let states: Vec<_> = states.as_array().unwrap().iter().map(|task| task["state"].as_str().unwrap()).collect();
    assert!(states.iter().all(|state| ["failed ISO-020", "released"].contains(state)), "{states:?}");
}

/// A process of the host that is in the sandbox's users and mounts, and has a file of its scratch open.
struct Intruder(Child);

impl Intruder {
    fn of(first: u32) -> Self {
        let script = "cd /scratch && exec 3< kept && echo inside && read word; cat <&3 2>&1; ls /scratch 2>&1; true";
        let target = first.to_string();
        let arguments = ["-t", &target, "-U", "-m", "-S", "65534", "-G", "65534", "/bin/sh", "-c", script];
        let mut command = Command::new("nsenter");
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 7];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(&line, b"inside\n");
        Self(child)
    }

    /// Lets it go on, and gives what it found.
    fn goes_on(mut self) -> String {
        self.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
        text(&self.0.wait_with_output().unwrap().stdout)
    }
}

/// A process of the workload, as the host sees it.
fn workload_of(hotcell: u32, word: &str) -> u32 {
    let has_word = |id: &u32| fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| text(&line).contains(word));
    family(hotcell).into_iter().filter(|id| *id != hotcell).find(has_word).unwrap()
}

#[test]
fn a_volume_that_a_foreign_process_holds_ends_all_the_same_and_nothing_of_it_can_be_read() {
    require_root!();
    require_program!("nsenter");
    if !has_fuse() {
        skip!("this user may not open /dev/fuse");
    }
    let place = Place::new();
    place.file("p.toml", ENCRYPTED);
    place.expect(0, &["run", "--", "/bin/true"]);
    let before = mounts(&place);
    let word = format!("held-{}", std::process::id());
    // More than the page cache of one read: what the intruder reads later has to come from the server.
    let script = format!(": {word}; head -c 3000000 /dev/zero | tr '\\0' s > /scratch/kept; echo ready; sleep 600");
    for is_killed in [false, true] {
        let task = AtWork::start(&place, &["--profile", "p.toml"], &script);
        let intruder = Intruder::of(workload_of(task.child.id(), &word));
        let family = family(task.child.id());
        task.signal(if is_killed { Signal::KILL } else { Signal::TERM });
        let (status, said) = task.end();
        assert_eq!(status, if is_killed { None } else { Some(130) }, "{said}");
        wait_until("all of the task is dead", || family.iter().all(|id| !Path::new(&format!("/proc/{id}")).exists()));
        // The intruder's mount cannot be taken from it; but there is nobody behind it any more, and no key.
        let found = intruder.goes_on();
        assert!(!found.contains("kept\n"), "names are gone with the server: {found}");
        assert!(found.contains("not connected") || found.contains("abort"), "{found}");
        place.expect(0, &["run", "--", "/bin/true"]);
        assert_eq!(mounts(&place), before);
        assert_eq!(groups_of(&tasks_of(&place)), Vec::<PathBuf>::new());
        assert_eq!(fs::read_dir(place.state().join("running")).unwrap().count(), 0);
    }
    place.expect(0, &["audit", "verify"]);
}

/// The events of one kind in the log.
fn events(place: &Place, kind: &str) -> Vec<Value> {
    let lines = place.expect(0, &["--json", "audit", "show"]);
    let all: Value = serde_json::from_str(&lines)
        .unwrap_or_else(|_| lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect());
    all.as_array().unwrap().iter().filter(|entry| entry.to_string().contains(kind)).cloned().collect()
}

#[test]
fn a_control_group_that_a_foreign_process_sits_in_holds_up_no_start_and_goes_once_it_has_left() {
    require_root!();
    for is_killed in [true, false] {
        let place = Place::new();
        place.expect(0, &["run", "--", "/bin/true"]);
        let task = AtWork::start(&place, &[], "echo ready; sleep 600");
        let tasks = tasks_of(&place);
        let groups = groups_of(&tasks);
        let Some(group) = groups.first() else { skip!("no control group can be made here") };
        let mut guest = Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(group.join("cgroup.procs"), guest.id().to_string()).unwrap();
        task.signal(if is_killed { Signal::KILL } else { Signal::TERM });
        let (status, said) = task.end();
        // Told as what it is where there is somebody to tell.
        assert_eq!(status, if is_killed { None } else { Some(125) }, "{said}");
        assert!(is_killed || said.contains("removing the control group"), "{said}");
        // The janitor goes on, says once what stays, and tries again at each start.
        for _ in 0..2 {
            place.expect(0, &["run", "--", "/bin/true"]);
            let told = events(&place, "task-interrupted");
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].to_string().contains(&*group.to_string_lossy()), "{told:?}");
            assert_eq!(groups_of(&tasks), std::slice::from_ref(group), "those that nobody sits in are gone");
        }
        assert!(guest.try_wait().unwrap().is_none(), "a foreign process is left alone");
        guest.kill().unwrap();
        guest.wait().unwrap();
        place.expect(0, &["run", "--", "/bin/true"]);
        assert_eq!(groups_of(&tasks), Vec::<PathBuf>::new());
        assert_eq!(fs::read_dir(place.state().join("running")).unwrap().count(), 0);
        assert_eq!(events(&place, "task-interrupted").len(), 1);
        place.expect(0, &["audit", "verify"]);
    }
}

/// Whether something of System V has this key.
fn has_ipc(key: &str) -> bool {
    ["msg", "shm", "sem"].iter().any(|kind| {
        let list = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        list.lines().any(|line| line.split_whitespace().next() == Some(key))
    })
}

#[test]
fn a_selftest_that_is_killed_is_cleaned_up_by_the_next_start() {
    let place = Place::new();
    let temporary = place.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut command = place.command(&["selftest"]);
    let mut child = command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Until a sandbox runs, so that there is everything to take down.
    let running = place.state().join("running");
    wait_until("a sandbox runs", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        fs::read_dir(&running).is_ok_and(|mut tasks| tasks.next().is_some())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let folder = fs::read_dir(&temporary).unwrap().next().unwrap().unwrap().path();
    let facts = fs::read_to_string(folder.join("facts")).unwrap();
    let key = facts.lines().find_map(|line| line.strip_prefix("ipc ")).map(str::to_owned);
    if let Some(key) = &key {
        assert!(has_ipc(key), "it was put up: {facts}");
    }
    // Also where temporary files lie somewhere else by then.
    place.expect(0, &["run", "--", "/bin/true"]);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.state().join("temporary")).unwrap().count(), 0);
    assert!(key.is_none_or(|key| !has_ipc(&key)));
    assert_eq!(groups_of(&tasks_of(&place)), Vec::<PathBuf>::new());
    place.expect(0, &["audit", "verify"]);
}

#[test]
fn what_a_note_of_a_temporary_folder_says_is_removed_only_if_hotcell_calls_its_folders_so() {
    let place = Place::new();
    place.expect(0, &["run", "--", "/bin/true"]);
    let notes = place.state().join("temporary");
    fs::create_dir_all(&notes).unwrap();
    let precious = place.path("precious");
    fs::create_dir(&precious).unwrap();
    let named = place.path("hotcell-demo-0123456789abcdef");
    fs::create_dir(&named).unwrap();
    for (token, said) in
        [("a", precious.as_path()), ("b", Path::new("")), ("c", Path::new("hotcell-x-c")), ("d", &named)]
    {
        fs::write(notes.join(token), said.as_os_str().as_encoded_bytes()).unwrap();
    }
    place.expect(0, &["run", "--", "/bin/true"]);
    assert_eq!(fs::read_dir(&notes).unwrap().count(), 0);
    assert!(precious.exists() && named.exists());
    fs::write(notes.join("0123456789abcdef"), named.as_os_str().as_encoded_bytes()).unwrap();
    place.expect(0, &["run", "--", "/bin/true"]);
    assert!(!named.exists());
}

/// Whether the process behind a descriptor has ended, seen without waiting.
fn is_dead(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
    !fds[0].revents().is_empty()
}

#[test]
fn everything_is_dead_when_the_program_says_that_it_is_over() {
    let place = Place::new();
    place.file("p.toml", ENCRYPTED);
    let many = "i=0; while [ $i -lt 20 ]; do (trap '' INT TERM HUP; setsid sh -c 'echo > /scratch/$0; exec sleep 600' $i &); \
                i=$((i+1)); done; yes > /dev/null & \
                while [ $(ls /scratch | wc -l) -lt 20 ]; do sleep 0.02; done; yes > /scratch/full & echo ready; ";
    let eats = format!("{many} head -c 3000m /dev/zero | tail -c 2900m");
    let waits = format!("{many} sleep 600");
    type Case<'a> = (&'a str, &'a [&'a str], &'a str, Option<Signal>, i32);
    let cases: [Case<'_>; 5] = [
        ("an interruption", &[], &waits, Some(Signal::TERM), 130),
        ("a cancellation", &[], &waits, Some(Signal::USR1), 130),
        ("the time limit", &["--limit", "wall=5s"], &waits, None, 124),
        ("the memory limit", &["--limit", "memory=64MiB"], &eats, None, 124),
        ("an end by itself", &[], many, None, 0),
    ];
    for (what, options, script, signal, status) in cases {
        for profile in if has_fuse() { &[None, Some("p.toml")][..] } else { &[None] } {
            let mut options = options.to_vec();
            options.extend(profile.iter().flat_map(|name| ["--profile", name]));
            let mut task = match AtWork::try_start(&place, &options, script) {
                Ok(task) => task,
                // On a machine that is slow enough, its time may be up before it says so.
                Err((ended, said)) => {
                    assert_eq!((ended, status), (Some(124), 124), "{what}: {said}");
                    continue;
                }
            };
            let own = task.child.id();
            let processes: Vec<OwnedFd> = family(own)
                .into_iter()
                .filter(|id| *id != own)
                .filter_map(|id| pidfd_open(Pid::from_raw(id.cast_signed())?, PidfdFlags::empty()).ok())
                .collect();
            if let Some(signal) = signal {
                let process = Pid::from_raw(own.cast_signed()).unwrap();
                let process = pidfd_open(process, PidfdFlags::empty()).unwrap();
                pidfd_send_signal(&process, signal).unwrap();
            }
            assert_eq!(task.child.wait().unwrap().code(), Some(status), "{what} {profile:?}");
            // No waiting here: what lives at this moment has outlived the program's word.
            let alive = processes.iter().filter(|process| !is_dead(process)).count();
            assert_eq!(alive, 0, "after {what} {profile:?}: of {} processes", processes.len());
            assert!(signal.is_none() || processes.len() > 20, "{what}: there was something to kill");
        }
    }
    assert_eq!(groups_of(&tasks_of(&place)), Vec::<PathBuf>::new());
    place.expect(0, &["audit", "verify"]);
}
