//! Encrypted scratch, through the command: it works, it ends, and nothing of it is found anywhere.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hotcell_testkit::{require_program, require_root, skip};

use crate::hotcell::{Place, text};

const PROFILE: &str = "name = \"encrypted\"\nextends = \"strict\"\n[scratch]\nkind = \"encrypted\"\n";

/// Whether a sandbox of this user may mount FUSE.
fn has_fuse() -> bool {
    fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok()
}

macro_rules! require_fuse {
    () => {
        if !has_fuse() {
            skip!("this user may not open /dev/fuse");
        }
    };
}

/// A place whose profile `p.toml` demands an encrypted scratch.
fn place() -> Place {
    let place = Place::new();
    place.file("p.toml", PROFILE);
    place
}

fn run(script: &str) -> Vec<&str> {
    vec!["run", "--profile", "p.toml", "--", "/bin/sh", "-c", script]
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(120), "still not so after two minutes: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The server of a Hotcell's sandbox.
fn server_of(parent: u32) -> Option<u32> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|id: &u32| is_server(*id)).find(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after).to_owned();
        after.split(' ').nth(1).and_then(|number| number.parse().ok()) == Some(parent)
    })
}

fn is_server(id: u32) -> bool {
    fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.starts_with(b"hotcell-scratch\0"))
}

fn kill(id: u32) {
    assert!(Command::new("kill").args(["-9", &id.to_string()]).status().unwrap().success());
}

/// A task that did its work in scratch, and waits.
struct Waiting {
    child: Child,
    server: u32,
}

impl Waiting {
    fn start(place: &Place, script: &str) -> Self {
        Self::start_with(place, &[], script)
    }

    fn start_with(place: &Place, options: &[&str], script: &str) -> Self {
        let script = format!("{script}; echo ready; exec sleep 600.{}", std::process::id());
        let mut child = place.start(&[&run(&script)[..1], options, &run(&script)[1..]].concat());
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        if line != "ready\n" {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("{line}{said}");
        }
        child.stdout = Some(out.into_inner());
        let server = server_of(child.id()).unwrap();
        Self { child, server }
    }

    fn is_gone(&self) -> bool {
        !is_server(self.server)
    }
}

#[test]
fn a_workload_works_on_an_encrypted_scratch_and_the_receipt_says_so() {
    require_fuse!();
    let place = place();
    let script = "cd /scratch && stat -f -c %T . && echo hello > a && mkdir d && mv a d/b && ln -s d/b c && cat c \
                  && cp /bin/true t && chmod 755 t && (./t || echo $?) && ls -A /dev/shm | wc -l";
    let out = place.expect(0, &[&run(script)[..1], &["--receipt", "r.json"], &run(script)[1..]].concat());
    assert_eq!(out, "fuseblk\nhello\n126\n0\n".replace("fuseblk", out.lines().next().unwrap()));
    assert!(out.starts_with("fuse"), "{out}");
    let shown = place.expect(0, &["receipt", "verify", "r.json", "--trust", "state/keys/signing.key.pub", "--json"]);
    for part in ["256 MiB, encrypted volume (AES-256-GCM, key in memory only)", "key wiped, encrypted file freed"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("scratch, outputs and an opened model lived in memory"), "{shown}");
    let log = place.expect(0, &["--json", "audit", "show"]);
    assert!(log.contains("encrypted volume"), "{log}");
    place.expect(0, &["audit", "verify"]);
}

#[test]
fn small_scratch_is_in_memory_where_nothing_is_swapped_in_plain_and_the_receipt_says_so() {
    if fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1) {
        skip!("this host swaps");
    }
    let place = Place::new();
    place.expect(0, &["run", "--receipt", "r.json", "--", "/bin/true"]);
    let shown = place.expect(0, &["receipt", "verify", "r.json", "--trust", "state/keys/signing.key.pub", "--json"]);
    assert!(shown.contains("256 MiB, in memory") && shown.contains("memory freed, not key-wiped"), "{shown}");
}

#[test]
fn scratch_that_is_large_for_the_host_is_encrypted_without_asking() {
    require_fuse!();
    let place = Place::new();
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let kib: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    let limit = format!("scratch={}KiB", kib / 3);
    place.expect(0, &["run", "--limit", &limit, "--receipt", "r.json", "--", "/bin/true"]);
    let shown = place.expect(0, &["receipt", "verify", "r.json", "--trust", "state/keys/signing.key.pub", "--json"]);
    assert!(shown.contains("encrypted volume"), "{shown}");
}

