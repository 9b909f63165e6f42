//! What is left after the worst: kill -9 at any point, a full disk, many at once, many in a row.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hotcell_testkit::{full_only, require_root};

use crate::hotcell::{Place, text};

/// Every process whose command line has this word.
fn processes_with(word: &str) -> Vec<u32> {
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

fn groups_of(tasks: &BTreeSet<String>) -> Vec<PathBuf> {
    groups().into_iter().filter(|group| tasks.iter().any(|task| group.to_string_lossy().contains(task))).collect()
}

/// Every mount but those that other tests make meanwhile, each in a temporary folder of its own.
fn mounts(place: &Place) -> Vec<String> {
    let own = place.path("").to_string_lossy().into_owned();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| !line.contains("/.tmp") || line.contains(&own)).map(str::to_owned).collect()
}

/// Ids of the tasks that a state folder's log names.
fn tasks_of(place: &Place) -> BTreeSet<String> {
    let list = place.json(0, &["--json", "ps", "--all"]);
    list.as_array().unwrap().iter().map(|line| line["task"].as_str().unwrap().to_owned()).collect()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
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
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// A Hotcell and all that belongs to it: launcher, first process, workload, server of scratch.
fn family(of: u32) -> Vec<u32> {
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

/// Kills one of the family of a task at a random moment, over and over, and looks what is left.
fn kill_at_random(rounds: u64, seed: u64) {
    eprintln!("seed {seed}");
    let place = Place::new();
    place.file("p.toml", "name = \"encrypted\"\nextends = \"strict\"\n[scratch]\nkind = \"encrypted\"\n");
    let encrypted = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
    place.expect(0, &["run", "--", "/bin/true"]);
    let mounts_before = mounts(&place);
    let mut random = seed;
    for round in 0..rounds {
        let word = format!("struck-{}-{round}", std::process::id());
        let script =
            "i=0; while [ $i -lt 50 ]; do echo $i > /scratch/$i; echo $i > /output/$i; i=$((i+1)); done; sleep 0.05";
        let mut arguments = vec!["run", "--output", "out", "--limit", "wall=60s"];
        if encrypted && round % 2 == 0 {
            arguments.extend(["--profile", "p.toml"]);
        }
        arguments.extend(["--", "/bin/sh", "-c", script, &word]);
        let mut child = place.start(&arguments);
        // Most of a life is its begin and its end: moments are spread over 0 to 250 ms, more of them early.
        let moment = next(&mut random) % 500;
        std::thread::sleep(Duration::from_micros(moment * moment));
        let family = family(child.id());
        let victim = family[next(&mut random) as usize % family.len()];
        let _ = Command::new("kill").args(["-9", &victim.to_string()]).stderr(std::process::Stdio::null()).status();
        // Whoever it was: the task comes to an end, and in less than its time.
        child.wait().unwrap();
        wait_until("all processes are dead", || processes_with(&word).is_empty());
        wait_until("none of its children is left", || family.iter().all(|id| !is_ours(*id, &place)));
    }
    place.expect(0, &["run", "--", "/bin/true"]);
    place.expect(0, &["audit", "verify"]);
    assert_eq!(place.json(0, &["--json", "ps"]).as_array().unwrap().len(), 0);
    assert_eq!(groups_of(&tasks_of(&place)), Vec::<PathBuf>::new());
    assert_eq!(mounts(&place), mounts_before);
    assert_eq!(fs::read_dir(place.state().join("running")).unwrap().count(), 0);
    if let Ok(left) = fs::read_dir(place.state().join("scratch")) {
        assert_eq!(left.count(), 0);
    }
    let here: BTreeSet<_> =
        fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let known = ["state", "p.toml", "out"].map(str::to_owned);
    assert!(here.iter().all(|name| known.contains(name)), "{here:?}");
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
