//! `hotcell policy import`: rules by role, made into Cedar.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;
use hotcell_policy::{MAX_POLICY_BYTES, import};
use hotcell_types::Exit;
use serde_json::json;

use super::{folder, write};
use crate::app::App;
use crate::failure::Failure;
use crate::print::{self, theirs};

/// What is imported, and where to.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// JSON file of one rule or a list of rules: {"role": …, "permissions": […], "resources": […]}.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder for the policy; it must not exist.
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Import, app: &App) -> Result<Exit, Failure> {
    let name = write::name(&arguments.output)?;
    let mut text = String::new();
    File::open(&arguments.file)
        .and_then(|file| file.take(MAX_POLICY_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(|source| Failure::file("read", &arguments.file, source))?;
    let files = import(&arguments.file.display().to_string(), &text, &name)?;
    let rules = folder::tested(&files)?.rules();
    write::folder(&arguments.output, &files)?;
    if app.json {
        print::json(&json!({ "folder": arguments.output.display().to_string(), "rules": rules }))?;
    } else {
        let mut to = print::out();
        writeln!(to, "{} rules in {}", rules.len(), theirs(arguments.output.display()))?;
        for rule in &rules {
            writeln!(to, "  {}: {}", theirs(&rule.id), theirs(&rule.reason))?;
        }
    }
    Ok(Exit::Yes)
}