#[test]
fn where_there_is_no_fuse_an_encrypted_scratch_is_refused_and_never_becomes_a_plain_one() {
    require_root!();
    require_program!("unshare");
    // Devices as everybody has them, but this one.
    let without = "mount -t tmpfs none /mnt && cd /mnt && for name in null zero full random urandom; do \
                   : > $name && mount --bind /dev/$name $name; done && mount --move /mnt /dev && cd \"$0\" && exec \"$@\"";
    let place = place();
    let inner = place.command(&run("echo ran"));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", without]).arg(place.path("."));
    command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(122), String::new()));
    assert!(text(&output.stderr).contains("ISO-015"), "{}", text(&output.stderr));
}

#[test]
fn the_size_of_an_encrypted_scratch_is_hard() {
    require_fuse!();
    let place = place();
    let script = "head -c 2000000 /dev/zero > /scratch/a || echo full; wc -c < /scratch/a";
    let limited = [&run(script)[..1], &["--limit", "scratch=1MiB"], &run(script)[1..]].concat();
    let output = place.output(&limited);
    assert_eq!(text(&output.stdout), "full\n1048576\n", "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("No space left on device"), "{}", text(&output.stderr));
}

#[test]
fn two_sandboxes_have_a_server_and_a_volume_each() {
    require_fuse!();
    let place = place();
    let script = "ls -A /scratch | wc -l > /scratch/seen; test $(cat /scratch/seen) -le 2";
    let (mut one, mut other) = (Waiting::start(&place, script), Waiting::start(&place, script));
    assert_ne!(one.server, other.server);
    one.child.kill().unwrap();
    one.child.wait().unwrap();
    wait_until("the server is gone with its host", || one.is_gone());
    assert!(!other.is_gone());
    other.child.kill().unwrap();
    other.child.wait().unwrap();
    wait_until("the other server too", || other.is_gone());
    place.expect(0, &run("true"));
    assert_eq!(fs::read_dir(place.state().join("scratch")).unwrap().count(), 0);
}

#[test]
fn a_server_that_is_killed_ends_the_task_and_nothing_is_left() {
    require_fuse!();
    let place = place();
    let mut waiting = Waiting::start(&place, "echo here > /scratch/a");
    kill(waiting.server);
    let output = waiting.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("TSK-014"), "{}", text(&output.stderr));
    waiting.child = place.start(&run("echo again > /scratch/a; cat /scratch/a"));
    assert_eq!(text(&waiting.child.wait_with_output().unwrap().stdout), "again\n");
    place.expect(0, &["audit", "verify"]);
    assert_eq!(place.json(0, &["--json", "ps"]).as_array().unwrap().len(), 0);
}

#[test]
fn an_interruption_ends_a_task_in_order_and_its_key_is_wiped() {
    require_fuse!();
    let place = place();
    let waiting = Waiting::start(&place, "head -c 50000000 /dev/zero > /scratch/a");
    let server = waiting.server;
    assert!(Command::new("kill").args(["-TERM", &waiting.child.id().to_string()]).status().unwrap().success());
    let output = waiting.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(!is_server(server), "the host waited for its server");
    let task = place.json(0, &["--json", "ps", "--all"])[0]["task"].as_str().unwrap().to_owned();
    let shown = place.expect(0, &["--json", "show", &task]);
    assert!(shown.contains("cancelled") && shown.contains("key wiped, encrypted file freed"), "{shown}");
}

#[test]
fn the_server_is_of_no_use_to_anybody_else() {
    use std::os::unix::process::CommandExt as _;
    let server = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotcell"));
        command.arg0("hotcell-scratch").stdin(Stdio::null());
        command
    };
    assert_eq!(server().status().unwrap().code(), Some(2));
    let told = server().arg("--serve-one-sandbox-and-nothing-else").output().unwrap();
    assert_eq!((told.status.code(), told.stdout.len(), told.stderr.len()), (Some(125), 0, 0));
}

