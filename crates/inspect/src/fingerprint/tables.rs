//! Which inputs are tables, and their cells.

use std::collections::HashMap;

use serde_json::Value;

use super::record::{Cell, SPANS};
use super::tokens::ValueHash;

/// The cells of all tables so far.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    pub(crate) cells: Vec<Cell>,
    pub(crate) records: u32,
    pub(crate) span: u32,
    columns: u32,
}

/// Cells of all tables together.
pub(crate) const MAX_CELLS: usize = 16 << 20;

/// There are more cells than are indexed.
#[derive(Debug)]
pub(crate) struct TooMany;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines of cells, parted by this.
    Separated(u8),
    /// A JSON object on each line, or an array of them.
    Json,
    /// No table.
    Other,
}

impl Form {
    /// Told by its beginning, whatever its name.
    pub(crate) fn of(head: &[u8]) -> Self {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        if head.trim_ascii_start().starts_with(b"{") || head.trim_ascii_start().starts_with(b"[") {
            return Self::Json;
        }
        // A character that only the end of the head cuts is none that is wrong.
        let is_odd = std::str::from_utf8(head).is_err_and(|error| error.error_len().is_some());
        if is_odd || head.contains(&0) {
            return Self::Other;
        }
        let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(3).collect();
        let [first, second, ..] = lines.as_slice() else { return Self::Other };
        let count = |line: &[u8], sign: u8| memchr::memchr_iter(sign, line).count();
        let parts = [b',', b'\t', b';', b'|'].into_iter().max_by_key(|sign| count(first, *sign)).unwrap_or(b',');
        match (count(first, parts), count(second, parts)) {
            (first_count @ 1.., second_count) if first_count == second_count && is_header(first, parts) => {
                Self::Separated(parts)
            }
            _ => Self::Other,
        }
    }

    /// Bytes at the beginning that name columns, and are no content.
    pub(crate) fn header_bytes(self, head: &[u8]) -> usize {
        match self {
            Self::Separated(_) => memchr::memchr(b'\n', head).map_or(0, |end| end + 1),
            Self::Json | Self::Other => 0,
        }
    }
}

/// Whether a line looks as if it named columns, and not as a sentence with a comma in it.
fn is_header(line: &[u8], parts: u8) -> bool {
    line.split(|byte| *byte == parts).all(|name| name.len() <= MAX_NAME_BYTES && !name.trim_ascii().contains(&b'.'))
}

/// Longest name of a column.
const MAX_NAME_BYTES: usize = 64;

impl Cells {
    /// Adds the records of a table. What in it is no record is passed over: as a stretch it is known all the same.
    pub(crate) fn read(&mut self, form: Form, bytes: &[u8], hash: ValueHash) -> Result<(), TooMany> {
        match form {
            Form::Separated(parts) => self.read_separated(parts, bytes, hash),
            Form::Json => self.read_json(bytes, hash),
            Form::Other => Ok(()),
        }
    }

    fn read_separated(&mut self, parts: u8, bytes: &[u8], hash: ValueHash) -> Result<(), TooMany> {
        let mut reader = csv::ReaderBuilder::new().delimiter(parts).flexible(true).from_reader(bytes);
        let header = reader.byte_headers().map_or(0, |header| header.as_slice().len());
        let mut record = csv::ByteRecord::new();
        let mut most_columns = 0;
        // Bytes from memory do not fail, and records may have any length.
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            for (place, cell) in record.iter().enumerate() {
                self.add(place as u32, cell, hash)?;
            }
            most_columns = most_columns.max(record.len() as u32);
            self.record(header + record.as_slice().len(), record.len());
        }
        self.columns += most_columns;
        Ok(())
    }

    fn read_json(&mut self, bytes: &[u8], hash: ValueHash) -> Result<(), TooMany> {
        let mut names = HashMap::new();
        for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
            match value {
                Ok(Value::Array(values)) => {
                    for value in &values {
                        self.read_object(value, &mut names, hash)?;
                    }
                }
                Ok(value) => self.read_object(&value, &mut names, hash)?,
                Err(_) => break,
            }
        }
        self.columns += names.len() as u32;
        Ok(())
    }

    fn read_object(
        &mut self,
        object: &Value,
        names: &mut HashMap<String, u32>,
        hash: ValueHash,
    ) -> Result<(), TooMany> {
        let mut todo = vec![(String::new(), object)];
        let (mut bytes, mut fields) = (0, 0);
        while let Some((name, value)) = todo.pop() {
            let text = match value {
                Value::Object(map) => {
                    todo.extend(map.iter().map(|(key, value)| (format!("{name}.{key}"), value)));
                    continue;
                }
                Value::Array(values) => {
                    todo.extend(values.iter().map(|value| (name.clone(), value)));
                    continue;
                }
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(_) | Value::Null => continue,
            };
            bytes += name.len() + text.len();
            fields += 1;
            let next = names.len() as u32;
            let column = *names.entry(name).or_insert(next);
            self.add(column, text.as_bytes(), hash)?;
        }
        self.record(bytes, fields);
        Ok(())
    }

    fn add(&mut self, column: u32, cell: &[u8], hash: ValueHash) -> Result<(), TooMany> {
        if let Some((hash, sign_bits)) = hash.of_cell(cell) {
            if self.cells.len() >= MAX_CELLS {
                return Err(TooMany);
            }
            self.cells.push(Cell { column: self.columns + column, hash, record: self.records, sign_bits });
        }
        Ok(())
    }

    /// Ends a record of so many bytes with the names of its columns, and so many fields.
    fn record(&mut self, bytes: usize, fields: usize) {
        self.records += 1;
        // As JSON over several lines it takes more room than as it was.
        let room = (2 * bytes + 12 * fields).min(*SPANS.end() as usize) as u32;
        self.span = self.span.max(room).clamp(*SPANS.start(), *SPANS.end());
    }
}
