//! The default policy's rules without Cedar, beside Cedar.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::ask::Value;
use crate::cedar::uid;
use crate::compiled::RULES;

type Said = BTreeMap<&'static str, Option<Value>>;

/// Every name that a rule of ours speaks of, and some values of the right type.
fn names() -> Vec<(&'static str, Vec<Value>)> {
    let flags = || vec![true.into(), false.into()];
    let sets = || vec![Value::Texts(Vec::new()), Value::Texts(vec!["x".to_owned()])];
    let words = |words: &[&'static str]| words.iter().map(|word| Value::from(*word)).collect::<Vec<_>>();
    let mut names = vec![
        ("owner", vec![Value::user("1"), Value::user("2")]),
        ("form", words(&["canonical", "opaque"])),
        ("signature", words(&["none", "unknown", "trusted"])),
        ("signatureDemanded", words(&["none", "valid", "trusted"])),
        ("streamsDemanded", words(&["live", "inspect"])),
        ("role", words(&["", "clinician"])),
        ("bestEffort", sets()),
        ("recipients", sets()),
    ];
    let all = ["local", "sealed", "sealedModel", "declarationDemanded", "inputsOwned", "runnerInTerms"];
    let all = all.iter().chain(&["withinTime", "custodyMet", "isolationMet"]);
    names.extend(all.map(|name| (*name, flags())));
    names
}

/// Mostly sound: one in twelve is of another type or absent.
fn any_said() -> impl Strategy<Value = Said> {
    let odd = [Some(true.into()), Some("none".into()), Some(7.into()), Some(Value::Texts(Vec::new())), None];
    let of = |(name, values): (&'static str, Vec<Value>)| {
        let sound = prop::sample::select(values).prop_map(Some);
        prop_oneof![11 => sound, 1 => prop::sample::select(odd.to_vec())].prop_map(move |value| (name, value))
    };
    names().into_iter().map(of).collect::<Vec<_>>().prop_map(|said| said.into_iter().collect())
}

fn any_user() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![("User", "1"), ("User", "1"), ("User", "2"), ("Role", "1")])
}

fn entity(kind: &str, id: &str, said: &Said) -> Arc<Entity> {
    let values =
        said.iter().filter_map(|(name, value)| Some(((*name).into(), value.as_ref()?.to_cedar().unwrap().into())));
    let name = uid(kind, id).unwrap();
    Arc::new(Entity::new_with_attr_partial_value(name, values, HashSet::new(), HashSet::new(), []))
}

fn question(rule: &Rule, (kind, id): (&str, &str), fits: bool, [user, of, around]: [&Said; 3]) -> Question {
    let context = around.iter().filter_map(|(name, value)| Some(((*name).into(), value.as_ref()?.to_cedar().unwrap())));
    Question {
        action: uid("Action", rule.action).unwrap(),
        principal: entity(kind, id, user),
        resource: entity(if fits { rule.resource } else { "Device" }, "it", of),
        context: Context::Value(Arc::new(context.collect())),
    }
}

fn plain(rule: &Rule, question: &Question) -> Result<bool, String> {
    let own = [Arc::clone(&question.principal), Arc::clone(&question.resource)];
    let entities = Entities::new()
        .add_entities(own, None::<&NoEntitiesSchema>, TCComputation::AssumeAlreadyComputed, Extensions::none())
        .unwrap();
    let evaluator = Evaluator::new(question.to_cedar(), &entities, Extensions::none());
    evaluator.evaluate(&rule.to_cedar().unwrap()).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_rule_says_without_cedar_what_it_says_with_it(
        (user, fits) in (any_user(), prop::bool::weighted(0.9)),
        said in [any_said(), any_said(), any_said()],
    ) {
        for rule in RULES {
            let question = question(rule, user, fits, said.each_ref());
            let cedar = plain(rule, &question);
            match rule.applies(&question) {
                Some(ours) => prop_assert_eq!(Ok(ours), cedar, "{}", rule.id),
                // What Cedar is asked after all is not sound: it errs, or compares things of different types.
                None => prop_assert!(said.iter().any(|said| names().iter().any(|(name, sound)| {
                    said[name].as_ref().is_none_or(|value| !sound.contains(value))
                })), "{} is asked of Cedar", rule.id),
            }
        }
    }
}

#[test]
fn every_rule_can_say_both_without_cedar() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut heard: HashSet<(&str, bool)> = HashSet::new();
    for _ in 0..2_000 {
        let said = [any_said(), any_said(), any_said()];
        let said = said.new_tree(&mut runner).unwrap().current();
        for rule in RULES {
            let applies = rule.applies(&question(rule, ("User", "1"), true, said.each_ref()));
            heard.extend(applies.map(|applies| (rule.id, applies)));
        }
    }
    assert_eq!(heard.len(), 2 * RULES.len());
}
