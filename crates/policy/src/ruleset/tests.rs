use std::collections::HashSet;
use std::str::FromStr;

use cedar_policy::PolicySet;
use cedar_policy_core::ast;
use cedar_policy_core::authorizer::Authorizer;
use proptest::prelude::*;

use super::*;
use crate::cedar::uid;

/// Plain Cedar over all rules and all entities: the rules that it cites, and the errors.
fn plain(set: &PolicySet, entities: &[Entity], question: &Question) -> (bool, Vec<String>, Vec<String>) {
    let set: &ast::PolicySet = set.as_ref();
    let own = [&question.principal, &question.resource];
    let others = entities.iter().filter(|entity| own.iter().all(|own| own.uid() != entity.uid())).cloned();
    let mut all: Vec<Entity> = others.collect();
    all.push((**own[0]).clone());
    if own[0].uid() != own[1].uid() {
        all.push((**own[1]).clone());
    }
    let all = Entities::from_entities(
        all,
        None::<&NoEntitiesSchema>,
        TCComputation::AssumeAlreadyComputed,
        Extensions::all_available(),
    )
    .unwrap();
    let known = |uid: &EntityUID| EntityUIDEntry::known(uid.clone(), None);
    let request = Request::new_unchecked(
        known(question.principal.uid()),
        known(&question.action),
        known(question.resource.uid()),
        Some(question.context.clone()),
    );
    let response = Authorizer::new().is_authorized(request, set, &all);
    let mut reasons: Vec<_> = response.diagnostics.reason.iter().map(ToString::to_string).collect();
    let mut errors: Vec<_> = response.diagnostics.errors.iter().map(ToString::to_string).collect();
    reasons.sort();
    errors.sort();
    (response.decision == cedar_policy_core::authorizer::Decision::Allow, reasons, errors)
}

/// The same by our path, in Cedar's words.
fn ours(set: &RuleSet, store: &Store, question: &Question) -> (bool, Vec<String>, Vec<String>) {
    let verdict = set.evaluate(store, question).unwrap();
    let id = |place: &usize| set.rules()[*place].id.clone();
    let allowed = verdict.forbids.is_empty() && !verdict.permits.is_empty();
    let cited = if allowed || verdict.forbids.is_empty() { &verdict.permits } else { &verdict.forbids };
    let mut reasons: Vec<_> = cited.iter().map(id).collect();
    let said = |(place, error): &(usize, String)| format!("while evaluating policy `{}`: {error}", id(place));
    let mut errors: Vec<_> = verdict.errors.iter().map(said).collect();
    reasons.sort();
    errors.sort();
    (allowed, reasons, errors)
}

const KINDS: &[&str] = &["User", "Role", "Dataset"];

/// One of few entities, so that rules and questions meet.
fn any_uid() -> impl Strategy<Value = EntityUID> {
    (prop::sample::select(KINDS), 0..4u8).prop_map(|(kind, id)| uid(kind, &id.to_string()).unwrap())
}

fn literal(uid: &EntityUID) -> String {
    format!("{}::\"{}\"", uid.entity_type().name(), AsRef::<str>::as_ref(uid.eid()))
}

/// An expression of some depth: many of them err, which is wanted.
fn any_expr() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("principal".to_owned()),
        Just("resource".to_owned()),
        Just("context".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("9223372036854775807".to_owned()),
        (0..3i64).prop_map(|number| number.to_string()),
        any_uid().prop_map(|uid| literal(&uid)),
    ];
    leaf.prop_recursive(5, 24, 3, |inner| {
        let name = prop::sample::select(&["next", "flag", "set", "number", "deep"][..]);
        let binary = prop::sample::select(&["==", "!=", "<", "+", "&&", "||", "in"][..]);
        prop_oneof![
            3 => (inner.clone(), name.clone()).prop_map(|(of, name)| format!("({of}).{name}")),
            1 => (inner.clone(), name.clone()).prop_map(|(of, name)| format!("(({of}) has {name})")),
            1 => (inner.clone(), name.clone()).prop_map(|(of, name)| format!("(({of}) has next.{name})")),
            3 => (inner.clone(), binary, inner.clone()).prop_map(|(one, op, other)| format!("(({one}) {op} ({other}))")),
            1 => inner.clone().prop_map(|of| format!("(!({of}))")),
            1 => (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("([{one}, {other}].contains({one}))")),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(test, one, other)| format!("(if ({test}) then ({one}) else ({other}))")),
            1 => (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({{next: {one}, flag: {other}}}.next)")),
            1 => (inner.clone(), inner).prop_map(|(of, tag)| format!("(({of}).hasTag(\"t\") && ({of}).getTag(\"t\") == ({tag}))")),
        ]
    })
}

