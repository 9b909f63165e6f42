//! The runner by hand, outside any sandbox:
//! `cargo run --release -p hotcell-models --example score -- --model M.onnx --input T.csv --output S.csv`

use hotcell_models::{RunnerArgs, runner_main};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = RunnerArgs::from_args(std::env::args_os().skip(1))?;
    let report = runner_main(&args, &mut std::io::sink())?;
    println!("{} rows of {} features", report.rows, report.features);
    Ok(())
}
