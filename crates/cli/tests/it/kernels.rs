//! The program on other kernels: stock ones of Debian, booted in an emulated machine with control groups of version 2,
//! of version 1, and of both.

use std::collections::BTreeMap;
use std::path::Path;

use hotcell_testkit::machine::{Answer, Machine};
use serde_json::Value;

/// What each kernel is asked, as root and as an ordinary user.
const COMMANDS: &[(&str, &str)] = &[
    ("kernel", "uname -r"),
    ("doctor", "hotcell doctor --json"),
    ("doctor-user", "as_user hotcell doctor --json"),
    ("doctor-text", "hotcell doctor"),
    ("strict", "hotcell run -- true"),
    ("strict-user", "as_user hotcell run -- true"),
    ("best-effort", "hotcell run --best-effort landlock -- sh -c 'echo in; exit 3'"),
    ("best-effort-user", "as_user hotcell run --best-effort landlock -- sh -c 'echo in; exit 3'"),
    ("baseline", "hotcell run --profile baseline-5.10 --receipt /tmp/receipt -- sh -c 'echo in; exit 3'"),
    ("baseline-user", "as_user hotcell run --profile baseline-5.10 -- sh -c 'echo in; exit 3'"),
    ("receipt", "hotcell receipt verify /tmp/receipt --trust /tmp/root/keys/signing.key.pub"),
    ("granted", "hotcell audit show | grep grant-issued | tail -1"),
    // Walls, met from inside.
    ("inside", INSIDE_COMMAND),
    ("inside-user", INSIDE_COMMAND_OF_USER),
    ("output", "cat /tmp/out/written /tmp/user/out/written"),
    // Root reads what is its own alone, by mapped ids or by a copy; the folder itself stays as it is.
    (
        "closed",
        "hotcell run --input d=/tmp/closed --input f=/tmp/closed/file --profile baseline-5.10 -- sh -c \
                'cat /input/d/file /input/f; ls -d /.copies/* 2>/dev/null; touch /input/d/x /input/f'",
    ),
    ("closed-after", "stat -c %a /tmp/closed /tmp/closed/file"),
    // What is mounted below an input is read-only too.
    (
        "below",
        "mkdir -p /tmp/tree/sub; mount -t tmpfs none /tmp/tree/sub; echo s > /tmp/tree/sub/file
               chmod -R o+rwX /tmp/tree
               hotcell run --input d=/tmp/tree --profile baseline-5.10 -- sh -c \
               'cat /input/d/sub/file; touch /input/d/sub/file /input/d/sub/new'",
    ),
    // Limits: watched first, then by control groups that are handed down.
    ("watched", CHARGED),
    ("hand-down", "echo '+memory +pids +cpu' > /sys/fs/cgroup/cgroup.subtree_control"),
    ("doctor-groups", "hotcell doctor --json"),
    ("charged", CHARGED),
    ("pids", PIDS),
    (
        "nothing-left",
        "ls -d /sys/fs/cgroup/hotcell-* 2>/dev/null; pidof sleep; ls /tmp/root/running 2>/dev/null | wc -l",
    ),
    ("namespaces-off", "sysctl -w user.max_user_namespaces=0 >/dev/null; hotcell run --profile baseline-5.10 -- true"),
    ("doctor-off", "hotcell doctor --json"),
    ("fix", "mkdir -p /etc/sysctl.d; hotcell doctor --fix --yes"),
    ("fixed", "cat /proc/sys/user/max_user_namespaces /etc/sysctl.d/60-hotcell-user-max_user_namespaces.conf"),
    ("after-fix", "hotcell run --profile baseline-5.10 -- echo works"),
];

/// Control groups of version 1 take the place of those of version 2; then an empty version 2 comes beside them.
const VERSION_1: &[(&str, &str)] = &[
    ("kernel", "uname -r"),
    (
        "version-1",
        "umount /sys/fs/cgroup && mount -t tmpfs none /sys/fs/cgroup && for name in memory pids cpu; do
             mkdir /sys/fs/cgroup/$name && mount -t cgroup -o $name none /sys/fs/cgroup/$name || exit 1; done",
    ),
    ("mounted", "grep -c ' - cgroup2 ' /proc/self/mountinfo; grep -c ' - cgroup ' /proc/self/mountinfo"),
    ("doctor", "hotcell doctor --json"),
    ("doctor-text", "hotcell doctor"),
    ("doctor-user", "as_user hotcell doctor --json"),
    ("inside", INSIDE_COMMAND),
    ("inside-user", INSIDE_COMMAND_OF_USER),
    ("output", "cat /tmp/out/written /tmp/user/out/written"),
    ("charged", CHARGED),
    ("charged-user", CHARGED_OF_USER),
    ("pids", PIDS),
    ("receipt", "hotcell run --profile baseline-5.10 --json -- true"),
    ("nothing-left", NOTHING_LEFT_OF_VERSION_1),
    ("hybrid", "mkdir /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"),
    ("hybrid-doctor", "hotcell doctor --json"),
    ("hybrid-doctor-text", "hotcell doctor"),
    ("hybrid-inside", INSIDE_COMMAND),
    ("hybrid-charged", CHARGED),
    ("hybrid-pids", PIDS),
    ("hybrid-nothing-left", NOTHING_LEFT_OF_VERSION_1),
];

