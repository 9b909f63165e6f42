use std::collections::BTreeSet;

use hotcell_types::{Bits, Digest, Exit, Explain, GrantId, TaskId, Timestamp, Wall};
use proptest::prelude::*;

use crate::*;

fn request(profile: &str) -> Request {
    Request {
        grant: GrantId::from_bytes([1; 10]),
        task: TaskId::from_bytes([2; 10]),
        now: Timestamp(1_000),
        principal: Principal { id: "local:1000".to_owned(), local: true, roles: Vec::new() },
        owner: "local:1000".to_owned(),
        purpose: String::new(),
        profile: Profile::builtin(profile).unwrap(),
        isolation: "process".to_owned(),
        runner: Runner::Command,
        shown: Default::default(),
        best_effort: BTreeSet::new(),
        image: None,
        model: None,
        datasets: Vec::new(),
        inputs_owned: true,
        recipients: Vec::new(),
        role: None,
    }
}

fn sealed() -> ModelFacts {
    ModelFacts {
        id: "biopsy".to_owned(),
        version: Some(1),
        sealed: true,
        signature: Signature::Trusted,
        runner_in_terms: true,
        within_time: true,
        custody_met: true,
        isolation_met: true,
    }
}

fn grant(engine: &Engine, request: Request) -> Grant {
    match engine.decide(request) {
        Decision::Allow(grant) => grant,
        Decision::Deny(denial) => panic!("{denial}"),
    }
}

fn denial(engine: &Engine, request: Request) -> Denial {
    match engine.decide(request) {
        Decision::Allow(grant) => panic!("allowed by {:?}", grant.rules()),
        Decision::Deny(denial) => denial,
    }
}

#[test]
fn own_task_in_strict_runs_with_live_streams_and_the_grant_says_so() {
    let grant = grant(&Engine::default(), request("strict"));
    assert_eq!(grant.rules(), ["owner-runs-own-task", "owner-watches-own-streams"]);
    assert_eq!(grant.streams(), StreamRule::Live);
    assert!(grant.stream_reasons().is_empty());
    assert_eq!(grant.profile().name(), "strict");
    assert_eq!(grant.expires(), Timestamp(901_000));
    assert!(!grant.sealed_model());
}

#[test]
fn what_the_default_policy_forbids_is_denied_with_its_rule_and_remedy() {
    type Change = fn(&mut Request);
    let cases: &[(&str, Change, &str, &str, Exit, &str)] = &[
        ("strict", |r| r.principal.local = false, "POL-102", "owner-runs-own-task", Exit::Refused, "local user"),
        ("strict", |r| r.owner = "local:7".into(), "POL-102", "owner-runs-own-task", Exit::Refused, "local user"),
        (
            "infer",
            |r| {
                r.model = Some(sealed());
                r.best_effort.insert(Wall::Landlock);
            },
            "POL-101",
            "sealed-model-keeps-every-wall",
            Exit::Refused,
            "--best-effort",
        ),
        (
            "baseline-5.10",
            |r| r.model = Some(sealed()),
            "POL-101",
            "sealed-model-keeps-every-wall",
            Exit::Refused,
            "doctor",
        ),
        (
            "infer",
            |r| r.model = Some(ModelFacts { runner_in_terms: false, ..sealed() }),
            "POL-101",
            "sealed-model-only-in-listed-runner",
            Exit::Refused,
            "built-in runner",
        ),
        (
            "infer",
            |r| r.model = Some(ModelFacts { signature: Signature::None, ..sealed() }),
            "POL-101",
            "sealed-model-is-signed",
            Exit::Refused,
            "signed",
        ),
        (
            "infer",
            |r| r.model = Some(ModelFacts { within_time: false, ..sealed() }),
            "POL-101",
            "sealed-model-within-its-time",
            Exit::Refused,
            "later expiry",
        ),
        (
            "infer",
            |r| r.model = Some(ModelFacts { custody_met: false, ..sealed() }),
            "POL-101",
            "sealed-model-in-demanded-custody",
            Exit::HostLacks,
            "service",
        ),
        (
            "infer",
            |r| r.model = Some(ModelFacts { isolation_met: false, ..sealed() }),
            "POL-101",
            "sealed-model-in-demanded-isolation",
            Exit::HostLacks,
            "isolation level",
        ),
        (
            "third-party",
            |r| r.model = Some(ModelFacts { sealed: false, signature: Signature::None, ..sealed() }),
            "POL-101",
            "signature-demanded",
            Exit::Refused,
            "signed package",
        ),
        (
            "third-party",
            |r| r.model = Some(ModelFacts { signature: Signature::Unknown, ..sealed() }),
            "POL-101",
            "trusted-signature-demanded",
            Exit::Refused,
            "trusted",
        ),
    ];
    for (profile, change, code, rule, exit, remedy) in cases {
        let mut request = request(profile);
        change(&mut request);
        let denial = denial(&Engine::default(), request);
        assert_eq!(denial.code(), *code, "{denial}");
        assert_eq!(denial.rules().iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), [*rule]);
        assert_eq!(denial.exit(), *exit, "{rule}");
        assert!(denial.remedy().contains(remedy), "{}", denial.remedy());
        assert!(denial.to_string().starts_with("policy refuses to "), "{denial}");
    }
}

