//! The evaluator of classical models: a list of operators, run in order.
//!
//! INVARIANT (slots-defined): each operator reads only slots that a constant, an input or an earlier
//! operator has filled; [`Program::compile`] refuses any other graph, so there are no cycles.

mod arithmetic;
mod attributes;
mod ensemble;
mod labels;
mod linear;
mod matrix;
mod operator;
mod prepare;
mod reduce;
mod scores;
mod shape;
mod tree;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::ModelError;
use crate::model::operator_name;
use crate::onnx::{File, Node, clip};
use crate::tensor::{MAX_ELEMENTS, Tensor};

use attributes::Settings;
use labels::Labels;
use operator::Operator;

/// A classical model, ready to run.
#[derive(Debug)]
pub(crate) struct Program {
    steps: Vec<Step>,
    slots: usize,
    constants: Vec<(usize, Tensor)>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    classes: Option<Vec<String>>,
}

#[derive(Debug)]
struct Step {
    operator: Operator,
    /// Its name for messages.
    name: String,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    /// Slots that nothing reads after this step.
    done: Vec<usize>,
}

impl Program {
    /// Makes a program of a graph.
    ///
    /// # Errors
    /// [`ModelError::UnsupportedOperator`] names the first operator that the evaluator does not have.
    pub(crate) fn compile(file: &File<'_>) -> Result<Self, ModelError> {
        let opset = file.plain_opset();
        let graph = &file.graph;
        let operators: Vec<Operator> =
            graph.nodes.iter().map(|node| Operator::build(node, opset)).collect::<Result<_, _>>()?;
        let mut names: HashMap<&str, usize> = HashMap::new();
        let mut slots = 0;
        let mut fresh = || {
            slots += 1;
            slots - 1
        };
        let mut constants = Vec::with_capacity(graph.constants.len());
        for constant in &graph.constants {
            let slot = fresh();
            names.insert(constant.name, slot);
            constants.push((slot, constant.tensor()?));
        }
        let mut inputs = Vec::new();
        for input in &graph.inputs {
            if !names.contains_key(input.name) {
                inputs.push(fresh());
                names.insert(input.name, slots_last(&inputs));
            }
        }
        let mut steps = Vec::with_capacity(operators.len());
        for (node, operator) in graph.nodes.iter().zip(operators) {
            let wrong = |why: String| ModelError::BadOperator { operator: label(node), why };
            let find = |name: &&str| match *name {
                "" => Ok(None),
                name => names
                    .get(name)
                    .map(|slot| Some(*slot))
                    .ok_or_else(|| wrong(format!("it reads `{}` before anything gives it", clip(name)))),
            };
            let from = node.inputs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
            let mut to = Vec::with_capacity(node.outputs.len());
            for name in &node.outputs {
                if name.is_empty() {
                    to.push(None);
                    continue;
                }
                let slot = fresh();
                if names.insert(name, slot).is_some() {
                    return Err(wrong(format!("it gives `{}`, which is given already", clip(name))));
                }
                to.push(Some(slot));
            }
            steps.push(Step { operator, name: label(node), inputs: from, outputs: to, done: Vec::new() });
        }
        let mut outputs = Vec::with_capacity(graph.outputs.len());
        for output in &graph.outputs {
            let slot = names.get(output.name).copied();
            outputs.push(slot.ok_or_else(|| ModelError::Malformed {
                what: format!("nothing gives its output `{}`", clip(output.name)),
            })?);
        }
        mark_done(&mut steps, &outputs);
        Ok(Self { classes: classes(file, &steps), steps, slots, constants, inputs, outputs })
    }

