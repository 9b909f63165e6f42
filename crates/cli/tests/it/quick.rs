//! What a start may cost, counted and not timed.

use std::process::Command;

use crate::hotcell::{Place, text};

#[test]
fn a_task_waits_for_the_disk_twice_and_no_more() {
    hotcell_testkit::require_program!("strace");
    let place = Place::new();
    // A third wait comes when the count of the log's entries gains a digit, as with the second task: its checkpoint grows.
    for _ in 0..2 {
        place.expect(0, &["run", "--", "/bin/true"]);
    }
    let trace = place.path("trace");
    let hotcell = place.command(&["run", "--", "/bin/true"]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync", "-o"]).arg(&trace);
    strace.arg(hotcell.get_program()).args(hotcell.get_args());
    let output = strace.output().unwrap();
    if text(&output.stderr).contains("ptrace") {
        hotcell_testkit::skip!("this host lets no program be traced: {}", text(&output.stderr).trim());
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    let calls = std::fs::read_to_string(&trace).unwrap();
    // The intent before the start, and the receipt: none of them may be missing either.
    assert_eq!(calls.lines().filter(|line| line.contains("sync(")).count(), 2, "{calls}");
}
