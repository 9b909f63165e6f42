//! The plans of a sandbox: the launcher's steps, in order.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hotcell_launcher::plan::{INNER_ID, Step, VERSION};
use hotcell_policy::{Access, Accesses, BASE_DEVICES, GrantUse, Object, Profile, Rights, SideChannelRule, SystemView};
use hotcell_sys::harden::Hardening;
use hotcell_sys::{limit, mount, process};
use hotcell_types::{ByteSize, Wall};

use crate::cores::Cores;
use crate::devices::Device;
use crate::error::IsolateError;
use crate::filter::{Filter, FilterRules};
use crate::host::Host;
use crate::landlock::{self, Handled};
use crate::mounts::{Mount, Mounts};
use crate::preflight::Preflight;
use crate::sandbox::{ModelMount, Omitted, Program, Spec};
use crate::scratch::{ScratchKind, inodes};
use crate::shell::Sight;

/// Mount attributes of everything that only shows.
pub(crate) const SHOW: u64 = mount::ATTR_RDONLY | mount::ATTR_NOSUID | mount::ATTR_NODEV;
/// Mount attributes of data: shown, never executed.
pub(crate) const DATA: u64 = SHOW | mount::ATTR_NOEXEC;
/// Mount attributes of what can be written to.
const WRITABLE: u64 = mount::ATTR_NOSUID | mount::ATTR_NODEV | mount::ATTR_NOEXEC;
/// The root file system holds folders, links and a few small files.
const ROOT_BYTES: &CStr = c"1m";
/// The file that mounts show and access modes allow, but no Landlock rule: the preflight's canary.
pub(crate) const CANARY: &CStr = c"/.hotcell";
/// The host name inside.
pub(crate) const HOST_NAME: &CStr = c"hotcell";
/// Where the built-in runner appears.
pub(crate) const RUNNER: &str = hotcell_policy::RUNNER_PATH;
/// Where the copies of inputs are while they are bound to their places, relative to the root.
pub(crate) const COPIES: &CStr = c".copies";
/// Where programs are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// The steps of one part of a sandbox's life, encoded.
///
/// A sandbox has two plans. The *shell's* holds nothing of any task and can be carried out before one is known; the
/// *claim's*, made from a grant, makes a sandbox of it.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) bytes: Vec<u8>,
    count: u64,
}

/// What a claim's plan asks of the host's side.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) plan: Plan,
    pub(crate) preflight: Preflight,
    /// Number of the step that hands over the output folder.
    pub(crate) output_step: u64,
    /// Number of the step that hands over scratch, whose use is read at the end.
    pub(crate) scratch_step: Option<u64>,
    /// Number of the step that hands over the device of an encrypted scratch.
    pub(crate) fuse_step: Option<u64>,
    /// Number of the step that hands over the model's file.
    pub(crate) model_step: Option<u64>,
    /// Numbers of the steps that hand over the sockets of its network.
    pub(crate) socket_steps: Range<u64>,
    /// Number of the step that hands over both ends of the terminal.
    pub(crate) terminal_step: Option<u64>,
    /// Number of the step that hands over where refused calls are told.
    pub(crate) told_step: Option<u64>,
}

/// Where a claim's plan finds what comes along with it.
pub(crate) struct Along<'a> {
    /// What is shown of the host by the task's wish.
    pub(crate) mounts: &'a Mounts,
    /// Places of version 1 control groups' `tasks`.
    pub(crate) joined: Range<u64>,
    /// Where scratch lives.
    pub(crate) scratch: ScratchKind,
    /// Devices of the host.
    pub(crate) devices: &'a [Device],
    /// Cores of its own.
    pub(crate) cores: Option<&'a Cores>,
    /// Whether the shell still sees the host's files.
    pub(crate) sight: Sight,
}

/// What ends a shell, and the sandbox that is made of it, at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The end of the process that started it, or of whoever holds its control socket.
    WithParent,
    /// The end of whoever holds its control socket: it may be handed to another process.
    WithSocket,
}

/// Place of the first descriptor that a claim brings behind its plan and the three streams.
pub(crate) const FIRST_PLACE: u64 = 4;

impl Plan {
    /// What a step was about to do, for an error.
    pub(crate) fn step_name(&self, number: u64) -> Option<String> {
        let steps = hotcell_launcher::plan::read(&self.bytes)?;
        let step = steps.flatten().nth(usize::try_from(number).ok()?)?;
        if let Step::Seccomp { .. } | Step::SeccompTold { .. } = step {
            return Some("Seccomp".to_owned());
        }
        let mut name = format!("{step:?}");
        name.truncate(name.char_indices().nth(160).map_or(name.len(), |(at, _)| at));
        Some(name)
    }

