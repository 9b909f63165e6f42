//! A shell serves each task that it fits, and stands in the way of none.

use hotcell_isolate::{Input, Shell};
use hotcell_policy::Profile;

use crate::harness::{Ran, run_in, spec};

type Start = fn([u8; 8]) -> Result<Shell, hotcell_isolate::IsolateError>;

const STARTS: [Start; 2] = [Shell::start, Shell::start_closed];

fn strict() -> Profile {
    Profile::builtin("strict").unwrap()
}

fn held(ran: &Ran) -> bool {
    ran.observations.iter().all(|seen| seen.holds)
}

#[test]
fn a_task_without_anything_of_the_host_runs_in_either_shell_behind_the_same_walls() {
    let state = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for start in STARTS {
        let shell = start([7; 8]).unwrap();
        let ran = run_in(
            Some(shell),
            spec(&["sh", "-c", "ls / && ls /.. && cat /proc/mounts | wc -l"], state.path()),
            strict(),
            &[],
        );
        let ran = ran.unwrap();
        assert!(held(&ran), "{:?}", ran.observations);
        seen.push((ran.stdout, ran.observations.len()));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].0.contains("scratch"), "{seen:?}");
}

#[test]
fn an_input_is_seen_whichever_shell_was_started_ahead() {
    let state = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("table.csv");
    std::fs::write(&file, "a,b\n").unwrap();
    for start in STARTS {
        let shell = start([7; 8]).unwrap();
        let mut spec = spec(&["cat", "/input/data"], state.path());
        spec.inputs.push(Input { name: "data".into(), path: file.clone() });
        let ran = run_in(Some(shell), spec, strict(), &[]).unwrap();
        assert!(held(&ran), "{:?}", ran.observations);
        assert_eq!(ran.stdout, "a,b\n");
    }
}

#[test]
fn a_terminal_is_made_whichever_shell_was_started_ahead() {
    let state = tempfile::tempdir().unwrap();
    for start in STARTS {
        let shell = start([7; 8]).unwrap();
        let mut spec = spec(&["sh", "-c", "tty; echo through > /dev/tty"], state.path());
        spec.terminal = true;
        let ran = run_in(Some(shell), spec, strict(), &[]).unwrap();
        assert_eq!(ran.stdout, "/dev/pts/0\r\nthrough\r\n");
    }
}

#[test]
fn a_workload_may_use_the_processors_that_its_host_may() {
    let state = tempfile::tempdir().unwrap();
    let allowed = |text: &str| text.lines().find(|line| line.starts_with("Cpus_allowed:")).map(str::to_owned);
    let own = allowed(&std::fs::read_to_string("/proc/thread-self/status").unwrap());
    for start in STARTS {
        let shell = start([7; 8]).unwrap();
        let ran = run_in(Some(shell), spec(&["cat", "/proc/self/status"], state.path()), strict(), &[]).unwrap();
        let theirs = allowed(&ran.stdout);
        // Where no control group limits them, affinity may, and never to more.
        let is_limited = hotcell_isolate::Host::look().unwrap().processors > 2;
        assert!(theirs.is_some() && (theirs == own || is_limited), "{theirs:?}, outside {own:?}");
    }
}
