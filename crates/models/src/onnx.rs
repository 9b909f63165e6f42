//! The ONNX file: ModelProto, read with bounds and without copying.
//!
//! Only what the engines need is kept; everything is checked, also what only `rten` will read: counts,
//! nesting, that the data of each tensor are in the file and as long as its shape says.

use std::sync::Arc;

use crate::error::ModelError;
use crate::tensor::{Data, ElementType, Tensor, elements};
use crate::wire::{Fields, Value};

/// A model's graph and the operator sets it was written for.
#[derive(Debug, Default)]
pub(crate) struct File<'a> {
    pub(crate) graph: Graph<'a>,
    pub(crate) opsets: Vec<(&'a str, i64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) constants: Vec<RawTensor<'a>>,
    pub(crate) inputs: Vec<ValueInfo<'a>>,
    pub(crate) outputs: Vec<ValueInfo<'a>>,
}

/// One operator of the graph.
#[derive(Debug, Default)]
pub(crate) struct Node<'a> {
    pub(crate) operator: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) name: &'a str,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    pub(crate) attributes: Vec<Attribute<'a>>,
}

/// A named setting of an operator; every kind of value it may carry is kept as it stands in the file.
#[derive(Debug, Default)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: &'a str,
    pub(crate) float: Option<f32>,
    pub(crate) int: Option<i64>,
    pub(crate) text: Option<&'a [u8]>,
    pub(crate) tensor: Option<RawTensor<'a>>,
    pub(crate) floats: Vec<f32>,
    pub(crate) ints: Vec<i64>,
    pub(crate) texts: Vec<&'a [u8]>,
    /// Whether it holds a graph of its own (control flow) or lists of tensors.
    pub(crate) nested: bool,
}

/// A constant whose data are known to be in the file and to fit its shape.
#[derive(Debug, Default, Clone)]
pub(crate) struct RawTensor<'a> {
    pub(crate) name: &'a str,
    shape: Vec<usize>,
    kind: i64,
    raw: Option<&'a [u8]>,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    ints: Vec<i64>,
    texts: Vec<&'a [u8]>,
}

/// Name, type and shape of an input or output; none where the file leaves it open.
#[derive(Debug, Default)]
pub(crate) struct ValueInfo<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: Option<ElementType>,
    pub(crate) shape: Option<Vec<Option<usize>>>,
}

impl<'a> File<'a> {
    /// Reads a whole model.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, ModelError> {
        if bytes.len() > MAX_MODEL_BYTES {
            return Err(ModelError::TooLarge { bytes: bytes.len() as u64, limit: MAX_MODEL_BYTES as u64 });
        }
        let mut budget = Budget { items: MAX_ITEMS };
        let mut file = Self::default();
        let mut graph = None;
        for field in Fields::new(bytes) {
            match field? {
                (7, value) if graph.is_none() => graph = Some(read_graph(value.bytes()?, 0, &mut budget)?),
                (7, _) => return Err(ModelError::Malformed { what: "it has two graphs".into() }),
                (8, value) => {
                    budget.spend("operator sets")?;
                    file.opsets.push(read_opset(value.bytes()?)?);
                }
                _ => {}
            }
        }
        file.graph = graph.ok_or_else(|| ModelError::Malformed { what: "it has no graph".into() })?;
        if file.graph.outputs.is_empty() {
            return Err(ModelError::Malformed { what: "its graph has no outputs".into() });
        }
        Ok(file)
    }

    /// The version of the plain operators that the model was written for.
    pub(crate) fn plain_opset(&self) -> i64 {
        self.opsets.iter().find(|(domain, _)| matches!(*domain, "" | "ai.onnx")).map_or(1, |(_, version)| *version)
    }
}

impl Node<'_> {
    /// Whether the operator is one of the classical ones.
    pub(crate) fn is_ml(&self) -> bool {
        self.domain == ML_DOMAIN
    }
}