    /// How many steps there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn new() -> Self {
        Self { bytes: Vec::from(VERSION.to_le_bytes()), count: 0 }
    }

    pub(crate) fn push(&mut self, step: Step<'_>) {
        step.encode(&mut |part| self.bytes.extend_from_slice(part));
        self.count += 1;
    }

    /// The plan of a shell: namespaces, and a root with everything that is the same for all tasks.
    ///
    /// `outer` is the user and group id outside; `state` is left in sight where the mount namespace is omitted.
    pub(crate) fn shell(
        view: &SystemView,
        omitted: &Omitted,
        is_root: bool,
        outer: (u32, u32),
        state: &Path,
        sight: Sight,
        end: End,
    ) -> Result<Self, IsolateError> {
        let up = |wall: Wall| !omitted.holds(wall);
        let mut plan = Self::new();
        plan.push(Step::Ids { user: outer.0.into(), group: outer.1.into(), privileged: is_root.into() });
        // It was started on another processor than ours.
        plan.push(Step::Affinity { mask: &crate::host::processor_mask(u64::MAX) });
        plan.push(Step::Namespaces { flags: namespaces(&up) });
        if end == End::WithParent {
            plan.push(Step::DieWithParent {});
        }
        plan.push(Step::Root { size: ROOT_BYTES, inodes: c"4096" });
        plan.push(Step::Dir { path: c"etc", mode: 0o755 });
        // Where the attributes of a tree cannot be set at once, each mount in it gets them by itself.
        let host_mounts = match crate::host::has_mount_attributes() {
            true => None,
            false => Some(
                crate::host::mounts()
                    .map_err(|source| IsolateError::Host { what: "reading the mounts of this host", source })?,
            ),
        };
        for path in view.paths() {
            let at = path.trim_start_matches('/');
            plan.push(Step::Show { source: &c_text(path)?, path: &c_text(at)?, attributes: SHOW });
            let below = host_mounts.as_deref().map(|mounts| mounts_below(mounts, Path::new(path))).unwrap_or_default();
            for below in below {
                plan.push(Step::Restrict { path: &c_text(&format!("{at}/{below}"))?, attributes: SHOW });
            }
        }
        plan.devices();
        plan.skeleton(up(Wall::MountNamespace));
        if up(Wall::PidNamespace) {
            plan.push(Step::Proc { path: c"proc" });
        } else {
            // The kernel mounts a process file system for its own processes only: the host's stays in sight.
            plan.push(Step::Bind { source: c"/proc", path: c"proc", attributes: 0, device: 0, inode: 0 });
        }
        if !up(Wall::MountNamespace) {
            plan.leave_in_sight(state)?;
        }
        if up(Wall::UtsNamespace) {
            plan.push(Step::HostName { name: HOST_NAME.to_bytes() });
        }
        if up(Wall::Keyring) {
            plan.push(Step::Keyring {});
        }
        if up(Wall::Capabilities) {
            plan.push(Step::DropBoundingSet {});
        }
        if sight == Sight::Closed {
            plan.push(Step::Pivot {});
        }
        plan.push(Step::Claim {});
        Ok(plan)
    }

    /// The plan that makes a sandbox of a shell whose plan had `number` steps.
    pub(crate) fn claim(
        grant: &GrantUse,
        spec: &Spec,
        host: &Host,
        along: &Along<'_>,
        number: u64,
    ) -> Result<Claim, IsolateError> {
        let (profile, rights) = (grant.profile(), grant.rights());
        let up = |wall: Wall| !spec.omits(wall);
        let loopback = rights.over(&Object::Localhost).has(Access::Connect);
        let inet = loopback || spec.network.is_some();
        let write_xor_execute = !rights.over(&Object::Memory).has(Access::Execute);
        let mut plan = Self::new();
        for place in along.joined.clone() {
            plan.push(Step::Join { place });
        }

        // The file system.
        along.mounts.links.make(&mut plan)?;
        let copies = along.mounts.copies_place();
        if let Some(place) = copies {
            plan.push(Step::Dir { path: COPIES, mode: 0o700 });
            plan.push(Step::Attach { place, path: COPIES, attributes: mount::ATTR_NOSUID });
        }
        let state = std::fs::canonicalize(&spec.state).unwrap_or_else(|_| spec.state.clone());
        for mount in &along.mounts.all {
            mount.attach(&mut plan, up(Wall::ReadOnly), up(Wall::NoExec))?;
            // Keys and log stay out of sight also where a folder is shown that holds them.
            if let Some(path) = mount.path_inside(&state) {
                plan.push(Step::Tmpfs {
                    path: &c_text(&path)?,
                    size: c"4k",
                    inodes: c"16",
                    large_pages: 0,
                    attributes: DATA,
                });
            }
        }
        if copies.is_some() {
            plan.push(Step::Detach { path: COPIES });
        }
        let terminal_step = spec.terminal.then(|| number + plan.terminal());
        let mut made = vec!["dev".to_owned()];
        for device in along.devices {
            device.attach(&mut plan, &mut made)?;
        }
        let writable = |path| match up(Wall::NoExec) && !rights.over_path(path).has(Access::Execute) {
            true => WRITABLE,
            false => WRITABLE & !mount::ATTR_NOEXEC,
        };
        let on_scratch = writable("/scratch");
        let mut fuse_step = None;
        match along.scratch {
            ScratchKind::Memory => {
                plan.tmpfs(c"scratch", profile.limits().scratch(), on_scratch)?;
            }
            ScratchKind::Encrypted => {
                fuse_step = Some(number + plan.count);
                plan.push(Step::Fuse { path: c"scratch", attributes: on_scratch });
            }
        }
        plan.push(Step::Dir { path: c"scratch/.shm", mode: 0o1777 });
        let mut scratch_step = None;
        if fuse_step.is_none() {
            // The server of an encrypted one counts by itself.
            scratch_step = Some(number + plan.count);
            plan.push(Step::Hand { path: c"scratch", create: 0 });
        }
        plan.tmpfs(c"output", profile.limits().output(), writable("/output"))?;
        let output_step = number + plan.count;
        plan.push(Step::Hand { path: c"output", create: 0 });
        let mut model_step = None;
        if let Some(ModelMount::Opened { name, bytes }) = &spec.model {
            let bytes = bytes.next_multiple_of(4096) + 65536;
            plan.push(Step::Tmpfs {
                path: c"model",
                size: &c_text(&bytes.to_string())?,
                inodes: c"16",
                large_pages: large_pages(bytes),
                attributes: WRITABLE,
            });
            model_step = Some(number + plan.count);
            plan.push(Step::Hand { path: &c_text(&format!("model/{name}"))?, create: 1 });
        }
        if write_xor_execute && up(Wall::WriteXorExecute) && up(Wall::PidNamespace) {
            // By `/proc/self/mem` a process writes to its own code, whatever the protection of the page.
            plan.push(Step::Restrict { path: c"proc", attributes: DATA });
        }
        if along.sight == Sight::Open {
            plan.push(Step::Pivot {});
        }
        if (loopback || spec.network.is_some()) && up(Wall::NetworkNamespace) {
            plan.push(Step::Loopback {});
        }
        let socket_steps = plan.network(spec, number)?;
        plan.limits(profile, host, &up);
        if let Some(cores) = along.cores {
            plan.push(Step::Affinity { mask: &cores.mask() });
        }
        if model_step.is_some() {
            // The host fills the model meanwhile.
            plan.push(Step::Await {});
            if up(Wall::ReadOnly) {
                plan.push(Step::Restrict { path: c"/model", attributes: DATA });
            }
        }
        if up(Wall::ReadOnly) {
            plan.push(Step::Restrict { path: c"/", attributes: SHOW });
        }

        // The workload.
        plan.push(Step::Workload {});
        if up(Wall::CgroupNamespace) {
            plan.push(Step::CgroupNamespace {});
        }
        plan.push(Step::Streams {});
        if spec.terminal {
            plan.push(Step::Session { terminal: TERMINAL });
        }
        if up(Wall::Descriptors) {
            plan.push(Step::CloseOthers {});
        }
        plan.push(Step::WorkingDir { path: &working_dir(spec)? });
        if up(Wall::Capabilities) {
            plan.push(Step::DropCapabilities {});
        }
        if up(Wall::NoNewPrivs) {
            plan.push(Step::NoNewPrivileges {});
        }
        if inet {
            plan.push(Step::LookAround { host: crate::preflight::own_namespace("/proc/self/ns/net").unsigned_abs() });
        }
        if up(Wall::Landlock) && host.landlock_abi > 0 {
            plan.landlock(rights, spec, along, host.landlock_abi)?;
        }
        let preflight = Preflight::of(grant, spec, host, along)?;
        for (_, hardening) in hardenings(profile, write_xor_execute).filter(|(wall, _)| up(*wall)) {
            plan.push(Step::Harden { hardening: hardening as u64 });
        }
        for probe in preflight.before_the_filter() {
            plan.push(Step::Probe { kind: probe.kind as u64, text: &probe.text, number: probe.number });
        }
        let mut told_step = None;
        if up(Wall::Seccomp) {
            let mut allowed = profile.system_calls();
            if up(Wall::CpuLimit) && limited_by_affinity(profile, host) || along.cores.is_some() {
                // Else the limit would be the workload's own to lift.
                allowed.retain(|call| *call != "sched_setaffinity");
            }
            let without_clocks = is_without_clocks(profile, spec) && up(Wall::NoClocks);
            if without_clocks {
                allowed.retain(|call| !CLOCKS.contains(call));
            }
            let rules = FilterRules {
                allowed: &allowed,
                inet: false,
                write_xor_execute,
                unmerged: is_hardened(profile),
                tsc: without_clocks,
                told: spec.told,
            };
            let closed = Filter::compile(&rules)?;
            let open = inet.then(|| Filter::compile(&FilterRules { inet: true, ..rules })).transpose()?;
            let (program, in_company) = match &open {
                Some(open) => (open.bytes(), closed.bytes()),
                None => (closed.bytes(), &[][..]),
            };
            if spec.told {
                told_step = Some(number + plan.count);
                plan.push(Step::SeccompTold { program, in_company });
            } else {
                plan.push(Step::Seccomp { program, in_company });
            }
        }
        for probe in preflight.after_the_filter() {
            plan.push(Step::Probe { kind: probe.kind as u64, text: &probe.text, number: probe.number });
        }
        plan.push(Step::Report {});
        plan.execute(spec)?;
        Ok(Claim {
            plan,
            preflight,
            output_step,
            scratch_step,
            fuse_step,
            model_step,
            socket_steps,
            terminal_step,
            told_step,
        })
    }

    /// The plan of a launcher that makes mounts with mapped ids and hands them over, one after the other.
    pub(crate) fn id_mounts(outer: u32, mounts: &[&Mount]) -> Self {
        let mut plan = Self::new();
        plan.push(Step::Ids { user: outer.into(), group: outer.into(), privileged: 1 });
        for mount in mounts {
            let (user, group) = mount.owner;
            plan.push(Step::IdMount { source: &mount.source, user: user.into(), group: group.into() });
        }
        plan
    }

    /// What a root that is not fresh would show: a folder of the host at its own place, as the host has it.
    fn leave_in_sight(&mut self, folder: &Path) -> Result<(), IsolateError> {
        let real = std::fs::canonicalize(folder).map_err(|source| IsolateError::Source {
            role: "the state",
            path: folder.to_owned(),
            source,
        })?;
        let at = real.to_string_lossy().trim_start_matches('/').to_owned();
        self.parents(&at, &mut vec!["var".to_owned()])?;
        self.mount_point(&at, true)?;
        self.push(Step::Bind {
            source: &c_os(real.as_os_str())?,
            path: &c_text(&at)?,
            attributes: 0,
            device: 0,
            inode: 0,
        });
        Ok(())
    }

    pub(crate) fn parents(&mut self, at: &str, made: &mut Vec<String>) -> Result<(), IsolateError> {
        for (end, _) in at.match_indices('/') {
            let parent = &at[..end];
            if !made.iter().any(|there| there == parent) {
                self.push(Step::Dir { path: &c_text(parent)?, mode: 0o755 });
                made.push(parent.to_owned());
            }
        }
        Ok(())
    }

    pub(crate) fn mount_point(&mut self, at: &str, is_dir: bool) -> Result<(), IsolateError> {
        let path = c_text(at)?;
        if is_dir {
            self.push(Step::Dir { path: &path, mode: 0o755 });
        } else {
            self.push(Step::File { path: &path, mode: 0o444, content: b"" });
        }
        Ok(())
    }

    /// A file system in memory that ends at this size.
    fn tmpfs(&mut self, path: &CStr, size: ByteSize, attributes: u64) -> Result<(), IsolateError> {
        self.push(Step::Tmpfs {
            path,
            size: &c_text(&size.bytes().to_string())?,
            inodes: &c_text(&inodes(size).to_string())?,
            large_pages: large_pages(size.bytes()),
            attributes,
        });
        Ok(())
    }

    fn devices(&mut self) {
        self.push(Step::Dir { path: c"dev", mode: 0o755 });
        for (source, path) in DEVICES {
            self.push(Step::File { path, mode: 0o666, content: b"" });
            let attributes = mount::ATTR_NOSUID | mount::ATTR_NOEXEC;
            self.push(Step::Bind { source, path, attributes, device: 0, inode: 0 });
        }
        for (target, path) in [
            (c"/proc/self/fd", c"dev/fd"),
            (c"/proc/self/fd/0", c"dev/stdin"),
            (c"/proc/self/fd/1", c"dev/stdout"),
            (c"/proc/self/fd/2", c"dev/stderr"),
            (c"/scratch/.shm", c"dev/shm"),
        ] {
            self.push(Step::Link { target, path });
        }
    }

    /// Terminals of the sandbox's own, of which the first is opened for the workload; gives the number of the step that
    /// hands it over.
    fn terminal(&mut self) -> u64 {
        self.push(Step::Dir { path: c"dev/pts", mode: 0o755 });
        self.push(Step::Terminals { path: c"dev/pts" });
        self.push(Step::Link { target: c"pts/ptmx", path: c"dev/ptmx" });
        self.push(Step::File { path: c"dev/tty", mode: 0o666, content: b"" });
        let attributes = mount::ATTR_NOSUID | mount::ATTR_NOEXEC;
        self.push(Step::Bind { source: c"/dev/tty", path: c"dev/tty", attributes, device: 0, inode: 0 });
        let step = self.count;
        self.push(Step::Terminal { multiplexer: c"dev/pts/ptmx", terminal: c"dev/pts/0" });
        step
    }

    /// Folders, and the few files of `/etc` that every program expects, made from nothing.
    fn skeleton(&mut self, is_fresh: bool) {
        for path in [c"input", c"model", c"output", c"scratch", c"proc", c"var"] {
            self.push(Step::Dir { path, mode: 0o755 });
        }
        if is_fresh {
            // Else the state, which stays in sight, may lie in the host's own.
            self.push(Step::Link { target: c"scratch", path: c"tmp" });
        }
        self.push(Step::Link { target: c"/scratch", path: c"var/tmp" });
        let id = INNER_ID;
        for (path, content) in [
            (c"etc/passwd", format!("root:x:0:0:root:/:/bin/false\nworkload:x:{id}:{id}:workload:/scratch:/bin/sh\n")),
            (c"etc/group", format!("root:x:0:\nworkload:x:{id}:\n")),
            (c"etc/hosts", "127.0.0.1 localhost hotcell\n::1 localhost\n".to_owned()),
            // Else the C library takes the first line of a name for all: `localhost` has two.
            (c"etc/host.conf", "multi on\n".to_owned()),
            (c"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
            (c"etc/hostname", "hotcell\n".to_owned()),
        ] {
            self.push(Step::File { path, mode: 0o444, content: content.as_bytes() });
        }
        self.push(Step::File { path: c".hotcell", mode: 0o444, content: b"no Landlock rule covers this file\n" });
    }

    /// The addresses and sockets of a way to the network, and what programs have to know of it; gives the numbers of the
    /// steps that hand over the sockets.
    fn network(&mut self, spec: &Spec, number: u64) -> Result<Range<u64>, IsolateError> {
        let Some(network) = &spec.network else { return Ok(0..0) };
        let word = |address: Ipv4Addr| u64::from(u32::from(address));
        self.push(Step::WidenLoopback { address: word(network.resolver), mask: word(network.mask) });
        let resolver = format!("nameserver {}\noptions timeout:5 attempts:1\n", network.resolver);
        self.push(Step::Replace { path: c"etc/resolv.conf", mode: 0o444, content: resolver.as_bytes() });
        let switch = b"passwd: files\ngroup: files\nhosts: files dns\n";
        self.push(Step::Replace { path: c"etc/nsswitch.conf", mode: 0o444, content: switch });
        let certificates = c_text(CERTIFICATES.trim_start_matches('/'))?;
        self.push(Step::Replace { path: &certificates, mode: 0o444, content: &network.certificates });
        for path in SYSTEM_CERTIFICATES {
            let path = c_text(path.trim_start_matches('/'))?;
            self.push(Step::Cover { source: &certificates, path: &path, attributes: DATA });
        }
        let first = number + self.count;
        for socket in &network.sockets {
            let (address, port) = (word(socket.address), socket.port.into());
            self.push(Step::Listen { address, port, datagrams: socket.datagrams.into() });
        }
        Ok(first..number + self.count)
    }

    fn limits(&mut self, profile: &Profile, host: &Host, up: &dyn Fn(Wall) -> bool) {
        let limits = profile.limits();
        if up(Wall::CoreDumps) {
            self.push(Step::Limit { resource: limit::CORE.into(), value: 0 });
        }
        self.push(Step::Limit { resource: limit::NOFILE.into(), value: limits.open_files().min(host.max_open_files) });
        self.push(Step::Limit { resource: limit::FSIZE.into(), value: limits.file_size().bytes() });
        self.push(Step::Limit { resource: limit::MSGQUEUE.into(), value: 1 << 20 });
        self.push(Step::Limit { resource: limit::MEMLOCK.into(), value: 1 << 20 });
        // Whatever the caller may: nothing inside comes before other processes of the host.
        self.push(Step::Limit { resource: limit::NICE.into(), value: 0 });
        self.push(Step::Limit { resource: limit::RTPRIO.into(), value: 0 });
        if up(Wall::PidsLimit) {
            // Counted in the sandbox's own user namespace; its first process counts too.
            self.push(Step::Limit { resource: limit::NPROC.into(), value: limits.pids() + 1 });
        }
        if up(Wall::MemoryLimit) && !host.cgroups.has_memory() {
            self.push(Step::Limit { resource: limit::DATA.into(), value: limits.memory().bytes() });
        }
        if up(Wall::CpuLimit) && limited_by_affinity(profile, host) {
            let mask = crate::host::processor_mask(limits.cpu_millis().div_ceil(1000));
            self.push(Step::Affinity { mask: &mask });
        }
    }

    /// Each right of the grant as a rule, and none beside them.
    fn landlock(&mut self, rights: &Rights, spec: &Spec, along: &Along<'_>, abi: u32) -> Result<(), IsolateError> {
        use landlock::{FILE_RIGHTS, fs, of_accesses};
        let mounts = along.mounts;
        let handled = Handled::of_abi(abi.min(landlock::WHOLE_ABI));
        let net = if rights.over(&Object::Localhost) == Accesses::NONE { handled.net } else { 0 };
        self.push(Step::Landlock {
            fs: handled.fs,
            net,
            net_in_company: handled.net,
            scoped: handled.scoped,
            abi: abi.into(),
        });
        let allow = |plan: &mut Self, path: &str, rights: u64| -> Result<(), IsolateError> {
            plan.push(Step::LandlockAllow { path: &c_text(path)?, rights: rights & handled.fs });
            Ok(())
        };
        for right in rights.iter() {
            let accesses = right.accesses();
            match right.object() {
                Object::Names(path) => allow(self, path, fs::READ_DIR)?,
                // A model that is opened is there; a plain one is mounted below.
                Object::Path(path) if path == "/model" && spec.model.is_none() => {}
                Object::Path(path) => {
                    let is_dir = mounts.is_dir(path) && !BASE_DEVICES.contains(&path.as_str());
                    allow(self, path, of_accesses(accesses, is_dir))?;
                }
                Object::Image => {
                    for mount in mounts.all.iter().filter(|mount| mount.is_of_image) {
                        allow(self, &format!("/{}", mount.at), of_accesses(accesses, mount.is_dir))?;
                    }
                }
                Object::Terminal => {
                    allow(self, "/dev/tty", of_accesses(accesses, false) | fs::IOCTL_DEV)?;
                    allow(self, "/dev/pts", of_accesses(accesses, false) | fs::IOCTL_DEV | fs::READ_DIR)?;
                }
                Object::System(path) => {
                    let folder = of_accesses(accesses, true) & handled.fs;
                    let path = c_text(path)?;
                    self.push(Step::LandlockAllowShown { path: &path, folder, file: folder & FILE_RIGHTS });
                }
                Object::Device(_) | Object::Memory | Object::Localhost | Object::Host { .. } => {}
            }
        }
        for device in along.devices {
            self.push(Step::LandlockAllow { path: &c_text(device.node())?, rights: device.landlock() & handled.fs });
        }
        if net != 0
            && let Some(network) = &spec.network
        {
            for socket in network.sockets.iter().filter(|socket| !socket.datagrams) {
                let rights = landlock::CONNECT_TCP & handled.net;
                self.push(Step::LandlockAllowPort { port: socket.port.into(), rights });
            }
        }
        self.push(Step::LandlockEnforce {});
        Ok(())
    }

    fn execute(&mut self, spec: &Spec) -> Result<(), IsolateError> {
        let (program, arguments): (OsString, Vec<OsString>) = match &spec.program {
            Program::Command(command) => {
                let program = command.first().cloned().unwrap_or_default();
                (program, command.clone())
            }
            Program::Runner { arguments } => {
                let mut all = vec![OsString::from("hotcell-runner")];
                all.extend(arguments.iter().cloned());
                (RUNNER.into(), all)
            }
        };
        let mut environment: Vec<(OsString, OsString)> =
            [("PATH", PATH), ("HOME", "/scratch"), ("TMPDIR", "/scratch"), ("USER", "workload"), ("LANG", "C.UTF-8")]
                .map(|(name, value)| (name.into(), value.into()))
                .into();
        if spec.network.is_some() {
            environment.extend(TRUST_VARIABLES.map(|name| (name.into(), CERTIFICATES.into())));
        }
        for (name, value) in &spec.environment {
            environment.retain(|(there, _)| there != name);
            environment.push((name.clone(), value.clone()));
        }
        let path =
            environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone()).unwrap_or_default();
        let candidates: Vec<PathBuf> = if program.as_bytes().contains(&b'/') {
            vec![program.into()]
        } else {
            path.as_bytes()
                .split(|byte| *byte == b':')
                .map(|dir| Path::new(OsStr::from_bytes(dir)).join(&program))
                .collect()
        };
        let candidates = joined(candidates.iter().map(|path| path.as_os_str().as_bytes().to_vec()))?;
        let arguments = joined(arguments.iter().map(|text| text.as_bytes().to_vec()))?;
        let environment =
            joined(environment.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()))?;
        self.push(Step::Execute { candidates: &candidates, arguments: &arguments, environment: &environment });
        Ok(())
    }
}

