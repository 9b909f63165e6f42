//! Hotcell itself as a contender: the release binary, and what it says about one run.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command::{Result, cargo, read, run, target};

/// Builds the release binary, unless a path is given in `HOTCELL_BIN`.
pub(crate) fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HOTCELL_BIN") {
        return Ok(path.into());
    }
    let host = read(Command::new("rustc").arg("-vV"))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    run(cargo("build").args(["--quiet", "--release", "--package", "hotcell"]))?;
    Ok(target().join(host).join("release/hotcell"))
}

/// The report of one run as data.
pub(crate) fn report(command: &mut Command) -> Result<Value> {
    Ok(serde_json::from_str(&read(command)?)?)
}

/// `hotcell run` with its state in `state`.
pub(crate) fn run_command(binary: &Path, state: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg("run").arg("--state").arg(state);
    command
}

/// The walls that a report names, as `22 of 22 walls hold` or what is missing. A run with a wall
/// less than `strict` has is no result.
pub(crate) fn walls(report: &Value) -> Result<String> {
    let walls = find(report, "walls").and_then(Value::as_array).ok_or("the report names no walls")?;
    let label = |wall: &Value| wall["wall"].as_str().unwrap_or("?").to_owned();
    let fallen: Vec<String> = walls.iter().filter(|wall| wall["holds"] != true).map(label).collect();
    if walls.is_empty() || !fallen.is_empty() {
        return Err(format!("no result: of {} walls these do not hold: {}", walls.len(), fallen.join(", ")).into());
    }
    let partial: Vec<String> = walls.iter().filter(|wall| wall["enforcement"]["state"] != "full").map(label).collect();
    let partial = if partial.is_empty() { String::new() } else { format!(" (in part: {})", partial.join(", ")) };
    Ok(format!("{} walls seen to hold{partial}; preflight, log, receipt", walls.len()))
}

/// The first value under this key, at any depth: reports wrap receipts.
pub(crate) fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|inner| find(inner, key))),
        Value::Array(list) => list.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_with_a_fallen_wall_is_no_result() {
        let wall = |holds, state| json!({"wall": "seccomp", "holds": holds, "enforcement": {"state": state}});
        let report = |walls: Vec<Value>| json!({"receipt": {"walls": walls}});
        assert!(walls(&report(vec![wall(true, "full")])).unwrap().starts_with("1 walls seen to hold;"));
        assert!(walls(&report(vec![wall(true, "partial")])).unwrap().contains("in part: seccomp"));
        assert!(walls(&report(vec![wall(true, "full"), wall(false, "full")])).is_err());
        assert!(walls(&report(Vec::new())).is_err());
        assert!(walls(&json!({"outcome": "released"})).is_err());
    }
}
