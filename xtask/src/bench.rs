//! Benchmarks: Hotcell and its peers in one run, interleaved, as ratios, with state on a real disk.
//!
//! Figures are wall-clock times from fork to the end of the program, read from the monotonic clock.

mod contest;
mod ends;
mod fingerprint;
mod hotcell;
mod inspect;
mod overhead;
mod peers;
mod policy;
mod pool;
mod quick;
mod scratch;
mod seal;
mod start;

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Result, target};

/// What the user asked for.
pub(crate) struct Wishes {
    /// Number of rounds; each benchmark has its own default.
    pub(crate) runs: Option<usize>,
    /// Figures as JSON instead of a table.
    pub(crate) json: bool,
    /// Only the part of an ordinary user; a run as root starts itself again with it.
    pub(crate) ordinary_part: bool,
}

/// `cargo xtask bench NAME`.
pub(crate) fn run(args: &[String]) -> Result {
    let Some((name, options)) = args.split_first() else {
        return Err(
            "which one: `start`, `overhead`, `pool`, `quick`, `scratch`, `ends`, `seal`, `policy`, `inspect` or `fingerprint`?"
                .into(),
        );
    };
    let wishes = wishes(options)?;
    match name.as_str() {
        "start" => start::run(&wishes),
        "overhead" => overhead::run(&wishes),
        "pool" => pool::run(&wishes),
        "quick" => quick::run(&wishes),
        "scratch" => scratch::run(&wishes),
        "ends" => ends::run(&wishes),
        "policy" => policy::run(&wishes),
        "fingerprint" => fingerprint::run(&wishes),
        "seal" => seal::run(&wishes),
        "inspect" => inspect::run(&wishes),
        _ => Err(format!("there is no benchmark `{name}`").into()),
    }
}

fn wishes(options: &[String]) -> Result<Wishes> {
    let mut wishes = Wishes { runs: None, json: false, ordinary_part: false };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.as_str() {
            "--json" => wishes.json = true,
            "--ordinary-part" => wishes.ordinary_part = true,
            "--runs" => {
                let runs = options.next().and_then(|number| number.parse().ok()).filter(|runs| *runs > 0);
                wishes.runs = Some(runs.ok_or("`--runs` takes a number above 0")?);
            }
            _ => return Err(format!("`{option}` is not understood; there are `--runs N` and `--json`").into()),
        }
    }
    Ok(wishes)
}

/// A folder for benchmarks below the build folder; refused on a tmpfs, where a durable write costs nothing.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = target().join("bench").join(name);
    fs::create_dir_all(&folder)?;
    on_a_disk(&folder, &fs::read_to_string("/proc/self/mounts")?)?;
    Ok(folder)
}

fn on_a_disk(folder: &Path, mounts: &str) -> Result {
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((Path::new(words.next()?), words.next()?))
        })
        .filter(|(point, _)| folder.starts_with(point))
        .max_by_key(|(point, _)| point.as_os_str().len());
    match mount {
        Some((_, "tmpfs" | "ramfs")) => {
            Err(format!("{} lies in memory: a benchmark without a disk is no result", folder.display()).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_memory_is_refused() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/disk xfs rw 0 0\n";
        for (folder, good) in
            [("/home/target", true), ("/tmp/target", false), ("/tmp/disk/target", true), ("/tmpx", true)]
        {
            assert_eq!(on_a_disk(Path::new(folder), mounts).is_ok(), good, "{folder}");
        }
    }

    #[test]
    fn odd_options_are_refused() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(wishes(&words("--runs 7 --json")).unwrap().runs, Some(7));
        for line in ["--runs", "--runs 0", "--runs x", "--fast"] {
            assert!(wishes(&words(line)).is_err(), "{line}");
        }
    }
}
