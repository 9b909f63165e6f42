//! Kernels that lack one thing, simulated: a tracer answers a call as a kernel does that does not know it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hotcell_testkit::{require_program, skip};

use crate::crash::{groups_of, mounts, tasks_of};
use crate::hotcell::{Place, text};

/// What comes of a task where something is missing.
#[derive(Clone, Copy)]
enum Then {
    /// It is done without it, with every wall.
    Works,
    /// The host lacks a control: 122, with this code.
    Lacks(&'static str),
    /// Hotcell cannot work: 125, with this code.
    Fails(&'static str),
}

use Then::{Fails, Lacks, Works};

/// The feature, the calls that it consists of, how such a kernel answers, and what then is.
const FEATURES: &[(&str, &[&str], &str, Then)] = &[
    ("Landlock", &["landlock_create_ruleset"], "ENOSYS", Lacks("ISO-010")),
    ("Landlock, switched off", &["landlock_create_ruleset"], "EOPNOTSUPP", Lacks("ISO-010")),
    ("Landlock's rules", &["landlock_add_rule"], "ENOSYS", Lacks("ISO-012")),
    ("Landlock's enforcement", &["landlock_restrict_self"], "ENOSYS", Lacks("ISO-012")),
    ("seccomp", &["seccomp"], "ENOSYS", Lacks("ISO-012")),
    ("clone3", &["clone3"], "ENOSYS", Lacks("ISO-010")),
    ("user namespaces", &["clone3"], "EPERM", Lacks("ISO-010")),
    ("control group namespaces", &["unshare"], "EINVAL", Fails("ISO-012")),
    ("file systems by descriptor", &["fsopen"], "ENOSYS", Lacks("ISO-012")),
    ("settings of them", &["fsconfig"], "ENOSYS", Lacks("ISO-012")),
    ("mounts by descriptor", &["fsmount"], "ENOSYS", Lacks("ISO-012")),
    ("moving mounts", &["move_mount"], "ENOSYS", Lacks("ISO-012")),
    ("copies of mounts", &["open_tree"], "ENOSYS", Lacks("ISO-012")),
    ("pivot_root", &["pivot_root"], "ENOSYS", Lacks("ISO-012")),
    ("closing ranges of descriptors", &["close_range"], "ENOSYS", Lacks("ISO-012")),
    ("signals by descriptor", &["signalfd4"], "ENOSYS", Lacks("ISO-012")),
    ("dropping capabilities", &["capset"], "EPERM", Lacks("ISO-012")),
    ("files in memory", &["memfd_create"], "ENOSYS", Fails("ISO-014")),
    ("processes by descriptor", &["pidfd_open"], "ENOSYS", Works),
    ("locks of files", &["flock"], "ENOSYS", Fails("AUD-001")),
    ("opening beneath a folder", &["openat2"], "ENOSYS", Lacks("INS-410")),
];

/// Runs a task under a tracer that answers so. `only` restricts it to one path.
fn run_without(place: &Place, calls: &[&str], errno: &str, only: Option<&str>, options: &[&str]) -> Output {
    let script = "echo kept > /output/kept && echo done";
    let arguments = [&["run", "--output", "out"], options, &["--", "/bin/sh", "-c", script]].concat();
    let hotcell = place.command(&arguments);
    let mut command = Command::new("strace");
    let calls = calls.join(",");
    command.args(["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error={errno}")]);
    command.args(only.iter().flat_map(|path| ["-P", path]));
    command.arg(hotcell.get_program()).args(hotcell.get_args()).current_dir(place.path("."));
    command.output().unwrap()
}

/// What went otherwise than it should.
fn wrong(place: &Place, what: &str, output: &Output, then: Then) -> Option<String> {
    let (status, said) = (output.status.code(), text(&output.stderr));
    let out = place.path("out/kept");
    let released = out.exists();
    let _ = fs::remove_dir_all(place.path("out"));
    let as_expected = match then {
        Works => status == Some(0) && released,
        Lacks(code) => status == Some(122) && said.contains(code),
        Fails(code) => status == Some(125) && said.contains(code),
    };
    let is_clear = matches!(then, Works) || said.contains("help: ") && !said.contains("HOT-001");
    let left = fs::read_dir(place.state().join("running")).map_or(0, Iterator::count);
    let is_clean = left == 0 && (released == matches!(then, Works));
    (!as_expected || !is_clear || !is_clean)
        .then(|| format!("without {what}: {status:?}, {left} left, released: {released}: {said}"))
}

#[test]
fn a_kernel_without_one_feature_is_told_of_by_a_code_and_nothing_is_half_made() {
    require_program!("strace");
    let place = Place::new();
    place.expect(0, &["run", "--", "/bin/true"]);
    let before = mounts(&place);
    let mut all_wrong = Vec::new();
    for (what, calls, errno, then) in FEATURES {
        let output = run_without(&place, calls, errno, None, &[]);
        all_wrong.extend(wrong(&place, what, &output, *then));
    }
    assert!(all_wrong.is_empty(), "{all_wrong:#?}");
    assert_eq!(mounts(&place), before);
    assert_eq!(groups_of(&tasks_of(&place)), Vec::<PathBuf>::new());
    place.expect(0, &["run", "--", "/bin/true"]);
    place.expect(0, &["audit", "verify"]);
}

#[test]
fn a_host_without_fuse_refuses_an_encrypted_scratch_by_a_code_and_runs_everything_else() {
    require_program!("strace");
    if fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_err() {
        skip!("this host has none");
    }
    let place = Place::new();
    place.file("p.toml", "name = \"encrypted\"\nextends = \"strict\"\n[scratch]\nkind = \"encrypted\"\n");
    for errno in ["ENOENT", "ENODEV", "EACCES"] {
        let refused = run_without(&place, &["openat", "open"], errno, Some("/dev/fuse"), &["--profile", "p.toml"]);
        assert_eq!(wrong(&place, "FUSE", &refused, Lacks("ISO-015")), None, "{errno}");
        let plain = run_without(&place, &["openat", "open"], errno, Some("/dev/fuse"), &[]);
        assert_eq!(wrong(&place, "FUSE", &plain, Works), None, "{errno}");
    }
    assert!(!Path::new(&place.path("out")).exists());
}
