//! What a host shows of itself, read from files below one root, so that a made-up host can be looked at too.

use std::fs;
use std::path::{Path, PathBuf};

use super::trial::Tried;

/// What is known of the host and of this process on it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The kernel's release, for example `6.1.0-56-cloud-amd64`.
    pub kernel: String,
    /// Its first two numbers.
    pub version: (u32, u32),
    /// `ID` and `VERSION_ID` of the distribution, for example `debian` and `12`.
    pub distribution: (String, String),
    /// Windows' subsystem for Linux: 1 or 2.
    pub wsl: Option<u8>,
    /// The kind of container this process is in, where one can be seen.
    pub container: Option<Container>,
    /// The service that runs this as a job of continuous integration, as the caller knows from its environment.
    pub ci: Option<String>,
    /// Whether systemd runs the host.
    pub systemd: bool,
    /// Whether this process is in an AppArmor profile, and in which.
    pub apparmor: Option<String>,
    /// The security modules in force; empty where they cannot be seen.
    pub modules: Vec<String>,
    /// `user.max_user_namespaces`.
    pub max_user_namespaces: Option<u64>,
    /// `kernel.unprivileged_userns_clone` (Debian's and Ubuntu's own).
    pub unprivileged_userns_clone: Option<bool>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu's rule).
    pub apparmor_userns_rule: bool,
    /// Whether programs in memory may not be executed at all (`vm.memfd_noexec` is 2).
    pub memory_not_executable: bool,
    /// Who this process is.
    pub rights: Rights,
    /// Whether a system call filter of somebody else's is over this process.
    pub filtered: bool,
    /// Parts of `/proc` that are covered, as containers do.
    pub covered: Vec<PathBuf>,
    /// How control groups are laid out.
    pub layout: Layout,
    /// Whether every mount of them is read-only, as in containers.
    pub groups_read_only: bool,
    /// Whether `/etc/subuid` gives this user a range of ids.
    pub subordinate_ids: bool,
    /// What came of trying.
    pub tried: Tried,
}

/// A kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Docker and what calls itself so.
    Docker,
    /// Podman, also toolbox and distrobox.
    Podman,
    /// A pod of Kubernetes.
    Kubernetes,
    /// LXC and Incus.
    Lxc,
    /// Another one.
    Other,
}

impl Container {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
            Self::Kubernetes => "Kubernetes",
            Self::Lxc => "LXC",
            Self::Other => "a container",
        }
    }
}

/// How control groups are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Version 1 alone.
    V1,
    /// Version 1 with version 2 beside it.
    Hybrid,
    /// Version 2 alone.
    V2,
    /// None are mounted.
    None,
}

impl Layout {
    fn of(mounts: &str) -> Self {
        let has = |kind: &str| mounts.lines().any(|line| line.contains(&format!(" - {kind} ")));
        match (has("cgroup"), has("cgroup2")) {
            (true, true) => Self::Hybrid,
            (true, false) => Self::V1,
            (false, true) => Self::V2,
            (false, false) => Self::None,
        }
    }

    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Self::V1 => "control groups v1",
            Self::Hybrid => "control groups v1 beside v2",
            Self::V2 => "control groups v2",
            Self::None => "no control groups",
        }
    }
}

/// Who a process is, and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// User id.
    pub user: u32,
    /// Whether all ids are mapped as they are: it is in no user namespace but the host's.
    pub all_ids: bool,
    /// Whether it has the capability `CAP_SYS_ADMIN`.
    pub administers: bool,
}

impl Rights {
    /// Of this process.
    pub(crate) fn of_this_process() -> Self {
        Self::read(Path::new("/"))
    }

    fn read(root: &Path) -> Self {
        const SYS_ADMIN: u64 = 1 << 21;
        let status = text(root, "proc/self/status");
        let effective = u64::from_str_radix(field(&status, "CapEff:"), 16).unwrap_or(0);
        let map = text(root, "proc/self/uid_map");
        let user = field(&status, "Uid:").split_whitespace().nth(1).and_then(|id| id.parse().ok());
        Self {
            user: user.unwrap_or(u32::MAX),
            all_ids: map.split_whitespace().eq(["0", "0", "4294967295"]),
            administers: effective & SYS_ADMIN != 0,
        }
    }

    /// Whether that is root with the host's own rights.
    pub fn is_root_of_the_host(self) -> bool {
        self.user == 0 && self.all_ids && self.administers
    }

    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            _ if self.is_root_of_the_host() => "root",
            Self { user: 0, all_ids: false, .. } => "root of a user namespace",
            Self { user: 0, .. } => "root without the right to administer",
            _ => "an ordinary user",
        }
    }
}

impl Facts {
    /// Of this host, with what is tried on it. `ci` is the service whose job this is, if the environment names one.
    pub fn of_this_host(ci: Option<String>) -> Self {
        let root = Path::new("/");
        let tried = Tried::here(Rights::read(root));
        Self::read(root, ci, tried)
    }

