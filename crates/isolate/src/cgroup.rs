//! Control groups: the kernel's own accounting and limits, where this user may use them.
//!
//! Version 1, version 2 and both at once ("hybrid") are handled. A group is made below the one that Hotcell
//! itself runs in (version 1) or below the nearest ancestor that hands the controllers down (version 2).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hotcell_types::TaskId;
use rustix::process::{Pid, Signal, kill_process};

/// Where this process may make groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// Folder of the version 2 group to make children in, when it hands down `memory` and `pids`.
    pub v2: Option<PathBuf>,
    /// Whether it hands down `cpu` too.
    pub v2_cpu: bool,
    /// Folder of the version 1 memory group to make children in.
    pub v1_memory: Option<PathBuf>,
    /// Folder of the version 1 pids group to make children in.
    pub v1_pids: Option<PathBuf>,
    /// Folder of the version 1 cpu group to make children in.
    pub v1_cpu: Option<PathBuf>,
}

/// What a group limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimits {
    /// Bytes of memory, without swap.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Thousandths of a processor; none leaves it unlimited.
    pub cpu_millis: Option<u64>,
}

impl Cgroups {
    /// Finds them out for this process.
    ///
    /// `mounts` and `own` are the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`; `writable` says
    /// whether groups can be made in a folder.
    pub fn find(mounts: &str, own: &str, writable: &dyn Fn(&Path) -> bool) -> Self {
        let mut found = Self::default();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            if number == "0" && controllers.is_empty() {
                found.v2 = mount_point(mounts, "cgroup2", None).and_then(|root| v2_parent(&root, path, writable));
                found.v2_cpu = found.v2.as_deref().is_some_and(|folder| hands_down(folder, "cpu"));
                continue;
            }
            for controller in controllers.split(',') {
                let place = match controller {
                    "memory" => &mut found.v1_memory,
                    "pids" => &mut found.v1_pids,
                    "cpu" => &mut found.v1_cpu,
                    _ => continue,
                };
                let folder = mount_point(mounts, "cgroup", Some(controller)).map(|root| join(&root, path));
                *place = folder.filter(|folder| writable(folder));
            }
        }
        found
    }

    /// As [`find`](Self::find), on this machine.
    pub fn of_this_process() -> Self {
        let own = read_at_once("/proc/self/cgroup");
        let kind = |folder: &Path| rustix::fs::statfs(folder).ok().map(|found| found.f_type as u64);
        let mounts = usual_mounts(&own, &kind).unwrap_or_else(|| read_at_once("/proc/self/mountinfo"));
        Self::find(&mounts, &own, &|folder| rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok())
    }

    /// Whether memory can be limited by the kernel.
    pub fn has_memory(&self) -> bool {
        self.v2.is_some() || self.v1_memory.is_some()
    }

    /// Whether the number of processes can be limited by the kernel.
    pub fn has_pids(&self) -> bool {
        self.v2.is_some() || self.v1_pids.is_some()
    }

    /// Whether processor time can be limited by the kernel.
    pub fn has_cpu(&self) -> bool {
        if self.v2.is_some() { self.v2_cpu } else { self.v1_cpu.is_some() }
    }

    /// The folders that the groups of one sandbox would have here, whether they exist or not.
    pub fn folders_of(&self, name: &str) -> Vec<PathBuf> {
        let parents = [&self.v2, &self.v1_memory, &self.v1_pids, &self.v1_cpu];
        let own = parents.into_iter().flatten().map(|parent| parent.join(name));
        let within = self.v2.iter().flat_map(|parent| [SANDBOX, SERVER].map(|part| parent.join(name).join(part)));
        // Those within first, as they have to be removed.
        within.chain(own).collect()
    }

    /// Makes the groups of one sandbox.
    ///
    /// # Errors
    /// Whatever the kernel says to making or setting one; what was made before is removed again.
    pub fn make(&self, name: &str, limits: &GroupLimits) -> io::Result<Group> {
        let mut group = Group::default();
        group.is_v2 = self.v2.is_some();
        group.fill(self, name, limits)?;
        Ok(group)
    }
}

/// The groups of one sandbox; removed when dropped, which works once every process in them is gone.
#[derive(Debug, Default)]
pub struct Group {
    folders: Vec<PathBuf>,
    /// Which of the folders counts memory, and which processes.
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    /// The version 1 folder that limits processor time.
    cpu: Option<PathBuf>,
    /// The version 2 folder around the sandbox's and that of the server of its scratch, which limits the processor time of
    /// both together.
    around: Option<PathBuf>,
    server: Option<PathBuf>,
    is_v2: bool,
}

