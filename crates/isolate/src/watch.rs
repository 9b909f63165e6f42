//! Watching what the kernel does not count: the memory of a sandbox without a control group.

use std::fs;

/// How often a watched sandbox is looked at.
pub(crate) const INTERVAL_MS: u64 = 50;

/// Resident bytes of a process and all its descendants, and those of their page tables; shared pages count once for
/// each that has them, so the sum errs on the safe side.
pub(crate) fn resident_bytes(first: i32) -> u64 {
    let mut pids = vec![first];
    let mut sum = 0;
    let mut at = 0;
    while let Some(pid) = pids.get(at).copied() {
        at += 1;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        sum += pages * rustix::param::page_size() as u64;
        sum += page_table_bytes(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default());
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    sum
}

/// What a process's `status` says of its page tables: a page of them for each 2 MiB that were so much as read, which
/// no count of its own memory shows.
fn page_table_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmPTE:"));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tables_are_read_from_the_status_of_a_process() {
        assert_eq!(page_table_bytes("Name:\tx\nVmPTE:\t      44 kB\nVmSwap:\t0 kB\n"), 44 * 1024);
        for other in ["", "Name:\tx", "VmPTE:", "VmPTE: many kB", "VmPTE:\t1 MB"] {
            assert_eq!(page_table_bytes(other), 0, "{other}");
        }
        let own = page_table_bytes(&fs::read_to_string("/proc/self/status").unwrap());
        assert!(own > 0, "this kernel tells of page tables");
    }
}
