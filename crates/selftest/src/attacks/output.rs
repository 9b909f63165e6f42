//! Links, renames and other things in the output folder, which the host reads when all are dead.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::attack::{Class::Output, Judge, Place};

/// Leaves something in the output folder; what matters is whether it leaves.
macro_rules! leave {
    ($name:literal, $issues:expr, |$facts:ident| $leave:expr) => {
        Attack::new($name, Output, &[(Seen::Refused, "inspection")], $issues, |$facts| Seen::io($leave))
            .at(Place::Alone(&[], Judge::Output))
    };
}

pub(super) static ATTACKS: &[Attack] = &[
    leave!("link-to-a-file-of-the-host", &["symlink"], |facts| symlink(facts.text("path"), "/output/stolen")),
    leave!("folder-that-is-a-link", &["symlink"], |_facts| symlink("/", "/output/folder")),
    leave!("second-name-of-a-file", &["linkat"], |_facts| {
        fs::write("/output/one", "1").and_then(|()| fs::hard_link("/output/one", "/output/two"))
    }),
    leave!("socket-in-output", &["bind"], |_facts| {
        std::os::unix::net::UnixListener::bind("/output/socket").map(drop)
    }),
    leave!("file-with-a-hole", &["ftruncate"], |_facts| {
        fs::File::create("/output/sparse").and_then(|file| file.set_len(64 << 20))
    }),
    leave!("name-that-commands-a-terminal", &["openat"], |_facts| fs::write("/output/\x1b[2J", "x")),
    leave!("too-many-files", &["openat"], |_facts| {
        (0..20).try_for_each(|number| fs::write(format!("/output/{number}"), "x"))
    })
    .at(Place::Alone(&["output_files=10"], Judge::Output)),
    leave!("too-many-bytes", &["openat"], |_facts| fs::write("/output/large", vec![7; 1 << 20]))
        .at(Place::Alone(&["output_bytes=64KiB"], Judge::Output)),
    Attack::new(
        "rename-until-the-end",
        Output,
        &[(Seen::Refused, "inspection"), (Seen::Nothing, "inspection")],
        &["rename"],
        |facts| {
            let (file, link) = ("/output/file", "/output/link");
            let end = std::time::Instant::now() + std::time::Duration::from_millis(100);
            let made = fs::write(file, "mine").and_then(|()| symlink(facts.text("path"), link));
            while std::time::Instant::now() < end {
                let _ = fs::rename(file, "/output/a")
                    .and_then(|()| fs::rename(link, file))
                    .and_then(|()| fs::rename("/output/a", link));
            }
            Seen::io(made)
        },
    )
    .at(Place::Alone(&[], Judge::Output)),
    // Where a queue cannot be made it cannot be left either.
    Attack::new("queue-in-output", Output, BY_FILTER, &["mknodat"], |_| {
        make(Sysno::mknodat, &mut [n(-100), b(b"/output/queue\0"), n(0o010_666), n(0)])
    }),
];
