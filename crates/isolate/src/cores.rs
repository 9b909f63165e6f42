//! Cores that a sandbox has for itself, among the tasks that ask for that.
//!
//! A core is taken whole, with all processors on it, by locking the file of its number; the kernel unlocks it when the
//! holder is gone, however it went. Tasks that did not ask, and other programs of the host, are not kept off: no process
//! may be moved by one who was not asked to. The receipt says so.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::host::Host;

/// Where root's files are, one folder for the machine.
const FOLDER: &str = "/run/hotcell/cores";
/// Where the kernel tells of processors.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// Cores that are ours until this value is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Cores {
    processors: BTreeSet<usize>,
    _locks: Vec<File>,
}

/// Why there are none.
#[derive(Debug)]
pub(crate) enum NoCores {
    /// Fewer are free than are asked for.
    Taken { wanted: usize, free: usize, all: usize },
    /// The lock files cannot be had.
    Failed(io::Error),
}

impl Cores {
    /// Takes as many whole cores as hold this many thousandths of a processor.
    pub(crate) fn take(cpu_millis: u64, host: &Host, state: &Path) -> Result<Self, NoCores> {
        let allowed = crate::host::processors_of(None).unwrap_or_default();
        let cores = cores(&allowed, &|processor| {
            let topology = format!("{PROCESSORS}/cpu{processor}/topology");
            let read = |name: &str| std::fs::read_to_string(format!("{topology}/{name}")).ok();
            read("core_cpus_list").or_else(|| read("thread_siblings_list"))
        });
        // Of a user's own tasks only: the locks of another user's are out of sight.
        let folder = if host.is_root { PathBuf::from(FOLDER) } else { state.join("cores") };
        Self::take_of(&cores, usize::try_from(cpu_millis).unwrap_or(usize::MAX).div_ceil(1000), &folder)
    }

    fn take_of(cores: &[BTreeSet<usize>], wanted: usize, folder: &Path) -> Result<Self, NoCores> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(NoCores::Failed)?;
        let mut taken = Self { processors: BTreeSet::new(), _locks: Vec::new() };
        let mut wanted_still = wanted;
        let mut free = 0;
        for core in cores {
            let Some(first) = core.first() else { continue };
            let path = folder.join(first.to_string());
            let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
            let file = file.map_err(NoCores::Failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => free += 1,
                Err(rustix::io::Errno::WOULDBLOCK) => continue,
                Err(error) => return Err(NoCores::Failed(error.into())),
            }
            taken.processors.extend(core);
            taken._locks.push(file);
            wanted_still = wanted_still.saturating_sub(core.len());
            if wanted_still == 0 {
                return Ok(taken);
            }
        }
        Err(NoCores::Taken { wanted, free, all: cores.len() })
    }

    /// Its processors.
    pub(crate) fn processors(&self) -> &BTreeSet<usize> {
        &self.processors
    }

    /// Them as a mask.
    pub(crate) fn mask(&self) -> [u8; 128] {
        let mut mask = [0u8; 128];
        for processor in &self.processors {
            if let Some(byte) = mask.get_mut(processor / 8) {
                *byte |= 1 << (processor % 8);
            }
        }
        mask
    }
}

/// The cores of which every processor may be used, each once. A processor whose siblings cannot be told is no core.
fn cores(allowed: &BTreeSet<usize>, siblings: &dyn Fn(usize) -> Option<String>) -> Vec<BTreeSet<usize>> {
    let of_processor = |processor: &usize| listed(&siblings(*processor)?);
    let mut cores: Vec<_> = allowed.iter().filter_map(of_processor).filter(|core| core.is_subset(allowed)).collect();
    cores.sort();
    cores.dedup();
    cores.retain(|core| !core.is_empty());
    cores
}

/// `0-1,8` is 0, 1 and 8.
fn listed(text: &str) -> Option<BTreeSet<usize>> {
    let mut numbers = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= 8 * 128 {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// Whether processors of this host share cores; so where it cannot be told.
pub(crate) fn has_siblings() -> bool {
    let active = std::fs::read_to_string(format!("{PROCESSORS}/smt/active")).ok();
    active.is_none_or(|active| active.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[usize]) -> BTreeSet<usize> {
        numbers.iter().copied().collect()
    }

    #[test]
    fn cores_are_taken_whole_and_only_where_all_of_them_may_be_used() {
        let siblings = |processor: usize| Some(format!("{},{}\n", processor % 4, processor % 4 + 4));
        assert_eq!(cores(&set(&[0, 1, 2, 4, 5]), &siblings), [set(&[0, 4]), set(&[1, 5])]);
        assert!(cores(&set(&[0, 1]), &|_| None).is_empty());
        assert_eq!(listed("0-2,8"), Some(set(&[0, 1, 2, 8])));
        for text in ["", "a", "1-", "0-99999999999", "-1"] {
            assert_eq!(listed(text), None, "{text}");
        }
    }

    #[test]
    fn a_core_is_one_tasks_at_a_time_and_free_again_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let all = [set(&[0, 4]), set(&[1, 5]), set(&[2, 6])];
        let first = Cores::take_of(&all, 3, folder.path()).unwrap();
        assert_eq!(first.processors(), &set(&[0, 1, 4, 5]));
        assert_eq!(first.mask()[0], 0b0011_0011);
        let second = Cores::take_of(&all, 1, folder.path()).unwrap();
        assert_eq!(second.processors(), &set(&[2, 6]));
        let third = Cores::take_of(&all, 1, folder.path());
        assert!(matches!(third, Err(NoCores::Taken { wanted: 1, free: 0, all: 3 })), "{third:?}");
        drop(first);
        assert_eq!(Cores::take_of(&all, 2, folder.path()).unwrap().processors(), &set(&[0, 4]));
        // What was taken in vain is free again.
        assert!(Cores::take_of(&all, 100, folder.path()).is_err());
        assert!(Cores::take_of(&all, 4, folder.path()).is_ok());
    }
}
