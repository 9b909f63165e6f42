//! Plain operators, element by element, with ONNX's (numpy's) broadcasting.

use std::sync::Arc;

use crate::tensor::{Data, ElementType, Tensor, elements};

/// An operator on one tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unary {
    Abs,
    Neg,
    Exp,
    Log,
    Sqrt,
    Sigmoid,
    Tanh,
    Relu,
    Floor,
    Ceil,
    Sign,
    Softplus,
    Reciprocal,
    Not,
}

/// An operator on two tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
}

impl Unary {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Abs" => Self::Abs,
            "Neg" => Self::Neg,
            "Exp" => Self::Exp,
            "Log" => Self::Log,
            "Sqrt" => Self::Sqrt,
            "Sigmoid" => Self::Sigmoid,
            "Tanh" => Self::Tanh,
            "Relu" => Self::Relu,
            "Floor" => Self::Floor,
            "Ceil" => Self::Ceil,
            "Sign" => Self::Sign,
            "Softplus" => Self::Softplus,
            "Reciprocal" => Self::Reciprocal,
            "Not" => Self::Not,
            _ => return None,
        })
    }

    pub(super) fn run(self, input: &Tensor) -> Result<Tensor, String> {
        let data = match (self, input.data()) {
            (Self::Not, Data::Bool(values)) => Data::Bool(values.iter().map(|value| !value).collect()),
            (Self::Not, _) | (_, Data::Bool(_) | Data::Text(_)) => return Err(WRONG_TYPE.into()),
            (_, Data::Float(values)) => {
                Data::Float(values.iter().map(|value| self.float(f64::from(*value)) as f32).collect())
            }
            (_, Data::Double(values)) => Data::Double(values.iter().map(|value| self.float(*value)).collect()),
            (_, Data::Int(values)) => {
                let mapped: Option<Vec<i64>> = values.iter().map(|value| self.int(*value)).collect();
                Data::Int(mapped.ok_or(WRONG_TYPE)?)
            }
        };
        Tensor::new(input.shape(), data).ok_or_else(|| TOO_LARGE.to_owned())
    }

    fn float(self, x: f64) -> f64 {
        match self {
            Self::Abs => x.abs(),
            Self::Neg => -x,
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sqrt => x.sqrt(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            // not f64::max: a missing value stays one
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Sign => {
                if x == 0.0 || x.is_nan() {
                    x
                } else {
                    x.signum()
                }
            }
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Reciprocal => 1.0 / x,
            Self::Not => x, // refused before
        }
    }

    fn int(self, x: i64) -> Option<i64> {
        Some(match self {
            Self::Abs => x.wrapping_abs(),
            Self::Neg => x.wrapping_neg(),
            Self::Sign => x.signum(),
            Self::Relu => x.max(0),
            _ => return None,
        })
    }
}

