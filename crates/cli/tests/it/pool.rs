//! Shells that wait: who gets one, how often, and what is left of them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hotcell_testkit::require_root;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, recv, socket_with};
use serde_json::Value;

use crate::hotcell::{Place, text};

/// A pool that runs; killed at the end, where it does still.
struct Running(Child);

impl Running {
    /// Starts it and waits until its shells wait.
    fn start(place: &Place, size: &str) -> Self {
        let mut child =
            place.command(&["pool", "--size", size]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("shells wait"), "{line}");
        Self(child)
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn children(of: u32) -> BTreeSet<u32> {
    let list = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    list.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// Whether a process is there and has not ended; one that ended may wait for a busy parent to be reaped.
fn lives(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(120), "still not so after two minutes: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn status(place: &Place) -> Value {
    place.json(0, &["pool", "--status", "--json"])
}

fn await_full(place: &Place) {
    wait_until("the pool is full", || status(place)["ready"] == status(place)["size"]);
}

/// How many tasks of the log began with a shell of a pool.
fn pooled(place: &Place) -> usize {
    // Before the first task there is no log yet.
    let log = place.output(&["audit", "show", "--json", "--kind", "preflight-observed"]);
    text(&log.stdout).matches("waited in a pool").count()
}

#[test]
fn a_run_begins_with_a_shell_that_waited_and_all_its_walls_stand() {
    let place = Place::new();
    let own = place.json(0, &["run", "--json", "--", "/bin/echo", "own"]);
    let _pool = Running::start(&place, "2");
    let pooled_run = place.json(0, &["run", "--json", "--", "/bin/echo", "pooled"]);
    let walls = |report: &Value| {
        let walls = report["receipt"]["walls"].as_array().or(report["walls"].as_array()).unwrap().clone();
        assert!(walls.iter().all(|wall| wall["holds"] == true), "{walls:#?}");
        // The number of a process of the host is another each time.
        let tried = |wall: &Value| wall["tried"].as_str().unwrap().replace(|letter: char| letter.is_ascii_digit(), "");
        walls.iter().map(|wall| (wall["wall"].clone(), tried(wall))).collect::<Vec<_>>()
    };
    assert_eq!(walls(&own), walls(&pooled_run), "the preflight of a pooled shell looks at the same");
    assert_eq!(pooled(&place), 1);
    assert!(place.expect(0, &["ps"]).contains("shells wait"));
}

#[test]
fn each_shell_is_used_once_and_keeps_nothing_of_its_task() {
    let place = Place::new();
    let pool = Running::start(&place, "1");
    let mut before = children(pool.id());
    let mut firsts = BTreeSet::new();
    for round in 0..8 {
        let script =
            "ls -A /scratch /output; echo secret > /scratch/f; echo secret > /output/f; readlink /proc/self/ns/mnt";
        let said = place.expect(0, &["run", "--", "/bin/sh", "-c", script]);
        assert!(!said.contains('f'), "round {round}: something of another task: {said}");
        assert!(firsts.insert(said.clone()) || round > 0, "{said}");
        // The one that was used is gone, and another waits in its place.
        wait_until("the used shell is gone", || children(pool.id()).is_disjoint(&before));
        await_full(&place);
        before = children(pool.id());
        assert_eq!(before.len(), 1, "one shell waits, and nothing else is the pool's child");
    }
    assert_eq!(status(&place)["handed"], 8);
    assert_eq!(pooled(&place), 8);
}

#[test]
fn a_waiting_shell_has_no_environment_files_network_or_neighbours() {
    let place = Place::new();
    let pool = Running::start(&place, "1");
    let shell = *children(pool.id()).first().unwrap();
    let read = |name: &str| std::fs::read(format!("/proc/{shell}/{name}"));
    if let Ok(environment) = read("environ") {
        assert!(environment.is_empty(), "{}", text(&environment));
    }
    assert_eq!(text(&read(&format!("task/{shell}/children")).unwrap()), "", "no process of anybody is in it");
    if hotcell_testkit::is_root() {
        let link = |name: &str| std::fs::read_link(format!("/proc/{shell}/ns/{name}")).unwrap();
        for name in ["user", "mnt", "pid", "net", "ipc", "uts"] {
            assert_ne!(link(name), std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap(), "{name}");
        }
        let devices = text(&read("net/dev").unwrap());
        assert_eq!(
            devices.lines().skip(2).filter(|line| !line.trim_start().starts_with("lo:")).count(),
            0,
            "{devices}"
        );
        // Of building itself, contexts of its own mounts stay open.
        let known = ["socket:", "/dev/null", "/dev/fuse", "pipe:", "/memfd:hotcell", "anon_inode:[fscontext]", "/"];
        wait_until("it holds only its socket, the launcher's plan and its own root", || {
            let open = std::fs::read_dir(format!("/proc/{shell}/fd")).unwrap().flatten();
            let links = open.filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string()));
            links.into_iter().all(|link| {
                assert!(!link.contains(&*place.path("").to_string_lossy()), "{link}");
                known.iter().any(|known| link.starts_with(known))
            })
        });
    }
}

#[test]
fn two_hundred_claims_in_a_row_and_two_at_once_leave_nothing() {
    let place = Place::new();
    let pool = Running::start(&place, "3");
    let rounds = if hotcell_testkit::is_full() { 100 } else { 12 };
    for _ in 0..rounds {
        let two = [place.start(&["run", "--", "/bin/true"]), place.start(&["run", "--", "/bin/true"])];
        for child in two {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        }
    }
    await_full(&place);
    wait_until("only waiting shells are left", || children(pool.id()).len() == 3);
    assert_eq!(std::fs::read_dir(place.state().join("running")).unwrap().count(), 0);
    let open = std::fs::read_dir(format!("/proc/{}/fd", pool.id())).unwrap().count();
    assert!(open < 64, "{open} descriptors are open in the pool");
    place.expect(0, &["audit", "verify"]);
    assert!(pooled(&place) > 0);
}

#[test]
fn a_killed_pool_takes_its_shells_along_and_no_task() {
    let place = Place::new();
    let mut pool = Running::start(&place, "2");
    let task = place.start(&["run", "--", "/bin/sh", "-c", "echo begun > /output/f; sleep 2; echo done"]);
    wait_until("a shell was handed over", || status(&place)["handed"] == 1);
    wait_until("its task runs", || pooled(&place) == 1);
    await_full(&place);
    let all = children(pool.id());
    pool.kill();
    wait_until("all but the task's own are dead", || all.iter().filter(|id| lives(**id)).count() <= 1);
    let output = task.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "done\n".to_owned()));
    wait_until("and then that one", || !all.iter().any(|id| lives(*id)));
    // The socket that it left is nobody's.
    place.expect(1, &["pool", "--status"]);
    place.expect(0, &["run", "--", "/bin/true"]);
    assert_eq!(pooled(&place), 1);
    let _again = Running::start(&place, "1");
    place.expect(0, &["run", "--", "/bin/true"]);
    assert_eq!(pooled(&place), 2);
}

