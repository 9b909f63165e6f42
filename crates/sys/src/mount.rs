//! Mounts.

use core::ffi::CStr;

use crate::call::syscall;
use crate::file::AT_EMPTY_PATH;
use crate::{Fd, Result};

/// Read-only.
pub const ATTR_RDONLY: u64 = 0x1;
/// Set-id bits are without effect.
pub const ATTR_NOSUID: u64 = 0x2;
/// Device nodes are without effect.
pub const ATTR_NODEV: u64 = 0x4;
/// Nothing can be executed.
pub const ATTR_NOEXEC: u64 = 0x8;
/// Ids are mapped by a user namespace.
pub const ATTR_IDMAP: u64 = 0x10_0000;
/// Links are not followed.
pub const ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

const MNT_DETACH: u32 = 2;
const AT_RECURSIVE: u32 = 0x8000;
const OPEN_TREE_CLONE: u32 = 1;
const O_CLOEXEC: u32 = crate::file::O_CLOEXEC as u32;

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Makes every mount of this namespace private, so that nothing done here is seen outside.
pub fn make_all_private() -> Result<()> {
    const MS_REC_PRIVATE: u64 = 0x4000 | (1 << 18);
    // SAFETY: literals that live for ever.
    unsafe { syscall!(mount, c"none".as_ptr(), c"/".as_ptr(), 0, MS_REC_PRIVATE, 0) }.map(drop)
}

/// Begins a file system of this type.
pub fn fs_open(kind: &CStr) -> Result<Fd> {
    const FSOPEN_CLOEXEC: u32 = 1;
    // SAFETY: `kind` is a live NUL-terminated string.
    unsafe { syscall!(fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) }.map(|fd| Fd(fd as i32))
}

/// Sets a parameter with a text value.
pub fn fs_set(fs: Fd, key: &CStr, value: &CStr) -> Result<()> {
    const SET_STRING: u32 = 1;
    // SAFETY: both are live NUL-terminated strings.
    unsafe { syscall!(fsconfig, fs.0, SET_STRING, key.as_ptr(), value.as_ptr(), 0) }.map(drop)
}

/// Sets a parameter without a value.
pub fn fs_flag(fs: Fd, key: &CStr) -> Result<()> {
    const SET_FLAG: u32 = 0;
    // SAFETY: `key` is a live NUL-terminated string; the command takes no value.
    unsafe { syscall!(fsconfig, fs.0, SET_FLAG, key.as_ptr(), 0, 0) }.map(drop)
}

/// Makes the file system from what was set.
pub fn fs_create(fs: Fd) -> Result<()> {
    const CREATE: u32 = 6;
    // SAFETY: the command takes no pointers.
    unsafe { syscall!(fsconfig, fs.0, CREATE, 0, 0, 0) }.map(drop)
}

/// Turns it into a mount that is not attached anywhere yet.
pub fn fs_mount(fs: Fd, attributes: u64) -> Result<Fd> {
    const FSMOUNT_CLOEXEC: u32 = 1;
    // SAFETY: numbers only.
    unsafe { syscall!(fsmount, fs.0, FSMOUNT_CLOEXEC, attributes) }.map(|fd| Fd(fd as i32))
}

/// Clones the mount at a path, with what is mounted below it, unattached.
pub fn clone_tree(path: &CStr) -> Result<Fd> {
    // SAFETY: `path` is a live NUL-terminated string.
    unsafe { syscall!(open_tree, Fd::CWD.0 as isize, path.as_ptr(), OPEN_TREE_CLONE | AT_RECURSIVE | O_CLOEXEC) }
        .map(|fd| Fd(fd as i32))
}

/// How far [`set_attributes`] reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This mount alone.
    One,
    /// This mount and all that is mounted below it.
    Tree,
}

/// Sets attributes of a mount; `id_map` is a user namespace for [`ATTR_IDMAP`].
pub fn set_attributes(mount: Fd, reach: Reach, set: u64, id_map: Option<Fd>) -> Result<()> {
    let attr = MountAttr { set, clear: 0, propagation: 0, userns_fd: id_map.map_or(0, |fd| fd.0 as u64) };
    // SAFETY: the empty path is a literal; the structure is live and of the size passed.
    unsafe {
        syscall!(
            mount_setattr,
            mount.0,
            c"".as_ptr(),
            AT_EMPTY_PATH as u32 | if reach == Reach::Tree { AT_RECURSIVE } else { 0 },
            &raw const attr,
            size_of::<MountAttr>()
        )
    }
    .map(drop)
}

/// Sets attributes of the mount at a path by the call that kernels before 5.12 have; those it has stay. It reaches one
/// mount, never the ones below it.
pub fn remount(path: &CStr, set: u64) -> Result<()> {
    const MS_REMOUNT_BIND: u64 = 32 | 4096;
    // Read-only, nosuid, nodev, noexec: the same bits in `f_flags`, in `MS_…` and in `MOUNT_ATTR_…`. What a mount came
    // with may be locked, and a call that would take it away is refused; times stay when none is named.
    const KEPT: u64 = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
    let flags = MS_REMOUNT_BIND | (set & KEPT) | (crate::file::mount_flags(path)? & KEPT);
    // SAFETY: `path` is a live NUL-terminated string; a bind remount reads neither source, type nor data.
    unsafe { syscall!(mount, 0, path.as_ptr(), 0, flags, 0) }.map(drop)
}

/// Attaches an unattached mount at a path.
pub fn attach(mount: Fd, path: &CStr) -> Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
    // SAFETY: both are live NUL-terminated strings.
    unsafe { syscall!(move_mount, mount.0, c"".as_ptr(), Fd::CWD.0 as isize, path.as_ptr(), MOVE_MOUNT_F_EMPTY_PATH) }
        .map(drop)
}

/// Takes the mount at a path away.
pub fn detach(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a live NUL-terminated string.
    unsafe { syscall!(umount2, path.as_ptr(), MNT_DETACH) }.map(drop)
}

/// Makes the working directory the root, and lets go of everything that was there before.
pub fn pivot_to_working_dir() -> Result<()> {
    // SAFETY: literals; after the call the old root lies over the new one at ".".
    unsafe { syscall!(pivot_root, c".".as_ptr(), c".".as_ptr()) }?;
    detach(c".")?;
    crate::file::change_dir(c"/")
}
