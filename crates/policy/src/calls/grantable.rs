//! Calls that few programs need. A profile names each of them in `allow`; `strict` names none.

use super::CallGroup::*;
use super::{CallGroup, CallRule};

/// Calls that the local user may add by name.
pub static GRANTABLE: &[CallRule] = &[
    // --- ipc
    rule("shmget", Ipc, "PostgreSQL and old programs share memory; in the sandbox's own namespace"),
    rule("shmat", Ipc, "PostgreSQL and old programs share memory; in the sandbox's own namespace"),
    rule("shmctl", Ipc, "PostgreSQL and old programs share memory; in the sandbox's own namespace"),
    rule("shmdt", Ipc, "PostgreSQL and old programs share memory; in the sandbox's own namespace"),
    rule("semget", Ipc, "PostgreSQL and old programs; in the sandbox's own namespace"),
    rule("semop", Ipc, "PostgreSQL and old programs; in the sandbox's own namespace"),
    rule("semtimedop", Ipc, "PostgreSQL and old programs; in the sandbox's own namespace"),
    rule("semctl", Ipc, "PostgreSQL and old programs; in the sandbox's own namespace"),
    rule("msgget", Ipc, "old programs; in the sandbox's own namespace"),
    rule("msgsnd", Ipc, "old programs; in the sandbox's own namespace"),
    rule("msgrcv", Ipc, "old programs; in the sandbox's own namespace"),
    rule("msgctl", Ipc, "old programs; in the sandbox's own namespace"),
    rule("mq_open", Ipc, "POSIX message queues; in the sandbox's own namespace"),
    rule("mq_unlink", Ipc, "POSIX message queues; in the sandbox's own namespace"),
    rule("mq_timedsend", Ipc, "POSIX message queues; in the sandbox's own namespace"),
    rule("mq_timedreceive", Ipc, "POSIX message queues; in the sandbox's own namespace"),
    rule("mq_notify", Ipc, "POSIX message queues; in the sandbox's own namespace"),
    rule("mq_getsetattr", Ipc, "POSIX message queues; in the sandbox's own namespace"),
    // --- selfrestriction
    rule(
        "landlock_create_ruleset",
        SelfRestriction,
        "programs that restrict their own file access; it can only take away",
    ),
    rule("landlock_add_rule", SelfRestriction, "programs that restrict their own file access; it can only take away"),
    rule(
        "landlock_restrict_self",
        SelfRestriction,
        "programs that restrict their own file access; it can only take away",
    ),
    // --- watching
    rule("inotify_init", Watching, "tail -f, build tools and node's fs.watch; all of them can poll instead"),
    rule("inotify_init1", Watching, "tail -f, build tools and node's fs.watch; all of them can poll instead"),
    rule("inotify_add_watch", Watching, "tail -f, build tools and node's fs.watch; all of them can poll instead"),
    rule("inotify_rm_watch", Watching, "tail -f, build tools and node's fs.watch; all of them can poll instead"),
    // --- files
    rule("setxattr", Files, "tar --xattrs, setfattr: extended attributes on one's own files, which do not leave"),
    rule("lsetxattr", Files, "tar --xattrs, setfattr: extended attributes on one's own files, which do not leave"),
    rule("fsetxattr", Files, "tar --xattrs, setfattr: extended attributes on one's own files, which do not leave"),
    rule("removexattr", Files, "tar --xattrs, setfattr: extended attributes on one's own files, which do not leave"),
    rule("lremovexattr", Files, "tar --xattrs, setfattr: extended attributes on one's own files, which do not leave"),
    rule("fremovexattr", Files, "tar --xattrs, setfattr: extended attributes on one's own files, which do not leave"),
    // --- io
    rule("splice", Io, "pv, proxies; everybody can read and write instead"),
    rule("tee", Io, "as splice"),
    // --- memory
    rule("mlockall", Memory, "real-time programs; bounded by RLIMIT_MEMLOCK"),
    rule("munlockall", Memory, "as mlockall"),
    rule("mincore", Memory, "old garbage collectors; tells which pages of shared files others used: a side channel"),
    rule("memfd_create", Memory, "programs that pass memory about; an executed memfd escapes noexec"),
    // --- processes
    rule("execveat", Processes, "fexecve; with memfd_create it escapes noexec"),
];

const fn rule(name: &'static str, group: CallGroup, why: &'static str) -> CallRule {
    CallRule { name, group, why }
}