#[test]
fn when_the_claimer_is_killed_its_workload_dies_though_it_is_the_pools_child() {
    let place = Place::new();
    let pool = Running::start(&place, "1");
    for round in 0..6u64 {
        let before = children(pool.id());
        let mut task = place.start(&["run", "--", "/bin/sleep", "1000"]);
        match round {
            0 | 1 => wait_until("its task runs", || pooled(&place) as u64 == round + 1),
            // At any moment.
            _ => std::thread::sleep(Duration::from_millis(round * 2)),
        }
        task.kill().unwrap();
        task.wait().unwrap();
        await_full(&place);
        wait_until("only one shell is the pool's", || children(pool.id()).len() == 1);
        let now = children(pool.id());
        assert!(now == before || now.is_disjoint(&before), "{before:?} {now:?}");
    }
}

#[test]
fn a_held_up_pool_holds_up_nobody() {
    let place = Place::new();
    let pool = Running::start(&place, "1");
    let signal = |name: &str| {
        let pid = rustix::process::Pid::from_raw(pool.id() as i32).unwrap();
        let signal = if name == "STOP" { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        rustix::process::kill_process(pid, signal).unwrap();
    };
    signal("STOP");
    place.expect(0, &["run", "--", "/bin/true"]);
    assert_eq!(pooled(&place), 0, "it made a shell of its own");
    signal("CONT");
    await_full(&place);
    place.expect(0, &["run", "--", "/bin/true"]);
    assert_eq!(pooled(&place), 1);
}

/// Connects and gives what the pool says: its length.
fn ask(place: &Place) -> Result<usize, rustix::io::Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(place.state().join("pool/socket"))?)?;
    let mut bytes = vec![0; 65536];
    recv(socket.as_fd(), &mut bytes[..], rustix::net::RecvFlags::empty()).map(|(count, _)| count)
}

