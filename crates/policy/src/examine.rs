//! Why: which rules speak to a question, on which attributes they rest, and the least that would have to be otherwise.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityUID, Expr, ExprKind, Literal, Var};
use serde::Serialize;

use crate::Engine;
use crate::ask::{Ask, AskError, Value};
use crate::case::Answer;
use crate::obligation::Obligations;
use crate::rules::DEFAULT_POLICY;
use crate::ruleset::Ready;

/// Why a question gets its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// The answer.
    pub answer: Answer,
    /// The rules that permit.
    pub permits: Vec<RuleView>,
    /// The rules that forbid.
    pub forbids: Vec<RuleView>,
    /// The rules that would have to permit, of a layer of which none does.
    pub lacking: Vec<RuleView>,
    /// The rules that could not be evaluated.
    pub errors: Vec<String>,
    /// What is demanded in return.
    #[serde(skip_serializing_if = "Obligations::is_none")]
    pub obligations: Obligations,
    /// The least that would have to be otherwise for the other answer; each line is one way.
    pub ways: Vec<Vec<Change>>,
}

/// A rule, with what it looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleView {
    /// Its id.
    pub id: String,
    /// Why it is there.
    pub reason: String,
    /// What it looks at, with what the question says there.
    pub attributes: Vec<Seen>,
}

/// An attribute and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Seen {
    /// For example `context.purpose`.
    pub attribute: String,
    /// Its value; nothing where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// One thing that would be otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// For example `context.purpose`, or `principal in`.
    pub attribute: String,
    /// What it is.
    pub from: String,
    /// What it would be.
    pub to: String,
}

/// Most changes that are tried together.
const MAX_CHANGES: usize = 3;
/// Most questions that a search puts.
const MAX_TRIALS: usize = 100_000;
/// Most ways that are told.
const MAX_WAYS: usize = 5;

impl Engine {
    /// Says why a question gets its answer, and what would change it.
    ///
    /// # Errors
    /// [`AskError`] where it does not fit the schema.
    pub fn examine(&self, mut ask: Ask) -> Result<Examination, AskError> {
        ask.complete()?;
        let said = self.hear(&ask).map_err(|error| AskError(error.0))?;
        let rules = self.rules_about(&ask.action);
        let view = |id: &String| {
            let cited = self.cite(id);
            let attributes = rules.iter().find(|rule| rule.id == *id).map(|rule| looks_at(rule, &ask));
            RuleView {
                id: id.clone(),
                reason: cited.map(|cited| cited.reason).unwrap_or_default(),
                attributes: attributes.unwrap_or_default(),
            }
        };
        let answer = if said.is_yes() { Answer::Allow } else { Answer::Deny };
        Ok(Examination {
            answer,
            permits: said.permits.iter().map(view).collect(),
            forbids: said.forbids.iter().map(view).collect(),
            lacking: said.lacking.iter().flatten().map(view).collect(),
            errors: said.errors.clone(),
            obligations: said.obligations.clone(),
            ways: self.ways(&ask, &rules, answer),
        })
    }

    /// Every rule that can speak to an action, the default policy's included.
    pub(crate) fn rules_about(&self, action: &str) -> Vec<Ready> {
        let mut rules = Vec::new();
        for (file, source) in DEFAULT_POLICY {
            rules.extend(crate::layer::parse_default(file, source));
        }
        let layered = self.layers.iter().flat_map(|layer| layer.rules.rules());
        rules.extend(layered.map(|rule| Ready {
            reason: rule.reason.clone(),
            remedy: rule.remedy.clone(),
            ..Ready::new(rule.policy.clone())
        }));
        rules.retain(|rule| rule.may_concern(action));
        rules
    }

