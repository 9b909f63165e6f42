//! What was shown and not given: inputs, code, the system view, the root.

use super::*;
use crate::attack::Class::Inputs;

/// Mounts are read-only; Landlock and, as root, the owner stand behind them.
const SHOWN: Expected = &[(EROFS, READ_ONLY), (EACCES, LANDLOCK), (EPERM, USERS)];

const FACTS: &[u8] = b"/input/facts\0";

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new("write-input", Inputs, SHOWN, &["openat"], |_| write(Facts::PATH)),
    Attack::new("cut-input", Inputs, SHOWN, &["truncate"], |_| make(Sysno::truncate, &mut [b(FACTS), n(0)])),
    Attack::new("remove-input", Inputs, SHOWN, &["unlinkat"], |_| {
        make(Sysno::unlinkat, &mut [n(-100), b(FACTS), n(0)])
    })
    // A mount point cannot be removed.
    .expecting(&[(EROFS, READ_ONLY), (EACCES, LANDLOCK), (EPERM, USERS), (Seen::Errno(16), MOUNTS)]),
    Attack::new(
        "rename-input",
        Inputs,
        &[(EROFS, READ_ONLY), (EXDEV, LANDLOCK), (EACCES, LANDLOCK), (Seen::Errno(16), MOUNTS)],
        &["renameat2"],
        |_| make(Sysno::renameat2, &mut [n(-100), b(FACTS), n(-100), b(b"/input/others\0"), n(0)]),
    ),
    Attack::new(
        "link-input-into-scratch",
        Inputs,
        &[(EXDEV, MOUNTS), (EACCES, LANDLOCK), (EPERM, USERS)],
        &["linkat"],
        |_| make(Sysno::linkat, &mut [n(-100), b(FACTS), n(-100), b(b"/scratch/facts\0"), n(0)]),
    ),
    Attack::new("change-mode-of-input", Inputs, SHOWN, &["fchmodat"], |_| {
        make(Sysno::fchmodat, &mut [n(-100), b(FACTS), n(0o777)])
    }),
    Attack::new("change-time-of-input", Inputs, SHOWN, &["utimensat"], |_| {
        make(Sysno::utimensat, &mut [n(-100), b(FACTS), n(0), n(0)])
    }),
    Attack::new("change-owner-of-input", Inputs, SHOWN, &["fchownat"], |_| {
        make(Sysno::fchownat, &mut [n(-100), b(FACTS), n(65534), n(65534), n(0)])
    }),
    Attack::new("new-file-beside-code", Inputs, SHOWN, &["openat"], |_| Seen::io(std::fs::write("/code/new", "x"))),
    Attack::new("new-folder-in-root", Inputs, SHOWN, &["mkdirat"], |_| {
        make(Sysno::mkdirat, &mut [n(-100), b(b"/new\0"), n(0o755)])
    }),
    Attack::new("new-link-in-root", Inputs, SHOWN, &["symlinkat"], |_| {
        make(Sysno::symlinkat, &mut [b(b"/scratch\0"), n(-100), b(b"/new-link\0")])
    }),
    Attack::new("new-program-in-system", Inputs, SHOWN, &["openat"], |_| {
        Seen::io(std::fs::write("/usr/bin/hotcell-was-here", "x"))
    })
    .like("new-file-beside-code"),
    Attack::new("new-account", Inputs, SHOWN, &["openat"], |_| write("/etc/passwd")).like("write-input"),
    Attack::new("shared-mapping-of-input", Inputs, &[(EACCES, READ_ONLY)], &["mmap"], |_| {
        match std::fs::File::open(Facts::PATH) {
            // PROT_READ and PROT_WRITE, MAP_SHARED.
            Ok(file) => make(Sysno::mmap, &mut [n(0), n(4096), n(3), n(1), fd(&file), n(0)]),
            Err(error) => Seen::io::<()>(Err(error)),
        }
    }),
];
