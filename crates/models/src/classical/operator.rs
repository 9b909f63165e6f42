//! The operators of the evaluator: which there are, and how a node of the file becomes one.

use crate::error::ModelError;
use crate::model::operator_name;
use crate::onnx::{Node, element_type};
use crate::tensor::{Data, ElementType, Tensor, elements};

use super::arithmetic::{Binary, Unary, cast, choose};
use super::attributes::Settings;
use super::labels::Labels;
use super::prepare::{Binarizer, Imputer, LabelEncoder, Normalizer, OneHot, Scaler, extract, vectorize};
use super::reduce::{Reduce, along, arg, matmul};
use super::scores::softmax;
use super::{ensemble, linear, shape};

/// One operator, its attributes read and checked.
#[derive(Debug)]
pub(super) enum Operator {
    TreeClassifier(ensemble::Classifier),
    TreeRegressor(ensemble::Regressor),
    LinearClassifier(linear::Classifier),
    LinearRegressor(linear::Regressor),
    Scaler(Scaler),
    Normalizer(Normalizer),
    Binarizer(Binarizer),
    Imputer(Imputer),
    LabelEncoder(LabelEncoder),
    OneHot(OneHot),
    Extract,
    Vectorize,
    /// Also ZipMap: the classes' names are kept beside the scores instead of in them.
    Identity,
    Cast(ElementType),
    Constant(Tensor),
    ConstantOfShape(Tensor),
    Unary(Unary),
    Binary(Binary),
    Where,
    Clip {
        low: f32,
        high: f32,
    },
    MatMul,
    Gemm {
        alpha: f32,
        beta: f32,
        transpose: [bool; 2],
    },
    Reduce {
        how: Reduce,
        axes: Vec<i64>,
        keep: bool,
    },
    Arg {
        largest: bool,
        axis: i64,
        keep: bool,
    },
    Softmax {
        axis: i64,
    },
    /// Softmax before version 13: over everything from the axis on.
    SoftmaxFlat {
        axis: i64,
    },
    Normalize {
        axis: i64,
        order: i64,
    },
    Reshape,
    Flatten {
        axis: i64,
    },
    Unsqueeze {
        axes: Vec<i64>,
    },
    Squeeze {
        axes: Vec<i64>,
    },
    Transpose {
        order: Vec<i64>,
    },
    Concat {
        axis: i64,
    },
    Slice,
    Gather {
        axis: i64,
    },
    Shape,
}

impl Operator {
    /// Reads a node.
    pub(super) fn build(node: &Node<'_>, opset: i64) -> Result<Self, ModelError> {
        let settings = Settings::new(node);
        let built = match node.domain {
            "ai.onnx.ml" => Self::classical(node.operator, &settings),
            "" | "ai.onnx" => Self::plain(node.operator, &settings, opset),
            _ => Ok(None),
        };
        match built {
            Ok(Some(operator)) => Ok(operator),
            Ok(None) => Err(ModelError::UnsupportedOperator { operator: operator_name(node) }),
            Err(why) => Err(ModelError::BadOperator { operator: operator_name(node), why }),
        }
    }

    fn classical(name: &str, settings: &Settings<'_, '_>) -> Result<Option<Self>, String> {
        Ok(Some(match name {
            "TreeEnsembleClassifier" => Self::TreeClassifier(ensemble::Classifier::build(settings)?),
            "TreeEnsembleRegressor" => Self::TreeRegressor(ensemble::Regressor::build(settings)?),
            "LinearClassifier" => Self::LinearClassifier(linear::Classifier::build(settings)?),
            "LinearRegressor" => Self::LinearRegressor(linear::Regressor::build(settings)?),
            "Scaler" => Self::Scaler(Scaler::build(settings)?),
            "Normalizer" => Self::Normalizer(Normalizer::build(settings)?),
            "Binarizer" => Self::Binarizer(Binarizer::build(settings)),
            "Imputer" => Self::Imputer(Imputer::build(settings)?),
            "LabelEncoder" => Self::LabelEncoder(LabelEncoder::build(settings)?),
            "OneHotEncoder" => Self::OneHot(OneHot::build(settings)?),
            "ArrayFeatureExtractor" => Self::Extract,
            "FeatureVectorizer" => Self::Vectorize,
            "ZipMap" => Self::Identity,
            _ => return Ok(None),
        }))
    }

