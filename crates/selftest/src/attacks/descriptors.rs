//! Descriptors that were left open, the program's own file, and ways up from what was given.

use std::fs::{self, File};

use super::*;
use crate::attack::Class::Descriptor;

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new("left-descriptors", Descriptor, &[(Seen::Nothing, "descriptors")], &["openat", "readlink"], |_| {
        left_open()
    }),
    Attack::new(
        "write-own-program",
        Descriptor,
        &[(EROFS, READ_ONLY), (EACCES, LANDLOCK), (Seen::Errno(26), "the kernel")],
        &["openat"],
        |_| write("/proc/self/exe"),
    ),
    Attack::new("program-of-first-process", Descriptor, NOT_THERE, &["readlink"], |_| {
        Seen::io(fs::read_link("/proc/1/exe").map(drop))
    }),
    Attack::new("reopen-input-for-writing", Descriptor, &[(EROFS, READ_ONLY), (EACCES, LANDLOCK)], &["openat"], |_| {
        match File::open(Facts::PATH) {
            Ok(file) => write(&format!("/proc/self/fd/{}", raw_fd(&file).0)),
            Err(error) => Seen::io::<()>(Err(error)),
        }
    }),
    Attack::new("path-of-host", Descriptor, NOT_THERE, &["openat"], |facts| read(facts.text("path"))),
    Attack::new("up-from-own-root", Descriptor, NOT_THERE, &["openat"], |facts| {
        read(&format!("/proc/self/root/../../../..{}", facts.text("path")))
    }),
    Attack::new("up-from-descriptor", Descriptor, NOT_THERE, &["openat"], |facts| {
        let Ok(folder) = File::open("/input") else { return Seen::NoAnswer };
        let path = c(&format!("../../../..{}", facts.text("path")));
        make(Sysno::openat, &mut [fd(&folder), b(&path), n(0), n(0)])
    })
    .like("up-from-own-root"),
    Attack::new("link-to-host", Descriptor, NOT_THERE, &["openat"], |facts| {
        let link = "/scratch/link-to-host";
        let _ = std::os::unix::fs::symlink(facts.text("path"), link);
        let seen = read(link);
        let _ = fs::remove_file(link);
        seen
    }),
    Attack::new("shadow-file", Descriptor, NOT_THERE, &["openat"], |_| Seen::io(File::open("/etc/shadow").map(drop)))
        .like("path-of-host"),
    Attack::new("home-folders", Descriptor, NOT_THERE, &["openat"], |_| {
        any(["/root", "/home"].map(|path| Seen::io(fs::read_dir(path).map(drop))))
    })
    .like("path-of-host"),
    Attack::new("state-of-hotcell", Descriptor, NOT_THERE, &["openat"], |facts| {
        Seen::io(fs::read_dir(facts.text("state")).map(drop))
    })
    .like("path-of-host"),
];

/// Looks for descriptors beyond the standard streams, the pipe for this answer and the folder that is being read.
fn left_open() -> Seen {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Seen::NoAnswer };
    let (mut pipes, mut folders) = (0, 0);
    for entry in entries.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        if number.is_some_and(|number| number <= 2) {
            continue;
        }
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy();
        if target.starts_with("pipe:") {
            pipes += 1;
        } else if target.starts_with("/proc/") && target.ends_with("/fd") {
            folders += 1;
        } else {
            return Seen::Through;
        }
    }
    if pipes > 1 || folders > 1 { Seen::Through } else { Seen::Nothing }
}
