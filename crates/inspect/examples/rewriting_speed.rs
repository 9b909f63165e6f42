//! Measures how fast tables are rewritten: `cargo run --release -p hotcell-inspect --example rewriting_speed`.

use std::error::Error;
use std::time::Instant;

use hotcell_inspect::{Format, InputKeys, KeySet, OutputSchema, canonicalize};

const ROWS: u32 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let input: String =
        std::iter::once("patient\n".to_owned()).chain((0..ROWS).map(|row| format!("P{row:07}\n"))).collect();
    let begun = Instant::now();
    let keys = KeySet::read_column(Format::Csv, input.as_bytes(), "patient")?;
    println!("keys of the input      {:>6.2} M rows/s", speed(begun));
    let keys = InputKeys::from([("data.patient".to_owned(), keys)]);

    for (format, shuffled) in [("csv", false), ("csv", true), ("jsonl", false), ("jsonl", true)] {
        let schema: OutputSchema = serde_json::from_str(&format!(
            r#"[{{"file":"s.{format}","format":"{format}","rows":"one-per-key","order":"as-input","column":[
                {{"name":"patient","type":"key","from":"data.patient"}},
                {{"name":"probability","type":"decimal","min":0,"max":1,"precision":3}},
                {{"name":"malignant","type":"integer","min":0,"max":1}}]}}]"#
        ))?;
        let schema = schema.check()?;
        let file = schema.files().first().ok_or("no file")?;
        let table = table(format, shuffled);
        let begun = Instant::now();
        let canonical = canonicalize(file, &keys, table.as_bytes(), std::io::sink())?;
        let order = if shuffled { "shuffled" } else { "in order" };
        println!("{format:<5} {order}         {:>6.2} M rows/s, {}", speed(begun), canonical.capacity);
    }
    Ok(())
}

fn table(format: &str, shuffled: bool) -> String {
    let mut table = if format == "csv" { "patient,probability,malignant\n".to_owned() } else { String::new() };
    for row in 0..ROWS {
        // An odd factor walks through all rows modulo a power of ten.
        let key = if shuffled { (u64::from(row) * 382_857 % u64::from(ROWS)) as u32 } else { row };
        let (score, label) = (f64::from(key) / f64::from(ROWS), key % 2);
        table.push_str(&match format {
            "csv" => format!("P{key:07},{score},{label}\n"),
            _ => format!("{{\"patient\":\"P{key:07}\",\"probability\":{score},\"malignant\":{label}}}\n"),
        });
    }
    table
}

fn speed(begun: Instant) -> f64 {
    f64::from(ROWS) / 1e6 / begun.elapsed().as_secs_f64()
}
