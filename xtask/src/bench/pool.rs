//! Shells that wait, as a long-lived service uses them: whole tasks in one process that claims from a pool of its own.
//!
//! The same program without a pool stands beside it, and the same with its state in memory, where a durable write costs
//! nothing. The workload is a static program that prints a line; beside it a dynamic one.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Wishes, folder};
use crate::command::{Result, cargo, read, title};

/// Tasks of each part when nothing is said.
const TASKS: usize = 200;

const STATIC: &[&str] = &["/sbin/ldconfig", "--version"];
const DYNAMIC: &[&str] = &["/bin/echo", "ready"];

/// Runs each part.
pub(crate) fn run(wishes: &Wishes) -> Result {
    let tasks = wishes.runs.unwrap_or(TASKS);
    let disk = folder("pool")?.join("state");
    let memory = Path::new("/dev/shm").join(format!("hotcell-bench-{}", std::process::id()));
    title(&format!("whole tasks from a pool, {tasks} each"));
    let parts = [
        ("pool of 8, one at a time", &disk, 8, 1, STATIC),
        ("no pool, one at a time", &disk, 0, 1, STATIC),
        ("pool of 8, dynamic program", &disk, 8, 1, DYNAMIC),
        ("pool of 8, state in memory", &memory, 8, 1, STATIC),
        ("pool of 16, two at a time", &disk, 16, 2, STATIC),
    ];
    let mut results = Vec::new();
    for (name, state, size, at_once, command) in parts {
        let mut bench = cargo("bench");
        bench.args(["--quiet", "--package", "hotcell-task", "--bench", "pool", "--", "--state"]).arg(state);
        bench.args(["--tasks", &tasks.to_string(), "--pool", &size.to_string(), "--at-once", &at_once.to_string()]);
        bench.arg("--").args(command);
        results.push((name, measured(&mut bench)?));
    }
    let _ = std::fs::remove_dir_all(&memory);
    show(wishes, &results);
    Ok(())
}

/// The last line is the report.
fn measured(bench: &mut Command) -> Result<Value> {
    let said = read(bench)?;
    Ok(serde_json::from_str(said.lines().last().unwrap_or_default())?)
}

fn show(wishes: &Wishes, results: &[(&str, Value)]) {
    if wishes.json {
        let parts: Vec<_> = results.iter().map(|(name, report)| json!({"name": name, "report": report})).collect();
        println!("{}", json!({"benchmark": "pool", "parts": parts}));
        return;
    }
    println!(
        "{:<28} {:>22} {:>22} {:>22} {:>9}",
        "p50 / p99, ms", "claim to first byte", "request to first byte", "request to receipt", "a second"
    );
    for (name, report) in results {
        let times = ["claim_to_first_byte", "request_to_first_byte", "request_to_receipt"].map(|which| {
            let at = |percent: &str| report[which][percent].as_f64().unwrap_or(f64::NAN);
            format!("{:.2} / {:.2}", at("p50_ms"), at("p99_ms"))
        });
        let [claim, request, whole] = times;
        let rate = report["per_second"].as_f64().unwrap_or(f64::NAN);
        println!("{name:<28} {claim:>22} {request:>22} {whole:>22} {rate:>9.0}");
    }
    let walls = results.first().map_or(0, |(_, report)| report["observations"].as_u64().unwrap_or(0));
    println!("{walls} observations of walls hold in each task; policy, preflight, events, two durable waits, receipt");
}
