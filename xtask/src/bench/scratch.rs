//! Encrypted scratch beside a plain folder and gocryptfs: one program, the same work, in turns.
//!
//! The program measures itself, so that neither the start of a sandbox nor the mounting of gocryptfs counts. Nothing
//! waits for the disk: the volume is not to outlive a loss of power, and the peers are not asked to either.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Wishes, folder, hotcell};
use crate::command::{Result, title};
use crate::packages;

/// Rounds when nothing is said.
const RUNS: usize = 5;

/// What ours may take of gocryptfs's time for a file that is created.
const CREATION_PROMISE: f64 = 0.5;

/// The work: prints one figure for each of [`FIGURES`].
const WORK: &str = r#"
import json, os, sys, time
folder = os.path.join(sys.argv[1], "work")
os.mkdir(folder)
mib = 512
piece = os.urandom(1 << 20)
path = os.path.join(folder, "large")
begin = time.monotonic()
with open(path, "wb", buffering=0) as file:
    for _ in range(mib):
        file.write(piece)
write = time.monotonic() - begin
# What lies in the page cache is not read again: what the server, or the disk, gives is measured.
with open(path, "rb", buffering=0) as file:
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    begin = time.monotonic()
    while file.read(1 << 20):
        pass
    read = time.monotonic() - begin
small, count = b"x" * 100, 4000
begin = time.monotonic()
for number in range(count):
    file = os.open(os.path.join(folder, str(number)), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(file, small)
    os.close(file)
create = time.monotonic() - begin
begin = time.monotonic()
for number in range(count):
    os.unlink(os.path.join(folder, str(number)))
remove = time.monotonic() - begin
os.unlink(path)
os.rmdir(folder)
print(json.dumps({"write": mib / write, "read": mib / read, "create": create / count * 1e6, "remove": remove / count * 1e6}))
"#;

/// A figure's name in the program's answer, its heading, and whether more is better.
const FIGURES: [(&str, &str); 4] =
    [("write", "write MiB/s"), ("read", "read MiB/s"), ("create", "create us"), ("remove", "remove us")];

/// Runs all of them in turns.
pub(crate) fn run(wishes: &Wishes) -> Result {
    packages::provide(packages::SCRATCH);
    let folder = folder("scratch")?;
    let work = folder.join("work.py");
    fs::write(&work, WORK)?;
    let binary = hotcell::binary()?;
    let profile = folder.join("encrypted.toml");
    fs::write(&profile, "name = \"encrypted\"\nextends = \"strict\"\n[scratch]\nkind = \"encrypted\"\n")?;
    let gocryptfs = Gocryptfs::mount(&folder);
    let runs = wishes.runs.unwrap_or(RUNS);
    title(&format!("scratch, {runs} rounds"));
    let mut figures: [Vec<Value>; 3] = Default::default();
    let [plain, peer, ours] = &mut figures;
    let place = folder.join("plain");
    fs::create_dir_all(&place)?;
    for _ in 0..runs {
        plain.push(measure(Command::new("python3").arg(&work).arg(&place))?);
        if let Ok(gocryptfs) = &gocryptfs {
            peer.push(measure(Command::new("python3").arg(&work).arg(&gocryptfs.at))?);
        }
        ours.push(measure(&mut inside(&binary, &folder, &profile))?);
    }
    if let Err(error) = &gocryptfs {
        eprintln!("gocryptfs is not measured: {error}");
    }
    show(wishes, &figures.map(|rounds| FIGURES.map(|(name, _)| median(&rounds, name))));
    Ok(())
}

fn inside(binary: &Path, folder: &Path, profile: &Path) -> Command {
    let mut command = hotcell::run_command(binary, &folder.join("state"));
    command.arg("--profile").arg(profile).args(["--limit", "scratch=2GiB", "--limit", "memory=4GiB"]);
    let mut input = std::ffi::OsString::from("work=");
    input.push(folder.join("work.py"));
    command.arg("--input").arg(input).args(["--", "python3", "/input/work", "/scratch"]);
    command
}

fn measure(command: &mut Command) -> Result<Value> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {}", output.status, said.trim()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn median(rounds: &[Value], name: &str) -> Option<f64> {
    let mut values: Vec<f64> = rounds.iter().filter_map(|round| round[name].as_f64()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn show(wishes: &Wishes, figures: &[[Option<f64>; 4]; 3]) {
    let names = ["plain folder", "gocryptfs", "hotcell, encrypted"];
    let [_, peer, ours] = figures;
    let ratios: Vec<_> = ours.iter().zip(peer).map(|(ours, peer)| Some((*ours)? / (*peer)?)).collect();
    if wishes.json {
        let table: Vec<_> = names
            .iter()
            .zip(figures)
            .map(|(name, figures)| {
                let figures: serde_json::Map<_, _> =
                    FIGURES.iter().zip(figures).map(|((key, _), value)| ((*key).to_owned(), json!(value))).collect();
                json!({"name": name, "figures": figures})
            })
            .collect();
        println!("{}", json!({"benchmark": "scratch", "medians": table, "ratio_to_gocryptfs": ratios}));
        return;
    }
    print!("{:<22}", "");
    FIGURES.iter().for_each(|(_, heading)| print!(" {heading:>12}"));
    println!();
    let rows = names.iter().zip(figures.iter().map(|row| row.to_vec()));
    let rows = rows.chain([(&"ratio to gocryptfs", ratios)]);
    for (number, (name, row)) in rows.enumerate() {
        print!("{name:<22}");
        for value in row {
            let places = if number == 3 { 2 } else { 0 };
            print!(" {:>12}", value.map_or("-".to_owned(), |value| format!("{value:.places$}")));
        }
        println!();
    }
    println!("promised: throughput at least gocryptfs's, creation at most {CREATION_PROMISE} of its time");
}

/// A mounted gocryptfs, gone at the end.
struct Gocryptfs {
    at: PathBuf,
}

impl Gocryptfs {
    fn mount(folder: &Path) -> Result<Self> {
        let (cipher, at) = (folder.join("gocryptfs"), folder.join("gocryptfs-mounted"));
        for folder in [&cipher, &at] {
            fs::create_dir_all(folder)?;
        }
        if !cipher.join("gocryptfs.conf").exists() {
            quietly(Command::new("gocryptfs").args(["-q", "-init", "-extpass", "echo benchmark"]).arg(&cipher))?;
        }
        quietly(Command::new("gocryptfs").args(["-q", "-extpass", "echo benchmark"]).arg(&cipher).arg(&at))?;
        Ok(Self { at })
    }
}

impl Drop for Gocryptfs {
    fn drop(&mut self) {
        let _ = quietly(Command::new("umount").arg(&self.at));
    }
}

fn quietly(command: &mut Command) -> Result {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_what_was_not_measured_is_none() {
        let rounds = [json!({"write": 3.0}), json!({"write": 1.0}), json!({"write": 2.0})];
        assert_eq!(median(&rounds, "write"), Some(2.0));
        assert_eq!((median(&rounds, "read"), median(&[], "write")), (None, None));
    }
}
