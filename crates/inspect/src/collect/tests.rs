use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io::Read};

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::*;

/// An output folder on a real disk (or wherever the tests' data lies).
fn folder() -> TempDir {
    TempDir::new_in(hotcell_testkit::data_dir()).unwrap()
}

fn collect_from(path: &Path, rule: &CollectRule) -> Result<Vec<Collected>, CollectError> {
    collect(File::open(path).unwrap().as_fd(), rule)
}

fn declared(names: &[&str]) -> CollectRule {
    CollectRule::Declared { files: names.iter().map(|name| (*name).to_owned()).collect(), max_bytes: 1 << 22 }
}

/// What was refused: file and code, as often as it was found.
fn refused(result: Result<Vec<Collected>, CollectError>) -> Vec<(String, &'static str)> {
    let error = result.expect_err("something is refused");
    assert_eq!(error.exit(), Exit::Refused, "{error:?}");
    assert!(!error.to_string().is_empty() && !error.remedy().is_empty());
    error.findings().iter().map(|finding| (finding.file.clone(), finding.kind.code())).collect()
}

/// Puts one forbidden thing named `bad` beside a good file and gives the code it is refused with, under both rules.
fn code_of(place: &Path, make: impl Fn(&Path)) -> &'static str {
    let folder = TempDir::new_in(place).unwrap();
    fs::write(folder.path().join("good"), "x").unwrap();
    make(&folder.path().join("bad"));
    let codes: Vec<_> = [CollectRule::strict(), declared(&["good", "bad"])]
        .into_iter()
        .map(|rule| refused(collect_from(folder.path(), &rule)))
        .collect();
    let [(ref name, code)] = codes[0][..] else { panic!("{codes:?}") };
    assert_eq!(name, "bad");
    assert_eq!(codes[1], [("bad".to_owned(), code)]);
    code
}

#[test]
fn plain_files_leave_by_descriptor_in_the_order_of_their_paths() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("b/c")).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    for (name, content) in [("z.csv", "zz"), ("b/c/x", "xyz"), ("a", "")] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let files = collect_from(folder.path(), &CollectRule::strict()).unwrap();
    let seen: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert_eq!(seen, [("a", 0), ("b/c/x", 3), ("z.csv", 2)]);
    assert_eq!(opaque_capacity(&files), Bits(8.0 * (5 + 1 + 5 + 5) as f64 + 3.0 * 64.0));
    // The descriptor stays the file although its name is gone.
    fs::remove_file(folder.path().join("b/c/x")).unwrap();
    let mut content = String::new();
    (&files[1].file).read_to_string(&mut content).unwrap();
    assert_eq!(content, "xyz");
}

#[test]
fn declared_files_leave_and_nothing_beside_them() {
    let folder = folder();
    fs::write(folder.path().join("scores.csv"), "a").unwrap();
    let rule = declared(&["scores.csv"]);
    assert_eq!(collect_from(folder.path(), &rule).unwrap().len(), 1);
    fs::write(folder.path().join("more.csv"), "a").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("folder/scores.csv"), "a").unwrap();
    let seen = refused(collect_from(folder.path(), &rule));
    assert_eq!(seen, [("folder".to_owned(), "INS-214"), ("more.csv".to_owned(), "INS-214")]);
}

#[test]
fn a_missing_or_misshapen_declared_output_is_refused_once() {
    let folder = folder();
    assert_eq!(refused(collect_from(folder.path(), &declared(&["a.csv"]))), [("a.csv".to_owned(), "INS-215")]);
    fs::create_dir(folder.path().join("a.csv")).unwrap();
    assert_eq!(refused(collect_from(folder.path(), &declared(&["a.csv"]))), [("a.csv".to_owned(), "INS-219")]);
    assert!(collect_from(folder.path(), &CollectRule::strict()).unwrap().is_empty());
}

#[test]
fn a_symbolic_link_is_refused_wherever_it_points() {
    let place = hotcell_testkit::data_dir();
    for target in ["/etc/passwd", "good", "/proc/self/fd/0", "nowhere", "."] {
        assert_eq!(code_of(&place, |bad| symlink(target, bad).unwrap()), "INS-206", "{target}");
    }
}

