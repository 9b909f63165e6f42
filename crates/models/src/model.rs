//! A loaded model: which engine runs it, what it takes and gives.

use crate::classical::Program;
use crate::error::ModelError;
use crate::network::Network;
use crate::onnx::{File, ML_DOMAIN, Node, ValueInfo, clip};
use crate::tensor::{ElementType, Tensor};

/// An ONNX model, ready to run.
#[derive(Debug)]
pub struct Model {
    engine: Engine,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    classes: Option<Vec<String>>,
}

/// One input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements, where the model says it and we have it.
    pub kind: Option<ElementType>,
    /// Its shape, where the model says it; an open size is none.
    pub shape: Option<Vec<Option<usize>>>,
}

/// What a model is given: one tensor for each of [`Model::inputs`], in that order.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The tensors.
    pub inputs: Vec<Tensor>,
}

/// What a model gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The size of the first dimension of the first output.
    pub rows: usize,
    /// One for each of [`Model::outputs`], in that order.
    pub outputs: Vec<Output>,
    /// The labels of the classes, where the model names them.
    pub classes: Option<Vec<String>>,
}

/// A named result.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the model.
    pub name: String,
    /// Its value.
    pub tensor: Tensor,
}

#[derive(Debug)]
enum Engine {
    Classical(Program),
    Network(Box<Network>),
}

impl Model {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// [`ModelError`] when the bytes are not a model, when it names another file, or when it uses an
    /// operator that is not supported, which the error names.
    ///
    /// # Security
    /// The bytes may be hostile. Classical models are checked wholly before they run; networks are handed to
    /// `rten`, which is memory-safe but sets no limit on time and memory: the sandbox does.
    pub fn load(bytes: &[u8]) -> Result<Self, ModelError> {
        let file = File::read(bytes)?;
        let constants: Vec<&str> = file.graph.constants.iter().map(|constant| constant.name).collect();
        // Old exporters list constants among the inputs too.
        let inputs = file.graph.inputs.iter().filter(|input| !constants.contains(&input.name)).map(port).collect();
        let outputs = file.graph.outputs.iter().map(port).collect();
        let engine = match Program::compile(&file) {
            Ok(program) => Engine::Classical(program),
            Err(ModelError::UnsupportedOperator { .. }) if !has_classical(&file) => {
                Engine::Network(Box::new(Network::load(bytes)?))
            }
            Err(error) => return Err(error),
        };
        let classes = match &engine {
            Engine::Classical(program) => program.classes().map(<[String]>::to_vec),
            Engine::Network(_) => None,
        };
        Ok(Self { engine, inputs, outputs, classes })
    }

    /// Lets a network use this many threads (from 1); classical models use the caller's thread alone.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        if let Engine::Network(network) = &mut self.engine {
            network.set_threads(threads);
        }
        self
    }

    /// What the model takes.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What it gives.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The labels of its classes, where it names them.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Whether the evaluator of ours runs it (and not the engine for networks).
    pub fn is_classical(&self) -> bool {
        matches!(self.engine, Engine::Classical(_))
    }

    /// Runs the model once.
    ///
    /// # Errors
    /// [`ModelError::Inputs`] when the batch does not fit; [`ModelError::Run`] and [`ModelError::Network`]
    /// when the model fails on it.
    pub fn predict(&self, batch: &Batch) -> Result<Predictions, ModelError> {
        self.check(batch)?;
        let tensors = match &self.engine {
            Engine::Classical(program) => program.run(&batch.inputs)?,
            Engine::Network(network) => network.run(&batch.inputs)?,
        };
        let names = self.outputs.iter().map(|port| port.name.clone());
        let outputs: Vec<_> = names.zip(tensors).map(|(name, tensor)| Output { name, tensor }).collect();
        let rows = outputs.first().map_or(0, |output| output.tensor.rows().0);
        Ok(Predictions { rows, outputs, classes: self.classes.clone() })
    }

    fn check(&self, batch: &Batch) -> Result<(), ModelError> {
        let wrong = |why| Err(ModelError::Inputs { why });
        if batch.inputs.len() != self.inputs.len() {
            return wrong(format!("it takes {} inputs, {} are given", self.inputs.len(), batch.inputs.len()));
        }
        for (port, tensor) in self.inputs.iter().zip(&batch.inputs) {
            if port.kind.is_some_and(|kind| kind != tensor.data().element_type()) {
                return wrong(format!("`{}` has elements of another type", clip(&port.name)));
            }
            let fits = |expected: &Vec<Option<usize>>| {
                expected.len() == tensor.shape().len()
                    && expected.iter().zip(tensor.shape()).all(|(size, given)| size.is_none_or(|size| size == *given))
            };
            if !port.shape.as_ref().is_none_or(fits) {
                return wrong(format!("`{}` has the shape {:?}", clip(&port.name), tensor.shape()));
            }
        }
        Ok(())
    }
}

fn has_classical(file: &File<'_>) -> bool {
    file.graph.nodes.iter().any(Node::is_ml)
}

fn port(info: &ValueInfo<'_>) -> Port {
    Port { name: info.name.to_owned(), kind: info.kind, shape: info.shape.clone() }
}

/// The full name of an operator, as errors show it.
pub(crate) fn operator_name(node: &Node<'_>) -> String {
    match node.domain {
        "" | "ai.onnx" => clip(node.operator),
        ML_DOMAIN => format!("{ML_DOMAIN}.{}", clip(node.operator)),
        domain => format!("{}.{}", clip(domain), clip(node.operator)),
    }
}
