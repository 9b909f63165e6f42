//! Plain operators that bring many elements to one: sums, extremes, softmax, products of matrices.

use crate::tensor::{Data, Tensor, elements};

use super::shape::{around, axis};

/// How elements come together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reduce {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    SumSquare,
    LogSumExp,
    L1,
    L2,
}

impl Reduce {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "ReduceSum" => Self::Sum,
            "ReduceMean" => Self::Mean,
            "ReduceMax" => Self::Max,
            "ReduceMin" => Self::Min,
            "ReduceProd" => Self::Prod,
            "ReduceSumSquare" => Self::SumSquare,
            "ReduceLogSumExp" => Self::LogSumExp,
            "ReduceL1" => Self::L1,
            "ReduceL2" => Self::L2,
            _ => return None,
        })
    }

    /// Reduces over the axes; over all when none is named.
    pub(super) fn run(self, input: &Tensor, axes: &[i64], keep: bool) -> Result<Tensor, String> {
        let rank = input.shape().len();
        let mut at: Vec<usize> = match axes.is_empty() {
            true => (0..rank).collect(),
            false => axes.iter().map(|at| axis(*at, rank)).collect::<Result<_, _>>()?,
        };
        at.sort_unstable();
        at.dedup();
        let kept = input.shape().iter().enumerate();
        let shape: Vec<usize> = match keep {
            true => kept.map(|(here, size)| if at.contains(&here) { 1 } else { *size }).collect(),
            false => kept.filter(|(here, _)| !at.contains(here)).map(|(_, size)| *size).collect(),
        };
        let count = elements(&shape).ok_or(TOO_LARGE)?;
        let mut groups: Vec<Vec<f64>> = Vec::new();
        groups.resize_with(count, Vec::new);
        let values: Vec<f64> = match input.data() {
            Data::Float(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Data::Double(values) => values.clone(),
            Data::Int(values) => values.iter().map(|value| *value as f64).collect(),
            _ => return Err("it is given values that are not numbers".into()),
        };
        // The place in the result: the element's indexes without the reduced ones.
        let strides: Vec<(usize, bool)> =
            input.shape().iter().enumerate().map(|(here, size)| (*size, at.contains(&here))).collect();
        for (index, value) in values.into_iter().enumerate() {
            let (mut rest, mut place, mut step) = (index, 0, 1);
            for (size, reduced) in strides.iter().rev() {
                if !reduced {
                    place += rest % size * step;
                    step *= size;
                }
                rest /= size;
            }
            if let Some(group) = groups.get_mut(place) {
                group.push(value);
            }
        }
        let reduced = groups.iter().map(|group| self.fold(group));
        let data = match input.data() {
            Data::Float(_) => Data::Float(reduced.map(|value| value as f32).collect()),
            Data::Double(_) => Data::Double(reduced.collect()),
            _ => Data::Int(reduced.map(|value| value as i64).collect()),
        };
        Tensor::new(shape, data).ok_or_else(|| TOO_LARGE.to_owned())
    }

    fn fold(self, values: &[f64]) -> f64 {
        let sum = |f: fn(f64) -> f64| values.iter().map(|value| f(*value)).sum::<f64>();
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self {
            Self::Sum => sum(|value| value),
            Self::Mean => sum(|value| value) / values.len() as f64,
            Self::Max => largest,
            Self::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Prod => values.iter().product(),
            Self::SumSquare => sum(|value| value * value),
            Self::LogSumExp if largest.is_infinite() => largest,
            Self::LogSumExp => values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln() + largest,
            Self::L1 => sum(f64::abs),
            Self::L2 => sum(|value| value * value).sqrt(),
        }
    }
}

