//! What a sandbox leaves behind: nothing.

use hotcell_isolate::Host;

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
fn the_state_folder_keeps_nothing_of_a_task_but_the_numbers_of_user_ids() {
    let scene = Scene::new();
    scene.run(&["sh", "-c", "echo secret > /output/file; echo secret > /scratch/file"], &[]);
    let mut found: Vec<_> = std::fs::read_dir(scene.state()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().is_some_and(|name| name != "ids"));
    assert!(found.is_empty(), "{found:?}");
    for number in std::fs::read_dir(scene.state().join("ids")).into_iter().flatten().flatten() {
        assert_eq!(number.metadata().unwrap().len(), 0);
    }
}
