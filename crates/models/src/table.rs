//! Tables of rows to score: CSV with a header, or JSON lines.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use csv::ByteRecord;
use hotcell_types::{Exit, Explain};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::onnx::clip;

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// RFC 4180 with a header.
    Csv,
    /// One JSON object on each line.
    JsonLines,
}

/// A table that cannot be read or used. Never shows a value of the table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// It has no header or no columns.
    #[error("the table is empty")]
    Empty,
    /// A column is named that is not there.
    #[error("the table has no column `{column}`")]
    NoColumn {
        /// The column.
        column: String,
    },
    /// Two columns have one name.
    #[error("the table has two columns named `{column}`")]
    DoubleColumn {
        /// The column.
        column: String,
    },
    /// A row cannot be read.
    #[error("row {row} of the table cannot be read: {why}")]
    Row {
        /// Its number, from 1, without the header.
        row: u64,
        /// Why.
        why: String,
    },
    /// A value is missing or is not a finite number.
    #[error("row {row}, column `{column}`: {why}")]
    Value {
        /// The row's number, from 1, without the header.
        row: u64,
        /// The column.
        column: String,
        /// Why.
        why: &'static str,
    },
    /// More of something than allowed.
    #[error("the table has {what} of more than {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The most allowed.
        limit: u64,
    },
}

impl Explain for TableError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "MDL-020",
            Self::NoColumn { .. } => "MDL-021",
            Self::DoubleColumn { .. } => "MDL-022",
            Self::Row { .. } => "MDL-023",
            Self::Value { .. } => "MDL-024",
            Self::Limit { .. } => "MDL-025",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Empty => "give a CSV file with a header line, or JSON lines with one object each".into(),
            Self::NoColumn { .. } => "name columns as the table's first line does".into(),
            Self::DoubleColumn { .. } => "rename one of the columns".into(),
            Self::Row { .. } => "mend that row of the table".into(),
            Self::Value { .. } => {
                "mend that value, or allow missing values with `--allow-missing` if the model was made for them".into()
            }
            Self::Limit { .. } => "split the table".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Limit { .. } => Exit::Limit,
            _ => Exit::Failed,
        }
    }
}

impl TableFormat {
    /// The form by the first bytes: a JSON object begins with a brace, a header does not.
    pub fn of_content(first: &[u8]) -> Self {
        let first = first.strip_prefix(BOM).unwrap_or(first);
        match first.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Self::JsonLines,
            _ => Self::Csv,
        }
    }

    /// The form by a file's name: `.jsonl` and `.ndjson` are JSON lines.
    pub fn of_name(path: &std::path::Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Self::JsonLines,
            _ => Self::Csv,
        }
    }
}

/// The rows of a table, one after the other.
pub(crate) struct Table<R> {
    pub(crate) header: Vec<String>,
    rows: Rows<R>,
    read: u64,
}

enum Rows<R> {
    Csv(Box<csv::Reader<Bounded<R>>>, Rc<Cell<u64>>),
    Json { from: R, first: Option<Vec<(String, String)>> },
}

impl<R: BufRead> Table<R> {
    /// Reads the header, of JSON lines the names in the first object.
    pub(crate) fn open(mut from: R) -> Result<Self, TableError> {
        let row = |why: io::Error| TableError::Row { row: 0, why: reason(&why) };
        let start = from.fill_buf().map_err(row)?;
        let format = TableFormat::of_content(start);
        if start.starts_with(BOM) {
            from.consume(BOM.len());
        }
        let (header, rows) = match format {
            TableFormat::Csv => {
                let allowance = Rc::new(Cell::new(MAX_ROW_BYTES));
                let bounded = Bounded { from, allowance: Rc::clone(&allowance) };
                let mut reader = csv::ReaderBuilder::new().from_reader(bounded);
                let header = reader.byte_headers().map_err(|error| csv_error(0, &error))?.clone();
                let header = header.iter().map(|name| utf8(name).ok_or(TableError::Empty));
                (header.collect::<Result<Vec<_>, _>>()?, Rows::Csv(Box::new(reader), allowance))
            }
            TableFormat::JsonLines => {
                let first = json_row(&mut from, 1)?.ok_or(TableError::Empty)?;
                let header = first.iter().map(|(name, _)| name.clone()).collect();
                (header, Rows::Json { from, first: Some(first) })
            }
        };
        check_header(&header)?;
        Ok(Self { header, rows, read: 0 })
    }

