//! A volume that is really mounted: real programs, and the kernel's own view of it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use hotcell_testkit::{require_program, skip};
use hotcell_vault::scratch::{Blocks, Cipher, Ended, Limits, Owner, Server, Time, Volume};

/// A mounted volume, served by a thread.
struct Mounted {
    at: PathBuf,
    _folder: tempfile::TempDir,
    server: Option<JoinHandle<Ended>>,
    _control: UnixStream,
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time { seconds: since.as_secs() as i64, nanoseconds: since.subsec_nanos() }
}

impl Mounted {
    /// `None` where this user may not mount.
    fn new(bytes: u64, inodes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("volume");
        fs::create_dir(&at).unwrap();
        let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse").ok()?;
        let id = rustix::process::getuid().as_raw();
        let group = rustix::process::getgid().as_raw();
        let options =
            format!("fd={},rootmode=40000,user_id={id},group_id={group},default_permissions", fuse.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        rustix::mount::mount("hotcell", &at, "fuse", rustix::mount::MountFlags::empty(), options.as_c_str()).ok()?;
        let (ours, theirs) = UnixStream::pair().unwrap();
        let backing = tempfile::tempfile().unwrap();
        let server = std::thread::spawn(move || {
            let blocks = Blocks::new(Box::new(backing), Cipher::with_new_key().unwrap());
            let volume = Volume::new(blocks, Limits { bytes, inodes }, Owner { user: id, group }, now());
            Server::new(OwnedFd::from(fuse), volume, &now).unwrap().serve(theirs.as_fd()).unwrap()
        });
        Some(Self { at, _folder: folder, server: Some(server), _control: ours })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    fn shell(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-e", "-c", script]).current_dir(&self.at).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        said
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.at, rustix::mount::UnmountFlags::DETACH).unwrap();
        let ended = self.server.take().unwrap().join();
        if !std::thread::panicking() {
            assert_eq!(ended.unwrap(), Ended::Unmounted);
        }
    }
}

macro_rules! mounted {
    ($bytes:expr, $inodes:expr) => {
        match Mounted::new($bytes, $inodes) {
            Some(mounted) => mounted,
            None => skip!("this user may not mount a FUSE file system here"),
        }
    };
}

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(&result.unwrap_err()).unwrap()
}

#[test]
fn files_behave_as_on_any_file_system() {
    let volume = mounted!(64 << 20, 1000);
    let path = volume.path("file");
    let mut file = OpenOptions::new().create_new(true).read(true).write(true).open(&path).unwrap();
    file.write_all(b"begin").unwrap();
    file.seek(SeekFrom::Start(100_000)).unwrap();
    file.write_all(b"end").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 100_003);
    assert!(fs::metadata(&path).unwrap().blocks() <= 16, "a hole takes no room");
    let mut append = OpenOptions::new().append(true).open(&path).unwrap();
    append.write_all(b" of it").unwrap();
    file.sync_all().unwrap();
    let content = fs::read(&path).unwrap();
    assert_eq!((&content[..6], &content[100_000..]), (&b"begin\0"[..], &b"end of it"[..]));
    file.set_len(3).unwrap();
    file.set_len(10).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"beg\0\0\0\0\0\0\0");

    fs::hard_link(&path, volume.path("other")).unwrap();
    std::os::unix::fs::symlink("file", volume.path("link")).unwrap();
    assert_eq!(fs::metadata(volume.path("link")).unwrap().nlink(), 2);
    fs::rename(&path, volume.path("renamed")).unwrap();
    fs::remove_file(volume.path("renamed")).unwrap();
    fs::remove_file(volume.path("other")).unwrap();
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(&text[..3], "beg", "an open file lives on without a name");
    assert_eq!(errno(File::open(volume.path("link"))), rustix::io::Errno::NOENT);
    fs::create_dir_all(volume.path("a/b/c")).unwrap();
    assert_eq!(errno(fs::remove_dir(volume.path("a"))), rustix::io::Errno::NOTEMPTY);
    assert_eq!(errno(fs::rename(volume.path("a"), volume.path("a/b/d"))), rustix::io::Errno::INVAL);
    fs::remove_dir_all(volume.path("a")).unwrap();
    let attribute = rustix::fs::setxattr(volume.path("link"), "user.a", b"b", rustix::fs::XattrFlags::empty());
    assert!(attribute.is_err());
}

#[test]
fn a_folder_is_listed_whole_while_it_changes() {
    let volume = mounted!(1 << 20, 5000);
    for number in 0..3000 {
        File::create(volume.path(&format!("file-{number}"))).unwrap();
    }
    assert_eq!(fs::read_dir(&volume.at).unwrap().count(), 3000);
    let mut seen = 0;
    for entry in fs::read_dir(&volume.at).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        seen += 1;
    }
    assert_eq!((seen, fs::read_dir(&volume.at).unwrap().count()), (3000, 0));
}