#[test]
fn a_hard_link_is_refused() {
    let folder = folder();
    let outside = TempDir::new_in(hotcell_testkit::data_dir()).unwrap();
    fs::write(outside.path().join("secret"), "x").unwrap();
    fs::hard_link(outside.path().join("secret"), folder.path().join("bad")).unwrap();
    for rule in [CollectRule::strict(), declared(&["bad"])] {
        assert_eq!(refused(collect_from(folder.path(), &rule)), [("bad".to_owned(), "INS-207")]);
    }
}

#[test]
fn a_named_pipe_is_refused_without_waiting() {
    let begun = Instant::now();
    let place = hotcell_testkit::data_dir();
    let code = code_of(&place, |bad| rustix::fs::mknodat(CWD, bad, FileType::Fifo, Mode::RWXU, 0).unwrap());
    assert_eq!(code, "INS-209");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_socket_is_refused() {
    // A socket's path must be short, so that it is bound beside and moved in.
    let short = TempDir::new().unwrap();
    let make = |bad: &Path| {
        drop(std::os::unix::net::UnixListener::bind(short.path().join("s")).unwrap());
        fs::rename(short.path().join("s"), bad).unwrap();
    };
    assert_eq!(code_of(short.path(), make), "INS-210");
}

#[test]
fn a_device_is_refused() {
    hotcell_testkit::require_root!();
    for kind in [FileType::CharacterDevice, FileType::BlockDevice] {
        let make = |bad: &Path| rustix::fs::mknodat(CWD, bad, kind, Mode::RWXU, rustix::fs::makedev(1, 3)).unwrap();
        assert_eq!(code_of(&hotcell_testkit::data_dir(), make), "INS-208");
    }
}

#[test]
fn a_file_with_holes_is_refused_on_disk_and_in_memory() {
    let mut places = vec![hotcell_testkit::data_dir()];
    match Path::new("/dev/shm").is_dir() {
        true => places.push("/dev/shm".into()),
        false => hotcell_testkit::skip!("no tmpfs at /dev/shm"),
    }
    for place in places {
        let holes: [fn(&File); 3] = [
            |file| file.set_len(1 << 20).unwrap(),
            |file| file.write_all_at(b"end", 1 << 20).unwrap(),
            |file| {
                file.write_all_at(&[1; 1 << 16], 0).unwrap();
                file.set_len(1 << 18).unwrap();
            },
        ];
        for (number, hole) in holes.into_iter().enumerate() {
            let code = code_of(&place, |bad| hole(&File::create(bad).unwrap()));
            assert_eq!(code, "INS-212", "{place:?} {number}");
        }
        // Whole files of any size have none, before and after they reach the disk.
        let folder = TempDir::new_in(&place).unwrap();
        for size in [1, 159, 4095, 4096, 4097, 1 << 16, (1 << 20) + 1] {
            let path = folder.path().join(size.to_string());
            fs::write(&path, vec![0; size]).unwrap();
            assert!(collect_from(folder.path(), &CollectRule::strict()).is_ok(), "{place:?} {size}");
            File::open(&path).unwrap().sync_all().unwrap();
            assert!(collect_from(folder.path(), &CollectRule::strict()).is_ok(), "{place:?} {size} on disk");
        }
    }
}

#[test]
fn hostile_names_are_refused_and_shown_without_effect() {
    use std::os::unix::ffi::OsStrExt;
    for (name, code, shown) in [
        (&b"a\xffb"[..], "INS-201", "a\\xffb"),
        (b"a\x1b[2Jb", "INS-203", "a\\u{1b}[2Jb"),
        (b"a\nb", "INS-203", "a\\u{a}b"),
        ("a\u{202E}b".as_bytes(), "INS-203", "a\\u{202e}b"),
        (b"-rf", "INS-204", "-rf"),
        (b"a\\b", "INS-204", "a\\u{5c}b"),
        (b".bashrc", "INS-205", ".bashrc"),
        (b"...", "INS-205", "..."),
    ] {
        let folder = folder();
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        assert_eq!(refused(collect_from(folder.path(), &CollectRule::strict())), [(shown.to_owned(), code)]);
        // A folder of that name is no better.
        fs::remove_file(folder.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
        fs::create_dir(folder.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
        assert_eq!(refused(collect_from(folder.path(), &CollectRule::strict())), [(shown.to_owned(), code)]);
    }
}

#[test]
fn folders_nest_eight_deep_and_no_deeper() {
    let folder = folder();
    let path = |levels: usize| (1..levels).fold(folder.path().to_owned(), |path, level| path.join(level.to_string()));
    fs::create_dir_all(path(8)).unwrap();
    fs::write(path(8).join("x"), "x").unwrap();
    assert_eq!(collect_from(folder.path(), &CollectRule::strict()).unwrap()[0].path, "1/2/3/4/5/6/7/x");
    fs::create_dir_all(path(9)).unwrap();
    assert_eq!(
        refused(collect_from(folder.path(), &CollectRule::strict())),
        [("1/2/3/4/5/6/7/8".to_owned(), "INS-213")]
    );
}

#[test]
fn the_limits_on_files_and_bytes_hold_exactly() {
    let folder = folder();
    for number in 0..3 {
        fs::write(folder.path().join(number.to_string()), "xxxx").unwrap();
    }
    for (max_files, max_bytes, code) in [(3, 12, None), (2, 12, Some("INS-217")), (3, 11, Some("INS-218"))] {
        let result = collect_from(folder.path(), &CollectRule::Undeclared { max_files, max_bytes });
        match code {
            None => assert_eq!(result.unwrap().len(), 3),
            Some(code) => assert_eq!(refused(result), [("/output".to_owned(), code)]),
        }
    }
    let rule = CollectRule::Declared { files: ["0", "1", "2"].map(str::to_owned).into(), max_bytes: 11 };
    assert_eq!(refused(collect_from(folder.path(), &rule)), [("/output".to_owned(), "INS-218")]);
}

#[test]
fn ten_thousand_files_are_refused_clearly_and_quickly() {
    let folder = folder();
    for number in 0..10_000 {
        File::create(folder.path().join(format!("f{number:05}"))).unwrap();
    }
    let begun = Instant::now();
    let error = collect_from(folder.path(), &CollectRule::strict()).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let text = "`/output`: there are more files or folders than may leave (at most 100 files)";
    assert_eq!(error.to_string(), text);

    let error = collect_from(folder.path(), &declared(&["scores.csv"])).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(error.findings().len(), MAX_FINDINGS);
    assert_eq!(error.to_string(), "`f00000`: this is not a declared output; and 10000 more");

    for number in 0..=MAX_ENTRIES {
        File::create(folder.path().join(format!("g{number:05}"))).unwrap();
    }
    let error = collect_from(folder.path(), &declared(&["scores.csv"])).unwrap_err();
    assert_eq!(error.code(), "INS-217");
}

#[test]
fn many_folders_are_refused_like_many_files() {
    let folder = folder();
    for number in 0..101 {
        fs::create_dir(folder.path().join(number.to_string())).unwrap();
    }
    assert_eq!(refused(collect_from(folder.path(), &CollectRule::strict())), [("/output".to_owned(), "INS-217")]);
}

#[test]
fn what_its_owner_may_not_read_is_refused() {
    hotcell_testkit::require_ordinary_user!();
    for make in [|bad: &Path| fs::write(bad, "x").unwrap(), |bad: &Path| fs::create_dir(bad).unwrap()] {
        let folder = folder();
        let bad = folder.path().join("bad");
        make(&bad);
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o0)).unwrap();
        assert_eq!(refused(collect_from(folder.path(), &CollectRule::strict())), [("bad".to_owned(), "INS-216")]);
    }
}

#[test]
fn a_mount_in_the_folder_is_refused() {
    // /dev carries file systems of its own on every host that the tests run on.
    let devices = File::open("/dev").unwrap();
    match open_beneath(devices.as_fd(), "shm", OFlags::PATH) {
        Err(Errno::XDEV) => {}
        Err(Errno::NOENT) => hotcell_testkit::skip!("no /dev/shm"),
        other => panic!("{other:?}"),
    }
    let mut walk = Walk {
        rule: &CollectRule::strict(),
        files: Vec::new(),
        bytes: 0,
        entries: 0,
        folders: 0,
        findings: Vec::new(),
        further: 0,
    };
    let seen = walk.entry(&devices.into(), "shm", "", 1).unwrap();
    assert_eq!(seen.map(|_| ()), Err(FindingKind::Mount));
}
