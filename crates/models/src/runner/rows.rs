//! Rows as they are written: CSV or JSON lines.

use std::io::Write;

use crate::outputs::{Cell, OutputColumn, Placed};
use crate::table::TableFormat;

/// The header line; JSON lines have none.
pub(super) fn header(keys: &[String], placed: &[Placed], format: TableFormat) -> Vec<u8> {
    let mut line = Vec::new();
    if format == TableFormat::Csv {
        let names = keys.iter().chain(placed.iter().map(|column| &column.name));
        for (index, name) in names.enumerate() {
            separate(index, &mut line);
            csv_text(name, &mut line);
        }
        line.push(b'\n');
    }
    line
}

/// The declared columns of a table without rows.
pub(super) fn declared(columns: &[OutputColumn]) -> Vec<Placed> {
    columns.iter().map(|column| Placed { name: column.name.clone(), output: 0, position: 0 }).collect()
}

/// Appends one row.
pub(super) fn write<'v>(
    format: TableFormat,
    keys: &[String],
    key_values: &[String],
    placed: &[Placed],
    values: impl Iterator<Item = Option<Cell<'v>>>,
    into: &mut Vec<u8>,
) {
    match format {
        TableFormat::Csv => {
            for (index, value) in key_values.iter().enumerate() {
                separate(index, into);
                csv_text(value, into);
            }
            for value in values {
                into.push(b',');
                match value {
                    Some(Cell::Text(text)) => csv_text(text, into),
                    Some(value) => put_number(&value, into),
                    None => {}
                }
            }
        }
        TableFormat::JsonLines => {
            into.push(b'{');
            for (index, (name, value)) in keys.iter().zip(key_values).enumerate() {
                separate(index, into);
                json_text(name, into);
                into.push(b':');
                json_text(value, into);
            }
            for (column, value) in placed.iter().zip(values) {
                into.push(b',');
                json_text(&column.name, into);
                into.push(b':');
                match value {
                    Some(Cell::Text(text)) => json_text(text, into),
                    Some(Cell::Float(value)) if !value.is_finite() => into.extend_from_slice(b"null"),
                    Some(Cell::Double(value)) if !value.is_finite() => into.extend_from_slice(b"null"),
                    Some(value) => put_number(&value, into),
                    None => into.extend_from_slice(b"null"),
                }
            }
            into.push(b'}');
        }
    }
    into.push(b'\n');
}

fn separate(index: usize, into: &mut Vec<u8>) {
    if index > 0 {
        into.push(b',');
    }
}

/// The shortest decimal form that reads back as the same number.
fn put_number(value: &Cell<'_>, into: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = match value {
        Cell::Float(value) => write!(into, "{value}"),
        Cell::Double(value) => write!(into, "{value}"),
        Cell::Int(value) => write!(into, "{value}"),
        Cell::Text(_) => Ok(()),
    };
}

/// A field of RFC 4180: quoted where it must be.
fn csv_text(text: &str, into: &mut Vec<u8>) {
    let special = |byte: u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !text.is_empty() && !text.bytes().any(special) && text.trim() == text {
        into.extend_from_slice(text.as_bytes());
        return;
    }
    into.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            into.push(b'"');
        }
        into.push(byte);
    }
    into.push(b'"');
}

fn json_text(text: &str, into: &mut Vec<u8>) {
    // Writing to memory cannot fail, and every text has a JSON form.
    let _ = serde_json::to_writer(into, text);
}
