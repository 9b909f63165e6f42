//! Terminals: typing into them, taking them over.

use hotcell_sys::Fd;

use super::*;
use crate::attack::{Class::Terminal, Need};

/// Asks the terminal, if standard input is one, for this; a filter that compares 64 bits misses high ones.
macro_rules! request {
    ($name:literal, $request:literal) => {
        Attack::new($name, Terminal, BY_FILTER, &["ioctl"], |_| {
            Seen::call(hotcell_sys::file::ioctl_number(Fd(0), $request, 0))
        })
    };
}

pub(super) static ATTACKS: &[Attack] = &[
    request!("type-into-terminal", 0x5412),
    request!("type-with-high-bits", 0xffff_ffff_0000_5412),
    request!("paste-into-console", 0x541c),
    request!("paste-with-high-bits", 0x0000_0001_0000_541c).like("type-with-high-bits"),
    request!("take-the-console", 0x541d),
    request!("line-discipline", 0x5423),
    Attack::new("open-terminal", Terminal, NOT_THERE, &["openat"], |_| write("/dev/tty")).needs(Need::Path("/dev/tty")),
    Attack::new("open-console", Terminal, NOT_THERE, &["openat"], |_| write("/dev/console"))
        .needs(Need::Path("/dev/console"))
        .like("open-terminal"),
    Attack::new("new-terminal", Terminal, NOT_THERE, &["openat"], |_| write("/dev/ptmx"))
        .needs(Need::Path("/dev/ptmx")),
];
