//! Mounts in all forms, by the old calls and by the new ones, and handles that lead around paths.

use super::*;
use crate::attack::Class::Mount;

pub(super) static ATTACKS: &[Attack] = &[
    forbidden!(Mount, mount, b(b"none\0"), b(b"/scratch\0"), b(b"tmpfs\0"), n(0), n(0)),
    Attack::new("mount-bind", Mount, BY_FILTER, &["mount"], |_| {
        make(Sysno::mount, &mut [b(b"/proc/1/root\0"), b(b"/scratch\0"), n(0), n(0x1000), n(0)])
    })
    .like("mount"),
    Attack::new("mount-writable-again", Mount, BY_FILTER, &["mount"], |_| {
        make(Sysno::mount, &mut [n(0), b(b"/usr\0"), n(0), n(0x1020), n(0)])
    })
    .like("mount"),
    Attack::new("mount-control-groups", Mount, BY_FILTER, &["mount"], |_| {
        make(Sysno::mount, &mut [b(b"none\0"), b(b"/scratch\0"), b(b"cgroup\0"), n(0), b(b"memory\0")])
    })
    .like("mount"),
    forbidden!(Mount, umount2, b(b"/input\0"), n(2)),
    forbidden!(Mount, pivot_root, b(b".\0"), b(b".\0")),
    forbidden!(Mount, chroot, b(b"/scratch\0")),
    forbidden!(Mount, fsopen, b(b"tmpfs\0"), n(0)),
    forbidden!(Mount, fsconfig, n(0), n(6), n(0), n(0), n(0)),
    forbidden!(Mount, fsmount, n(0), n(0), n(0)),
    forbidden!(Mount, fspick, n(-100), b(b"/\0"), n(0)),
    forbidden!(Mount, open_tree, n(-100), b(b"/usr\0"), n(1)),
    forbidden!(Mount, move_mount, n(-100), b(b"/usr\0"), n(-100), b(b"/scratch\0"), n(0)),
    // struct mount_attr: clear MOUNT_ATTR_RDONLY.
    forbidden!(Mount, mount_setattr, n(-100), b(b"/usr\0"), n(0), b(&CLEAR_READ_ONLY), n(32)),
    forbidden!(Mount, name_to_handle_at, n(-100), b(b"/usr\0"), w(&mut handle()), w(&mut [0; 8]), n(0)),
    forbidden!(Mount, open_by_handle_at, n(-100), w(&mut handle()), n(0)),
    forbidden!(Mount, quotactl, n(0x0080_0005u32 as i32), n(0), n(0), w(&mut [0; 256])),
    forbidden!(Mount, swapon, b(b"/scratch\0"), n(0)),
    forbidden!(Mount, swapoff, b(b"/scratch\0")),
];

const CLEAR_READ_ONLY: [u8; 32] = {
    let mut attributes = [0; 32];
    attributes[8] = 1;
    attributes
};

/// `struct file_handle` with room for 128 bytes.
fn handle() -> [u8; 136] {
    let mut handle = [0; 136];
    handle[0] = 128;
    handle
}