    fn plain(name: &str, settings: &Settings<'_, '_>, opset: i64) -> Result<Option<Self>, String> {
        if let Some(unary) = Unary::parse(name) {
            return Ok(Some(Self::Unary(unary)));
        }
        if let Some(binary) = Binary::parse(name) {
            return Ok(Some(Self::Binary(binary)));
        }
        let axes = || settings.ints("axes").to_vec();
        let keep = settings.int("keepdims", 1) != 0;
        if let Some(how) = Reduce::parse(name) {
            return Ok(Some(Self::Reduce { how, axes: axes(), keep }));
        }
        let transpose = [settings.int("transA", 0) != 0, settings.int("transB", 0) != 0];
        Ok(Some(match name {
            "Identity" => Self::Identity,
            "Cast" => {
                Self::Cast(element_type(settings.int("to", 0)).ok_or("it converts to a type that is not supported")?)
            }
            "Constant" => Self::Constant(constant(settings)?),
            "ConstantOfShape" => {
                let zero = || Tensor::new([1], Data::Float(vec![0.0]));
                Self::ConstantOfShape(settings.tensor("value")?.or_else(zero).ok_or("it has no value")?)
            }
            "Where" => Self::Where,
            "Clip" => Self::Clip { low: settings.float("min", f32::MIN), high: settings.float("max", f32::MAX) },
            "MatMul" => Self::MatMul,
            "Gemm" => Self::Gemm { alpha: settings.float("alpha", 1.0), beta: settings.float("beta", 1.0), transpose },
            "ArgMax" | "ArgMin" if settings.int("select_last_index", 0) == 0 => {
                Self::Arg { largest: name == "ArgMax", axis: settings.int("axis", 0), keep }
            }
            "Softmax" if opset >= 13 => Self::Softmax { axis: settings.int("axis", -1) },
            "Softmax" => Self::SoftmaxFlat { axis: settings.int("axis", 1) },
            "LpNormalization" => Self::Normalize { axis: settings.int("axis", -1), order: settings.int("p", 2) },
            "Reshape" if settings.int("allowzero", 0) == 0 => Self::Reshape,
            "Flatten" => Self::Flatten { axis: settings.int("axis", 1) },
            "Unsqueeze" => Self::Unsqueeze { axes: axes() },
            "Squeeze" => Self::Squeeze { axes: axes() },
            "Transpose" => Self::Transpose { order: settings.ints("perm").to_vec() },
            "Concat" => Self::Concat { axis: settings.int("axis", 1) },
            "Slice" if opset >= 10 => Self::Slice,
            "Gather" => Self::Gather { axis: settings.int("axis", 0) },
            "Shape" if !settings.has("start") && !settings.has("end") => Self::Shape,
            _ => return Ok(None),
        }))
    }

    /// The classes that the operator decides between.
    pub(super) fn labels(&self) -> Option<&Labels> {
        match self {
            Self::TreeClassifier(classifier) => Some(classifier.labels()),
            Self::LinearClassifier(classifier) => Some(classifier.labels()),
            _ => None,
        }
    }

