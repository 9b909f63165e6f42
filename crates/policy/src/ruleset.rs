//! Rules that are ready: indexed by what they are about, so that a question meets only those that could speak to it.
//!
//! INVARIANT (sliced-is-full): the answer is that of Cedar's own authorizer over all rules and all entities, with the same
//! rules cited and the same errors. A rule that is left out has a scope (`principal`, `action`, `resource`) that does not fit
//! the question; Cedar evaluates a scope to false then, and never to an error. So a scope is compared here, and only conditions
//! are put to Cedar. Property tests hold the two side by side.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use cedar_policy_core::ast::{
    ActionConstraint, BinaryOp, Context, Effect, Entity, EntityReference, EntityType, EntityUID, EntityUIDEntry, Expr,
    ExprKind, Literal, Policy, PrincipalOrResourceConstraint, Request, ValueKind, Var,
};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use crate::cedar::NameError;
use crate::obligation::Obligations;
use crate::store::{Store, names_in};

/// One rule.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) id: String,
    pub(crate) permits: bool,
    pub(crate) reason: String,
    pub(crate) remedy: String,
    pub(crate) obligations: Obligations,
    pub(crate) policy: Policy,
    pub(crate) condition: Expr,
    pub(crate) reach: Reach,
}

/// How far the conditions of a rule look; its scope is not Cedar's to compare.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Levels of entities that are looked into: 1 for what the question names itself.
    levels: usize,
    /// Entities that it names and looks into.
    literals: Vec<EntityUID>,
}

/// Rules with their index.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    rules: Vec<Ready>,
    places: HashMap<String, usize>,
    names: HashMap<EntityUID, u32>,
    types: HashMap<EntityType, u32>,
    index: HashMap<u64, Vec<u32>, BuildHasherDefault<Mix>>,
}

/// One question, as Cedar has it.
pub(crate) struct Question {
    pub(crate) action: EntityUID,
    pub(crate) principal: Arc<Entity>,
    pub(crate) resource: Arc<Entity>,
    pub(crate) context: Context,
}

/// What the rules say to one question: places in [`RuleSet::rules`].
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) permits: Vec<usize>,
    pub(crate) forbids: Vec<usize>,
    pub(crate) errors: Vec<(usize, String)>,
}

/// The key of a scope that does not say anything.
const ANY: u32 = 0;
/// Room for a name in a key: more rules than this nobody loads.
const NAME_BITS: u32 = 21;

impl Ready {
    pub(crate) fn new(policy: Policy) -> Self {
        let condition = policy.condition();
        let mut reach = Reach::default();
        if let Some(when) = policy.non_scope_constraints() {
            reach.look(when);
        }
        Self {
            id: policy.id().to_string(),
            permits: policy.effect() == Effect::Permit,
            reason: String::new(),
            remedy: String::new(),
            obligations: Obligations::none(),
            policy,
            condition,
            reach,
        }
    }

    /// The expression that decides whether it applies.
    pub(crate) fn condition(&self) -> &Expr {
        &self.condition
    }

    /// Whether its scope fits a question: what Cedar says of the three, without Cedar. `action` is what is known of the action.
    fn fits(&self, action: Option<&Entity>, question: &Question) -> bool {
        let action_fits = match self.policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => **uid == question.action,
            ActionConstraint::In(uids) => uids.iter().any(|uid| is_in(&question.action, action, uid)),
        };
        action_fits
            && scope_fits(self.policy.principal_constraint().as_inner(), &question.principal)
            && scope_fits(self.policy.resource_constraint().as_inner(), &question.resource)
    }

    /// Whether it can speak to a question of this action at all; groups of actions count as all.
    pub(crate) fn may_concern(&self, action: &str) -> bool {
        let is = |uid: &Arc<EntityUID>| AsRef::<str>::as_ref(uid.eid()) == action;
        match self.policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => is(uid),
            ActionConstraint::In(uids) => uids.iter().any(is),
        }
    }
}

impl RuleSet {
    pub(crate) fn new(rules: Vec<Ready>) -> Result<Self, NameError> {
        let mut set = Self::default();
        for (place, rule) in rules.iter().enumerate() {
            let place = u32::try_from(place).map_err(|_| too_many())?;
            let principal = rule.policy.principal_constraint();
            let principal = set.key_of(principal.as_inner())?;
            let resource = rule.policy.resource_constraint();
            let resource = set.key_of(resource.as_inner())?;
            let actions: Vec<u32> = match rule.policy.action_constraint() {
                ActionConstraint::Any => vec![ANY],
                ActionConstraint::Eq(uid) => vec![set.name(uid)?],
                ActionConstraint::In(uids) => uids.iter().map(|uid| set.name(uid)).collect::<Result<_, _>>()?,
            };
            for action in actions {
                set.index.entry(key(principal, action, resource)).or_default().push(place);
            }
        }
        set.places = rules.iter().enumerate().map(|(place, rule)| (rule.id.clone(), place)).collect();
        set.rules = rules;
        Ok(set)
    }

