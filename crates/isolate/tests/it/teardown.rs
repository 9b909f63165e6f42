//! What a sandbox leaves behind: nothing.

use hotcell_isolate::{Host, Shell};

use crate::assets::Scene;

/// Processes of the host whose command line holds this text.
fn processes_with(text: &str) -> usize {
    let lines = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = lines.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

#[test]
fn no_process_mount_or_control_group_is_left_behind() {
    // A length of sleep that no other process has.
    let mark = format!("600.{}", std::process::id());
    let script = format!("setsid sleep {mark} & setsid sleep {mark} & sleep 0.2; echo here; sleep 0.2");
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let cgroups = Host::look().unwrap().cgroups;
    let groups = |task: &str| {
        let parents = [&cgroups.v2, &cgroups.v1_memory, &cgroups.v1_pids, &cgroups.v1_cpu].into_iter().flatten();
        parents.filter(|parent| parent.join(format!("hotcell-{task}")).exists()).count()
    };
    let (mut name, mut while_it_ran) = (String::new(), (0, 0));
    Scene::new().watch(&["sh", "-c", &script], &mut |task| {
        name = task.to_owned();
        while_it_ran = (processes_with(&format!("sleep\0{mark}")), groups(task));
    });
    assert_eq!(while_it_ran.0, 2, "the processes are seen while they run");
    assert_eq!(while_it_ran.1 > 0, cgroups.has_memory() || cgroups.has_pids(), "and so are the groups");
    assert_eq!((processes_with(&mark), groups(&name)), (0, 0));
    assert_eq!(mounts(), before);
}

#[test]
fn the_state_folder_keeps_nothing_of_a_task() {
    let scene = Scene::new();
    scene.run(&["sh", "-c", "echo secret > /output/file; echo secret > /scratch/file"], &[]);
    let found: Vec<_> = std::fs::read_dir(scene.state()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_shell_that_is_never_claimed_leaves_nothing() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let before = mounts();
    let children = || {
        let own = std::fs::read_to_string("/proc/thread-self/children").unwrap();
        own.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for start in [Shell::start, Shell::start_closed] {
        let shell = start([7; 8]).unwrap();
        assert!(!children().is_empty(), "the launcher or the first process of the shell is there");
        drop(shell);
        assert_eq!(children(), Vec::<String>::new());
        assert_eq!(mounts(), before);
    }
}
