//! The classical operators that prepare features and name results: scaling, filling, choosing, mapping.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tensor::{Data, Tensor, elements};

use super::attributes::Settings;
use super::matrix::Matrix;

/// `(x - offset) * scale` for each column.
#[derive(Debug)]
pub(super) struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

impl Scaler {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let (offset, scale) = (settings.floats("offset").to_vec(), settings.floats("scale").to_vec());
        if offset.is_empty() || offset.len() != scale.len() {
            return Err("its offsets and scales do not fit together".into());
        }
        Ok(Self { offset, scale })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        let matrix = Matrix::of(input)?;
        let mut values = matrix.values().to_vec();
        if let ([offset], [scale]) = (self.offset.as_slice(), self.scale.as_slice()) {
            values.iter_mut().for_each(|value| *value = (*value - offset) * scale);
        } else if self.offset.len() == matrix.columns {
            for row in values.chunks_exact_mut(matrix.columns) {
                for ((value, offset), scale) in row.iter_mut().zip(&self.offset).zip(&self.scale) {
                    *value = (*value - offset) * scale;
                }
            }
        } else {
            return Err(format!("it expects {} features, {} are given", self.offset.len(), matrix.columns));
        }
        same_shape(input, values)
    }
}

/// Each row divided by its largest value, its sum of magnitudes or its length.
#[derive(Debug, Clone, Copy)]
pub(super) enum Normalizer {
    Max,
    L1,
    L2,
}

impl Normalizer {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        match settings.text("norm", "MAX")? {
            "MAX" => Ok(Self::Max),
            "L1" => Ok(Self::L1),
            "L2" => Ok(Self::L2),
            other => Err(format!("`{}` is not a norm", crate::onnx::clip(other))),
        }
    }

    pub(super) fn run(self, input: &Tensor) -> Result<Tensor, String> {
        let matrix = Matrix::of(input)?;
        let mut values = matrix.values().to_vec();
        for row in values.chunks_exact_mut(matrix.columns.max(1)) {
            let norm = match self {
                Self::Max => row.iter().copied().fold(f32::MIN, f32::max),
                Self::L1 => row.iter().map(|value| value.abs()).sum(),
                Self::L2 => row.iter().map(|value| value * value).sum::<f32>().sqrt(),
            };
            if norm != 0.0 {
                row.iter_mut().for_each(|value| *value /= norm);
            }
        }
        same_shape(input, values)
    }
}

/// 1 above the threshold, else 0.
#[derive(Debug)]
pub(super) struct Binarizer(f32);

impl Binarizer {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Self {
        Self(settings.float("threshold", 0.0))
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        let values = input.floats().ok_or("it is given values that are not 32-bit floats")?;
        same_shape(input, values.iter().map(|value| if *value > self.0 { 1.0 } else { 0.0 }).collect())
    }
}

/// Puts a value in the place of the missing ones.
#[derive(Debug)]
pub(super) struct Imputer {
    fill: Vec<f32>,
    replaced: f32,
}

impl Imputer {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let fill = settings.floats("imputed_value_floats").to_vec();
        if fill.is_empty() {
            return Err("it has no 32-bit floats to put in".into());
        }
        Ok(Self { fill, replaced: settings.float("replaced_value_float", 0.0) })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        let columns = input.rows().1.max(1);
        let mut values = input.floats().ok_or("it is given values that are not 32-bit floats")?.to_vec();
        if self.fill.len() != 1 && self.fill.len() != columns {
            return Err(format!("it expects {} features, {columns} are given", self.fill.len()));
        }
        for row in values.chunks_exact_mut(columns) {
            for (value, fill) in row.iter_mut().zip(self.fill.iter().cycle()) {
                if *value == self.replaced || (self.replaced.is_nan() && value.is_nan()) {
                    *value = *fill;
                }
            }
        }
        same_shape(input, values)
    }
}