/// Where the certificates lie that programs inside are to trust, of a task that has a way to the network.
pub(crate) const CERTIFICATES: &str = "/etc/hotcell-certificates.pem";
/// Where programs that are not told look for them: covered, where they are there.
pub(crate) const SYSTEM_CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",                // Debian and its kin, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora and its kin
];
/// The variables by which programs are told.
const TRUST_VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",       // OpenSSL, Go, Rust
    "CURL_CA_BUNDLE",      // curl
    "REQUESTS_CA_BUNDLE",  // Python's requests
    "PIP_CERT",            // pip
    "NODE_EXTRA_CA_CERTS", // node, npm
    "GIT_SSL_CAINFO",      // git
    "CARGO_HTTP_CAINFO",   // cargo
    "AWS_CA_BUNDLE",       // the tools of that cloud
];
/// The terminal that controls a workload that asked for one.
const TERMINAL: &CStr = c"/dev/pts/0";

/// From this size on a file system in memory may have pages of 2 MiB.
///
/// The kernel takes one only for a part of a file that lies wholly within it, so that small files cost what they did, and
/// falls back to small pages where the limit or the memory does not hold another. A file with holes may cost more by it,
/// and small file systems are freed in an instant anyway: so they stay without.
const LARGE: u64 = 1 << 30;

