//! What is left after the worst: kill -9 at any point, a full disk, many at once, many in a row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use hotcell_testkit::{full_only, require_root};

use crate::hotcell::{Place, text};

/// Every process whose command line has this word.
pub(crate) fn processes_with(word: &str) -> Vec<u32> {
    let numbered = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbered
        .filter(|id: &u32| fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| text(&line).contains(word)))
        .filter(|id| *id != std::process::id())
        .collect()
}

/// Every control group of a sandbox.
fn groups() -> BTreeSet<PathBuf> {
    fn walk(folder: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy().starts_with("hotcell-t-") {
                found.insert(entry.path());
            } else if depth < 8 {
                walk(&entry.path(), depth + 1, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(Path::new("/sys/fs/cgroup"), 0, &mut found);
    found
}

pub(crate) fn groups_of(tasks: &BTreeSet<String>) -> Vec<PathBuf> {
    groups().into_iter().filter(|group| tasks.iter().any(|task| group.to_string_lossy().contains(task))).collect()
}

/// Every mount but those that other tests make meanwhile, each in a temporary folder of its own.
pub(crate) fn mounts(place: &Place) -> Vec<String> {
    let own = place.path("").to_string_lossy().into_owned();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| !line.contains("/.tmp") || line.contains(&own)).map(str::to_owned).collect()
}

/// Ids of the tasks that a state folder's log names.
pub(crate) fn tasks_of(place: &Place) -> BTreeSet<String> {
    let list = place.json(0, &["--json", "ps", "--all"]);
    list.as_array().unwrap().iter().map(|line| line["task"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(120), "still not so after two minutes: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn killed_at_any_point_nothing_lives_on_and_the_log_verifies() {
    let place = Place::new();
    place.expect(0, &["run", "--", "/bin/true"]);
    for (round, delay) in [0u64, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 25, 60, 150].into_iter().enumerate() {
        let seconds = format!("91{round:02}.{}", std::process::id());
        let mut child = place.start(&["run", "--", "/bin/sleep", &seconds]);
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until("the workload is dead", || processes_with(&seconds).is_empty());
    }
    // Once when the workload runs for certain, however slow this machine is.
    let late = format!("9199.{}", std::process::id());
    let script = format!("echo on; exec sleep {late}");
    let mut child = place.start(&["run", "--", "/bin/sh", "-c", &script]);
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the workload is dead", || processes_with(&late).is_empty());
    place.expect(0, &["run", "--", "/bin/true"]);
    place.expect(0, &["audit", "verify"]);
    assert_eq!(place.json(0, &["--json", "ps"]).as_array().unwrap().len(), 0);
    let states = place.json(0, &["--json", "ps", "--all"]);
    let states: Vec<_> = states.as_array().unwrap().iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert!(states.contains(&"interrupted"), "the last kill interrupted a task: {states:?}");
    assert!(states.iter().all(|state| matches!(*state, "interrupted" | "released")), "{states:?}");
    assert_eq!(groups_of(&tasks_of(&place)), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(place.state().join("running")).unwrap().count(), 0);
}

/// Random enough for moments, and the same for the same seed.
pub(crate) fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// A Hotcell and all that belongs to it: launcher, first process, workload, server of scratch.
pub(crate) fn family(of: u32) -> Vec<u32> {
    let children = |id: u32| {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
    };
    let mut all = vec![of];
    let mut at = 0;
    while let Some(id) = all.get(at).copied() {
        all.extend(children(id).collect::<Vec<_>>());
        at += 1;
    }
    all
}

/// What a process of a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Hotcell itself.
    Parent,
    /// Builds, and ends at once.
    Launcher,
    /// The first process of the sandbox.
    First,
    /// Any process of the workload.
    Workload,
    /// The server of an encrypted scratch.
    Server,
}

const ROLES: [Role; 5] = [Role::Parent, Role::Launcher, Role::First, Role::Workload, Role::Server];

impl Role {
    /// What this member of the family of `parent` is; `None` where it is gone.
    fn of(id: u32, parent: u32) -> Option<Self> {
        if id == parent {
            return Some(Self::Parent);
        }
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let inside = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        let ids: Vec<&str> = inside.split_whitespace().collect();
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        // As the test may itself be in a namespace, those of Hotcell's own have as many ids as Hotcell has.
        let own = fs::read_to_string(format!("/proc/{parent}/status")).ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().count();
        Some(match ids.len() > own {
            true if ids.last() == Some(&"1") => Self::First,
            true => Self::Workload,
            false if line.starts_with(b"hotcell-scratch") => Self::Server,
            false => Self::Launcher,
        })
    }
}

/// The first of a family that is this, as soon as there is one; `None` when the parent has ended before.
fn await_member(role: Role, child: &mut Child) -> Option<u32> {
    let parent = child.id();
    loop {
        let found = family(parent).into_iter().find(|id| Role::of(*id, parent) == Some(role));
        if found.is_some() || child.try_wait().unwrap().is_some() {
            return found;
        }
    }
}

/// How long each lives in a task that nobody disturbs.
fn lifetimes(child: &mut Child) -> BTreeMap<Role, Duration> {
    let (begin, parent) = (Instant::now(), child.id());
    let mut seen: BTreeMap<Role, (Duration, Duration)> = BTreeMap::new();
    while child.try_wait().unwrap().is_none() {
        for role in family(parent).into_iter().filter_map(|id| Role::of(id, parent)) {
            let now = begin.elapsed();
            seen.entry(role).or_insert((now, now)).1 = now;
        }
    }
    seen.into_iter().map(|(role, (from, to))| (role, to - from)).collect()
}

/// The uid of a process outside, where it is one of the range for sandboxes.
pub(crate) fn outer_id(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()?;
    (0x7100_0000..0x7100_1000).contains(&user).then_some(user)
}

/// Whether the kernel holds a key for a user.
fn has_keys(user: u32) -> bool {
    let users = fs::read_to_string("/proc/key-users").unwrap_or_default();
    users.lines().any(|line| line.split(':').next().is_some_and(|id| id.trim() == user.to_string()))
}

/// Loop devices whose file lies in this place.
fn loop_devices(place: &Place) -> usize {
    let own = place.path("").to_string_lossy().into_owned();
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let files = devices.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    files.filter(|file| file.contains(own.trim_end_matches('/'))).count()
}

/// Waits, also for less than a sleep takes at least.
pub(crate) fn pause(time: Duration) {
    let begin = Instant::now();
    if time > Duration::from_millis(5) {
        std::thread::sleep(time);
    }
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Kills one of the family of a task, each kind in turn, at a random moment of its own life, over and over; and looks
/// what is left.
fn kill_at_random(rounds: u64, seed: u64) {
    eprintln!("seed {seed}");
    let place = Place::new();
    place.file("p.toml", "name = \"encrypted\"\nextends = \"strict\"\n[scratch]\nkind = \"encrypted\"\n");
    let encrypted = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
    place.expect(0, &["run", "--", "/bin/true"]);
    let mounts_before = mounts(&place);
    let script =
        "i=0; while [ $i -lt 50 ]; do echo $i > /scratch/$i; echo $i > /output/$i; i=$((i+1)); done; sleep 0.05";
    let start = |word: &str, is_encrypted: bool| {
        let mut arguments = vec!["run", "--output", "out", "--limit", "wall=60s"];
        if is_encrypted {
            arguments.extend(["--profile", "p.toml"]);
        }
        arguments.extend(["--", "/bin/sh", "-c", script, word]);
        place.start(&arguments)
    };
    let lives = [false, true].map(|kind| lifetimes(&mut start("undisturbed", encrypted && kind)));
    let mut random = seed;
    let mut struck: BTreeMap<Role, [u32; 4]> = BTreeMap::new();
    let mut users = BTreeSet::new();
    for round in 0..rounds {
        let word = format!("struck-{}-{round}", std::process::id());
        let role = ROLES[(round % 5) as usize];
        let is_encrypted = encrypted && (role == Role::Server || round % 2 == 0);
        let mut child = start(&word, is_encrypted);
        // The quarter of its life in turn, and within it any moment.
        let quarter = round / 5 % 4;
        let part = (quarter * 1000 + next(&mut random) % 1000) as u32;
        if let Some(victim) = await_member(role, &mut child) {
            pause(lives[usize::from(is_encrypted)].get(&role).copied().unwrap_or_default() * part / 4000);
            let family = family(child.id());
            // A launcher would be gone until they are read.
            if role != Role::Launcher {
                users.extend(family.iter().filter_map(|id| outer_id(*id)));
            }
            // Of what is gone by then another one is struck, so that no round passes in peace.
            let is_there = Role::of(victim, child.id()) == Some(role);
            let victim = if is_there { victim } else { family[next(&mut random) as usize % family.len()] };
            if let Some(role) = Role::of(victim, child.id()) {
                struck.entry(role).or_default()[quarter as usize] += 1;
            }
            let victim = rustix::process::Pid::from_raw(victim.cast_signed()).unwrap();
            // It may be gone by now.
            let _ = rustix::process::kill_process(victim, rustix::process::Signal::KILL);
            // Whoever it was: the task comes to an end, and in less than its time.
            child.wait().unwrap();
            wait_until("none of its children is left", || family.iter().all(|id| !is_ours(*id, &place)));
        }
        child.wait().unwrap();
        wait_until("all processes are dead", || processes_with(&word).is_empty());
    }
    eprintln!("struck, by the quarter of their lives: {struck:?}");
    for role in [Role::Parent, Role::First, Role::Workload] {
        assert!(rounds < 100 || struck.contains_key(&role), "{role:?} was never struck: {struck:?}");
    }
    nothing_is_left(&place, &mounts_before, &users, &["state", "p.toml", "out"]);
}

/// After another start: no task, control group, mount, loop device, key or file that was not there before.
pub(crate) fn nothing_is_left(place: &Place, mounts_before: &[String], users: &BTreeSet<u32>, known: &[&str]) {
    place.expect(0, &["run", "--", "/bin/true"]);
    place.expect(0, &["audit", "verify"]);
    assert_eq!(place.json(0, &["--json", "ps"]).as_array().unwrap().len(), 0);
    assert_eq!(groups_of(&tasks_of(place)), Vec::<PathBuf>::new());
    assert_eq!(mounts(place), mounts_before);
    assert_eq!(loop_devices(place), 0);
    wait_until("the kernel holds no key of a sandbox", || users.iter().all(|user| !has_keys(*user)));
    assert_eq!(fs::read_dir(place.state().join("running")).unwrap().count(), 0);
    for folder in ["scratch", "temporary"] {
        let left = fs::read_dir(place.state().join(folder)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{folder}");
    }
    let here: BTreeSet<_> =
        fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(here.iter().all(|name| known.contains(&name.as_str())), "{here:?}");
    let hidden = fs::read_dir(place.path("out")).into_iter().flatten().flatten();
    let hidden: Vec<_> =
        hidden.map(|entry| entry.file_name()).filter(|name| name.as_encoded_bytes()[0] == b'.').collect();
    assert!(hidden.is_empty(), "{hidden:?}");
    let states = place.json(0, &["--json", "ps", "--all"]);
    let ended = states.as_array().unwrap().iter().all(|line| line["state"] != "running");
    assert!(ended, "the log tells how each task ended: {states}");
}

/// Whether a process is a Hotcell that works for this place, or a server of scratch without a parent.
fn is_ours(id: u32, place: &Place) -> bool {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let line = text(&line);
    line.contains(&*place.state().to_string_lossy()) || line.starts_with("hotcell-scratch")
}

#[test]
fn struck_at_random_nothing_survives_the_next_start() {
    kill_at_random(24, u64::from(std::process::id()));
}

#[test]
fn struck_two_hundred_times_at_random_nothing_survives_the_next_start() {
    full_only!();
    kill_at_random(200, u64::from(std::process::id()) << 20);
}

#[test]
fn after_two_hundred_runs_nothing_is_left_over() {
    let place = Place::new();
    place.expect(0, &["run", "--", "/bin/true"]);
    let mounts_before = mounts(&place);
    let word = format!("left-over-{}", std::process::id());
    for _ in 0..200 {
        place.expect(0, &["run", "--", "/bin/sh", "-c", "(sleep 60 &) ; true", &word]);
    }
    assert_eq!(processes_with(&word), Vec::<u32>::new());
    assert_eq!(mounts(&place), mounts_before);
    let tasks = tasks_of(&place);
    assert_eq!(tasks.len(), 201);
    assert_eq!(groups_of(&tasks), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(place.state().join("running")).unwrap().count(), 0);
    let here: BTreeSet<_> =
        fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(here, BTreeSet::from(["state".to_owned()]));
    place.expect(0, &["audit", "verify"]);
}

#[test]
fn ten_at_once_keep_apart() {
    let place = Place::new();
    let started: Vec<_> = (0..10)
        .map(|number| {
            let script = format!("echo {number} > /scratch/mine; sleep 0.2; cat /scratch/mine; ls /scratch | wc -l");
            (number, place.start(&["run", "--", "/bin/sh", "-c", &script]))
        })
        .collect();
    for (number, child) in started {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), format!("{number}\n1\n"));
    }
    place.expect(0, &["audit", "verify"]);
    assert_eq!(tasks_of(&place).len(), 10);
}

/// A small file system, unmounted at the end.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&at).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status().unwrap();
        assert!(mounted.success());
        Self(at)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn outputs_that_the_disk_cannot_take_leave_not_at_all() {
    require_root!();
    let place = Place::new();
    let small = Small::mount(place.path("small"), "256k");
    let script = "echo first > /output/a; head -c 1000000 /dev/urandom > /output/b";
    let out = small.0.to_string_lossy().into_owned();
    let told = place.output(&["run", "--output", &out, "--", "/bin/sh", "-c", script]);
    assert_eq!(told.status.code(), Some(125), "{}", text(&told.stderr));
    assert!(text(&told.stderr).contains("No space left"), "{}", text(&told.stderr));
    assert_eq!(fs::read_dir(&small.0).unwrap().count(), 0);
    place.expect(0, &["audit", "verify"]);
}

#[test]
fn a_log_that_cannot_grow_starts_nothing() {
    require_root!();
    let place = Place::new();
    let _small = Small::mount(place.state(), "128k");
    place.expect(0, &["run", "--", "/bin/true"]);
    let ballast = place.state().join("ballast");
    let _ = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", ballast.display())).output();
    let word = format!("not-started-{}", std::process::id());
    let told = place.output(&["run", "--", "/bin/echo", &word]);
    assert_eq!(told.status.code(), Some(125), "{}", text(&told.stderr));
    assert_eq!(text(&told.stdout), "", "the workload ran without its intent in the log");
    fs::remove_file(ballast).unwrap();
    place.expect(0, &["run", "--", "/bin/true"]);
    place.expect(0, &["audit", "verify"]);
}
