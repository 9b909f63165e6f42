//! Rights: ids, capabilities, set-id programs, id maps.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::process::Command;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, UCred, sendmsg,
    socketpair,
};

use super::*;
use crate::attack::Class::Rights;

/// Landlock stands over `/proc`, the kernel lets a map be written once, and where written memory is never to become code,
/// `/proc` is read-only.
const MAPPED: Expected = &[(EACCES, LANDLOCK), (EPERM, USERS), (EROFS, "write-xor-execute")];

pub(super) static ATTACKS: &[Attack] = &[
    forbidden!(Rights, setuid, n(0)),
    forbidden!(Rights, setgid, n(0)),
    forbidden!(Rights, setreuid, n(0), n(0)),
    forbidden!(Rights, setregid, n(0), n(0)),
    forbidden!(Rights, setresuid, n(0), n(0), n(0)),
    forbidden!(Rights, setresgid, n(0), n(0), n(0)),
    forbidden!(Rights, setfsuid, n(0)),
    forbidden!(Rights, setfsgid, n(0)),
    forbidden!(Rights, setgroups, n(1), b(&[0; 4])),
    // All of them, effective and permitted.
    forbidden!(Rights, capset, w(&mut CAPABILITY_HEADER.clone()), b(&[255; 24])),
    // PR_CAP_AMBIENT_RAISE of CAP_SYS_ADMIN.
    Attack::new("ambient-capability", Rights, &[(EPERM, CAPABILITIES)], &["prctl"], |_| {
        make(Sysno::prctl, &mut [n(47), n(2), n(21), n(0), n(0)])
    }),
    Attack::new("secure-bits", Rights, BY_FILTER, &["prctl"], |_| make(Sysno::prctl, &mut [n(28), n(0)])),
    Attack::new("keep-capabilities", Rights, BY_FILTER, &["prctl"], |_| make(Sysno::prctl, &mut [n(8), n(1)])),
    Attack::new("map-of-users", Rights, MAPPED, &["openat"], |_| map("uid_map", "0 0 1")),
    Attack::new("map-of-groups", Rights, MAPPED, &["openat"], |_| map("gid_map", "0 0 1")).like("map-of-users"),
    Attack::new("map-of-projects", Rights, MAPPED, &["openat"], |_| map("projid_map", "0 0 1")).like("map-of-users"),
    Attack::new("groups-allowed-again", Rights, MAPPED, &["openat"], |_| map("setgroups", "allow")),
    forbidden!(
        Rights,
        setxattr,
        b(b"/scratch\0"),
        b(b"security.capability\0"),
        b(&[1, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        n(20),
        n(0)
    ),
    Attack::new("give-file-to-root", Rights, &[(EINVAL, USERS), (EPERM, CAPABILITIES)], &["fchownat"], |_| {
        let path = "/scratch/roots";
        let _ = std::fs::write(path, "x");
        let seen = make(Sysno::fchownat, &mut [n(-100), b(b"/scratch/roots\0"), n(0), n(0), n(0)]);
        let _ = std::fs::remove_file(path);
        seen
    }),
    Attack::new("credentials-of-root", Rights, &[(EPERM, CAPABILITIES), (EINVAL, USERS)], &["sendmsg"], |_| forge()),
    Attack::new("set-id-program", Rights, &[(Seen::Nothing, "no-new-privs")], &["execve"], |_| set_id()),
];

/// `struct __user_cap_header_struct`, version 3, this process.
const CAPABILITY_HEADER: [u8; 8] = [0x22, 0x05, 0x08, 0x20, 0, 0, 0, 0];

fn map(name: &str, line: &str) -> Seen {
    let path = format!("/proc/self/{name}");
    let file = std::fs::OpenOptions::new().write(true).open(path);
    Seen::io(file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes())))
}

/// Says over a socket to be the first process and root.
fn forge() -> Seen {
    let Ok((ours, _theirs)) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None) else {
        return Seen::NoAnswer;
    };
    let root = UCred { pid: rustix::process::Pid::INIT, uid: rustix::fs::Uid::ROOT, gid: rustix::fs::Gid::ROOT };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmCredentials(root)) {
        return Seen::NoAnswer;
    }
    let sent = sendmsg(&ours, &[IoSlice::new(b"root")], &mut control, SendFlags::empty());
    Seen::io(sent.map_err(std::io::Error::from))
}

/// Runs programs that would give root's rights, and lets the dynamic loader tell whether it has been given any: it
/// keeps silent about that where it has.
fn set_id() -> Seen {
    let told = |program: &str| {
        let output = Command::new(program).arg("--version").env("LD_SHOW_AUXV", "1").output();
        output.is_ok_and(|output| output.stdout.windows(9).any(|text| text == b"AT_SECURE"))
    };
    if !told("/usr/bin/env") {
        return Seen::Lacking;
    }
    use std::os::unix::fs::MetadataExt;
    let programs = ["su", "passwd", "mount", "newgrp", "chsh", "sudo"].map(|name| format!("/usr/bin/{name}"));
    let mut programs =
        programs.iter().filter(|path| std::fs::metadata(path).is_ok_and(|file| file.mode() & 0o4000 != 0));
    match programs.next() {
        None => Seen::Lacking,
        Some(program) if told(program) => Seen::Nothing,
        Some(_) => Seen::Through,
    }
}
