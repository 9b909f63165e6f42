//! Values that flow through a model.

use std::sync::Arc;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit floating point.
    Float,
    /// 64-bit floating point.
    Double,
    /// Integers of any width, held in 64 bits.
    Int,
    /// Truth values.
    Bool,
    /// Texts.
    Text,
}

/// The elements of a tensor, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floating point.
    Float(Vec<f32>),
    /// 64-bit floating point.
    Double(Vec<f64>),
    /// Integers of any width, held in 64 bits.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Texts.
    Text(Vec<Arc<str>>),
}

/// Elements and their shape.
///
/// INVARIANT (shape-fits): the product of the shape is the number of elements, and at most `MAX_ELEMENTS`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Data {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        match self {
            Self::Float(_) => ElementType::Float,
            Self::Double(_) => ElementType::Double,
            Self::Int(_) => ElementType::Int,
            Self::Bool(_) => ElementType::Bool,
            Self::Text(_) => ElementType::Text,
        }
    }
}

impl Tensor {
    /// A tensor of this shape; none when the shape does not fit the elements or is too large.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Option<Self> {
        let shape = shape.into();
        (elements(&shape)? == data.len()).then_some(Self { shape, data })
    }

    /// The sizes of the dimensions; empty for a single value.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row by row.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The number of rows (the first dimension; one for a single value) and the elements of each.
    pub fn rows(&self) -> (usize, usize) {
        match self.shape.split_first() {
            Some((rows, rest)) => (*rows, rest.iter().product()),
            None => (1, 1),
        }
    }

    pub(crate) fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Float(values) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn ints(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Int(values) => Some(values),
            _ => None,
        }
    }
}

/// The number of elements of a shape; none when it is larger than [`MAX_ELEMENTS`].
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    if shape.len() > MAX_RANK {
        return None;
    }
    // A zero anywhere makes the product zero; the other sizes are still held to the bound.
    let product = shape
        .iter()
        .filter(|size| **size != 0)
        .try_fold(1usize, |product, size| product.checked_mul(*size).filter(|product| *product <= MAX_ELEMENTS))?;
    Some(if shape.contains(&0) { 0 } else { product })
}

/// The most elements one tensor may have: 256 MiB of floats, far above any batch of the runner.
pub(crate) const MAX_ELEMENTS: usize = 1 << 26;
/// The most dimensions: exporters write at most five or six.
const MAX_RANK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_does_not_fit_makes_no_tensor() {
        assert!(Tensor::new([2, 2], Data::Int(vec![1, 2, 3, 4])).is_some());
        assert!(Tensor::new([], Data::Int(vec![1])).is_some());
        for shape in [vec![3], vec![2, 3], vec![0], vec![usize::MAX, 2], vec![4; 17]] {
            assert!(Tensor::new(shape.clone(), Data::Int(vec![1, 2, 3, 4])).is_none(), "{shape:?}");
        }
    }

    #[test]
    fn an_absurd_shape_has_no_number_of_elements() {
        assert_eq!(elements(&[1 << 40, 1 << 40]), None);
        assert_eq!(elements(&[0, 1 << 40, 1 << 40]), None);
        assert_eq!(elements(&[0, 5]), Some(0));
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[1; 17]), None);
    }
}
