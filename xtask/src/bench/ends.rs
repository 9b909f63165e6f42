//! How long it takes until everything is dead after Ctrl-C or at a limit, and until its memory is the host's again.
//!
//! Seen from outside, in `/proc`, every fifth of a millisecond: a process is dead when it is gone, a zombie, or on its way out
//! of the kernel and will run no instruction any more. Its memory is free once it is gone or a zombie; that of files in memory
//! when the kernel's count of them (`Shmem`) has fallen: what is available to the host as a whole, others change too.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::contest::milliseconds;
use super::{Wishes, folder, hotcell};
use crate::command::{Result, title};
use crate::packages;

/// Rounds when nothing is said.
const RUNS: usize = 10;

/// From the event to the last death.
const DEATH_PROMISE_MS: f64 = 100.0;
/// From the event until the memory is free, for each 4 GiB.
const MEMORY_PROMISE_MS: f64 = 1000.0;

/// Workers that sleep, ignore signals, have left their session; and two that work.
const MANY: &str = "i=0; while [ $i -lt 40 ]; do (trap '' INT TERM HUP; setsid sh -c 'echo > /scratch/$0; exec sleep 600' $i &); \
                    i=$((i+1)); done; yes > /dev/null & yes > /dev/null & \
                    while [ $(ls /scratch | wc -l) -lt 40 ]; do sleep 0.01; done; echo ready; exec sleep 600";

/// What ends a task.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// The signal of Ctrl-C, sent when it is at work.
    Interruption,
    /// Its time limit, which begins when it does: one second.
    TimeLimit,
}

/// One kind of task, and what ends it.
struct Case {
    name: &'static str,
    by: By,
    options: &'static [&'static str],
    script: &'static str,
    /// Memory that it has taken, in GiB.
    gib: f64,
    /// Of that, by files.
    in_files_gib: f64,
}

const CASES: &[Case] = &[
    Case {
        name: "Ctrl-C, 42 processes",
        by: By::Interruption,
        options: &[],
        script: MANY,
        gib: 0.0,
        in_files_gib: 0.0,
    },
    Case {
        name: "Ctrl-C, encrypted scratch",
        by: By::Interruption,
        options: &["--profile", "encrypted.toml"],
        script: MANY,
        gib: 0.0,
        in_files_gib: 0.0,
    },
    Case {
        name: "time limit",
        by: By::TimeLimit,
        options: &["--limit", "wall=1s"],
        script: "echo ready; (trap '' INT TERM; sleep 600) & yes > /dev/null",
        gib: 0.0,
        in_files_gib: 0.0,
    },
    Case {
        name: "Ctrl-C, 4 GiB of memory",
        by: By::Interruption,
        options: &["--limit", "memory=5GiB"],
        script: "exec python3 -c 'import time; x = b\"x\" * (4 << 30); print(\"ready\", flush=True); time.sleep(600)'",
        gib: 4.0,
        in_files_gib: 0.0,
    },
    Case {
        name: "Ctrl-C, 4 GiB of scratch",
        by: By::Interruption,
        options: &["--limit", "memory=6GiB", "--limit", "scratch=4GiB", "--limit", "file_size=5GiB"],
        script: "head -c 4200000000 /dev/zero > /scratch/file; echo ready; exec sleep 600",
        gib: 3.9,
        in_files_gib: 3.9,
    },
    // Only a write as large as a large page gets one.
    Case {
        name: "Ctrl-C, the same by 2 MiB",
        by: By::Interruption,
        options: &["--limit", "memory=6GiB", "--limit", "scratch=4GiB", "--limit", "file_size=5GiB"],
        script: "dd if=/dev/zero of=/scratch/file bs=2M count=2000 2> /dev/null; echo ready; exec sleep 600",
        gib: 3.9,
        in_files_gib: 3.9,
    },
];

/// Runs all cases.
pub(crate) fn run(wishes: &Wishes) -> Result {
    packages::provide(packages::SCRATCH);
    let folder = folder("ends")?;
    let binary = hotcell::binary()?;
    fs::write(
        folder.join("encrypted.toml"),
        "name = \"encrypted\"\nextends = \"strict\"\n[scratch]\nkind = \"encrypted\"\n",
    )?;
    let runs = wishes.runs.unwrap_or(RUNS);
    title(&format!("ends, {runs} rounds"));
    let mut table = Vec::new();
    for case in CASES {
        let mut seen = Vec::new();
        for _ in 0..runs {
            seen.push(case.once(&binary, &folder)?);
        }
        let line = |take: fn(&Seen) -> Duration| spread(seen.iter().map(take).collect());
        let (dead, over, free) = (line(|seen| seen.dead), line(|seen| seen.over), line(|seen| seen.free));
        if !wishes.json {
            print!(
                "{:<28} all dead {:>6.1} / {:>6.1} ms   over {:>6.1} / {:>6.1} ms",
                case.name, dead.0, dead.1, over.0, over.1
            );
            match case.gib > 0.0 {
                true => println!("   memory free {:>6.1} / {:>6.1} ms", free.0, free.1),
                false => println!(),
            }
        }
        table.push(
            json!({"name": case.name, "dead_ms": dead, "over_ms": over, "memory_free_ms": free, "gib": case.gib}),
        );
    }
    match wishes.json {
        true => println!("{}", json!({"benchmark": "ends", "cases": table})),
        false => println!(
            "median / worst; promised: all dead within {DEATH_PROMISE_MS} ms, memory free within {MEMORY_PROMISE_MS} ms for each 4 GiB"
        ),
    }
    Ok(())
}