#[test]
fn a_lack_of_the_host_beside_a_refusal_is_a_refusal() {
    let mut request = request("infer");
    request.model = Some(ModelFacts { custody_met: false, runner_in_terms: false, ..sealed() });
    let denial = denial(&Engine::default(), request);
    assert_eq!(denial.exit(), Exit::Refused);
    assert_eq!(denial.rules().len(), 2);
}

#[test]
fn streams_are_inspected_where_they_could_carry_what_is_not_the_callers() {
    type Change = fn(&mut Request);
    let cases: &[(&str, Change, &str)] = &[
        ("third-party", |_| (), "profile-inspects-streams"),
        ("strict", |r| r.inputs_owned = false, "inputs-of-others-stay-inspected"),
        ("strict", |r| r.model = Some(sealed()), "sealed-models-stay-inspected"),
        ("strict", |r| r.recipients.push("age1x".into()), "results-for-others-stay-inspected"),
        ("strict", |r| r.role = Some("nurse".into()), "role-views-stay-inspected"),
    ];
    for (profile, change, rule) in cases {
        let mut request = request(profile);
        change(&mut request);
        let grant = grant(&Engine::default(), request);
        assert_eq!(grant.streams(), StreamRule::Inspect, "{rule}");
        assert_eq!(grant.stream_reasons().iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), [*rule]);
    }
}

#[test]
fn a_wall_given_up_by_name_is_the_only_one_not_required() {
    let mut request = request("strict");
    request.best_effort.insert(Wall::Landlock);
    let grant = grant(&Engine::default(), request);
    let missing: Vec<_> =
        Wall::ALL.iter().filter(|wall| !wall.is_on_demand() && !grant.required_walls().contains(wall)).collect();
    assert_eq!(missing, [&Wall::Landlock]);
}

#[test]
fn a_grant_names_the_walls_that_its_profile_does_without() {
    let without = |profile| grant(&Engine::default(), request(profile)).without();
    assert_eq!(without("baseline-5.10").into_iter().collect::<Vec<_>>(), [Wall::Landlock]);
    for whole in ["strict", "third-party", "infer", "train"] {
        assert!(without(whole).is_empty(), "{whole}");
    }
}

#[test]
fn a_grant_is_good_for_fifteen_minutes_and_not_before_it_was_made() {
    for (now, good) in [(1_000, true), (900_999, true), (901_000, false), (999, false), (u64::MAX, false)] {
        let grant = grant(&Engine::default(), request("strict"));
        let used = grant.begin(Timestamp(now));
        assert_eq!(used.is_ok(), good, "{now}");
        if let Err(expired) = used {
            assert_eq!((expired.code(), expired.exit()), ("POL-110", Exit::Refused));
        }
    }
}

