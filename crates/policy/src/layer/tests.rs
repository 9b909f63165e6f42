use hotcell_types::Explain;

use super::*;
use crate::rules::DEFAULT_POLICY;

const HEAD: &str = "@id(\"a\") @reason(\"b\") @remedy(\"c\")\n";

#[test]
fn the_default_policy_fits_the_schema() {
    for (file, source) in DEFAULT_POLICY {
        let parsed = PolicySet::from_str(source).unwrap();
        assert_eq!(unready_errors(file, source, &parsed), [], "{file}");
    }
}

#[test]
fn a_layer_that_forbids_is_taken() {
    let text = format!(
        "// ours\n{HEAD}forbid (principal, action == Action::\"run\", resource) when {{ context.purpose == \"\" }};"
    );
    let rules = check_policy("x.cedar", &text).unwrap();
    assert_eq!((rules.len(), rules[0].id.as_str(), rules[0].remedy.as_str()), (1, "a", "c"));
}

#[test]
fn a_faulty_file_is_refused_with_code_and_line() {
    let with_head = |rule: &str| format!("\n{HEAD}{rule}");
    let twice = with_head("forbid (principal, action, resource);");
    for (text, code, line) in [
        ("forbid (principal, action, resource)".to_owned(), "POL-020", 1),
        ("\n\nallow (principal, action, resource);".to_owned(), "POL-020", 3),
        ("forbid (principal, action, resource);".to_owned(), "POL-023", 1),
        ("\n@id(\"a\") @reason(\"b\")\nforbid (principal, action, resource);".to_owned(), "POL-023", 2),
        ("\n@id(\"a\") @reason(\"\") @remedy(\"c\")\nforbid (principal, action, resource);".to_owned(), "POL-023", 2),
        (with_head("forbid (principal, action == Action::\"fly\", resource);"), "POL-022", 2),
        (with_head("forbid (principal, action, resource) when { context.colour == \"red\" };"), "POL-022", 2),
        (
            with_head("forbid (principal, action == Action::\"run\", resource) when { context.purpose == 7 };"),
            "POL-022",
            2,
        ),
        (format!("{twice}{twice}"), "POL-024", 2),
        (twice.replace("\"a\"", "\"owner-runs-own-task\""), "POL-024", 2),
        (with_head("@colour(\"red\") forbid (principal, action, resource);"), "POL-026", 2),
        (with_head("@obligation_prayer(\"daily\") permit (principal, action, resource);"), "POL-026", 2),
        (with_head("@obligation_capacity(\"many\") permit (principal, action, resource);"), "POL-026", 2),
        (with_head("@obligation_capacity(\"8\") forbid (principal, action, resource);"), "POL-026", 2),
        ("#".repeat(MAX_POLICY_BYTES + 1), "POL-021", 0),
    ] {
        let errors = check_policy("x.cedar", &text).unwrap_err();
        let error = &errors[0];
        assert_eq!(error.code(), code, "{}: {error}", text.chars().take(200).collect::<String>());
        assert!(!error.remedy().is_empty());
        if line > 0 {
            assert!(error.to_string().starts_with(&format!("`x.cedar` line {line}: ")), "{error}");
        }
    }
}

#[test]
fn every_fault_of_a_file_is_reported_at_once() {
    let text = format!(
        "{HEAD}@x(\"y\") permit (principal, action, resource);\nforbid (principal, action == Action::\"fly\", resource);"
    );
    let codes: Vec<_> = check_policy("x", &text).unwrap_err().iter().map(Explain::code).collect();
    assert!(["POL-022", "POL-023", "POL-026"].iter().all(|code| codes.contains(code)), "{codes:?}");
}
