//! Loss of power: a run is traced, and replayed up to every point with what was not synced dropped, torn, reordered.
//!
//! The model: what was written to a file is durable once a later sync of that file has returned. Of the rest any
//! sectors may have reached the disk and any may not, in any order; a file's length may have grown without its bytes,
//! which are then zero, or its bytes have been written without its length. A name is durable once its folder was synced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hotcell_audit::{Durability, Events, Filter, Log, verify};

use crate::support::{Key, Random, event, folder, open, origin};

const CHILD: &str = "power::a_child_appends_in_two_threads_and_says_what_was_acknowledged";

/// Durable appends of each of the two threads of each of the four times that the log is opened.
const ROUNDS: u64 = 6;

/// Run by itself it appends a little; as a child of the other test, under a tracer.
#[test]
fn a_child_appends_in_two_threads_and_says_what_was_acknowledged() {
    let given = std::env::var("AUDIT_POWER_DIR").ok();
    let own = folder();
    let dir = given.as_deref().map_or(own.path(), Path::new);
    let key = Key(std::env::var("AUDIT_POWER_KEY").unwrap_or_else(|_| Key::new().0));
    for part in 0..4u64 {
        let log = Log::open(dir, key.signing(), origin()).unwrap();
        std::thread::scope(|threads| {
            for thread in 0..2u64 {
                let log = &log;
                threads.spawn(move || {
                    for round in 0..ROUNDS {
                        let number = 1 + part * 1000 + thread * 100 + round;
                        let filler = event(number).with("filler", "x".repeat((number * 137 % 1500) as usize));
                        log.append(&[event(0), event(0)], Durability::Lazy).unwrap();
                        let at = log.append(&[filler, event(0)], Durability::Durable).unwrap();
                        say(&format!("ack {number}\n"));
                        if round % 4 == 0 {
                            log.checkpoint(&at).unwrap();
                        }
                    }
                });
            }
        });
    }
    assert_eq!(numbers(dir).len(), 4 * 2 * ROUNDS as usize);
}

/// One write, which is one line of the trace.
fn say(text: &str) {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

fn numbers(dir: &Path) -> BTreeSet<u64> {
    let events = Events::open(dir, Filter::default()).unwrap();
    events.map(|entry| entry.unwrap().event.data["number"].as_u64().unwrap()).filter(|number| *number > 0).collect()
}

/// What the traced program did, in the order in which it ended.
#[derive(Debug, Clone)]
enum Step {
    Made(PathBuf),
    Wrote {
        file: PathBuf,
        at: u64,
        bytes: Vec<u8>,
    },
    Cut {
        file: PathBuf,
        length: u64,
    },
    /// With how many steps had ended when it began.
    Synced {
        file: PathBuf,
        began: usize,
    },
    Renamed {
        from: PathBuf,
        to: PathBuf,
    },
    Acknowledged(u64),
}

/// A file as it is in memory and on the disk.
#[derive(Debug, Clone, Default)]
struct File {
    disk: Vec<u8>,
    /// Writes and cuts since the last sync, each with its step.
    pending: Vec<(usize, Change)>,
    named: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Dropped,
    Kept,
    Torn,
}

#[test]
fn after_a_loss_of_power_at_any_point_the_log_opens_verifies_and_has_every_acknowledged_event() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        hotcell_testkit::skip!("strace is not installed");
    }
    let (place, key) = (folder(), Key::new());
    let dir = place.path().join("log");
    let Some(trace) = trace(&dir, &place.path().join("trace"), &key) else {
        hotcell_testkit::skip!("this machine lets no program be traced");
    };
    let steps = parse(&trace, &dir);
    let acks = steps.iter().filter(|step| matches!(step, Step::Acknowledged(_))).count();
    let syncs = steps.iter().filter(|step| matches!(step, Step::Synced { .. })).count();
    assert_eq!(acks, 4 * 2 * ROUNDS as usize, "{} steps", steps.len());
    assert!(syncs > 20 && syncs < acks + 40, "{syncs}");
    let seed = 20_261;
    let mut random = Random(seed);
    for end in 0..=steps.len() {
        for fate in [Fate::Dropped, Fate::Torn, Fate::Kept] {
            if matches!(fate, Fate::Kept) && end % 5 > 0 {
                continue;
            }
            let what = format!("seed {seed}, cut after step {end} of {}, {fate:?}", steps.len());
            let after = in_memory();
            put(&disk_after(&steps[..end], fate, &mut random), &dir, after.path());
            let acknowledged: BTreeSet<u64> = (steps[..end].iter())
                .filter_map(|step| if let Step::Acknowledged(number) = step { Some(*number) } else { None })
                .collect();
            let log =
                Log::open(after.path(), key.signing(), origin()).unwrap_or_else(|error| panic!("{what}: {error}"));
            let lost: Vec<_> = acknowledged.difference(&numbers(after.path())).copied().collect();
            assert!(lost.is_empty(), "{what}: lost {lost:?}");
            verify(after.path(), &key.verifying()).unwrap_or_else(|error| panic!("{what}: {error}"));
            let at = log.append(&[event(0)], Durability::Durable).unwrap();
            log.inclusion_proof(0, &at).unwrap_or_else(|error| panic!("{what}: {error}"));
            log.checkpoint(&at).unwrap_or_else(|error| panic!("{what}: {error}"));
            drop(log);
            assert_eq!(open(after.path(), &key).end().unwrap().size(), at.size(), "{what}");
        }
    }
}

