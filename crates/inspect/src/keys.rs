//! The keys of an input: the values that a key column may hold, in the order of the input.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use hotcell_types::{Exit, Explain};
use serde_json::value::RawValue;

use crate::Format;

/// The key sets by their source, `INPUT.COLUMN`, as [`CheckedFile::key_sources`](crate::CheckedFile::key_sources)
/// names them.
pub type InputKeys = BTreeMap<String, KeySet>;

/// The distinct values of one input column, in the order of their first appearance.
#[derive(Debug, Default)]
pub struct KeySet {
    /// All values, one after the other.
    text: String,
    /// Where each ends in `text`.
    ends: Vec<u32>,
    /// The places of the values, sorted by value.
    by_value: Vec<u32>,
    /// The rank of each value among the sorted ones.
    ranks: Vec<u32>,
}

/// Keys that cannot be read from an input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The input cannot be read.
    #[error("the keys of the input cannot be read at row {row}")]
    Read {
        /// The row, counted from 1 without the header line.
        row: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A row of the input is not of its format.
    #[error("row {row} of the input is not a {format} row")]
    Malformed {
        /// The row.
        row: u64,
        /// The format.
        format: Format,
    },
    /// The input has no such column, or a row lacks it.
    #[error("row {row} of the input has no key in column `{column}`")]
    Missing {
        /// The row; 0 is the header line.
        row: u64,
        /// The column.
        column: String,
    },
    /// A key is too long.
    #[error("the key in row {row} of the input is longer than {MAX_KEY_BYTES} bytes")]
    TooLong {
        /// The row.
        row: u64,
    },
    /// There are too many.
    #[error("the input has more than {MAX_KEYS} keys or they take more than {MAX_KEYS_BYTES} bytes")]
    TooMany,
}

/// Most keys: as many as a table may have rows.
const MAX_KEYS: usize = crate::schema_check::MAX_ROWS as usize;
/// Longest key: identifiers are short.
const MAX_KEY_BYTES: usize = 256;
/// All keys together: bounds the memory.
const MAX_KEYS_BYTES: usize = 512 << 20;
/// Longest line of a JSON lines input.
const MAX_INPUT_LINE_BYTES: u64 = 16 << 20;

impl KeySet {
    /// The keys of these values, in their order; repeated values count once.
    ///
    /// # Errors
    /// [`KeysError`] when a value is empty or too long, or when there are too many.
    pub fn new<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Result<Self, KeysError> {
        let mut keys = Self::default();
        for (row, value) in (1..).zip(values) {
            keys.push(value.as_ref(), row, "key")?;
        }
        Ok(keys.indexed())
    }

    /// The keys that stand in one column of an input, read in constant memory (the keys themselves apart).
    ///
    /// The input is the owner's own file, so that CSV is read as leniently as readers of CSV are; numbers of JSON are
    /// taken as their text.
    ///
    /// # Errors
    /// [`KeysError`] when the input cannot be read, lacks the column, or has an empty or too long key.
    pub fn read_column<R: Read>(format: Format, from: R, column: &str) -> Result<Self, KeysError> {
        let keys = match format {
            Format::Csv => Self::read_csv(from, column)?,
            Format::Jsonl => Self::read_jsonl(from, column)?,
        };
        Ok(keys.indexed())
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key at a place.
    pub fn get(&self, place: u64) -> Option<&str> {
        let place = usize::try_from(place).ok()?;
        let start = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start as usize..*self.ends.get(place)? as usize)
    }

    /// The place of a key. `guess` is looked at first: rows mostly come in the order of the input.
    pub(crate) fn place_of(&self, value: &str, guess: u64) -> Option<u64> {
        if self.get(guess) == Some(value) {
            return Some(guess);
        }
        let found = self.by_value.binary_search_by(|place| self.get(u64::from(*place)).cmp(&Some(value))).ok()?;
        self.by_value.get(found).map(|place| u64::from(*place))
    }