/// Chooses columns by number.
pub(super) fn extract(input: &Tensor, columns: &Tensor) -> Result<Tensor, String> {
    let wanted = columns.ints().ok_or("its column numbers are not integers")?;
    let (lead, width) = match input.shape() {
        [] => return Err("it is given a single value".into()),
        [width] => (vec![1], *width),
        [lead @ .., width] => (lead.to_vec(), *width),
    };
    let wanted: Option<Vec<usize>> =
        wanted.iter().map(|at| usize::try_from(*at).ok().filter(|at| *at < width)).collect();
    let wanted = wanted.ok_or_else(|| format!("it asks for a column that is not among {width}"))?;
    let mut shape = lead;
    shape.push(wanted.len());
    let count = elements(&shape).ok_or("its result would be too large")?;
    let at = |index: usize| {
        let (row, column) = (index / wanted.len().max(1), index % wanted.len().max(1));
        row * width + wanted.get(column).copied().unwrap_or(0)
    };
    gather(shape, input, (0..count).map(at)).ok_or_else(|| "it asks for values that are not there".to_owned())
}

/// The tensor of the elements at these places; none when one is not there.
pub(super) fn gather(shape: Vec<usize>, input: &Tensor, places: impl Iterator<Item = usize>) -> Option<Tensor> {
    fn at<T: Clone>(values: &[T], places: impl Iterator<Item = usize>) -> Option<Vec<T>> {
        places.map(|place| values.get(place).cloned()).collect()
    }
    let data = match input.data() {
        Data::Float(values) => Data::Float(at(values, places)?),
        Data::Double(values) => Data::Double(at(values, places)?),
        Data::Int(values) => Data::Int(at(values, places)?),
        Data::Bool(values) => Data::Bool(at(values, places)?),
        Data::Text(values) => Data::Text(at(values, places)?),
    };
    Tensor::new(shape, data)
}

/// A label map: from one set of values to another.
#[derive(Debug)]
pub(super) struct LabelEncoder {
    keys: Keys,
    values: Data,
    default: Data,
}

#[derive(Debug)]
enum Keys {
    Texts(HashMap<Arc<str>, usize>),
    Ints(HashMap<i64, usize>),
    Floats(HashMap<u32, usize>),
}

impl LabelEncoder {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let (keys, count) = Keys::read(settings)?;
        let texts = settings.texts("values_strings")?;
        let (values, default) = if !texts.is_empty() {
            let default = Arc::from(settings.text("default_string", "_Unused")?);
            (Data::Text(texts.into_iter().map(Arc::from).collect()), Data::Text(vec![default]))
        } else if settings.has("values_int64s") {
            (Data::Int(settings.ints("values_int64s").to_vec()), Data::Int(vec![settings.int("default_int64", -1)]))
        } else {
            (
                Data::Float(settings.floats("values_floats").to_vec()),
                Data::Float(vec![settings.float("default_float", -0.0)]),
            )
        };
        if values.len() != count || count == 0 {
            return Err("its keys and values do not fit together".into());
        }
        Ok(Self { keys, values, default })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        fn map<T: Clone + Default>(values: &[T], default: &[T], found: Vec<Option<usize>>) -> Vec<T> {
            let other = default.first().cloned().unwrap_or_default();
            found.into_iter().map(|at| at.and_then(|at| values.get(at)).unwrap_or(&other).clone()).collect()
        }
        let found: Vec<Option<usize>> = match (&self.keys, input.data()) {
            (Keys::Texts(keys), Data::Text(values)) => values.iter().map(|value| keys.get(value).copied()).collect(),
            (Keys::Ints(keys), Data::Int(values)) => values.iter().map(|value| keys.get(value).copied()).collect(),
            (Keys::Floats(keys), Data::Float(values)) => {
                values.iter().map(|value| keys.get(&float_key(*value)).copied()).collect()
            }
            _ => return Err("it is given values of another type than its keys".into()),
        };
        let data = match (&self.values, &self.default) {
            (Data::Text(values), Data::Text(default)) => Data::Text(map_texts(values, default, &found)),
            (Data::Int(values), Data::Int(default)) => Data::Int(map(values, default, found)),
            (Data::Float(values), Data::Float(default)) => Data::Float(map(values, default, found)),
            _ => return Err("its values have a type that is not supported".into()),
        };
        Tensor::new(input.shape(), data).ok_or_else(|| "too many values".to_owned())
    }
}