    /// Fills `records` with at most `most` rows; how many there were. Longer buffers are kept for later.
    pub(crate) fn fill(&mut self, records: &mut Vec<ByteRecord>, most: usize) -> Result<usize, TableError> {
        let mut count = 0;
        while count < most {
            if records.len() == count {
                records.push(ByteRecord::new());
            }
            let Some(record) = records.get_mut(count) else { break };
            if !self.next(record)? {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    fn next(&mut self, record: &mut ByteRecord) -> Result<bool, TableError> {
        let row = self.read + 1;
        let there = match &mut self.rows {
            Rows::Csv(reader, allowance) => {
                allowance.set(MAX_ROW_BYTES);
                reader.read_byte_record(record).map_err(|error| csv_error(row, &error))?
            }
            Rows::Json { from, first } => {
                let cells = match first.take() {
                    Some(cells) => Some(cells),
                    None => json_row(from, row)?,
                };
                match cells {
                    Some(cells) => order(&self.header, cells, record, row)?,
                    None => return Ok(false),
                }
                true
            }
        };
        self.read += u64::from(there);
        Ok(there)
    }
}

/// A column as a number in the file's precision; none when it is empty or not a number (`nan` is one).
pub(crate) fn number(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}

/// Whether a field holds nothing.
pub(crate) fn is_missing(field: &[u8]) -> bool {
    let field = field.trim_ascii();
    field.is_empty() || field.eq_ignore_ascii_case(b"nan") || field.eq_ignore_ascii_case(b"null")
}

fn check_header(header: &[String]) -> Result<(), TableError> {
    if header.is_empty() || header.iter().all(String::is_empty) {
        return Err(TableError::Empty);
    }
    if header.len() > MAX_COLUMNS {
        return Err(TableError::Limit { what: "columns", limit: MAX_COLUMNS as u64 });
    }
    let mut seen = std::collections::HashSet::new();
    match header.iter().find(|name| !seen.insert(name.as_str())) {
        Some(double) => Err(TableError::DoubleColumn { column: clip(double) }),
        None => Ok(()),
    }
}

/// Puts the cells of a JSON row into the header's order; what is absent is empty.
fn order(header: &[String], cells: Vec<(String, String)>, record: &mut ByteRecord, row: u64) -> Result<(), TableError> {
    record.clear();
    let in_order = cells.len() == header.len() && cells.iter().zip(header).all(|((name, _), column)| name == column);
    if in_order {
        cells.iter().for_each(|(_, value)| record.push_field(value.as_bytes()));
        return Ok(());
    }
    let mut by_name = std::collections::HashMap::with_capacity(cells.len());
    for (name, value) in cells {
        if !header.contains(&name) {
            return Err(TableError::Row { row, why: format!("`{}` is not in the first row", clip(&name)) });
        }
        if by_name.insert(name, value).is_some() {
            return Err(TableError::Row { row, why: "it has a name twice".into() });
        }
    }
    for column in header {
        record.push_field(by_name.get(column).map_or(b"", |value| value.as_bytes()));
    }
    Ok(())
}

/// The next object that is not a blank line, as names and texts.
fn json_row<R: BufRead>(from: &mut R, row: u64) -> Result<Option<Vec<(String, String)>>, TableError> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = from.take(MAX_ROW_BYTES).read_until(b'\n', &mut line);
        let read = read.map_err(|error| TableError::Row { row, why: reason(&error) })?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == MAX_ROW_BYTES && line.last() != Some(&b'\n') {
            return Err(TableError::Limit { what: "bytes in a row", limit: MAX_ROW_BYTES });
        }
        if !line.trim_ascii().is_empty() {
            break;
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(&line);
    let cells = deserializer.deserialize_map(Cells).and_then(|cells| deserializer.end().map(|()| cells));
    // The engine's message can show the value, so only its kind is kept.
    cells.map(Some).map_err(|error| TableError::Row {
        row,
        why: match error.classify() {
            serde_json::error::Category::Data => "it is not an object of numbers, texts and truth values".into(),
            _ => format!("it is not JSON at byte {}", error.column()),
        },
    })
}

/// Reads an object of plain values and keeps its order.
struct Cells;

impl<'de> Visitor<'de> for Cells {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        use serde_json::Value;
        let mut cells = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            let text = match value {
                Value::Null => String::new(),
                Value::Bool(value) => value.to_string(),
                Value::Number(value) => value.to_string(),
                Value::String(value) => value,
                Value::Array(_) | Value::Object(_) => return Err(A::Error::custom("nested")),
            };
            if cells.len() >= MAX_COLUMNS {
                return Err(A::Error::custom("too many columns"));
            }
            cells.push((name, text));
        }
        Ok(cells)
    }
}

/// A reader that gives up when one row takes more than it may.
struct Bounded<R> {
    from: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.get();
        if left == 0 {
            return Err(io::Error::other(ROW_TOO_LONG));
        }
        let read = self.from.read(buffer)?;
        self.allowance.set(left.saturating_sub(read as u64));
        Ok(read)
    }
}