/// Whether a file system in memory of this size may have large pages. The kernel gives small ones back one by one: for
/// 4 GiB that takes half a second, and more on a busy machine.
fn large_pages(bytes: u64) -> u64 {
    u64::from(bytes >= LARGE)
}

/// Whether the limit on processors is kept by affinity, for want of a control group.
fn limited_by_affinity(profile: &Profile, host: &Host) -> bool {
    !host.cgroups.has_cpu() && profile.limits().cpu_millis() < host.processors * 1000
}

/// Where the workload starts: in its code, or where its image says, or where it may write.
fn working_dir(spec: &Spec) -> Result<CString, IsolateError> {
    match (&spec.code, &spec.image) {
        (Some(_), _) => Ok(c"/code".to_owned()),
        (None, Some(image)) => c_text(image.working_dir.as_deref().unwrap_or("/")),
        (None, None) => Ok(c"/scratch".to_owned()),
    }
}

/// The nodes that every program expects: those that every grant has a right over ([`BASE_DEVICES`]).
const DEVICES: [(&CStr, &CStr); 5] = [
    (c"/dev/null", c"dev/null"),
    (c"/dev/zero", c"dev/zero"),
    (c"/dev/full", c"dev/full"),
    (c"/dev/random", c"dev/random"),
    (c"/dev/urandom", c"dev/urandom"),
];

