//! Two policies beside each other: which questions they answer differently, of the recorded history and of a generated set.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::ask::{Ask, AskError, EntityName, Value};
use crate::case::Answer;
use crate::examine::changes;
use crate::facts::Facts;
use crate::obligation::Obligations;
use crate::{ACTIONS, Action, Engine};

/// What comes of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Yes or no.
    pub answer: Answer,
    /// The rules that are cited.
    pub rules: Vec<String>,
    /// What is demanded in return.
    #[serde(skip_serializing_if = "Obligations::is_none")]
    pub obligations: Obligations,
}

/// A question that two policies answer differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The recorded task that put it; none where it was generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The question.
    pub ask: Ask,
    /// What the old policy says.
    pub old: Outcome,
    /// What the new one says.
    pub new: Outcome,
}

/// What was asked of two policies, and where they differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// How many questions both were asked.
    pub asked: usize,
    /// Where they differ.
    pub changed: Vec<Difference>,
}

/// Most questions that are generated for one action.
const MAX_GENERATED: usize = 4_000;
/// Most entities of one type that generated questions name.
const MAX_NAMED: usize = 32;

/// Puts the questions of every recorded task to both.
pub fn compare_history(old: &Engine, new: &Engine, history: &[Facts]) -> Comparison {
    let mut comparison = Comparison::default();
    for facts in history {
        // Each names datasets its own way, so the questions are its own; they stand in the same order.
        for (asked, ask) in old.questions(facts).into_iter().zip(new.questions(facts)) {
            comparison.put(old, asked, new, ask, Some(&facts.task));
        }
    }
    comparison
}

/// Puts questions to both that were made of everything that the rules of either look at, singly and together.
pub fn compare_generated(old: &Engine, new: &Engine) -> Comparison {
    let mut comparison = Comparison::default();
    for action in ACTIONS.iter().filter(|action| action.is_asked) {
        for ask in generated(old, new, action) {
            comparison.put(old, ask.clone(), new, ask, None);
        }
    }
    comparison
}

impl Comparison {
    fn put(&mut self, old: &Engine, asked: Ask, new: &Engine, ask: Ask, task: Option<&str>) {
        let (Ok(before), Ok(after)) = (old.outcome(asked), new.outcome(ask.clone())) else { return };
        self.asked += 1;
        if before.answer != after.answer || before.obligations != after.obligations {
            let task = task.map(str::to_owned);
            self.changed.push(Difference { task, ask, old: before, new: after });
        }
    }
}

impl Engine {
    /// The questions that a task put or would put, in their order.
    pub fn questions(&self, facts: &Facts) -> Vec<Ask> {
        let mut asks = vec![facts.run()];
        asks.extend(facts.model.as_ref().map(|model| facts.use_model(model)));
        for dataset in &facts.datasets {
            let id = self.dataset_id(dataset);
            asks.push(facts.read_dataset(id));
            match &dataset.columns {
                Some(columns) => asks.extend(columns.iter().map(|column| facts.read_field(id, column))),
                None => asks.push(facts.read_field(id, "*")),
            }
        }
        asks.push(facts.stream_live());
        asks
    }

    /// What comes of one question.
    ///
    /// # Errors
    /// [`AskError`] where it does not fit the schema.
    pub fn outcome(&self, ask: Ask) -> Result<Outcome, AskError> {
        Ok(match self.answer(ask)? {
            Ok(allowed) => Outcome { answer: Answer::Allow, rules: allowed.rules, obligations: allowed.obligations },
            Err(denial) => Outcome {
                answer: Answer::Deny,
                rules: denial.rules().iter().map(|rule| rule.id.clone()).collect(),
                obligations: Obligations::none(),
            },
        })
    }
}

/// A plain question of this action, and others that differ from it in up to three things; each stands there once.
fn generated(old: &Engine, new: &Engine, action: &'static Action) -> BTreeSet<Ask> {
    let resource = if action.resource.name == "Field" { "something/column" } else { "something" };
    let mut plain = Ask {
        principal: "somebody".to_owned(),
        local: true,
        roles: Vec::new(),
        user: Default::default(),
        action: action.name.into(),
        resource: resource.to_owned(),
        attributes: Default::default(),
        context: Default::default(),
    };
    if action.resource.attributes.iter().any(|(name, _)| *name == "model") {
        let model = EntityName { kind: "Model".to_owned(), id: "something".to_owned() };
        plain.attributes.insert("model".into(), Value::Entity(model));
    }
    if plain.complete().is_err() {
        return BTreeSet::new();
    }
    let mut rules = old.rules_about(action.name);
    rules.extend(new.rules_about(action.name));
    let mut known: BTreeSet<(String, String)> = old.store.some_of(&["User", action.resource.name], MAX_NAMED);
    known.extend(new.store.some_of(&["User", action.resource.name], MAX_NAMED));
    let changes = changes(&plain, &rules, known);
    let mut asks = BTreeSet::from([plain.clone()]);
    let mut last = vec![(0, plain)];
    for _ in 0..3 {
        let mut next = Vec::new();
        for (from, begun) in last {
            for (place, (_, apply)) in changes.iter().enumerate().skip(from) {
                if asks.len() >= MAX_GENERATED {
                    return asks;
                }
                let mut other = begun.clone();
                apply(&mut other);
                asks.insert(other.clone());
                next.push((place + 1, other));
            }
        }
        last = next;
    }
    asks
}

#[cfg(test)]
pub(crate) mod tests;
