//! A tensor seen as rows of numbers.

use std::borrow::Cow;

use crate::tensor::{Data, Tensor, elements};

/// Rows of 32-bit numbers; a list is one row.
pub(super) struct Matrix<'a> {
    values: Cow<'a, [f32]>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<'a> Matrix<'a> {
    /// The tensor's rows; integers become 32-bit floats.
    pub(super) fn of(tensor: &'a Tensor) -> Result<Self, String> {
        let values = match tensor.data() {
            Data::Float(values) => Cow::Borrowed(values.as_slice()),
            Data::Int(values) => Cow::Owned(values.iter().map(|value| *value as f32).collect()),
            Data::Double(_) => return Err("it is given 64-bit floats, which are not supported here".into()),
            Data::Bool(_) | Data::Text(_) => return Err("it is given values that are not numbers".into()),
        };
        let (rows, columns) = match *tensor.shape() {
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => return Err("it is given neither a list nor a table".into()),
        };
        Ok(Self { values, rows, columns })
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The rows; none when there are no columns.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns.max(1))
    }

    /// Room for `width` numbers for each row.
    pub(super) fn zeros(&self, width: usize) -> Result<Vec<f32>, String> {
        Ok(vec![0.0; elements(&[self.rows, width]).ok_or("its result would be too large")?])
    }
}