#[test]
fn the_model_of_a_disk_loses_what_was_not_synced_and_nothing_else() {
    let file = PathBuf::from("/d/journal");
    let wrote = |at: u64, bytes: &[u8]| Step::Wrote { file: file.clone(), at, bytes: bytes.to_vec() };
    let steps = [
        Step::Made(file.clone()),
        wrote(0, b"durable"),
        Step::Synced { file: file.clone(), began: 2 },
        Step::Synced { file: "/d".into(), began: 3 },
        wrote(7, b" lost"),
        Step::Synced { file: file.clone(), began: 4 }, // began before the write had ended
    ];
    let mut random = Random(1);
    assert_eq!(disk_after(&steps, Fate::Dropped, &mut random)[&file], b"durable");
    assert_eq!(disk_after(&steps, Fate::Kept, &mut random)[&file], b"durable lost");
    assert!(disk_after(&steps[..3], Fate::Dropped, &mut random).is_empty(), "its name was not durable");
    let torn: BTreeSet<_> = (0..64).map(|_| disk_after(&steps, Fate::Torn, &mut random)[&file].clone()).collect();
    assert!(torn.contains(b"durable\0\0\0\0\0".as_slice()) && torn.contains(b"durable lost".as_slice()), "{torn:?}");
    assert!(torn.iter().all(|bytes| bytes.starts_with(b"durable")));
}

/// Runs the child under the tracer; none where tracing is refused.
fn trace(dir: &Path, to: &Path, key: &Key) -> Option<String> {
    fs::create_dir(dir).unwrap();
    let calls = "openat,write,pwrite64,ftruncate,fdatasync,fsync,rename,renameat,renameat2";
    let output = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "1000000", "-e", &format!("trace={calls}"), "-e", "signal=none", "-o"])
        .arg(to)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env("AUDIT_POWER_DIR", dir)
        .env("AUDIT_POWER_KEY", &key.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("PTRACE") || said.contains("ptrace") {
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(fs::read_to_string(to).unwrap())
}

fn parse(trace: &str, dir: &Path) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut begun: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    for line in trace.lines() {
        let (process, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(process, (start.to_owned(), steps.len()));
            continue;
        }
        let (call, began) = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let (start, began) = begun.remove(process).unwrap();
                (start + resumed.split_once(" resumed>").unwrap().1, began)
            }
            None => (rest.to_owned(), steps.len()),
        };
        steps.extend(step(&call, began, dir));
    }
    steps
}

/// The step of one call, if it concerns the log's folder or acknowledges.
fn step(call: &str, began: usize, dir: &Path) -> Option<Step> {
    let (call, result) = call.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let (name, arguments) = call.split_once('(')?;
    let file = || {
        let path = arguments.split_once('<')?.1.split_once('>')?.0;
        // Some versions escape these too.
        let path = if path.starts_with('/') { path.as_bytes().to_vec() } else { unescape(path) };
        Some(PathBuf::from(String::from_utf8(path).ok()?)).filter(|path| path.starts_with(dir))
    };
    let strings: Vec<Vec<u8>> = arguments.split('"').skip(1).step_by(2).map(unescape).collect();
    let numbers = arguments.trim_end().trim_end_matches(')').rsplit(", ").map(|text| text.parse::<u64>().ok());
    let numbers: Vec<_> = numbers.collect();
    let path = |place: usize| Some(PathBuf::from(String::from_utf8(strings.get(place)?.clone()).ok()?));
    match name {
        "openat" if arguments.contains("O_CREAT") => path(0).filter(|path| path.starts_with(dir)).map(Step::Made),
        "write" if arguments.starts_with("1<") => {
            let text = String::from_utf8(strings.first()?.clone()).ok()?;
            text.trim_end().rsplit_once("ack ")?.1.parse().ok().map(Step::Acknowledged)
        }
        // Files that are written from their start to their end at once.
        "write" => Some(Step::Wrote { file: file()?, at: 0, bytes: strings.first()?.clone() }),
        "pwrite64" => Some(Step::Wrote { file: file()?, at: numbers[0]?, bytes: strings.first()?.clone() }),
        "ftruncate" => Some(Step::Cut { file: file()?, length: numbers[0]? }),
        "fdatasync" | "fsync" => Some(Step::Synced { file: file()?, began }),
        "rename" | "renameat" | "renameat2" => Some(Step::Renamed { from: path(0)?, to: path(1)? }),
        _ => None,
    }
}

