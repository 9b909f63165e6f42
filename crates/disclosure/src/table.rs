//! Tables row by row: CSV with a header, JSON lines.

use std::cell::Cell as Counter;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::rc::Rc;

use serde_json::value::RawValue;

use crate::error::DisclosureError;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header.
    Csv,
    /// One JSON object in each line.
    Jsonl,
}

impl Format {
    /// The format that the end of a file's name says.
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("csv") => Some(Self::Csv),
            Some("jsonl" | "ndjson") => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// The most bytes of a table that has to be held in memory.
pub const MAX_TABLE_BYTES: u64 = 1 << 30;
/// The longest row.
const MAX_ROW_BYTES: u64 = 16 << 20;
/// The most columns.
const MAX_COLUMNS: usize = 10_000;

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Which column.
    pub(crate) column: usize,
    pub(crate) text: String,
    pub(crate) form: Form,
}

/// How a value is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a string.
    Text,
    /// A number, `true`, `false` or `null`.
    Bare,
    /// An object or a list.
    Nested,
}

impl Cell {
    /// Whether there is no value.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() || (self.form == Form::Bare && self.text == "null")
    }
}

/// Reads a table.
#[derive(Debug)]
pub struct Reader<R: Read> {
    rows: Rows<R>,
    names: Vec<String>,
    known: HashMap<String, usize>,
    read: u64,
}

#[derive(Debug)]
enum Rows<R: Read> {
    Csv(Box<csv::Reader<Bounded<R>>>, Rc<Counter<u64>>),
    Jsonl(BufReader<R>),
}

/// A reader that gives up where one row goes on for too long.
#[derive(Debug)]
struct Bounded<R> {
    inner: R,
    since_row: Rc<Counter<u64>>,
    at_start: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = self.inner.read(buffer)?;
        if self.at_start {
            // A mark of byte order would be part of the first column's name. It may come in pieces.
            while count < BOM.len() && count > 0 && buffer.get(..count).is_some_and(|begun| BOM.starts_with(begun)) {
                match self.inner.read(buffer.get_mut(count..).unwrap_or_default())? {
                    0 => break,
                    more => count += more,
                }
            }
            self.at_start = false;
            if buffer.get(..count).is_some_and(|begun| begun.starts_with(BOM)) {
                buffer.copy_within(BOM.len()..count, 0);
                count -= BOM.len();
                if count == 0 {
                    count = self.inner.read(buffer)?;
                }
            }
        }
        let since = self.since_row.get() + count as u64;
        self.since_row.set(since);
        if since > MAX_ROW_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a row is longer than {MAX_ROW_BYTES} bytes"),
            ));
        }
        Ok(count)
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";

impl<R: Read> Reader<R> {
    /// Begins to read; of CSV the header.
    ///
    /// # Errors
    /// When there is none, or two columns have one name.
    pub fn new(format: Format, from: R) -> Result<Self, DisclosureError> {
        let mut reader = match format {
            Format::Jsonl => Rows::Jsonl(BufReader::new(from)),
            Format::Csv => {
                let since_row = Rc::new(Counter::new(0));
                let from = Bounded { inner: from, since_row: Rc::clone(&since_row), at_start: true };
                Rows::Csv(Box::new(csv::Reader::from_reader(from)), since_row)
            }
        };
        let (mut names, mut known) = (Vec::new(), HashMap::new());
        if let Rows::Csv(csv, since) = &mut reader {
            names = csv.headers().map_err(|error| broken(None, error))?.iter().map(str::to_owned).collect();
            since.set(0);
            if names.is_empty() || names.len() > MAX_COLUMNS {
                return Err(DisclosureError::content(
                    None,
                    format!("the header has not between 1 and {MAX_COLUMNS} columns"),
                ));
            }
            for (column, name) in names.iter().enumerate() {
                if known.insert(name.clone(), column).is_some() {
                    let name = name.escape_debug();
                    return Err(DisclosureError::content(None, format!("two columns are named `{name}`")));
                }
            }
        }
        Ok(Self { rows: reader, names, known, read: 0 })
    }