#[test]
fn the_quota_is_met_as_no_space_at_the_write_itself() {
    let volume = mounted!(1 << 20, 20);
    let mut file = File::create(volume.path("file")).unwrap();
    let mut written = 0;
    let error = loop {
        match file.write(&[1; 10_000]) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    assert_eq!((written, error.raw_os_error()), (1 << 20, Some(28)));
    assert_eq!(volume.shell("df --output=avail . | tail -1 | tr -d ' '"), "0\n");
    fs::remove_file(volume.path("file")).unwrap();
    drop(file);
    fs::write(volume.path("again"), [2; 1 << 20]).unwrap();
    let flood = (0..).map(|number| File::create(volume.path(&number.to_string()))).find_map(Result::err).unwrap();
    assert_eq!(flood.raw_os_error(), Some(28));
}

#[test]
fn holes_are_punched_and_found() {
    let volume = mounted!(8 << 20, 20);
    let file = File::create(volume.path("file")).unwrap();
    file.write_all_at(&[7; 1 << 20], 0).unwrap();
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, flags, 4096, 1 << 19).unwrap();
    assert_eq!(rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap(), 4096);
    assert_eq!(rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(4096)).unwrap(), 4096 + (1 << 19));
    assert_eq!(file.metadata().unwrap().blocks() * 512, (1 << 20) - (1 << 19));
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 2 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 2 << 20);
}

/// What python3 does with a shared writable mapping and with SQLite.
const PYTHON: &str = r#"
import mmap, os, sqlite3
with open("mapped", "wb") as file:
    file.truncate(1 << 20)
with open("mapped", "r+b") as file:
    with mmap.mmap(file.fileno(), 0) as shared:
        shared[5000:5005] = b"hello"
        shared[-3:] = b"end"
with open("mapped", "rb") as file:
    content = file.read()
assert content[5000:5005] == b"hello" and content[-3:] == b"end" and content[:5000] == bytes(5000)
for mode in "delete", "wal":
    base = sqlite3.connect("base-" + mode)
    base.execute("pragma journal_mode=" + mode)
    base.execute("create table t(a integer primary key, b text)")
    for round in range(20):
        with base:
            base.executemany("insert into t(b) values(?)", [("row %d" % i,) for i in range(200)])
    with base:
        base.execute("delete from t where a % 3 = 0")
    base.execute("vacuum")
    assert base.execute("pragma integrity_check").fetchone() == ("ok",)
    assert base.execute("select count(*) from t").fetchone() == (4000 - 1333,)
    base.close()
"#;

#[test]
fn shared_mappings_and_databases_work() {
    require_program!("python3");
    let volume = mounted!(64 << 20, 1000);
    fs::write(volume.path("try.py"), PYTHON).unwrap();
    let has_sqlite = Command::new("python3").args(["-c", "import sqlite3"]).status().unwrap().success();
    if !has_sqlite {
        skip!("this python3 lacks sqlite3");
    }
    volume.shell("python3 try.py");
}

#[test]
fn a_repository_and_a_compiler_work() {
    require_program!("git");
    require_program!("cc");
    let volume = mounted!(256 << 20, 10_000);
    volume.shell(
        "export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
         git init -q repository && cd repository
         git config user.email a@b && git config user.name a
         printf 'int main(void) { return 42; }' > main.c
         git add . && git commit -q -m first
         git checkout -q -b other && printf 'int main(void) { return 43; }' > main.c && git commit -q -a -m second
         git checkout -q - && git merge -q other && git gc -q && git fsck --strict
         cc -o program main.c && ./program || test $? = 43
         cd .. && git clone -q repository clone && cmp repository/main.c clone/main.c
         tar cf all.tar repository && mkdir unpacked && tar xf all.tar -C unpacked
         diff -r repository unpacked/repository && rm -rf repository clone unpacked",
    );
    assert!(!volume.path("clone").exists());
}

#[test]
fn locks_keep_two_programs_apart() {
    let volume = mounted!(1 << 20, 20);
    let path = volume.path("lock");
    let (one, other) = (File::create(&path).unwrap(), File::open(&path).unwrap());
    rustix::fs::flock(&one, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(rustix::fs::flock(&other, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err());
}

#[test]
fn random_writes_and_mappings_agree_with_a_plain_file() {
    let volume = mounted!(64 << 20, 20);
    let open =
        |path: &Path| OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(path);
    let plain = tempfile::NamedTempFile::new().unwrap();
    let files = [open(&volume.path("file")).unwrap(), open(plain.path()).unwrap()];
    let mut seed = 42u64;
    let mut random = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    for round in 0..400u64 {
        let (offset, length) = (random(3_000_000), random(300_000) as usize);
        let content = vec![round as u8; length];
        for file in &files {
            match round % 8 {
                7 => file.set_len(offset).unwrap(),
                _ => file.write_all_at(&content, offset).unwrap(),
            }
        }
    }
    let [ours, theirs] = [volume.path("file"), plain.path().to_owned()].map(|path| fs::read(path).unwrap());
    assert!(ours == theirs, "{} and {} bytes", ours.len(), theirs.len());
}