/// Times from the event on.
struct Seen {
    /// All processes of the sandbox are dead, its server too.
    dead: Duration,
    /// Hotcell itself has ended: receipt, log and all.
    over: Duration,
    /// The memory is the host's again.
    free: Duration,
}

impl Case {
    fn once(&self, binary: &Path, folder: &Path) -> Result<Seen> {
        let mut command = hotcell::run_command(binary, &folder.join("state"));
        command.args(self.options).args(["--", "/bin/sh", "-c", self.script]).current_dir(folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let begun = Instant::now();
        if line != "ready\n" {
            return Err(format!("{}: {line}{}", self.name, said(&mut child)?).into());
        }
        let family = family(child.id());
        // What others have of it is not the point: an eighth of it is left to them.
        let enough = in_files_kib()?.saturating_sub((self.in_files_gib * f64::from(1 << 20) * 7.0 / 8.0) as u64);
        let event = match self.by {
            By::Interruption => {
                let event = Instant::now();
                let id = child.id().to_string();
                let sent = Command::new("kill").args(["-TERM", &id]).status()?;
                if !sent.success() {
                    return Err(format!("{}: it ended by itself", self.name).into());
                }
                event
            }
            By::TimeLimit => begun + Duration::from_secs(1),
        };
        let (mut dead, mut over, mut free) = (None, None, None);
        while dead.is_none() || over.is_none() || free.is_none() {
            if dead.is_none() && family.iter().all(|id| is_dead(*id)) {
                dead = Some(event.elapsed());
            }
            if over.is_none() && child.try_wait()?.is_some() {
                over = Some(event.elapsed());
            }
            let is_free = || Ok::<_, Box<dyn std::error::Error>>(self.in_files_gib == 0.0 || in_files_kib()? <= enough);
            if free.is_none() && family.iter().all(|id| is_gone(*id)) && is_free()? {
                free = Some(event.elapsed());
            }
            if event.elapsed() > Duration::from_secs(60) {
                return Err(format!("{}: it has not ended after a minute", self.name).into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let (Some(dead), Some(over), Some(free)) = (dead, over, free) else { return Err("not seen".into()) };
        Ok(Seen { dead, over, free })
    }
}

/// Median and worst, in milliseconds.
fn spread(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |place: usize| times.get(place).copied().map_or(0.0, milliseconds);
    (at(times.len() / 2), at(times.len().saturating_sub(1)))
}

fn said(child: &mut Child) -> Result<String> {
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut text)?;
    }
    Ok(text)
}

/// What descends from a process.
fn family(of: u32) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    let mut open = vec![of];
    while let Some(id) = open.pop() {
        for task in fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            open.extend(
                children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()).filter(|id| all.insert(*id)),
            );
        }
    }
    all
}

/// Gone, nothing but a status that somebody has to fetch, or exiting, which no process comes back from.
fn is_dead(id: u32) -> bool {
    const EXITING: u64 = 4;
    let Some(fields) = fields(id) else { return true };
    let flags = fields.split(' ').nth(6).and_then(|flags| flags.parse::<u64>().ok()).unwrap_or(0);
    is_ended(&fields) || flags & EXITING != 0
}

/// Gone, or nothing but a status: it has no memory any more.
fn is_gone(id: u32) -> bool {
    fields(id).is_none_or(|fields| is_ended(&fields))
}

fn is_ended(fields: &str) -> bool {
    fields.starts_with(['Z', 'X'])
}

/// What the kernel tells of a process, from its state on.
fn fields(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}

/// Memory that files in memory take.
fn in_files_kib() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Shmem:")).ok_or("no Shmem")?;
    Ok(line.split_whitespace().next().unwrap_or("").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_worst_are_told() {
        let times = [5, 1, 3].map(Duration::from_millis).to_vec();
        assert_eq!(spread(times), (3.0, 5.0));
    }

    #[test]
    fn a_process_that_is_there_is_not_dead_and_one_that_is_not_is() {
        assert!(!is_dead(std::process::id()));
        assert!(is_dead(u32::MAX));
    }
}