impl RawTensor<'_> {
    /// The constant as a value of our evaluator.
    pub(crate) fn tensor(&self) -> Result<Tensor, ModelError> {
        let unsupported = || ModelError::UnsupportedType { what: format!("constant `{}`", self.name) };
        let data = match self.kind {
            kind::FLOAT => Data::Float(self.numbers(&self.floats, f32::from_le_bytes)),
            kind::DOUBLE => Data::Double(self.numbers(&self.doubles, f64::from_le_bytes)),
            kind::INT64 => Data::Int(self.numbers(&self.ints, i64::from_le_bytes)),
            kind::INT32 => Data::Int(match self.raw {
                Some(raw) => chunks(raw, |bytes| i64::from(i32::from_le_bytes(bytes))),
                None => self.ints.clone(),
            }),
            kind::BOOL => Data::Bool(match self.raw {
                Some(raw) => raw.iter().map(|byte| *byte != 0).collect(),
                None => self.ints.iter().map(|value| *value != 0).collect(),
            }),
            kind::STRING => {
                let texts: Option<Vec<Arc<str>>> =
                    self.texts.iter().map(|text| std::str::from_utf8(text).ok().map(Arc::from)).collect();
                Data::Text(texts.ok_or_else(unsupported)?)
            }
            _ => return Err(unsupported()),
        };
        Tensor::new(self.shape.clone(), data).ok_or_else(unsupported)
    }

    fn numbers<T: Copy, const N: usize>(&self, listed: &[T], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
        match self.raw {
            Some(raw) => chunks(raw, decode),
            None => listed.to_vec(),
        }
    }

    /// Bytes of one element in the raw form; none for texts and types that neither engine reads.
    fn width(&self) -> Option<usize> {
        match self.kind {
            kind::UINT8 | kind::INT8 | kind::BOOL => Some(1),
            kind::FLOAT16 => Some(2),
            kind::FLOAT | kind::INT32 => Some(4),
            kind::DOUBLE | kind::INT64 => Some(8),
            _ => None,
        }
    }

    /// Checks that the data are as long as the shape says.
    fn check(&self) -> Result<(), ModelError> {
        let malformed = |what: &str| ModelError::Malformed { what: format!("constant `{}` {what}", clip(self.name)) };
        let expected = elements(&self.shape).ok_or_else(|| malformed("is larger than allowed"))?;
        let present = match (self.raw, self.kind) {
            (_, kind::STRING) => Some(self.texts.len()),
            (Some(raw), _) => {
                let width = self
                    .width()
                    .ok_or_else(|| ModelError::UnsupportedType { what: format!("constant `{}`", clip(self.name)) })?;
                (raw.len() % width == 0).then_some(raw.len() / width)
            }
            (None, kind::FLOAT) => Some(self.floats.len()),
            (None, kind::DOUBLE) => Some(self.doubles.len()),
            (None, _) => Some(self.ints.len()),
        };
        if present == Some(expected) { Ok(()) } else { Err(malformed("has more or fewer values than its shape")) }
    }
}

fn chunks<T, const N: usize>(raw: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)).collect()
}

/// What may still be collected: bounds the memory of many tiny messages.
struct Budget {
    items: usize,
}

impl Budget {
    fn spend(&mut self, what: &'static str) -> Result<(), ModelError> {
        self.items = self.items.checked_sub(1).ok_or(ModelError::TooMany { what, limit: MAX_ITEMS as u64 })?;
        Ok(())
    }
}

fn read_graph<'a>(bytes: &'a [u8], depth: usize, budget: &mut Budget) -> Result<Graph<'a>, ModelError> {
    if depth > MAX_DEPTH {
        return Err(ModelError::Malformed { what: "its graphs are nested too deeply".into() });
    }
    let mut graph = Graph::default();
    for field in Fields::new(bytes) {
        let (number, value) = field?;
        match number {
            1 => {
                budget.spend("operators")?;
                graph.nodes.push(read_node(value.bytes()?, depth, budget)?);
            }
            5 => {
                budget.spend("constants")?;
                graph.constants.push(read_tensor(value.bytes()?, budget)?);
            }
            11 | 12 => {
                budget.spend("inputs and outputs")?;
                let info = read_value_info(value.bytes()?, budget)?;
                if number == 11 { graph.inputs.push(info) } else { graph.outputs.push(info) }
            }
            15 => return Err(ModelError::UnsupportedType { what: "a sparse constant".into() }),
            _ => {}
        }
    }
    Ok(graph)
}

fn read_node<'a>(bytes: &'a [u8], depth: usize, budget: &mut Budget) -> Result<Node<'a>, ModelError> {
    let mut node = Node::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => {
                budget.spend("operator inputs")?;
                node.inputs.push(value.text()?);
            }
            (2, value) => {
                budget.spend("operator outputs")?;
                node.outputs.push(value.text()?);
            }
            (3, value) => node.name = value.text()?,
            (4, value) => node.operator = value.text()?,
            (5, value) => {
                budget.spend("attributes")?;
                node.attributes.push(read_attribute(value.bytes()?, depth, budget)?);
            }
            (7, value) => node.domain = value.text()?,
            _ => {}
        }
    }
    if node.operator.is_empty() {
        return Err(ModelError::Malformed { what: "an operator has no type".into() });
    }
    Ok(node)
}

fn read_attribute<'a>(bytes: &'a [u8], depth: usize, budget: &mut Budget) -> Result<Attribute<'a>, ModelError> {
    let mut attribute = Attribute::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => attribute.name = value.text()?,
            (2, value) => attribute.float = Some(value.float()?),
            (3, value) => attribute.int = Some(value.int()?),
            (4, value) => attribute.text = Some(value.bytes()?),
            (5, value) => attribute.tensor = Some(read_tensor(value.bytes()?, budget)?),
            (7, value) => value.extend_floats(&mut attribute.floats)?,
            (8, value) => value.extend_ints(&mut attribute.ints)?,
            (9, value) => {
                budget.spend("texts")?;
                attribute.texts.push(value.bytes()?);
            }
            (6 | 11, value) => {
                read_graph(value.bytes()?, depth + 1, budget)?;
                attribute.nested = true;
            }
            (10, value) => {
                read_tensor(value.bytes()?, budget)?;
                attribute.nested = true;
            }
            (22 | 23, _) => return Err(ModelError::UnsupportedType { what: "a sparse constant".into() }),
            _ => {}
        }
    }
    Ok(attribute)
}

