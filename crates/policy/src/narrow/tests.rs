use hotcell_types::{Exit, Explain, Wall};
use proptest::prelude::*;

use crate::*;

fn task() -> Origin {
    Origin::Task("task.toml".to_owned())
}

fn flag() -> Origin {
    Origin::Flag("--limit".to_owned())
}

fn narrow(profile: &str, overlay: &str, origin: &Origin) -> Result<Profile, ProfileError> {
    let overlay = Overlay::parse(overlay, "x.toml").unwrap();
    Profile::builtin(profile).unwrap().narrow(&overlay, origin)
}

#[test]
fn train_takes_checkpoints_of_any_format_and_holds_them_against_the_inputs() {
    let narrowed = |overlay: &str, origin: &Origin| narrow("train", overlay, origin);
    let refused = narrowed("mounts.scratch_exec = true", &task()).unwrap_err();
    assert_eq!(refused.exit(), Exit::Refused, "{refused}");
    assert!(narrowed("network.egress_allowed = true", &flag()).is_err(), "not even by the local user");
    // What the local user may choose, a task file may not.
    for overlay in ["network.loopback = true", "inspection.fingerprints = \"off\"", "inspection.detectors = \"off\""] {
        assert!(narrowed(overlay, &task()).is_err(), "a task file: {overlay}");
        assert!(narrowed(overlay, &flag()).is_ok(), "the local user: {overlay}");
    }
}

#[test]
fn every_built_in_profile_is_complete() {
    for name in Profile::BUILTIN {
        let profile = Profile::builtin(name).unwrap();
        assert_eq!(profile.name(), *name);
        let missing: Vec<_> =
            Wall::ALL.iter().filter(|wall| !wall.is_on_demand() && !profile.required_walls().contains(wall)).collect();
        let expected: &[&Wall] = if *name == "baseline-5.10" { &[&Wall::Landlock] } else { &[] };
        assert_eq!(missing, expected, "{name}");
        assert_eq!(profile.loopback(), *name == "strict", "{name}");
        assert!(profile.code_exec() && !profile.scratch_exec(), "{name}");
        for call in ["read", "execve", "openat", "clone", "futex"] {
            assert!(profile.system_calls().contains(&call), "{name} {call}");
        }
    }
    let strict = Profile::builtin("strict").unwrap();
    assert_eq!(strict.limits().memory().bytes(), 512 << 20);
    assert_eq!(strict.limits().wall().as_secs(), 900);
    assert_eq!((strict.limits().output_files(), strict.limits().output_bytes().bytes()), (100, 100 << 20));
}

#[test]
fn no_call_that_leads_out_is_in_any_list() {
    let listed: Vec<_> = calls::BASE.iter().chain(calls::GRANTABLE).map(|rule| rule.name).collect();
    let mut once = listed.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), listed.len(), "a call is listed twice");
    for (never, _) in calls::NEVER {
        assert!(!listed.contains(never), "{never}");
    }
    for (call, _) in calls::ANSWERED_NOT_IMPLEMENTED {
        assert!(!listed.contains(call), "{call}");
    }
    for rule in calls::BASE.iter().chain(calls::GRANTABLE) {
        assert!(!rule.why.is_empty(), "{}", rule.name);
    }
}

#[test]
fn the_local_user_chooses_up_to_the_bound_and_a_file_only_tightens() {
    for (overlay, origin, allowed) in [
        ("limits.memory = \"2GiB\"", flag(), true),
        ("limits.memory = \"64GiB\"", flag(), true),
        ("limits.memory = \"65GiB\"", flag(), false),
        ("limits.memory = \"2GiB\"", task(), false),
        ("limits.memory = \"256MiB\"", task(), true),
        ("limits.memory = \"512MiB\"", task(), true),
        ("limits.memory.max = \"65GiB\"", task(), false),
        ("limits.memory.max = \"1GiB\"", task(), true),
        ("limits.cpu = 1.5", task(), true),
        ("limits.memory.enforcement = \"full\"", task(), true),
        ("limits.wall.enforcement = \"partial-ok\"", flag(), false),
        ("mounts.system_view = [\"/usr/lib\"]", task(), true),
        ("mounts.system_view = \"none\"", task(), true),
        ("mounts.code_exec = false", task(), true),
        ("mounts.scratch_exec = true", flag(), true),
        ("mounts.scratch_exec = true", task(), false),
        ("mounts.scratch_exec_allowed = false", task(), true),
        ("network.loopback = true", task(), true),
        ("network.loopback = false", task(), true),
        ("network.loopback_allowed = false", task(), true),
        ("memory.write_xor_execute = true", task(), true),
        ("scratch.kind = \"encrypted\"", task(), true),
        ("scratch.kind = \"memory\"", task(), true),
        ("scratch.kind = \"auto\"", task(), true),
        ("system_calls.groups = [\"io\"]", task(), true),
        ("system_calls.groups = [\"io\", \"ipc\"]", flag(), false),
        ("system_calls.allow = [\"mlockall\"]", flag(), true),
        ("system_calls.allow = [\"mlockall\"]", task(), false),
        ("system_calls.deny = [\"socket\"]", task(), true),
        ("inspection.streams = \"inspect\"", task(), true),
        ("inspection.outputs = \"declared\"", task(), true),
        ("inspection.detectors = \"refuse\"", task(), true),
        ("inspection.fingerprints = \"refuse\"", task(), true),
        ("model.signature = \"trusted\"", task(), true),
        ("walls.required = [\"seccomp\"]", flag(), false),
    ] {
        let seen = narrow("strict", overlay, &origin);
        assert_eq!(seen.is_ok(), allowed, "{overlay} by {origin}: {seen:?}");
        if let Err(error) = seen {
            assert_eq!((error.code(), error.exit()), ("POL-006", Exit::Refused));
        }
    }
    for overlay in [
        "inspection.streams = \"live\"",
        "inspection.outputs = \"any\"",
        "model.signature = \"none\"",
        "network.loopback = true",
        "mounts.scratch_exec = true",
    ] {
        assert!(narrow("third-party", overlay, &flag()).is_err(), "{overlay}");
    }
}

