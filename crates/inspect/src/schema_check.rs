//! From a declaration to its checked form: every contradiction is named with its path and a remedy.

use std::collections::{HashMap, HashSet};

use crate::column::{CharacterClass, CheckedColumn, Domain};
use crate::decimal::{MAX_DIGITS, read_decimal};
use crate::names::{check_name, is_unprintable, visible};
use crate::schema::{CheckedFile, CheckedSchema, ColumnSpec, ColumnType, Format, Number, Order, OutputFile, RowRule};
use crate::{OutputSchema, SchemaError, SchemaProblem};

/// Most declared files: as many as the default rule lets out.
const MAX_FILES: usize = 100;
/// Most columns of a file: wider tables are data sets, not results.
const MAX_COLUMNS: usize = 256;
/// Longest column name in bytes.
const MAX_COLUMN_NAME_BYTES: usize = 128;
/// Longest value of a category in bytes.
const MAX_VALUE_BYTES: usize = 256;
/// Most values of a category.
const MAX_VALUES: usize = 10_000;
/// Longest text of a cell: as long as a cell may be at all.
const MAX_TEXT_BYTES: u64 = crate::table::MAX_CELL_BYTES as u64;
/// Most rows of a table: sorting holds them in memory.
pub(crate) const MAX_ROWS: u64 = 10_000_000;

/// Checks a whole schema.
pub(crate) fn check(schema: OutputSchema) -> Result<CheckedSchema, SchemaError> {
    if schema.files.len() > MAX_FILES {
        return Err(SchemaError::new("output", SchemaProblem::TooManyFiles));
    }
    let mut names = HashSet::new();
    let mut files = Vec::new();
    for (place, file) in schema.files.into_iter().enumerate() {
        let path = format!("output[{place}]");
        if !names.insert(file.file.clone()) {
            return Err(SchemaError::new(format!("{path}.file"), SchemaProblem::FileTwice));
        }
        files.push(check_file(file, &path)?);
    }
    Ok(CheckedSchema { files })
}

fn check_file(file: OutputFile, path: &str) -> Result<CheckedFile, SchemaError> {
    let wrong = |field: &str, problem| SchemaError::new(format!("{path}.{field}"), problem);
    check_name(file.file.as_bytes())
        .map_err(|kind| wrong("file", SchemaProblem::FileName).with_detail(format!("{kind}")))?;
    if format_of(&file.file).is_some_and(|format| format != file.format) {
        return Err(wrong("format", SchemaProblem::FormatContradicts));
    }
    if file.columns.is_empty() {
        return Err(wrong("column", SchemaProblem::NoColumns));
    }
    if file.columns.len() > MAX_COLUMNS {
        return Err(wrong("column", SchemaProblem::TooManyColumns));
    }
    if let [ColumnSpec { nullable: true, .. }] = file.columns.as_slice()
        && file.format == Format::Csv
    {
        return Err(wrong("column[0].nullable", SchemaProblem::LoneNullable));
    }
    let (rows, min_rows, max_rows) = check_rows(&file, path)?;
    let mut places = HashMap::new();
    let mut columns = Vec::new();
    for (place, column) in file.columns.into_iter().enumerate() {
        let path = format!("{path}.column[{place}]");
        if places.insert(column.name.clone(), place).is_some() {
            return Err(SchemaError::new(format!("{path}.name"), SchemaProblem::ColumnTwice));
        }
        columns.push(check_column(column, &path)?);
    }
    Ok(CheckedFile {
        name: file.file,
        format: file.format,
        order: file.order,
        rows,
        min_rows,
        max_rows,
        columns,
        places,
    })
}

/// The format that a file's ending promises, if it promises one.
fn format_of(name: &str) -> Option<Format> {
    match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        _ => None,
    }
}

fn check_rows(file: &OutputFile, path: &str) -> Result<(RowRule, u64, u64), SchemaError> {
    let wrong = |field: &str, problem| SchemaError::new(format!("{path}.{field}"), problem);
    let keys = file.columns.iter().filter(|column| column.kind == ColumnType::Key).count();
    let rows = file.rows.unwrap_or(if keys > 0 { RowRule::AtMostOnePerKey } else { RowRule::Any });
    if keys == 0 && rows != RowRule::Any {
        return Err(wrong("rows", SchemaProblem::NeedsKey));
    }
    if keys == 0 && file.order == Order::AsInput {
        return Err(wrong("order", SchemaProblem::NeedsKey));
    }
    if rows == RowRule::OnePerKey {
        if keys > 1 {
            return Err(wrong("rows", SchemaProblem::NeedsOneKey));
        }
        for (field, bound) in [("min_rows", file.min_rows), ("max_rows", file.max_rows)] {
            if bound.is_some() {
                return Err(wrong(field, SchemaProblem::RowsContradict));
            }
        }
        return Ok((rows, 0, MAX_ROWS));
    }
    if file.max_rows.is_none() && (rows == RowRule::Any || keys > 1) {
        return Err(wrong("max_rows", SchemaProblem::RowsUnbounded));
    }
    let (min, max) = (file.min_rows.unwrap_or(0), file.max_rows.unwrap_or(MAX_ROWS));
    if max == 0 || max > MAX_ROWS {
        return Err(wrong("max_rows", SchemaProblem::RowBounds));
    }
    if min > max {
        return Err(wrong("min_rows", SchemaProblem::RowBounds));
    }
    Ok((rows, min, max))
}

