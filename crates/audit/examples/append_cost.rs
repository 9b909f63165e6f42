//! What a task costs in the log: `cargo run --release -p hotcell-audit --example append_cost -- DIR [ENTRIES]`.
//!
//! In a log of that many entries: opening, six lazy and two durable appends and a receipt's checkpoint and
//! proof, beside two bare syncs of an equally large append on the same disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hotcell_audit::{Durability, Log, Origin};
use hotcell_crypto::SigningKey;
use hotcell_types::{Event, EventKind, TaskId, Timestamp};

const ROUNDS: usize = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("name a folder on a real disk")?;
    let entries: u64 = arguments.next().as_deref().unwrap_or("10000").parse()?;
    let dir = Path::new(&dir).join("append-cost");
    fs::create_dir_all(&dir)?;
    let text = SigningKey::generate().expose_text();
    let origin = Origin::parse("example.org/measure")?;
    let event = |n: u64| {
        Event::of_task(Timestamp(n), TaskId::from_bytes([1; 10]), EventKind::OutputInspected)
            .with("number", n)
            .with("filler", "x".repeat(250))
    };
    let log = Log::open(&dir, SigningKey::from_text(&text)?, origin.clone())?;
    for start in (0..entries).step_by(1000) {
        log.append(&(start..(start + 1000).min(entries)).map(event).collect::<Vec<_>>(), Durability::Lazy)?;
    }
    log.append(&[event(0)], Durability::Durable)?;
    drop(log);

    let mut plain = File::create(dir.join("plain"))?;
    let (mut opening, mut whole, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let began = Instant::now();
        let log = Log::open(&dir, SigningKey::from_text(&text)?, origin.clone())?;
        opening.push(began.elapsed());
        for n in 0..3 {
            log.append(&[event(n)], Durability::Lazy)?;
        }
        log.append(&[event(round)], Durability::Durable)?;
        for n in 0..3 {
            log.append(&[event(n)], Durability::Lazy)?;
        }
        let at = log.append(&[event(round)], Durability::Durable)?;
        log.inclusion_proof(at.first(), &at)?;
        log.checkpoint(&at)?;
        whole.push(began.elapsed());
        let began = Instant::now();
        for _ in 0..2 {
            plain.write_all(&[b'x'; 1600])?;
            plain.sync_data()?;
        }
        bare.push(began.elapsed());
    }
    fs::remove_dir_all(&dir)?;
    for (name, mut times) in [("open", opening), ("a task", whole), ("two bare syncs", bare)] {
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(Duration::ZERO);
        println!("{name}: p10 {:?}, p50 {:?}, p95 {:?}", at(10), at(50), at(95));
    }
    Ok(())
}
