//! Sealing and opening one GiB to a recipient, beside `age`, on the same disk.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::contest::{self, Contender};
use super::{Wishes, folder, hotcell};
use crate::command::{Result, program, run as run_shown, title};
use crate::packages;

/// Rounds when nothing is said.
const RUNS: usize = 5;

/// Size of the file in MiB.
const SIZE_MIB: usize = 1024;

/// Runs both contests.
pub(crate) fn run(wishes: &Wishes) -> Result {
    packages::provide(packages::SEALERS);
    let age = program("age").ok_or("`age` is not installed")?;
    let binary = hotcell::binary()?;
    let folder = folder("seal")?;
    let files = Files::make(&folder, &binary)?;
    let runs = wishes.runs.unwrap_or(RUNS);
    title(&format!("sealing {SIZE_MIB} MiB, {runs} rounds"));
    contest(wishes, "seal", runs, vec![hotcell_seal(&binary, &files), age_seal(&age, &files)])?;
    title(&format!("opening {SIZE_MIB} MiB, {runs} rounds"));
    contest(wishes, "open", runs, vec![hotcell_open(&binary, &files), age_open(&age, &files)])?;
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn contest(wishes: &Wishes, name: &str, runs: usize, contenders: Vec<Contender>) -> Result {
    let figures = contest::run(&contenders, runs);
    if wishes.json {
        let figures = contest::data(&contenders, &figures, "age");
        println!("{}", json!({"benchmark": name, "mib": SIZE_MIB, "runs": runs, "figures": figures}));
    } else {
        println!("{}", contest::table(&contenders, &figures, "age"));
    }
    Ok(())
}

#[derive(Clone)]
struct Files {
    plain: PathBuf,
    sealed: PathBuf,
    sealed_by_age: PathBuf,
    opened: PathBuf,
    key: PathBuf,
}

impl Files {
    fn make(folder: &Path, binary: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        let files = Self {
            plain: file("plain"),
            sealed: file("sealed.age"),
            sealed_by_age: file("sealed-by-age.age"),
            opened: file("opened"),
            key: file("key"),
        };
        for old in [&files.key, &files.recipient()] {
            if old.exists() {
                fs::remove_file(old)?;
            }
        }
        noise(&files.plain)?;
        run_shown(Command::new(binary).args(["keygen", "--output"]).arg(&files.key))?;
        Ok(files)
    }

    fn recipient(&self) -> PathBuf {
        self.key.with_extension("pub")
    }
}

fn hotcell_seal(binary: &Path, files: &Files) -> Contender {
    let (binary, files) = (binary.to_owned(), files.clone());
    contender(
        "hotcell seal",
        move |command: &mut Command| {
            command
                .arg("seal")
                .arg("--recipient")
                .arg(files.recipient())
                .arg("--output")
                .arg(&files.sealed)
                .arg(&files.plain);
            files.sealed.clone()
        },
        binary,
    )
}

fn hotcell_open(binary: &Path, files: &Files) -> Contender {
    let (binary, files) = (binary.to_owned(), files.clone());
    contender(
        "hotcell open",
        move |command: &mut Command| {
            command.arg("open").arg("--key").arg(&files.key).arg("--output").arg(&files.opened).arg(&files.sealed);
            files.opened.clone()
        },
        binary,
    )
}

fn age_seal(age: &Path, files: &Files) -> Contender {
    let (age, files) = (age.to_owned(), files.clone());
    contender(
        "age",
        move |command: &mut Command| {
            command.arg("-R").arg(files.recipient()).arg("-o").arg(&files.sealed_by_age).arg(&files.plain);
            files.sealed_by_age.clone()
        },
        age,
    )
}

fn age_open(age: &Path, files: &Files) -> Contender {
    let (age, files) = (age.to_owned(), files.clone());
    contender(
        "age",
        move |command: &mut Command| {
            command.arg("-d").arg("-i").arg(&files.key).arg("-o").arg(&files.opened).arg(&files.sealed);
            files.opened.clone()
        },
        age,
    )
}

/// A contender whose output is removed before it runs, so that none of them pays for the other's file.
fn contender(name: &str, arguments: impl Fn(&mut Command) -> PathBuf + 'static, program: PathBuf) -> Contender {
    let command = move |_| {
        let mut command = Command::new(&program);
        let output = arguments(&mut command);
        drop(fs::remove_file(output));
        command
    };
    Contender { name: name.into(), walls: "age format, X25519".into(), command: Box::new(command) }
}

/// Bytes that do not compress: a counter, mixed.
fn noise(path: &Path) -> Result {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state: u64 = 0;
    for _ in 0..SIZE_MIB * (1 << 20) / 8 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        file.write_all(&(mixed ^ (mixed >> 31)).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}
