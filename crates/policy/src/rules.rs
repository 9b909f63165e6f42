//! The default policy, compiled: the rules of `policies/default/*.cedar` as data.
//!
//! Every run of Hotcell is a fresh process that decides once or twice, and to read the rules from text
//! takes about 1.6 ms there, most of it to build Cedar's parser. So `compiled.rs` holds the rules as
//! syntax trees, and Cedar evaluates those, without its extension functions where no layer can use them: to
//! build their table takes another 0.6 ms.
//!
//! INVARIANT (compiled-is-source): `compiled.rs` is what `rules/compile.rs` makes of the Cedar files; a
//! test compares them, and another one validates the files against the schema.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cedar_policy::pst;
use cedar_policy_core::ast::Policy;

use crate::cedar::{NameError, type_name};
use crate::compiled::RULES;
use crate::ruleset::Ready;

/// The Cedar files of the default policy, by name.
pub const DEFAULT_POLICY: &[(&str, &str)] = &[
    ("run.cedar", include_str!("../policies/default/run.cedar")),
    ("use-model.cedar", include_str!("../policies/default/use-model.cedar")),
    ("read.cedar", include_str!("../policies/default/read.cedar")),
    ("connect.cedar", include_str!("../policies/default/connect.cedar")),
    ("stream-live.cedar", include_str!("../policies/default/stream-live.cedar")),
    ("release.cedar", include_str!("../policies/default/release.cedar")),
    ("models.cedar", include_str!("../policies/default/models.cedar")),
];

/// The Cedar schema that every rule is checked against.
pub const SCHEMA: &str = include_str!("../policies/hotcell.cedarschema");

/// One rule of the default policy.
#[derive(Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    pub(crate) permits: bool,
    pub(crate) principal: &'static str,
    pub(crate) action: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) when: Tree,
    pub(crate) reason: &'static str,
    pub(crate) remedy: &'static str,
    pub(crate) exit: Option<&'static str>,
}

/// The part of Cedar's expressions that the default policy uses.
#[derive(Debug, PartialEq)]
pub(crate) enum Tree {
    Text(&'static str),
    Principal,
    Resource,
    Context,
    Attribute(&'static Tree, &'static str),
    Not(&'static Tree),
    IsEmpty(&'static Tree),
    Equal(&'static Tree, &'static Tree),
    Unequal(&'static Tree, &'static Tree),
    And(&'static Tree, &'static Tree),
}

impl Rule {
    /// The rules about an action, ready; each is made when it is first asked for, and stays.
    pub(crate) fn about(action: &str) -> impl Iterator<Item = Result<&'static Ready, NameError>> {
        static MADE: [OnceLock<Ready>; RULES.len()] = [const { OnceLock::new() }; RULES.len()];
        RULES.iter().zip(&MADE).filter(move |(rule, _)| rule.action == action).map(|(rule, made)| match made.get() {
            Some(made) => Ok(made),
            None => {
                let fresh = Ready::new(rule.to_cedar()?);
                Ok(made.get_or_init(|| fresh))
            }
        })
    }

    /// The rule as Cedar evaluates it.
    pub(crate) fn to_cedar(&self) -> Result<Policy, NameError> {
        let effect = if self.permits { pst::Effect::Permit } else { pst::Effect::Forbid };
        let action = pst::EntityUID { ty: type_name("Action")?.into(), eid: self.action.into() };
        let template = pst::Template::new(
            self.id,
            effect,
            pst::PrincipalConstraint::Is(type_name(self.principal)?.into()),
            pst::ActionConstraint::Eq(action),
            pst::ResourceConstraint::Is(type_name(self.resource)?.into()),
        )
        .try_with_clauses([pst::Clause::When(Arc::new(self.when.to_cedar()))])?
        .with_annotations(BTreeMap::new());
        let policy = pst::StaticPolicy::try_from(template).map_err(pst::PstConstructionError::from)?;
        Ok(Policy::try_from(policy)?)
    }
}

impl Tree {
    fn to_cedar(&self) -> pst::Expr {
        let unary = |op, of: &Self| pst::Expr::UnaryOp { op, expr: Arc::new(of.to_cedar()) };
        let binary = |op, left: &Self, right: &Self| pst::Expr::BinaryOp {
            op,
            left: Arc::new(left.to_cedar()),
            right: Arc::new(right.to_cedar()),
        };
        match self {
            Self::Text(text) => pst::Expr::Literal(pst::Literal::String((*text).into())),
            Self::Principal => pst::Expr::Var(pst::Var::Principal),
            Self::Resource => pst::Expr::Var(pst::Var::Resource),
            Self::Context => pst::Expr::Var(pst::Var::Context),
            Self::Attribute(of, name) => pst::Expr::GetAttr { expr: Arc::new(of.to_cedar()), attr: (*name).into() },
            Self::Not(of) => unary(pst::UnaryOp::Not, of),
            Self::IsEmpty(of) => unary(pst::UnaryOp::IsEmpty, of),
            Self::Equal(left, right) => binary(pst::BinaryOp::Eq, left, right),
            Self::Unequal(left, right) => binary(pst::BinaryOp::NotEq, left, right),
            Self::And(left, right) => binary(pst::BinaryOp::And, left, right),
        }
    }
}

#[cfg(test)]
mod compile;