impl Binary {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Add" | "Sum" => Self::Add,
            "Sub" => Self::Sub,
            "Mul" => Self::Mul,
            "Div" => Self::Div,
            "Pow" => Self::Pow,
            "Max" => Self::Max,
            "Min" => Self::Min,
            "Equal" => Self::Equal,
            "Greater" => Self::Greater,
            "GreaterOrEqual" => Self::GreaterOrEqual,
            "Less" => Self::Less,
            "LessOrEqual" => Self::LessOrEqual,
            "And" => Self::And,
            "Or" => Self::Or,
            _ => return None,
        })
    }

    pub(super) fn run(self, a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
        match (a.data(), b.data()) {
            (Data::Float(x), Data::Float(y)) => match self.compares() {
                true => zip(a, x, b, y, |x, y| self.compare(x.partial_cmp(y)), Data::Bool),
                false => zip(a, x, b, y, |x, y| self.float32(*x, *y), Data::Float),
            },
            (Data::Double(x), Data::Double(y)) => match self.compares() {
                true => zip(a, x, b, y, |x, y| self.compare(x.partial_cmp(y)), Data::Bool),
                false => zip(a, x, b, y, |x, y| self.float64(*x, *y), Data::Double),
            },
            (Data::Int(x), Data::Int(y)) => match self.compares() {
                true => zip(a, x, b, y, |x, y| self.compare(Some(x.cmp(y))), Data::Bool),
                false => zip(a, x, b, y, |x, y| self.int(*x, *y), Data::Int),
            },
            (Data::Float(x), Data::Int(y)) if self == Self::Pow => {
                zip(a, x, b, y, |x, y| Some(x.powf(*y as f32)), Data::Float)
            }
            (Data::Text(x), Data::Text(y)) if self == Self::Equal => zip(a, x, b, y, |x, y| Some(x == y), Data::Bool),
            (Data::Bool(x), Data::Bool(y)) => zip(a, x, b, y, |x, y| self.truth(*x, *y), Data::Bool),
            _ => Err(WRONG_TYPE.into()),
        }
    }

    fn compares(self) -> bool {
        matches!(self, Self::Equal | Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual)
    }

    fn compare(self, order: Option<std::cmp::Ordering>) -> Option<bool> {
        Some(match self {
            Self::Equal => order.is_some_and(|order| order.is_eq()),
            Self::Greater => order.is_some_and(|order| order.is_gt()),
            Self::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
            Self::Less => order.is_some_and(|order| order.is_lt()),
            _ => order.is_some_and(|order| order.is_le()),
        })
    }

    fn float32(self, x: f32, y: f32) -> Option<f32> {
        Some(match self {
            Self::Add => x + y,
            Self::Sub => x - y,
            Self::Mul => x * y,
            Self::Div => x / y,
            Self::Pow => x.powf(y),
            Self::Max => {
                if x > y || x.is_nan() {
                    x
                } else {
                    y
                }
            }
            Self::Min => {
                if x < y || x.is_nan() {
                    x
                } else {
                    y
                }
            }
            _ => return None,
        })
    }

    fn float64(self, x: f64, y: f64) -> Option<f64> {
        Some(match self {
            Self::Add => x + y,
            Self::Sub => x - y,
            Self::Mul => x * y,
            Self::Div => x / y,
            Self::Pow => x.powf(y),
            Self::Max => {
                if x > y || x.is_nan() {
                    x
                } else {
                    y
                }
            }
            Self::Min => {
                if x < y || x.is_nan() {
                    x
                } else {
                    y
                }
            }
            _ => return None,
        })
    }

    fn int(self, x: i64, y: i64) -> Option<i64> {
        match self {
            Self::Add => Some(x.wrapping_add(y)),
            Self::Sub => Some(x.wrapping_sub(y)),
            Self::Mul => Some(x.wrapping_mul(y)),
            Self::Div => x.checked_div(y),
            Self::Pow => u32::try_from(y).ok().map(|y| x.wrapping_pow(y)),
            Self::Max => Some(x.max(y)),
            Self::Min => Some(x.min(y)),
            _ => None,
        }
    }

    fn truth(self, x: bool, y: bool) -> Option<bool> {
        match self {
            Self::And => Some(x && y),
            Self::Or => Some(x || y),
            Self::Equal => Some(x == y),
            _ => None,
        }
    }
}

/// `condition ? a : b`.
pub(super) fn choose(condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let Data::Bool(truth) = condition.data() else { return Err(WRONG_TYPE.into()) };
    let shape = broadcast(&broadcast(condition.shape(), a.shape())?, b.shape())?;
    let count = elements(&shape).ok_or(TOO_LARGE)?;
    let (of_truth, of_a, of_b) =
        (Places::new(condition.shape(), &shape), Places::new(a.shape(), &shape), Places::new(b.shape(), &shape));
    fn pick<T: Clone>(
        count: usize,
        truth: impl Fn(usize) -> bool,
        a: impl Fn(usize) -> Option<T>,
        b: impl Fn(usize) -> Option<T>,
    ) -> Option<Vec<T>> {
        (0..count).map(|at| if truth(at) { a(at) } else { b(at) }).collect()
    }
    let truth = |at: usize| truth.get(of_truth.at(at)).copied().unwrap_or(false);
    macro_rules! pick {
        ($kind:path, $x:expr, $y:expr) => {
            $kind(
                pick(count, truth, |at| $x.get(of_a.at(at)).cloned(), |at| $y.get(of_b.at(at)).cloned())
                    .ok_or(WRONG_TYPE)?,
            )
        };
    }
    let data = match (a.data(), b.data()) {
        (Data::Float(x), Data::Float(y)) => pick!(Data::Float, x, y),
        (Data::Double(x), Data::Double(y)) => pick!(Data::Double, x, y),
        (Data::Int(x), Data::Int(y)) => pick!(Data::Int, x, y),
        (Data::Text(x), Data::Text(y)) => pick!(Data::Text, x, y),
        _ => return Err(WRONG_TYPE.into()),
    };
    Tensor::new(shape, data).ok_or_else(|| TOO_LARGE.to_owned())
}

