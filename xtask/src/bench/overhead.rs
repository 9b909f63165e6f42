//! Scoring a million rows inside a sandbox, beside the same runner on the same rows outside.
//!
//! Compared is the step `run` of the task with the whole of the runner outside, model loading
//! included in both; the start of the sandbox, inspection and receipt are shown apart.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::contest::{Times, milliseconds, timed};
use super::{Wishes, folder, hotcell};
use crate::command::{Result, root, title};

/// Rounds when nothing is said.
const RUNS: usize = 5;

/// Rows scored in each.
const ROWS: usize = 1_000_000;

/// What inside may cost, as a ratio to outside.
const PROMISE: f64 = 1.05;

/// Runs both in turns.
pub(crate) fn run(wishes: &Wishes) -> Result {
    let place = Place::make(&folder("overhead")?)?;
    let binary = hotcell::binary()?;
    let runs = wishes.runs.unwrap_or(RUNS);
    title(&format!("scoring {ROWS} rows, {runs} rounds"));
    let (mut outside, mut inside, mut whole, mut walls) = (Vec::new(), Vec::new(), Vec::new(), String::new());
    for _ in 0..runs {
        place.clear()?;
        outside.push(timed(&mut place.outside(&binary))?);
        let begin = Instant::now();
        let report = hotcell::report(&mut place.inside(&binary))?;
        whole.push(begin.elapsed());
        inside.push(step(&report, "run")?);
        walls = hotcell::walls(&report)?;
    }
    fs::remove_dir_all(&place.folder)?;
    show(wishes, &walls, [outside, inside, whole].map(Times::new));
    Ok(())
}

fn show(wishes: &Wishes, walls: &str, times: [Times; 3]) {
    let [outside, inside, whole] = times.map(|times| milliseconds(times.median()));
    let ratio = inside / outside;
    if wishes.json {
        let medians = json!({"outside_ms": outside, "inside_ms": inside, "whole_task_ms": whole});
        println!(
            "{}",
            json!({"benchmark": "overhead", "rows": ROWS, "walls": walls, "medians": medians, "ratio": ratio})
        );
        return;
    }
    println!("runner outside              {outside:>9.1} ms");
    println!("runner inside (step `run`)  {inside:>9.1} ms   ratio {ratio:.3}, promised {PROMISE}   {walls}");
    println!("whole task inside           {whole:>9.1} ms   with start, inspection, log, receipt");
}

/// The time of one step, in milliseconds, from a report.
fn step(report: &Value, name: &str) -> Result<Duration> {
    let time = hotcell::find(report, "timings").and_then(|timings| timings[name].as_f64());
    let time = time.filter(|time| time.is_finite() && *time > 0.0);
    Ok(Duration::from_secs_f64(time.ok_or_else(|| format!("the report has no time of the step `{name}`"))? / 1e3))
}

struct Place {
    folder: PathBuf,
    rows: PathBuf,
    model: PathBuf,
}

impl Place {
    fn make(folder: &Path) -> Result<Self> {
        let example = root().join("examples/biopsy");
        let rows = folder.join("rows.csv");
        repeat(&fs::read_to_string(example.join("patients.csv"))?, &rows)?;
        Ok(Self { folder: folder.to_owned(), rows, model: example.join("model.onnx") })
    }

    fn output(&self) -> PathBuf {
        self.folder.join("output")
    }

    fn clear(&self) -> Result {
        if self.output().exists() {
            fs::remove_dir_all(self.output())?;
        }
        // The runner overwrites nothing.
        let outside = self.folder.join("outside.csv");
        if outside.exists() {
            fs::remove_file(outside)?;
        }
        Ok(())
    }

    fn outside(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.arg0("hotcell-runner").arg("--model").arg(&self.model).arg("--input").arg(&self.rows);
        command.arg("--output").arg(self.folder.join("outside.csv"));
        command.arg("--threads").arg(threads().to_string());
        command
    }

    fn inside(&self, binary: &Path) -> Command {
        let mut input = std::ffi::OsString::from("data=");
        input.push(&self.rows);
        let mut command = hotcell::run_command(binary, &self.folder.join("state"));
        command.arg("--json").arg("--model").arg(&self.model).arg("--input").arg(input);
        command.arg("--output").arg(self.output());
        command
    }
}

/// As many as the profile `strict` grants and the host has: what the runner is given inside.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(2)
}

/// Writes a table's rows over and over, with keys counted up so that each stays unique.
fn repeat(table: &str, to: &Path) -> Result {
    let (head, rows) = table.split_once('\n').ok_or("the example has no rows")?;
    let rows: Vec<&str> = rows.lines().filter_map(|row| Some(row.split_once(',')?.1)).collect();
    if rows.is_empty() {
        return Err("the example has no rows".into());
    }
    let mut file = BufWriter::with_capacity(1 << 20, File::create(to)?);
    writeln!(file, "{head}")?;
    for (key, row) in rows.iter().cycle().take(ROWS).enumerate() {
        writeln!(file, "P{key:07},{row}")?;
    }
    file.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_step_is_read_or_missed_never_made_up() {
        let time = step(&json!({"receipt": {}, "timings": {"run": 1500.0}}), "run").unwrap();
        assert_eq!(time, Duration::from_millis(1500));
        for report in
            [json!({}), json!({"timings": {}}), json!({"timings": {"run": "1"}}), json!({"timings": {"run": 0}})]
        {
            assert!(step(&report, "run").is_err(), "{report}");
        }
    }
}
