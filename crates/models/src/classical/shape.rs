//! Plain operators that move elements about: reshape, join, cut, choose.

use crate::tensor::{Data, Tensor, elements};

use super::prepare::gather;

/// An axis counted from the front; negative ones count from the back.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let from = if axis < 0 { i64::try_from(rank).ok().and_then(|rank| axis.checked_add(rank)) } else { Some(axis) };
    let at = from.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
    at.ok_or_else(|| format!("it names the axis {axis} of {rank}"))
}

/// The product of the sizes before an axis, the size at it, and the product of those after.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let before = shape.iter().take(axis).product();
    let after = shape.iter().skip(axis + 1).product();
    (before, shape.get(axis).copied().unwrap_or(1), after)
}

/// Reshape: 0 keeps a size, -1 is what remains.
pub(super) fn reshape(input: &Tensor, wanted: &Tensor) -> Result<Tensor, String> {
    let wanted = wanted.ints().ok_or("its shape is not of integers")?;
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (at, size) in wanted.iter().enumerate() {
        shape.push(match size {
            0 => input.shape().get(at).copied().ok_or("it keeps a size that the input does not have")?,
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            size => usize::try_from(*size).map_err(|_| "its shape has a negative size")?,
        });
    }
    if let Some(slot) = open.and_then(|at| shape.get_mut(at)) {
        *slot = 1;
        let known = elements(&shape).ok_or(TOO_LARGE)?;
        let rest = input.data().len().checked_div(known).unwrap_or(0);
        if let Some(slot) = open.and_then(|at| shape.get_mut(at)) {
            *slot = rest;
        }
    }
    reshaped(input, shape)
}

/// The same elements in another shape.
pub(super) fn reshaped(input: &Tensor, shape: Vec<usize>) -> Result<Tensor, String> {
    let fits = format!("{:?} does not fit into {shape:?}", input.shape());
    Tensor::new(shape, input.data().clone()).ok_or(fits)
}

/// Flatten to two dimensions.
pub(super) fn flatten(input: &Tensor, at: i64) -> Result<Tensor, String> {
    let rank = input.shape().len();
    let at = if at == i64::try_from(rank).unwrap_or(i64::MAX) { rank } else { axis(at, rank)? };
    let (lead, tail) = input.shape().split_at(at.min(rank));
    reshaped(input, vec![lead.iter().product(), tail.iter().product()])
}

/// Adds dimensions of size one.
pub(super) fn unsqueeze(input: &Tensor, axes: &[i64]) -> Result<Tensor, String> {
    let rank = input.shape().len() + axes.len();
    let at: Vec<usize> = axes.iter().map(|at| axis(*at, rank)).collect::<Result<_, _>>()?;
    let mut old = input.shape().iter().copied();
    let shape = (0..rank).map(|here| if at.contains(&here) { 1 } else { old.next().unwrap_or(1) }).collect();
    reshaped(input, shape)
}

/// Takes away dimensions of size one; all of them when none is named.
pub(super) fn squeeze(input: &Tensor, axes: &[i64]) -> Result<Tensor, String> {
    let rank = input.shape().len();
    let at: Vec<usize> = axes.iter().map(|at| axis(*at, rank)).collect::<Result<_, _>>()?;
    let goes = |here: usize, size: usize| if axes.is_empty() { size == 1 } else { at.contains(&here) };
    let kept = input.shape().iter().enumerate().filter(|(here, size)| !goes(*here, **size)).map(|(_, size)| *size);
    reshaped(input, kept.collect())
}

/// Another order of dimensions; the reverse when none is given.
pub(super) fn transpose(input: &Tensor, order: &[i64]) -> Result<Tensor, String> {
    let rank = input.shape().len();
    let order: Vec<usize> = match order.is_empty() {
        true => (0..rank).rev().collect(),
        false => order.iter().map(|at| axis(*at, rank)).collect::<Result<_, _>>()?,
    };
    let mut seen = order.clone();
    seen.sort_unstable();
    if !seen.into_iter().eq(0..rank) {
        return Err("its order of dimensions is not one".into());
    }
    let size = |at: usize| input.shape().get(at).copied().unwrap_or(1);
    let step = |at: usize| around(input.shape(), at).2;
    let dims: Vec<(usize, usize)> = order.iter().map(|at| (size(*at), step(*at))).collect();
    select(input, &dims, 0)
}

/// The elements at `start + Σ index × step`, over all indexes of the given sizes.
fn select(input: &Tensor, dims: &[(usize, usize)], start: usize) -> Result<Tensor, String> {
    let shape: Vec<usize> = dims.iter().map(|(size, _)| *size).collect();
    let count = elements(&shape).ok_or(TOO_LARGE)?;
    let place = |mut index: usize| {
        dims.iter().rev().fold(start, |place, (size, step)| {
            let here = index % (*size).max(1);
            index /= (*size).max(1);
            place + here * step
        })
    };
    gather(shape, input, (0..count).map(place)).ok_or_else(|| "it asks for values that are not there".to_owned())
}

