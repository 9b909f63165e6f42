//! The pool and the opener of a sealed model, killed at random moments of their lives: nothing survives the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hotcell_testkit::full_only;

use crate::crash::{family, mounts, next, nothing_is_left, outer_id, pause, processes_with, wait_until};
use crate::hotcell::Place;

/// Who is struck, and in which part of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    /// The pool, while it begins and fills itself.
    BeginningPool,
    /// The pool, while a task takes one of its shells and runs.
    GivingPool,
    /// A shell that waits, or that a task is just taking.
    WaitingShell,
    /// Whoever takes a shell: Hotcell, while a task of a pooled shell runs.
    Taker,
    /// The opener of a sealed model, which is the task's own Hotcell.
    Opener,
}

const VICTIMS: [Victim; 5] =
    [Victim::BeginningPool, Victim::GivingPool, Victim::WaitingShell, Victim::Taker, Victim::Opener];

/// What the model holds, over and over; nothing else does.
const CANARY: &str = "the vendor's secret weight ";

fn kill(id: u32) {
    if let Some(id) = rustix::process::Pid::from_raw(id.cast_signed()) {
        // It may be gone by now.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
}

fn begin_pool(place: &Place) -> Child {
    place.command(&["pool", "--size", "2"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until its shells wait.
fn filled(pool: &mut Child) {
    let mut line = String::new();
    BufReader::new(pool.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("shells wait"), "{line}");
}

/// Ends what it has begun; the shells of a pool end after it.
fn bury(mut pool: Child) {
    let all = family(pool.id());
    let _ = pool.kill();
    pool.wait().unwrap();
    wait_until("the pool's shells are gone", || all.iter().all(|id| !is_first_of_a_shell(*id)));
}

/// Whether it lives and is the first process of some namespace: an id that was given to another process meanwhile is not.
fn is_first_of_a_shell(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let has = |key: &str, wanted: &dyn Fn(&str) -> bool| {
        status.lines().find_map(|line| line.strip_prefix(key)).is_some_and(|rest| wanted(rest.trim()))
    };
    has("State:", &|state| !state.starts_with(['Z', 'X'])) && has("NSpid:", &|ids| ids.ends_with("\t1"))
}

/// A package whose contents take a while to be opened.
fn seal_a_model(place: &Place) {
    // As the task file of the example names them.
    place.expect(0, &["keygen", "--output", "hospital.key"]);
    place.expect(0, &["keygen", "--output", "reader.key"]);
    place.expect(0, &["keygen", "--output", "vendor.key", "--signing"]);
    fs::write(place.path("model.onnx"), CANARY.repeat((24 << 20) / CANARY.len())).unwrap();
    let words = [
        "seal",
        "--recipient",
        "hospital.key.pub",
        "--output",
        "model.sealed",
        "--model",
        "example/large",
        "model.onnx",
    ];
    place.expect(0, &[&words[..], &["--model-version", "1", "--sign", "vendor.key"]].concat());
    fs::remove_file(place.path("model.onnx")).unwrap();
    place.file("task.toml", include_str!("../../../../examples/biopsy/task.toml"));
    let table = hotcell_testkit::workspace().join("examples/biopsy/patients.csv");
    fs::copy(table, place.path("patients.csv")).unwrap();
}

/// Whether a file below this folder holds the canary.
fn holds_canary(folder: &Path) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => holds_canary(&entry.path()),
        Ok(kind) if kind.is_file() => {
            let mut bytes = Vec::new();
            let read = fs::File::open(entry.path()).and_then(|mut file| file.read_to_end(&mut bytes));
            read.is_ok() && bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes())
        }
        _ => false,
    })
}

fn lifetime(mut child: Child) -> Duration {
    let begin = Instant::now();
    child.wait().unwrap();
    begin.elapsed()
}