    pub(crate) fn rules(&self) -> &[Ready] {
        &self.rules
    }

    /// The rule of this id.
    pub(crate) fn rule(&self, id: &str) -> Option<&Ready> {
        self.rules.get(*self.places.get(id)?)
    }

    fn name(&mut self, uid: &EntityUID) -> Result<u32, NameError> {
        let next = self.next()?;
        Ok(*self.names.entry(uid.clone()).or_insert(next))
    }

    fn next(&self) -> Result<u32, NameError> {
        let next = self.names.len() + self.types.len() + 1;
        u32::try_from(next).ok().filter(|next| next >> NAME_BITS == 0).ok_or_else(too_many)
    }

    fn key_of(&mut self, constraint: &PrincipalOrResourceConstraint) -> Result<u32, NameError> {
        let (PrincipalOrResourceConstraint::In(of)
        | PrincipalOrResourceConstraint::Eq(of)
        | PrincipalOrResourceConstraint::IsIn(_, of)) = constraint
        else {
            let PrincipalOrResourceConstraint::Is(kind) = constraint else { return Ok(ANY) };
            let next = self.next()?;
            return Ok(*self.types.entry(EntityType::clone(kind)).or_insert(next));
        };
        match of {
            EntityReference::EUID(uid) => self.name(uid),
            EntityReference::Slot(_) => Err(NameError("a template is not a rule".to_owned())),
        }
    }

    /// Every key under which a rule about this entity may stand.
    fn keys(&self, uid: &EntityUID, entity: Option<&Entity>, keys: &mut Vec<u32>) {
        keys.push(ANY);
        keys.extend(self.types.get(uid.entity_type()));
        keys.extend(self.names.get(uid));
        if let Some(entity) = entity {
            keys.extend(entity.ancestors().filter_map(|ancestor| self.names.get(ancestor)));
        }
    }