    /// The smallest sets of changes that turn the answer, smaller ones first.
    fn ways(&self, ask: &Ask, rules: &[Ready], answer: Answer) -> Vec<Vec<Change>> {
        let changes = changes(ask, rules, BTreeSet::new());
        let mut trials = 0;
        let mut ways: Vec<Vec<usize>> = Vec::new();
        let mut last: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in 0..MAX_CHANGES {
            let mut next = Vec::new();
            for begun in &last {
                for place in begun.last().map_or(0, |last| last + 1)..changes.len() {
                    let mut set = begun.clone();
                    set.push(place);
                    let fresh = |known: &usize| changes[*known].0.attribute != changes[place].0.attribute;
                    if !begun.iter().all(fresh) || ways.iter().any(|way| way.iter().all(|part| set.contains(part))) {
                        continue;
                    }
                    trials += 1;
                    if trials > MAX_TRIALS {
                        break;
                    }
                    let mut other = ask.clone();
                    set.iter().filter_map(|place| changes.get(*place)).for_each(|(_, apply)| apply(&mut other));
                    let turned = self.hear(&other).is_ok_and(|said| said.is_yes() != (answer == Answer::Allow));
                    if turned { ways.push(set) } else { next.push(set) }
                }
            }
            if !ways.is_empty() {
                break;
            }
            last = next;
        }
        ways.truncate(MAX_WAYS);
        let told = |place: usize| changes.get(place).map(|(change, _)| change.clone());
        ways.into_iter().map(|way| way.into_iter().filter_map(told).collect()).collect()
    }
}

pub(crate) type Apply = Box<dyn Fn(&mut Ask)>;

/// Everything that could be otherwise: each attribute, with the values that the rules name, and the entities that are known.
pub(crate) fn changes(ask: &Ask, rules: &[Ready], known: BTreeSet<(String, String)>) -> Vec<(Change, Apply)> {
    let mut words: BTreeSet<String> = BTreeSet::from([String::new()]);
    let mut numbers: BTreeSet<i64> = BTreeSet::new();
    let mut entities = known;
    for part in rules.iter().flat_map(|rule| rule.condition().subexpressions()) {
        match part.expr_kind() {
            ExprKind::Lit(Literal::String(text)) => {
                words.insert(text.to_string());
            }
            ExprKind::Lit(Literal::Long(number)) => {
                numbers.extend([number.saturating_sub(1), *number, number.saturating_add(1)]);
            }
            ExprKind::Lit(Literal::EntityUID(uid)) => {
                let id: &str = uid.eid().as_ref();
                entities.insert((uid.entity_type().name().to_string(), id.to_owned()));
            }
            _ => {}
        }
    }
    let mut found: Vec<(Change, Apply)> = Vec::new();
    let mut add = |attribute: String, from: String, to: String, apply: Apply| {
        if from != to {
            found.push((Change { attribute, from, to }, apply));
        }
    };
    add(
        "principal.local".into(),
        ask.local.to_string(),
        (!ask.local).to_string(),
        Box::new(|ask| ask.local = !ask.local),
    );
    let held = format!("[{}]", ask.roles.join(", "));
    for (kind, id) in &entities {
        let id = id.clone();
        match kind.as_str() {
            "Role" if !ask.roles.contains(&id) => {
                add(
                    "principal in Role".into(),
                    held.clone(),
                    id.clone(),
                    Box::new(move |ask| ask.roles.push(id.clone())),
                );
            }
            _ if *kind == resource_type(ask) && id != ask.resource => {
                add("resource".into(), ask.resource.clone(), id.clone(), Box::new(move |ask| rename(ask, &id)));
            }
            "Dataset" if resource_type(ask) == "Field" && ask.dataset() != Some(&id) => {
                let column = ask.word_of_resource("name").to_owned();
                let to = format!("{id}/{column}");
                let from = ask.resource.clone();
                add(
                    "resource".into(),
                    from,
                    to.clone(),
                    Box::new(move |ask| {
                        let column = ask.word_of_resource("name").to_owned();
                        ask.resource = format!("{id}/{column}");
                    }),
                );
            }
            "User" if id != ask.principal => add(
                "principal".into(),
                ask.principal.clone(),
                id.clone(),
                Box::new(move |ask| ask.principal.clone_from(&id)),
            ),
            _ => {}
        }
    }
    let is_field = resource_type(ask) == "Field";
    for (name, value) in &ask.attributes {
        for other in others(value, &words, &numbers, ask) {
            let (at, to) = (name.clone(), other.to_string());
            let apply = Box::new(move |ask: &mut Ask| {
                // A column goes by its name: with another name it is another column of the same dataset.
                if let (true, Value::Text(column), Some(dataset)) = (is_field && at == "name", &other, ask.dataset()) {
                    ask.resource = format!("{dataset}/{column}");
                }
                ask.attributes.insert(at.clone(), other.clone());
            });
            add(format!("resource.{name}"), value.to_string(), to, apply);
        }
    }
    for (name, value) in ask.context.iter().filter(|(name, _)| *name != "situation") {
        for other in others(value, &words, &numbers, ask) {
            let (at, to) = (name.clone(), other.to_string());
            let apply = Box::new(move |ask: &mut Ask| _ = ask.context.insert(at.clone(), other.clone()));
            add(format!("context.{name}"), value.to_string(), to, apply);
        }
    }
    found
}