/// Whether a profile asks for all that there is against side channels.
pub(crate) fn is_hardened(profile: &Profile) -> bool {
    profile.side_channels() == SideChannelRule::Hardened
}

/// Whether the program has no clocks: the built-in runner needs none, any other would not start without.
pub(crate) fn is_without_clocks(profile: &Profile, spec: &Spec) -> bool {
    is_hardened(profile) && matches!(spec.program, Program::Runner { .. })
}

/// What is asked of the kernel for one process, each with the wall that it belongs to.
pub(crate) fn hardenings(profile: &Profile, write_xor_execute: bool) -> impl Iterator<Item = (Wall, Hardening)> {
    every_hardening().filter(move |(wall, _)| match wall {
        Wall::WriteXorExecute => write_xor_execute,
        _ => is_hardened(profile),
    })
}

/// All that can be asked of the kernel for one process.
pub(crate) fn every_hardening() -> impl Iterator<Item = (Wall, Hardening)> {
    [
        (Wall::WriteXorExecute, Hardening::WriteXorExecute),
        (Wall::Speculation, Hardening::StoreBypass),
        (Wall::Speculation, Hardening::IndirectBranch),
        (Wall::Speculation, Hardening::CacheFlush),
        (Wall::CoreScheduling, Hardening::Core),
        (Wall::PageSharing, Hardening::Pages),
    ]
    .into_iter()
}