fn check_column(column: ColumnSpec, path: &str) -> Result<CheckedColumn, SchemaError> {
    check_fields(&column, path)?;
    let wrong = |field: &str, problem| SchemaError::new(format!("{path}.{field}"), problem);
    let missing = |field: &str| wrong(field, SchemaProblem::FieldMissing);
    if !is_usable(&column.name, MAX_COLUMN_NAME_BYTES) {
        return Err(wrong("name", SchemaProblem::ColumnName));
    }
    let domain = match column.kind {
        ColumnType::Integer => check_range(&column, 0, path)?,
        ColumnType::Decimal => {
            let precision = column.precision.ok_or_else(|| missing("precision"))?;
            if precision > MAX_DIGITS {
                return Err(wrong("precision", SchemaProblem::Precision));
            }
            check_range(&column, precision, path)?
        }
        ColumnType::Category => check_values(column.values.ok_or_else(|| missing("values"))?, path)?,
        ColumnType::Boolean => Domain::Boolean,
        ColumnType::Text => {
            let max_length = column.max_length.ok_or_else(|| missing("max_length"))?;
            if max_length == 0 || max_length > MAX_TEXT_BYTES {
                return Err(wrong("max_length", SchemaProblem::BadLength));
            }
            let class = match column.pattern {
                None => None,
                Some(pattern) => {
                    Some(CharacterClass::parse(&pattern).ok_or_else(|| wrong("pattern", SchemaProblem::BadPattern))?)
                }
            };
            Domain::Text { max_length, class }
        }
        ColumnType::Key => {
            let from = column.from.ok_or_else(|| missing("from"))?;
            let usable = from
                .split_once('.')
                .is_some_and(|(input, column)| !input.is_empty() && !column.is_empty() && !from.contains('\0'));
            if !usable {
                return Err(wrong("from", SchemaProblem::BadSource));
            }
            if column.nullable {
                return Err(wrong("nullable", SchemaProblem::KeyNullable));
            }
            Domain::Key { from }
        }
    };
    Ok(CheckedColumn { name: column.name, nullable: column.nullable, domain })
}

/// Refuses fields that mean nothing for the column's type.
fn check_fields(column: &ColumnSpec, path: &str) -> Result<(), SchemaError> {
    use ColumnType::{Category, Decimal, Integer, Key, Text};
    let fields: [(&str, bool, &[ColumnType]); 7] = [
        ("min", column.min.is_some(), &[Integer, Decimal]),
        ("max", column.max.is_some(), &[Integer, Decimal]),
        ("precision", column.precision.is_some(), &[Decimal]),
        ("values", column.values.is_some(), &[Category]),
        ("max_length", column.max_length.is_some(), &[Text]),
        ("pattern", column.pattern.is_some(), &[Text]),
        ("from", column.from.is_some(), &[Key]),
    ];
    match fields.iter().find(|(_, present, kinds)| *present && !kinds.contains(&column.kind)) {
        Some((field, ..)) => Err(SchemaError::new(format!("{path}.{field}"), SchemaProblem::FieldForeign)),
        None => Ok(()),
    }
}

fn check_range(column: &ColumnSpec, precision: u32, path: &str) -> Result<Domain, SchemaError> {
    let bound = |field: &str, number: &Option<Number>| {
        let path = format!("{path}.{field}");
        let number = number.as_ref().ok_or_else(|| SchemaError::new(&path, SchemaProblem::FieldMissing))?;
        match read_decimal(&number.0, precision) {
            Ok(read) if read.exact => Ok(read.scaled),
            _ => Err(SchemaError::new(&path, SchemaProblem::BadNumber)),
        }
    };
    let (min, max) = (bound("min", &column.min)?, bound("max", &column.max)?);
    if min > max {
        return Err(SchemaError::new(format!("{path}.min"), SchemaProblem::EmptyRange));
    }
    Ok(Domain::Number { whole: column.kind == ColumnType::Integer, min, max, precision })
}

fn check_values(values: Vec<String>, path: &str) -> Result<Domain, SchemaError> {
    let wrong = |field: String, problem| SchemaError::new(format!("{path}.{field}"), problem);
    if values.is_empty() {
        return Err(wrong("values".into(), SchemaProblem::NoValues));
    }
    if values.len() > MAX_VALUES {
        return Err(wrong("values".into(), SchemaProblem::TooManyValues));
    }
    let mut places = HashMap::new();
    for (place, value) in values.iter().enumerate() {
        let field = format!("values[{place}]");
        if !is_usable(value, MAX_VALUE_BYTES) {
            return Err(wrong(field, SchemaProblem::BadValue));
        }
        if places.insert(value.clone(), place as u64).is_some() {
            return Err(wrong(field, SchemaProblem::ValueTwice).with_detail(visible(value.as_bytes())));
        }
    }
    Ok(Domain::Category { values, places })
}

/// Whether a declared name or value can stand in a table.
fn is_usable(text: &str, limit_bytes: usize) -> bool {
    !text.is_empty() && text.len() <= limit_bytes && !text.chars().any(is_unprintable)
}

#[cfg(test)]
#[path = "schema_check/tests.rs"]
mod tests;