    /// Of the host whose files lie below `root`, where trying gave this.
    pub fn read(root: &Path, ci: Option<String>, tried: Tried) -> Self {
        let kernel = text(root, "proc/sys/kernel/osrelease").trim().to_owned();
        let mounts = text(root, "proc/self/mountinfo");
        let status = text(root, "proc/self/status");
        let setting = |path: &str| text(root, &format!("proc/sys/{path}")).trim().parse::<u64>().ok();
        let rights = Rights::read(root);
        Self {
            version: version(&kernel),
            distribution: distribution(&text(root, "etc/os-release")),
            wsl: wsl(&kernel),
            container: container(root),
            ci,
            systemd: root.join("run/systemd/system").is_dir(),
            apparmor: Some(text(root, "proc/self/attr/current").trim_end_matches(['\n', '\0']).to_owned())
                .filter(|label| !label.is_empty() && label != "unconfined"),
            modules: text(root, "sys/kernel/security/lsm").trim().split(',').map(str::to_owned).collect(),
            max_user_namespaces: setting("user/max_user_namespaces"),
            unprivileged_userns_clone: setting("kernel/unprivileged_userns_clone").map(|value| value != 0),
            apparmor_userns_rule: setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1),
            memory_not_executable: setting("vm/memfd_noexec") == Some(2),
            filtered: field(&status, "Seccomp:") == "2",
            covered: covered(&mounts),
            layout: Layout::of(&mounts),
            groups_read_only: groups_are_read_only(&mounts),
            subordinate_ids: has_range(&text(root, "etc/subuid"), &text(root, "etc/passwd"), rights.user),
            rights,
            kernel,
            tried,
        }
    }
}

fn text(root: &Path, path: &str) -> String {
    let bytes = fs::read(root.join(path)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What stands behind a name at the beginning of a line.
fn field<'t>(text: &'t str, name: &str) -> &'t str {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim()
}

fn version(kernel: &str) -> (u32, u32) {
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn distribution(release: &str) -> (String, String) {
    let value = |name| field(release, name).trim_matches('"').to_owned();
    (value("ID="), value("VERSION_ID="))
}

/// `4.4.0-19041-Microsoft` is the first, which is no Linux kernel; `5.15.167.4-microsoft-standard-WSL2` the second.
fn wsl(kernel: &str) -> Option<u8> {
    match kernel.to_ascii_lowercase() {
        kernel if kernel.contains("wsl2") || kernel.contains("microsoft-standard") => Some(2),
        kernel if kernel.contains("microsoft") => Some(1),
        _ => None,
    }
}

fn container(root: &Path) -> Option<Container> {
    let groups = text(root, "proc/1/cgroup") + &text(root, "proc/self/cgroup");
    let mounts = text(root, "proc/self/mountinfo");
    // Readable for root only; systemd and podman set it, and the first process of LXC has it.
    let environment = text(root, "proc/1/environ");
    let said = environment.split('\0').find_map(|variable| variable.strip_prefix("container="));
    let there = |path: &str| root.join(path).exists();
    if there("var/run/secrets/kubernetes.io") || there("run/secrets/kubernetes.io") || groups.contains("kubepods") {
        return Some(Container::Kubernetes);
    }
    if there("run/.containerenv") || said == Some("podman") {
        return Some(Container::Podman);
    }
    if there(".dockerenv") || groups.contains("/docker") || mounts.contains("/docker/containers/") {
        return Some(Container::Docker);
    }
    if said == Some("lxc") || groups.contains("/lxc") || mounts.contains(" - fuse.lxcfs ") {
        return Some(Container::Lxc);
    }
    said.map(|_| Container::Other)
}

/// Mounts over parts of `/proc`, with which containers hide them. The kernel mounts no fresh `/proc` in a user namespace
/// where the one in sight is covered.
fn covered(mounts: &str) -> Vec<PathBuf> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    // What automounts or an emulation of the kernel's own puts there covers an empty folder: the kernel allows that.
    let empty = ["/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"];
    let mut covered: Vec<_> = points.filter(|point| point.starts_with("/proc/")).map(PathBuf::from).collect();
    covered.retain(|point| !empty.iter().any(|empty| point == Path::new(empty)));
    covered.sort();
    covered.dedup();
    covered
}

fn groups_are_read_only(mounts: &str) -> bool {
    let of_groups = mounts.lines().filter(|line| line.contains(" - cgroup ") || line.contains(" - cgroup2 "));
    let mut options = of_groups.filter_map(|line| line.split(' ').nth(5)).peekable();
    options.peek().is_some() && options.all(|options| options.split(',').any(|option| option == "ro"))
}

fn has_range(subuid: &str, passwd: &str, user: u32) -> bool {
    let number = user.to_string();
    let of_user = |line: &&str| line.split(':').nth(2) == Some(&number);
    let name = passwd.lines().find(of_user).and_then(|line| line.split(':').next()).unwrap_or(&number);
    subuid.lines().filter_map(|line| line.split(':').next()).any(|owner| owner == name || owner == number)
}
