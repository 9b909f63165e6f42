//! The allow-list held against what real programs call, as strace sees it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use hotcell_policy::{Profile, calls};
use hotcell_testkit::{have_program, require_program};

/// Program, arguments. Those that are not installed are passed over; `bash` must be there.
const WORK: &[(&str, &[&str])] = &[
    (
        "bash",
        &[
            "-c",
            "cd $0 && for i in 1 2; do echo $i | sort | uniq; done; cat <(echo x); mkdir d; mv d e; ln -s e f; tar cf t e && tar xf t; find . | xargs ls -la; timeout 1 sleep 0.01; setsid true; rm -r e",
        ],
    ),
    (
        "python3",
        &[
            "-c",
            "import sys,subprocess,sqlite3,socket,threading,shutil,os,multiprocessing as m\nos.chdir(sys.argv[1])\nsubprocess.run(['true'])\nq=m.Queue(); q.put(1); q.get()\nc=sqlite3.connect('x.db'); c.execute('create table t(a)'); c.commit()\nshutil.copy2('x.db','y.db')\nsocket.socketpair()\nt=threading.Thread(target=print); t.start(); t.join()",
        ],
    ),
    (
        "node",
        &["-e", "require('child_process').execSync('true'); new (require('worker_threads').Worker)('1',{eval:true})"],
    ),
    ("perl", &["-e", "print time; system('true'); fork or exit; wait"]),
    ("git", &["--version"]),
    ("gcc", &["-x", "c", "/dev/null", "-c", "-o", "/dev/null"]),
];

#[test]
fn strict_lets_pass_what_common_programs_call() {
    require_program!("strace");
    require_program!("bash");
    let profile = Profile::builtin("strict").unwrap();
    let passing: BTreeSet<_> = profile.system_calls().into_iter().collect();
    // What these programs survive: they ask, are refused, and do it the older way.
    let survived: BTreeSet<_> =
        calls::ANSWERED_NOT_IMPLEMENTED.iter().map(|(name, _)| *name).chain(["pkey_alloc"]).collect();
    for (program, arguments) in WORK.iter().filter(|(program, _)| have_program(program)) {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace");
        let seen = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&trace)
            .arg(program)
            .args(*arguments)
            .args(matches!(*program, "bash" | "python3").then_some(folder.path()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(seen.unwrap().success(), "{program}");
        let trace = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
        let called: BTreeSet<_> = trace
            .lines()
            .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('))
            .map(|(name, _)| name)
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'))
            .collect();
        assert!(called.contains("execve"), "{program}: nothing was traced");
        let refused: Vec<_> =
            called.iter().filter(|name| !passing.contains(*name) && !survived.contains(*name)).collect();
        assert!(refused.is_empty(), "{program} calls {refused:?}");
    }
}