const INSIDE_COMMAND: &str = "hotcell run $INPUTS --profile baseline-5.10 --output /tmp/out -- sh -c \"$INSIDE\"";
const INSIDE_COMMAND_OF_USER: &str =
    "as_user hotcell run $INPUTS --profile baseline-5.10 --output /tmp/user/out -- sh -c \"$INSIDE\"";
const CHARGED: &str =
    "hotcell run --profile baseline-5.10 --limit memory=32MiB -- sh -c 'head -c 200m /dev/zero | tail -c 150m | wc -c'";
const CHARGED_OF_USER: &str = "as_user hotcell run --profile baseline-5.10 --limit memory=32MiB -- sh -c \
     'head -c 200m /dev/zero | tail -c 150m | wc -c'";
const PIDS: &str = "hotcell run --profile baseline-5.10 --limit pids=8 -- sh -c \
     'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 3 & done; echo made'";
const NOTHING_LEFT_OF_VERSION_1: &str =
    "find /sys/fs/cgroup -name 'hotcell-*'; pidof sleep; ls /tmp/root/running 2>/dev/null | wc -l";

/// What the workload tries; each line is a name and what came of it.
const INSIDE: &str = "echo data > /output/written
say() { echo \"$1: $(eval \"$2\" 2>&1 >/dev/null | tail -1)\"; }
say input 'touch /input/data'
say system 'touch /usr/bin/x'
say root 'touch /x'
say shadow 'cat /etc/shadow'
say kernel 'ls /sys/kernel'
say execute 'cp /usr/bin/busybox /output/b; /output/b true'
say network 'nc -w 1 192.0.2.1 9'
say mount 'mount -t tmpfs none /scratch'
say raise 'mknod /scratch/d b 8 0'
echo processes: $(ls /proc | grep -c '^[0-9]')
rm -f /output/b
";

fn boot(series: &str) -> Result<BTreeMap<String, Answer>, String> {
    ask(Machine::new(series)?, COMMANDS)
}

fn ask(mut machine: Machine, commands: &[(&str, &str)]) -> Result<BTreeMap<String, Answer>, String> {
    machine.program("/usr/bin/hotcell.real", Path::new(env!("CARGO_BIN_EXE_hotcell")))?;
    // Busybox has one that knows less.
    machine.program("/usr/bin/drop-to", &hotcell_testkit::which("setpriv").ok_or("needs the program `setpriv`")?)?;
    // The state of each user is a folder of its own.
    machine.file("/usr/bin/hotcell", 0o755, b"#!/bin/sh\nexec hotcell.real --state ${STATE:-/tmp/root} \"$@\"\n");
    let mut begin =
        String::from("mkdir -p /tmp/user /tmp/closed; chown user /tmp/user; chmod 700 /tmp/user /tmp/closed\n");
    begin.push_str("echo open > /tmp/data; echo closed > /tmp/closed/file; chmod 600 /tmp/closed/file\n");
    begin.push_str("echo secret > /etc/shadow; chmod 600 /etc/shadow\n");
    machine.file("/begin", 0o755, begin.as_bytes());
    machine.file("/inside", 0o644, INSIDE.as_bytes());
    let head = "[ -d /tmp/user ] || /begin; export INSIDE=\"$(cat /inside)\" INPUTS='--input data=/tmp/data'
as_user() { STATE=/tmp/user/state drop-to --reuid 1000 --regid 1000 --clear-groups \"$@\"; }\n";
    let commands: Vec<_> = commands.iter().map(|(name, command)| (*name, format!("{head}{command}"))).collect();
    let commands: Vec<_> = commands.iter().map(|(name, command)| (*name, command.as_str())).collect();
    machine.run(&commands)
}

/// The answers of a machine, and what they have to be.
struct Console(BTreeMap<String, Answer>);

impl Console {
    fn told(&self, name: &str, status: i32) -> &str {
        let answer = self.0.get(name).unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        &answer.text
    }

    fn has(&self, name: &str, status: i32, wanted: &[&str]) {
        let text = self.told(name, status);
        // Long lines are broken between words.
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in wanted {
            assert!(flat.contains(wanted), "{name}: `{wanted}` is not in\n{text}");
        }
    }

    /// The states of all controls.
    fn doctor(&self, name: &str, status: i32) -> BTreeMap<String, (String, String)> {
        let controls: Value = serde_json::from_str(self.told(name, status)).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let controls = controls.as_array().unwrap().iter().filter(|control| control["on_demand"] != true);
        controls.map(|c| (text(&c["wall"]), (text(&c["enforcement"]["state"]), text(&c["cause"])))).collect()
    }
}

/// What the walls answer to [`INSIDE`].
const MET_INSIDE: &[&str] = &[
    "input: touch: /input/data: Read-only file system",
    "system: touch: /usr/bin/x: Read-only file system",
    "root: touch: /x: Read-only file system",
    "shadow: cat: can't open '/etc/shadow': No such file or directory",
    "kernel: ls: /sys/kernel: No such file or directory",
    "/output/b: Permission denied",
    "Operation not permitted",
];

/// What holds on every kernel.
fn holds_everywhere(console: &Console) {
    for name in ["best-effort", "best-effort-user", "baseline", "baseline-user"] {
        console.has(name, 3, &["in"]);
    }
    for name in ["inside", "inside-user"] {
        console.has(name, 0, MET_INSIDE);
    }
    console.has("output", 0, &["data data"]);
    console.has(
        "closed",
        1,
        &["closed closed", "touch: /input/d/x: Read-only file system", "/input/f: Read-only file"],
    );
    assert!(!console.0["closed"].text.contains("/.copies/"), "{}", console.0["closed"].text);
    console.has("closed-after", 0, &["700 600"]);
    // Two streams, which come in no order.
    console.has("below", 1, &["touch: /input/d/sub/file: Read-only", "touch: /input/d/sub/new: Read-only"]);
    assert!(console.0["below"].text.lines().any(|line| line.trim() == "s"), "{}", console.0["below"].text);
    assert!(!console.0["watched"].text.contains("157286400"), "{}", console.0["watched"].text);
    let limits = ["memory-limit", "pids-limit", "cpu-limit"];
    let before = console.doctor("doctor", 1);
    let user = console.doctor("doctor-user", 1);
    for limit in limits {
        assert_eq!(before[limit], ("partial".into(), "not-handed-down".into()), "{limit}");
        assert_eq!(user[limit], ("partial".into(), "no-delegation".into()), "{limit}");
    }
    console.told("hand-down", 0);
    let groups = i32::from(before["landlock"].0 != "full");
    let after = console.doctor("doctor-groups", groups);
    assert!(limits.iter().all(|limit| after[*limit].0 == "full"), "{after:?}");
    console.has("charged", 124, &["memory"]);
    assert!(!console.0["pids"].text.contains("made"), "{}", console.0["pids"].text);
    let left = &console.0["nothing-left"].text;
    assert_eq!(left.trim(), "0", "{left}");
    console.has("namespaces-off", 122, &["user namespaces", "hotcell doctor"]);
    let off = console.doctor("doctor-off", 1);
    assert_eq!(off["user-namespace"], ("absent".into(), "user-namespaces-off".into()));
    assert_eq!(off["seccomp"], ("absent".into(), "user-namespaces-off".into()));
    console.told("fix", groups);
    console.has("fixed", 0, &["15000", "user.max_user_namespaces = 15000"]);
    console.has("after-fix", 0, &["works"]);
    // Every other control stands, for both.
    for (wall, (state, cause)) in before.iter().chain(&user) {
        let known = limits.contains(&wall.as_str()) || wall == "landlock";
        assert!(known || state == "full", "{wall} {state} {cause}");
    }
}

/// Boots a kernel and hands over its console, or says why it cannot.
macro_rules! console {
    ($answers:expr) => {{
        hotcell_testkit::full_only!();
        match $answers {
            Ok(answers) => {
                // Shown when the test fails.
                for (name, answer) in answers.iter().filter(|(_, answer)| !answer.text.starts_with('[')) {
                    println!("--- {name}: {}\n{}", answer.status, answer.text);
                }
                Console(answers)
            }
            Err(reason) if reason.starts_with("no kernel") || reason.starts_with("needs") => {
                hotcell_testkit::skip!("{reason}")
            }
            Err(reason) => panic!("{reason}"),
        }
    }};
}

#[test]
fn on_linux_5_10_only_the_baseline_runs_and_names_the_missing_landlock() {
    let console = console!(boot("5.10"));
    console.has("kernel", 0, &["5.10."]);
    for name in ["strict", "strict-user"] {
        console.has(name, 122, &["ISO-010", "landlock", "--profile baseline-5.10", "--best-effort landlock"]);
    }
    assert_eq!(console.doctor("doctor", 1)["landlock"], ("absent".into(), "no-landlock".into()));
    console.has("doctor-text", 1, &["Linux 5.10 has no Landlock", "--profile baseline-5.10", "copied into memory"]);
    console.has("receipt", 0, &["baseline-5.10", "landlock DOES NOT HOLD", "does without landlock"]);
    console.has("granted", 0, &["landlock"]);
    holds_everywhere(&console);
}

#[test]
fn on_linux_6_1_an_old_landlock_is_short_of_full_and_refused_by_default() {
    let console = console!(boot("6.1"));
    console.has("kernel", 0, &["6.1."]);
    for name in ["strict", "strict-user"] {
        console.has(name, 122, &["ISO-010", "landlock", "version 2", "--best-effort landlock"]);
    }
    assert_eq!(console.doctor("doctor", 1)["landlock"], ("partial".into(), "old-landlock".into()));
    console.has("doctor-text", 1, &["is version 2 and does not cover truncation", "--profile baseline-5.10"]);
    console.has("receipt", 0, &["baseline-5.10", "landlock in part", "does without landlock"]);
    holds_everywhere(&console);
}

#[test]
fn on_linux_6_12_everything_stands_once_control_groups_are_handed_down() {
    let console = console!(boot("6.12"));
    console.has("kernel", 0, &["6.12."]);
    for name in ["strict", "strict-user"] {
        console.told(name, 0);
    }
    assert_eq!(console.doctor("doctor", 1)["landlock"].0, "full");
    console.has("doctor-groups", 0, &["full"]);
    holds_everywhere(&console);
}

/// An encrypted scratch under control groups of version 2: its server has a group beside the sandbox's, and both share one
/// limit on processor time.
const SERVED: &[(&str, &str)] = &[
    ("module", "insmod /fuse.ko && ls /dev/fuse"),
    ("hand-down", "echo '+memory +pids +cpu' > /sys/fs/cgroup/cgroup.subtree_control"),
    (
        "served",
        "hotcell run --profile /encrypted.toml --limit cpu=0.5 --limit wall=300s --limit file_size=64MiB -- sh -c \
             'while :; do dd if=/dev/zero of=/scratch/f bs=1M count=16 2>/dev/null; done' & hotcell=$!
         used() { grep usage_usec $1/cpu.stat | cut -d' ' -f2; }
         until [ -n \"$(cat /sys/fs/cgroup/hotcell-*/scratch/cgroup.procs 2>/dev/null)\" ] && \
               [ \"$(used /sys/fs/cgroup/hotcell-*/scratch)\" -gt 200000 ]; do
             kill -0 $hotcell || exit 1; sleep 1; done
         cd /sys/fs/cgroup/hotcell-*/
         echo limit $(cat cpu.max), sandbox $(cat sandbox/memory.max), server $(cat scratch/memory.max)
         echo members $(cat cgroup.procs | wc -l) $(cat scratch/cgroup.procs | wc -l)
         before=$(used .); begin=$(cut -d. -f1 /proc/uptime); sleep 20
         echo both $(( $(used .) - before )) in $(( $(cut -d. -f1 /proc/uptime) - begin ))
         echo server $(used scratch) sandbox $(used sandbox)
         cd /; kill $hotcell; wait $hotcell; echo ended with $?",
    ),
    ("nothing-left", "ls -d /sys/fs/cgroup/hotcell-* 2>/dev/null; pidof sleep; ls /tmp/root/running | wc -l"),
    // Killed with its groups made: the next start removes what lies within before what is around it.
    (
        "killed",
        "hotcell.real --state /tmp/root run --profile /encrypted.toml --limit cpu=0.5 -- sleep 600 & hotcell=$!
         until [ -n \"$(cat /sys/fs/cgroup/hotcell-*/sandbox/cgroup.procs 2>/dev/null)\" ]; do
             kill -0 $hotcell || exit 1; sleep 1; done
         kill -9 $hotcell; wait $hotcell; ls -d /sys/fs/cgroup/hotcell-*/*/",
    ),
    ("swept", "hotcell run --profile baseline-5.10 -- true; ls -d /sys/fs/cgroup/hotcell-* 2>/dev/null; true"),
];

#[test]
fn under_version_2_a_sandbox_and_the_server_of_its_scratch_share_one_limit_on_processor_time() {
    let machine = Machine::new("6.1").and_then(|mut machine| {
        machine.module("fuse")?;
        let profile = "name = \"encrypted\"\nextends = \"baseline-5.10\"\n[scratch]\nkind = \"encrypted\"\n";
        machine.file("/encrypted.toml", 0o644, profile.as_bytes());
        Ok(machine)
    });
    let console = console!(machine.and_then(|machine| ask(machine, SERVED)));
    console.told("module", 0);
    console.told("hand-down", 0);
    let told = console.told("served", 0);
    console.has("served", 0, &["limit 50000 100000, sandbox 536870912, server max", "members 0 1", "ended with 130"]);
    let figures = |word: &str| -> Vec<u64> {
        let line = told.lines().find(|line| line.starts_with(word)).unwrap_or_default();
        line.split(' ').filter_map(|word| word.parse().ok()).collect()
    };
    // The kernel's own count by its own clock: half a processor, and what was over a period's end.
    let [used, seconds] = figures("both ")[..] else { panic!("{told}") };
    assert!(used <= seconds * 1_000_000 * 6 / 10, "{used} µs in {seconds} s");
    let [server, sandbox] = figures("server ")[..] else { panic!("{told}") };
    assert!(server > 0 && sandbox > 0, "both have worked: {told}");
    assert_eq!(console.0["nothing-left"].text.trim(), "0");
    console.has("killed", 0, &["/sandbox/", "/scratch/"]);
    assert!(!console.told("swept", 0).contains("hotcell-"), "{}", console.0["swept"].text);
}

#[test]
fn with_control_groups_of_version_1_alone_and_beside_version_2_limits_are_kept_by_the_kernel() {
    let console = console!(Machine::new("5.10").and_then(|machine| ask(machine, VERSION_1)));
    let limits = ["memory-limit", "pids-limit", "cpu-limit"];
    console.told("version-1", 0);
    console.has("mounted", 0, &["0 3"]);
    console.has("doctor-text", 1, &["Linux 5.10", "control groups v1 root"]);
    let root = console.doctor("doctor", 1);
    assert!(limits.iter().all(|limit| root[*limit].0 == "full"), "{root:?}");
    let user = console.doctor("doctor-user", 1);
    assert!(limits.iter().all(|limit| user[*limit] == ("partial".into(), "control-groups-v1".into())), "{user:?}");
    for name in ["inside", "inside-user", "hybrid-inside"] {
        console.has(name, 0, MET_INSIDE);
    }
    console.has("output", 0, &["data data"]);
    // Version 1 kills the process that wants too much, not the whole group: the shell goes on and tells of it.
    for (name, told) in [("charged", "Killed"), ("charged-user", "out of memory"), ("hybrid-charged", "Killed")] {
        console.has(name, 0, &[told]);
        assert!(!console.0[name].text.contains("157286400"), "{}", console.0[name].text);
    }
    for name in ["pids", "hybrid-pids"] {
        assert!(!console.0[name].text.contains("made"), "{}", console.0[name].text);
    }
    let done: Value = serde_json::from_str(console.told("receipt", 0)).unwrap();
    let kept = |limit: &Value| limit["enforcement"] == "full" && limit["name"] != "scratch";
    let full: Vec<_> = done["limits"].as_array().unwrap().iter().filter(|limit| kept(limit)).collect();
    for name in ["memory", "pids"] {
        // How many processes there were at most, this kernel does not tell.
        let has_figure = |limit: &Value| name == "pids" || limit["used"].is_string();
        assert!(full.iter().any(|limit| limit["name"] == name && has_figure(limit)), "{full:?}");
    }
    console.told("hybrid", 0);
    console.has("hybrid-doctor-text", 1, &["control groups v1 beside v2 root"]);
    let hybrid = console.doctor("hybrid-doctor", 1);
    assert!(limits.iter().all(|limit| hybrid[*limit].0 == "full"), "{hybrid:?}");
    for name in ["nothing-left", "hybrid-nothing-left"] {
        assert_eq!(console.0[name].text.trim(), "0");
    }
}
