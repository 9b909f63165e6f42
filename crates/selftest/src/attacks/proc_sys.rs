//! `/proc` and `/sys`: what they tell of the host, and what can be set there.

use std::os::unix::fs::FileExt;

use super::*;
use crate::attack::{Class::Cgroup, Class::ProcSys, Class::Sensor, Need};

/// Reads a file that the host has.
macro_rules! read {
    ($name:literal, $class:ident, $path:literal, $like:literal) => {
        Attack::new($name, $class, NOT_THERE, &["openat"], |_| read($path)).needs(Need::Path($path)).like($like)
    };
}

/// Opens for writing a file that the host has.
macro_rules! write {
    ($name:literal, $class:ident, $path:literal, $like:literal) => {
        Attack::new($name, $class, NOT_THERE, &["openat"], |_| write($path)).needs(Need::Path($path)).like($like)
    };
}

/// Lists a folder that the host has.
macro_rules! list {
    ($name:literal, $class:ident, $path:literal, $like:literal) => {
        Attack::new($name, $class, NOT_THERE, &["openat"], |_| Seen::io(std::fs::read_dir($path).map(drop)))
            .needs(Need::Path($path))
            .like($like)
    };
}

/// Opens for writing a file of its own process, over which Landlock stands.
/// Landlock stands over `/proc`; where written memory is never to become code, it is read-only as well.
const OWN: Expected = &[(EACCES, LANDLOCK), (ENOENT, MOUNTS), (EROFS, "write-xor-execute")];

macro_rules! own {
    ($name:literal, $path:literal) => {
        Attack::new($name, ProcSys, OWN, &["openat"], |_| write($path)).needs(Need::Path($path))
    };
}