    /// Runs on the inputs, of which optional ones may be none.
    pub(super) fn run(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, String> {
        let given = |at: usize| inputs.get(at).copied().flatten();
        let input = |at: usize| given(at).ok_or_else(|| format!("its input {} is not there", at + 1));
        let ints = |at: usize| given(at).map(|tensor| tensor.ints().ok_or("an input is not of integers")).transpose();
        let axes = |own: &Vec<i64>| Ok::<_, String>(ints(1)?.unwrap_or(own).to_vec());
        let all = || -> Result<Vec<&Tensor>, String> {
            inputs.iter().map(|input| input.ok_or_else(|| "one of its inputs is not there".to_owned())).collect()
        };
        let one = match self {
            Self::TreeClassifier(operator) => return operator.run(input(0)?),
            Self::TreeRegressor(operator) => return operator.run(input(0)?),
            Self::LinearClassifier(operator) => return operator.run(input(0)?),
            Self::LinearRegressor(operator) => return operator.run(input(0)?),
            Self::Scaler(operator) => operator.run(input(0)?)?,
            Self::Normalizer(operator) => operator.run(input(0)?)?,
            Self::Binarizer(operator) => operator.run(input(0)?)?,
            Self::Imputer(operator) => operator.run(input(0)?)?,
            Self::LabelEncoder(operator) => operator.run(input(0)?)?,
            Self::OneHot(operator) => operator.run(input(0)?)?,
            Self::Extract => extract(input(0)?, input(1)?)?,
            Self::Vectorize => vectorize(&all()?)?,
            Self::Identity => input(0)?.clone(),
            Self::Cast(to) => cast(input(0)?, *to)?,
            Self::Constant(value) => value.clone(),
            Self::ConstantOfShape(value) => fill(value, ints(0)?.ok_or("it has no shape")?)?,
            Self::Unary(operator) => operator.run(input(0)?)?,
            Self::Binary(operator) => fold(*operator, &all()?)?,
            Self::Where => choose(input(0)?, input(1)?, input(2)?)?,
            Self::Clip { low, high } => {
                let low = given(1).and_then(Tensor::floats).and_then(<[f32]>::first).unwrap_or(low);
                let high = given(2).and_then(Tensor::floats).and_then(<[f32]>::first).unwrap_or(high);
                clip(input(0)?, *low, *high)?
            }
            Self::MatMul => matmul(input(0)?, input(1)?)?,
            Self::Gemm { alpha, beta, transpose } => gemm(input(0)?, input(1)?, given(2), *alpha, *beta, *transpose)?,
            Self::Reduce { how, axes: own, keep } => how.run(input(0)?, &axes(own)?, *keep)?,
            Self::Arg { largest, axis, keep } => arg(input(0)?, *axis, *keep, *largest)?,
            Self::Softmax { axis } => along(input(0)?, *axis, softmax)?,
            Self::SoftmaxFlat { axis } => {
                let flat = along(&shape::flatten(input(0)?, *axis)?, 1, softmax)?;
                shape::reshaped(&flat, input(0)?.shape().to_vec())?
            }
            Self::Normalize { axis, order } => along(input(0)?, *axis, |run| normalize(run, *order))?,
            Self::Reshape => shape::reshape(input(0)?, input(1)?)?,
            Self::Flatten { axis } => shape::flatten(input(0)?, *axis)?,
            Self::Unsqueeze { axes: own } => shape::unsqueeze(input(0)?, &axes(own)?)?,
            Self::Squeeze { axes: own } => shape::squeeze(input(0)?, &axes(own)?)?,
            Self::Transpose { order } => shape::transpose(input(0)?, order)?,
            Self::Concat { axis } => shape::concat(&all()?, *axis)?,
            Self::Slice => {
                let (starts, ends) = (ints(1)?.ok_or("it has no starts")?, ints(2)?.ok_or("it has no ends")?);
                shape::slice(input(0)?, starts, ends, ints(3)?, ints(4)?)?
            }
            Self::Gather { axis } => shape::take(input(0)?, input(1)?, *axis)?,
            Self::Shape => {
                let sizes: Vec<i64> = input(0)?.shape().iter().filter_map(|size| i64::try_from(*size).ok()).collect();
                Tensor::new([sizes.len()], Data::Int(sizes)).ok_or("it has too many dimensions")?
            }
        };
        Ok(vec![one])
    }
}

fn constant(settings: &Settings<'_, '_>) -> Result<Tensor, String> {
    if let Some(tensor) = settings.tensor("value")? {
        return Ok(tensor);
    }
    let (ints, floats) = (settings.ints("value_ints"), settings.floats("value_floats"));
    let made = if settings.has("value_float") {
        Tensor::new([], Data::Float(vec![settings.float("value_float", 0.0)]))
    } else if settings.has("value_int") {
        Tensor::new([], Data::Int(vec![settings.int("value_int", 0)]))
    } else if !ints.is_empty() {
        Tensor::new([ints.len()], Data::Int(ints.to_vec()))
    } else {
        Tensor::new([floats.len()], Data::Float(floats.to_vec()))
    };
    made.ok_or_else(|| "its value is too large".to_owned())
}

fn fill(value: &Tensor, sizes: &[i64]) -> Result<Tensor, String> {
    let shape: Result<Vec<usize>, _> = sizes.iter().map(|size| usize::try_from(*size)).collect();
    let shape = shape.map_err(|_| "it has a negative size")?;
    let count = elements(&shape).ok_or("its result would be too large")?;
    super::prepare::gather(shape, value, std::iter::repeat_n(0, count)).ok_or_else(|| "it has no value".to_owned())
}

/// Add, Max and their like take any number of inputs, one at least.
fn fold(operator: Binary, inputs: &[&Tensor]) -> Result<Tensor, String> {
    let (first, rest) = inputs.split_first().ok_or("it has no inputs")?;
    rest.iter().try_fold((*first).clone(), |result, next| operator.run(&result, next))
}

fn clip(input: &Tensor, low: f32, high: f32) -> Result<Tensor, String> {
    let values = input.floats().ok_or("it is given values that are not 32-bit floats")?;
    // not clamp: it panics when the bounds are crossed
    let values = values.iter().map(|value| {
        let raised = if *value < low { low } else { *value };
        if raised > high { high } else { raised }
    });
    Tensor::new(input.shape(), Data::Float(values.collect())).ok_or_else(|| "too many values".to_owned())
}

fn gemm(
    a: &Tensor,
    b: &Tensor,
    c: Option<&Tensor>,
    alpha: f32,
    beta: f32,
    transpose: [bool; 2],
) -> Result<Tensor, String> {
    let turn = |tensor: &Tensor, turn: bool| if turn { shape::transpose(tensor, &[1, 0]) } else { Ok(tensor.clone()) };
    let single = |value: f32| Tensor::new([], Data::Float(vec![value])).ok_or("too many values");
    let product = matmul(&turn(a, transpose[0])?, &turn(b, transpose[1])?)?;
    let product = if alpha == 1.0 { product } else { Binary::Mul.run(&product, &single(alpha)?)? };
    match c {
        None => Ok(product),
        Some(c) if beta == 1.0 => Binary::Add.run(&product, c),
        Some(c) => Binary::Add.run(&product, &Binary::Mul.run(c, &single(beta)?)?),
    }
}

fn normalize(run: &mut [f32], order: i64) {
    let norm = match order {
        1 => run.iter().map(|value| value.abs()).sum::<f32>(),
        _ => run.iter().map(|value| value * value).sum::<f32>().sqrt(),
    };
    if norm != 0.0 {
        run.iter_mut().for_each(|value| *value /= norm);
    }
}
