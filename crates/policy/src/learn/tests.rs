use super::*;
use crate::compare::tests::facts;
use crate::{CheckedPolicy, ModelFacts, Signature};

fn model(id: &str, version: u64) -> Option<ModelFacts> {
    Some(ModelFacts {
        id: id.to_owned(),
        version: Some(version),
        sealed: true,
        signature: Signature::Trusted,
        runner_in_terms: true,
        within_time: true,
        custody_met: true,
        isolation_met: true,
    })
}

fn learnt(history: &[Facts]) -> CheckedPolicy {
    let files = learn(&Engine::default(), history, "learnt");
    CheckedPolicy::check(&files).unwrap_or_else(|errors| panic!("{errors:?}\n{}", files["learnt.cedar"]))
}

#[test]
fn what_was_done_is_permitted_and_its_neighbours_are_not() {
    let mut history =
        vec![facts("one", "scoring", "loans"), facts("two", "scoring", "cards"), facts("three", "audit", "loans")];
    history[0].model = model("credit", 3);
    history[1].model = model("credit", 4);
    let policy = learnt(&history);
    let results = policy.test();
    assert!(results.len() > 8, "{}", results.len());
    for result in results {
        assert_eq!(result.problem, None, "{}", result.case);
    }
    let engine = policy.into_engine();
    let allowed = |facts: &Facts| {
        engine
            .questions(facts)
            .into_iter()
            .all(|ask| ["readField", "streamLive"].contains(&&*ask.action) || engine.answer(ask).unwrap().is_ok())
    };
    for facts in &history {
        assert!(allowed(facts), "{facts:?}");
    }
    let first = &history[0];
    for (what, other) in [
        ("purpose", Facts { purpose: "care".to_owned(), ..first.clone() }),
        ("profile", Facts { profile: "infer".to_owned(), ..first.clone() }),
        ("runner", Facts { runner: "builtin".to_owned(), ..first.clone() }),
        ("wall", Facts { without: vec!["landlock".to_owned()], ..first.clone() }),
        ("model", Facts { model: model("fraud", 3), ..first.clone() }),
        ("version", Facts { model: model("credit", 5), ..first.clone() }),
        ("dataset", facts("x", "scoring", "taxes")),
        ("dataset under another purpose", facts("x", "audit", "cards")),
    ] {
        assert!(!allowed(&other), "{what} may be otherwise");
    }
}

#[test]
fn of_no_history_comes_a_policy_that_lets_no_model_dataset_or_stream_through() {
    let engine = learnt(&[]).into_engine();
    assert!(
        engine
            .questions(&facts("x", "", "loans"))
            .into_iter()
            .filter(|ask| ask.action == "readDataset")
            .all(|ask| engine.answer(ask).unwrap().is_err())
    );
}

#[test]
fn hostile_names_stay_names() {
    let mut history = vec![facts("one", "a\"b\\c\n@id(\"x\")", "in\"put\"};permit(principal,action,resource);//")];
    history[0].principal.id = "li\"; //".to_owned();
    history[0].owner = history[0].principal.id.clone();
    let policy = learnt(&history);
    assert!(policy.test().iter().all(|result| result.problem.is_none()));
    assert!(policy.rules().iter().all(|rule| rule.id.starts_with("learnt-")));
}
