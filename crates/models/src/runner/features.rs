//! Which columns a model is given, and in what shape.

use std::sync::Arc;

use csv::ByteRecord;

use crate::args::RunnerArgs;
use crate::error::{ModelError, RunnerError};
use crate::model::{Batch, Model, Port};
use crate::onnx::clip;
use crate::table::{TableError, is_missing, number};
use crate::tensor::{Data, ElementType, Tensor};

/// Made once from the header, the first rows and the model; used for every batch.
#[derive(Debug)]
pub(super) struct Plan {
    header: Vec<String>,
    key_names: Vec<String>,
    /// Columns of the keys; none when the row's number is the key.
    keys: Option<Vec<usize>>,
    inputs: Vec<Given>,
}

/// What one input of the model is given.
#[derive(Debug)]
struct Given {
    columns: Vec<usize>,
    kind: ElementType,
    /// The shape after the first dimension.
    tail: Vec<usize>,
    /// Whether the model takes one row at a time only.
    one_row: bool,
}

impl Plan {
    pub(super) fn make(
        model: &Model,
        header: &[String],
        first: &[ByteRecord],
        args: &RunnerArgs,
    ) -> Result<Self, RunnerError> {
        let find = |name: &String| {
            let at = header.iter().position(|column| column == name);
            at.ok_or_else(|| TableError::NoColumn { column: clip(name) })
        };
        let numeric: Vec<bool> = (0..header.len()).map(|column| is_numeric(first, column)).collect();
        let declared = args.keys.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let keys = match declared.is_empty() {
            false => Some(declared),
            true => numeric.iter().position(|numeric| !numeric).map(|column| vec![column]),
        };
        let features = match args.features.is_empty() {
            false => args.features.iter().map(find).collect::<Result<Vec<_>, _>>()?,
            true => (0..header.len())
                .filter(|column| numeric.get(*column) == Some(&true) && !keys.iter().flatten().any(|key| key == column))
                .collect(),
        };
        let inputs = match model.inputs() {
            [] => return Err(inputs("it takes no inputs".into())),
            [port] => vec![Given::whole(port, features)?],
            ports => ports.iter().map(|port| Given::named(port, header)).collect::<Result<_, _>>()?,
        };
        let names = |keys: &Vec<usize>| keys.iter().filter_map(|key| header.get(*key).cloned()).collect();
        let key_names = keys.as_ref().map_or_else(|| vec![ROW_KEY.to_owned()], names);
        Ok(Self { header: header.to_vec(), key_names, keys, inputs })
    }

    /// Names of the key columns as written.
    pub(super) fn keys(&self) -> &[String] {
        &self.key_names
    }

    /// How many columns the model is given.
    pub(super) fn features(&self) -> usize {
        self.inputs.iter().map(|input| input.columns.len()).sum()
    }

    /// One where the model takes one row at a time.
    pub(super) fn rows_at_once(&self) -> Option<usize> {
        self.inputs.iter().any(|input| input.one_row).then_some(1)
    }

    /// The key columns of a row.
    pub(super) fn key_values(&self, record: &ByteRecord, row: u64) -> Result<Vec<String>, RunnerError> {
        let Some(keys) = &self.keys else { return Ok(vec![row.to_string()]) };
        let text = |key: &usize| {
            let field = record.get(*key).unwrap_or_default();
            std::str::from_utf8(field)
                .map(str::to_owned)
                .map_err(|_| self.wrong(row, *key, "the key is not UTF-8").into())
        };
        keys.iter().map(text).collect()
    }

    /// The rows as the model takes them; `before` rows came earlier.
    pub(super) fn batch(&self, records: &[ByteRecord], before: u64, allow_missing: bool) -> Result<Batch, RunnerError> {
        let inputs = self.inputs.iter().map(|input| self.tensor(input, records, before, allow_missing));
        Ok(Batch { inputs: inputs.collect::<Result<_, _>>()? })
    }

    fn tensor(&self, input: &Given, records: &[ByteRecord], before: u64, missing: bool) -> Result<Tensor, RunnerError> {
        let count = records.len() * input.columns.len();
        let data = match input.kind {
            ElementType::Text => {
                let mut texts: Vec<Arc<str>> = Vec::with_capacity(count);
                self.each(input, records, before, |field, row, column| {
                    let text = std::str::from_utf8(field);
                    texts.push(Arc::from(text.map_err(|_| self.wrong(row, column, "the text is not UTF-8"))?));
                    Ok(())
                })?;
                Data::Text(texts)
            }
            ElementType::Int | ElementType::Bool => {
                let mut ints = Vec::with_capacity(count);
                self.each(input, records, before, |field, row, column| {
                    let value = self.number(field, row, column, false)?;
                    if value.fract() != 0.0 || value.abs() > MAX_EXACT {
                        return Err(self.wrong(row, column, "the model takes whole numbers here"));
                    }
                    ints.push(value as i64);
                    Ok(())
                })?;
                match input.kind {
                    ElementType::Bool => Data::Bool(ints.into_iter().map(|value| value != 0).collect()),
                    _ => Data::Int(ints),
                }
            }
            ElementType::Double => {
                let mut values = Vec::with_capacity(count);
                self.each(input, records, before, |field, row, column| {
                    values.push(self.number(field, row, column, missing)?);
                    Ok(())
                })?;
                Data::Double(values)
            }
            ElementType::Float => {
                let mut values = Vec::with_capacity(count);
                self.each(input, records, before, |field, row, column| {
                    let value = self.number(field, row, column, missing)? as f32;
                    if value.is_infinite() && !missing {
                        return Err(self.wrong(row, column, "the number is too large for 32-bit floats"));
                    }
                    values.push(value);
                    Ok(())
                })?;
                Data::Float(values)
            }
        };
        let mut shape = vec![records.len()];
        shape.extend_from_slice(&input.tail);
        Tensor::new(shape, data).ok_or_else(|| inputs("the batch is larger than allowed".into()))
    }