fn csv_error(row: u64, error: &csv::Error) -> TableError {
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("it has {len} fields, not {expected_len}"),
        csv::ErrorKind::Io(error) if error.to_string() == ROW_TOO_LONG => {
            return TableError::Limit { what: "bytes in a row", limit: MAX_ROW_BYTES };
        }
        csv::ErrorKind::Io(error) => reason(error),
        _ => "it is not CSV".into(),
    };
    TableError::Row { row, why }
}

fn reason(error: &io::Error) -> String {
    error.to_string()
}

fn utf8(field: &[u8]) -> Option<String> {
    std::str::from_utf8(field).ok().map(str::to_owned)
}

const ROW_TOO_LONG: &str = "the row is too long";
const BOM: &[u8] = b"\xef\xbb\xbf";
/// One row: thousands of columns fit, an unclosed quotation mark does not take the whole file into memory.
const MAX_ROW_BYTES: u64 = 4 << 20;
/// Columns of a table: wide genomics tables have some ten thousand.
const MAX_COLUMNS: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Result<(Vec<String>, Vec<Vec<String>>), TableError> {
        let mut table = Table::open(text)?;
        let mut records = Vec::new();
        let count = table.fill(&mut records, 100)?;
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        Ok((table.header, records[..count].iter().map(|record| record.iter().map(text).collect()).collect()))
    }

    #[test]
    fn csv_and_json_lines_give_the_same_rows() {
        let csv = rows(b"\xef\xbb\xbfid,x,note\na,1.5,\"x, y\"\nb,2,\n").unwrap();
        let json =
            rows(b"{\"id\":\"a\",\"x\":1.5,\"note\":\"x, y\"}\n\n{\"x\":2,\"id\":\"b\",\"note\":null}\n").unwrap();
        assert_eq!(csv, json);
        assert_eq!(csv.0, ["id", "x", "note"]);
        assert_eq!(csv.1, [["a", "1.5", "x, y"], ["b", "2", ""]]);
    }

    #[test]
    fn bad_tables_are_refused_by_row_and_never_show_a_value() {
        let long = format!("a,b\n\"{}", "x".repeat(5 << 20));
        let long_json = format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20));
        for (text, says) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"a,a\n1,2\n", "two columns named `a`"),
            (b"a,b\n1,2\nsecret\n", "row 2 of the table cannot be read: it has 1 fields, not 2"),
            (b"{\"a\":1}\n{\"a\":[\"secret\"]}\n", "row 2"),
            (b"{\"a\":1}\n{\"a\":secret}\n", "row 2"),
            (b"{\"a\":1}\n{\"b\":1}\n", "`b` is not in the first row"),
            (b"{\"a\":1}\n{\"a\":1} {\"a\":2}\n", "row 2"),
            (b"{\"a\":1,\"a\":2}\n", "two columns"),
            (long.as_bytes(), "bytes in a row"),
            (long_json.as_bytes(), "bytes in a row"),
        ] {
            let error = rows(text).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_told_from_what_is_wrong() {
        for field in [&b""[..], b"  ", b"NaN", b"null"] {
            assert!(is_missing(field));
        }
        assert!(!is_missing(b"0"));
        assert_eq!(number(b" 1.5 "), Some(1.5));
        assert_eq!(number(b"1,5"), None);
    }
}
