//! The plan of one sandbox: the launcher's steps, in order, made from a grant and a [`Spec`].

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hotcell_launcher::plan::{INNER_ID, MAX_SLOTS, Step, VERSION};
use hotcell_policy::{GrantUse, Profile};
use hotcell_sys::{limit, mount, process};
use hotcell_types::Wall;

use crate::error::IsolateError;
use crate::filter::{Filter, FilterRules};
use crate::host::Host;
use crate::landlock::{self, Handled};
use crate::preflight::Preflight;
use crate::sandbox::{ModelMount, Program, Spec};

/// Mount attributes of everything that only shows.
const SHOW: u64 = mount::ATTR_RDONLY | mount::ATTR_NOSUID | mount::ATTR_NODEV;
/// Mount attributes of data: shown, never executed.
const DATA: u64 = SHOW | mount::ATTR_NOEXEC;
/// Mount attributes of what can be written to.
const WRITABLE: u64 = mount::ATTR_NOSUID | mount::ATTR_NODEV | mount::ATTR_NOEXEC;
/// Inodes of scratch and of output; a named number, so that a flood of empty files ends.
const INODES: &CStr = c"65536";
/// The root file system holds folders, links and a few small files.
const ROOT_BYTES: &CStr = c"1m";
/// The file that mounts show and access modes allow, but no Landlock rule: the preflight's canary.
pub(crate) const CANARY: &CStr = c"/.hotcell";
/// The host name inside.
pub(crate) const HOST_NAME: &CStr = c"hotcell";
/// Where the built-in runner appears.
const RUNNER: &str = "/hotcell-runner";
/// Where programs are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// What an owner of a path outside must become inside, or nothing to do.
struct IdChange {
    user: u32,
    group: u32,
}

/// A plan with what the host's side needs to know of it.
pub(crate) struct Plan {
    pub(crate) bytes: Vec<u8>,
    names: Vec<String>,
    pub(crate) preflight: Preflight,
    /// Number of the step that hands over the output folder.
    pub(crate) output_step: Option<u64>,
    /// Number of the step that hands over scratch, whose use is read at the end.
    pub(crate) scratch_step: Option<u64>,
    /// Number of the step that hands over the model's file.
    pub(crate) model_step: Option<u64>,
    /// Number of the step that hands over both ends of the terminal.
    pub(crate) terminal_step: Option<u64>,
}

impl Plan {
    /// What a step was about to do, for an error.
    pub(crate) fn step_name(&self, number: u64) -> String {
        usize::try_from(number)
            .ok()
            .and_then(|n| self.names.get(n))
            .cloned()
            .unwrap_or_else(|| format!("step {number}"))
    }

    fn new() -> Self {
        Self {
            bytes: Vec::from(VERSION.to_le_bytes()),
            names: Vec::new(),
            preflight: Preflight::default(),
            output_step: None,
            scratch_step: None,
            model_step: None,
            terminal_step: None,
        }
    }

    pub(crate) fn push(&mut self, step: Step<'_>) {
        step.encode(&mut |part| self.bytes.extend_from_slice(part));
        let mut name = format!("{step:?}");
        name.truncate(name.char_indices().nth(160).map_or(name.len(), |(at, _)| at));
        self.names.push(name);
    }

    fn last_step(&self) -> u64 {
        self.names.len() as u64 - 1
    }

