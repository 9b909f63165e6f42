//! The scanner: how fast it looks at clean text, and what it finds in labelled documents beside Presidio's patterns.
//!
//! Documents are written by `inspect/labelled.py` from a seed that no detector was tuned on. Python's packages go into a
//! folder of the benchmark; where no registry can be reached, what needs them is told as not measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Wishes, folder};
use crate::command::{Result, cargo, read, root, title};

/// Documents when nothing is said.
const DOCUMENTS: usize = 3000;
/// The seed that is only scored. Detectors are tuned on seed 1.
const HELD_OUT_SEED: &str = "20261";
/// Python's packages, with the versions that the figures were taken with.
const PACKAGES: &[&str] = &["Faker==40.63.0", "presidio-analyzer==2.2.366"];

/// Runs all parts that can be.
pub(crate) fn run(wishes: &Wishes) -> Result {
    let folder = folder("inspect")?;
    let scripts = root().join("xtask/src/bench/inspect");
    let documents = python(&folder).and_then(|python| {
        let documents = folder.join("held-out");
        let _ = fs::remove_dir_all(&documents);
        title("labelled documents");
        let count = wishes.runs.unwrap_or(DOCUMENTS).to_string();
        read(Command::new(&python).arg(scripts.join("labelled.py")).arg(&documents).args([HELD_OUT_SEED, &count]))?;
        Ok((python, documents))
    });
    title("the scanner: clean text, one after the other by plain patterns, labelled documents");
    let mut example = cargo("run");
    example.args(["--quiet", "--release", "--package", "hotcell-inspect", "--example", "scan_speed"]);
    if let Ok((_, documents)) = &documents {
        example.arg("--").arg(documents);
    }
    let ours: Value = serde_json::from_str(read(&mut example)?.trim())?;
    let theirs = documents.and_then(|(python, documents)| {
        title("Presidio's pattern recognisers");
        let said = read(Command::new(python).arg(scripts.join("presidio.py")).arg(&documents))?;
        presidio(&documents, &said)
    });
    if wishes.json {
        let theirs = theirs.unwrap_or_else(|error| json!({"not_measured": error.to_string()}));
        println!("{}", json!({"benchmark": "inspect", "hotcell": ours, "presidio": theirs}));
    } else {
        show(&ours, theirs);
    }
    Ok(())
}

/// Python with the packages, in the benchmark's own folder.
fn python(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    if !venv.join("ready").exists() {
        title("Python's packages");
        read(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        read(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
        fs::write(venv.join("ready"), "")?;
    }
    Ok(python)
}

/// What was found of a kind: as labelled, what is none, and what was missed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    right: usize,
    wrong: usize,
    missed: usize,
}

/// A kind and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: String,
    start: u64,
    end: u64,
}

fn place(value: &Value) -> Place {
    let number = |key: &str| value[key].as_u64().unwrap_or(0);
    Place { kind: value["kind"].as_str().unwrap_or_default().to_owned(), start: number("start"), end: number("end") }
}

/// Holds Presidio's findings against the labels, of those kinds that it knows; its last line is the time.
fn presidio(documents: &Path, said: &str) -> Result<Value> {
    let mut lines = said.lines().map(serde_json::from_str::<Value>).collect::<std::result::Result<Vec<_>, _>>()?;
    let last = lines.pop().ok_or("presidio.py printed nothing")?;
    let mut found: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for line in &lines {
        found.entry(line["path"].as_str().unwrap_or_default().to_owned()).or_default().push(place(line));
    }
    let known: Vec<String> =
        last["kinds"].as_array().into_iter().flatten().filter_map(|kind| Some(kind.as_str()?.to_owned())).collect();
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(documents.join("labels.jsonl"))?.lines() {
        let document: Value = serde_json::from_str(line)?;
        let labels = document["labels"].as_array().into_iter().flatten().map(place);
        let labels = labels.filter(|label| known.contains(&label.kind)).collect();
        score(&mut counts, labels, found.remove(document["path"].as_str().unwrap_or_default()).unwrap_or_default());
    }
    let speed = last["bytes"].as_f64().unwrap_or(0.0) / 1e6 / last["seconds"].as_f64().unwrap_or(f64::NAN);
    let counts: serde_json::Map<_, _> = counts.into_iter().map(|(kind, count)| (kind, figures(count))).collect();
    Ok(json!({"text_mb_per_s": speed, "recognisers": last["recognisers"], "labelled": counts}))
}

fn score(counts: &mut BTreeMap<String, Count>, mut labels: Vec<Place>, found: Vec<Place>) {
    for finding in found {
        let fits = |label: &Place| label.kind == finding.kind && label.start < finding.end && finding.start < label.end;
        let count = counts.entry(finding.kind.clone()).or_default();
        match labels.iter().position(fits) {
            Some(at) => {
                labels.remove(at);
                count.right += 1;
            }
            None => count.wrong += 1,
        }
    }
    for label in labels {
        counts.entry(label.kind).or_default().missed += 1;
    }
}

fn figures(count: Count) -> Value {
    let Count { right, wrong, missed } = count;
    let share = |of: usize| (of > 0).then(|| right as f64 / of as f64);
    json!({
        "precision": share(right + wrong), "recall": share(right + missed),
        "right": right, "wrong": wrong, "missed": missed,
    })
}

fn show(ours: &Value, theirs: Result<Value>) {
    let number = |value: &Value| value.as_f64().map_or("-".to_owned(), |number| format!("{number:.1}"));
    println!("clean mixed text, {} detectors: {} MB/s on one core", ours["detectors"], number(&ours["text_mb_per_s"]));
    let plain = &ours["one_after_the_other"];
    println!("{} patterns, one after the other: {} MB/s", plain["patterns"], number(&plain["text_mb_per_s"]));
    let body = ours["body_ms"].as_f64().map_or("-".to_owned(), |ms| format!("{ms:.3}"));
    println!("a body of 10 KB: {body} ms");
    let theirs = match theirs {
        Ok(theirs) => {
            println!(
                "Presidio, {} pattern recognisers: {} MB/s",
                theirs["recognisers"],
                number(&theirs["text_mb_per_s"])
            );
            theirs
        }
        Err(reason) => {
            println!("Presidio: not measured: {reason}");
            Value::Null
        }
    };
    let Some(kinds) = ours["labelled"].as_object() else {
        println!("labelled documents: not measured: they could not be written");
        return;
    };
    println!("{:<20} {:>10} {:>10} {:>12} {:>12}", "", "precision", "recall", "Presidio's", "recall");
    for (kind, own) in kinds {
        let other = &theirs["labelled"][kind];
        let [a, b, c, d] = [&own["precision"], &own["recall"], &other["precision"], &other["recall"]]
            .map(|share| share.as_f64().map_or("-".to_owned(), |share| format!("{share:.4}")));
        println!("{kind:<20} {a:>10} {b:>10} {c:>12} {d:>12}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_counts_once_and_what_fits_none_is_wrong() {
        let at = |kind: &str, start, end| Place { kind: kind.to_owned(), start, end };
        let mut counts = BTreeMap::new();
        let labels = vec![at("iban", 0, 10), at("email", 20, 30)];
        score(&mut counts, labels, vec![at("iban", 5, 12), at("iban", 6, 8), at("phone", 20, 30)]);
        assert_eq!(counts["iban"], Count { right: 1, wrong: 1, missed: 0 });
        assert_eq!(counts["phone"], Count { right: 0, wrong: 1, missed: 0 });
        assert_eq!(counts["email"], Count { right: 0, wrong: 0, missed: 1 });
    }
}
