//! The log's figures, as JSON: `cargo run --release -p hotcell-audit --example bench -- DIR [ENTRIES] [SECONDS]`.
//!
//! Durable appends of one event each by 64 threads of one process, and by 8 processes of 8 threads; in a log of that many
//! entries: opening, a proof, verification. A bare sync of an equally large append stands beside them.
//! `xtask bench audit` runs it beside SQLite.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hotcell_audit::{Durability, Log, Origin, verify};
use hotcell_crypto::SigningKey;
use hotcell_types::{Event, EventKind, TaskId, Timestamp};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const THREADS: usize = 64;
const PROCESSES: usize = 8;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = arguments.first().ok_or("name a folder on a real disk")?;
    if let Some(key) = arguments.get(1).and_then(|word| word.strip_prefix("key=")) {
        return one_of_many(Path::new(dir), key, arguments.get(2).ok_or("for how long?")?.parse()?);
    }
    let entries: u64 = arguments.get(1).map_or("1000000", String::as_str).parse()?;
    let seconds: u64 = arguments.get(2).map_or("3", String::as_str).parse()?;
    let dir = Path::new(dir).join("audit-bench");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let mut figures = vec![("bare sync p50 us", percentile(&mut bare(&dir)?, 50))];
    let key = SigningKey::generate().expose_text().to_string();
    let limit = Duration::from_secs(seconds);

    let mut times = by_threads(&open(&dir.join("threads"), &key)?, THREADS, limit)?;
    figures.push(("appends/s, 64 threads", times.len() as f64 / limit.as_secs_f64()));
    figures.push(("p50 us, 64 threads", percentile(&mut times, 50)));
    figures.push(("p99 us, 64 threads", percentile(&mut times, 99)));
    let mut times = by_processes(&dir.join("processes"), &key, seconds)?;
    figures.push(("appends/s, 8 processes of 8 threads", times.len() as f64 / limit.as_secs_f64()));
    figures.push(("p99 us, 8 processes of 8 threads", percentile(&mut times, 99)));
    let mut times = by_threads(&open(&dir.join("one"), &key)?, 1, limit)?;
    figures.push(("appends/s, 1 thread", times.len() as f64 / limit.as_secs_f64()));
    figures.push(("p99 us, 1 thread", percentile(&mut times, 99)));
    figures.push(("bare sync p50 us, again", percentile(&mut bare(&dir)?, 50)));
    figures.push(("bare sync p99 us, again", percentile(&mut bare(&dir)?, 99)));

    large(&dir.join("large"), &key, entries, &mut figures)?;
    fs::remove_dir_all(&dir)?;
    let figures: serde_json::Map<String, serde_json::Value> =
        figures.into_iter().map(|(name, figure)| (name.to_owned(), figure.into())).collect();
    println!("{}", serde_json::to_string_pretty(&figures)?);
    Ok(())
}

fn open(dir: &Path, key: &str) -> Result<Log, Failure> {
    Ok(Log::open(dir, SigningKey::from_text(key)?, Origin::parse("example.org/bench")?)?)
}

fn event(number: u64) -> Event {
    Event::of_task(Timestamp(number), TaskId::from_bytes([1; 10]), EventKind::OutputInspected)
        .with("file", "scores.csv")
        .with("rows", number)
        .with("verdict", "canonical")
}

/// A sync of an append of a usual length.
fn bare(dir: &Path) -> Result<Vec<Duration>, Failure> {
    let mut file = File::create(dir.join("bare"))?;
    let mut times = Vec::new();
    for _ in 0..500 {
        file.write_all(&[b'x'; 200])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

fn by_threads(log: &Log, threads: usize, limit: Duration) -> Result<Vec<Duration>, Failure> {
    let began = Instant::now();
    let run = || -> Result<Vec<Duration>, Failure> {
        let mut times = Vec::new();
        while began.elapsed() < limit {
            let asked = Instant::now();
            log.append(&[event(times.len() as u64)], Durability::Durable)?;
            times.push(asked.elapsed());
        }
        Ok(times)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.append(&mut thread.join().map_err(|_| "a thread died")??);
        }
        Ok(all)
    })
}

fn by_processes(dir: &Path, key: &str, seconds: u64) -> Result<Vec<Duration>, Failure> {
    drop(open(dir, key)?);
    let start = || {
        Command::new(std::env::current_exe()?)
            .arg(dir)
            .args([format!("key={key}"), seconds.to_string()])
            .stdout(Stdio::piped())
            .spawn()
    };
    let children: Vec<_> = (0..PROCESSES).map(|_| start()).collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for child in children {
        let output = child.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        for line in text.lines() {
            all.push(Duration::from_nanos(line.parse()?));
        }
    }
    Ok(all)
}

fn one_of_many(dir: &Path, key: &str, seconds: u64) -> Result<(), Failure> {
    let times = by_threads(&open(dir, key)?, THREADS / PROCESSES, Duration::from_secs(seconds))?;
    let text: String = times.iter().map(|time| format!("{}\n", time.as_nanos())).collect();
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn large(dir: &Path, key: &str, entries: u64, figures: &mut Vec<(&'static str, f64)>) -> Result<(), Failure> {
    let log = open(dir, key)?;
    for start in (0..entries).step_by(10_000) {
        let events: Vec<_> = (start..(start + 10_000).min(entries)).map(event).collect();
        log.append(&events, Durability::Lazy)?;
    }
    let at = log.append(&[event(entries)], Durability::Durable)?;
    log.checkpoint(&at)?;
    drop(log);
    let mut opening = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        drop(open(dir, key)?);
        opening.push(began.elapsed());
    }
    let log = open(dir, key)?;
    let mut proving = Vec::new();
    for round in 0..500u64 {
        let index = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % at.size();
        let began = Instant::now();
        log.inclusion_proof(index, &at)?;
        proving.push(began.elapsed());
    }
    let began = Instant::now();
    verify(dir, &SigningKey::from_text(key)?.verifying())?;
    let verifying = began.elapsed();
    fs::remove_file(dir.join("head"))?;
    let began = Instant::now();
    drop(open(dir, key)?);
    let rebuilding = began.elapsed();
    figures.push(("entries of the large log", at.size() as f64));
    figures.push(("open p50 us", percentile(&mut opening, 50)));
    figures.push(("open p99 us", percentile(&mut opening, 99)));
    figures.push(("open without the head file, s", rebuilding.as_secs_f64()));
    figures.push(("proof p50 us", percentile(&mut proving, 50)));
    figures.push(("proof p99 us", percentile(&mut proving, 99)));
    figures.push(("verified events/s", at.size() as f64 / verifying.as_secs_f64()));
    Ok(())
}

fn percentile(times: &mut [Duration], part: usize) -> f64 {
    times.sort_unstable();
    times.get(times.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e6
}