    /// The rank of the key at a place in the ascending order of all keys.
    pub(crate) fn rank(&self, place: u64) -> u64 {
        usize::try_from(place).ok().and_then(|place| self.ranks.get(place)).map_or(u64::MAX, |rank| u64::from(*rank))
    }

    fn read_csv<R: Read>(from: R, column: &str) -> Result<Self, KeysError> {
        let mut reader = csv::ReaderBuilder::new().from_reader(from);
        let header = reader.byte_headers().map_err(|error| of_csv(error, 0))?;
        let place = header
            .iter()
            .position(|name| name == column.as_bytes())
            .ok_or_else(|| KeysError::Missing { row: 0, column: column.to_owned() })?;
        let mut keys = Self::default();
        let mut record = csv::ByteRecord::new();
        for row in 1.. {
            if !reader.read_byte_record(&mut record).map_err(|error| of_csv(error, row))? {
                break;
            }
            let value = std::str::from_utf8(record.get(place).unwrap_or_default())
                .map_err(|_| KeysError::Malformed { row, format: Format::Csv })?;
            keys.push(value, row, column)?;
        }
        Ok(keys)
    }

    fn read_jsonl<R: Read>(from: R, column: &str) -> Result<Self, KeysError> {
        let mut from = BufReader::new(from);
        let mut keys = Self::default();
        let mut line = Vec::new();
        for row in 1.. {
            line.clear();
            let read = from.by_ref().take(MAX_INPUT_LINE_BYTES).read_until(b'\n', &mut line);
            if read.map_err(|source| KeysError::Read { row, source })? == 0 {
                break;
            }
            let malformed = || KeysError::Malformed { row, format: Format::Jsonl };
            let object: BTreeMap<String, &RawValue> = serde_json::from_slice(&line).map_err(|_| malformed())?;
            let value = object.get(column).ok_or_else(|| KeysError::Missing { row, column: column.to_owned() })?.get();
            match value.as_bytes().first() {
                Some(b'"') => {
                    let value: String = serde_json::from_str(value).map_err(|_| malformed())?;
                    keys.push(&value, row, column)?;
                }
                Some(b'-' | b'0'..=b'9') => keys.push(value, row, column)?,
                _ => return Err(KeysError::Missing { row, column: column.to_owned() }),
            }
        }
        Ok(keys)
    }

    fn push(&mut self, value: &str, row: u64, column: &str) -> Result<(), KeysError> {
        if value.is_empty() {
            return Err(KeysError::Missing { row, column: column.to_owned() });
        }
        if value.len() > MAX_KEY_BYTES {
            return Err(KeysError::TooLong { row });
        }
        if self.ends.len() >= MAX_KEYS || self.text.len() + value.len() > MAX_KEYS_BYTES {
            return Err(KeysError::TooMany);
        }
        self.text.push_str(value);
        self.ends.push(self.text.len() as u32); // INVARIANT: at most MAX_KEYS_BYTES, which fits.
        Ok(())
    }

    /// Drops repeated values and builds the index.
    fn indexed(mut self) -> Self {
        self.by_value = (0..self.ends.len() as u32).collect();
        let mut by_value = std::mem::take(&mut self.by_value);
        by_value.sort_by(|a, b| self.get(u64::from(*a)).cmp(&self.get(u64::from(*b))));
        let mut repeated = vec![false; by_value.len()];
        let mut any_repeated = false;
        for (before, place) in by_value.iter().zip(by_value.iter().skip(1)) {
            // The sort is stable: of equal values the first one comes first.
            if self.get(u64::from(*before)) == self.get(u64::from(*place))
                && let Some(mark) = repeated.get_mut(*place as usize)
            {
                *mark = true;
                any_repeated = true;
            }
        }
        if any_repeated {
            let mut distinct = Self::default();
            for (place, _) in (0u64..).zip(&repeated).filter(|(_, repeated)| !**repeated) {
                distinct.text.push_str(self.get(place).unwrap_or_default());
                distinct.ends.push(distinct.text.len() as u32);
            }
            return distinct.indexed();
        }
        self.ranks = vec![0; by_value.len()];
        for (rank, place) in (0u32..).zip(&by_value) {
            if let Some(slot) = self.ranks.get_mut(*place as usize) {
                *slot = rank;
            }
        }
        self.by_value = by_value;
        self
    }
}