#[test]
fn clients_that_take_shells_and_drop_them_harm_nobody() {
    let place = Place::new();
    let pool = Running::start(&place, "2");
    for _ in 0..40 {
        ask(&place).unwrap();
    }
    // And some that ask, wait for nothing, and leave.
    for _ in 0..40 {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(place.state().join("pool/socket")).unwrap()).unwrap();
        let _ = rustix::net::send(&socket, b"give me all of them", rustix::net::SendFlags::NOSIGNAL);
    }
    place.expect(0, &["run", "--", "/bin/true"]);
    await_full(&place);
    wait_until("shells that were dropped are gone", || children(pool.id()).len() == 2);
}

#[test]
fn another_user_gets_no_shell_even_where_the_folder_is_open() {
    require_root!();
    hotcell_testkit::require_program!("setpriv");
    let python = "/usr/bin/python3";
    if !std::path::Path::new(python).exists() {
        hotcell_testkit::skip!("needs `{python}`, which every user may run");
    }
    let place = Place::new();
    let _pool = Running::start(&place, "1");
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n\
                  try:\n    s.connect(sys.argv[1])\n    print(len(s.recv(65536)))\n\
                  except OSError as error:\n    print(error.errno)\n";
    let program = place.file("ask.py", script);
    let socket = place.state().join("pool/socket");
    let asked = |id: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={id}"), &format!("--regid={id}"), "--clear-groups", python, "-"]);
        command.arg(&socket).stdin(std::fs::File::open(&program).unwrap());
        text(&command.output().unwrap().stdout).trim().to_owned()
    };
    assert!(asked("0").parse::<usize>().unwrap() > 500, "its own user gets one");
    assert_eq!(asked("65534"), "13", "EACCES at the folder");
    for open in [place.path(""), place.state(), place.state().join("pool")] {
        std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).unwrap();
    await_full_by_its_file(&place);
    assert_eq!(asked("65534"), "0", "the connection is closed without a shell");
    assert!(asked("0").parse::<usize>().unwrap() > 500, "and it was not for want of one");
    // Who may be changed by others is not believed any more.
    place.expect(0, &["run", "--", "/bin/true"]);
    assert_eq!(pooled(&place), 0);
}

/// Where the folder is open, `--status` refuses to believe it.
fn await_full_by_its_file(place: &Place) {
    wait_until("the pool is full", || {
        let told = std::fs::read_to_string(place.state().join("pool/lock")).unwrap();
        serde_json::from_str::<Value>(&told).is_ok_and(|told| told["ready"] == told["size"])
    });
}

#[test]
fn shells_go_only_to_whom_they_would_have_been_made_by() {
    let place = Place::new();
    let _pool = Running::start(&place, "1");
    hotcell_testkit::require_program!("nice");
    // A sandbox inherits the priority of whoever starts it: this one has another.
    let hotcell = place.command(&["run", "--", "/bin/true"]);
    let mut niced = Command::new("nice");
    niced.args(["-n", "3"]).arg(hotcell.get_program()).args(hotcell.get_args()).stdin(Stdio::null());
    assert!(niced.output().unwrap().status.success());
    assert_eq!(pooled(&place), 0);
    await_full(&place);
    place.expect(0, &["run", "--", "/bin/true"]);
    assert_eq!(pooled(&place), 1);
}

#[test]
fn there_is_one_pool_for_a_state_folder_and_it_can_be_stopped() {
    let place = Place::new();
    place.expect(1, &["pool", "--status"]);
    place.expect(1, &["pool", "--stop"]);
    let mut pool = Running::start(&place, "2");
    let shells = children(pool.id());
    let told = place.json(1, &["pool", "--json"]);
    assert_eq!(told["error"]["code"], "CLI-020");
    let told = status(&place);
    assert_eq!((&told["size"], &told["running"], &told["process"]), (&2.into(), &true.into(), &pool.id().into()));
    place.expect(0, &["pool", "--stop"]);
    assert_eq!(pool.0.wait().unwrap().code(), Some(0));
    wait_until("its shells are gone", || !shells.iter().any(|id| lives(*id)));
    place.expect(1, &["pool", "--status"]);
    for wrong in [&["pool", "--size", "0"][..], &["pool", "--size", "257"], &["pool", "--stop", "--status"]] {
        place.expect(2, wrong);
    }
}
