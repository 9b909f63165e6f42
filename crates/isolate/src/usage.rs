//! How much of its limits a workload used.

use std::os::fd::AsFd;
use std::time::Duration;

use hotcell_types::{ByteSize, Enforcement, LimitRecord, Wall};

use crate::run::Cause;
use crate::sandbox::{Parts, Writable, pids_of_group};
use crate::scratch::ScratchReport;

/// What was used, as far as somebody counted it.
#[derive(Debug)]
pub(crate) struct Usage {
    elapsed: Duration,
    memory_peak: Option<u64>,
    pids_peak: Option<u64>,
    pids_refused: u64,
    cpu: Option<Duration>,
    /// What lay in scratch at the end.
    scratch: Option<u64>,
}

impl Usage {
    /// Reads the counters of a sandbox in which every process is dead.
    pub(crate) fn of(parts: &Parts, writable: &Writable, elapsed: Duration, watched_memory: Option<u64>) -> Self {
        let group = parts.group.as_ref();
        // Where the group holds the first process of the sandbox too, that is not the workload's.
        let others = pids_of_group(0);
        Self {
            elapsed,
            memory_peak: group.and_then(|group| group.memory_peak()).or(watched_memory),
            pids_peak: group.and_then(|group| group.pids_peak()).map(|count| count.saturating_sub(others)),
            pids_refused: group.map_or(0, |group| group.pids_refused()),
            cpu: group.and_then(|group| group.cpu_time()),
            scratch: writable.scratch.as_ref().and_then(used_bytes),
        }
    }

    /// The limits with what was used of them.
    pub(crate) fn records(&self, parts: &Parts, cause: Cause, report: Option<ScratchReport>) -> Vec<LimitRecord> {
        let limits = &parts.limits;
        let record = |name: &str, wall: Wall, limit: String, used: Option<String>, reached: bool| LimitRecord {
            name: name.to_owned(),
            limit,
            used,
            enforcement: match parts.host.limit(wall) {
                Enforcement::Full => "full".to_owned(),
                Enforcement::Partial { missing } => format!("partial: {missing}"),
                Enforcement::Absent { why } => format!("absent: {why}"),
            },
            reached,
        };
        let size = |bytes: u64| ByteSize(bytes).to_string();
        let processors = format!("{} processors", limits.cpu_millis() as f64 / 1000.0);
        // The server of an encrypted one knows the most that was there; of one in memory the end is seen.
        let scratch = match report {
            Some(report) => Some(size(report.peak_bytes)),
            None => self.scratch.map(|bytes| format!("{} at the end", size(bytes))),
        };
        let caveat = match report {
            Some(report) if report.names_swappable => ", names of files not kept out of the host's swap",
            _ => "",
        };
        let room = format!("{}, {}{caveat}", limits.scratch(), parts.scratch.kind.label());
        let out_of_memory = cause == Cause::MemoryLimit;
        vec![
            record(
                "memory",
                Wall::MemoryLimit,
                limits.memory().to_string(),
                self.memory_peak.map(|peak| size(peak.min(limits.memory().bytes()))),
                out_of_memory,
            ),
            record(
                "pids",
                Wall::PidsLimit,
                limits.pids().to_string(),
                self.pids_peak.map(|count| count.to_string()),
                self.pids_refused > 0,
            ),
            record("cpu", Wall::CpuLimit, processors, self.cpu.map(|time| format!("{} s", seconds(time))), false),
            record(
                "wall",
                Wall::WallLimit,
                format!("{:?}", limits.wall()),
                Some(format!("{} s", seconds(self.elapsed))),
                cause == Cause::WallLimit,
            ),
            record("scratch", Wall::StorageLimit, room, scratch, self.scratch_is_full(limits)),
        ]
    }

    /// Whether not even a page was left at the end: what was written last may have met the limit.
    fn scratch_is_full(&self, limits: &hotcell_policy::Limits) -> bool {
        self.scratch.is_some_and(|bytes| bytes >= limits.scratch().bytes().next_multiple_of(4096))
    }
}

/// Seconds with a digit more than people can tell apart.
fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// What is used of a file system in memory.
fn used_bytes(folder: &impl AsFd) -> Option<u64> {
    let filled = rustix::fs::fstatvfs(folder).ok()?;
    Some(filled.f_blocks.saturating_sub(filled.f_bfree) * filled.f_frsize)
}
