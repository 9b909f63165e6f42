use hotcell_types::{Digest, GrantId, TaskId, Timestamp, Wall};

use super::*;
use crate::{Decision, Engine, Origin, Overlay, Principal, Profile, ProfileError, Shown};

fn request(profile: Profile) -> Request {
    Request {
        grant: GrantId::from_bytes([1; 10]),
        task: TaskId::from_bytes([2; 10]),
        now: Timestamp(1),
        principal: Principal { id: "local:1".into(), local: true, roles: Vec::new() },
        owner: "local:1".into(),
        purpose: String::new(),
        profile,
        isolation: "process".into(),
        runner: Runner::Command,
        shown: Shown { inputs: vec!["data".into()], code: true, model: false, terminal: false },
        best_effort: Default::default(),
        image: None,
        model: None,
        datasets: Vec::new(),
        inputs_owned: true,
        recipients: Vec::new(),
        role: None,
    }
}

fn lab(text: &str) -> Result<Profile, ProfileError> {
    Profile::from_file(&format!("name = \"lab\"\nextends = \"strict\"\n{text}"), "lab.toml")
}

fn rights(text: &str) -> Rights {
    request(lab(text).unwrap()).rights()
}

#[test]
fn a_grant_has_what_the_task_is_shown_and_nothing_else() {
    let strict = rights("");
    for (path, accesses) in [
        ("/input/data", Accesses::READ),
        ("/code", Accesses::READ_EXECUTE),
        ("/output", Accesses::READ_WRITE),
        ("/scratch", Accesses::READ_WRITE),
        ("/dev/null", Accesses::READ_WRITE),
        ("/proc", Accesses::READ),
        ("/input/other", Accesses::NONE),
        ("/input/data/below", Accesses::NONE),
        ("/model", Accesses::NONE),
        ("/hotcell-runner", Accesses::NONE),
        ("/dev/kvm", Accesses::NONE),
        ("/home", Accesses::NONE),
    ] {
        assert_eq!(strict.over_path(path), accesses, "{path}");
    }
    assert_eq!(strict.over(&Object::System("/usr".into())), Accesses::READ_EXECUTE);
    assert_eq!(strict.over(&Object::System("/etc/ssl/certs".into())), Accesses::READ);
    assert_eq!(strict.system_view(), SystemView::Host);
    assert_eq!(strict.over(&Object::Localhost), Accesses::of(Access::Connect));
    assert_eq!(strict.devices().count(), 0);
    // One answer for each object.
    for (place, right) in strict.iter().enumerate() {
        assert!(strict.iter().skip(place + 1).all(|other| other.object() != right.object()), "{right:?}");
    }
}

#[test]
fn what_a_profile_says_is_what_the_rights_say() {
    assert_eq!(rights("[mounts]\ncode_exec = false").over_path("/code"), Accesses::READ);
    assert!(rights("[mounts]\nscratch_exec = true").over_path("/scratch").has(Access::Execute));
    assert_eq!(rights("[network]\nloopback = false").over(&Object::Localhost), Accesses::NONE);
    let memory = |text| rights(text).over(&Object::Memory);
    assert!(memory("").has(Access::Execute));
    assert_eq!(memory("[memory]\nwrite_xor_execute = true"), Accesses::READ_WRITE);
    let view = rights("[mounts]\nsystem_view = [\"/usr/lib\", \"/etc/fonts\"]").system_view();
    assert_eq!(view, SystemView::Paths(vec!["/usr/lib".into(), "/etc/fonts".into()]));
    assert_eq!(rights("[mounts]\nsystem_view = \"none\"").system_view(), SystemView::None);
    let mut of_image = request(lab("").unwrap());
    of_image.image = Some(Digest([3; 32]));
    let of_image = of_image.rights();
    assert_eq!((of_image.system_view(), of_image.over(&Object::Image)), (SystemView::None, Accesses::READ_EXECUTE));
}

#[test]
fn execution_of_data_and_devices_are_the_local_users_own_choice_up_to_the_bound() {
    let ask = "[[rights]]\naccess = [\"EXECUTE\"]\npath = \"/output\"\n[[rights]]\naccess = [\"EXECUTE\"]\npath = \
               \"/input/data\"\n[[rights]]\naccess = [\"READ\"]\ndevice = \"/dev/fuse\"\n";
    let granted = rights(ask);
    assert_eq!(granted.over_path("/output"), Accesses::READ_WRITE.with(Access::Execute));
    assert_eq!(granted.over_path("/input/data"), Accesses::READ_EXECUTE);
    assert_eq!(granted.devices().collect::<Vec<_>>(), [("/dev/fuse", Accesses::READ)]);
    let foreign = Origin::Task("task.toml".into());
    for one in
        ask.split_inclusive("[[rights]]").filter_map(|part| part.split("[[rights]]").find(|text| !text.is_empty()))
    {
        let overlay = Overlay::parse(&format!("[[rights]]{one}"), "x").unwrap();
        let strict = Profile::builtin("strict").unwrap();
        let refused = strict.narrow(&overlay, &foreign).unwrap_err();
        assert!(matches!(&refused, ProfileError::Widens(_)), "{one}: {refused}");
        // What is there already is no more.
        assert!(lab(ask).unwrap().narrow(&overlay, &foreign).is_ok(), "{one}");
        for profile in ["third-party", "infer"] {
            let refused = Profile::builtin(profile).unwrap().narrow(&overlay, &Origin::Flag("x".into()));
            assert!(matches!(refused, Err(ProfileError::Widens(_))), "{profile} {one}");
        }
    }
    let scratch = "[[rights]]\naccess = [\"EXECUTE\"]\npath = \"/scratch\"\n";
    assert!(rights(scratch).over_path("/scratch").has(Access::Execute));
    assert!(lab(&format!("[mounts]\nscratch_exec_allowed = false\n{scratch}")).is_err());
}