/// The number of the largest or smallest element along an axis; the first of equals.
pub(super) fn arg(input: &Tensor, along: i64, keep: bool, largest: bool) -> Result<Tensor, String> {
    let along = axis(along, input.shape().len())?;
    let (before, size, after) = around(input.shape(), along);
    let value = |at: usize| match input.data() {
        Data::Float(values) => values.get(at).map(|value| f64::from(*value)),
        Data::Double(values) => values.get(at).copied(),
        Data::Int(values) => values.get(at).map(|value| *value as f64),
        _ => None,
    };
    let mut shape = input.shape().to_vec();
    if keep {
        shape.iter_mut().skip(along).take(1).for_each(|size| *size = 1);
    } else {
        shape.remove(along);
    }
    let mut picks = Vec::with_capacity(elements(&shape).ok_or(TOO_LARGE)?);
    for row in 0..before {
        for last in 0..after {
            let mut best: Option<(i64, f64)> = None;
            for (number, here) in (0..size).zip(0i64..) {
                let value =
                    value((row * size + number) * after + last).ok_or("it is given values that are not numbers")?;
                if best.is_none_or(|(_, best)| if largest { value > best } else { value < best }) {
                    best = Some((here, value));
                }
            }
            picks.push(best.ok_or("it is given nothing to choose from")?.0);
        }
    }
    Tensor::new(shape, Data::Int(picks)).ok_or_else(|| TOO_LARGE.to_owned())
}

/// Runs along an axis are changed by `f`: softmax, or division by a norm.
pub(super) fn along(input: &Tensor, at: i64, f: impl Fn(&mut [f32])) -> Result<Tensor, String> {
    let at = axis(at, input.shape().len())?;
    let (before, size, after) = around(input.shape(), at);
    let mut values = input.floats().ok_or("it is given values that are not 32-bit floats")?.to_vec();
    let mut run = Vec::with_capacity(size);
    for row in 0..before {
        for last in 0..after {
            let place = |number: usize| (row * size + number) * after + last;
            run.clear();
            run.extend((0..size).filter_map(|number| values.get(place(number)).copied()));
            f(&mut run);
            for (number, value) in run.iter().enumerate() {
                if let Some(slot) = values.get_mut(place(number)) {
                    *slot = *value;
                }
            }
        }
    }
    Tensor::new(input.shape(), Data::Float(values)).ok_or_else(|| TOO_LARGE.to_owned())
}

/// The product of a stack of rows with a matrix.
pub(super) fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let ([lead @ .., depth], [rows, columns]) = (a.shape(), b.shape()) else {
        return Err("it multiplies by something that is not a matrix, which is not supported here".into());
    };
    if depth != rows {
        return Err(format!("it multiplies {depth} columns by {rows} rows"));
    }
    let mut shape = lead.to_vec();
    shape.push(*columns);
    let count = elements(&shape).ok_or(TOO_LARGE)?;
    let data = match (a.data(), b.data()) {
        (Data::Float(x), Data::Float(y)) => {
            let mut sums = vec![0f32; count];
            for (x, sums) in x.chunks_exact((*depth).max(1)).zip(sums.chunks_exact_mut((*columns).max(1))) {
                for (x, y) in x.iter().zip(y.chunks_exact((*columns).max(1))) {
                    sums.iter_mut().zip(y).for_each(|(sum, y)| *sum += x * y);
                }
            }
            Data::Float(sums)
        }
        (Data::Double(x), Data::Double(y)) => {
            let mut sums = vec![0f64; count];
            for (x, sums) in x.chunks_exact((*depth).max(1)).zip(sums.chunks_exact_mut((*columns).max(1))) {
                for (x, y) in x.iter().zip(y.chunks_exact((*columns).max(1))) {
                    sums.iter_mut().zip(y).for_each(|(sum, y)| *sum += x * y);
                }
            }
            Data::Double(sums)
        }
        _ => return Err("it is given values that are not floats of one width".into()),
    };
    Tensor::new(shape, data).ok_or_else(|| TOO_LARGE.to_owned())
}

const TOO_LARGE: &str = "its result would be too large";