    /// Makes the plan.
    ///
    /// `outer` is the user and group id outside; `into_cgroup` whether a version 2 control group comes along, `joined`
    /// the `tasks` files of version 1 ones.
    pub(crate) fn make(
        grant: &GrantUse,
        spec: &Spec,
        host: &Host,
        outer: (u32, u32),
        into_cgroup: bool,
        joined: &[PathBuf],
    ) -> Result<Self, IsolateError> {
        let profile = grant.profile();
        let up = |wall: Wall| !spec.omits(wall);
        let mut plan = Self::new();
        let mut sources = Sources::new(host.is_root, outer.0);

        // Outside.
        let privileged = u64::from(host.is_root);
        plan.push(Step::Ids { user: outer.0.into(), group: outer.1.into(), privileged });
        let mut inside = Vec::new();
        let code_attributes = if profile.code_exec() { SHOW } else { DATA };
        for input in &spec.inputs {
            let at = format!("input/{}", input.name);
            inside.push((sources.open(&mut plan, &input.path, "an input")?, at, DATA));
        }
        if let Some(code) = &spec.code {
            inside.push((sources.open(&mut plan, code, "the code")?, "code".into(), code_attributes));
        }
        if let Some(ModelMount::Plain { path }) = &spec.model {
            let name = path.file_name().unwrap_or(OsStr::new("model")).to_string_lossy().into_owned();
            inside.push((sources.open(&mut plan, path, "the model")?, format!("model/{name}"), DATA));
        }
        let runner = match &spec.program {
            Program::Runner { .. } => Some(sources.open(&mut plan, &host.executable, "the runner")?),
            Program::Command(_) => None,
        };
        for tasks in joined {
            plan.push(Step::Join { tasks: &c_os(tasks.as_os_str())? });
        }
        plan.push(Step::Namespaces { flags: namespaces(&up), into_cgroup: u64::from(into_cgroup) });

        // The file system.
        plan.push(Step::Root { size: ROOT_BYTES, inodes: c"4096" });
        let at_root = plan.view(profile, &mut sources)?;
        plan.devices();
        if spec.terminal {
            plan.terminal();
        }
        plan.skeleton(spec, &at_root);
        for (source, at, attributes) in &inside {
            source.bind(
                &mut plan,
                at,
                if up(Wall::ReadOnly) { *attributes } else { attributes & !mount::ATTR_RDONLY },
            )?;
        }
        if let Some(runner) = &runner {
            runner.bind(&mut plan, &RUNNER[1..], SHOW)?;
        }
        let writable = if up(Wall::NoExec) { WRITABLE } else { WRITABLE & !mount::ATTR_NOEXEC };
        let scratch = c_text(&profile.limits().scratch().bytes().to_string())?;
        let on_scratch = if profile.scratch_exec() { writable & !mount::ATTR_NOEXEC } else { writable };
        plan.push(Step::Tmpfs { path: c"scratch", size: &scratch, inodes: INODES, attributes: on_scratch });
        plan.push(Step::Dir { path: c"scratch/.shm", mode: 0o1777 });
        plan.push(Step::Hand { path: c"scratch", create: 0 });
        plan.scratch_step = Some(plan.last_step());
        let output = c_text(&profile.limits().output().bytes().to_string())?;
        plan.push(Step::Tmpfs { path: c"output", size: &output, inodes: INODES, attributes: writable });
        plan.push(Step::Hand { path: c"output", create: 0 });
        plan.output_step = Some(plan.last_step());
        if let Some(ModelMount::Opened { name, bytes }) = &spec.model {
            let size = c_text(&(bytes.next_multiple_of(4096) + 65536).to_string())?;
            plan.push(Step::Tmpfs { path: c"model", size: &size, inodes: c"16", attributes: WRITABLE });
            let path = c_text(&format!("model/{name}"))?;
            plan.push(Step::Hand { path: &path, create: 1 });
            plan.model_step = Some(plan.last_step());
        }
        if up(Wall::PidNamespace) {
            plan.push(Step::Proc { path: c"proc" });
        } else {
            // The kernel mounts a process file system for its own processes only: the host's stays in sight.
            plan.push(Step::Bind { source: c"/proc", path: c"proc", attributes: 0, device: 0, inode: 0 });
        }
        if !up(Wall::MountNamespace) {
            plan.leave_in_sight(&spec.state)?;
        }
        plan.push(Step::Pivot {});
        if up(Wall::UtsNamespace) {
            plan.push(Step::HostName { name: HOST_NAME.to_bytes() });
        }
        if up(Wall::Keyring) {
            plan.push(Step::Keyring {});
        }
        if profile.loopback() && up(Wall::NetworkNamespace) {
            plan.push(Step::Loopback {});
        }
        plan.limits(profile, host, &up);

        // The host limits, fills the model and records the intent meanwhile.
        plan.push(Step::Await {});
        if up(Wall::CgroupNamespace) {
            plan.push(Step::CgroupNamespace {});
        }
        if matches!(spec.model, Some(ModelMount::Opened { .. })) {
            plan.push(Step::Restrict { path: c"/model", attributes: DATA });
        }
        if up(Wall::ReadOnly) {
            plan.push(Step::Restrict { path: c"/", attributes: SHOW });
        }

        // The workload.
        plan.push(Step::Workload {});
        plan.push(Step::Streams {});
        if spec.terminal {
            plan.push(Step::Session { terminal: TERMINAL });
        }
        if up(Wall::Descriptors) {
            plan.push(Step::CloseOthers {});
        }
        let has_code = spec.code.is_some();
        plan.push(Step::WorkingDir { path: if has_code { c"/code" } else { c"/scratch" } });
        if up(Wall::Capabilities) {
            plan.push(Step::DropCapabilities {});
        }
        if up(Wall::NoNewPrivs) {
            plan.push(Step::NoNewPrivileges {});
        }
        if profile.loopback() {
            plan.push(Step::LookAround { host: crate::preflight::own_namespace("/proc/self/ns/net").unsigned_abs() });
        }
        if up(Wall::Landlock) && host.landlock_abi > 0 {
            plan.landlock(profile, spec, &inside, &at_root, host.landlock_abi, runner.is_some())?;
        }
        if up(Wall::Seccomp) {
            let rules = FilterRules {
                allowed: &profile.system_calls(),
                inet: false,
                write_xor_execute: profile.write_xor_execute(),
            };
            let closed = Filter::compile(&rules)?;
            if profile.loopback() {
                let open = Filter::compile(&FilterRules { inet: true, ..rules })?;
                plan.push(Step::Seccomp { program: open.bytes(), in_company: closed.bytes() });
            } else {
                plan.push(Step::Seccomp { program: closed.bytes(), in_company: &[] });
            }
        }
        plan.preflight(profile, spec, host)?;
        plan.push(Step::Report {});
        plan.execute(spec)?;
        Ok(plan)
    }

