use super::*;

fn engine() -> Engine {
    let rules = "@id(\"ours\") @reason(\"a\") @remedy(\"b\") forbid (principal, action == Action::\"useModel\", resource) \
                 unless { context.purpose == \"care\" && resource.signature == \"trusted\" };";
    Engine::with_layers(&[("ours.cedar".to_owned(), rules.to_owned())]).unwrap()
}

fn ask(purpose: &str, signature: &str) -> Ask {
    serde_json::from_value(serde_json::json!({
        "principal": "alice", "action": "useModel", "resource": "m",
        "attributes": {"signature": signature}, "context": {"purpose": purpose},
    }))
    .unwrap()
}

#[test]
fn a_no_names_the_rule_its_attributes_and_the_least_that_would_have_to_change() {
    let why = engine().examine(ask("", "none")).unwrap();
    assert_eq!(why.answer, Answer::Deny);
    assert_eq!(why.forbids[0].id, "ours");
    let seen: Vec<_> = why.forbids[0].attributes.iter().map(|seen| seen.attribute.as_str()).collect();
    assert_eq!(seen, ["context.purpose", "resource.signature"]);
    // Neither alone would do; both together do.
    let way: Vec<_> = why.ways[0].iter().map(|change| (change.attribute.as_str(), change.to.as_str())).collect();
    assert_eq!(way, [("resource.signature", "\"trusted\""), ("context.purpose", "\"care\"")]);
    let why = engine().examine(ask("care", "none")).unwrap();
    assert!(why.ways.iter().all(|way| way.len() == 1), "{:?}", why.ways);
}

#[test]
fn a_question_that_the_schema_does_not_have_is_refused() {
    let mut wrong = ask("", "none");
    wrong.action = "fly".into();
    assert!(engine().examine(wrong).unwrap_err().0.contains("there is no action"));
}
