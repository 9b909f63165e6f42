//! cargo-deny over `deny.toml`: licences, bans, sources, duplicate versions, and known advisories
//! where their database can be reached.
//!
//! The tool is installed once into the build folder, in a pinned version: about five minutes of
//! processor time. That buys the checks that everybody knows instead of some of our own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::command::{Result, cargo, no_arguments, program, root, run, target, title};
use crate::skips;

/// The version that `deny.toml` was written for.
const VERSION: &str = "0.20.2";

/// What cargo-deny says when it cannot fetch the advisories.
const UNREACHABLE: &str = "failed to fetch advisory database";

/// Runs the checks.
fn checks() -> Result {
    reviews(&fs::read_to_string(root().join("deny.toml"))?)?;
    let tool = tool()?;
    run(cargo_deny(&tool).args(["check", "licenses", "bans", "sources"]))?;
    advisories(&tool)
}

/// The recipe.
pub(crate) fn recipe(args: &[String]) -> Result {
    no_arguments(args)?;
    title("licences, bans, sources, duplicates, advisories");
    checks()
}

fn advisories(tool: &PathBuf) -> Result {
    let output = cargo_deny(tool).args(["check", "advisories"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        println!("advisories ok");
        return Ok(());
    }
    if said.contains(UNREACHABLE) {
        return skips::record("xtask deny: advisories", skips::NO_ADVISORIES);
    }
    Err(format!("advisories:\n{said}").into())
}

fn cargo_deny(tool: &PathBuf) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(root()).args(["--log-level", "error", "--locked"]);
    command
}

/// The tool: ours, else the machine's if it is the same version, else installed now.
fn tool() -> Result<PathBuf> {
    let ours = target().join("tools/bin/cargo-deny");
    for candidate in [Some(ours.clone()), program("cargo-deny")].into_iter().flatten() {
        let version = Command::new(&candidate).arg("--version").output();
        if version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(VERSION)) {
            return Ok(candidate);
        }
    }
    title("installing cargo-deny, once");
    let tools = target().join("tools");
    let build = tools.join("build");
    run(cargo("install")
        .args(["--quiet", "cargo-deny", "--version", VERSION, "--root"])
        .arg(&tools)
        .arg("--target-dir")
        .arg(&build))?;
    fs::remove_dir_all(&build)?;
    Ok(ours)
}

/// Every exception has a reason and a date by which somebody looks at it again.
fn reviews(config: &str) -> Result {
    let config: toml::Table = config.parse()?;
    let mut bad = Vec::new();
    for (section, key) in
        [("bans", "skip"), ("bans", "skip-tree"), ("advisories", "ignore"), ("licenses", "exceptions")]
    {
        let entries = config.get(section).and_then(|table| table.get(key)).and_then(toml::Value::as_array);
        for entry in entries.into_iter().flatten() {
            if !entry.get("reason").and_then(toml::Value::as_str).is_some_and(has_review_date) {
                bad.push(format!("[{section}] {key}: {entry}"));
            }
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    Err(format!("deny.toml: a reason that ends with `; review YYYY-MM-DD` is missing:\n  {}", bad.join("\n  ")).into())
}

fn has_review_date(reason: &str) -> bool {
    let Some((why, date)) = reason.rsplit_once("; review ") else { return false };
    let parts: Vec<&str> = date.split('-').collect();
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    !why.trim().is_empty()
        && matches!(parts[..], [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_without_reason_or_date_is_refused() {
        for (entry, good) in [
            ("{ crate = \"x@1\", reason = \"y brings it; review 2027-03-01\" }", true),
            ("{ crate = \"x@1\", reason = \"y brings it\" }", false),
            ("{ crate = \"x@1\", reason = \"; review 2027-03-01\" }", false),
            ("{ crate = \"x@1\", reason = \"y brings it; review soon\" }", false),
            ("{ crate = \"x@1\", reason = \"y brings it; review 27-3-1\" }", false),
            ("{ crate = \"x@1\" }", false),
            ("\"x@1\"", false),
        ] {
            for key in ["[bans]\nskip", "[advisories]\nignore"] {
                let result = reviews(&format!("{key} = [{entry}]"));
                assert_eq!(result.is_ok(), good, "{key}: {entry}");
            }
        }
    }
}
