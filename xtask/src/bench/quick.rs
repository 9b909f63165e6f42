//! Crowds, first lines, memory, files: what is felt beside the time of one start.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::contest::{Times, milliseconds, timed};
use super::{Wishes, folder, hotcell, peers};
use crate::command::{Result, is_root, program, read, run as run_shown, target, title};
use crate::ordinary::Ordinary;
use crate::packages;

/// Rounds when nothing is said.
const RUNS: usize = 100;
/// How many start at the same moment.
const CROWDS: [usize; 3] = [1, 8, 50];
/// How many are alive at the same time.
const ALIVE: usize = 500;
/// Files of the working tree that `git status` looks at.
const FILES: usize = 50_000;

const FLOOR: &str = include_str!("quick/floor.c");
const LOOPS: &str = include_str!("quick/loops.c");

/// Runs all parts as whoever we are and, as root, once more as an ordinary user.
pub(crate) fn run(wishes: &Wishes) -> Result {
    if wishes.ordinary_part {
        return all_parts(wishes, &target().join("bench/ordinary-quick"), "as an ordinary user");
    }
    packages::provide(packages::PEERS);
    let binary = hotcell::binary()?;
    all_parts(wishes, &folder("quick")?, if is_root() { "as root" } else { "as an ordinary user" })?;
    if is_root() {
        let user = Ordinary::new(folder("ordinary-quick")?)?;
        let mut command = user.command(&std::env::current_exe()?);
        command.args(["bench", "quick", "--ordinary-part"]).env("HOTCELL_BIN", binary);
        command.args(["--runs", &wishes.runs.unwrap_or(RUNS).to_string()]);
        command.args(wishes.json.then_some("--json"));
        run_shown(&mut command)?;
    }
    Ok(())
}

/// Where everything of a part lies.
struct Place {
    folder: PathBuf,
    binary: PathBuf,
    bubblewrap: PathBuf,
}

impl Place {
    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn hotcell(&self, options: &[&str], workload: &[&str]) -> Command {
        let mut command = hotcell::run_command(&self.binary, &self.state());
        command.args(options).arg("--").args(workload);
        command
    }

    /// A C program, compiled where it is not there yet.
    fn compiled(&self, name: &str, text: &str) -> Result<PathBuf> {
        let (source, program) = (self.folder.join(format!("{name}.c")), self.folder.join("code").join(name));
        fs::create_dir_all(self.folder.join("code"))?;
        fs::write(&source, text)?;
        run_shown(Command::new("cc").args(["-O2", "-static", "-o"]).arg(&program).arg(&source))?;
        Ok(program)
    }
}

fn all_parts(wishes: &Wishes, folder: &Path, who: &str) -> Result {
    let runs = wishes.runs.unwrap_or(RUNS);
    let place = Place {
        folder: folder.to_owned(),
        binary: hotcell::binary()?,
        bubblewrap: program("bwrap").ok_or("bubblewrap is not installed, and a figure without a peer is no result")?,
    };
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let report =
        hotcell::report(hotcell::run_command(&place.binary, &place.state()).args(["--json", "--", "/bin/true"]))?;
    title(&format!("crowds, first lines, memory and files, {who}, {runs} rounds; {}", hotcell::walls(&report)?));
    let figures = json!({
        "benchmark": "quick",
        "who": who,
        "runs": runs,
        "crowds": crowds(&place, runs)?,
        "python": first_lines(&place, runs)?,
        "files": loops(&place)?,
        "git": git_status(&place, runs.min(20))?,
        "alive": alive(&place)?,
    });
    match wishes.json {
        true => println!("{figures}"),
        false => print!("{}", shown(&figures, 0)),
    }
    Ok(())
}

/// `true` by itself and with others at the same moment, beside bubblewrap and the bare kernel work.
fn crowds(place: &Place, runs: usize) -> Result<Value> {
    let floor = place.compiled("floor", FLOOR)?;
    let commands: [&(dyn Fn() -> Command + Sync); 3] = [
        &|| place.hotcell(&[], &["/bin/true"]),
        &|| peers::in_bubblewrap(&place.bubblewrap, None, &["/bin/true"]),
        &|| Command::new(&floor),
    ];
    let mut figures = serde_json::Map::new();
    for crowd in CROWDS {
        let mut times: [Vec<Duration>; 3] = Default::default();
        for round in 0..runs.div_ceil(crowd).max(4) {
            for turn in 0..commands.len() {
                let at = (turn + round) % commands.len();
                if let (Some(command), Some(times)) = (commands.get(at), times.get_mut(at)) {
                    times.extend(at_once(crowd, *command)?);
                }
            }
        }
        let [ours, peer, floor] = times.map(Times::new);
        let figure =
            |times: &Times| json!({"p50_ms": rounded(times.median()), "p99_ms": rounded(times.percentile(99))});
        let ratio = |percent| {
            (ours.percentile(percent).as_secs_f64() / peer.percentile(percent).as_secs_f64() * 100.0).round() / 100.0
        };
        figures.insert(
            format!("{crowd} at once"),
            json!({"hotcell": figure(&ours), "bubblewrap": figure(&peer), "bare kernel work": figure(&floor),
                   "ratio": {"p50": ratio(50), "p99": ratio(99)}}),
        );
    }
    Ok(figures.into())
}

