//! The default policy, compiled: the rules of `policies/default/*.cedar` as data.
//!
//! Every run of Hotcell is a fresh process that decides once or twice, and to read the rules from text
//! takes about 1.6 ms there, most of it to build Cedar's parser. So `compiled.rs` holds the rules as
//! syntax trees. They say but five kinds of thing, which are evaluated here; Cedar is asked where a question is not sound (an
//! attribute is absent or of another type), so that the error is its own.
//!
//! INVARIANT (tree-is-cedar): what a rule says here is what Cedar says of it; a property test holds the two side by side.
//!
//! INVARIANT (compiled-is-source): `compiled.rs` is what `rules/compile.rs` makes of the Cedar files; a
//! test compares them, and another one validates the files against the schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst;
use cedar_policy_core::ast::{Context, Entity, EntityUID, Literal, PartialValue, Policy, ValueKind};

use crate::cedar::{NameError, type_name};
use crate::ruleset::Question;

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
    /// Whether it applies to a question about its action: what Cedar says, without Cedar. `None` where only Cedar can tell,
    /// as where an attribute is absent.
    pub(crate) fn applies(&self, question: &Question) -> Option<bool> {
        let is = |entity: &Entity, name: &str| Some(*entity.uid().entity_type() == type_name(name).ok()?);
        match is(&question.principal, self.principal)? && is(&question.resource, self.resource)? {
            true => self.when.holds(question),
            false => Some(false),
        }
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

/// What two sides of a comparison can be. Of two kinds, neither equals the other.
#[derive(PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Entity(&'a EntityUID),
}

impl Tree {
    fn holds(&self, question: &Question) -> Option<bool> {
        match self {
            // As Cedar: what stands behind a no is not looked at.
            Self::And(left, right) => Some(left.holds(question)? && right.holds(question)?),
            Self::Not(of) => Some(!of.holds(question)?),
            Self::Equal(left, right) => Some(left.part(question)? == right.part(question)?),
            Self::Unequal(left, right) => Some(left.part(question)? != right.part(question)?),
            Self::IsEmpty(of) => match of.value(question)? {
                ValueKind::Set(set) => Some(set.authoritative.is_empty()),
                _ => None,
            },
            Self::Attribute(..) => match self.value(question)? {
                ValueKind::Lit(Literal::Bool(flag)) => Some(*flag),
                _ => None,
            },
            Self::Text(_) | Self::Principal | Self::Resource | Self::Context => None,
        }
    }

    fn part<'a>(&self, question: &'a Question) -> Option<Part<'a>> {
        match self {
            Self::Text(text) => Some(Part::Text(text)),
            Self::Principal => Some(Part::Entity(question.principal.uid())),
            Self::Resource => Some(Part::Entity(question.resource.uid())),
            Self::Attribute(..) => match self.value(question)? {
                ValueKind::Lit(Literal::String(text)) => Some(Part::Text(text)),
                ValueKind::Lit(Literal::EntityUID(uid)) => Some(Part::Entity(uid)),
                _ => None,
            },
            _ => None,
        }
    }

    fn value<'a>(&self, question: &'a Question) -> Option<&'a ValueKind> {
        let Self::Attribute(of, name) = self else { return None };
        let value = match (of, &question.context) {
            (Self::Principal, _) => question.principal.get(name),
            (Self::Resource, _) => question.resource.get(name),
            (Self::Context, Context::Value(context)) => return Some(context.get(*name)?.value_kind()),
            _ => None,
        };
        match value? {
            PartialValue::Value(value) => Some(value.value_kind()),
            PartialValue::Residual(_) => None,
        }
    }

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
#[cfg(test)]
mod tests;