    fn each<'r>(
        &self,
        input: &Given,
        records: &'r [ByteRecord],
        before: u64,
        mut take: impl FnMut(&'r [u8], u64, usize) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        for (record, row) in records.iter().zip(before + 1..) {
            for column in &input.columns {
                take(record.get(*column).unwrap_or_default(), row, *column)?;
            }
        }
        Ok(())
    }

    fn number(&self, field: &[u8], row: u64, column: usize, missing: bool) -> Result<f64, TableError> {
        match number(field) {
            Some(value) if value.is_finite() || missing => Ok(value),
            Some(_) => Err(self.wrong(row, column, "the value is not a finite number")),
            None if !is_missing(field) => Err(self.wrong(row, column, "the value is not a number")),
            None if missing => Ok(f64::NAN),
            None => Err(self.wrong(row, column, "the value is missing")),
        }
    }

    fn wrong(&self, row: u64, column: usize, why: &'static str) -> TableError {
        TableError::Value { row, column: self.header.get(column).map_or(String::new(), |name| clip(name)), why }
    }
}

impl Given {
    /// A single input takes all features of a row, in whatever shape it has.
    fn whole(port: &Port, columns: Vec<usize>) -> Result<Self, RunnerError> {
        let shape = port.shape.clone().unwrap_or_else(|| vec![None, None]);
        let [first, rest @ ..] = shape.as_slice() else {
            return Err(inputs(format!("`{}` takes a single value, not rows", clip(&port.name))));
        };
        let known: usize =
            rest.iter().flatten().try_fold(1usize, |product, size| product.checked_mul(*size)).unwrap_or(0);
        let open = rest.iter().filter(|size| size.is_none()).count();
        let fits = match open {
            0 => known == columns.len(),
            1 => known > 0 && columns.len().is_multiple_of(known) && !columns.is_empty(),
            _ => false,
        };
        if !fits || !matches!(first, None | Some(1)) {
            let expected = if open == 0 { known.to_string() } else { "another number of".to_owned() };
            return Err(inputs(match first {
                Some(rows) if *rows != 1 => format!("it takes exactly {rows} rows at a time"),
                _ => format!("it takes {expected} features, the table has {} numeric columns for it", columns.len()),
            }));
        }
        let tail = rest.iter().map(|size| size.unwrap_or(columns.len() / known.max(1))).collect();
        Ok(Self { columns, kind: port.kind.unwrap_or(ElementType::Float), tail, one_row: *first == Some(1) })
    }

    /// Each of several inputs takes the column of its name.
    fn named(port: &Port, header: &[String]) -> Result<Self, RunnerError> {
        let column = header.iter().position(|column| *column == port.name);
        let column = column.ok_or_else(|| TableError::NoColumn { column: clip(&port.name) })?;
        let shape = port.shape.clone().unwrap_or_else(|| vec![None, Some(1)]);
        let (tail, first) = match shape.as_slice() {
            [first] => (vec![], first),
            [first, None | Some(1)] => (vec![1], first),
            _ => return Err(inputs(format!("`{}` takes more than one value for each row", clip(&port.name)))),
        };
        if !matches!(first, None | Some(1)) {
            return Err(inputs("it takes a fixed number of rows at a time".into()));
        }
        let one_row = *first == Some(1);
        Ok(Self { columns: vec![column], kind: port.kind.unwrap_or(ElementType::Float), tail, one_row })
    }
}

/// A column is numeric when its first value is; later ones that are not are errors, not another kind of column.
fn is_numeric(first: &[ByteRecord], column: usize) -> bool {
    let values = first.iter().filter_map(|record| record.get(column));
    values.into_iter().find(|value| !is_missing(value)).is_none_or(|value| number(value).is_some())
}

fn inputs(why: String) -> RunnerError {
    ModelError::Inputs { why }.into()
}

/// The key where the table has none.
const ROW_KEY: &str = "row";
/// Up to here every whole number is exact in 64-bit floats.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