/// The times of as many, started at the same moment.
fn at_once(crowd: usize, command: &(dyn Fn() -> Command + Sync)) -> Result<Vec<Duration>> {
    let barrier = Barrier::new(crowd);
    let one = || {
        let mut command = command();
        barrier.wait();
        timed(&mut command).map_err(|error| error.to_string())
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..crowd).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a thread failed".into()))).collect()
    });
    results.into_iter().map(|result| result.map_err(Into::into)).collect()
}

/// From the start to the first byte of what Python prints.
fn first_lines(place: &Place, runs: usize) -> Result<Value> {
    let script = ["/usr/bin/python3", "-c", "print(1)"];
    let commands: [&dyn Fn() -> Command; 3] =
        [&|| place.hotcell(&[], &script), &|| peers::in_bubblewrap(&place.bubblewrap, None, &script), &|| {
            let mut bare = Command::new("/usr/bin/python3");
            bare.args(&script[1..]);
            bare
        }];
    let [ours, peer, bare] = in_turns(runs, &commands, &first_byte)?;
    Ok(json!({"hotcell_ms": rounded(ours), "bubblewrap_ms": rounded(peer), "bare_ms": rounded(bare),
              "ratio": ratio_of(ours.as_secs_f64(), peer.as_secs_f64())}))
}

fn first_byte(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let said = child.stdout.as_mut().ok_or("no standard output")?.read_exact(&mut [0]);
    let time = begin.elapsed();
    match (child.wait()?.success(), said) {
        (true, Ok(())) => Ok(time),
        _ => Err(format!("{command:?} failed").into()),
    }
}

/// Medians of three that are measured in turns, each round in another order.
fn in_turns(
    rounds: usize,
    commands: &[&dyn Fn() -> Command; 3],
    measure: &dyn Fn(&mut Command) -> Result<Duration>,
) -> Result<[Duration; 3]> {
    let mut times: [Vec<Duration>; 3] = Default::default();
    for round in 0..rounds {
        for turn in 0..3 {
            let at = (turn + round) % 3;
            if let (Some(command), Some(times)) = (commands.get(at), times.get_mut(at)) {
                times.push(measure(&mut command())?);
            }
        }
    }
    Ok(times.map(|times| Times::new(times).median()))
}