fn kill_at_random(rounds: u64, seed: u64) {
    eprintln!("seed {seed}");
    let place = Place::new();
    seal_a_model(&place);
    place.expect(0, &["run", "--", "/bin/true"]);
    let mounts_before = mounts(&place);
    let script = "i=0; while [ $i -lt 50 ]; do echo $i > /scratch/$i; i=$((i+1)); done; sleep 0.02";
    let task = |word: &str| place.start(&["run", "--limit", "wall=60s", "--", "/bin/sh", "-c", script, word]);
    let open = || {
        // What it opens is no model: the task fails after that, whoever disturbs it or not.
        place.start(&["run", "--task", "task.toml"])
    };
    let begin = Instant::now();
    let mut pool = begin_pool(&place);
    filled(&mut pool);
    let fills = begin.elapsed();
    // The shortest of some: on a busy machine the others are long past their end when they are struck late.
    let lives = (0..3).map(|_| lifetime(task("undisturbed"))).min().unwrap_or_default();
    let opens = (0..3).map(|_| lifetime(open())).min().unwrap_or_default();
    let leases = place.expect(0, &["audit", "show", "--json", "--kind", "lease-issued"]);
    assert_eq!(leases.matches("example/large").count(), 3, "the model is opened: {leases}");
    let mut random = seed;
    let mut struck: BTreeMap<Victim, [u32; 4]> = BTreeMap::new();
    let mut users = BTreeSet::new();
    for round in 0..rounds {
        let word = format!("taken-{}-{round}", std::process::id());
        let victim = VICTIMS[(round % 5) as usize];
        // The quarter of its life in turn, and within it any moment.
        let quarter = round / 5 % 4;
        let part = (quarter * 1000 + next(&mut random) % 1000) as u32;
        if victim == Victim::BeginningPool {
            bury(pool);
            pool = begin_pool(&place);
            pause(fills * part / 4000);
            users.extend(family(pool.id()).into_iter().filter_map(outer_id));
            bury(pool);
            pool = begin_pool(&place);
            filled(&mut pool);
            *struck.entry(victim).or_default().get_mut(quarter as usize).unwrap() += 1;
            continue;
        }
        let shells: Vec<u32> = family(pool.id()).into_iter().filter(|id| is_first_of_a_shell(*id)).collect();
        users.extend(shells.iter().filter_map(|id| outer_id(*id)));
        let mut child = if victim == Victim::Opener { open() } else { task(&word) };
        let life = if victim == Victim::Opener { opens } else { lives };
        pause(life * part / 4000);
        let own = family(child.id());
        users.extend(own.iter().filter_map(|id| outer_id(*id)));
        let was_there = child.try_wait().unwrap().is_none();
        match victim {
            Victim::GivingPool => kill(pool.id()),
            Victim::WaitingShell => {
                if let Some(shell) = shells.get(next(&mut random) as usize % shells.len().max(1)) {
                    // One that was used and is gone has left its number to nobody yet, or to a shell.
                    if is_first_of_a_shell(*shell) {
                        kill(*shell);
                    }
                }
            }
            _ => kill(child.id()),
        }
        if was_there {
            *struck.entry(victim).or_default().get_mut(quarter as usize).unwrap() += 1;
        }
        let ended = child.wait().unwrap();
        if victim == Victim::GivingPool {
            assert!(ended.success(), "round {round}: the end of the pool took a task along: {ended}");
            bury(pool);
            pool = begin_pool(&place);
            filled(&mut pool);
        }
        wait_until("all processes are dead", || processes_with(&word).is_empty());
        assert!(own.iter().all(|id| *id == child.id() || shells.contains(id) || await_end(*id)), "round {round}");
    }
    eprintln!("struck, by the quarter of their lives: {struck:?}");
    assert!(rounds < 100 || VICTIMS.iter().all(|victim| struck.contains_key(victim)), "{struck:?}");
    bury(pool);
    // The next pool begins as the first one did, and leaves as little.
    let mut pool = begin_pool(&place);
    filled(&mut pool);
    place.expect(0, &["pool", "--stop"]);
    pool.wait().unwrap();
    assert!(!place.state().join("pool/socket").exists());
    let keys = ["hospital.key", "hospital.key.pub", "reader.key", "reader.key.pub", "vendor.key", "vendor.key.pub"];
    let rest = ["state", "out", "model.sealed", "task.toml", "patients.csv", "receipt.json"];
    nothing_is_left(&place, &mounts_before, &users, &[&keys[..], &rest].concat());
    for folder in [place.path(""), "/dev/shm".into(), "/run/hotcell".into()] {
        assert!(!holds_canary(&folder), "an opened model is left in {}", folder.display());
    }
}

/// Waits for the end of a process of a task.
fn await_end(id: u32) -> bool {
    wait_until("it has ended", || !is_first_of_a_shell(id));
    true
}

#[test]
fn pool_and_opener_struck_at_random_leave_nothing_to_the_next_start() {
    kill_at_random(20, u64::from(std::process::id()));
}

#[test]
fn pool_and_opener_struck_two_hundred_times_at_random_leave_nothing_to_the_next_start() {
    full_only!();
    kill_at_random(200, u64::from(std::process::id()) << 20);
}