#[test]
fn a_profile_that_a_task_file_names_grants_no_device() {
    let text = "name = \"x\"\nextends = \"strict\"\n[[rights]]\naccess = [\"READ\"]\ndevice = \"/dev/fuse\"\n";
    assert!(Profile::from_file(text, "x.toml").is_ok());
    let refused = Profile::from_foreign_file(text, "x.toml", "task.toml").unwrap_err();
    assert!(matches!(&refused, ProfileError::Widens(_)) && refused.to_string().contains("task.toml"), "{refused}");
}

#[test]
fn a_bound_that_is_tightened_takes_away_what_was_granted() {
    let granted = lab(
        "[[rights]]\naccess = [\"READ\"]\ndevice = \"/dev/fuse\"\n[[rights]]\naccess = [\"EXECUTE\"]\npath = \"/output\"\n",
    );
    let overlay = Overlay::parse("devices.allowed = false\nmounts.data_exec_allowed = false", "x").unwrap();
    let tightened = granted.unwrap().narrow(&overlay, &Origin::Task("t".into())).unwrap();
    let rights = request(tightened.clone()).rights();
    assert_eq!(rights.devices().count(), 0);
    assert_eq!(rights.over_path("/output"), Accesses::READ_WRITE);
    let again = Overlay::parse("[[rights]]\naccess = [\"READ\"]\ndevice = \"/dev/fuse\"", "x").unwrap();
    assert!(tightened.narrow(&again, &Origin::Flag("x".into())).is_err());
}

#[test]
fn each_right_names_the_walls_that_enforce_it() {
    let text = "side_channels = \"hardened\"\n[memory]\nwrite_xor_execute = true\n[[rights]]\naccess = [\"READ\"]\ndevice = \
                \"/dev/fuse\"\n";
    for right in rights(text).iter().chain(rights("").iter()) {
        assert!(!right.walls().is_empty(), "{right:?}");
        let read_only = right.walls().contains(&Wall::ReadOnly);
        assert!(!(read_only && right.accesses().has(Access::Write)), "{right:?}");
        let noexec = right.walls().contains(&Wall::NoExec);
        assert!(!(noexec && right.accesses().has(Access::Execute)), "{right:?}");
    }
    let walls = |text: &str, object: Object| {
        let rights = rights(text);
        let right = rights.iter().find(|right| *right.object() == object).unwrap();
        right.walls()
    };
    let input = walls("", Object::Path("/input/data".into()));
    assert_eq!(input, [Wall::MountNamespace, Wall::ReadOnly, Wall::NoExec, Wall::Landlock]);
    assert_eq!(walls("", Object::Memory), [Wall::MemoryLimit]);
    let held = walls("[memory]\nwrite_xor_execute = true", Object::Memory);
    assert_eq!(held, [Wall::Seccomp, Wall::WriteXorExecute, Wall::MemoryLimit]);
}

#[test]
fn walls_on_demand_are_required_where_they_are_asked_for_and_missed_nowhere_else() {
    let grant = |request| match Engine::default().decide(request) {
        Decision::Allow(grant) => grant,
        Decision::Deny(denial) => panic!("{denial}"),
    };
    let usual = grant(request(lab("").unwrap()));
    assert!(usual.without().is_empty());
    assert!(!usual.required_walls().iter().any(|wall| wall.is_on_demand()));
    let text = "side_channels = \"hardened\"\nown_cores = true\n[memory]\nwrite_xor_execute = true\n";
    let hardened = grant(request(lab(text).unwrap()));
    let demanded = |grant: &crate::Grant| -> Vec<Wall> {
        grant.required_walls().into_iter().filter(|wall| wall.is_on_demand()).collect()
    };
    let all_but_clocks =
        [Wall::WriteXorExecute, Wall::Speculation, Wall::CoreScheduling, Wall::OwnCores, Wall::PageSharing];
    assert_eq!(demanded(&hardened), all_but_clocks);
    let mut of_runner = request(lab(text).unwrap());
    of_runner.runner = Runner::Builtin;
    of_runner.best_effort = [Wall::Speculation].into();
    let of_runner = grant(of_runner);
    assert!(demanded(&of_runner).contains(&Wall::NoClocks) && !demanded(&of_runner).contains(&Wall::Speculation));
    assert_eq!(of_runner.without(), [Wall::Speculation].into());
}