#[test]
fn a_refused_widening_names_key_values_origins_and_the_way() {
    let error = narrow("strict", "limits.memory = \"2GiB\"", &task()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "task file `task.toml` sets `limits.memory` to 2GiB, beyond the 512MiB of built-in profile `strict`"
    );
    assert!(error.remedy().contains("`--limit memory=2GiB`"), "{}", error.remedy());
    let error = narrow("strict", "limits.memory = \"1TiB\"", &flag()).unwrap_err();
    assert!(error.to_string().contains("beyond the at most 64GiB"), "{error}");
    assert!(!error.remedy().contains("--limit"), "{}", error.remedy());
}

#[test]
fn a_lowered_bound_binds_the_layers_after_it() {
    let profile = narrow("strict", "limits.memory.max = \"256MiB\"", &task()).unwrap();
    assert_eq!(profile.limits().memory().bytes(), 256 << 20);
    assert_eq!(*profile.limits().of(LimitKey::Memory).origin(), task());
    let mut overlay = Overlay::default();
    overlay.set_limit("memory=512MiB").unwrap();
    let error = profile.narrow(&overlay, &flag()).unwrap_err();
    assert!(error.to_string().contains("task file"), "{error}");
}

#[test]
fn a_choice_that_is_forbidden_is_turned_off_again() {
    let profile = narrow("strict", "mounts.scratch_exec = true", &flag()).unwrap();
    assert!(profile.loopback() && profile.scratch_exec());
    for forbidden in ["network.loopback_allowed = false", "mounts.scratch_exec_allowed = false"] {
        let profile = profile.clone().narrow(&Overlay::parse(forbidden, "x").unwrap(), &task()).unwrap();
        assert_ne!(profile.loopback(), profile.scratch_exec(), "{forbidden}");
        for wish in ["network.loopback = true", "mounts.scratch_exec = true"] {
            let may = !forbidden.starts_with(&wish[..8]);
            let seen = profile.clone().narrow(&Overlay::parse(wish, "x").unwrap(), &flag());
            assert_eq!(seen.is_ok(), may, "{forbidden}, then {wish}");
        }
    }
}