/// Calls that tell the time.
const CLOCKS: &[&str] =
    &["clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "timerfd_gettime", "sysinfo"];

fn namespaces(up: &dyn Fn(Wall) -> bool) -> u64 {
    [
        (Wall::UserNamespace, process::CLONE_NEWUSER),
        (Wall::PidNamespace, process::CLONE_NEWPID),
        (Wall::NetworkNamespace, process::CLONE_NEWNET),
        (Wall::IpcNamespace, process::CLONE_NEWIPC),
        (Wall::UtsNamespace, process::CLONE_NEWUTS),
    ]
    .into_iter()
    .filter(|(wall, _)| up(*wall))
    .fold(process::CLONE_NEWNS, |flags, (_, flag)| flags | flag)
}

/// The mount points below a folder, relative to it, from the text of `/proc/self/mountinfo`.
pub(crate) fn mounts_below(mounts: &str, folder: &Path) -> Vec<String> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    let below = points.filter_map(|point| Some(Path::new(&point).strip_prefix(folder).ok()?.to_str()?.to_owned()));
    let mut below: Vec<_> = below.filter(|path| !path.is_empty()).collect();
    below.sort();
    below.dedup();
    below
}

/// A path of `mountinfo`, where space, tab, line end and backslash are written in octal.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