/// The bytes of a string of which every byte is `\x` and two digits.
fn unescape(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|digits| u8::from_str_radix(&digits[..2], 16).unwrap()).collect()
}

/// A folder that does not wait for a disk, where there is one.
fn in_memory() -> tempfile::TempDir {
    match Path::new("/dev/shm") {
        memory if memory.is_dir() => tempfile::tempdir_in(memory).unwrap_or_else(|_| folder()),
        _ => folder(),
    }
}

/// What is on the disk after these steps and a loss of power.
fn disk_after(steps: &[Step], fate: Fate, random: &mut Random) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files: BTreeMap<PathBuf, File> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Made(path) => {
                files.entry(path.clone()).or_default();
            }
            Step::Wrote { file, at, bytes } => {
                let change = Change::Write(*at, bytes.clone());
                files.entry(file.clone()).or_default().pending.push((number, change));
            }
            Step::Cut { file, length } => {
                files.entry(file.clone()).or_default().pending.push((number, Change::Cut(*length)));
            }
            Step::Synced { file, began } => match files.get_mut(file) {
                Some(synced) => {
                    let (covered, rest) =
                        std::mem::take(&mut synced.pending).into_iter().partition(|(at, _)| at < began);
                    synced.pending = rest;
                    let covered: Vec<(usize, Change)> = covered;
                    covered.iter().for_each(|(_, change)| apply(change, &mut synced.disk));
                }
                // A folder: the names in it.
                None => {
                    files.iter_mut().filter(|(path, _)| path.parent() == Some(file)).for_each(|(_, f)| f.named = true)
                }
            },
            Step::Renamed { from, to } => {
                if let Some(moved) = files.remove(from) {
                    files.insert(to.clone(), moved);
                }
            }
            Step::Acknowledged(_) => {}
        }
    }
    let is_there = |file: &File, random: &mut Random| match fate {
        Fate::Dropped => file.named,
        Fate::Kept => true,
        Fate::Torn => file.named || random.below(2) == 0,
    };
    let mut disk = BTreeMap::new();
    for (path, mut file) in files {
        if !is_there(&file, random) {
            continue;
        }
        for (_, change) in std::mem::take(&mut file.pending) {
            match fate {
                Fate::Dropped => {}
                Fate::Kept => apply(&change, &mut file.disk),
                Fate::Torn => tear(&change, &mut file.disk, random),
            }
        }
        disk.insert(path, file.disk);
    }
    disk
}

fn apply(change: &Change, to: &mut Vec<u8>) {
    match change {
        Change::Write(at, bytes) => {
            let (from, end) = (*at as usize, *at as usize + bytes.len());
            to.resize(to.len().max(end), 0);
            to[from..end].copy_from_slice(bytes);
        }
        Change::Cut(length) => to.resize(*length as usize, 0),
    }
}

/// Applies any sectors of a write, with or without the length that it gives.
fn tear(change: &Change, to: &mut Vec<u8>, random: &mut Random) {
    let Change::Write(at, bytes) = change else {
        if random.below(2) == 0 {
            apply(change, to);
        }
        return;
    };
    let before = to.len();
    let mut place = *at as usize;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (sector, after) = rest.split_at(rest.len().min(512 - place % 512));
        match random.below(2) {
            0 => apply(&Change::Write(place as u64, sector.to_vec()), to),
            _ => to.resize(to.len().max(place + sector.len()), 0),
        }
        (rest, place) = (after, place + sector.len());
    }
    if random.below(3) == 0 {
        to.truncate(before.max(*at as usize).min(to.len()));
        to.truncate(before);
    }
}

fn put(files: &BTreeMap<PathBuf, Vec<u8>>, from: &Path, to: &Path) {
    for (path, bytes) in files {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
