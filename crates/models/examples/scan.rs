//! Looks at files and says what they are, or why they are refused.

use std::path::Path;

use hotcell_models::scan::{list, scan_file};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for model in std::env::args().skip(1) {
        for file in list(Path::new(&model))? {
            let report = scan_file(&file.path, &file.name)?;
            println!("{model} {}: {:?}", file.name, report.kind);
            for refusal in report.refused {
                println!("  {}: {}: {}", refusal.kind, refusal.place, refusal.reason);
            }
        }
    }
    Ok(())
}
