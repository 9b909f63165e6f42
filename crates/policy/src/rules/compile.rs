//! Makes `compiled.rs` of the Cedar files. To write it anew after a change of a rule:
//! `HOTCELL_WRITE=1 cargo test -p hotcell-policy compiled_rules`.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{PolicySet, pst};

use super::DEFAULT_POLICY;

fn tree(expr: &pst::Expr) -> String {
    let two = |name: &str, left: &pst::Expr, right: &pst::Expr| format!("{name}(&{}, &{})", tree(left), tree(right));
    match expr {
        pst::Expr::Literal(pst::Literal::String(text)) => format!("Text({text:?})"),
        pst::Expr::Var(pst::Var::Principal) => "Principal".to_owned(),
        pst::Expr::Var(pst::Var::Resource) => "Resource".to_owned(),
        pst::Expr::Var(pst::Var::Context) => "Context".to_owned(),
        pst::Expr::GetAttr { expr, attr } => format!("Attribute(&{}, {:?})", tree(expr), attr.as_str()),
        pst::Expr::UnaryOp { op: pst::UnaryOp::Not, expr } => format!("Not(&{})", tree(expr)),
        pst::Expr::UnaryOp { op: pst::UnaryOp::IsEmpty, expr } => format!("IsEmpty(&{})", tree(expr)),
        pst::Expr::BinaryOp { op, left, right } => match op {
            pst::BinaryOp::Eq => two("Equal", left, right),
            pst::BinaryOp::NotEq => two("Unequal", left, right),
            pst::BinaryOp::And => two("And", left, right),
            other => panic!("`rules.rs` has no operator {other:?} yet: add it there and here"),
        },
        other => panic!("`rules.rs` has no expression {other:?} yet: add it there and here"),
    }
}

fn rule(policy: pst::Policy) -> String {
    let body = policy.body();
    let note = |name: &str| body.annotations.get(name).map(|value| format!("{:?}", value.as_str()));
    let (pst::PrincipalConstraint::Is(principal), pst::ResourceConstraint::Is(resource)) =
        (&body.principal, &body.resource)
    else {
        panic!("each rule of the default policy names the types of principal and resource")
    };
    let pst::ActionConstraint::Eq(action) = &body.action else { panic!("each rule names one action") };
    let [pst::Clause::When(when)] = body.clauses().as_slice() else { panic!("each rule has one `when`") };
    let fields = BTreeMap::from([
        ("1 id", note("id").expect("@id")),
        ("2 permits", (body.effect == pst::Effect::Permit).to_string()),
        ("3 principal", format!("{:?}", principal.to_string())),
        ("4 action", format!("{:?}", action.eid.as_str())),
        ("5 resource", format!("{:?}", resource.to_string())),
        ("6 when", tree(when)),
        ("7 reason", note("reason").expect("@reason")),
        ("8 remedy", note("remedy").expect("@remedy")),
        ("9 exit", note("exit").map_or("None".to_owned(), |exit| format!("Some({exit})"))),
    ]);
    let lines: Vec<_> = fields.iter().map(|(name, value)| format!("        {}: {value},\n", &name[2..])).collect();
    format!("    Rule {{\n{}    }},\n", lines.concat())
}

fn compiled() -> String {
    let mut text = String::from(
        "//! The default policy as data. Made by `rules/compile.rs` from `policies/default/*.cedar`; do not edit.\n\n\
         use crate::rules::Rule;\nuse crate::rules::Tree::*;\n\n#[rustfmt::skip]\npub(crate) static RULES: &[Rule] = &[\n",
    );
    for (_, source) in DEFAULT_POLICY {
        let mut policies: Vec<_> = PolicySet::from_str(source).unwrap().policies().cloned().collect();
        policies.sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap());
        for policy in policies {
            text.push_str(&rule(policy.to_pst().unwrap()));
        }
    }
    text.push_str("];\n");
    text
}

#[test]
fn compiled_rules_are_those_of_the_cedar_files() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/compiled.rs");
    if std::env::var_os("HOTCELL_WRITE").is_some() {
        std::fs::write(path, compiled()).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == compiled(), "compiled.rs is stale; see rules/compile.rs");
}
