//! Devices: making them, and opening those of the host.

use super::*;
use crate::attack::{Class::Device, Need};

macro_rules! device {
    ($name:literal, $path:literal) => {
        Attack::new($name, Device, NOT_THERE, &["openat"], |_| {
            Seen::io(std::fs::OpenOptions::new().read(true).write(true).open($path).map(drop))
        })
        .needs(Need::Path($path))
        .like("open-device")
    };
}

pub(super) static ATTACKS: &[Attack] = &[
    // The memory of the host.
    Attack::new("make-device", Device, BY_FILTER, &["mknodat"], |_| {
        make(Sysno::mknodat, &mut [n(-100), b(b"/scratch/mem\0"), n(0o020_666), n(0x101)])
    }),
    // The first disk.
    Attack::new("make-disk", Device, BY_FILTER, &["mknodat"], |_| {
        make(Sysno::mknodat, &mut [n(-100), b(b"/scratch/disk\0"), n(0o060_666), n(0x800)])
    })
    .like("make-device"),
    device!("memory-device", "/dev/mem"),
    device!("port-device", "/dev/port"),
    device!("log-device", "/dev/kmsg"),
    device!("virtual-machines", "/dev/kvm"),
    device!("file-systems", "/dev/fuse"),
    device!("network-tunnel", "/dev/net/tun"),
    device!("mapper", "/dev/mapper/control"),
    device!("loop-devices", "/dev/loop-control"),
    device!("virtual-sockets", "/dev/vsock"),
    device!("faults-of-users", "/dev/userfaultfd"),
    device!("input-events", "/dev/uinput"),
    device!("watchdog", "/dev/watchdog"),
    device!("clock-chip", "/dev/rtc0"),
    device!("graphics", "/dev/dri/renderD128"),
];