pub(super) static ATTACKS: &[Attack] = &[
    read!("kernel-symbols", ProcSys, "/proc/kallsyms", "read-kernel-addresses"),
    read!("kernel-modules", ProcSys, "/proc/modules", "read-kernel-addresses"),
    read!("kernel-command-line", ProcSys, "/proc/cmdline", "read-host-facts"),
    read!("memory-of-host", ProcSys, "/proc/meminfo", "read-host-facts"),
    read!("processors-of-host", ProcSys, "/proc/cpuinfo", "read-host-facts"),
    read!("load-of-host", ProcSys, "/proc/loadavg", "read-host-activity"),
    read!("interrupts", ProcSys, "/proc/interrupts", "read-host-activity"),
    read!("timers-of-host", ProcSys, "/proc/timer_list", "read-host-activity"),
    read!("locks-of-host", ProcSys, "/proc/locks", "read-host-activity"),
    read!("keys-of-host", ProcSys, "/proc/keys", "read-host-keys"),
    Attack::new("memory-of-kernel", ProcSys, NOT_THERE, &["openat"], |_| Seen::io(std::fs::File::open("/proc/kcore")))
        .needs(Need::Path("/proc/kcore")),
    Attack::new("log-of-kernel", ProcSys, NOT_THERE, &["openat"], |_| Seen::io(std::fs::File::open("/proc/kmsg")))
        .needs(Need::Path("/proc/kmsg")),
    write!("magic-keys", ProcSys, "/proc/sysrq-trigger", "write-magic-keys"),
    write!("core-pattern", ProcSys, "/proc/sys/kernel/core_pattern", "write-kernel-setting"),
    write!("helper-of-modules", ProcSys, "/proc/sys/kernel/modprobe", "write-kernel-setting"),
    write!("address-randomisation", ProcSys, "/proc/sys/kernel/randomize_va_space", "write-kernel-setting"),
    Attack::new("kernel-settings", ProcSys, NOT_THERE, &["openat"], |_| read("/proc/sys/kernel/random/boot_id"))
        .needs(Need::Path("/proc/sys/kernel/random/boot_id")),
    write!("binary-formats", ProcSys, "/proc/sys/fs/binfmt_misc/register", "write-binary-formats"),
    own!("own-memory-by-file", "/proc/self/mem"),
    own!("own-oom-score", "/proc/self/oom_score_adj"),
    own!("own-core-filter", "/proc/self/coredump_filter"),
    own!("own-page-references", "/proc/self/clear_refs"),
    own!("own-login-id", "/proc/self/loginuid"),
    own!("own-time-offsets", "/proc/self/timens_offsets"),
    own!("own-security-label", "/proc/self/attr/exec"),
    own!("own-scheduling-group", "/proc/self/autogroup"),
    Attack::new(
        "physical-addresses",
        ProcSys,
        &[(Seen::Nothing, CAPABILITIES), (EPERM, CAPABILITIES), (ENOENT, MOUNTS)],
        &["openat"],
        |_| physical_address(),
    )
    .needs(Need::Path("/proc/self/pagemap")),
    Attack::new(
        "kernel-stack",
        ProcSys,
        &[(EACCES, CAPABILITIES), (EPERM, CAPABILITIES), (ENOENT, MOUNTS)],
        &["openat"],
        |_| read("/proc/self/stack"),
    )
    .needs(Need::Path("/proc/self/stack")),
    list!("sys-kernel", ProcSys, "/sys/kernel", "list-sys"),
    list!("sys-devices", ProcSys, "/sys/devices", "list-sys"),
    list!("sys-firmware", ProcSys, "/sys/firmware", "list-sys"),
    list!("sys-debug", ProcSys, "/sys/kernel/debug", "list-debug"),
    list!("sys-tracing", ProcSys, "/sys/kernel/tracing", "list-debug"),
    list!("sys-security", ProcSys, "/sys/kernel/security", "list-debug"),
    write!("sys-power", ProcSys, "/sys/power/state", "write-sys"),
    write!("sys-uevent-helper", ProcSys, "/sys/kernel/uevent_helper", "write-sys"),
    list!("cgroup-folder", Cgroup, "/sys/fs/cgroup", "list-cgroups"),
    Attack::new("cgroup-names", Cgroup, &[(Seen::Nothing, "cgroup-namespace")], &["openat"], |_| {
        let groups = std::fs::read_to_string("/proc/self/cgroup");
        Seen::io_where(groups, |groups| groups.lines().any(|line| !line.ends_with(":/")))
    })
    .needs(Need::Path("/proc/self/cgroup")),
    Attack::new("cgroup-release-agent", Cgroup, NOT_THERE, &["openat"], |facts| {
        write(&format!("{}/release_agent", facts.text("cgroup")))
    })
    .needs(Need::Fact("cgroup")),
    Attack::new("cgroup-leave", Cgroup, NOT_THERE, &["openat"], |facts| {
        write(&format!("{}/cgroup.procs", facts.text("cgroup")))
    })
    .needs(Need::Fact("cgroup")),
    list!("energy-counters", Sensor, "/sys/class/powercap", "list-sensors"),
    list!("hardware-monitors", Sensor, "/sys/class/hwmon", "list-sensors"),
    list!("thermal-zones", Sensor, "/sys/class/thermal", "list-sensors"),
    read!("energy-of-package", Sensor, "/sys/class/powercap/intel-rapl:0/energy_uj", "read-sensor"),
    read!("clock-frequency", Sensor, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "read-sensor"),
    list!("idle-states", Sensor, "/sys/devices/system/cpu/cpu0/cpuidle", "list-sensors"),
    read!("processor-registers", Sensor, "/dev/cpu/0/msr", "read-registers"),
    write!("wake-up-latency", Sensor, "/dev/cpu_dma_latency", "write-latency"),
    Attack::new("energy-events", Sensor, BY_FILTER, &["perf_event_open"], |facts| {
        let mut attributes = [0u8; 112];
        attributes[..4].copy_from_slice(&facts.number("power-events").to_ne_bytes());
        attributes[4] = 112;
        attributes[8] = 2;
        make(Sysno::perf_event_open, &mut [w(&mut attributes), n(-1), n(0), n(-1), n(0)])
    })
    .needs(Need::Fact("power-events")),
];

/// The number of the page that holds a local variable: nothing where the kernel shows zeroes.
fn physical_address() -> Seen {
    let local = 1u8;
    let page = (&raw const local as usize / 4096) as u64;
    let mut entry = [0u8; 8];
    match std::fs::File::open("/proc/self/pagemap").and_then(|map| map.read_exact_at(&mut entry, page * 8)) {
        Ok(()) if u64::from_ne_bytes(entry) & ((1 << 55) - 1) == 0 => Seen::Nothing,
        other => Seen::io(other),
    }
}