/// The tensor with elements of another type.
pub(super) fn cast(input: &Tensor, to: ElementType) -> Result<Tensor, String> {
    macro_rules! convert {
        ($values:expr, $f:expr) => {
            $values.iter().map($f).collect()
        };
    }
    let data = match (input.data(), to) {
        (data, to) if data.element_type() == to => data.clone(),
        (Data::Float(v), ElementType::Double) => Data::Double(convert!(v, |x| f64::from(*x))),
        (Data::Float(v), ElementType::Int) => Data::Int(convert!(v, |x| *x as i64)),
        (Data::Float(v), ElementType::Bool) => Data::Bool(convert!(v, |x| *x != 0.0)),
        (Data::Double(v), ElementType::Float) => Data::Float(convert!(v, |x| *x as f32)),
        (Data::Double(v), ElementType::Int) => Data::Int(convert!(v, |x| *x as i64)),
        (Data::Double(v), ElementType::Bool) => Data::Bool(convert!(v, |x| *x != 0.0)),
        (Data::Int(v), ElementType::Float) => Data::Float(convert!(v, |x| *x as f32)),
        (Data::Int(v), ElementType::Double) => Data::Double(convert!(v, |x| *x as f64)),
        (Data::Int(v), ElementType::Bool) => Data::Bool(convert!(v, |x| *x != 0)),
        (Data::Int(v), ElementType::Text) => Data::Text(convert!(v, |x| Arc::from(x.to_string()))),
        (Data::Bool(v), ElementType::Float) => Data::Float(convert!(v, |x| if *x { 1.0 } else { 0.0 })),
        (Data::Bool(v), ElementType::Double) => Data::Double(convert!(v, |x| if *x { 1.0 } else { 0.0 })),
        (Data::Bool(v), ElementType::Int) => Data::Int(convert!(v, |x| i64::from(*x))),
        (Data::Text(v), ElementType::Int) => {
            let parsed: Result<Vec<i64>, _> = v.iter().map(|text| text.trim().parse()).collect();
            Data::Int(parsed.map_err(|_| "a text is not an integer")?)
        }
        (Data::Text(v), ElementType::Float) => {
            let parsed: Result<Vec<f32>, _> = v.iter().map(|text| text.trim().parse()).collect();
            Data::Float(parsed.map_err(|_| "a text is not a number")?)
        }
        _ => return Err(WRONG_TYPE.into()),
    };
    Tensor::new(input.shape(), data).ok_or_else(|| TOO_LARGE.to_owned())
}

/// Applies `f` to each pair of elements of the common shape.
fn zip<A, B, C>(
    a: &Tensor,
    x: &[A],
    b: &Tensor,
    y: &[B],
    f: impl Fn(&A, &B) -> Option<C>,
    wrap: impl Fn(Vec<C>) -> Data,
) -> Result<Tensor, String> {
    if a.shape() == b.shape() {
        let values: Option<Vec<C>> = x.iter().zip(y).map(|(x, y)| f(x, y)).collect();
        return Tensor::new(a.shape(), wrap(values.ok_or(WRONG_TYPE)?)).ok_or_else(|| TOO_LARGE.to_owned());
    }
    let shape = broadcast(a.shape(), b.shape())?;
    let count = elements(&shape).ok_or(TOO_LARGE)?;
    let (of_a, of_b) = (Places::new(a.shape(), &shape), Places::new(b.shape(), &shape));
    let values: Option<Vec<C>> = (0..count).map(|at| f(x.get(of_a.at(at))?, y.get(of_b.at(at))?)).collect();
    Tensor::new(shape, wrap(values.ok_or(WRONG_TYPE)?)).ok_or_else(|| TOO_LARGE.to_owned())
}

/// The common shape: sizes are equal or one, counted from the last dimension.
fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], at: usize| (at + shape.len()).checked_sub(rank).and_then(|at| shape.get(at)).copied();
    (0..rank)
        .map(|at| match (size(a, at).unwrap_or(1), size(b, at).unwrap_or(1)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            (x, y) => Err(format!("its inputs have sizes {x} and {y} where they must be equal")),
        })
        .collect()
}

/// Where an element of a broadcast shape lies in the tensor it comes from.
struct Places {
    /// Per dimension, from the last: size of the common shape, and step in the tensor.
    steps: Vec<(usize, usize)>,
}

impl Places {
    fn new(from: &[usize], common: &[usize]) -> Self {
        let mut step = 1;
        let mut own = from.iter().rev();
        let steps = common.iter().rev().map(|size| match own.next() {
            Some(&1) | None => (*size, 0),
            Some(own) => {
                let this = step;
                step *= own;
                (*size, this)
            }
        });
        Self { steps: steps.collect() }
    }

    fn at(&self, mut index: usize) -> usize {
        let mut place = 0;
        for (size, step) in &self.steps {
            place += index % (*size).max(1) * step;
            index /= (*size).max(1);
        }
        place
    }
}

const WRONG_TYPE: &str = "it is given values of a type that it does not support here";
const TOO_LARGE: &str = "its result would be too large";