#[test]
fn the_server_is_locked_in() {
    require_fuse!();
    require_root!();
    // What it keeps of files and blocks grows by some megabytes, which it may lock without a capability.
    let script =
        "cd /scratch; head -c 100000000 /dev/zero > a; i=0; while [ $i -lt 5000 ]; do : > $i; i=$((i+1)); done";
    let mut waiting = Waiting::start(&place(), script);
    let status = fs::read_to_string(format!("/proc/{}/status", waiting.server)).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let field = |status: &str, name: &str, radix| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(value.split_whitespace().next().unwrap(), radix).unwrap()
    };
    // No capability; where root may not raise limits, the one that locks memory beyond them.
    let own = field(&fs::read_to_string("/proc/self/status").unwrap(), "CapEff:", 16);
    let (ipc_lock, sys_resource) = (1 << 14, 1 << 24);
    let is_unlimited = rustix::process::getrlimit(rustix::process::Resource::Memlock).maximum.is_none();
    let kept = if is_unlimited || own & sys_resource != 0 { 0 } else { own & ipc_lock };
    for (set, expected) in [("CapInh:", 0), ("CapPrm:", kept), ("CapEff:", kept), ("CapAmb:", 0)] {
        assert_eq!(field(&status, set, 16), expected, "{set} {status}");
    }
    if is_unlimited || own & (sys_resource | ipc_lock) != 0 {
        let (locked, data) = (field(&status, "VmLck:", 10), field(&status, "VmData:", 10));
        assert!(locked >= data, "all of its data is locked, also what came later: {locked} of {data} KiB");
    }
    // Streams, control socket, backing file, device.
    let open = fs::read_dir(format!("/proc/{}/fd", waiting.server)).unwrap().count();
    assert!(open <= 7, "{open}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", waiting.server)).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"));
    waiting.child.kill().unwrap();
    waiting.child.wait().unwrap();
}

/// A disk of its own for the state folder: a file with an ext4 file system in it, journal and all.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    fn mount(place: &Place) -> Option<Self> {
        let disk = Self { image: place.path("disk"), at: place.state() };
        File::create(&disk.image).unwrap().set_len(96 << 20).unwrap();
        fs::create_dir(&disk.at).unwrap();
        assert!(Command::new("mkfs.ext4").arg("-q").arg(&disk.image).status().unwrap().success());
        let mounted = Command::new("mount").args(["-o", "loop"]).args([&disk.image, &disk.at]).output().unwrap();
        mounted.status.success().then_some(disk)
    }

    /// Whether the raw disk holds this text, after everything that waits was written to it.
    fn holds(&self, canary: &str) -> bool {
        assert!(Command::new("sync").arg("-f").arg(&self.at).status().unwrap().success());
        rustix::fs::syncfs(File::open(&self.at).unwrap()).unwrap();
        finds(&self.image, canary)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

/// Whether a file holds this text, read piece by piece.
fn finds(path: &Path, canary: &str) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut piece = vec![0; 1 << 20];
    let mut kept = Vec::new();
    while let Ok(count @ 1..) = file.read(&mut piece) {
        kept.extend_from_slice(&piece[..count]);
        if kept.windows(canary.len()).any(|window| window == canary.as_bytes()) {
            return true;
        }
        kept.drain(..kept.len().saturating_sub(canary.len()));
    }
    false
}

/// Whether a file below a folder holds this text, or is called so.
fn finds_below(folder: &Path, canary: &str) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let kind = entry.file_type().unwrap();
        let path = entry.path();
        let is_named = entry.file_name().to_string_lossy().contains(canary);
        is_named || kind.is_dir() && finds_below(&path, canary) || kind.is_file() && finds(&path, canary)
    })
}

/// Places on the host's disks where something could be left: swap, temporary folders, the state.
fn found_on_host(place: &Place, canary: &str) -> Vec<PathBuf> {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let swaps = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(PathBuf::from);
    let found_swaps = swaps.filter(|swap| finds(swap, canary)).collect::<Vec<_>>();
    let folders = [place.state(), place.path("."), "/var/tmp".into(), "/dev/shm".into()];
    let found = folders.into_iter().filter(|folder| finds_below(folder, canary)).collect::<Vec<_>>();
    [found_swaps, found].concat()
}

/// Fills scratch with a text, in contents and names. The text is put together inside, so that no command line has it.
fn filling(head: &str, tail: &str) -> String {
    format!(
        "c={head}; c=${{c}}{tail}; cd /scratch; mkdir $c; for i in 1 2 3 4 5 6 7 8; do \
         yes $c | head -c 1000000 > $c/$i; echo $c >> $c/$i; ln -s $c $c/l$i; done; sync"
    )
}