    /// The labels of the classes, where the model names them.
    pub(crate) fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Runs the program on one tensor for each input.
    pub(crate) fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ModelError> {
        let mut slots: Vec<Option<Cow<'_, Tensor>>> = Vec::new();
        slots.resize_with(self.slots, || None);
        let filled = self.inputs.iter().zip(inputs).chain(self.constants.iter().map(|(slot, value)| (slot, value)));
        for (slot, value) in filled {
            put(&mut slots, *slot, Some(Cow::Borrowed(value)));
        }
        let mut live = 0usize;
        for step in &self.steps {
            let failed = |why: String| ModelError::Run { operator: step.name.clone(), why };
            let from: Vec<Option<&Tensor>> =
                step.inputs.iter().map(|slot| slot.and_then(|slot| slots.get(slot)?.as_deref())).collect();
            let results = step.operator.run(&from).map_err(failed)?;
            if results.len() < step.outputs.iter().filter(|slot| slot.is_some()).count() {
                return Err(failed("it gives fewer results than the model uses".into()));
            }
            for (slot, result) in step.outputs.iter().zip(results) {
                if let Some(slot) = slot {
                    live += result.data().len();
                    put(&mut slots, *slot, Some(Cow::Owned(result)));
                }
            }
            if live > MAX_LIVE_ELEMENTS {
                return Err(failed("the model holds too many values at once".into()));
            }
            for slot in &step.done {
                if let Some(Some(Cow::Owned(gone))) = slots.get(*slot) {
                    live = live.saturating_sub(gone.data().len());
                }
                put(&mut slots, *slot, None);
            }
        }
        let output = |slot: &usize| slots.get(*slot).and_then(Option::as_deref).cloned();
        let outputs: Option<Vec<Tensor>> = self.outputs.iter().map(output).collect();
        outputs.ok_or_else(|| ModelError::Malformed { what: "an output has no value".into() })
    }
}

fn slots_last(slots: &[usize]) -> usize {
    slots.last().copied().unwrap_or(0)
}

fn put<'v>(slots: &mut [Option<Cow<'v, Tensor>>], slot: usize, value: Option<Cow<'v, Tensor>>) {
    if let Some(place) = slots.get_mut(slot) {
        *place = value;
    }
}

/// Notes after which step each slot is read no more.
fn mark_done(steps: &mut [Step], outputs: &[usize]) {
    let mut seen: std::collections::HashSet<usize> = outputs.iter().copied().collect();
    for step in steps.iter_mut().rev() {
        let used: Vec<usize> = step.inputs.iter().chain(&step.outputs).filter_map(|slot| *slot).collect();
        step.done = used.into_iter().filter(|slot| seen.insert(*slot)).collect();
    }
}

/// The model's own names for its classes: of a ZipMap, of its last classifier, or of the list from which
/// the label is chosen.
fn classes(file: &File<'_>, steps: &[Step]) -> Option<Vec<String>> {
    let nodes = &file.graph.nodes;
    let zip_map = nodes.iter().rev().filter(|node| node.is_ml() && node.operator == "ZipMap").find_map(|node| {
        let labels = Labels::read(&Settings::new(node), "classlabels_strings", "classlabels_int64s").ok()?;
        (labels.len() > 0).then(|| labels.names())
    });
    let chosen = || {
        let extract = nodes.iter().rev().find(|node| node.is_ml() && node.operator == "ArrayFeatureExtractor")?;
        let [list, choice] = extract.inputs.as_slice() else { return None };
        let is_arg = |node: &Node<'_>| node.operator == "ArgMax" && node.outputs.first() == Some(choice);
        nodes.iter().find(|node| is_arg(node))?;
        let constant = file.graph.constants.iter().find(|constant| constant.name == *list)?;
        Labels::of(&constant.tensor().ok()?).map(|labels| labels.names())
    };
    let classifier = || steps.iter().rev().find_map(|step| step.operator.labels()).map(Labels::names);
    zip_map.or_else(chosen).or_else(classifier)
}

/// Operator and name in the graph.
fn label(node: &Node<'_>) -> String {
    match node.name {
        "" => operator_name(node),
        name => format!("{} ({})", operator_name(node), clip(name)),
    }
}

/// All values that a run holds at once: four of the largest tensors.
const MAX_LIVE_ELEMENTS: usize = 4 * MAX_ELEMENTS;