/// Strings, each with its NUL.
fn joined(texts: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>, IsolateError> {
    let mut bytes = Vec::new();
    for text in texts {
        let text = CString::new(text)
            .map_err(|_| IsolateError::Unrepresentable { what: "an argument".into(), why: "it holds a NUL byte" })?;
        bytes.extend_from_slice(text.as_bytes_with_nul());
    }
    Ok(bytes)
}

pub(crate) fn c_text(text: &str) -> Result<CString, IsolateError> {
    c_os(OsStr::new(text))
}

pub(crate) fn c_os(text: &OsStr) -> Result<CString, IsolateError> {
    CString::new(text.as_bytes()).map_err(|_| IsolateError::Unrepresentable {
        what: format!("`{}`", text.display()),
        why: "it holds a NUL byte",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_has_the_devices_that_every_grant_has_rights_over_and_no_other() {
        let nodes: Vec<_> = DEVICES.iter().map(|(source, _)| source.to_str().unwrap()).collect();
        assert_eq!(nodes, BASE_DEVICES);
    }

    #[test]
    fn mounts_below_a_folder_are_found_once_each_with_their_real_names() {
        let mounts = "\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 8:2 / /data rw - ext4 /dev/sdb1 rw
23 22 0:3 / /data/one\\040two rw - tmpfs tmpfs rw
24 22 0:3 / /data/one\\040two rw - tmpfs tmpfs rw
25 22 0:4 / /data/one\\040two/deep rw - tmpfs tmpfs rw
26 21 0:5 / /database rw - tmpfs tmpfs rw
";
        assert_eq!(mounts_below(mounts, Path::new("/data")), ["one two", "one two/deep"]);
        assert!(mounts_below(mounts, Path::new("/database")).is_empty());
    }
}
