//! From start to exit of `true`: Hotcell with everything it does, beside the tools that do less.

use std::path::Path;

use serde_json::{Value, json};

use super::contest::{self, Contender};
use super::{Wishes, folder, hotcell, peers};
use crate::command::{Result, is_root, run as run_shown, target, title};
use crate::ordinary::Ordinary;
use crate::packages;

/// Rounds when nothing is said: enough for a p99 that is a measured value.
const RUNS: usize = 200;

/// Runs the contest as whoever we are and, as root, once more as an ordinary user.
pub(crate) fn run(wishes: &Wishes) -> Result {
    if wishes.ordinary_part {
        return contest(wishes, &target().join("bench/ordinary"), "as an ordinary user");
    }
    packages::provide(packages::PEERS);
    let binary = hotcell::binary()?;
    contest(wishes, &folder("start")?, if is_root() { "as root" } else { "as an ordinary user" })?;
    if is_root() {
        let user = Ordinary::new(folder("ordinary")?)?;
        let mut command = user.command(&std::env::current_exe()?);
        command.args(["bench", "start", "--ordinary-part"]).env("HOTCELL_BIN", binary);
        command.args(["--runs", &wishes.runs.unwrap_or(RUNS).to_string()]);
        command.args(wishes.json.then_some("--json"));
        run_shown(&mut command)?;
    }
    Ok(())
}

fn contest(wishes: &Wishes, folder: &Path, who: &str) -> Result {
    let runs = wishes.runs.unwrap_or(RUNS);
    title(&format!("start to exit of /bin/true, {who}, {runs} rounds"));
    // The first run makes keys and log; the second is like all others.
    one_run(folder)?;
    let report = one_run(folder)?;
    let mut contenders = vec![ourselves(folder, hotcell::walls(&report)?)?];
    contenders.extend(peers::all(folder)?);
    let figures = contest::run(&contenders, runs);
    let steps = hotcell::find(&report, "timings").cloned().unwrap_or(Value::Null);
    if wishes.json {
        let figures = contest::data(&contenders, &figures, peers::BASE);
        println!("{}", json!({"benchmark": "start", "who": who, "runs": runs, "figures": figures, "steps": steps}));
    } else {
        println!("{}", contest::table(&contenders, &figures, peers::BASE));
        println!("steps of one run: {steps}");
    }
    Ok(())
}

fn ourselves(folder: &Path, walls: String) -> Result<Contender> {
    let (binary, state) = (hotcell::binary()?, folder.join("state"));
    let command = move |_| {
        let mut command = hotcell::run_command(&binary, &state);
        command.args(["--", "/bin/true"]);
        command
    };
    Ok(Contender { name: "hotcell".into(), walls, command: Box::new(command) })
}

fn one_run(folder: &Path) -> Result<Value> {
    hotcell::report(hotcell::run_command(&hotcell::binary()?, &folder.join("state")).args([
        "--json",
        "--",
        "/bin/true",
    ]))
}
