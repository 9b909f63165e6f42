//! Why a control is missing, and how to get it: one text for all controls that are missing for one reason.

use hotcell_sys::Errno;
use hotcell_types::Wall;
use serde::Serialize;

use super::facts::{Container, Facts, Layout};
use super::fix::Fix;

/// A reason why controls are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// A stable name.
    pub id: &'static str,
    /// What it is.
    pub what: String,
    /// How to get what is missing, in words.
    pub remedy: String,
    /// The commands of it, in order; `#` begins a remark.
    pub commands: Vec<String>,
    /// What `--fix` would do about it.
    #[serde(skip)]
    pub fix: Option<Fix>,
}

impl Cause {
    fn new(id: &'static str, what: impl Into<String>, remedy: impl Into<String>, commands: &[&str]) -> Self {
        let commands = commands.iter().map(|command| (*command).to_owned()).collect();
        Self { id, what: what.into(), remedy: remedy.into(), commands, fix: None }
    }

    fn fixed_by(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

/// Why the kernel answered so to making a namespace.
pub(super) fn namespaces(facts: &Facts, errno: Errno) -> Cause {
    let is_root = facts.rights.is_root_of_the_host();
    match facts {
        Facts { wsl: Some(1), .. } => wsl1(),
        Facts { max_user_namespaces: Some(0), .. } => Cause::new(
            "user-namespaces-off",
            "user namespaces are switched off: user.max_user_namespaces is 0",
            "switch them on, as root",
            &[
                "sysctl -w user.max_user_namespaces=15000",
                "echo user.max_user_namespaces=15000 > /etc/sysctl.d/60-hotcell.conf",
            ],
        )
        .fixed_by(Fix::Setting { name: "user.max_user_namespaces", value: "15000" }),
        Facts { unprivileged_userns_clone: Some(false), .. } if !is_root => Cause::new(
            "unprivileged-user-namespaces-off",
            "user namespaces are for root only: kernel.unprivileged_userns_clone is 0",
            "switch them on for everyone, as root; or run hotcell as root",
            &[
                "sysctl -w kernel.unprivileged_userns_clone=1",
                "echo kernel.unprivileged_userns_clone=1 > /etc/sysctl.d/60-hotcell.conf",
            ],
        )
        .fixed_by(Fix::Setting { name: "kernel.unprivileged_userns_clone", value: "1" }),
        Facts { container: Some(container), .. } => in_container(*container, facts),
        Facts { apparmor_userns_rule: true, .. } if !is_root => Cause::new(
            "apparmor-user-namespaces",
            "AppArmor keeps ordinary programs from using user namespaces \
             (kernel.apparmor_restrict_unprivileged_userns is 1, as on Ubuntu 23.10 and newer)",
            "install the profile that lets hotcell alone use them (--fix writes it), and run \
             hotcell from one of the places that it names, such as /usr/local/bin",
            &["sudo hotcell doctor --fix", "# or by hand:", "sudo apparmor_parser --replace /etc/apparmor.d/hotcell"],
        )
        .fixed_by(Fix::AppArmorProfile),
        Facts { memory_not_executable: true, .. } if errno == Errno::EACCES => Cause::new(
            "memory-not-executable",
            "no program in memory may be executed (vm.memfd_noexec is 2), and Hotcell's launcher is one",
            "let root allow it to those who ask for it",
            &["sysctl -w vm.memfd_noexec=1"],
        ),
        Facts { apparmor: Some(label), .. } if label.ends_with("(enforce)") => Cause::new(
            "apparmor-profile",
            format!("this process is in the AppArmor profile `{label}`, under which the kernel answers {errno}"),
            "start hotcell outside of that profile, or let the profile allow user namespaces (`userns,`), mounts and \
             programs in memory",
            &["cat /proc/self/attr/current", "journalctl -k | grep apparmor | tail"],
        ),
        _ if matches!(errno, Errno::ENOSYS | Errno::EINVAL) && !facts.filtered => Cause::new(
            "no-user-namespaces",
            format!("the kernel answers {errno}: it was built without these namespaces"),
            "use a kernel with CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, CONFIG_IPC_NS, CONFIG_UTS_NS and \
             CONFIG_CGROUPS; those of all large distributions have them",
            &["zgrep _NS= /proc/config.gz /boot/config-$(uname -r)"],
        ),
        _ if errno == Errno::ENOSPC => Cause::new(
            "too-many-namespaces",
            "the limit on nested or simultaneous namespaces is reached",
            "end what holds them, or raise the limit",
            &["sysctl user | grep namespaces", "lsns"],
        ),
        Facts { filtered: true, .. } => filtered(errno),
        _ => Cause::new(
            "namespaces-refused",
            format!("the kernel answers {errno} to making them, and no setting that is known says why"),
            "look for a security module's refusal in the kernel's log; or run hotcell as root",
            &["dmesg | tail"],
        ),
    }
}

/// Why a fresh process file system cannot be mounted.
pub(super) fn process_files(facts: &Facts, errno: Errno) -> Cause {
    match facts {
        Facts { container: Some(container), .. } => in_container(*container, facts),
        Facts { covered, .. } if !covered.is_empty() => {
            let names: Vec<_> = covered.iter().map(|path| path.display().to_string()).collect();
            Cause::new(
                "covered-proc",
                format!("parts of /proc are covered ({}), so that no fresh one may be mounted", names.join(", ")),
                "uncover them, or run hotcell outside of what covered them",
                &[],
            )
        }
        _ => namespaces(facts, errno),
    }
}

fn wsl1() -> Cause {
    Cause::new(
        "wsl1",
        "this is version 1 of the Windows subsystem for Linux, which has no Linux kernel",
        "convert the distribution to version 2, in a terminal of Windows",
        &["wsl.exe --list --verbose", "wsl.exe --set-version DISTRIBUTION 2"],
    )
}

fn filtered(errno: Errno) -> Cause {
    Cause::new(
        "filtered",
        format!("a system call filter of whoever started this process refuses it ({errno})"),
        "start hotcell without that filter: in a systemd unit remove SystemCallFilter= and RestrictNamespaces=; in a \
         sandbox of another tool, start hotcell outside",
        &["grep Seccomp /proc/self/status"],
    )
}

fn in_container(container: Container, facts: &Facts) -> Cause {
    let what = match (facts.filtered, facts.covered.is_empty()) {
        (true, true) => "its system call filter keeps programs from making namespaces and mounts",
        (true, false) => "its system call filter keeps programs from making namespaces, and it covers parts of /proc",
        (false, false) => "it covers parts of /proc, so that no fresh one may be mounted",
        (false, true) => "its rights or security module keep programs from making namespaces and mounts",
    };
    let remedy = "start the container with these options, or run hotcell on the host; containers contain containers only \
                  where they are opened for it";
    let commands: &[&str] = match container {
        Container::Podman => &[
            "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL --security-opt label=disable IMAGE",
        ],
        Container::Kubernetes => &[
            "# in the container's securityContext:",
            "seccompProfile: { type: Unconfined }",
            "appArmorProfile: { type: Unconfined }",
            "procMount: Unmasked     # needs hostUsers: false in the pod",
        ],
        Container::Lxc => &["lxc config set CONTAINER security.nesting true && lxc restart CONTAINER"],
        Container::Docker | Container::Other => {
            &["docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
             --security-opt systempaths=unconfined IMAGE"]
        }
    };
    Cause::new("container", format!("this runs in {}: {what}", container.label()), remedy, commands)
}

/// Why Landlock is not there in full.
pub(super) fn landlock(facts: &Facts) -> Cause {
    let baseline = "or run tasks with --profile baseline-5.10, which does without Landlock and says so";
    match facts.tried.landlock {
        Some(Ok(version)) => {
            let missing = crate::landlock::Handled::of_abi(version).missing().join(", ");
            Cause::new(
                "old-landlock",
                format!("Landlock of this kernel ({}) is version {version} and does not cover {missing}", facts.kernel),
                format!(
                    "use Linux 6.12 or newer; or give the rest up by name, with --best-effort landlock; {baseline}"
                ),
                newer_kernel(facts),
            )
        }
        Some(Err(Errno::EOPNOTSUPP)) => landlock_off(facts, baseline),
        Some(Err(Errno::EPERM)) | None if facts.filtered || facts.container.is_some() => match facts.container {
            Some(container) => in_container(container, facts),
            None => filtered(Errno::EPERM),
        },
        _ if facts.wsl == Some(1) => wsl1(),
        _ if facts.version < (5, 13) => Cause::new(
            "no-landlock",
            format!("Linux {}.{} has no Landlock; it came with 5.13", facts.version.0, facts.version.1),
            format!("use Linux 6.12 or newer; {baseline}"),
            newer_kernel(facts),
        ),
        _ => Cause::new(
            "landlock-not-built",
            format!("this kernel ({}) was built without Landlock", facts.kernel),
            format!("use a kernel with CONFIG_SECURITY_LANDLOCK, 6.12 or newer; {baseline}"),
            newer_kernel(facts),
        ),
    }
}

fn landlock_off(facts: &Facts, baseline: &str) -> Cause {
    let others: Vec<&str> = facts.modules.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let list = if others.is_empty() { "lockdown,yama,integrity,apparmor,bpf".to_owned() } else { others.join(",") };
    let what = "Landlock is in this kernel and switched off: it is not in the list of security modules";
    if facts.wsl == Some(2) {
        let line = format!("kernelCommandLine = lsm=landlock,{list}");
        let remedy = format!("switch it on in %UserProfile%\\.wslconfig and restart; {baseline}");
        return Cause::new("landlock-off", what, remedy, &["[wsl2]", &line, "wsl.exe --shutdown"]);
    }
    let line = format!("# in /etc/default/grub: GRUB_CMDLINE_LINUX=\"lsm=landlock,{list}\"");
    let remedy = format!("switch it on where the host boots, and restart; {baseline}");
    Cause::new(
        "landlock-off",
        what,
        remedy,
        &["cat /sys/kernel/security/lsm", &line, "sudo update-grub && sudo reboot"],
    )
}

/// How the distribution at hand gets a kernel of 6.12 or newer.
fn newer_kernel(facts: &Facts) -> &'static [&'static str] {
    if facts.wsl.is_some() {
        return &["wsl.exe --update"];
    }
    if facts.container.is_some() {
        return &["# the kernel is the host's: update it there"];
    }
    match (facts.distribution.0.as_str(), facts.distribution.1.as_str()) {
        ("debian", "12") => &["sudo apt install linux-image-6.12-amd64 && sudo reboot"],
        ("debian", "11") => &["# upgrade to Debian 12 or 13"],
        ("ubuntu", "24.04") => &["sudo apt install linux-generic-hwe-24.04"],
        ("ubuntu", "22.04") => &["sudo do-release-upgrade   # its newest kernel is 6.8"],
        ("fedora", _) => &["sudo dnf upgrade kernel"],
        ("arch", _) => &["sudo pacman -Syu linux"],
        _ => &[],
    }
}

/// Why a limit is watched instead of kept by the kernel.
pub(super) fn control_groups(facts: &Facts, wall: Wall) -> Cause {
    let is_root = facts.rights.is_root_of_the_host();
    let has_others = facts.tried.cgroups.has_memory() || facts.tried.cgroups.has_pids();
    if let (true, Some(Err(errno))) = (has_others, facts.tried.group) {
        return Cause::new(
            "control-group-refused",
            format!("a control group can be made here by its access rights, but the kernel answers {errno}"),
            "look what else uses this group; a group with processes of its own hands nothing down",
            &["cat /proc/self/cgroup"],
        );
    }
    match facts {
        Facts { container: Some(container), groups_read_only: true, .. } => Cause::new(
            "control-groups-in-container",
            format!("this runs in {}, which shows control groups read-only", container.label()),
            "limit the container itself, or run hotcell on the host; without, hotcell watches the limits by itself",
            &["docker run --memory 2g --pids-limit 512 --cpus 2 IMAGE"],
        ),
        Facts { layout: Layout::None, .. } => Cause::new(
            "no-control-groups",
            "no control groups are mounted",
            "mount them, as root; without, hotcell watches the limits by itself",
            &["mount -t cgroup2 none /sys/fs/cgroup"],
        ),
        Facts { layout: Layout::V1 | Layout::Hybrid, wsl: Some(2), .. } => Cause::new(
            "control-groups-v1",
            "control groups are of version 1, which belong to root",
            "use version 2 alone and systemd, and restart: in %UserProfile%\\.wslconfig and /etc/wsl.conf",
            &["[wsl2]", "kernelCommandLine = cgroup_no_v1=all", "[boot]", "systemd=true", "wsl.exe --shutdown"],
        ),
        Facts { layout: Layout::V1 | Layout::Hybrid, .. } if !is_root => Cause::new(
            "control-groups-v1",
            "control groups are of version 1, which belong to root",
            "run hotcell as root; or boot with version 2 (systemd does by default since 2021)",
            &["# on the kernel's command line:", "systemd.unified_cgroup_hierarchy=1"],
        ),
        Facts { systemd: true, .. } if wall == Wall::CpuLimit && has_others => Cause::new(
            "no-cpu-delegation",
            "systemd hands users the control of memory and processes, but not of processor time",
            "let it, as root, and log in again",
            &[
                "mkdir -p /etc/systemd/system/user@.service.d",
                "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf",
                "systemctl daemon-reload",
            ],
        ),
        Facts { systemd: true, .. } if !is_root => Cause::new(
            "no-delegation",
            "this session's control group is not delegated to its user",
            "start hotcell in a scope of its own",
            &["systemd-run --user --scope --property=Delegate=yes -- hotcell run …"],
        ),
        _ if is_root => Cause::new(
            "not-handed-down",
            "no control group from here upwards hands memory and pids down to groups below it",
            "let the root of the hierarchy do so, where nothing else manages it",
            &["echo '+memory +pids +cpu' > /sys/fs/cgroup/cgroup.subtree_control"],
        ),
        _ => Cause::new(
            "no-delegation",
            "no control group is delegated to this user",
            "run hotcell as root, or let root delegate one",
            &[],
        ),
    }
}

/// Where the kernel misses a call that other walls need.
pub(super) fn refused(facts: &Facts, wall: Wall, errno: Errno) -> Cause {
    match facts.container {
        Some(container) => in_container(container, facts),
        None if facts.filtered => filtered(errno),
        None => Cause::new(
            "refused",
            format!("the kernel answers {errno} to putting up {wall}"),
            "use a kernel of 5.10 or newer with CONFIG_SECCOMP_FILTER; look into the kernel's log for a refusal",
            &["dmesg | tail"],
        ),
    }
}