/// Other values that an attribute could have.
fn others(value: &Value, words: &BTreeSet<String>, numbers: &BTreeSet<i64>, ask: &Ask) -> Vec<Value> {
    match value {
        Value::Flag(value) => vec![Value::Flag(!value)],
        Value::Number(_) => numbers.iter().map(|number| Value::Number(*number)).collect(),
        Value::Text(_) => words.iter().map(|word| Value::Text(word.clone())).collect(),
        Value::Texts(values) => {
            let mut others = vec![Value::Texts(Vec::new())];
            others.extend(words.iter().filter(|word| !word.is_empty()).map(|word| Value::Texts(vec![word.clone()])));
            others.retain(|other| *other != Value::Texts(values.clone()));
            others
        }
        Value::Entity(name) if name.kind == "User" => vec![Value::user(&ask.principal)],
        Value::Entity(_) | Value::Record(_) => Vec::new(),
    }
}

fn resource_type(ask: &Ask) -> &'static str {
    crate::Action::of(&ask.action).map_or("", |action| action.resource.name)
}

/// Asks of another thing of the same type; what follows from its name follows.
fn rename(ask: &mut Ask, id: &str) {
    id.clone_into(&mut ask.resource);
    let name = if resource_type(ask) == "Field" { id.rsplit('/').next().unwrap_or_default() } else { id };
    if let Some(value) = ask.attributes.get_mut("name") {
        *value = name.into();
    }
}

/// The attributes that a rule looks at.
fn looks_at(rule: &Ready, ask: &Ask) -> Vec<Seen> {
    let mut seen = BTreeSet::new();
    for part in rule.condition().subexpressions() {
        match part.expr_kind() {
            ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
                if let Some(variable) = variable(expr) {
                    let value = match variable {
                        Var::Principal if attr == "local" => Some(ask.local.to_string()),
                        Var::Principal => ask.user.get(attr.as_str()).map(ToString::to_string),
                        Var::Resource => ask.attributes.get(attr.as_str()).map(ToString::to_string),
                        Var::Context => ask.context.get(attr.as_str()).map(ToString::to_string),
                        Var::Action => None,
                    };
                    seen.insert(Seen { attribute: format!("{variable}.{attr}"), value });
                }
            }
            ExprKind::BinaryApp { arg1, arg2, .. } => {
                if let (Some(variable), ExprKind::Lit(Literal::EntityUID(uid))) = (variable(arg1), arg2.expr_kind()) {
                    let uid: &EntityUID = uid;
                    let value = match variable {
                        Var::Principal => Some(ask.principal.clone()),
                        Var::Resource => Some(ask.resource.clone()),
                        Var::Action | Var::Context => continue,
                    };
                    seen.insert(Seen { attribute: format!("{variable} and {uid}"), value });
                }
            }
            _ => {}
        }
    }
    seen.into_iter().collect()
}

fn variable(expr: &Expr) -> Option<Var> {
    match expr.expr_kind() {
        ExprKind::Var(variable) => Some(*variable),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
