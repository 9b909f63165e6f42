use super::*;
use crate::CheckedPolicy;

const OFFICE: &str = r#"{"role": "health_department", "permissions": ["inference:execute", "data:read:epidemic"], "resources": ["model/v1/epi-forecast"]}"#;

#[test]
fn the_rule_of_an_office_becomes_a_policy_that_denies_the_finance_model_by_name_of_the_rule() {
    let files = import("office.json", OFFICE, "office").unwrap();
    let policy = CheckedPolicy::check(&files).unwrap_or_else(|errors| panic!("{errors:?}\n{files:?}"));
    for result in policy.test() {
        assert_eq!(result.problem, None, "{}", result.case);
    }
    assert!(policy.cases().count() >= 4);
    let engine = policy.into_engine();
    let ask = |model: &str| case("health_department", "useModel", model, Answer::Allow, String::new()).ask;
    assert!(engine.answer(ask("model/v1/epi-forecast")).unwrap().is_ok());
    let denial = engine.answer(ask("model/v1/finance")).unwrap().unwrap_err();
    assert_eq!(denial.rules()[0].id, "health_department-infers-listed-only");
    let mut other = ask("model/v1/epi-forecast");
    other.roles = vec!["treasury".to_owned()];
    assert!(engine.answer(other).unwrap().is_err(), "who has no listed role is given nothing");
}

#[test]
fn what_is_not_understood_is_an_error_with_its_place_and_never_dropped() {
    for (from, to, says) in [
        ("inference:execute", "inference:train", "rule 1, permission `inference:train`"),
        ("data:read:epidemic", "data:write:epidemic", "rule 1, permission `data:write:epidemic`"),
        ("data:read:epidemic", "data:read:", "permission `data:read:`"),
        ("model/v1/epi-forecast", "table/x", "resource `table/x`"),
        ("health_department", "a \\\" b", "role"),
        ("\"inference:execute\", ", "", "no permission of this rule is about models"),
        ("\"model/v1/epi-forecast\"", "", "names no model"),
        ("\"role\"", "\"rule\"", "unknown field `rule`"),
        ("\"role\"", "role", "line 1"),
    ] {
        let text = OFFICE.replace(from, to);
        let error = import("office.json", &text, "office").unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let two_lines = format!("[\n{OFFICE},\n{}\n]", OFFICE.replace("inference:execute", "sudo"));
    let error = import("office.json", &two_lines, "office").unwrap_err();
    assert!(error.to_string().contains("rule 2") && error.to_string().contains("line 3"), "{error}");
    assert!(import("office.json", "[]", "office").is_err());
}
