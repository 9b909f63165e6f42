//! The strict sandbox from inside.

use hotcell_isolate::{Cause, Exit};
use hotcell_policy::{Origin, Overlay, Profile};

use crate::harness::{run, run_with, spec};

#[test]
fn a_harmless_program_works_and_every_wall_is_seen_to_stand() {
    let ran = run(&["sh", "-c", "echo out; echo err >&2; echo done > /output/file; exit 3"]);
    assert_eq!((ran.exit, ran.cause), (Exit::Code(3), Cause::Itself), "{}", ran.stderr);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
    for observation in &ran.observations {
        assert!(observation.holds, "{observation:?}");
    }
    assert!(ran.observations.len() > 30, "{}", ran.observations.len());
}

#[test]
fn python_runs_with_threads_and_subprocesses() {
    if !hotcell_testkit::have_program("python3") {
        hotcell_testkit::skip!("python3 is not installed");
    }
    let script = "import subprocess, threading, json; t = threading.Thread(target=lambda: print('thread')); t.start(); t.join(); \
                  print(subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout, end='')";
    let ran = run(&["/usr/bin/python3", "-c", script]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Code(0), "thread\nchild\n"), "{}", ran.stderr);
}

#[test]
fn the_workload_sees_nothing_of_the_host_and_cannot_write_outside() {
    let script = "ls -d /root /home /sys /run /mnt /boot 2>/dev/null; touch /usr/x 2>&1; cat /etc/shadow 2>&1; ls /proc | grep -c '^[0-9]'; id -u";
    let ran = run(&["sh", "-c", script]);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].contains("Read-only file system"), "{}", ran.stdout);
    assert!(lines[1].contains("No such file"), "{}", ran.stdout);
    assert_eq!(lines.last(), Some(&"65534"), "{}", ran.stdout);
}

#[test]
fn a_missing_program_is_127_and_a_text_is_126() {
    assert_eq!(run(&["no-such-program"]).exit, Exit::Code(127));
    assert_eq!(run(&["/etc/passwd"]).exit, Exit::Code(126));
}

#[test]
fn time_and_memory_and_processes_are_limited() {
    let state = tempfile::tempdir().unwrap();
    let narrowed = |settings: &[&str]| {
        let mut overlay = Overlay::default();
        for setting in settings {
            overlay.set_limit(setting).unwrap();
        }
        Profile::builtin("strict").unwrap().narrow(&overlay, &Origin::Flag("--limit".into())).unwrap()
    };
    let ran = run_with(spec(&["sleep", "60"], state.path()), narrowed(&["wall=300ms"]), &[]).unwrap();
    assert_eq!((ran.exit, ran.cause), (Exit::Signal(9), Cause::WallLimit));
    let hog = ["sh", "-c", "head -c 400m /dev/zero | tail -c 400m | wc -c"];
    let ran = run_with(spec(&hog, state.path()), narrowed(&["memory=64MiB"]), &[]).unwrap();
    assert!(!ran.stdout.contains("419430400"), "{} {}", ran.stdout, ran.stderr);
    let bomb = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo made"];
    let ran = run_with(spec(&bomb, state.path()), narrowed(&["pids=8"]), &[]).unwrap();
    assert!(!ran.stdout.contains("made"), "{} {}", ran.stdout, ran.stderr);
}