#[test]
fn outputs_leave_by_a_decision_of_their_own() {
    for (profile, sealed_model, form, rule) in [
        ("strict", false, Form::Opaque, None),
        ("strict", false, Form::Canonical, None),
        ("strict", true, Form::Canonical, None),
        ("strict", true, Form::Opaque, Some("sealed-model-output-is-canonical")),
        ("infer", false, Form::Opaque, Some("undeclared-output-refused")),
        ("infer", true, Form::Canonical, None),
    ] {
        let engine = Engine::default();
        let mut request = request(profile);
        request.model = sealed_model.then(sealed);
        let used = grant(&engine, request).begin(Timestamp(1_000)).unwrap();
        let item = ReleaseItem { name: "scores.csv".into(), kind: ItemKind::File, form, capacity: Bits(12.5) };
        match (engine.decide_release(&used, item), rule) {
            (Ok(release), None) => {
                assert_eq!((release.name(), release.grant()), ("scores.csv", used.id()));
                assert_eq!(release.rules(), ["owner-receives-own-output"]);
            }
            (Err(denial), Some(rule)) => {
                assert_eq!(denial.rules()[0].id, rule);
                assert!(denial.remedy().contains("declare"), "{}", denial.remedy());
            }
            (seen, expected) => panic!("{profile} {sealed_model} {form:?}: {seen:?}, expected {expected:?}"),
        }
    }
}

fn layered(rule: &str) -> Engine {
    let text = format!("@id(\"ours\") @reason(\"we say so\") @remedy(\"do not\")\n{rule}");
    Engine::with_layers(&[("ours.cedar".to_owned(), text)]).unwrap()
}

#[test]
fn a_layer_can_cap_what_leaves_in_bits() {
    let engine = layered(
        "forbid (principal is User, action == Action::\"release\", resource is Output) when { resource.capacityBits > 100 };",
    );
    for (bits, allowed) in [(100.0, true), (100.1, false), (f64::INFINITY, false), (f64::NAN, false)] {
        let used = grant(&engine, request("strict")).begin(Timestamp(1_000)).unwrap();
        let item = ReleaseItem { name: "x".into(), kind: ItemKind::File, form: Form::Canonical, capacity: Bits(bits) };
        assert_eq!(engine.decide_release(&used, item).is_ok(), allowed, "{bits}");
    }
}

#[test]
fn a_rule_by_image_lets_only_the_named_one_run() {
    let ours = Digest([7; 32]);
    let rule =
        format!("forbid (principal, action == Action::\"run\", resource) when {{ context.image != \"{ours}\" }};");
    let engine = layered(&rule);
    let of = |image| Request { image, ..request("strict") };
    assert_eq!(grant(&engine, of(Some(ours))).rules()[0], "owner-runs-own-task");
    for other in [Some(Digest([8; 32])), None] {
        let denial = denial(&engine, of(other));
        assert_eq!(denial.rules().len(), 1, "{denial}");
        assert_eq!(denial.exit(), Exit::Refused);
    }
    let rule = "forbid (principal, action == Action::\"useModel\", resource) when { context.image == \"\" };";
    let engine = layered(rule);
    let with_model = |image| Request { model: Some(sealed()), ..of(image) };
    assert!(matches!(engine.decide(with_model(Some(ours))), Decision::Allow(_)));
    assert!(matches!(engine.decide(with_model(None)), Decision::Deny(_)), "no image at all is no leave");
}