    /// The columns that are known by now: of CSV all of them.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The next row.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub(crate) fn next_row(&mut self) -> Result<Option<Vec<Cell>>, DisclosureError> {
        let row = self.read + 1;
        let cells = match &mut self.rows {
            Rows::Csv(csv, since) => {
                let mut record = csv::StringRecord::new();
                since.set(0);
                if !csv.read_record(&mut record).map_err(|error| broken(Some(row), error))? {
                    return Ok(None);
                }
                let cell = |(column, text): (usize, &str)| Cell { column, text: text.to_owned(), form: Form::Text };
                record.iter().enumerate().map(cell).collect()
            }
            Rows::Jsonl(lines) => {
                let Some(line) = next_line(lines, row)? else { return Ok(None) };
                let object: Object<'_> = serde_json::from_slice(&line).map_err(|error| {
                    DisclosureError::content(Some(row), format!("it is no JSON object: {}", told(&error)))
                })?;
                let mut cells = Vec::new();
                for (name, value) in object.0 {
                    let column = self.known.get(&name).copied().unwrap_or(self.names.len());
                    if column == self.names.len() {
                        if column == MAX_COLUMNS {
                            return Err(DisclosureError::content(
                                Some(row),
                                format!("there are more than {MAX_COLUMNS} columns"),
                            ));
                        }
                        self.known.insert(name.clone(), column);
                        self.names.push(name.clone());
                    }
                    if cells.iter().any(|cell: &Cell| cell.column == column) {
                        return Err(DisclosureError::content(Some(row), "two fields of it have one name"));
                    }
                    cells.push(json_cell(column, value, row)?);
                }
                cells
            }
        };
        self.read = row;
        Ok(Some(cells))
    }
}

/// The fields of an object in their order, doubles included.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Object<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Visitor).map(Self)
    }
}

fn json_cell(column: usize, value: &RawValue, row: u64) -> Result<Cell, DisclosureError> {
    let raw = value.get();
    Ok(match raw.as_bytes().first() {
        Some(b'"') => {
            let text = serde_json::from_str(raw).map_err(|error| DisclosureError::content(Some(row), told(&error)))?;
            Cell { column, text, form: Form::Text }
        }
        Some(b'{' | b'[') => Cell { column, text: raw.to_owned(), form: Form::Nested },
        _ => Cell { column, text: raw.to_owned(), form: Form::Bare },
    })
}

fn next_line(lines: &mut impl BufRead, row: u64) -> Result<Option<Vec<u8>>, DisclosureError> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if Read::take(&mut *lines, MAX_ROW_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.len() as u64 == MAX_ROW_BYTES {
            return Err(DisclosureError::content(Some(row), format!("it is longer than {MAX_ROW_BYTES} bytes")));
        }
        if row == 1 && line.starts_with(BOM) {
            line.drain(..BOM.len());
        }
        if !line.trim_ascii().is_empty() {
            return Ok(Some(line));
        }
    }
}

/// What JSON says is wrong, without what stands there.
fn told(error: &serde_json::Error) -> String {
    let what = if error.is_eof() {
        "it ends too early"
    } else if error.is_syntax() {
        "it is not JSON"
    } else {
        "it is something else"
    };
    format!("{what}, at byte {}", error.column())
}

fn broken(row: Option<u64>, error: csv::Error) -> DisclosureError {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => DisclosureError::Table { source },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            DisclosureError::content(row, format!("it has {len} values, and the header {expected_len}"))
        }
        csv::ErrorKind::Utf8 { .. } => DisclosureError::content(row, "it is not UTF-8"),
        _ => DisclosureError::content(row, "it is not CSV"),
    }
}

/// Writes a table.
pub(crate) enum Writer<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Jsonl(W),
}

impl<W: Write> Writer<W> {
    /// Begins to write; of CSV the header.
    pub(crate) fn new<'a>(
        format: Format,
        to: W,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Self, DisclosureError> {
        Ok(match format {
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(to);
                csv.write_record(names).map_err(|error| broken(None, error))?;
                Self::Csv(Box::new(csv))
            }
            Format::Jsonl => Self::Jsonl(to),
        })
    }

    pub(crate) fn row(&mut self, cells: &[Cell], names: &[String]) -> Result<(), DisclosureError> {
        match self {
            Self::Csv(csv) => {
                csv.write_record(cells.iter().map(|cell| cell.text.as_str())).map_err(|error| broken(None, error))?;
            }
            Self::Jsonl(to) => {
                let quoted = |text: &str| serde_json::to_string(text).map_err(io::Error::from);
                for (place, cell) in cells.iter().enumerate() {
                    let name = names.get(cell.column).map(String::as_str).unwrap_or_default();
                    to.write_all(if place == 0 { b"{" } else { b"," })?;
                    to.write_all(quoted(name)?.as_bytes())?;
                    to.write_all(b":")?;
                    match cell.form {
                        Form::Text => to.write_all(quoted(&cell.text)?.as_bytes())?,
                        Form::Bare | Form::Nested => to.write_all(cell.text.as_bytes())?,
                    }
                }
                to.write_all(if cells.is_empty() { b"{}\n" } else { b"}\n" })?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), DisclosureError> {
        match self {
            Self::Csv(mut csv) => csv.flush()?,
            Self::Jsonl(mut to) => to.flush()?,
        }
        Ok(())
    }
}