fn read_tensor<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<RawTensor<'a>, ModelError> {
    let mut tensor = RawTensor::default();
    let mut dims = Vec::new();
    let mut external = false;
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => value.extend_ints(&mut dims)?,
            (2, value) => tensor.kind = value.int()?,
            (4, value) => value.extend_floats(&mut tensor.floats)?,
            (5 | 7, value) => value.extend_ints(&mut tensor.ints)?,
            (6, value) => {
                budget.spend("texts")?;
                tensor.texts.push(value.bytes()?);
            }
            (8, value) => tensor.name = value.text()?,
            (9, value) => tensor.raw = Some(value.bytes()?),
            (10, value) => value.extend_doubles(&mut tensor.doubles)?,
            (13, _) => external = true,
            (14, value) => external |= value.int()? != 0,
            _ => {}
        }
    }
    if external {
        return Err(ModelError::ExternalData { tensor: clip(tensor.name) });
    }
    let shape: Option<Vec<usize>> = dims.into_iter().map(|size| usize::try_from(size).ok()).collect();
    tensor.shape = shape.ok_or_else(|| ModelError::Malformed {
        what: format!("constant `{}` has a negative size", clip(tensor.name)),
    })?;
    tensor.check()?;
    Ok(tensor)
}

fn read_opset(bytes: &[u8]) -> Result<(&str, i64), ModelError> {
    let (mut domain, mut version) = ("", 0);
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => domain = value.text()?,
            (2, value) => version = value.int()?,
            _ => {}
        }
    }
    Ok((domain, version))
}

fn read_value_info<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<ValueInfo<'a>, ModelError> {
    let mut info = ValueInfo::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => info.name = value.text()?,
            // TypeProto; its field 1 is a tensor type, others (sequences, maps) have no shape
            (2, value) => {
                for field in Fields::new(value.bytes()?) {
                    if let (1, value) = field? {
                        read_tensor_type(value.bytes()?, &mut info, budget)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(info)
}

fn read_tensor_type(bytes: &[u8], info: &mut ValueInfo<'_>, budget: &mut Budget) -> Result<(), ModelError> {
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => info.kind = element_type(value.int()?),
            (2, value) => {
                let mut shape = Vec::new();
                for field in Fields::new(value.bytes()?) {
                    if let (1, value) = field? {
                        budget.spend("dimensions")?;
                        shape.push(read_dimension(value)?);
                    }
                }
                info.shape = Some(shape);
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_dimension(value: Value<'_>) -> Result<Option<usize>, ModelError> {
    for field in Fields::new(value.bytes()?) {
        if let (1, value) = field? {
            // 0 and negative sizes are how some exporters write "open"
            return Ok(usize::try_from(value.int()?).ok().filter(|size| *size > 0));
        }
    }
    Ok(None)
}

/// Our type for ONNX's number of an element type.
pub(crate) fn element_type(kind: i64) -> Option<ElementType> {
    match kind {
        kind::FLOAT => Some(ElementType::Float),
        kind::DOUBLE => Some(ElementType::Double),
        kind::INT32 | kind::INT64 => Some(ElementType::Int),
        kind::BOOL => Some(ElementType::Bool),
        kind::STRING => Some(ElementType::Text),
        _ => None,
    }
}

/// A name from the file, short enough for a message.
pub(crate) fn clip(name: &str) -> String {
    name.chars().take(MAX_SHOWN_NAME).flat_map(char::escape_debug).collect()
}

/// ONNX's numbers of element types.
mod kind {
    pub(super) const FLOAT: i64 = 1;
    pub(super) const UINT8: i64 = 2;
    pub(super) const INT8: i64 = 3;
    pub(super) const INT32: i64 = 6;
    pub(super) const INT64: i64 = 7;
    pub(super) const STRING: i64 = 8;
    pub(super) const BOOL: i64 = 9;
    pub(super) const FLOAT16: i64 = 10;
    pub(super) const DOUBLE: i64 = 11;
}

/// The domain of the classical operators.
pub(crate) const ML_DOMAIN: &str = "ai.onnx.ml";
/// A Protocol Buffers file cannot be larger than this.
pub(crate) const MAX_MODEL_BYTES: usize = (1 << 31) - 1;
/// Operators, attributes, names and the like, all together: large forests need a million texts
/// (one mode per node), and each item costs at most some hundred bytes of memory.
const MAX_ITEMS: usize = 4_000_000;
/// Graphs within graphs (control flow): exporters nest two or three.
const MAX_DEPTH: usize = 8;
/// Characters of a name that a message shows.
const MAX_SHOWN_NAME: usize = 64;
