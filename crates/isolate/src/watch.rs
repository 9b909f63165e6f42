//! Watching what the kernel does not count: the memory of a sandbox without a control group.

use std::fs;

/// How often a watched sandbox is looked at.
pub(crate) const INTERVAL_MS: u64 = 50;

/// Resident bytes of a process and all its descendants; shared pages count once for each that has them, so
/// the sum errs on the safe side.
pub(crate) fn resident_bytes(first: i32) -> u64 {
    let mut pids = vec![first];
    let mut sum = 0;
    let mut at = 0;
    while let Some(pid) = pids.get(at).copied() {
        at += 1;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        sum += pages * rustix::param::page_size() as u64;
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    sum
}
