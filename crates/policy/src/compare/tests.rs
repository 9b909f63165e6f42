use hotcell_types::Timestamp;

use super::*;
use crate::request::{DatasetFacts, Principal};

pub(crate) fn facts(task: &str, purpose: &str, input: &str) -> Facts {
    Facts {
        task: task.to_owned(),
        time: Timestamp(1_000),
        principal: Principal { id: "li".to_owned(), local: true, roles: Vec::new() },
        owner: "li".to_owned(),
        purpose: purpose.to_owned(),
        role: String::new(),
        profile: "strict".to_owned(),
        isolation: "process".to_owned(),
        runner: "command".to_owned(),
        without: Vec::new(),
        image: String::new(),
        model: None,
        hosts: Vec::new(),
        datasets: vec![DatasetFacts { input: input.to_owned(), path: format!("/data/{input}.csv"), columns: None }],
        inputs_owned: true,
        recipients: Vec::new(),
        streams: "live".to_owned(),
        signature: "none".to_owned(),
        declared_outputs: false,
    }
}

fn engine(rules: &str) -> Engine {
    Engine::with_layers(&[("rules.cedar".to_owned(), rules.to_owned())]).unwrap()
}

const SCORING: &str = "@id(\"scoring\") @reason(\"x\") @remedy(\"y\")
permit (principal, action == Action::\"run\", resource) when { context.purpose == \"scoring\" };";

#[test]
fn of_the_history_only_what_changes_is_told_with_its_task() {
    let history = [facts("one", "scoring", "loans"), facts("two", "curiosity", "loans")];
    let found = compare_history(&Engine::default(), &engine(SCORING), &history);
    assert_eq!(found.asked, 8, "run, dataset, column and streams of each");
    assert_eq!(found.changed.len(), 1, "{found:?}");
    let change = &found.changed[0];
    assert_eq!(
        (change.task.as_deref(), change.old.answer, change.new.answer),
        (Some("two"), Answer::Allow, Answer::Deny)
    );
    assert_eq!(change.new.rules, ["scoring"]);
    assert_eq!(compare_history(&engine(SCORING), &engine(SCORING), &history).changed, []);
}

#[test]
fn another_obligation_is_a_change() {
    let capped = SCORING.replace("permit", "@obligation_capacity(\"64\")\npermit");
    let found = compare_history(&engine(SCORING), &engine(&capped), &[facts("one", "scoring", "loans")]);
    assert_eq!(found.changed.len(), 1);
    assert_eq!(found.changed[0].new.obligations.capacity_bits, Some(64));
}

#[test]
fn generated_questions_find_what_no_history_asked() {
    let old = engine(SCORING);
    for new in [
        SCORING.replace("\"scoring\" }", "\"care\" }"),
        SCORING.replace("\"scoring\" }", "\"scoring\" && context.runner == \"builtin\" }"),
        format!(
            "{SCORING}\n@id(\"f\") @reason(\"x\") @remedy(\"y\") forbid (principal == User::\"zhao\", action == Action::\"useModel\", resource);"
        ),
        format!(
            "{SCORING}\n@id(\"f\") @reason(\"x\") @remedy(\"y\") forbid (principal in Role::\"clerk\", action == Action::\"readField\", resource in Dataset::\"taxes\") when {{ resource.name == \"name\" }};"
        ),
        format!(
            "{SCORING}\n@id(\"f\") @reason(\"x\") @remedy(\"y\") forbid (principal, action == Action::\"release\", resource) when {{ resource.capacityBits > 4096 }};"
        ),
    ] {
        assert_ne!(new, SCORING);
        let found = compare_generated(&old, &engine(&new));
        assert!(!found.changed.is_empty(), "{new}: {} asked", found.asked);
    }
    let found = compare_generated(&old, &old);
    assert!(found.changed.is_empty() && found.asked > 100, "{}", found.asked);
}
