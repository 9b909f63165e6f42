//! Made-up hosts: what is said of each, word for word where it matters.

use std::fs;
use std::path::Path;

use hotcell_sys::Errno;
use hotcell_types::{Enforcement, Wall};
use tempfile::TempDir;

use super::{Container, Facts, Fix, Layout, Report, Tried};
use crate::cgroup::Cgroups;

/// A host as a tree of files, and what trying gives there.
struct MadeUp {
    root: TempDir,
    tried: Tried,
    ci: Option<String>,
}

const V1_AND_V2: &str = "\
31 23 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
34 23 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
const V2: &str = "34 23 0:29 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

impl MadeUp {
    /// A laptop where nothing is missing: Debian with systemd, a user whose groups are delegated.
    fn whole() -> Self {
        let walls = Wall::ALL.iter().map(|wall| (*wall, Ok(()))).collect();
        let cgroups = Cgroups { v2: Some("/sys/fs/cgroup/app".into()), v2_cpu: true, ..Cgroups::default() };
        let tried = Tried {
            walls,
            landlock: Some(Ok(7)),
            process_files: Some(Ok(())),
            cgroups,
            group: Some(Ok(())),
            on_demand: Default::default(),
            mount_attributes: true,
        };
        let host = Self { root: tempfile::tempdir().unwrap(), tried, ci: None };
        host.file("proc/sys/kernel/osrelease", "6.12.43+deb13-amd64\n")
            .file("etc/os-release", "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"13\"\n")
            .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
            .file("etc/subuid", "ann:100000:65536\n")
            .file("run/systemd/system/x", "")
            .file("proc/self/mountinfo", V2)
            .file("sys/kernel/security/lsm", "lockdown,capability,landlock,yama,apparmor\n")
            .user(1000)
    }