/// Tensors joined along an axis.
pub(super) fn concat(inputs: &[&Tensor], along: i64) -> Result<Tensor, String> {
    let first = inputs.first().ok_or("it has no inputs")?;
    let along = axis(along, first.shape().len())?;
    let mut shape = first.shape().to_vec();
    let mut size = 0usize;
    for input in inputs {
        let rest = |shape: &[usize]| shape.iter().enumerate().filter(|(at, _)| *at != along).map(|(_, s)| *s).collect();
        let (mine, theirs): (Vec<usize>, Vec<usize>) = (rest(first.shape()), rest(input.shape()));
        if mine != theirs || input.shape().len() != shape.len() {
            return Err("its inputs do not fit side by side".into());
        }
        size = size.saturating_add(input.shape().get(along).copied().unwrap_or(0));
    }
    if let Some(slot) = shape.get_mut(along) {
        *slot = size;
    }
    elements(&shape).ok_or(TOO_LARGE)?;
    let before = around(first.shape(), along).0;
    macro_rules! join {
        ($kind:path) => {{
            let mut lists = Vec::with_capacity(inputs.len());
            for input in inputs {
                let $kind(values) = input.data() else { return Err("its inputs differ in type".into()) };
                let (_, size, after) = around(input.shape(), along);
                lists.push((values, size * after));
            }
            let mut joined = Vec::new();
            for row in 0..before {
                for (values, width) in &lists {
                    joined.extend_from_slice(values.get(row * width..(row + 1) * width).unwrap_or_default());
                }
            }
            $kind(joined)
        }};
    }
    let data = match first.data() {
        Data::Float(_) => join!(Data::Float),
        Data::Double(_) => join!(Data::Double),
        Data::Int(_) => join!(Data::Int),
        Data::Bool(_) => join!(Data::Bool),
        Data::Text(_) => join!(Data::Text),
    };
    Tensor::new(shape, data).ok_or_else(|| TOO_LARGE.to_owned())
}

/// Parts of dimensions, from `starts` to before `ends`, every `steps`th.
pub(super) fn slice(
    input: &Tensor,
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Tensor, String> {
    let rank = input.shape().len();
    let mut dims: Vec<(i64, i64, i64)> = Vec::with_capacity(rank); // from, step, count
    for size in input.shape() {
        dims.push((0, 1, i64::try_from(*size).map_err(|_| TOO_LARGE)?));
    }
    if starts.len() != ends.len() || starts.len() > rank {
        return Err("its starts and ends do not fit together".into());
    }
    for (index, (start, end)) in starts.iter().zip(ends).enumerate() {
        let at = match axes {
            Some(axes) => axis(axes.get(index).copied().ok_or("it names too few axes")?, rank)?,
            None => index,
        };
        let step = steps.map_or(Some(1), |steps| steps.get(index).copied()).ok_or("it has too few steps")?;
        let Some(dim) = dims.get_mut(at) else { continue };
        *dim = cut(dim.2, *start, *end, step)?;
    }
    let mut shape = Vec::with_capacity(rank);
    for (_, _, count) in &dims {
        shape.push(usize::try_from(*count).map_err(|_| TOO_LARGE)?);
    }
    let count = elements(&shape).ok_or(TOO_LARGE)?;
    let strides: Vec<usize> = (0..rank).map(|at| around(input.shape(), at).2).collect();
    let place = |mut index: usize| {
        let mut place = 0;
        for ((from, step, count), stride) in dims.iter().zip(&strides).rev() {
            let count = usize::try_from(*count).unwrap_or(1).max(1);
            let here =
                i64::try_from(index % count).ok().and_then(|n| n.checked_mul(*step)).and_then(|n| n.checked_add(*from));
            index /= count;
            place += here.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX >> 8) * stride;
        }
        place
    };
    gather(shape, input, (0..count).map(place)).ok_or_else(|| "it asks for values that are not there".to_owned())
}

/// From, step and count of one cut dimension, by numpy's rules.
fn cut(size: i64, start: i64, end: i64, step: i64) -> Result<(i64, i64, i64), String> {
    if step == 0 || step == i64::MIN {
        return Err("it has a step that cannot be taken".into());
    }
    let from_front = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (start, end) = (from_front(start), from_front(end));
    let count = if step > 0 {
        let (start, end) = (start.clamp(0, size), end.clamp(0, size));
        return Ok((start, step, ((end - start).max(0) as u64).div_ceil(step.unsigned_abs()) as i64));
    } else {
        let (start, end) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
        (start, ((start - end).max(0) as u64).div_ceil(step.unsigned_abs()) as i64)
    };
    Ok((count.0, step, count.1))
}

/// Chooses entries along an axis by number.
pub(super) fn take(input: &Tensor, wanted: &Tensor, along: i64) -> Result<Tensor, String> {
    let along = axis(along, input.shape().len())?;
    let (before, size, after) = around(input.shape(), along);
    let numbers = wanted.ints().ok_or("its numbers are not integers")?;
    let numbers: Vec<usize> = numbers.iter().map(|at| axis(*at, size)).collect::<Result<_, _>>()?;
    let mut shape: Vec<usize> = input.shape().iter().take(along).copied().collect();
    shape.extend_from_slice(wanted.shape());
    shape.extend(input.shape().iter().skip(along + 1));
    elements(&shape).ok_or(TOO_LARGE)?;
    let numbers = &numbers;
    let places = (0..before).flat_map(move |row| {
        numbers.iter().flat_map(move |at| (0..after).map(move |last| (row * size + at) * after + last))
    });
    gather(shape, input, places).ok_or_else(|| "it asks for values that are not there".to_owned())
}

const TOO_LARGE: &str = "its result would be too large";