impl Group {
    /// Lets every process of the group stand still, or go on. Gives whether it could: version 2 freezes; elsewhere each
    /// process that is there is stopped, and one that is just being made may go on.
    pub(crate) fn freeze(&self, still: bool) -> bool {
        let Some(folder) = self.folders.first() else { return false };
        if self.is_v2 {
            return fs::write(folder.join("cgroup.freeze"), if still { "1" } else { "0" }).is_ok();
        }
        let Ok(processes) = fs::read_to_string(folder.join("cgroup.procs")) else { return false };
        let signal = if still { Signal::STOP } else { Signal::CONT };
        for process in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
            // Whoever ended meanwhile need not stand still.
            let _ = kill_process(process, signal);
        }
        true
    }

    fn fill(&mut self, parents: &Cgroups, name: &str, limits: &GroupLimits) -> io::Result<()> {
        if let Some(parent) = &parents.v2 {
            let folder = match (parents.v2_cpu, limits.cpu_millis) {
                (true, Some(millis)) => self.make_around(parent, name, millis)?,
                _ => self.make_folder(parent, name)?,
            };
            self.memory = Some(folder.clone());
            self.pids = Some(folder.clone());
            write(&folder, "memory.max", limits.memory_bytes)?;
            write_if_there(&folder, "memory.swap.max", 0)?;
            write_if_there(&folder, "memory.oom.group", 1)?;
            write(&folder, "pids.max", limits.pids)?;
            return Ok(());
        }
        if let Some(parent) = &parents.v1_memory {
            let folder = self.make_folder(parent, name)?;
            self.memory = Some(folder.clone());
            write(&folder, "memory.limit_in_bytes", limits.memory_bytes)?;
            // Where swap is accounted, memory and swap together; where it is not, at least no wish to swap.
            write_if_there(&folder, "memory.memsw.limit_in_bytes", limits.memory_bytes)?;
            write_if_there(&folder, "memory.swappiness", 0)?;
        }
        if let Some(parent) = &parents.v1_pids {
            let folder = self.make_folder(parent, name)?;
            self.pids = Some(folder.clone());
            write(&folder, "pids.max", limits.pids)?;
        }
        if let (Some(parent), Some(millis)) = (&parents.v1_cpu, limits.cpu_millis) {
            let folder = self.make_folder(parent, name)?;
            write(&folder, "cpu.cfs_period_us", CPU_PERIOD_US)?;
            write(&folder, "cpu.cfs_quota_us", cpu_quota_us(millis))?;
            self.cpu = Some(folder);
        }
        Ok(())
    }

    /// A group that limits processor time, and within it one for the sandbox, which is given, and one for the server of
    /// its scratch.
    fn make_around(&mut self, parent: &Path, name: &str, millis: u64) -> io::Result<PathBuf> {
        let around = parent.join(name);
        fs::create_dir(&around)?;
        self.around = Some(around.clone());
        write(&around, "cpu.max", format!("{} {CPU_PERIOD_US}", cpu_quota_us(millis)))?;
        write(&around, "cgroup.subtree_control", "+memory +pids")?;
        let server = around.join(SERVER);
        fs::create_dir(&server)?;
        self.server = Some(server);
        self.make_folder(&around, SANDBOX)
    }

    fn make_folder(&mut self, parent: &Path, name: &str) -> io::Result<PathBuf> {
        let folder = parent.join(name);
        fs::create_dir(&folder)?;
        self.folders.push(folder.clone());
        Ok(folder)
    }

    /// The files by which a process of one thread puts itself into each version 1 group, by writing `0`.
    pub fn tasks_files(&self) -> Vec<PathBuf> {
        let own = if self.is_v2 { &[][..] } else { &self.folders };
        own.iter().map(|folder| folder.join("tasks")).collect()
    }

    /// The file by which the server of scratch puts itself where its processor time counts, by writing `0`; none where
    /// processor time has no limit.
    ///
    /// That is the sandbox's own group of version 1. In version 2 one group counts everything, and the server's memory
    /// is not the sandbox's: there it has a group beside, and the limit lies on the group around both.
    pub(crate) fn of_server(&self) -> Option<PathBuf> {
        let version_1 = self.cpu.as_ref().map(|folder| folder.join("tasks"));
        version_1.or_else(|| self.server.as_ref().map(|folder| folder.join("cgroup.procs")))
    }

    /// Lifts the limit on the processor time of the server: the workload is dead, and its end is waited for.
    pub(crate) fn let_server_end(&self) {
        // Where that fails, its end takes longer.
        if let Some(folder) = &self.cpu {
            let _ = write(folder, "cpu.cfs_quota_us", -1);
        }
        if let Some(folder) = &self.around {
            let _ = write(folder, "cpu.max", "max");
        }
    }

    /// Where the groups are, for a janitor: what lies within another first.
    pub fn all_folders(&self) -> Vec<PathBuf> {
        self.folders.iter().chain(&self.server).chain(&self.around).cloned().collect()
    }

    /// Where the sandbox's own groups are.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The version 2 folder.
    pub fn v2_folder(&self) -> Option<&Path> {
        if self.is_v2 { self.folders.first().map(PathBuf::as_path) } else { None }
    }

    /// Whether the sandbox with this first process is in every group, as the kernel says.
    pub fn holds(&self, first: i32) -> bool {
        self.has_member(first)
    }

    /// Puts a process, and with it what it gives birth to, into the group of version 2.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn take_in(&self, pid: i32) -> io::Result<()> {
        self.v2_folder().map_or(Ok(()), |folder| write(folder, "cgroup.procs", pid))
    }

    fn has_member(&self, pid: i32) -> bool {
        let Ok(of_process) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return false };
        !self.folders.is_empty()
            && self.folders.iter().all(|folder| {
                // Within a group around it its own name is not one of this sandbox alone.
                let above = self.around.as_deref().and_then(Path::parent).or_else(|| folder.parent());
                let name = above.and_then(|above| folder.strip_prefix(above).ok()).and_then(Path::to_str).unwrap_or("");
                of_process.lines().filter(|line| line.ends_with(&format!("/{name}"))).count() >= self.folders.len()
            })
    }

    /// The memory limit as the kernel has it.
    pub fn memory_limit(&self) -> Option<u64> {
        read(self.memory.as_ref()?, if self.is_v2 { "memory.max" } else { "memory.limit_in_bytes" })
    }

    /// The most memory that was used.
    pub fn memory_peak(&self) -> Option<u64> {
        let names = if self.is_v2 {
            ["memory.peak", "memory.current"]
        } else {
            ["memory.max_usage_in_bytes", "memory.usage_in_bytes"]
        };
        let folder = self.memory.as_ref()?;
        names.into_iter().find_map(|name| read(folder, name))
    }

    /// Whether the kernel killed for want of memory, or refused it.
    pub fn memory_was_exhausted(&self) -> bool {
        let Some(folder) = &self.memory else { return false };
        let (file, key) = if self.is_v2 { ("memory.events", "oom_kill ") } else { ("memory.oom_control", "oom_kill ") };
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix(key)).any(|count| count.trim() != "0")
    }

    /// The limit of processes as the kernel has it.
    pub fn pids_limit(&self) -> Option<u64> {
        read(self.pids.as_ref()?, "pids.max")
    }

    /// The limit on processor time as the kernel has it, in thousandths of a processor.
    pub fn cpu_millis(&self) -> Option<u64> {
        self.around.iter().chain(&self.folders).find_map(|folder| {
            let (quota, period) = match fs::read_to_string(folder.join("cpu.max")) {
                Ok(text) => {
                    let (quota, period) = text.trim().split_once(' ')?;
                    (quota.parse().ok()?, period.parse().ok()?)
                }
                Err(_) => (read(folder, "cpu.cfs_quota_us")?, read(folder, "cpu.cfs_period_us")?),
            };
            (quota * 1000u64).checked_div(period)
        })
    }

    /// The most processes and threads there were at once, where the kernel keeps count (Linux 6.10).
    pub fn pids_peak(&self) -> Option<u64> {
        read(self.pids.as_ref()?, "pids.peak")
    }

    /// Processor time that was used, where a group counts it.
    pub fn cpu_time(&self) -> Option<std::time::Duration> {
        let of_version_2 = |folder: &PathBuf| {
            let text = fs::read_to_string(folder.join("cpu.stat")).ok()?;
            let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok()?;
            Some(std::time::Duration::from_micros(micros))
        };
        let of_version_1 = |folder: &PathBuf| read(folder, "cpuacct.usage").map(std::time::Duration::from_nanos);
        if self.is_v2 { of_version_2(self.folders.first()?) } else { of_version_1(self.cpu.as_ref()?) }
    }

    /// How often a process was refused for it.
    pub fn pids_refused(&self) -> u64 {
        self.pids
            .as_ref()
            .and_then(|folder| fs::read_to_string(folder.join("pids.events")).ok())
            .and_then(|text| text.trim().strip_prefix("max ").and_then(|count| count.parse().ok()))
            .unwrap_or(0)
    }

    /// Removes the groups, waiting a little for the kernel to let go of dead processes.
    ///
    /// # Errors
    /// The last error when one is still there after that.
    pub fn remove(mut self) -> io::Result<()> {
        self.try_remove()
    }

    fn try_remove(&mut self) -> io::Result<()> {
        if let Some(folder) = &self.server {
            remove_folder(folder)?;
            self.server = None;
        }
        while let Some(folder) = self.folders.last() {
            remove_folder(folder)?;
            self.folders.pop();
        }
        if let Some(folder) = &self.around {
            remove_folder(folder)?;
            self.around = None;
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.try_remove();
    }
}