#[test]
fn a_rule_by_role_or_purpose_denies_only_whom_it_names() {
    let engine = layered(
        "forbid (principal in Role::\"intern\", action == Action::\"run\", resource) unless { context.purpose == \"audit\" };",
    );
    for (role, purpose, allowed) in [("intern", "", false), ("intern", "audit", true), ("doctor", "", true)] {
        let mut request = request("strict");
        request.principal.roles.push(role.to_owned());
        request.purpose = purpose.to_owned();
        assert_eq!(matches!(engine.decide(request), Decision::Allow(_)), allowed, "{role} {purpose}");
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_denies() {
    // Cedar's validator cannot see an overflow coming; Cedar itself would skip the rule and allow.
    let engine = layered(
        "forbid (principal is User, action == Action::\"release\", resource is Output) when { resource.capacityBits + 1 < 0 };",
    );
    let used = grant(&engine, request("strict")).begin(Timestamp(1_000)).unwrap();
    let item = |capacity| ReleaseItem {
        name: "x".into(),
        kind: ItemKind::File,
        form: Form::Canonical,
        capacity: Bits(capacity),
    };
    assert!(engine.decide_release(&used, item(8.0)).is_ok());
    let denial = engine.decide_release(&used, item(f64::INFINITY)).unwrap_err();
    assert_eq!(denial.code(), "POL-103");
    assert!(denial.to_string().contains("ours") && denial.to_string().contains("overflow"), "{denial}");
    assert!(denial.remedy().contains("policy check"), "{}", denial.remedy());
}

/// The default policy once more, as a child would write it.
fn naive(request: &Request) -> (bool, StreamRule) {
    let owns = request.principal.local && request.owner == request.principal.id;
    let mut runs = owns;
    let mut live = owns && request.inputs_owned && request.recipients.is_empty();
    live &= request.role.as_deref().unwrap_or("").is_empty() && request.profile.streams() == StreamRule::Live;
    if let Some(model) = &request.model {
        if model.sealed {
            live = false;
            runs &= request.best_effort.is_empty() && request.profile.name() != "baseline-5.10";
            runs &= model.signature != Signature::None && model.runner_in_terms && model.within_time;
            runs &= model.custody_met && model.isolation_met;
        }
        runs &= match request.profile.signature() {
            SignatureRule::None => true,
            SignatureRule::Valid => model.signature != Signature::None,
            SignatureRule::Trusted => model.signature == Signature::Trusted,
        };
    }
    (runs, if live { StreamRule::Live } else { StreamRule::Inspect })
}

fn any_model() -> impl Strategy<Value = Option<ModelFacts>> {
    let signature = prop_oneof![Just(Signature::None), Just(Signature::Unknown), Just(Signature::Trusted)];
    // Mostly true, so that allowing is as frequent as denying.
    let often = || prop::bool::weighted(0.9);
    prop::option::of((prop::bool::ANY, signature, often(), often(), often(), often()).prop_map(
        |(sealed, signature, runner_in_terms, within_time, custody_met, isolation_met)| ModelFacts {
            id: "m".into(),
            version: None,
            sealed,
            signature,
            runner_in_terms,
            within_time,
            custody_met,
            isolation_met,
        },
    ))
}

fn any_request() -> impl Strategy<Value = Request> {
    let often = || prop::bool::weighted(0.9);
    let profile = prop::sample::select(Profile::BUILTIN);
    let valid_signature = prop::bool::ANY;
    (profile, valid_signature, any_model(), often(), often(), often(), often(), often(), often()).prop_map(
        |(profile, valid, model, local, owner, owned, no_recipient, no_role, no_best_effort)| {
            let mut request = request(profile);
            if valid && request.profile.signature() == SignatureRule::None {
                let overlay = Overlay::parse("model.signature = \"valid\"", "x").unwrap();
                request.profile = request.profile.narrow(&overlay, &Origin::Task("x".into())).unwrap();
            }
            request.model = model;
            request.principal.local = local;
            request.inputs_owned = owned;
            if !owner {
                request.owner = "local:7".into();
            }
            if !no_recipient {
                request.recipients.push("age1x".into());
            }
            request.role = (!no_role).then(|| "nurse".to_owned());
            if !no_best_effort {
                request.best_effort.insert(Wall::Keyring);
            }
            request
        },
    )
}

proptest! {
    #[test]
    fn the_engine_agrees_with_a_naive_evaluator(request in any_request()) {
        let (runs, streams) = naive(&request);
        match Engine::default().decide(request) {
            Decision::Allow(grant) => prop_assert_eq!((true, grant.streams()), (runs, streams)),
            Decision::Deny(denial) => prop_assert!(!runs, "{}", denial),
        }
    }
}

fn of_folder(rules: &str, entities: &str) -> Engine {
    let manifest = "name = \"ours\"\nversion = 1\nschema = 2\n";
    let files = [("policy.toml", manifest), ("ours.cedar", rules), ("entities.json", entities)];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    CheckedPolicy::check(&files).unwrap_or_else(|errors| panic!("{errors:?}")).into_engine()
}

#[test]
fn a_rule_that_permits_takes_from_whom_it_does_not_name_and_gives_nobody_more() {
    let rules = "@id(\"doctors\") @reason(\"a\") @remedy(\"b\") permit (principal in Role::\"doctor\", action == Action::\"run\", resource);";
    let entities = r#"[{"uid": {"type": "User", "id": "local:1000"}, "parents": [{"type": "Role", "id": "doctor"}]}, {"uid": {"type": "Role", "id": "doctor"}}]"#;
    let engine = of_folder(rules, entities);
    assert_eq!(
        grant(&engine, request("strict")).rules(),
        ["doctors", "owner-runs-own-task", "owner-watches-own-streams"]
    );
    let mut other = request("strict");
    other.principal.id = "local:7".into();
    other.owner = "local:7".into();
    let denied = denial(&engine, other);
    assert_eq!((denied.code(), denied.rules()[0].id.as_str()), ("POL-102", "doctors"));
    // Whom the default policy does not let, a layer does not let either.
    let mut foreign = request("strict");
    foreign.principal.local = false;
    assert_eq!(denial(&engine, foreign).rules()[0].id, "owner-runs-own-task");
}

#[test]
fn a_role_to_see_data_in_has_to_be_held() {
    let rules = "@id(\"x\") @reason(\"a\") @remedy(\"b\") forbid (principal, action == Action::\"run\", resource) when { context.role == \"\" };";
    let entities = r#"[{"uid": {"type": "User", "id": "local:1000"}, "parents": [{"type": "Role", "id": "doctor"}]}]"#;
    let engine = of_folder(rules, entities);
    let of = |role: Option<&str>| Request { role: role.map(str::to_owned), ..request("strict") };
    assert!(matches!(engine.decide(of(Some("doctor"))), Decision::Allow(_)));
    assert_eq!(denial(&engine, of(Some("nurse"))).code(), "POL-126");
    assert_eq!(denial(&engine, of(None)).code(), "POL-101");
}

/// A policy that permits running with these annotations.
fn demanding(annotations: &str) -> Engine {
    of_folder(
        &format!(
            "@id(\"x\") @reason(\"a\") @remedy(\"b\") {annotations} permit (principal, action == Action::\"run\", resource);"
        ),
        "[]",
    )
}

#[test]
fn what_is_demanded_is_done_or_denied_and_never_left_out() {
    for (annotation, code, exit) in [
        ("@obligation_step_up(\"10m\")", "POL-120", Exit::Refused),
        ("@obligation_view(\"masked\")", "POL-121", Exit::Refused),
        ("@obligation_approvals(\"1\")", "POL-122", Exit::Refused),
        ("@obligation_isolation(\"microvm\")", "POL-123", Exit::HostLacks),
    ] {
        let denied = denial(&demanding(annotation), request("strict"));
        assert_eq!((denied.code(), denied.exit()), (code, exit), "{denied}");
        assert!(!denied.remedy().is_empty());
    }
    let short = grant(&demanding("@obligation_lifetime(\"5s\")"), request("strict"));
    assert_eq!(short.expires(), Timestamp(6_000));
    assert!(short.begin(Timestamp(6_000)).is_err());
    assert_eq!(grant(&demanding("@obligation_isolation(\"process\")"), request("strict")).isolation(), "process");
    let capped = grant(&demanding("@obligation_capacity(\"64\")"), request("strict"));
    assert_eq!((capped.obligations().capacity_bits, capped.streams()), (Some(64), StreamRule::Inspect));
    assert_eq!(capped.stream_reasons()[0].id, "obligation_capacity");
    let recorded = grant(&demanding("@obligation_audit(\"very-high\")"), request("strict"));
    assert_eq!(recorded.obligations().audit, AuditLevel::VeryHigh);
}

#[test]
fn a_task_that_is_recorded_less_than_a_new_policy_demands_may_not_go_on() {
    let level = |level: &str| demanding(&format!("@obligation_audit(\"{level}\")"));
    for (ran, now, goes_on) in [("high", "high", true), ("very-high", "high", true), ("high", "very-high", false)] {
        let used = grant(&level(ran), request("strict")).begin(Timestamp(1_000)).unwrap();
        assert_eq!(level(now).still_allows(&used).is_ok(), goes_on, "{ran}, then {now}");
    }
}

#[test]
fn a_demand_on_the_profile_narrows_it_and_is_decided_with_it() {
    let demands = "write-xor-execute, encrypted-scratch, no-loopback, declared-outputs, inspected-streams, full-limits, \
                   side-channels";
    let hard = grant(&demanding(&format!("@obligation_hardening(\"{demands}\")")), request("strict"));
    let profile = hard.profile();
    assert!(profile.write_xor_execute() && !profile.loopback());
    assert_eq!(profile.side_channels(), SideChannelRule::Hardened);
    assert_eq!((profile.scratch(), profile.outputs()), (ScratchRule::Encrypted, OutputRule::Declared));
    assert!(profile.limits().iter().all(|(_, limit)| limit.enforcement() == Demand::Full));
    assert_eq!(hard.stream_reasons()[0].id, "profile-inspects-streams");
    assert!(profile.effective().iter().any(|row| row.origin == "an obligation of the policy"));
    // The model is asked for once more, under the profile as it then is.
    let mut with_model = request("infer");
    with_model.model = Some(ModelFacts { signature: Signature::Unknown, ..sealed() });
    let denied = denial(&demanding("@obligation_hardening(\"trusted-model\")"), with_model);
    assert_eq!(denied.rules()[0].id, "trusted-signature-demanded");
}

#[test]
fn of_a_dataset_only_the_permitted_columns_are_granted() {
    let rules = "@id(\"some\") @reason(\"a\") @remedy(\"b\") permit (principal, action == Action::\"readField\", resource in Dataset::\"patients\") when { [\"age\", \"diagnosis\"].contains(resource.name) };";
    let entities = r#"[{"uid": {"type": "Dataset", "id": "patients"}, "attrs": {"paths": ["/data/patients.csv"]}}]"#;
    let engine = of_folder(rules, entities);
    assert!(engine.decides_columns() && !Engine::default().decides_columns());
    let with = |path: &str, columns: Option<&[&str]>| {
        let columns = columns.map(|columns| columns.iter().map(ToString::to_string).collect());
        let dataset = DatasetFacts { input: "x".into(), path: path.into(), columns };
        Request { datasets: vec![dataset], ..request("strict") }
    };
    let readable = grant(&engine, with("/data/patients.csv", Some(&["name", "age", "diagnosis"])));
    let columns = ["age".to_owned(), "diagnosis".to_owned()];
    assert_eq!(*readable.reads("x"), Columns::Only(columns.into()));
    assert_eq!(*grant(&engine, with("/data/patients.csv", Some(&["age"]))).reads("x"), Columns::All);
    // Under another name, from another place, and what is no table, it is another dataset, or none that is permitted.
    for (path, columns) in [
        ("/data/patients.csv", Some(&["name"][..])),
        ("/tmp/copy.csv", Some(&["age"][..])),
        ("/data/patients.csv", None),
    ] {
        assert_eq!(denial(&engine, with(path, columns)).code(), "POL-102", "{path}");
    }
}

#[test]
fn a_task_that_another_policy_would_not_allow_as_it_runs_may_not_go_on() {
    let used = || grant(&Engine::default(), request("strict")).begin(Timestamp(1_000)).unwrap();
    assert!(Engine::default().still_allows(&used()).is_ok());
    let rule = |rule: &str| layered(rule);
    let stops = |engine: &Engine| engine.still_allows(&used()).is_err();
    assert!(stops(&rule("forbid (principal, action == Action::\"run\", resource);")));
    assert!(stops(&rule("forbid (principal, action == Action::\"streamLive\", resource);")), "its streams pass live");
    assert!(stops(&demanding("@obligation_hardening(\"write-xor-execute\")")));
    assert!(stops(&demanding("@obligation_isolation(\"tee\")")));
    assert!(!stops(&rule(
        "forbid (principal, action == Action::\"run\", resource) when { context.purpose == \"x\" };"
    )));
}