    /// The rules whose scope may fit, in their order.
    fn candidates(&self, action: Option<&Entity>, question: &Question) -> Vec<u32> {
        let (mut principals, mut actions, mut resources) = (Vec::new(), Vec::new(), Vec::new());
        self.keys(question.principal.uid(), Some(&question.principal), &mut principals);
        self.keys(&question.action, action, &mut actions);
        self.keys(question.resource.uid(), Some(&question.resource), &mut resources);
        let mut found = Vec::new();
        for action in actions {
            for principal in &principals {
                for resource in &resources {
                    if let Some(rules) = self.index.get(&key(*principal, action, *resource)) {
                        found.extend_from_slice(rules);
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Puts a question to the rules.
    pub(crate) fn evaluate(&self, store: &Store, question: &Question) -> Result<Verdict, NameError> {
        let action = store.entity(&question.action).map(|action| &**action);
        let mut fitting = self.candidates(action, question);
        fitting.retain(|place| self.rules.get(*place as usize).is_some_and(|rule| rule.fits(action, question)));
        if fitting.is_empty() {
            return Ok(Verdict::default());
        }
        let rules = || fitting.iter().filter_map(|place| Some((*place as usize, self.rules.get(*place as usize)?)));
        let levels = rules().map(|(_, rule)| rule.reach.levels).max().unwrap_or(0);
        let mut roots = Vec::new();
        if levels > 0 {
            roots.push(question.action.clone());
            roots.extend(rules().flat_map(|(_, rule)| rule.reach.literals.iter().cloned()));
            if let Context::Value(context) = &question.context {
                context.values().for_each(|value| names_in(value, &mut roots));
            }
        }
        let own = [Arc::clone(&question.principal), Arc::clone(&question.resource)];
        let own = if own[0].uid() == own[1].uid() { &own[..1] } else { &own[..] };
        let extensions = Extensions::all_available();
        let entities = Entities::new().add_entities(
            store.slice(own, roots, levels),
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            extensions,
        );
        let entities = entities.map_err(|error| NameError(error.to_string()))?;
        let evaluator = Evaluator::new(question.to_cedar(), &entities, extensions);
        let mut verdict = Verdict::default();
        for (place, rule) in rules() {
            match holds(rule, &evaluator) {
                Ok(false) => {}
                Ok(true) if rule.permits => verdict.permits.push(place),
                Ok(true) => verdict.forbids.push(place),
                Err(error) => verdict.errors.push((place, error)),
            }
        }
        Ok(verdict)
    }
}

impl Question {
    pub(crate) fn to_cedar(&self) -> Request {
        let known = |uid: &EntityUID| EntityUIDEntry::known(uid.clone(), None);
        let (principal, resource) = (known(self.principal.uid()), known(self.resource.uid()));
        Request::new_unchecked(principal, known(&self.action), resource, Some(self.context.clone()))
    }
}

/// Whether the conditions of a rule hold whose scope [`Ready::fits`]. Not by [`Evaluator::evaluate`], which puts scope and
/// conditions together anew each time.
fn holds(rule: &Ready, evaluator: &Evaluator<'_>) -> Result<bool, String> {
    let Some(when) = rule.policy.non_scope_constraints() else { return Ok(true) };
    let value = evaluator.interpret(when, rule.policy.env()).map_err(|error| error.to_string())?;
    match value.value_kind() {
        ValueKind::Lit(Literal::Bool(holds)) => Ok(*holds),
        // No condition: an error, as Cedar words it.
        _ => {
            let condition = Expr::and(Expr::val(true), when.clone());
            let value = evaluator.interpret(&condition, rule.policy.env()).map_err(|error| error.to_string())?;
            Err(format!("`{value}` is neither true nor false"))
        }
    }
}

/// Whether an entity, if it is known, is this one or below it.
fn is_in(uid: &EntityUID, entity: Option<&Entity>, above: &EntityUID) -> bool {
    uid == above || entity.is_some_and(|entity| entity.is_descendant_of(above))
}

fn scope_fits(constraint: &PrincipalOrResourceConstraint, entity: &Entity) -> bool {
    let is = |kind: &EntityType| entity.uid().entity_type() == kind;
    let within = |of: &EntityReference| match of {
        EntityReference::EUID(uid) => is_in(entity.uid(), Some(entity), uid),
        // A template is not a rule, and none is ready.
        EntityReference::Slot(_) => true,
    };
    match constraint {
        PrincipalOrResourceConstraint::Any => true,
        PrincipalOrResourceConstraint::Is(kind) => is(kind),
        PrincipalOrResourceConstraint::In(of) => within(of),
        PrincipalOrResourceConstraint::IsIn(kind, of) => is(kind) && within(of),
        PrincipalOrResourceConstraint::Eq(EntityReference::EUID(uid)) => entity.uid() == &**uid,
        PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_)) => true,
    }
}

fn too_many() -> NameError {
    NameError("the rules name too many entities".to_owned())
}

fn key(principal: u32, action: u32, resource: u32) -> u64 {
    (u64::from(principal) << (2 * NAME_BITS)) | (u64::from(action) << NAME_BITS) | u64::from(resource)
}

/// Mixes keys that we made ourselves; nobody chooses them to collide.
#[derive(Debug, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

impl Reach {
    /// Looks at an expression. Gives how many steps from what is given its value may name an entity.
    fn look(&mut self, expr: &Expr) -> usize {
        match expr.expr_kind() {
            ExprKind::Lit(_) | ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => 0,
            ExprKind::If { test_expr, then_expr, else_expr } => {
                self.look(test_expr);
                self.look(then_expr).max(self.look(else_expr))
            }
            ExprKind::And { left, right } | ExprKind::Or { left, right } => self.each([&**left, &**right], 0),
            ExprKind::UnaryApp { arg, .. } => self.each([&**arg], 0),
            ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => self.each([&**expr], 0),
            ExprKind::BinaryApp { op, arg1, arg2 } => {
                self.look(arg2);
                let steps = self.look(arg1);
                match op {
                    BinaryOp::In | BinaryOp::HasTag => self.into(arg1, steps + 1, 0),
                    BinaryOp::GetTag => self.into(arg1, steps + 1, steps + 1),
                    _ => 0,
                }
            }
            // The context is no entity, and what it names is named by the question.
            ExprKind::GetAttr { expr, .. } | ExprKind::HasAttr { expr, .. }
                if matches!(expr.expr_kind(), ExprKind::Var(Var::Context)) =>
            {
                0
            }
            ExprKind::GetAttr { expr, .. } => {
                let steps = self.look(expr);
                self.into(expr, steps + 1, steps + 1)
            }
            ExprKind::HasAttr { expr, .. } => {
                let steps = self.look(expr);
                self.into(expr, steps + 1, 0)
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                let steps = self.look(expr);
                self.into(expr, steps + attrs.len(), 0)
            }
            ExprKind::ExtensionFunctionApp { args, .. } | ExprKind::Set(args) => {
                args.iter().map(|arg| self.look(arg)).max().unwrap_or(0)
            }
            ExprKind::Record(fields) => fields.values().map(|field| self.look(field)).max().unwrap_or(0),
        }
    }

    fn each<'a>(&mut self, parts: impl IntoIterator<Item = &'a Expr>, steps: usize) -> usize {
        for part in parts {
            self.look(part);
        }
        steps
    }

    /// The value of `of` is looked into.
    fn into(&mut self, of: &Expr, levels: usize, steps: usize) -> usize {
        self.levels = self.levels.max(levels);
        for part in of.subexpressions() {
            if let ExprKind::Lit(Literal::EntityUID(uid)) = part.expr_kind()
                && !self.literals.contains(uid)
            {
                self.literals.push(EntityUID::clone(uid));
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests;