#[test]
fn denied_calls_add_up_and_win() {
    let profile = narrow("strict", "system_calls.deny = [\"socket\"]", &task()).unwrap();
    let overlay = Overlay::parse("system_calls = { deny = [\"bind\"], allow = [\"socket\"] }", "x").unwrap();
    let calls = profile.narrow(&overlay, &flag()).unwrap().system_calls();
    assert!(!calls.contains(&"socket") && !calls.contains(&"bind") && calls.contains(&"listen"));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    for (text, line, says) in [
        ("\n[limits]\nmemoryy = 1", 3, "memoryy"),
        ("[limitss]", 1, "limitss"),
        ("[network]\negress = []", 2, "egress"),
        ("[limits]\n\nmemory = { most = 1 }", 3, "most"),
        ("[limits]\nmemory = true", 2, "expected a value"),
        ("[limits]\nmemory = { max = { max = 1 } }", 2, "not a table"),
        ("[walls]\nrequired = [\"moat\"]", 2, "moat"),
        ("[system_calls]\ngroups = [\"all\"]", 2, "all"),
        ("[inspection]\nstreams = \"maybe\"", 2, "maybe"),
        ("x", 1, ""),
    ] {
        match Overlay::parse(text, "p.toml") {
            Err(ProfileError::Syntax { file, line: seen, problem }) => {
                assert_eq!((file.as_str(), seen), ("p.toml", line), "{text}: {problem}");
                assert!(problem.contains(says), "{text}: {problem}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let long = "#".repeat(MAX_FILE_BYTES + 1);
    assert_eq!(Overlay::parse(&long, "x").unwrap_err().code(), "POL-002");
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (text, says) in [
        ("limits.memory = \"much\"", "is not a size"),
        ("limits.pids = 0", "must lie between"),
        ("limits.pids = -3", "is not a whole number"),
        ("limits.wall = 1.5", "is not a time"),
        ("mounts.system_view = \"all\"", "neither"),
        ("mounts.system_view = [\"/home\"]", "outside of what can be shown"),
        ("mounts.system_view = [\"/usrlocal\"]", "outside of what can be shown"),
        ("mounts.system_view = [\"/usr/../home\"]", "without `.`, `..`"),
        ("mounts.system_view = [\"usr\"]", "not an absolute path"),
        ("mounts.system_view = [\"/usr/\"]", "not an absolute path"),
        ("mounts.system_view = [\"/usr//lib\"]", "not an absolute path"),
        ("mounts.system_view = [\"/\"]", "not an absolute path"),
        ("system_calls.allow = [\"ptrace\"]", "can never be allowed: reads and steers"),
        ("system_calls.allow = [\"unshare\"]", "can never be allowed"),
        ("system_calls.allow = [\"frobnicate\"]", "is not a call that can be allowed"),
        ("system_calls.deny = [\"sokcet\"]", "could not pass"),
    ] {
        for origin in [flag(), task()] {
            let error = narrow("strict", text, &origin).unwrap_err();
            assert_eq!(error.code(), "POL-005", "{text}: {error}");
            let says = if says == "could not pass" { "is not a call that could pass" } else { says };
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}

#[test]
fn flags_are_read_as_people_write_them() {
    let mut overlay = Overlay::default();
    for text in ["wall=60s", "memory=512MiB", "pids=64", "cpu=1.5", "scratch=256MiB"] {
        overlay.set_limit(text).unwrap();
    }
    let profile = Profile::builtin("strict").unwrap().narrow(&overlay, &flag()).unwrap();
    assert_eq!((profile.limits().cpu_millis(), profile.limits().pids()), (1500, 64));
    for text in ["memory", "memory:1", "ram=1GiB", "cpu=many", "=", ""] {
        assert_eq!(overlay.set_limit(text).unwrap_err().code(), "POL-004", "{text}");
    }
}

#[test]
fn a_profile_file_chooses_within_what_it_extends() {
    let profile =
        Profile::from_file("name = \"lab\"\nextends = \"strict\"\nlimits.memory = \"4GiB\"", "lab.toml").unwrap();
    assert_eq!((profile.name(), profile.limits().memory().bytes()), ("lab", 4 << 30));
    for (text, code) in [
        ("name = \"lab\"\nextends = \"strict\"\nlimits.memory = \"100GiB\"", "POL-006"),
        ("name = \"lab\"\nextends = \"loose\"", "POL-003"),
        ("name = \"lab\"", "POL-001"),
        ("name = \"lab\"\nextends = \"strict\"\nbest_effort = [\"landlock\"]", "POL-001"),
    ] {
        assert_eq!(Profile::from_file(text, "lab.toml").unwrap_err().code(), code, "{text}");
    }
}

#[test]
fn explain_shows_each_value_with_its_origin() {
    let profile = narrow("strict", "limits.memory = \"256MiB\"", &task()).unwrap();
    let rows = profile.effective();
    let row = rows.iter().find(|row| row.key == "limits.memory").unwrap();
    assert_eq!((row.value.as_str(), row.origin.as_str()), ("256MiB", "task file `task.toml`"));
    assert_eq!(row.bound.as_deref(), Some("at most 64GiB"));
    let row = rows.iter().find(|row| row.key == "limits.pids").unwrap();
    assert_eq!(row.origin, "built-in profile `strict`");
    let same = narrow("strict", "limits.memory = \"256MiB\"", &flag()).unwrap();
    assert_eq!(profile.canonical(), same.canonical());
    assert_ne!(profile.canonical(), Profile::builtin("strict").unwrap().canonical());
}

fn any_overlay() -> impl Strategy<Value = Overlay> {
    let limit = (0..LimitKey::ALL.len(), 0u64..2_000_000, prop::option::of(0u64..2_000_000), prop::bool::ANY);
    let limits = prop::collection::vec(limit, 0..4);
    let flag = || prop::option::of(prop::bool::ANY);
    let flags = (flag(), flag(), flag(), flag());
    let groups = prop::option::of(prop::sample::subsequence(CallGroup::ALL.to_vec(), 0..CallGroup::ALL.len()));
    let allow = prop::option::of(prop::sample::subsequence(
        calls::GRANTABLE.iter().map(|rule| rule.name.to_owned()).collect::<Vec<_>>(),
        0..3,
    ));
    let view = prop::option::of(prop::sample::select(vec![
        RawSystemView::Word("host".into()),
        RawSystemView::Word("none".into()),
        RawSystemView::Paths(vec!["/usr".into(), "/lib".into()]),
        RawSystemView::Paths(vec!["/usr/lib".into()]),
    ]));
    let streams = prop::option::of(prop::sample::select(vec![StreamRule::Live, StreamRule::Inspect]));
    (limits, flags, groups, allow, view, streams).prop_map(|(limits, flags, groups, allow, view, streams)| {
        let mut overlay = Overlay::default();
        for (place, value, max, full) in limits {
            let key = LimitKey::ALL[place];
            let text = |value: u64| if key.unit() == Unit::Millis { format!("{value}ms") } else { value.to_string() };
            let enforcement = Some(if full { Demand::Full } else { Demand::PartialOk });
            overlay.limits.insert(key, LimitSetting { default: Some(text(value)), max: max.map(text), enforcement });
        }
        (overlay.network.loopback, overlay.network.loopback_allowed, _, _) = flags;
        (_, _, overlay.mounts.scratch_exec, overlay.mounts.scratch_exec_allowed) = flags;
        overlay.system_calls.groups = groups;
        overlay.system_calls.allow = allow;
        overlay.mounts.system_view = view;
        overlay.inspection.streams = streams;
        overlay
    })
}

/// Whether nothing in `new` is beyond `old`, said without the code under test.
fn no_wider(new: &Profile, old: &Profile, bound_only: bool) -> bool {
    let limits = LimitKey::ALL.iter().all(|key| {
        let (new, old) = (new.limits().of(*key), old.limits().of(*key));
        let value = if bound_only { old.max() } else { old.value() };
        new.value() <= value && new.max() <= old.max() && new.enforcement() >= old.enforcement()
    });
    let calls_of = |profile: &Profile| profile.system_calls();
    let calls = calls_of(new).iter().all(|call| {
        calls_of(old).contains(call) || (bound_only && calls::GRANTABLE.iter().any(|rule| rule.name == *call))
    });
    let shown = |path: &str, over: &str| path == over || path.starts_with(&format!("{over}/"));
    let view =
        new.system_view().paths().iter().all(|path| old.system_view().paths().iter().any(|over| shown(path, over)));
    let loopback = !new.loopback() || old.loopback() || (bound_only && old.loopback_allowed.value);
    let exec = !new.scratch_exec() || old.scratch_exec() || (bound_only && old.scratch_exec_allowed.value);
    let walls = new.required_walls().is_superset(old.required_walls());
    limits && calls && view && loopback && exec && walls && new.streams() >= old.streams()
}

proptest! {
    #[test]
    fn no_layer_ever_widens(profile in prop::sample::select(Profile::BUILTIN), first in any_overlay(), second in any_overlay()) {
        let base = Profile::builtin(profile).unwrap();
        for (origin, own) in [(task(), false), (flag(), true)] {
            let Ok(once) = base.clone().narrow(&first, &origin) else { continue };
            prop_assert!(no_wider(&once, &base, own));
            if let Ok(twice) = once.clone().narrow(&second, &task()) {
                prop_assert!(no_wider(&twice, &once, false));
            }
        }
    }
}

#[test]
fn requests_of_a_host_are_limited_once_and_never_let_go_again() {
    let host = |more: &str| format!("[[rights]]\naccess = [\"CONNECT\"]\nhost = \"a.example\"\n{more}");
    let limited = narrow("strict", &host("methods = [\"GET\"]"), &flag()).unwrap();
    let at = "a.example:443".parse().unwrap();
    for more in ["", "methods = [\"GET\"]"] {
        let again = limited.clone().narrow(&Overlay::parse(&host(more), "x").unwrap(), &flag()).unwrap();
        assert!(again.request_rules(&at).fault("PUT", "/").is_some(), "{more}");
    }
    for more in ["methods = [\"PUT\"]", "pass = true"] {
        let error = limited.clone().narrow(&Overlay::parse(&host(more), "x").unwrap(), &flag()).err().unwrap();
        assert!(
            matches!(&error, ProfileError::Value { .. }) && error.to_string().contains("are limited by"),
            "{error}"
        );
    }
    let unknown = Overlay::parse(&host("method = [\"GET\"]"), "x").unwrap_err();
    assert!(unknown.to_string().contains("method"), "{unknown}");
}