#[test]
fn nothing_of_scratch_is_on_the_disk_during_and_after_and_after_kill() {
    require_fuse!();
    require_root!();
    require_program!("mkfs.ext4");
    let place = place();
    let Some(disk) = Disk::mount(&place) else { skip!("no loop device here") };
    let (head, tail) = (format!("canary-{}-", std::process::id()), "of-the-patients");
    let canary = format!("{head}{tail}");
    let script = filling(&head, tail);

    // During: the raw disk with its journal, the backing file as the server has it, and the rest of the host.
    let mut waiting = Waiting::start(&place, &script);
    let backing = backing_of(waiting.server);
    assert!(fs::metadata(&backing).unwrap().len() >= 8_000_000, "the content lies there");
    assert!(!finds(&backing, &canary));
    assert!(!disk.holds(&canary));
    assert_eq!(found_on_host(&place, &canary), Vec::<PathBuf>::new());

    // After kill -9 of Hotcell, and after that of the server, and after an end in order.
    waiting.child.kill().unwrap();
    waiting.child.wait().unwrap();
    wait_until("the server is gone", || waiting.is_gone());
    assert!(!disk.holds(&canary));
    let killed = Waiting::start(&place, &script);
    kill(killed.server);
    killed.child.wait_with_output().unwrap();
    assert!(!disk.holds(&canary));
    place.expect(0, &run(&script));
    assert!(!disk.holds(&canary));
    assert_eq!(found_on_host(&place, &canary), Vec::<PathBuf>::new());

    // And the search would find it: the same text in a plain file of that disk, removed again.
    let plain = place.state().join("plain");
    fs::write(&plain, canary.repeat(1000)).unwrap();
    assert!(disk.holds(&canary));
    fs::remove_file(&plain).unwrap();
    assert!(disk.holds(&canary), "as long as nothing overwrites it");
}

/// The path by which root can read the backing file of a server.
fn backing_of(server: u32) -> PathBuf {
    let folder = PathBuf::from(format!("/proc/{server}/fd"));
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| fs::read_link(path).unwrap().to_string_lossy().contains("(deleted)")).unwrap()
}

#[test]
fn blocks_that_are_changed_on_the_disk_are_errors_inside_and_an_integrity_failure() {
    require_fuse!();
    require_root!();
    let place = place();
    // Its own page cache is emptied by removing the pages of the file: dd's nocache.
    let script = "head -c 100000 /dev/urandom > /scratch/a; sync; dd if=/scratch/a iflag=nocache count=0 2>/dev/null; \
                  echo ready; read line; cat /scratch/a > /dev/null && echo read || echo refused";
    let arguments = [&run(script)[..1], &["--stdin"], &run(script)[1..]].concat();
    let mut child =
        place.command(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let backing = backing_of(server_of(child.id()).unwrap());
    let file = fs::OpenOptions::new().write(true).open(backing).unwrap();
    rustix::io::pwrite(&file, &[0; 50_000], 0).unwrap();
    drop(child.stdin.take());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), rest.as_str()), (Some(123), "refused\n"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("TSK-015"), "{}", text(&output.stderr));
    assert!(file.as_raw_fd() >= 0);
}

#[test]
fn the_servers_processor_time_counts_as_the_sandboxs_and_its_memory_does_not() {
    hotcell_testkit::require_root!();
    require_fuse!();
    let place = place();
    let waiting = Waiting::start_with(&place, &["--limit", "cpu=0.5"], "true");
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", waiting.server)).unwrap();
    let id = waiting.child.id().to_string();
    let ended = waiting.child;
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = ended.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let group_of = |controller: &str| {
        let mut lines = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        lines.find(|(names, _)| names.split(',').any(|name| name == controller)).map(|(_, path)| path.to_owned())
    };
    let Some(cpu) = group_of("cpu").or(group_of("")).filter(|path| path.contains("hotcell-t-")) else {
        skip!("no control group limits processor time here:\n{groups}");
    };
    // In version 2 it has a group of its own beside the sandbox's.
    assert!(group_of("cpu").is_some() || cpu.ends_with("-scratch"), "{groups}");
    assert!(group_of("memory").is_none_or(|path| !path.contains("hotcell-t-")), "{groups}");
    assert!(group_of("pids").is_none_or(|path| !path.contains("hotcell-t-")), "{groups}");
}