    /// Shows the profile's part of the host, and gives the folders so shown.
    fn view(&mut self, profile: &Profile, sources: &mut Sources) -> Result<Vec<String>, IsolateError> {
        let mut shown = Vec::new();
        self.push(Step::Dir { path: c"etc", mode: 0o755 });
        let mut made = vec!["etc".to_owned()];
        for path in profile.system_view().paths() {
            let Ok(kind) = std::fs::symlink_metadata(path) else { continue };
            let at = path.trim_start_matches('/');
            if kind.is_symlink() && at.split('/').count() == 1 {
                // /bin and its like, where they are links into /usr.
                let target = std::fs::read_link(path).map_err(|source| IsolateError::Source {
                    role: "a part of the system",
                    path: path.into(),
                    source,
                })?;
                self.push(Step::Link { target: &c_os(target.as_os_str())?, path: &c_text(at)? });
                continue;
            }
            let Ok(real) = std::fs::canonicalize(path) else { continue };
            self.parents(at, &mut made)?;
            self.mount_point(at, real.is_dir())?;
            let source = sources.world_readable(&real)?;
            source.attach(self, at, SHOW)?;
            shown.push(path.to_owned());
        }
        Ok(shown)
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

    fn parents(&mut self, at: &str, made: &mut Vec<String>) -> Result<(), IsolateError> {
        for (end, _) in at.match_indices('/') {
            let parent = &at[..end];
            if !made.iter().any(|there| there == parent) {
                self.push(Step::Dir { path: &c_text(parent)?, mode: 0o755 });
                made.push(parent.to_owned());
            }
        }
        Ok(())
    }

    fn mount_point(&mut self, at: &str, is_dir: bool) -> Result<(), IsolateError> {
        let path = c_text(at)?;
        if is_dir {
            self.push(Step::Dir { path: &path, mode: 0o755 });
        } else {
            self.push(Step::File { path: &path, mode: 0o444, content: b"" });
        }
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

    /// Terminals of the sandbox's own, of which the first is opened for the workload.
    fn terminal(&mut self) {
        self.push(Step::Dir { path: c"dev/pts", mode: 0o755 });
        self.push(Step::Terminals { path: c"dev/pts" });
        self.push(Step::Link { target: c"pts/ptmx", path: c"dev/ptmx" });
        self.push(Step::File { path: c"dev/tty", mode: 0o666, content: b"" });
        let attributes = mount::ATTR_NOSUID | mount::ATTR_NOEXEC;
        self.push(Step::Bind { source: c"/dev/tty", path: c"dev/tty", attributes, device: 0, inode: 0 });
        self.push(Step::Terminal { multiplexer: c"dev/pts/ptmx", terminal: c"dev/pts/0" });
        self.terminal_step = Some(self.last_step());
    }

    /// Folders, and the few files of `/etc` that every program expects, made from nothing.
    fn skeleton(&mut self, spec: &Spec, _shown: &[String]) {
        for path in [c"input", c"model", c"output", c"scratch", c"proc", c"var"] {
            self.push(Step::Dir { path, mode: 0o755 });
        }
        if spec.code.is_some() {
            self.push(Step::Dir { path: c"code", mode: 0o755 });
        }
        if !spec.omits(Wall::MountNamespace) {
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

    fn limits(&mut self, profile: &Profile, host: &Host, up: &dyn Fn(Wall) -> bool) {
        let limits = profile.limits();
        if up(Wall::CoreDumps) {
            self.push(Step::Limit { resource: limit::CORE.into(), value: 0 });
        }
        self.push(Step::Limit { resource: limit::NOFILE.into(), value: limits.open_files().min(host.max_open_files) });
        self.push(Step::Limit { resource: limit::FSIZE.into(), value: limits.file_size().bytes() });
        self.push(Step::Limit { resource: limit::MSGQUEUE.into(), value: 1 << 20 });
        self.push(Step::Limit { resource: limit::MEMLOCK.into(), value: 1 << 20 });
        if up(Wall::PidsLimit) {
            // Counted in the sandbox's own user namespace; its first process counts too.
            self.push(Step::Limit { resource: limit::NPROC.into(), value: limits.pids() + 1 });
        }
        if up(Wall::MemoryLimit) && !host.cgroups.has_memory() {
            self.push(Step::Limit { resource: limit::DATA.into(), value: limits.memory().bytes() });
        }
        if up(Wall::CpuLimit) && !host.cgroups.has_cpu() && limits.cpu_millis() < host.processors * 1000 {
            let mask = crate::host::processor_mask(limits.cpu_millis().div_ceil(1000));
            self.push(Step::Affinity { mask: &mask });
        }
    }

    fn landlock(
        &mut self,
        profile: &Profile,
        spec: &Spec,
        inside: &[(Source, String, u64)],
        at_root: &[String],
        abi: u32,
        has_runner: bool,
    ) -> Result<(), IsolateError> {
        use landlock::{FILE_RIGHTS, READ, READ_EXECUTE, READ_WRITE, fs};
        let handled = Handled::of_abi(abi.min(landlock::WHOLE_ABI));
        let net = if profile.loopback() { 0 } else { handled.net };
        self.push(Step::Landlock {
            fs: handled.fs,
            net,
            net_in_company: handled.net,
            scoped: handled.scoped,
            abi: abi.into(),
        });
        let mut allow = |path: &str, rights: u64, is_dir: bool| -> Result<(), IsolateError> {
            let rights = rights & handled.fs & if is_dir { u64::MAX } else { FILE_RIGHTS };
            self.push(Step::LandlockAllow { path: &c_text(path)?, rights });
            Ok(())
        };
        // Folders may be listed: only what was granted is there to be seen.
        allow("/", fs::READ_DIR, true)?;
        allow("/proc", READ, true)?;
        allow("/etc", fs::READ_FILE, true)?;
        for path in at_root {
            let is_dir = Path::new(path).is_dir();
            allow(path, if path.starts_with("/etc/") { READ } else { READ_EXECUTE }, is_dir)?;
        }
        for (_, path) in DEVICES {
            allow(&format!("/{}", path.to_string_lossy()), fs::READ_FILE | fs::WRITE_FILE, false)?;
        }
        if spec.terminal {
            let rights = fs::READ_FILE | fs::WRITE_FILE | fs::IOCTL_DEV;
            allow("/dev/tty", rights, false)?;
            allow("/dev/pts", rights | fs::READ_DIR, true)?;
        }
        for (source, at, _) in inside {
            let rights = if at == "code" && profile.code_exec() { READ_EXECUTE } else { READ };
            allow(&format!("/{at}"), rights, source.is_dir)?;
        }
        if matches!(spec.model, Some(ModelMount::Opened { .. })) {
            allow("/model", READ, true)?;
        }
        if has_runner {
            allow(RUNNER, READ_EXECUTE, false)?;
        }
        // With the NoExec wall down, Landlock's own denial of execution stays.
        allow("/output", READ_WRITE, true)?;
        let execute = if profile.scratch_exec() { fs::EXECUTE } else { 0 };
        allow("/scratch", READ_WRITE | execute, true)?;
        self.push(Step::LandlockEnforce {});
        Ok(())
    }

    fn preflight(&mut self, profile: &Profile, spec: &Spec, host: &Host) -> Result<(), IsolateError> {
        let preflight = Preflight::of(profile, spec, host)?;
        for probe in preflight.probes() {
            self.push(Step::Probe { kind: probe.kind as u64, text: &probe.text, number: probe.number });
        }
        self.preflight = preflight;
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

/// The terminal that controls a workload that asked for one.
const TERMINAL: &CStr = c"/dev/pts/0";

/// The device nodes that every program expects.
const DEVICES: [(&CStr, &CStr); 5] = [
    (c"/dev/null", c"dev/null"),
    (c"/dev/zero", c"dev/zero"),
    (c"/dev/full", c"dev/full"),
    (c"/dev/random", c"dev/random"),
    (c"/dev/urandom", c"dev/urandom"),
];

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

/// A path of the host that will be shown.
struct Source {
    path: CString,
    device: u64,
    inode: u64,
    is_dir: bool,
    slot: Option<u64>,
}

impl Source {
    /// Makes the mount point and mounts.
    fn bind(&self, plan: &mut Plan, at: &str, attributes: u64) -> Result<(), IsolateError> {
        if at != "code" {
            plan.mount_point(at, self.is_dir)?;
        }
        self.attach(plan, at, attributes)
    }

    fn attach(&self, plan: &mut Plan, at: &str, attributes: u64) -> Result<(), IsolateError> {
        let path = c_text(at)?;
        match self.slot {
            Some(slot) => plan.push(Step::BindSlot { slot, path: &path, attributes }),
            None => plan.push(Step::Bind {
                source: &self.path,
                path: &path,
                attributes,
                device: self.device,
                inode: self.inode,
            }),
        }
        Ok(())
    }
}

/// Opens paths of the host, and maps their owner where root's sandbox would otherwise not be let in.
struct Sources {
    is_root: bool,
    outer: u32,
    next_slot: u64,
}

impl Sources {
    fn new(is_root: bool, outer: u32) -> Self {
        Self { is_root, outer, next_slot: 0 }
    }

    /// What the system shows is readable by everyone as it is.
    fn world_readable(&self, real: &Path) -> Result<Source, IsolateError> {
        source_of(real, "a part of the system")
    }

    fn open(&mut self, plan: &mut Plan, path: &Path, role: &'static str) -> Result<Source, IsolateError> {
        use std::os::unix::fs::MetadataExt as _;
        let wrap = |source| IsolateError::Source { role, path: path.to_owned(), source };
        let real = std::fs::canonicalize(path).map_err(wrap)?;
        let mut source = source_of(&real, role)?;
        let metadata = std::fs::metadata(&real).map_err(wrap)?;
        if !metadata.is_dir() && !metadata.is_file() {
            return Err(wrap(std::io::Error::other("it is neither a file nor a folder")));
        }
        let change = IdChange { user: metadata.uid(), group: metadata.gid() };
        let readable_file = metadata.is_file() && metadata.mode() & 0o004 != 0;
        if self.is_root {
            // With the host's rights: the sandbox's own id may not enter the folders above it.
            let slot = self.next_slot;
            if slot >= MAX_SLOTS as u64 {
                return Err(wrap(std::io::Error::other(format!(
                    "more than {MAX_SLOTS} inputs, put some into one folder"
                ))));
            }
            self.next_slot += 1;
            plan.push(match readable_file || change.user == self.outer {
                true => Step::Mount { source: &source.path, slot },
                false => {
                    Step::IdMount { source: &source.path, slot, user: change.user.into(), group: change.group.into() }
                }
            });
            source.slot = Some(slot);
        }
        Ok(source)
    }
}

fn source_of(real: &Path, role: &'static str) -> Result<Source, IsolateError> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata =
        std::fs::metadata(real).map_err(|source| IsolateError::Source { role, path: real.to_owned(), source })?;
    Ok(Source {
        path: c_os(real.as_os_str())?,
        device: metadata.dev(),
        inode: metadata.ino(),
        is_dir: metadata.is_dir(),
        slot: None,
    })
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