fn map_texts(values: &[Arc<str>], default: &[Arc<str>], found: &[Option<usize>]) -> Vec<Arc<str>> {
    let other = default.first().cloned().unwrap_or_else(|| Arc::from(""));
    found.iter().map(|at| at.and_then(|at| values.get(at)).unwrap_or(&other).clone()).collect()
}

impl Keys {
    fn read(settings: &Settings<'_, '_>) -> Result<(Self, usize), String> {
        let texts = settings.texts("keys_strings")?;
        if !texts.is_empty() {
            let count = texts.len();
            return Ok((Self::Texts(first_wins(texts.into_iter().map(Arc::from))), count));
        }
        let ints = settings.ints("keys_int64s");
        if !ints.is_empty() {
            return Ok((Self::Ints(first_wins(ints.iter().copied())), ints.len()));
        }
        let floats = settings.floats("keys_floats");
        Ok((Self::Floats(first_wins(floats.iter().map(|key| float_key(*key)))), floats.len()))
    }
}

fn first_wins<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut map = HashMap::new();
    for (at, key) in keys.enumerate() {
        map.entry(key).or_insert(at);
    }
    map
}

/// Equal floats have equal keys: the two zeros, and all that are not numbers.
fn float_key(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

/// One column for each category.
#[derive(Debug)]
pub(super) struct OneHot {
    keys: Keys,
    count: usize,
    unknown_is_zeros: bool,
}

impl OneHot {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let texts = settings.texts("cats_strings")?;
        let ints = settings.ints("cats_int64s");
        let (keys, count) = match texts.is_empty() {
            false => {
                let count = texts.len();
                (Keys::Texts(first_wins(texts.into_iter().map(Arc::from))), count)
            }
            true => (Keys::Ints(first_wins(ints.iter().copied())), ints.len()),
        };
        if count == 0 {
            return Err("it has no categories".into());
        }
        Ok(Self { keys, count, unknown_is_zeros: settings.int("zeros", 1) != 0 })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        let found: Vec<Option<usize>> = match (&self.keys, input.data()) {
            (Keys::Texts(keys), Data::Text(values)) => values.iter().map(|value| keys.get(value).copied()).collect(),
            (Keys::Ints(keys), Data::Int(values)) => values.iter().map(|value| keys.get(value).copied()).collect(),
            (Keys::Ints(keys), Data::Float(values)) => {
                values.iter().map(|value| keys.get(&(*value as i64)).copied()).collect()
            }
            _ => return Err("it is given values of another type than its categories".into()),
        };
        let mut shape = input.shape().to_vec();
        shape.push(self.count);
        let mut values = vec![0.0; elements(&shape).ok_or("its result would be too large")?];
        for (row, at) in values.chunks_exact_mut(self.count).zip(found) {
            match at.and_then(|at| row.get_mut(at)) {
                Some(cell) => *cell = 1.0,
                None if self.unknown_is_zeros => {}
                None => return Err("it is given a category that it does not know".into()),
            }
        }
        Tensor::new(shape, Data::Float(values)).ok_or_else(|| "too many values".to_owned())
    }
}

/// Tables side by side, as floats.
pub(super) fn vectorize(inputs: &[&Tensor]) -> Result<Tensor, String> {
    let tables: Vec<Matrix<'_>> = inputs.iter().map(|input| Matrix::of(input)).collect::<Result<_, _>>()?;
    let rows = tables.first().map_or(0, |table| table.rows);
    if tables.iter().any(|table| table.rows != rows || table.columns == 0) {
        return Err("its inputs differ in their number of rows".into());
    }
    let width = tables.iter().try_fold(0usize, |sum, table| sum.checked_add(table.columns)).unwrap_or(usize::MAX);
    let mut values = Vec::with_capacity(elements(&[rows, width]).ok_or("its result would be too large")?);
    let mut lists: Vec<_> = tables.iter().map(Matrix::iter).collect();
    for _ in 0..rows {
        lists.iter_mut().for_each(|list| values.extend_from_slice(list.next().unwrap_or_default()));
    }
    Tensor::new([rows, width], Data::Float(values)).ok_or_else(|| "its result would be too large".to_owned())
}

fn same_shape(input: &Tensor, values: Vec<f32>) -> Result<Tensor, String> {
    Tensor::new(input.shape(), Data::Float(values)).ok_or_else(|| "too many values".to_owned())
}
