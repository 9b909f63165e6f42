//! Memory in ways that exploits need, or that reach beyond one's own.

use super::*;

pub(super) static ATTACKS: &[Attack] = &[
    forbidden!(Kernel, memfd_create, b(b"name\0"), n(0)),
    forbidden!(Kernel, memfd_secret, n(0)),
    forbidden!(Kernel, remap_file_pages, n(0), n(0), n(0), n(0), n(0)),
    forbidden!(Kernel, vmsplice, n(1), n(0), n(0), n(0)),
    forbidden!(Kernel, mbind, n(0), n(4096), n(0), n(0), n(0), n(0)),
    forbidden!(Kernel, set_mempolicy, n(0), n(0), n(0)),
    forbidden!(Kernel, set_mempolicy_home_node, n(0), n(0), n(0), n(0)),
    forbidden!(Kernel, migrate_pages, own(), n(0), n(0), n(0)),
    forbidden!(Kernel, move_pages, own(), n(0), n(0), n(0), n(0), n(0)),
    forbidden!(Kernel, pkey_alloc, n(0), n(0)),
    forbidden!(Kernel, pkey_mprotect, n(0), n(0), n(0), n(-1)),
    forbidden!(Kernel, mincore, n(0), n(0), n(0)),
    forbidden!(Kernel, mlockall, n(4)),
    forbidden!(Tracing, process_madvise, n(-1), n(0), n(0), n(20), n(0)),
    forbidden!(Tracing, process_mrelease, n(-1), n(0)),
];
