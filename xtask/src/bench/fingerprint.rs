//! Fingerprints: speed, size of the index, which leaks are recognised in which encodings, false alarms.

use serde_json::Value;

use super::Wishes;
use crate::command::{self, Result, cargo};

/// Real text that has nothing to do with what is indexed.
const UNRELATED: &[&str] = &["/usr/share/doc", "/usr/share/perl", "/usr/share/info"];

/// `cargo xtask bench fingerprint`.
pub(super) fn run(wishes: &Wishes) -> Result {
    if command::program("brotli").is_none() {
        println!("without the program `brotli` its row is missing");
    }
    let mut example = cargo("run");
    example.args(["--quiet", "--release", "-p", "hotcell-inspect", "--example", "fingerprint", "--"]).args(UNRELATED);
    let text = command::read(&mut example)?;
    if wishes.json {
        println!("{}", text.trim());
        return Ok(());
    }
    let figures: Value = serde_json::from_str(&text)?;
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    println!("recognises {:.0} MB/s per core", number(&figures["recognises_mb_per_s"]));
    println!("through encodings, no detectors {:.0} MB/s per core", number(&figures["through_encodings_mb_per_s"]));
    for size in figures["sizes"].as_array().into_iter().flatten() {
        println!(
            "from {} bytes: index {:.1}% of the inputs, records {:.1}% of their table, built at {:.0} MB/s",
            size["from_bytes"],
            100.0 * number(&size["stretch_share"]),
            100.0 * number(&size["record_share"]),
            number(&size["build_mb_per_s"]),
        );
    }
    println!("\n| leak | outer encoding | recognised in inner encodings |\n|---|---|---|");
    for cell in figures["matrix"].as_array().into_iter().flatten() {
        let word = |name: &str| cell[name].as_str().unwrap_or_default().to_owned();
        println!("| {} | {} | {} of {} |", word("kind"), word("outer"), cell["found"], cell["of"]);
    }
    println!("\nfalse alarms: {}", figures["false_alarms"]);
    Ok(())
}