/// Reads, writes and opens in a loop: in scratch, and bare in memory of the host. Medians of five.
fn loops(place: &Place) -> Result<Value> {
    let program = place.compiled("loops", LOOPS)?;
    let code = place.folder.join("code");
    let code = code.to_str().ok_or("the build folder has a name that is no text")?;
    let memory = PathBuf::from(format!("/dev/shm/hotcell-bench-{}", std::process::id()));
    fs::create_dir_all(&memory)?;
    let mut all: [Vec<Value>; 2] = Default::default();
    for _ in 0..5 {
        let inside = read(&mut place.hotcell(&["--code", code], &["/code/loops", "/scratch"]))?;
        let bare = read(Command::new(&program).arg(&memory))?;
        for (all, text) in all.iter_mut().zip([inside, bare]) {
            all.push(serde_json::from_str(&text)?);
        }
    }
    fs::remove_dir_all(&memory)?;
    let median = |all: &[Value], name: &str| {
        let mut values: Vec<f64> = all.iter().filter_map(|value| value[name].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let figure = |name| {
        let [inside, bare] = [0, 1].map(|at| median(all.get(at).map_or(&[], Vec::as_slice), name));
        json!({"inside_ns": inside, "bare_ns": bare, "ratio": ratio_of(inside, bare)})
    };
    Ok(
        json!({"read of 4 KiB": figure("read"), "write of 4 KiB": figure("write"), "open and close": figure("open_close")}),
    )
}

/// `git status` over a large working tree, from start to exit. Without its look at owners: they have another number inside, and
/// git would read all files anew.
fn git_status(place: &Place, runs: usize) -> Result<Value> {
    if program("git").is_none() {
        return Ok(json!("not measured: git is not installed"));
    }
    let tree = place.folder.join("tree");
    if !tree.join(".git/ready").exists() {
        make_tree(&tree)?;
    }
    let folder = tree.to_str().ok_or("the build folder has a name that is no text")?.to_owned();
    let status = [
        "git",
        "-c",
        "safe.directory=*",
        "-c",
        "core.checkStat=minimal",
        "--no-optional-locks",
        "status",
        "--porcelain",
    ];
    let commands: [&dyn Fn() -> Command; 3] = [
        &|| place.hotcell(&["--code", &folder], &status),
        &|| peers::in_bubblewrap(&place.bubblewrap, Some(&tree), &status),
        &|| {
            let mut bare = Command::new("git");
            bare.args(&status[1..]).current_dir(&tree);
            bare
        },
    ];
    let [ours, peer, bare] = in_turns(runs, &commands, &|command| timed(command))?;
    Ok(json!({"hotcell_ms": rounded(ours), "bubblewrap_ms": rounded(peer), "bare_ms": rounded(bare),
              "ratio to bare": ratio_of(ours.as_secs_f64(), bare.as_secs_f64())}))
}

fn make_tree(tree: &Path) -> Result {
    for folder in 0..FILES / 100 {
        let folder = tree.join(format!("part-{folder}"));
        fs::create_dir_all(&folder)?;
        for file in 0..100 {
            fs::write(folder.join(format!("file-{file}")), format!("{file}\n"))?;
        }
    }
    let git = |words: &[&str]| {
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        run_shown(Command::new("git").args(identity).args(words).current_dir(tree))
    };
    git(&["init", "--quiet"])?;
    git(&["add", "."])?;
    git(&["commit", "--quiet", "--message", "all"])?;
    fs::write(tree.join(".git/ready"), "")?;
    Ok(())
}

/// Many that do nothing, alive at the same time: how long until all of them are, and what memory of ours each takes.
fn alive(place: &Place) -> Result<Value> {
    let begin = Instant::now();
    let mut children: Vec<Child> = Vec::new();
    let started: Result = (0..ALIVE).try_for_each(|_| {
        let mut command = place.hotcell(&[], &["sh", "-c", "echo; exec sleep 1000"]);
        children.push(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
        Ok(())
    });
    let mut alive = 0;
    for child in &mut children {
        let mut line = [0];
        alive += usize::from(child.stdout.as_mut().is_some_and(|stdout| stdout.read_exact(&mut line).is_ok()));
    }
    let time = begin.elapsed();
    let hosts: Vec<u64> = children.iter().filter_map(|child| proportional_kib(child.id())).collect();
    let guardians: Vec<u64> = guardians().into_iter().filter_map(proportional_kib).collect();
    for child in &children {
        // As Ctrl-C does, so that each removes what is its own.
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    }
    for child in &mut children {
        child.wait()?;
    }
    started?;
    let mean = |all: &[u64]| all.iter().sum::<u64>().checked_div(all.len() as u64);
    Ok(json!({"asked for": ALIVE, "alive": alive, "seconds until all were": time.as_secs_f64().round(),
              "KiB of one host process": mean(&hosts), "KiB of one guardian": mean(&guardians)}))
}

/// Proportional set size of a process. Nothing where it may not be read.
fn proportional_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The first processes of sandboxes: only the launcher has this name.
fn guardians() -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe"))
                .is_ok_and(|exe| exe.to_string_lossy().contains("hotcell-launcher"))
        })
        .collect()
}

fn rounded(time: Duration) -> f64 {
    (milliseconds(time) * 100.0).round() / 100.0
}

fn ratio_of(ours: f64, other: f64) -> f64 {
    (ours / other * 100.0).round() / 100.0
}

/// Figures as an indented list.
fn shown(value: &Value, depth: usize) -> String {
    let Value::Object(map) = value else { return String::new() };
    let lines = map.iter().map(|(name, inner)| match inner {
        Value::Object(leaf) if leaf.values().all(|value| !value.is_object()) => {
            let parts: Vec<_> = leaf.iter().map(|(name, value)| format!("{name} {value}")).collect();
            format!("{:depth$}{name}: {}\n", "", parts.join(", "))
        }
        Value::Object(_) => format!("{:depth$}{name}\n{}", "", shown(inner, depth + 2)),
        _ => format!("{:depth$}{name}: {inner}\n", ""),
    });
    lines.collect()
}