impl Explain for KeysError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "INS-401",
            Self::Malformed { .. } => "INS-402",
            Self::Missing { .. } => "INS-403",
            Self::TooLong { .. } => "INS-404",
            Self::TooMany => "INS-405",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Read { .. } => "make the input readable".into(),
            Self::Malformed { .. } => "correct the row, in UTF-8".into(),
            Self::Missing { .. } => {
                "let `from` of the output's key column name a column that has a value in every row".into()
            }
            Self::TooLong { .. } | Self::TooMany => {
                "name another input column in `from` of the output's key column".into()
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } => Exit::Failed,
            _ => Exit::Usage,
        }
    }
}

fn of_csv(error: csv::Error, row: u64) -> KeysError {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => KeysError::Read { row, source },
        _ => KeysError::Malformed { row, format: Format::Csv },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_order_of_the_input_and_count_once() {
        let keys = KeySet::new(["P3", "P1", "P3", "P2", "P1"]).unwrap();
        assert_eq!((0..4).map(|place| keys.get(place)).collect::<Vec<_>>(), [Some("P3"), Some("P1"), Some("P2"), None]);
        assert_eq!((0..3).map(|place| keys.rank(place)).collect::<Vec<_>>(), [2, 0, 1]);
        for (value, place) in [("P3", Some(0)), ("P1", Some(1)), ("P2", Some(2)), ("P4", None), ("", None)] {
            for guess in 0..5 {
                assert_eq!(keys.place_of(value, guess), place, "{value} {guess}");
            }
        }
    }

    #[test]
    fn keys_are_read_from_csv_and_json_lines_alike() {
        let csv = KeySet::read_column(Format::Csv, &b"x,patient\n1,P2\n2,\"P,1\"\n"[..], "patient").unwrap();
        let jsonl = b"{\"patient\":\"P2\"}\n{\"y\":[1],\"patient\":\"P,1\"}";
        let jsonl = KeySet::read_column(Format::Jsonl, &jsonl[..], "patient").unwrap();
        for keys in [&csv, &jsonl] {
            assert_eq!((keys.len(), keys.get(0), keys.get(1)), (2, Some("P2"), Some("P,1")));
        }
        let numbers = KeySet::read_column(Format::Jsonl, &b"{\"id\":842302}"[..], "id").unwrap();
        assert_eq!(numbers.get(0), Some("842302"));
    }

    #[test]
    fn inputs_without_usable_keys_are_refused_by_code() {
        let long = format!("id\n{}\n", "x".repeat(257));
        for (format, text, code) in [
            (Format::Csv, &b"a,b\n1,2\n"[..], "INS-403"),
            (Format::Csv, b"", "INS-403"),
            (Format::Csv, b"id,b\n,2\n", "INS-403"),
            (Format::Csv, b"id,b\n1\n", "INS-402"),
            (Format::Csv, b"id\n\xff\n", "INS-402"),
            (Format::Csv, long.as_bytes(), "INS-404"),
            (Format::Jsonl, b"{\"a\":1}", "INS-403"),
            (Format::Jsonl, b"{\"id\":null}", "INS-403"),
            (Format::Jsonl, b"{\"id\":[1]}", "INS-403"),
            (Format::Jsonl, b"{\"id\":", "INS-402"),
            (Format::Jsonl, b"\n", "INS-402"),
        ] {
            let error = KeySet::read_column(format, text, "id").unwrap_err();
            assert_eq!(error.code(), code, "{}", String::from_utf8_lossy(text));
        }
    }
}