fn any_scope(variable: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(variable.to_owned()),
        1 => any_uid().prop_map(move |uid| format!("{variable} == {}", literal(&uid))),
        2 => any_uid().prop_map(move |uid| format!("{variable} in {}", literal(&uid))),
        1 => prop::sample::select(KINDS).prop_map(move |kind| format!("{variable} is {kind}")),
        1 => (prop::sample::select(KINDS), any_uid())
            .prop_map(move |(kind, uid)| format!("{variable} is {kind} in {}", literal(&uid))),
    ]
}

fn any_rule() -> impl Strategy<Value = String> {
    let action = prop_oneof![
        Just("action".to_owned()),
        Just("action == Action::\"run\"".to_owned()),
        Just("action == Action::\"release\"".to_owned()),
        Just("action in [Action::\"run\", Action::\"connect\"]".to_owned()),
        Just("action in Action::\"all\"".to_owned()),
    ];
    let when = prop::option::weighted(0.8, any_expr());
    (prop::bool::ANY, any_scope("principal"), action, any_scope("resource"), when).prop_map(
        |(permits, principal, action, resource, when)| {
            let effect = if permits { "permit" } else { "forbid" };
            let when = when.map(|when| format!(" when {{ {when} }}")).unwrap_or_default();
            format!("{effect} ({principal}, {action}, {resource}){when};")
        },
    )
}

/// Some of the entities, each with parents among those before it, and attributes that lead to others.
fn any_entities() -> impl Strategy<Value = Vec<Entity>> {
    let one =
        (any_uid(), prop::collection::vec(any_uid(), 0..3), any_uid(), prop::bool::ANY, prop::bool::weighted(0.7));
    prop::collection::vec(one, 0..10).prop_map(|drawn| {
        let mut made: Vec<Entity> = Vec::new();
        for (uid, parents, next, flag, full) in drawn {
            if made.iter().any(|entity| *entity.uid() == uid) {
                continue;
            }
            let parents: HashSet<_> = parents
                .into_iter()
                .filter(|parent| *parent != uid && made.iter().any(|entity| entity.uid() == parent))
                .collect();
            let of = |parent: &EntityUID| made.iter().find(|entity| entity.uid() == parent).into_iter();
            let indirect: HashSet<EntityUID> =
                parents.iter().flat_map(of).flat_map(|entity| entity.ancestors().cloned()).collect();
            let indirect = indirect.into_iter().filter(|ancestor| !parents.contains(ancestor)).collect();
            let value = |uid: &EntityUID| ast::RestrictedExpr::val(uid.clone());
            let mut attributes = vec![("next".into(), value(&next))];
            if full {
                attributes.push(("flag".into(), ast::RestrictedExpr::val(flag)));
                attributes.push(("number".into(), ast::RestrictedExpr::val(1)));
                attributes.push(("set".into(), ast::RestrictedExpr::set([value(&next)])));
                let deep = ast::RestrictedExpr::record([("next".into(), value(&next))]).unwrap();
                attributes.push(("deep".into(), deep));
            }
            let tags = if flag { vec![("t".into(), value(&next))] } else { Vec::new() };
            made.push(Entity::new(uid, attributes, indirect, parents, tags, Extensions::none()).unwrap());
        }
        made
    })
}

fn any_world(questions: usize) -> impl Strategy<Value = (Vec<String>, Vec<Entity>, Vec<Asked>)> {
    let question = (any_uid(), prop::bool::ANY, any_uid(), any_uid());
    (prop::collection::vec(any_rule(), 1..12), any_entities(), prop::collection::vec(question, questions))
}

fn ready(rules: &[String]) -> Vec<Ready> {
    let parsed = PolicySet::from_str(&rules.concat()).unwrap();
    let rule = |policy: &cedar_policy::Policy| {
        let policy: &ast::Policy = policy.as_ref();
        Ready::new(policy.clone())
    };
    parsed.policies().map(rule).collect()
}

