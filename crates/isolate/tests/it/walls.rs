//! The strict sandbox from inside.

use hotcell_isolate::{Cause, Exit, Spec};
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
fn refused_calls_that_are_told_fail_as_they_do_otherwise_and_what_is_killed_leaves_nobody_waiting() {
    hotcell_testkit::require_program!("python3");
    let state = tempfile::tempdir().unwrap();
    let script = "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n\
                  print(libc.unshare(0x10000000), ctypes.get_errno(), libc.syscall(0x40000027), ctypes.get_errno())";
    let plain = run(&["/usr/bin/python3", "-c", script]);
    let told = |script: &str, limit: &str| {
        let spec = Spec { told: true, ..spec(&["/usr/bin/python3", "-c", script], state.path()) };
        let mut overlay = Overlay::default();
        overlay.set_limit(limit).unwrap();
        let strict = Profile::builtin("strict").unwrap();
        run_with(spec, strict.narrow(&overlay, &Origin::Flag("--limit".into())).unwrap(), &[]).unwrap()
    };
    let ran = told(script, "wall=1m");
    assert_eq!((ran.exit, &ran.stdout), (Exit::Code(0), &plain.stdout), "{}", ran.stderr);
    let calls: Vec<_> = ran.refused_calls.iter().map(|call| (call.name.as_str(), call.times)).collect();
    assert!(calls.contains(&("unshare", 1)), "{calls:?}");
    #[cfg(target_arch = "x86_64")]
    assert!(calls.contains(&("calls of x32", 1)), "{calls:?}");
    // Many at once, killed on the way.
    let flood = "import ctypes, os; libc = ctypes.CDLL(None)\nfor _ in range(4): os.fork()\nwhile True: libc.unshare(0x10000000)";
    let ran = told(flood, "wall=1s");
    assert_eq!((ran.exit, ran.cause), (Exit::Signal(9), Cause::WallLimit));
    assert!(ran.refused_calls.iter().any(|call| call.name == "unshare" && call.times > 1), "{:?}", ran.refused_calls);
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
