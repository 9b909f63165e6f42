//! The `hotcell` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hotcell_isolate::Host;
use hotcell_types::{Enforcement, Exit};

/// Run models and code you do not trust on data you must not leak.
#[derive(Parser)]
#[command(name = "hotcell", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell which controls this host can enforce, and how to get the others.
    ///
    /// Exits with 0 when every control can be had in full, else with 1.
    Doctor {
        /// Print the controls as JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let Command::Doctor { json } = Arguments::parse().command;
    match doctor(json) {
        Ok(exit) => exit.status().into(),
        Err(error) => {
            eprintln!("hotcell: cannot look at this host: {error}");
            Exit::Failed.status().into()
        }
    }
}

fn doctor(json: bool) -> std::io::Result<Exit> {
    let controls = Host::look()?.report();
    if json {
        println!("{}", serde_json::to_string_pretty(&controls)?);
    } else {
        for control in &controls {
            match &control.enforcement {
                Enforcement::Full => println!("{:<18} full", control.wall),
                Enforcement::Partial { missing } => println!("{:<18} partial: {missing}", control.wall),
                Enforcement::Absent { why } => println!("{:<18} absent: {why}", control.wall),
            }
            if let Some(remedy) = &control.remedy {
                println!("{:<18} -> {remedy}", "");
            }
        }
    }
    let whole = controls.iter().all(|control| control.enforcement == Enforcement::Full);
    Ok(if whole { Exit::Yes } else { Exit::No })
}