    fn file(self, path: &str, content: &str) -> Self {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A user with the host's ids; root with all rights.
    fn user(self, id: u32) -> Self {
        let rights = if id == 0 { "000001ffffffffff" } else { "0000000000000000" };
        self.file("proc/self/uid_map", "         0          0 4294967295\n").status(id, rights, 0)
    }

    fn status(self, id: u32, rights: &str, seccomp: u32) -> Self {
        let status = format!("Name:\thotcell\nUid:\t{id}\t{id}\t{id}\t{id}\nCapEff:\t{rights}\nSeccomp:\t{seccomp}\n");
        self.file("proc/self/status", &status)
    }

    fn kernel(self, release: &str) -> Self {
        self.file("proc/sys/kernel/osrelease", &format!("{release}\n"))
    }

    fn landlock(mut self, answer: Result<u32, Errno>) -> Self {
        self.tried.landlock = Some(answer);
        self
    }

    /// The kernel answers so to making any namespace.
    fn no_namespaces(mut self, errno: Errno) -> Self {
        self.tried.walls.values_mut().for_each(|answer| *answer = Err(errno));
        self.tried.process_files = Some(Err(errno));
        self
    }

    fn no_groups(mut self) -> Self {
        self.tried.cgroups = Cgroups::default();
        self.tried.group = None;
        self
    }

    fn facts(&self) -> Facts {
        Facts::read(self.root.path(), self.ci.clone(), self.tried.clone())
    }

    #[track_caller]
    fn report(&self) -> Report {
        let report = Report::of(&self.facts());
        for text in texts(&report) {
            assert!(TEXTS.lines().any(|line| line == text), "not in testdata/doctor.txt, which is translated: {text}");
        }
        report
    }
}

/// All that these tests make doctor say, a text a line. The command line's tests read it, to see that each is translated.
const TEXTS: &str = include_str!("../../testdata/doctor.txt");

/// What is said of a host, in the words and lines of `hotcell doctor`.
fn texts(report: &Report) -> Vec<String> {
    let mut texts: Vec<_> = report.host.split("; ").map(str::to_owned).collect();
    for control in &report.controls {
        if let Enforcement::Partial { missing } = &control.enforcement {
            texts.push(missing.clone());
        }
    }
    for cause in &report.causes {
        texts.push(format!("cause {}: {}", cause.id, cause.what));
        texts.push(format!("-> {}", cause.remedy));
        texts.extend(cause.fix.iter().map(|fix| format!("{}?", fix.what())));
    }
    texts.extend(report.notes.iter().map(|note| format!("note: {note}")));
    texts
}

#[test]
fn each_reason_is_met_by_a_made_up_host() {
    let source = include_str!("cause.rs");
    let named = source.split("Cause::new(").skip(1).filter_map(|call| call.split('"').nth(1));
    let never: Vec<_> = named.filter(|id| !TEXTS.contains(&format!("cause {id}: "))).collect();
    assert!(never.is_empty(), "{never:?}");
}

#[test]
fn what_no_setting_explains_is_told_by_the_kernels_answer() {
    for (host, id, words) in [
        (MadeUp::whole().no_namespaces(Errno::EINVAL), "no-user-namespaces", "EINVAL (22): it was built without"),
        (MadeUp::whole().no_namespaces(Errno::ENOSPC), "too-many-namespaces", "limit on nested or simultaneous"),
        (MadeUp::whole().no_namespaces(Errno::EPERM), "namespaces-refused", "EPERM (1) to making them"),
        (
            MadeUp::whole().status(1000, "0000000000000000", 2).no_namespaces(Errno::EPERM),
            "filtered",
            "filter of whoever started this process refuses it (EPERM (1))",
        ),
    ] {
        let (what, ..) = only_cause(&host.report(), id);
        assert!(what.contains(words), "{what}");
    }
    let mut host = MadeUp::whole();
    host.tried.walls.insert(Wall::Seccomp, Err(Errno::EINVAL));
    let report = host.report();
    assert_eq!(missing(&report), [("seccomp", "absent", "refused")]);
    assert_eq!(report.causes[0].what, "the kernel answers EINVAL (22) to putting up seccomp");
    let mut host = MadeUp::whole().user(0);
    host.tried.mount_attributes = false;
    assert!(host.report().notes[0].contains("copied into memory"));
}

/// States of walls that are not full, with the name of the cause.
fn missing(report: &Report) -> Vec<(&'static str, &'static str, &'static str)> {
    let state = |enforcement: &Enforcement| match enforcement {
        Enforcement::Full => "full",
        Enforcement::Partial { .. } => "partial",
        Enforcement::Absent { .. } => "absent",
    };
    let lacking = report.controls.iter().filter(|control| control.enforcement != Enforcement::Full);
    lacking.map(|c| (c.wall.label(), state(&c.enforcement), c.cause.unwrap_or("none"))).collect()
}

/// The one cause, which has to stand behind everything that is missing.
#[track_caller]
fn only_cause(report: &Report, id: &str) -> (String, String, Vec<String>, Option<Fix>) {
    let names: Vec<_> = report.causes.iter().map(|cause| cause.id).collect();
    assert_eq!(names, [id], "{:?}", missing(report));
    let cause = report.causes[0].clone();
    assert!(!cause.remedy.is_empty());
    (cause.what, cause.remedy, cause.commands, cause.fix)
}

#[test]
fn a_host_that_lacks_nothing_is_told_in_one_line() {
    let report = MadeUp::whole().report();
    assert_eq!(missing(&report), []);
    assert_eq!(report.host, "Linux 6.12.43+deb13-amd64; debian 13; control groups v2; an ordinary user");
    assert!(report.causes.is_empty() && report.notes.is_empty());
    assert_eq!(report.controls.len(), Wall::ALL.iter().filter(|wall| !wall.is_on_demand()).count());
}

#[test]
fn user_namespaces_that_are_switched_off_are_named_with_the_setting() {
    let host = MadeUp::whole().no_namespaces(Errno::ENOSPC).file("proc/sys/user/max_user_namespaces", "0\n");
    let report = host.report();
    let (what, _, commands, fix) = only_cause(&report, "user-namespaces-off");
    assert_eq!(what, "user namespaces are switched off: user.max_user_namespaces is 0");
    assert_eq!(commands[0], "sysctl -w user.max_user_namespaces=15000");
    assert_eq!(fix, Some(Fix::Setting { name: "user.max_user_namespaces", value: "15000" }));
    let seccomp = report.controls.iter().find(|control| control.wall == Wall::Seccomp).unwrap();
    assert!(seccomp.fixable, "what is put up after the namespaces is missing for their reason");
}

#[test]
fn debians_switch_concerns_ordinary_users_only() {
    let off = |host: MadeUp| host.file("proc/sys/kernel/unprivileged_userns_clone", "0\n");
    let report = off(MadeUp::whole()).no_namespaces(Errno::EPERM).report();
    let (what, _, commands, fix) = only_cause(&report, "unprivileged-user-namespaces-off");
    assert_eq!(what, "user namespaces are for root only: kernel.unprivileged_userns_clone is 0");
    assert_eq!(commands[0], "sysctl -w kernel.unprivileged_userns_clone=1");
    assert_eq!(fix, Some(Fix::Setting { name: "kernel.unprivileged_userns_clone", value: "1" }));
    assert_eq!(missing(&off(MadeUp::whole()).user(0).report()), [], "root is let");
}

#[test]
fn ubuntus_rule_is_answered_by_the_profile_and_never_by_switching_it_off() {
    let ubuntu = || {
        MadeUp::whole()
            .file("etc/os-release", "ID=ubuntu\nVERSION_ID=\"24.04\"\n")
            .kernel("6.8.0-45-generic")
            .file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
            .landlock(Ok(7))
            .no_namespaces(Errno::EACCES)
    };
    let report = ubuntu().report();
    let (what, remedy, commands, fix) = only_cause(&report, "apparmor-user-namespaces");
    assert!(what.starts_with("AppArmor keeps ordinary programs from using user namespaces"), "{what}");
    assert!(remedy.contains("lets hotcell alone use them"), "{remedy}");
    assert_eq!(commands[0], "sudo hotcell doctor --fix");
    assert_eq!(fix, Some(Fix::AppArmorProfile));
    assert!(commands.iter().all(|command| !command.contains("restrict_unprivileged_userns=0")), "{commands:?}");
    let host = MadeUp { ci: Some("GitHub Actions".to_owned()), ..ubuntu() };
    let report = host.report();
    assert!(report.host.contains("a job of GitHub Actions"), "{}", report.host);
    assert!(report.notes.iter().any(|note| note.contains("sudo hotcell doctor --fix --yes")), "{:?}", report.notes);
}

#[test]
fn a_kernel_without_landlock_is_told_why_and_which_profile_does_without() {
    for (host, id, what, command) in [
        (
            MadeUp::whole().kernel("5.10.0-46-amd64").landlock(Err(Errno::ENOSYS)),
            "no-landlock",
            "Linux 5.10 has no Landlock; it came with 5.13",
            "",
        ),
        (
            MadeUp::whole().kernel("6.12.1-custom").landlock(Err(Errno::ENOSYS)),
            "landlock-not-built",
            "this kernel (6.12.1-custom) was built without Landlock",
            "",
        ),
        (
            MadeUp::whole()
                .landlock(Err(Errno::EOPNOTSUPP))
                .file("sys/kernel/security/lsm", "lockdown,capability,yama,apparmor\n"),
            "landlock-off",
            "Landlock is in this kernel and switched off: it is not in the list of security modules",
            "# in /etc/default/grub: GRUB_CMDLINE_LINUX=\"lsm=landlock,lockdown,capability,yama,apparmor\"",
        ),
        (
            MadeUp::whole().kernel("5.15.167.4-microsoft-standard-WSL2").landlock(Err(Errno::EOPNOTSUPP)),
            "landlock-off",
            "Landlock is in this kernel and switched off: it is not in the list of security modules",
            "kernelCommandLine = lsm=landlock,lockdown,capability,landlock,yama,apparmor",
        ),
    ] {
        let report = host.report();
        let (seen, remedy, commands, fix) = only_cause(&report, id);
        assert_eq!(seen, what);
        assert_eq!(missing(&report), [("landlock", "absent", id)]);
        assert!(remedy.contains("--profile baseline-5.10, which does without Landlock and says so"), "{remedy}");
        assert!(command.is_empty() || commands.iter().any(|line| line == command), "{commands:?}");
        assert_eq!(fix, None, "how a host boots is nothing for --fix");
    }
}

#[test]
fn an_old_landlock_is_partial_and_names_what_it_leaves_open() {
    for (version, covers_not, distribution, command) in [
        (
            1,
            "moving files between folders, truncation, TCP ports, device controls",
            ("ubuntu", "22.04"),
            "do-release-upgrade",
        ),
        (
            2,
            "truncation, TCP ports, device controls, signals and abstract sockets",
            ("debian", "12"),
            "linux-image-6.12-amd64",
        ),
        (4, "device controls, signals and abstract sockets", ("ubuntu", "24.04"), "linux-generic-hwe-24.04"),
        (5, "signals and abstract sockets", ("fedora", "40"), "dnf upgrade kernel"),
    ] {
        let release = format!("ID={}\nVERSION_ID=\"{}\"\n", distribution.0, distribution.1);
        let report = MadeUp::whole().file("etc/os-release", &release).landlock(Ok(version)).report();
        let (what, remedy, commands, _) = only_cause(&report, "old-landlock");
        assert!(what.contains(&format!("is version {version} and does not cover {covers_not}")), "{what}");
        assert!(remedy.contains("--best-effort landlock") && remedy.contains("Linux 6.12"), "{remedy}");
        assert!(commands.iter().any(|line| line.contains(command)), "{commands:?}");
        assert_eq!(missing(&report), [("landlock", "partial", "old-landlock")]);
    }
    assert_eq!(missing(&MadeUp::whole().landlock(Ok(6)).report()), []);
}

#[test]
fn limits_without_control_groups_are_watched_and_each_layout_has_its_remedy() {
    let limits = ["memory-limit", "pids-limit", "cpu-limit"];
    for (host, id, command) in [
        (MadeUp::whole(), "no-delegation", "systemd-run --user --scope --property=Delegate=yes -- hotcell run …"),
        (
            MadeUp::whole().file("proc/self/mountinfo", V1_AND_V2),
            "control-groups-v1",
            "systemd.unified_cgroup_hierarchy=1",
        ),
        (
            MadeUp::whole().user(0).file("proc/self/mountinfo", V2),
            "not-handed-down",
            "echo '+memory +pids +cpu' > /sys/fs/cgroup/cgroup.subtree_control",
        ),
        (MadeUp::whole().file("proc/self/mountinfo", ""), "no-control-groups", "mount -t cgroup2 none /sys/fs/cgroup"),
        (
            MadeUp::whole().file(".dockerenv", "").file("proc/self/mountinfo", &V2.replace("rw,nosuid", "ro,nosuid")),
            "control-groups-in-container",
            "docker run --memory 2g --pids-limit 512 --cpus 2 IMAGE",
        ),
        (
            MadeUp::whole().kernel("6.6.36.3-microsoft-standard-WSL2").file("proc/self/mountinfo", V1_AND_V2),
            "control-groups-v1",
            "kernelCommandLine = cgroup_no_v1=all",
        ),
    ] {
        let report = host.no_groups().report();
        let (_, _, commands, fix) = only_cause(&report, id);
        assert!(commands.iter().any(|line| line == command), "{commands:?}");
        assert_eq!(fix, None);
        assert_eq!(missing(&report), limits.map(|limit| (limit, "partial", id)));
    }
}

#[test]
fn processor_time_that_is_not_delegated_is_missing_alone() {
    let mut host = MadeUp::whole();
    host.tried.cgroups.v2_cpu = false;
    let report = host.report();
    let (what, _, commands, _) = only_cause(&report, "no-cpu-delegation");
    assert!(what.contains("not of processor time"), "{what}");
    assert!(commands.iter().any(|line| line.contains("Delegate=cpu cpuset io memory pids")), "{commands:?}");
    assert_eq!(missing(&report), [("cpu-limit", "partial", "no-cpu-delegation")]);
}

#[test]
fn a_control_group_that_only_seems_usable_is_not_called_full() {
    let mut host = MadeUp::whole();
    host.tried.group = Some(Err(Errno::EBUSY));
    let report = host.report();
    let (what, ..) = only_cause(&report, "control-group-refused");
    assert!(what.contains("EBUSY"), "{what}");
    assert_eq!(missing(&report).len(), 3);
}

#[test]
fn each_kind_of_container_gets_its_own_way_out() {
    let covered = format!("{V2}40 23 0:5 / /proc/kcore rw - tmpfs tmpfs rw\n41 23 0:5 / /proc/sys ro - proc proc rw\n");
    let in_container = |mark: &str, text: &str| {
        let host = MadeUp::whole().file(mark, text).file("proc/self/mountinfo", &covered).user(0);
        host.status(0, "00000000a80425fb", 2).no_namespaces(Errno::EPERM)
    };
    for (host, container, command) in [
        (in_container(".dockerenv", ""), Container::Docker, "--security-opt systempaths=unconfined"),
        (in_container("run/.containerenv", ""), Container::Podman, "--security-opt unmask=ALL"),
        (in_container("proc/1/cgroup", "0::/kubepods/x\n"), Container::Kubernetes, "procMount: Unmasked"),
        (in_container("proc/1/environ", "A=b\0container=lxc\0"), Container::Lxc, "security.nesting true"),
        (in_container("proc/1/environ", "container=x\0"), Container::Other, "docker run"),
    ] {
        assert_eq!(host.facts().container, Some(container));
        let report = host.report();
        let (what, _, commands, fix) = only_cause(&report, "container");
        let expected = format!(
            "this runs in {}: its system call filter keeps programs from making namespaces, and it covers parts of /proc",
            container.label()
        );
        assert_eq!(what, expected);
        assert!(commands.iter().any(|line| line.contains(command)), "{commands:?}");
        assert_eq!(fix, None, "a container is not opened from inside");
        assert!(report.host.contains("root without the right to administer"), "{}", report.host);
    }
}

#[test]
fn a_foreign_apparmor_profile_and_memory_that_cannot_be_executed_are_recognised() {
    let host = MadeUp::whole().no_namespaces(Errno::EACCES).file("proc/self/attr/current", "snap.tool (enforce)\n");
    let (what, ..) = only_cause(&host.report(), "apparmor-profile");
    let expected =
        "this process is in the AppArmor profile `snap.tool (enforce)`, under which the kernel answers EACCES (13)";
    assert_eq!(what, expected);
    let host = MadeUp::whole().no_namespaces(Errno::EACCES).file("proc/sys/vm/memfd_noexec", "2\n");
    let (what, _, commands, fix) = only_cause(&host.report(), "memory-not-executable");
    assert!(what.contains("vm.memfd_noexec is 2"), "{what}");
    assert_eq!((commands, fix), (vec!["sysctl -w vm.memfd_noexec=1".to_owned()], None));
}

#[test]
fn a_covered_proc_keeps_a_fresh_one_from_being_mounted() {
    let mut host =
        MadeUp::whole().file("proc/self/mountinfo", &format!("{V2}40 23 0:5 / /proc/kcore ro - tmpfs none ro\n"));
    host.tried.process_files = Some(Err(Errno::EPERM));
    let report = host.report();
    let (what, ..) = only_cause(&report, "covered-proc");
    assert_eq!(what, "parts of /proc are covered (/proc/kcore), so that no fresh one may be mounted");
    assert_eq!(missing(&report), [("mount-namespace", "absent", "covered-proc")]);
}

#[test]
fn the_first_wsl_is_no_linux_and_the_second_one_is() {
    let report = MadeUp::whole()
        .kernel("4.4.0-19041-Microsoft")
        .no_namespaces(Errno::ENOSYS)
        .landlock(Err(Errno::ENOSYS))
        .report();
    let (what, _, commands, _) = only_cause(&report, "wsl1");
    assert!(what.contains("version 1 of the Windows subsystem"), "{what}");
    assert_eq!(commands[1], "wsl.exe --set-version DISTRIBUTION 2");
    let second = MadeUp::whole().kernel("5.15.167.4-microsoft-standard-WSL2").report();
    assert!(second.host.contains("; WSL 2;") && second.causes.is_empty(), "{}", second.host);
}

#[test]
fn a_missing_range_of_ids_is_said_to_be_no_loss() {
    for (subuid, told) in [("", true), ("bob:1:2\n", true), ("ann:100000:65536\n", false), ("1000:1:2\n", false)] {
        let report = MadeUp::whole().file("etc/subuid", subuid).report();
        assert_eq!(missing(&report), []);
        assert_eq!(report.notes.iter().any(|note| note.contains("nothing is missing, Hotcell maps one id")), told);
    }
    let host = MadeUp::whole();
    fs::remove_file(host.root.path().join("etc/subuid")).unwrap();
    assert_eq!(host.report().notes.len(), 1);
}

#[test]
fn root_of_a_user_namespace_is_not_root_of_the_host() {
    let host = MadeUp::whole().user(0).file("proc/self/uid_map", "0 1000 1\n1 100000 65536\n");
    let rights = host.facts().rights;
    assert!(!rights.is_root_of_the_host());
    assert!(host.report().host.ends_with("root of a user namespace"));
    assert!(MadeUp::whole().user(0).facts().rights.is_root_of_the_host());
}

#[test]
fn a_host_of_which_nothing_can_be_read_is_no_crash() {
    let empty = tempfile::tempdir().unwrap();
    let facts = Facts::read(empty.path(), None, Tried::default());
    assert_eq!((facts.version, facts.layout, facts.container), ((0, 0), Layout::None, None));
    let report = Report::of(&facts);
    assert!(
        report
            .controls
            .iter()
            .any(|control| control.wall == Wall::Landlock && control.enforcement != Enforcement::Full)
    );
    let garbled =
        MadeUp::whole().file("proc/self/status", "\u{0}Uid:").file("proc/self/mountinfo", "x\n - \n").kernel("");
    assert_eq!(garbled.facts().rights.user, u32::MAX);
    assert!(Path::new(garbled.root.path()).exists());
}
