//! Execution of what was written inside.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::attack::Class::Execution;

/// Mounts that can be written are `noexec`; Landlock has no EXECUTE there.
const NO_EXECUTION: Expected = &[(EACCES, "noexec")];

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new("execute-written", Execution, NO_EXECUTION, &["execve"], |_| {
        with_program("/scratch/program", |path| Seen::io(Command::new(path).status()))
    }),
    Attack::new("execute-from-output", Execution, NO_EXECUTION, &["execve"], |_| {
        with_program("/output/program", |path| Seen::io(Command::new(path).status()))
    })
    .like("execute-written"),
    Attack::new("execute-from-shared-memory", Execution, NO_EXECUTION, &["execve"], |_| {
        with_program("/dev/shm/program", |path| Seen::io(Command::new(path).status()))
    })
    .like("execute-written"),
    Attack::new("execute-by-descriptor-path", Execution, NO_EXECUTION, &["execve"], |_| {
        with_program("/scratch/by-descriptor", |path| match File::open(path) {
            Ok(file) => Seen::io(Command::new(format!("/proc/self/fd/{}", raw_fd(&file).0)).status()),
            Err(error) => Seen::io::<()>(Err(error)),
        })
    }),
    Attack::new("execute-script", Execution, NO_EXECUTION, &["execve"], |_| {
        let path = "/scratch/script";
        let _ = fs::write(path, "#!/bin/sh\nexit 0\n");
        let _ = fs::set_permissions(path, Permissions::from_mode(0o755));
        let seen = Seen::io(Command::new(path).status());
        let _ = fs::remove_file(path);
        seen
    }),
    Attack::new("map-written-as-program", Execution, &[(EPERM, "noexec")], &["mmap"], |_| {
        with_program("/scratch/mapped", |path| match File::open(path) {
            Ok(file) => Seen::call(hotcell_sys::file::try_map_executable(raw_fd(&file))),
            Err(error) => Seen::io::<()>(Err(error)),
        })
    }),
    Attack::new("execute-by-loader", Execution, &[(Seen::Nothing, "noexec")], &["execve"], |_| {
        with_program("/scratch/by-loader", |path| {
            let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
            let Some(loader) = loader.iter().find(|loader| fs::metadata(loader).is_ok()) else { return Seen::Lacking };
            match Command::new(loader).arg(path).output() {
                Ok(done) if done.status.success() => Seen::Through,
                _ => Seen::Nothing,
            }
        })
    }),
    // A program in memory has no mount that could be `noexec`: AT_EMPTY_PATH.
    forbidden!(Execution, execveat, n(-1), b(b"\0"), n(0), n(0), n(0x1000)),
];

/// Writes a program that does nothing, and removes it again.
fn with_program(path: &str, run: impl FnOnce(&str) -> Seen) -> Seen {
    let Ok(program) = fs::read("/usr/bin/true") else { return Seen::Lacking };
    let written = fs::write(path, program).and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)));
    let seen = match written {
        Ok(()) => run(path),
        Err(error) => Seen::io::<()>(Err(error)),
    };
    let _ = fs::remove_file(path);
    seen
}