fn compare(rules: &[String], entities: &[Entity], questions: &[(EntityUID, bool, EntityUID, EntityUID)]) {
    let store = Store::new(entities.iter().cloned());
    let set = RuleSet::new(ready(rules)).unwrap();
    let all = PolicySet::from_str(&rules.concat()).unwrap();
    for (principal, runs, resource, named) in questions {
        let entity =
            |uid: &EntityUID| store.entity(uid).cloned().unwrap_or_else(|| Arc::new(Entity::with_uid(uid.clone())));
        let pairs = [
            ("next".into(), ast::RestrictedExpr::val(named.clone())),
            ("flag".into(), ast::RestrictedExpr::val(*runs)),
        ];
        let question = Question {
            action: uid("Action", if *runs { "run" } else { "release" }).unwrap(),
            principal: entity(principal),
            resource: entity(resource),
            context: Context::from_pairs(pairs, Extensions::none()).unwrap(),
        };
        let (ours, plain) = (ours(&set, &store, &question), plain(&all, entities, &question));
        assert_eq!(
            ours,
            plain,
            "{}\n{principal} {} {resource}, context.next {named}",
            rules.join("\n"),
            question.action
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn our_path_answers_as_plain_cedar_does((rules, entities, questions) in any_world(8)) {
        compare(&rules, &entities, &questions);
    }
}

#[test]
fn our_path_answers_as_plain_cedar_does_on_a_hundred_thousand_requests() {
    hotcell_testkit::full_only!();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(1_000));
    let tried = runner.run(&any_world(100), |(rules, entities, questions)| {
        compare(&rules, &entities, &questions);
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn a_condition_that_is_neither_yes_nor_no_errs_whatever_the_scope_needed_to_know() {
    let rules = ["permit (principal, action, resource in Role::\"3\") when { principal };".to_owned()];
    let (user, role) = (uid("User", "0").unwrap(), uid("Role", "3").unwrap());
    let parents = HashSet::from([role.clone()]);
    let member = Entity::new(user.clone(), [], HashSet::new(), parents, [], Extensions::none()).unwrap();
    let entities = [Entity::with_uid(role), member];
    let set = RuleSet::new(ready(&rules)).unwrap();
    let store = Store::new(entities.iter().cloned());
    let question = Question {
        action: uid("Action", "run").unwrap(),
        principal: store.entity(&user).unwrap().clone(),
        resource: store.entity(&user).unwrap().clone(),
        context: Context::empty(),
    };
    let ours = ours(&set, &store, &question);
    assert_eq!(ours, plain(&PolicySet::from_str(&rules.concat()).unwrap(), &entities, &question));
    assert_eq!(ours.2.len(), 1, "it errs");
}

#[test]
fn a_rule_meets_only_questions_that_its_scope_fits() {
    let rules = ready(&[
        "permit (principal in Role::\"1\", action == Action::\"run\", resource);".to_owned(),
        "permit (principal == User::\"1\", action, resource is Dataset);".to_owned(),
        "forbid (principal, action == Action::\"release\", resource == Dataset::\"2\");".to_owned(),
    ]);
    let set = RuleSet::new(rules).unwrap();
    let user = |id: &str, role: Option<&str>| {
        let parents = role.map(|role| uid("Role", role).unwrap()).into_iter().collect();
        let made = Entity::new(uid("User", id).unwrap(), [], HashSet::new(), parents, [], Extensions::none());
        Arc::new(made.unwrap())
    };
    let candidates = |principal, action: &str, resource: &str| {
        let question = Question {
            action: uid("Action", action).unwrap(),
            principal,
            resource: Arc::new(Entity::with_uid(uid("Dataset", resource).unwrap())),
            context: Context::empty(),
        };
        set.candidates(None, &question)
    };
    assert_eq!(candidates(user("2", None), "run", "1"), Vec::<u32>::new());
    assert_eq!(candidates(user("2", Some("1")), "run", "1"), [0]);
    assert_eq!(candidates(user("1", Some("1")), "run", "2"), [0, 1]);
    assert_eq!(candidates(user("1", None), "release", "2"), [1, 2]);
    assert_eq!(candidates(user("2", None), "release", "1"), Vec::<u32>::new());
}

/// Who asks, whether as its owner, to do what, with what.
type Asked = (EntityUID, bool, EntityUID, EntityUID);