/// The name of a sandbox's groups.
pub fn group_name(task: TaskId) -> String {
    format!("hotcell-{task}")
}

/// The groups of version 2 within the one that limits processor time: the sandbox's, and that of the server of its scratch.
const SANDBOX: &str = "sandbox";
const SERVER: &str = "scratch";

/// The period in which a share of processor time is counted: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// Tries to remove a group, and the pause between them: the kernel takes some milliseconds to let go.
const REMOVE_TRIES: u32 = 200;
const REMOVE_PAUSE: std::time::Duration = std::time::Duration::from_millis(1);

/// Removes one group that has no process left.
///
/// # Errors
/// When it is still there after some tries.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if tries == REMOVE_TRIES => return Err(error),
            Err(_) => {
                tries += 1;
                std::thread::sleep(REMOVE_PAUSE);
            }
        }
    }
}

/// A file of the kernel's, in few reads: it makes the text anew for each. Names of mounts may hold any bytes.
fn read_at_once(path: &str) -> String {
    let mut bytes = Vec::with_capacity(16 * 1024);
    // What cannot be read names no group.
    let _ = fs::File::open(path).and_then(|mut file| io::Read::read_to_end(&mut file, &mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn cpu_quota_us(millis: u64) -> u64 {
    // The kernel takes no quota under one millisecond.
    (millis * CPU_PERIOD_US / 1000).max(1000)
}

fn write(folder: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(folder.join(file)).and_then(|mut file| {
        use io::Write as _;
        file.write_all(value.to_string().as_bytes())
    })
}

fn write_if_there(folder: &Path, file: &str, value: u64) -> io::Result<()> {
    match write(folder, file, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read(folder: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

fn join(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The mounts of the groups that this process is in, as `mountinfo` tells them, where all are at their usual places: the
/// kernel takes long to tell of all mounts. `kind` is the magic number of the file system that is seen at a path.
///
/// Whether a limit that is set there holds is seen later, from the sandbox's own membership.
fn usual_mounts(own: &str, kind: &dyn Fn(&Path) -> Option<u64>) -> Option<String> {
    let mut mounts = String::new();
    for line in own.lines() {
        let controllers = line.split(':').nth(1)?;
        let (places, magic, version) = match controllers {
            "" => (vec!["/sys/fs/cgroup/unified".to_owned(), "/sys/fs/cgroup".to_owned()], CGROUP2_MAGIC, "cgroup2"),
            _ if controllers.split(',').any(|name| ["memory", "pids", "cpu"].contains(&name)) => {
                (vec![format!("/sys/fs/cgroup/{controllers}")], CGROUP_MAGIC, "cgroup")
            }
            _ => continue,
        };
        let place = places.into_iter().find(|place| kind(Path::new(place)) == Some(magic))?;
        mounts.push_str(&format!("0 0 0:0 / {place} rw - {version} {version} rw,{controllers}\n"));
    }
    Some(mounts)
}

// linux/magic.h
const CGROUP_MAGIC: u64 = 0x0027_e0eb;
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// Where a cgroup file system is mounted: of version 2, or the one of a version 1 controller.
fn mount_point(mounts: &str, kind: &str, controller: Option<&str>) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        if right.next()? != kind {
            return None;
        }
        let options = right.nth(1).unwrap_or("");
        if controller.is_some_and(|controller| !options.split(',').any(|option| option == controller)) {
            return None;
        }
        left.split(' ').nth(4).map(PathBuf::from)
    })
}

/// The nearest group, from our own upwards, that may have children with memory and pids limits.
fn v2_parent(root: &Path, own: &str, writable: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut folder = join(root, own);
    loop {
        // A process is moved only where the common ancestor may be written to.
        if hands_down(&folder, "memory")
            && hands_down(&folder, "pids")
            && writable(&folder)
            && writable(&folder.join("cgroup.procs"))
        {
            return Some(folder);
        }
        if folder == root || !folder.pop() {
            return None;
        }
    }
}

fn hands_down(folder: &Path, controller: &str) -> bool {
    let handed_down = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
    handed_down.split_whitespace().any(|name| name == controller)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:1 - cgroup cgroup rw,memory
32 23 0:27 / /sys/fs/cgroup/pids rw,nosuid shared:2 - cgroup cgroup rw,pids
33 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 - cgroup cgroup rw,cpu,cpuacct
34 23 0:29 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw
";
    const OWN: &str = "8:pids:/\n4:memory:/service/one\n1:cpu,cpuacct:/\n0::/\n";

    #[test]
    fn version_1_groups_are_found_below_our_own() {
        let found = Cgroups::find(HYBRID, OWN, &|_| true);
        assert_eq!(found.v1_memory.as_deref(), Some(Path::new("/sys/fs/cgroup/memory/service/one")));
        assert_eq!(found.v1_pids.as_deref(), Some(Path::new("/sys/fs/cgroup/pids/")));
        assert_eq!(found.v1_cpu.as_deref(), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/")));
        assert_eq!(found.v2, None, "an empty version 2 beside it hands nothing down");
    }

    #[test]
    fn groups_that_cannot_be_written_to_do_not_count() {
        assert_eq!(Cgroups::find(HYBRID, OWN, &|_| false), Cgroups::default());
    }

    #[test]
    fn groups_at_their_usual_places_are_found_without_asking_for_all_mounts() {
        let own = "5:cpu,cpuacct:/a\n4:pids:/b\n3:memory:/c\n2:freezer:/d\n0::/e\n";
        let hybrid = |folder: &Path| match folder.to_str() {
            Some("/sys/fs/cgroup/cpu,cpuacct" | "/sys/fs/cgroup/pids" | "/sys/fs/cgroup/memory") => Some(CGROUP_MAGIC),
            Some("/sys/fs/cgroup/unified") => Some(CGROUP2_MAGIC),
            _ => None,
        };
        let mounts = usual_mounts(own, &hybrid).unwrap();
        let found = Cgroups::find(&mounts, own, &|_| true);
        assert_eq!(found.v1_memory.as_deref(), Some(Path::new("/sys/fs/cgroup/memory/c")));
        assert_eq!(found.v1_pids.as_deref(), Some(Path::new("/sys/fs/cgroup/pids/b")));
        assert_eq!(found.v1_cpu.as_deref(), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/a")));
        let version_2 = |folder: &Path| (folder == Path::new("/sys/fs/cgroup")).then_some(CGROUP2_MAGIC);
        let mounts = usual_mounts("0::/e\n", &version_2).unwrap();
        assert_eq!(mount_point(&mounts, "cgroup2", None).as_deref(), Some(Path::new("/sys/fs/cgroup")));
    }

    #[test]
    fn where_one_is_not_at_its_usual_place_all_mounts_are_asked_for() {
        let only_version_2 = |folder: &Path| (folder == Path::new("/sys/fs/cgroup")).then_some(CGROUP2_MAGIC);
        assert_eq!(usual_mounts("4:pids:/b\n0::/e\n", &only_version_2), None);
        assert_eq!(usual_mounts("4:pids:/b\n", &|_| None), None);
    }

    #[test]
    fn version_2_is_used_where_an_ancestor_hands_the_controllers_down() {
        let root = tempfile::tempdir().unwrap();
        let app = root.path().join("user/app.slice");
        fs::create_dir_all(app.join("term.scope")).unwrap();
        fs::write(app.join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        let mounts = format!("30 1 0:5 / {} rw - cgroup2 cgroup2 rw\n", root.path().display());
        let found = Cgroups::find(&mounts, "0::/user/app.slice/term.scope\n", &|_| true);
        assert_eq!(found.v2.as_deref(), Some(app.as_path()));
        assert!(found.has_memory() && found.has_pids() && found.has_cpu());
        // As systemd delegates to users by default on older distributions.
        fs::write(app.join("cgroup.subtree_control"), "memory pids\n").unwrap();
        let found = Cgroups::find(&mounts, "0::/user/app.slice/term.scope\n", &|_| true);
        assert!(found.has_memory() && found.has_pids() && !found.has_cpu());
    }
}
